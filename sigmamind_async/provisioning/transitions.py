"""From one state of an operation to the next: a pure function of its row and an event.

    PLANNED         Claimed                                       SENDING
                    RefusedLocally                                FAILED
    SENDING         Claimed by the same owner, Paused        SENDING
                    AttemptEnded: NOT_SENT                        PLANNED
                                  REJECTED                        FAILED
                                  CONFIRMED                       DONE
                                  AMBIGUOUS, COMMITTED_UNREAD     UNCONFIRMED
                    OwnerLost                                     UNCONFIRMED
                      while it waited after a 429                 PLANNED
    UNCONFIRMED     AttemptEnded, after OwnerLost:
                                  AMBIGUOUS, COMMITTED_UNREAD     UNCONFIRMED
                    Claimed, of an update or a release            SENDING
                    Listed: found                                 DONE
                            proven absent                         PLANNED, FAILED, NEEDS_DECISION
                            neither                               UNCONFIRMED
                    RepairStarted                                 UNCONFIRMED
                    RepairDone                                    DONE
                    RepairRefused                                 NEEDS_DECISION
                    AdoptApproved                                 DONE
                    AbandonApproved                               ABANDONED
    NEEDS_DECISION  AdoptApproved                                 DONE
                    RetryApproved                                 PLANNED
                    AbandonApproved                               ABANDONED
    FAILED          Claimed                                       SENDING
                    RetryApproved                                 PLANNED
    DONE            TagRemoved                                    DONE
    DUPLICATE       DuplicateReleased                             DUPLICATE, DONE, ABANDONED
                    AdoptApproved, if none was kept               DONE, DUPLICATE
                    AbandonApproved                               DONE, ABANDONED
    ABANDONED       AdoptApproved                                 DONE
                    RetryApproved                                 PLANNED
    any but SENDING Listed: a purchase's tag on one more number   DONE, DUPLICATE

While an earlier attempt is unconfirmed, a later one returns to UNCONFIRMED if it was not sent (an
update or release) or was rejected (a number that can be owned only once). Such a number may be
PLANNED again before the earlier attempt is proven lost; listings and repairs then apply to PLANNED
as they do to UNCONFIRMED. So does the end of an attempt whose process was taken for lost, and only
stood still: a purchase that it made meanwhile must not be sent again.

The settle time is what makes "absent" a proof. A platform may carry out a request long after the
caller has stopped waiting, and no client can exclude that. So a number of the platform's choice
counts as not bought only when two full listings do not show it and the later one began a whole
settle time after the attempt had ended. A number that can be owned only once is requested again
after a single listing, `Policy.exact_settle_time` after the attempt: a second request for it can at
worst be refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

import attrs

from sigmamind_async.operation import Verdict
from sigmamind_async.provisioning.events import (
    AbandonApproved,
    AdoptApproved,
    AttemptEnded,
    Claimed,
    DuplicateReleased,
    Event,
    Listed,
    Match,
    OwnerLost,
    Paused,
    RefusedLocally,
    RepairDone,
    RepairRefused,
    RepairStarted,
    RetryApproved,
    TagRemoved,
)
from sigmamind_async.provisioning.row import HISTORY, Kind, Row, State, Step

SETTLE_TIME: Final = 900.0
"""Seconds after an unanswered attempt during which "absent" proves nothing."""
LISTINGS: Final = 2
"""Full listings that must agree that a number is absent: one may have shifted while it was read."""

_OPEN: Final = frozenset({State.UNCONFIRMED, State.PLANNED})

LEGAL: Final[Mapping[type[Event], frozenset[State]]] = {
    Claimed: frozenset({State.PLANNED, State.FAILED, State.SENDING, State.UNCONFIRMED}),
    Paused: frozenset({State.SENDING}),
    AttemptEnded: _OPEN | {State.SENDING},
    OwnerLost: frozenset({State.SENDING}),
    RefusedLocally: frozenset({State.PLANNED}),
    Listed: frozenset(State),
    RepairStarted: _OPEN,
    RepairDone: _OPEN,
    RepairRefused: _OPEN,
    DuplicateReleased: frozenset({State.DUPLICATE}),
    TagRemoved: frozenset({State.DONE}),
    AdoptApproved: frozenset(
        {State.UNCONFIRMED, State.NEEDS_DECISION, State.DUPLICATE, State.ABANDONED}
    ),
    RetryApproved: frozenset({State.NEEDS_DECISION, State.ABANDONED, State.FAILED}),
    AbandonApproved: frozenset({State.UNCONFIRMED, State.NEEDS_DECISION, State.DUPLICATE}),
}
"""In which states an event can happen. For some the kind or the owner of the row must fit too."""


@attrs.frozen(kw_only=True)
class Policy:
    """What a provisioner may decide without an operator."""

    settle_time: float = SETTLE_TIME
    """Seconds after an unanswered attempt during which "absent" proves nothing."""
    exact_settle_time: float = 20.0
    """The same for a number that can be owned only once. A second request for it can at worst be
    refused, so it only has to wait as long as the first could have been answered."""
    retry_unconfirmed: bool = False
    """Send a purchase of a number that the platform picks again, once it is proven absent."""
    release_duplicates: bool = False
    """Release all numbers but the one that is kept."""


@attrs.frozen
class Repair:
    """Write the requested fields to a record that exists and does not show them all."""

    match: Match


@attrs.frozen
class Release:
    """Release a duplicate."""

    record: str


Action: TypeAlias = Repair | Release


@attrs.frozen
class Transition:
    """The next row, to be stored if its `version` follows the stored one; and what to do then."""

    row: Row
    actions: tuple[Action, ...] = ()


class IllegalTransitionError(Exception):
    """The event cannot happen to the row; never leaves this package."""


def advance(  # noqa: C901, PLR0912 - one case for each event
    row: Row, event: Event, now: float, policy: Policy
) -> Transition:
    """Return what follows from *event* at *now*.

    A row that does not change is returned as it is, with the same version. Raises
    `IllegalTransitionError` for an event that cannot happen to the row.
    """
    if row.state not in LEGAL[type(event)]:
        raise IllegalTransitionError(row.op_id, row.state)
    actions: tuple[Action, ...] = ()
    match event:
        case Claimed():
            new = _claim(row, event, now)
        case Paused():
            new = _evolve(row, between_requests=True)
        case AttemptEnded():
            new = _end_attempt(row, event, now)
        case OwnerLost():
            new = _lose_owner(row, now)
        case RefusedLocally(reason):
            new = _refuse(row, reason, now)
        case Listed():
            new, actions = _apply_listing(row, event, now, policy)
        case RepairStarted() | RepairDone() | RepairRefused():
            new = _apply_repair(row, event, now)
        case DuplicateReleased(record):
            new = _release_duplicate(row, record, now)
        case TagRemoved():
            tagless = _enter(row, row.state, now, "the tag was removed from the label")
            new = _evolve(tagless, tagged=False)
        case AdoptApproved() | RetryApproved() | AbandonApproved():
            new = _apply_decision(row, event, now)
        case _:
            assert_never(event)
    if new is not row:
        new = _evolve(new, version=row.version + 1, updated_at=now)
    return Transition(new, actions)


if TYPE_CHECKING:
    from attrs import evolve as _evolve
else:

    def _evolve(row: Row, **fields: Any) -> Row:  # noqa: ANN401 - fields of a row
        """Return *row* with other *fields*; checkers see `attrs.evolve`.

        A purchase copies its row four times. For each copy, `attrs.evolve` takes 10 microseconds,
        together an eighth of what a job spends on the purchase; this takes 1.
        """
        new = object.__new__(Row)
        new.__dict__.update(row.__dict__, **fields)
        return new


# --- an attempt ------------------------------------------------------------------------------


def _claim(row: Row, event: Claimed, now: float) -> Row:
    # The same owner claims again before each request of one attempt: what was not sent, or was
    # rate-limited, may leave again under the same tag.
    again = row.state is State.SENDING
    by_another = again and row.owner != event.owner
    if by_another or (row.state is State.UNCONFIRMED and not row.kind.repeatable):
        raise IllegalTransitionError(row.op_id, row.state)
    attempt = row.attempt if again else row.attempt + 1
    return _evolve(
        row,
        state=State.SENDING,
        attempt=attempt,
        owner=event.owner,
        between_requests=False,
        sent_at=now,
        lease_until=now + event.lease,
        accepted=False,
        absent_listings=0,
        listed_at=0.0,
        rejection="",
        error="",
        error_status=0,
        history=row.history if again else _add_step(row, now, f"attempt {attempt}: sending"),
    )


def _end_attempt(row: Row, event: AttemptEnded, now: float) -> Row:
    # A process that was taken for lost reports that it may have acted all the same, or has. Whether
    # its attempt is still the latest is for the caller to know.
    may_have_acted = event.verdict in {Verdict.AMBIGUOUS, Verdict.COMMITTED_UNREAD}
    if row.state is not State.SENDING and not (may_have_acted and row.unconfirmed_since):
        raise IllegalTransitionError(row.op_id, row.state)
    attempt, reason = f"attempt {row.attempt}", event.reason
    match event.verdict:
        case Verdict.NOT_SENT:
            return _not_sent(row, now, f"{attempt}: not sent: {reason}")
        case Verdict.REJECTED:
            text = f"{attempt}: refused: {reason}"
            row = _evolve(row, error_status=event.status)
            if row.kind.owned_once and row.unconfirmed_since:
                # The platform may refuse because an earlier attempt succeeded: a listing decides.
                unconfirmed = _enter(row, State.UNCONFIRMED, now, text, error=reason)
                return _evolve(unconfirmed, rejection=reason)
            return _enter(row, State.FAILED, now, text, error=reason)
        case Verdict.CONFIRMED:
            since = now if event.earlier_unanswered else row.unconfirmed_since
            text = f"{attempt}: confirmed" + (f": {_number_of(event.match)}" if event.match else "")
            return _finish(row, event.match, now, text, unconfirmed_since=since)
        case Verdict.AMBIGUOUS:
            return _unconfirmed(row, now, f"{attempt}: {reason}", since=now)
        case Verdict.COMMITTED_UNREAD:
            unconfirmed = _unconfirmed(row, now, f"{attempt}: {reason}", since=now)
            return _evolve(unconfirmed, accepted=True)
        case _:
            assert_never(event.verdict)


def _refuse(row: Row, reason: str, now: float) -> Row:
    if row.is_open:  # an earlier attempt may still have been carried out
        raise IllegalTransitionError(row.op_id, row.state)
    refused = _enter(row, State.FAILED, now, f"not sent: {reason}", error=reason)
    return _evolve(refused, error_status=0)


def _lose_owner(row: Row, now: float) -> Row:
    attempt = f"attempt {row.attempt}"
    if row.between_requests:
        return _not_sent(row, now, f"{attempt}: its process ended between two requests")
    text = f"{attempt}: the process that sent it ended before an answer"
    return _unconfirmed(row, now, text, since=min(now, row.lease_until))


def _not_sent(row: Row, now: float, text: str) -> Row:
    # An update or a release is sent again while an earlier attempt is unconfirmed; that one still
    # is.
    unconfirmed = row.kind.repeatable and row.unconfirmed_since
    return _enter(row, State.UNCONFIRMED if unconfirmed else State.PLANNED, now, text, error=text)


def _unconfirmed(row: Row, now: float, text: str, *, since: float) -> Row:
    return _evolve(
        _enter(row, State.UNCONFIRMED, now, text, error=text),
        unconfirmed_since=since,
        proven_absent=False,
        absent_listings=0,
        listed_at=0.0,
    )


def _finish(
    row: Row, found: Match | None, now: float, text: str, *, unconfirmed_since: float
) -> Row:
    brought = row if found is None else found
    return _evolve(
        row,
        state=State.DONE,
        error="",
        history=_add_step(row, now, text),
        unconfirmed_since=unconfirmed_since,
        phone_number=brought.phone_number,
        record=brought.record,
        result=brought.result,
        tagged=row.tagged if found is None else found.attempt is not None,
    )


# --- repairs and decisions -------------------------------------------------------------------


def _apply_repair(row: Row, event: RepairStarted | RepairDone | RepairRefused, now: float) -> Row:
    if not row.is_open:
        raise IllegalTransitionError(row.op_id, row.state)
    match event:
        case RepairStarted():
            # Stored before it is sent: a write that went unanswered may arrive late, and would then
            # overwrite what later operations have written to the same number.
            new = _enter(row, row.state, now, "writing the requested fields to the record found")
            return _evolve(new, repairs=row.repairs + 1, unconfirmed_since=now)
        case RepairRefused(found, reason):
            text = (
                f"found {_number_of(found)}, but it cannot be given the requested fields: {reason}"
            )
            return _enter(row, State.NEEDS_DECISION, now, text, error=text)
        case RepairDone(found, earlier_unanswered):
            text = f"found {_number_of(found)} and wrote the requested fields to it"
            new = _adopt(row, found, now, text)
            if earlier_unanswered or row.repairs > 1:
                return _evolve(new, unconfirmed_since=now)
            # The write was answered, so it does not come late. One of several attempts may: it is
            # refused as long as the number is owned, and so only a release has to wait for it.
            since = row.unconfirmed_since if row.attempt > 1 else 0.0
            return _evolve(new, unconfirmed_since=since, repairs=0)
        case _:
            assert_never(event)


def _apply_decision(
    row: Row, event: AdoptApproved | RetryApproved | AbandonApproved, now: float
) -> Row:
    """Return the row after an operator's decision; earlier attempts remain unconfirmed."""
    match event:
        case AdoptApproved(found) if not row.record:
            return _adopt(row, found, now, f"operator's decision: adopted {_number_of(found)}")
        case AdoptApproved():
            raise IllegalTransitionError(row.op_id, row.state)
        case RetryApproved():
            return _enter(row, State.PLANNED, now, "operator's decision: send again", error="")
        case AbandonApproved() if row.record:
            return _enter(row, State.DONE, now, "operator's decision: keep all numbers", error="")
        case AbandonApproved():
            return _enter(row, State.ABANDONED, now, "operator's decision: abandoned")
        case _:
            assert_never(event)


def _release_duplicate(row: Row, record: str, now: float) -> Row:
    duplicates = tuple(other for other in row.duplicates if other != record)
    last = State.DONE if row.phone_number else State.ABANDONED
    return _evolve(
        _enter(row, State.DUPLICATE if duplicates else last, now, f"released duplicate {record}"),
        duplicates=duplicates,
        released=(*row.released, record),
        error=row.error if duplicates else "",
    )


# --- listings --------------------------------------------------------------------------------


def _apply_listing(
    row: Row, event: Listed, now: float, policy: Policy
) -> tuple[Row, tuple[Action, ...]]:
    # A record without a key cannot be adopted, and yet it exists: the listing proves nothing.
    if row.state is State.SENDING or any(not found.record for found in event.matches):
        return row, ()
    new = row
    if row.kind is Kind.PURCHASE:
        new = _match_by_tag(row, event, now, policy)
    elif row.is_open:
        found = next(iter(event.matches), None)
        if row.kind.owned_once and found is not None and not found.agrees:
            return row, (Repair(found),)
        new = _match_by_key(row, event, found, now, policy)
    if new.state is State.DUPLICATE and policy.release_duplicates:
        return new, tuple(Release(record) for record in new.duplicates)
    return new, ()


def _match_by_tag(row: Row, event: Listed, now: float, policy: Policy) -> Row:
    known = {row.record, *row.duplicates, *row.released} - {""}
    found = [match for match in event.matches if match.record not in known]
    if row.state in {State.DONE, State.DUPLICATE}:
        return _add_duplicates(row, found, now) if found else row
    if not found:
        return _absent(row, event, now, policy)
    if row.state is State.ABANDONED:
        # No caller waits for the number any more, but it is paid for: the operator decides again.
        return _add_duplicates(row, found, now)
    # The latest attempt first: the earlier ones have been superseded.
    first, *others = sorted(found, key=lambda match: -(match.attempt or 0))
    kept = _adopt(row, first, now, f"found {_number_of(first)} by its tag")
    return _add_duplicates(kept, others, now) if others else kept


def _match_by_key(row: Row, event: Listed, found: Match | None, now: float, policy: Policy) -> Row:
    if row.kind is Kind.RELEASE and found is None:
        seen = _count_absence(row, event, policy)
        # Not before the settle time: a number bought a moment ago may not be listed yet.
        if not _is_proven_absent(seen, policy):
            return seen
        return _enter(seen, State.DONE, now, f"released: {LISTINGS} listings do not show it")
    if row.kind is not Kind.RELEASE and found is not None and found.agrees:
        return _adopt(row, found, now, f"found {_number_of(found)} as requested")
    return _absent(row, event, now, policy)


def _add_duplicates(row: Row, more: Sequence[Match], now: float) -> Row:
    text = (
        f"{', '.join(_number_of(match) for match in more)}: a duplicate, bought by a late attempt"
    )
    return _evolve(
        _enter(row, State.DUPLICATE, now, text, error=text),
        duplicates=(*row.duplicates, *(match.record for match in more)),
    )


def _adopt(row: Row, found: Match, now: float, text: str) -> Row:
    duplicates = tuple(record for record in row.duplicates if record != found.record)
    # One attempt at something that can happen only once: it is seen to have happened. Anything else
    # may happen a second time: the change that a listing shows may be an older one to the same end.
    over = found.agrees and row.attempt <= 1 and not row.kind.repeatable
    since = 0.0 if over else row.unconfirmed_since
    return _evolve(
        _finish(row, found, now, text, unconfirmed_since=since),
        state=State.DUPLICATE if duplicates else State.DONE,
        duplicates=duplicates,
        adopted=True,
    )


def _absent(row: Row, event: Listed, now: float, policy: Policy) -> Row:
    """Return *row* after a listing that does not show what its attempts would have left."""
    if not row.is_open:
        return row
    seen = _count_absence(row, event, policy)
    proven = _is_proven_absent(seen, policy)
    if (
        row.state is State.UNCONFIRMED
        and row.kind.owned_once
        and not (row.accepted or row.rejection)
    ):
        if seen.listed_at < row.unconfirmed_since + policy.exact_settle_time:
            return seen
        return _enter(seen, State.PLANNED, now, "not in the account: may be sent again")
    if not proven:
        return seen
    if row.state is State.PLANNED:
        text = "not in the account after the settle time: the earlier attempts did nothing"
        return _evolve(_enter(seen, State.PLANNED, now, text), proven_absent=True)
    if row.rejection:
        text = "not in the account, and refused"
        return _enter(seen, State.FAILED, now, text, error=row.rejection)
    if row.accepted:
        text = f"the platform confirmed it, but {LISTINGS} listings do not show it"
        return _enter(seen, State.NEEDS_DECISION, now, text)
    if row.kind.repeatable:
        return _enter(seen, State.PLANNED, now, "was not carried out: may be sent again")
    text = "not in the account after the settle time"
    if policy.retry_unconfirmed:
        return _enter(seen, State.PLANNED, now, f"{text}: sent again")
    return _enter(seen, State.NEEDS_DECISION, now, f"{text}; the request may be lost, or just late")


def _count_absence(row: Row, event: Listed, policy: Policy) -> Row:
    """Return *row* with one more absence, if the listing is a new one since the attempt ended."""
    if event.began <= max(row.unconfirmed_since, row.listed_at):
        return row
    # Counting starts over with the first listing after the settle time. Otherwise one that came too
    # early would second one that had shifted.
    over = row.unconfirmed_since + policy.settle_time
    earlier = 0 if row.listed_at < over <= event.began else row.absent_listings
    return _evolve(row, absent_listings=earlier + 1, listed_at=event.began)


def _is_proven_absent(row: Row, policy: Policy) -> bool:
    settled = row.listed_at >= row.unconfirmed_since + policy.settle_time
    return settled and row.absent_listings >= LISTINGS


# --- parts -----------------------------------------------------------------------------------


def _enter(row: Row, state: State, now: float, text: str, *, error: str | None = None) -> Row:
    """Return *row* in *state*, with *text* in its history; `None` keeps its error."""
    return _evolve(
        row,
        state=state,
        error=row.error if error is None else error,
        history=_add_step(row, now, text),
    )


def _add_step(row: Row, now: float, text: str) -> tuple[Step, ...]:
    history, step = row.history, Step(now, text)
    if len(history) < HISTORY:
        return (*history, step)
    return (history[0], *history[2:], step)  # how it began is always kept


def _number_of(match: Match) -> str:
    """Return the number, or its key if it has none."""
    return match.phone_number or match.record

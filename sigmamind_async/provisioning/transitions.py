"""What follows from what happened: a pure function from a row and an event to the next row.

    PLANNED -refused here-> FAILED
    PLANNED -claimed-> SENDING -not sent-> PLANNED
                               -rejected-> FAILED
                               -confirmed-> DONE
                               -unanswered, abandoned-> AMBIGUOUS      -unreadable yes-> COMMITTED
    AMBIGUOUS, COMMITTED -listed, one match-> DONE                     -more-> DUPLICATE
    AMBIGUOUS -absent, settle time over-> PLANNED or NEEDS_DECISION
    COMMITTED -absent, settle time over-> NEEDS_DECISION
    any state -listed, number of a superseded attempt-> DONE or DUPLICATE

The settle time is what makes "absent" a proof. A request that went unanswered may be carried out
long after its caller gave up; nothing that a client can do excludes it. So a number counts as not
bought only when two full listings do not show it and the later one began a whole settle time after
the attempt had ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

import attrs

from sigmamind_async.provisioning.row import HISTORY, Kind, Row, State, Step

SETTLE_TIME: Final = 900.0
"""Seconds after an unanswered attempt during which "absent" proves nothing."""
LISTINGS: Final = 2
"""Full listings that must agree that a number is absent: one may have shifted while it was read."""


@attrs.frozen(kw_only=True)
class Policy:
    """What a provisioner may decide by itself."""

    settle_time: float = SETTLE_TIME
    """Seconds after an unanswered attempt during which "absent" proves nothing."""
    exact_settle_time: float = 20.0
    """The same for a number that can be owned only once: a second request for it can at worst be
    refused, so that a request is waited for no longer than it could have been answered."""
    retry_unconfirmed: bool = False
    """Send a purchase of a number that the platform picks again, once it is proven absent."""
    release_duplicates: bool = False
    """Give up numbers that were bought beyond the one that is kept."""


@attrs.frozen(kw_only=True)
class Match:
    """A record of the account that may be what an operation brought."""

    record: str
    """Its key in later calls."""
    phone_number: str
    attempt: int | None = None
    """The attempt that its tag names; `None` where it was matched by number or id."""
    agrees: bool = True
    """Whether it shows everything that was asked for and can be read back."""
    result: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    """The platform's record by wire names, without its secrets."""


# --- what can happen -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Claimed:
    """*owner* is about to send, and will have stopped trying by the end of its lease."""

    owner: str
    lease: float
    """Seconds."""


@attrs.frozen
class RateLimited:
    """The platform has done nothing of the request, which will be made again after a pause."""


@attrs.frozen
class NotSent:
    """Nothing left."""

    reason: str


@attrs.frozen
class Rejected:
    """The platform refused."""

    reason: str


@attrs.frozen
class Unanswered:
    """Something left and nothing readable came back."""

    reason: str


@attrs.frozen
class Unreadable:
    """The platform said yes, and what it said cannot be read."""

    reason: str


@attrs.frozen
class RefusedLocally:
    """It is not sent at all, for a reason that was found out here."""

    reason: str


@attrs.frozen(kw_only=True)
class Confirmed:
    """The platform said yes."""

    match: Match | None
    """What it brought; `None` for a release."""
    doubtful: bool = False
    """Whether an earlier request of the same attempt went unanswered."""


@attrs.frozen
class OwnerLost:
    """Whoever was sending is gone."""


@attrs.frozen(kw_only=True)
class Listed:
    """The account was read whole."""

    began: float
    """When the reading began."""
    matches: Sequence[Match]


@attrs.frozen
class RepairStarted:
    """What was asked for is about to be written to a record that was found."""


@attrs.frozen
class RepairDone:
    """What was asked for has been written to a record that was found."""

    match: Match
    doubtful: bool = False
    """Whether a request to write it went unanswered."""


@attrs.frozen
class RepairRefused:
    """The platform refuses to have it written to a record that was found."""

    match: Match
    reason: str


@attrs.frozen
class AdoptApproved:
    """A person says that this record is what the operation brought."""

    match: Match


@attrs.frozen
class RetryApproved:
    """A person wants it to be sent again."""


@attrs.frozen
class AbandonApproved:
    """A person wants it to be left as it is."""


@attrs.frozen
class DuplicateReleased:
    """A duplicate number is held no more."""

    record: str


@attrs.frozen
class TagRemoved:
    """The tag was taken from the label."""


Event: TypeAlias = (
    Claimed
    | RateLimited
    | NotSent
    | Rejected
    | RefusedLocally
    | Unanswered
    | Unreadable
    | Confirmed
    | OwnerLost
    | Listed
    | RepairStarted
    | RepairDone
    | RepairRefused
    | AdoptApproved
    | RetryApproved
    | AbandonApproved
    | DuplicateReleased
    | TagRemoved
)


# --- what to do about it ---------------------------------------------------------------------


@attrs.frozen
class Repair:
    """Write what was asked for to a record that exists, and that does not show it all."""

    match: Match


@attrs.frozen
class Release:
    """Give a duplicate number up."""

    record: str


Action: TypeAlias = Repair | Release


@attrs.frozen
class Move:
    """The next row, to be written if its `version` follows the stored one; and what to do then."""

    row: Row
    actions: tuple[Action, ...] = ()


class IllegalMoveError(Exception):
    """The event cannot happen in the row's state; never leaves this package."""


def advance(row: Row, event: Event, now: float, policy: Policy) -> Move:
    """Return what follows from *event* at *now*.

    A row that stays as it was is returned unchanged, with the same version.
    """
    match event:
        case Claimed():
            return Move(_claimed(row, event, now))
        case RateLimited():
            _require(row, State.SENDING)
            return Move(
                attrs.evolve(row, rate_limited=True, version=row.version + 1, updated_at=now)
            )
        case RefusedLocally(reason):
            return Move(_refused(row, reason, now))
        case Listed():
            return _listed(row, event, now, policy)
        case RepairStarted() | RepairDone() | RepairRefused():
            return Move(_mended(row, event, now))
        case AdoptApproved() | RetryApproved() | AbandonApproved():
            return Move(_decided(row, event, now))
        case DuplicateReleased(record):
            return Move(_released(row, record, now))
        case TagRemoved():
            return Move(_to(row, row.state, now, "the tag was taken from the label", tagged=False))
        case _:
            return Move(_ended(row, event, now))


def _ended(
    row: Row,
    event: NotSent | Rejected | Unanswered | Unreadable | Confirmed | OwnerLost,
    now: float,
) -> Row:
    """Return what an attempt's end makes of its row."""
    _require(row, State.SENDING)
    attempt = f"attempt {row.attempt}"
    match event:
        case NotSent(reason):
            return _not_sent(row, now, f"{attempt}: not sent: {reason}")
        case Rejected(reason):
            text = f"{attempt}: refused: {reason}"
            if row.kind.owned_once and row.unconfirmed_since:
                # The refusal may be the echo of an earlier attempt that is still to be seen.
                return _to(row, State.UNCONFIRMED, now, text, error=reason, rejection=reason)
            return _to(row, State.FAILED, now, text, error=reason)
        case Confirmed(match=found, doubtful=doubtful):
            said = "confirmed" if found is None else f"confirmed: {_name(found)}"
            since = now if doubtful else row.unconfirmed_since
            return _kept(row, found, now, f"{attempt}: {said}", unconfirmed_since=since)
        case Unanswered(reason):
            return _doubt(row, now, now, f"{attempt}: {reason}")
        case Unreadable(reason):
            return _doubt(row, now, now, f"{attempt}: {reason}", accepted=True)
        case OwnerLost() if row.rate_limited:
            return _not_sent(row, now, f"{attempt}: its process ended while nothing was under way")
        case OwnerLost():
            text = f"{attempt}: the process that sent it ended before an answer"
            return _doubt(row, now, min(now, row.lease_until), text)
        case _:
            assert_never(event)


def _refused(row: Row, reason: str, now: float) -> Row:
    """Give up what nothing was sent of, or nothing that may still come."""
    _require(row, State.PLANNED)
    if row.is_open:
        raise IllegalMoveError(f"{row.op_id} may have been carried out")
    return _to(row, State.FAILED, now, f"not sent: {reason}", error=reason)


def _not_sent(row: Row, now: float, text: str) -> Row:
    # Whoever took an unanswered attempt up again leaves the doubt about that one.
    doubted = row.kind.repeatable and row.unconfirmed_since
    return _to(row, State.UNCONFIRMED if doubted else State.PLANNED, now, text, error=text)


def _claimed(row: Row, event: Claimed, now: float) -> Row:
    """Return the row of an attempt that is about to leave.

    The same owner claims again before each request of one attempt: what was not sent, or was
    refused for being one too many, may go out again under the same tag.
    """
    again = row.state is State.SENDING and row.owner == event.owner
    if not again:
        allowed = {State.PLANNED, State.FAILED}
        if row.kind.repeatable:
            allowed |= {State.UNCONFIRMED}
        _require(row, *allowed)
    attempt = row.attempt if again else row.attempt + 1
    step = Step(now, f"attempt {attempt}: sending")
    return attrs.evolve(
        row,
        state=State.SENDING,
        attempt=attempt,
        owner=event.owner,
        rate_limited=False,
        accepted=False,
        sent_at=now,
        lease_until=now + event.lease,
        absent_listings=0,
        listed_at=0.0,
        rejection="",
        error="",
        version=row.version + 1,
        updated_at=now,
        history=row.history if again else _longer(row.history, step),
    )


def _doubt(row: Row, now: float, since: float, text: str, *, accepted: bool = False) -> Row:
    return _to(
        row,
        State.UNCONFIRMED,
        now,
        text,
        error=text,
        unconfirmed_since=since,
        accepted=accepted,
        proven_absent=False,
        absent_listings=0,
        listed_at=0.0,
    )


def _mended(row: Row, event: RepairStarted | RepairDone | RepairRefused, now: float) -> Row:
    """Follow the writing of what was asked for to a record that was found.

    Each writing is written down before it is sent: one that went unanswered may come late, and
    would then overwrite what later operations have written to the same number.
    """
    _require_open(row)
    match event:
        case RepairStarted():
            text = "writing what was asked for to the record that was found"
            return _to(row, row.state, now, text, repairs=row.repairs + 1, unconfirmed_since=now)
        case RepairRefused(found, reason):
            text = f"found {_name(found)}, and what was asked for cannot be written to it: {reason}"
            return _to(row, State.NEEDS_DECISION, now, text, error=text)
        case RepairDone(match=found, doubtful=doubtful):
            text = f"found {_name(found)} and wrote to it what was asked for"
            since = now if doubtful or row.repairs > 1 else 0.0
            return attrs.evolve(_adopted(row, found, now, text), unconfirmed_since=since)
        case _:
            assert_never(event)


def _decided(row: Row, event: AdoptApproved | RetryApproved | AbandonApproved, now: float) -> Row:
    """Do what a person wants; the doubt about earlier attempts stays written down."""
    if isinstance(event, RetryApproved):
        _require(row, State.NEEDS_DECISION, State.ABANDONED, State.FAILED)
        return _to(row, State.PLANNED, now, "to be sent again, as told", error="")
    if isinstance(event, AbandonApproved):
        _require(row, State.NEEDS_DECISION, State.DUPLICATE, State.UNCONFIRMED)
        if row.record:
            return _to(row, State.DONE, now, "all numbers are kept, as told", error="")
        return _to(row, State.ABANDONED, now, "given up, as told")
    _require(row, State.NEEDS_DECISION, State.ABANDONED, State.DUPLICATE, State.UNCONFIRMED)
    if row.record:
        raise IllegalMoveError(f"{row.op_id} has {row.phone_number}")
    return _adopted(row, event.match, now, f"adopted {_name(event.match)}, as told")


def _released(row: Row, record: str, now: float) -> Row:
    """Move *record* from the numbers held beyond the one that is kept to those given up."""
    _require(row, State.DUPLICATE)
    duplicates = tuple(other for other in row.duplicates if other != record)
    kept = State.DONE if row.phone_number else State.ABANDONED
    return _to(
        row,
        State.DUPLICATE if duplicates else kept,
        now,
        f"released {record}, one too many",
        duplicates=duplicates,
        released=(*row.released, record),
        error=row.error if duplicates else "",
    )


# --- what a listing proves -------------------------------------------------------------------


def _listed(row: Row, event: Listed, now: float, policy: Policy) -> Move:
    # A record without a key cannot be taken, and yet it is there: it proves nothing either way.
    if row.state is State.SENDING or any(not found.record for found in event.matches):
        return Move(row)
    if row.kind is Kind.PURCHASE:
        moved = _listed_by_tag(row, event, now, policy)
    elif row.is_open:
        moved = _listed_by_key(row, event, now, policy)
    else:
        moved = Move(row)
    if moved.row.state is State.DUPLICATE and policy.release_duplicates:
        return Move(moved.row, tuple(Release(record) for record in moved.row.duplicates))
    return moved


def _listed_by_tag(row: Row, event: Listed, now: float, policy: Policy) -> Move:
    known = {row.record, *row.duplicates, *row.released} - {""}
    new = [found for found in event.matches if found.record not in known]
    if row.state in {State.DONE, State.DUPLICATE}:
        return Move(_duplicate(row, new, now) if new else row)
    if not new:
        return Move(_absent(row, event, now, policy))
    if row.state is State.ABANDONED:
        # Nobody wants it any more, and it is paid for: a person decides once more.
        return Move(_duplicate(row, new, now))
    # The latest attempt first: the earlier ones have been superseded.
    first, *others = sorted(new, key=lambda found: -(found.attempt or 0))
    kept = _adopted(row, first, now, f"found {_name(first)} by its tag")
    if not others:
        return Move(kept)
    # Two arrows and one write: a version two higher would be refused as somebody else's.
    return Move(attrs.evolve(_duplicate(kept, others, now), version=row.version + 1))


def _duplicate(row: Row, more: Sequence[Match], now: float) -> Row:
    names = ", ".join(_name(found) for found in more)
    text = f"{names}: bought beyond the one that is kept, by an attempt that came late"
    return _to(
        row,
        State.DUPLICATE,
        now,
        text,
        duplicates=(*row.duplicates, *(found.record for found in more)),
        error=text,
    )


def _listed_by_key(row: Row, event: Listed, now: float, policy: Policy) -> Move:
    found = next(iter(event.matches), None)
    if row.kind is Kind.RELEASE:
        if found is None:
            return Move(_gone(row, event, now, policy))
        return Move(_absent(row, event, now, policy))
    if found is None:
        return Move(_absent(row, event, now, policy))
    if found.agrees:
        return Move(_adopted(row, found, now, f"found {_name(found)} as it was asked for"))
    if row.kind is Kind.UPDATE:
        return Move(_absent(row, event, now, policy))
    return Move(row, (Repair(found),))


def _gone(row: Row, event: Listed, now: float, policy: Policy) -> Row:
    """Take a number for released once enough listings do not show it.

    Not before the settle time is over: a number that has just been bought may not be listed yet.
    """
    seen = _counted(row, event, policy)
    if not _proven(seen, policy):
        return _noted(row, seen, now)
    return _to(seen, State.DONE, now, "released: two listings do not show it")


def _absent(row: Row, event: Listed, now: float, policy: Policy) -> Row:
    """Return what follows from not finding what a doubtful attempt would have left."""
    if not row.is_open:
        return row
    seen = _counted(row, event, policy)
    proven = _proven(seen, policy)
    if row.state is State.PLANNED and proven:
        text = "not in the account after the settle_time: nothing came of the earlier attempts"
        return _to(seen, State.PLANNED, now, text, proven_absent=True)
    may_go_out_again = not (row.accepted or row.rejection)
    if row.kind.owned_once and row.state is State.UNCONFIRMED and may_go_out_again:
        if seen.listed_at < row.unconfirmed_since + policy.exact_settle_time:
            return _noted(row, seen, now)
        return _to(seen, State.PLANNED, now, "not in the account: may be sent again")
    if not proven:
        return _noted(row, seen, now)
    if row.rejection:
        return _to(seen, State.FAILED, now, "not in the account, and refused", error=row.rejection)
    if row.accepted:
        text = "the platform said yes, and two listings do not show it"
        return _to(seen, State.NEEDS_DECISION, now, text)
    if row.kind.repeatable:
        return _to(seen, State.PLANNED, now, "was not carried out: may be sent again")
    if policy.retry_unconfirmed:
        return _to(seen, State.PLANNED, now, "not bought, as far as can be known: sent again")
    text = "not in the account after the settle time; it may have been lost, or come still later"
    return _to(seen, State.NEEDS_DECISION, now, text)


def _counted(row: Row, event: Listed, policy: Policy) -> Row:
    """Return *row* with a listing counted that began after the doubt did, and that is a new one.

    Counting begins anew with the first one after the settle_time: of two listings of which the
    earlier one came too early, a single shift in the later one would be believed.
    """
    if event.began <= max(row.unconfirmed_since, row.listed_at):
        return row
    over = row.unconfirmed_since + policy.settle_time
    earlier = 0 if row.listed_at < over <= event.began else row.absent_listings
    return attrs.evolve(row, absent_listings=earlier + 1, listed_at=event.began)


def _proven(row: Row, policy: Policy) -> bool:
    """Return whether enough listings agree that nothing has come of it, and nothing will."""
    return (
        row.absent_listings >= LISTINGS
        and row.listed_at >= row.unconfirmed_since + policy.settle_time
    )


def _noted(row: Row, seen: Row, now: float) -> Row:
    """Return the row to write where *seen*, which only counts, differs from *row*."""
    return row if seen is row else attrs.evolve(seen, version=row.version + 1, updated_at=now)


# --- parts -----------------------------------------------------------------------------------


def _adopted(row: Row, found: Match, now: float, text: str) -> Row:
    duplicates = tuple(record for record in row.duplicates if record != found.record)
    row = attrs.evolve(row, adopted=True, duplicates=duplicates)
    # What can happen once and was asked for once is seen to have happened. All else may come a
    # second time: a change that a listing shows may be an older one to the same end.
    over = found.agrees and row.attempt <= 1 and not row.kind.repeatable
    kept = _kept(row, found, now, text, unconfirmed_since=0.0 if over else row.unconfirmed_since)
    return attrs.evolve(kept, state=State.DUPLICATE) if duplicates else kept


def _kept(row: Row, found: Match | None, now: float, text: str, *, unconfirmed_since: float) -> Row:
    """Return the row of an operation that is done."""
    if found is None:
        return _to(row, State.DONE, now, text, error="", unconfirmed_since=unconfirmed_since)
    return _to(
        row,
        State.DONE,
        now,
        text,
        error="",
        unconfirmed_since=unconfirmed_since,
        phone_number=found.phone_number,
        record=found.record,
        result=found.result,
        tagged=found.attempt is not None,
    )


def _to(
    row: Row,
    state: State,
    now: float,
    text: str,
    **changes: Any,  # noqa: ANN401 - fields of a row
) -> Row:
    """Return the row that follows *row*, with one more step in its history."""
    return attrs.evolve(
        row,
        state=state,
        version=row.version + 1,
        updated_at=now,
        history=_longer(row.history, Step(now, text)),
        **changes,
    )


def _longer(history: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """Return *history* with *step*, without growing for ever: the first step stays."""
    if len(history) < HISTORY:
        return (*history, step)
    return (history[0], *history[2:], step)


def _name(found: Match) -> str:
    return found.phone_number or found.record


def _require_open(row: Row) -> None:
    if row.state is State.SENDING or not row.is_open:
        raise IllegalMoveError(f"{row.op_id} is {row.state.value}")


def _require(row: Row, *states: State) -> None:
    if row.state not in states:
        raise IllegalMoveError(f"{row.op_id} is {row.state.value}")

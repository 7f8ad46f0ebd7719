"""Every arrow of the machine, and that there are no others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import get_args

import attrs
import pytest

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
from sigmamind_async.provisioning.row import HISTORY, Kind, Row, State
from sigmamind_async.provisioning.transitions import (
    LEGAL,
    IllegalTransitionError,
    Policy,
    Release,
    Repair,
    Transition,
    advance,
)

NOW = 10_000.0
SENT = 1_000.0
POLICY = Policy(settle_time=900.0, exact_settle_time=20.0)
MATCH = Match(record="rec-1", phone_number="+14155550001", attempt=1, result={"a": 1})
LATER = Match(record="rec-2", phone_number="+14155550002", attempt=2)
OTHERWISE = attrs.evolve(MATCH, agrees=False)

S = State
PURCHASE, EXACT, IMPORT = Kind.PURCHASE, Kind.EXACT_PURCHASE, Kind.IMPORT
UPDATE, RELEASE = Kind.UPDATE, Kind.RELEASE


def a_row(kind: Kind, state: State, **changed: object) -> Row:
    """Return a row as it may stand in the journal in *state*."""
    fields: dict[str, object] = {
        "op_id": "op",
        "account": "sigmamind",
        "kind": kind,
        "request_type": "CreatePhoneNumber",
        "request_fields": {},
        "token": "ABCDEFGHIJKLM",
        "key": "" if kind is PURCHASE else "+14155550001",
        "state": state,
        "attempt": 0 if state is S.PLANNED else 1,
        "version": 7,
        "owner": "me",
        "lease_until": SENT + 25.0,
        "sent_at": SENT,
    }
    if state in {S.UNCONFIRMED, S.NEEDS_DECISION}:
        fields["unconfirmed_since"] = SENT
    if state in {S.DONE, S.DUPLICATE} and kind is not RELEASE:
        fields |= {"record": "rec-0", "phone_number": "+14155550000"}
    if state is S.DUPLICATE:
        fields["duplicates"] = ("rec-9",)
    return Row(**{**fields, **changed})  # type: ignore[arg-type]


def absent(began: float = NOW) -> Listed:
    return Listed(began=began, matches=[])


def found(*matches: Match) -> Listed:
    return Listed(began=NOW, matches=list(matches))


CLAIMED = Claimed(owner="me", lease=25.0)
BY_ANOTHER = Claimed(owner="you", lease=25.0)
CONFIRMED = AttemptEnded(Verdict.CONFIRMED, match=MATCH)
ENDS: dict[str, tuple[Event, State]] = {
    "not sent": (AttemptEnded(Verdict.NOT_SENT, "refused"), S.PLANNED),
    "rejected": (AttemptEnded(Verdict.REJECTED, "400"), S.FAILED),
    "unanswered": (AttemptEnded(Verdict.AMBIGUOUS, "reset"), S.UNCONFIRMED),
    "unreadable": (AttemptEnded(Verdict.COMMITTED_UNREAD, "garbage"), S.UNCONFIRMED),
    "confirmed": (CONFIRMED, S.DONE),
    "owner lost": (OwnerLost(), S.UNCONFIRMED),
}
EVENTS: dict[str, Event] = {
    "claimed": CLAIMED,
    "claimed by another": BY_ANOTHER,
    "rate-limited": Paused(),
    "refused here": RefusedLocally("too many"),
    **{name: event for name, (event, _) in ENDS.items()},
    "absent": absent(),
    "found": found(MATCH),
    "found otherwise": found(OTHERWISE),
    "repair started": RepairStarted(),
    "repair done": RepairDone(MATCH),
    "repair refused": RepairRefused(MATCH, "400"),
    "adopt approved": AdoptApproved(MATCH),
    "retry approved": RetryApproved(),
    "abandon approved": AbandonApproved(),
    "duplicate released": DuplicateReleased("rec-9"),
    "tag removed": TagRemoved(),
}

Arrows = dict[tuple[State, str], State]


def arrows(kind: Kind, *, accepted: bool) -> Arrows:
    """Return where every event leads that changes a row of *kind*; first absent_listings only."""
    table: Arrows = {
        (S.PLANNED, "claimed"): S.SENDING,
        (S.PLANNED, "claimed by another"): S.SENDING,
        (S.PLANNED, "refused here"): S.FAILED,
        (S.FAILED, "claimed"): S.SENDING,
        (S.FAILED, "claimed by another"): S.SENDING,
        (S.SENDING, "claimed"): S.SENDING,
        (S.SENDING, "rate-limited"): S.SENDING,
        **{(S.SENDING, name): state for name, (_, state) in ENDS.items()},
        (S.NEEDS_DECISION, "retry approved"): S.PLANNED,
        (S.ABANDONED, "retry approved"): S.PLANNED,
        (S.FAILED, "retry approved"): S.PLANNED,
        (S.DUPLICATE, "duplicate released"): S.DONE if kind is not RELEASE else S.ABANDONED,
        (S.DUPLICATE, "abandon approved"): S.DONE if kind is not RELEASE else S.ABANDONED,
        (S.DONE, "tag removed"): S.DONE,
    }
    for state in (S.UNCONFIRMED, S.NEEDS_DECISION):
        table[state, "abandon approved"] = S.ABANDONED
        table[state, "adopt approved"] = S.DONE
    table[S.ABANDONED, "adopt approved"] = S.DONE
    table |= {
        (S.UNCONFIRMED, "repair started"): S.UNCONFIRMED,
        (S.UNCONFIRMED, "repair done"): S.DONE,
        (S.UNCONFIRMED, "repair refused"): S.NEEDS_DECISION,
        (S.UNCONFIRMED, "unanswered"): S.UNCONFIRMED,  # by a process that was taken for lost
        (S.UNCONFIRMED, "unreadable"): S.UNCONFIRMED,
        (S.UNCONFIRMED, "absent"): S.UNCONFIRMED,  # counted
        (S.UNCONFIRMED, "found"): S.DONE,
    }
    if kind.repeatable:
        table[S.UNCONFIRMED, "claimed"] = table[S.UNCONFIRMED, "claimed by another"] = S.SENDING
    again = S.UNCONFIRMED if accepted else S.PLANNED
    table |= {
        PURCHASE: _found_by_tag(),
        EXACT: {(S.UNCONFIRMED, "absent"): again},
        IMPORT: {(S.UNCONFIRMED, "absent"): again},
        UPDATE: {(S.UNCONFIRMED, "found otherwise"): S.UNCONFIRMED},
        RELEASE: {(S.UNCONFIRMED, name): S.UNCONFIRMED for name in ("found", "found otherwise")},
    }[kind]
    if kind is RELEASE:
        table[S.DUPLICATE, "adopt approved"] = S.DUPLICATE  # a row that never is
    return table


def _found_by_tag() -> Arrows:
    """A number with the operation's tag is taken note of in whatever state."""
    states = [state for state in State if state is not S.SENDING]
    named = {S.DONE: S.DUPLICATE, S.DUPLICATE: S.DUPLICATE, S.ABANDONED: S.DUPLICATE}
    return {
        (state, name): named.get(state, S.DONE)
        for state in states
        for name in ("found", "found otherwise")
    }


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_events_lead_where_the_table_says_or_nowhere(kind: Kind, *, accepted: bool) -> None:
    """Whatever the table does not name is refused, or leaves the row as it is."""
    led: Arrows = {}
    for state, (name, event) in product(State, EVENTS.items()):
        row = a_row(kind, state, accepted=accepted and state is S.UNCONFIRMED)
        with suppress(IllegalTransitionError):
            moved = advance(row, event, NOW, POLICY).row
            if moved != row:
                led[state, name] = moved.state
                assert moved.version == row.version + 1
                assert (moved.op_id, moved.kind, moved.token) == (row.op_id, row.kind, row.token)
    assert led == arrows(kind, accepted=accepted)


def test_legal_names_every_pair_that_some_row_takes_and_no_other() -> None:
    """Computed: each event is given to rows of every kind, alone or after an earlier attempt."""
    taken: set[tuple[type[Event], State]] = set()
    for kind, state, event in product(Kind, State, EVENTS.values()):
        for earlier in ({}, {"unconfirmed_since": SENT}, {"record": "", "phone_number": ""}):
            with suppress(IllegalTransitionError):
                advance(a_row(kind, state, **earlier), event, NOW, POLICY)
                taken.add((type(event), state))
    assert taken == {(event, state) for event, states in LEGAL.items() for state in states}
    assert LEGAL.keys() == set(get_args(Event))


# --- claims ----------------------------------------------------------------------------------


def test_a_claim_begins_an_attempt_with_a_tag_of_its_own() -> None:
    row = a_row(PURCHASE, S.FAILED)
    claimed = advance(row, CLAIMED, NOW, POLICY).row
    assert (claimed.attempt, claimed.sent_at, claimed.lease_until) == (2, NOW, NOW + 25.0)


def test_the_same_owner_sends_again_under_the_same_tag() -> None:
    """After a 429 or a refused connection the attempt goes on."""
    row = a_row(PURCHASE, S.SENDING)
    assert advance(row, CLAIMED, NOW, POLICY).row.attempt == row.attempt
    with pytest.raises(IllegalTransitionError):
        advance(row, BY_ANOTHER, NOW, POLICY)


def test_a_claim_keeps_the_doubt_about_earlier_attempts() -> None:
    row = a_row(UPDATE, S.UNCONFIRMED)
    assert advance(row, CLAIMED, NOW, POLICY).row.unconfirmed_since == SENT


# --- ends of attempts ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UPDATE, RELEASE])
def test_what_was_not_sent_leaves_an_earlier_doubt(kind: Kind) -> None:
    row = a_row(kind, S.SENDING, unconfirmed_since=SENT)
    assert (
        advance(row, AttemptEnded(Verdict.NOT_SENT, "refused"), NOW, POLICY).row.state
        is S.UNCONFIRMED
    )


@pytest.mark.parametrize("kind", [EXACT, IMPORT])
def test_a_refusal_after_a_doubt_may_be_its_echo(kind: Kind) -> None:
    """The number may be there because of the first attempt: listings tell, however late it is."""
    row = a_row(kind, S.SENDING, unconfirmed_since=SENT)
    refused = advance(row, AttemptEnded(Verdict.REJECTED, "400"), NOW, POLICY).row
    assert (refused.state, refused.rejection) == (S.UNCONFIRMED, "400")
    once = advance(refused, absent(NOW), NOW, POLICY).row
    assert once.state is S.UNCONFIRMED
    assert advance(once, absent(NOW + 1), NOW + 1, POLICY).row.state is S.FAILED
    assert advance(refused, found(MATCH), NOW, POLICY).row.state is S.DONE


def test_a_refusal_keeps_its_status_until_the_next_attempt() -> None:
    """A later refusal for another reason must not be taken for a 404."""
    event = AttemptEnded(Verdict.REJECTED, "no such number", status=404)
    refused = advance(a_row(RELEASE, S.SENDING), event, NOW, POLICY).row
    again = advance(refused, RetryApproved(), NOW, POLICY).row
    here = advance(again, RefusedLocally("no secret"), NOW, POLICY).row
    sent = advance(refused, Claimed(owner="me", lease=9.0), NOW, POLICY).row
    assert (refused.error_status, here.error_status, sent.error_status) == (404, 0, 0)


def test_a_purchase_of_any_number_is_refused_for_good() -> None:
    row = a_row(PURCHASE, S.SENDING, unconfirmed_since=NOW - 1.0)
    assert advance(row, AttemptEnded(Verdict.REJECTED, "402"), NOW, POLICY).row.state is S.FAILED


def test_an_attempt_that_rested_when_it_was_abandoned_left_nothing() -> None:
    """A pause that the platform asked for may be longer than any lease."""
    resting = advance(a_row(PURCHASE, S.SENDING), Paused(), SENT + 1.0, POLICY).row
    assert advance(resting, OwnerLost(), NOW, POLICY).row.state is S.PLANNED
    again = attrs.evolve(resting, owner="me")
    claimed = advance(again, Claimed(owner="me", lease=25.0), NOW, POLICY).row
    assert (claimed.attempt, claimed.between_requests) == (resting.attempt, False)
    assert advance(claimed, OwnerLost(), NOW + 99, POLICY).row.state is S.UNCONFIRMED


def test_a_mending_that_went_unanswered_keeps_later_changes_waiting() -> None:
    row = a_row(IMPORT, S.UNCONFIRMED, unconfirmed_since=SENT)
    mending = advance(row, RepairStarted(), NOW, POLICY).row
    assert mending.unconfirmed_since == NOW
    assert advance(mending, RepairDone(MATCH), NOW + 1, POLICY).row.unconfirmed_since == 0.0
    assert (
        advance(
            mending, RepairDone(MATCH, earlier_unanswered=True), NOW + 1, POLICY
        ).row.unconfirmed_since
        > NOW
    )
    # Begun anew after a crash: what became of the first writing is not known.
    anew = advance(mending, RepairStarted(), NOW + 5, POLICY).row
    assert advance(anew, RepairDone(MATCH), NOW + 6, POLICY).row.unconfirmed_since > NOW


def test_a_release_waits_for_the_other_attempts_of_a_number_that_was_repaired() -> None:
    """One of two unanswered attempts is found; the other, late, could buy the released number."""
    row = a_row(IMPORT, S.UNCONFIRMED, unconfirmed_since=SENT)
    once, twice = (
        advance(attrs.evolve(row, attempt=attempt), RepairStarted(), NOW, POLICY).row
        for attempt in (1, 2)
    )
    done = advance(twice, RepairDone(MATCH), NOW + 1, POLICY).row
    assert (done.state, done.unconfirmed_since, done.repairs) == (S.DONE, NOW, 0)
    assert advance(once, RepairDone(MATCH), NOW + 1, POLICY).row.unconfirmed_since == 0.0


def test_an_abandoned_attempt_ended_with_its_lease() -> None:
    row = a_row(PURCHASE, S.SENDING)
    assert advance(row, OwnerLost(), NOW, POLICY).row.unconfirmed_since == row.lease_until
    early = advance(row, OwnerLost(), SENT + 1.0, POLICY).row
    assert early.unconfirmed_since == SENT + 1.0


def test_a_confirmation_keeps_what_the_platform_said() -> None:
    done = advance(a_row(PURCHASE, S.SENDING), CONFIRMED, NOW, POLICY).row
    assert (done.record, done.phone_number, done.result) == ("rec-1", "+14155550001", {"a": 1})
    assert (done.tagged, done.adopted, done.error) == (True, False, "")


def test_a_confirmation_after_an_unanswered_request_leaves_its_doubt() -> None:
    """The first one may still come, after somebody else has changed the number."""
    row = a_row(UPDATE, S.SENDING)
    doubted = advance(
        row, AttemptEnded(Verdict.CONFIRMED, match=MATCH, earlier_unanswered=True), NOW, POLICY
    ).row
    assert (doubted.state, doubted.unconfirmed_since) == (S.DONE, NOW)


# --- listings --------------------------------------------------------------------------------


def listed_absent(row: Row, *moments: float, policy: Policy = POLICY) -> Row:
    for moment in moments:
        row = advance(row, absent(moment), moment + 1.0, policy).row
    return row


OVER = SENT + 900.0


def test_absence_is_proven_by_two_listings_after_the_settle_time() -> None:
    row = a_row(PURCHASE, S.UNCONFIRMED)
    assert listed_absent(row, SENT + 1, SENT + 2, SENT + 3).state is S.UNCONFIRMED
    assert listed_absent(row, OVER, OVER + 1).state is S.NEEDS_DECISION
    retry_unconfirmed = attrs.evolve(POLICY, retry_unconfirmed=True)
    assert listed_absent(row, OVER, OVER + 1, policy=retry_unconfirmed).state is S.PLANNED


def test_a_listing_before_the_end_of_the_settle_time_does_not_second_one_after_it() -> None:
    """Or a late commit and one shifted page would be enough to buy twice."""
    row = a_row(PURCHASE, S.UNCONFIRMED)
    assert listed_absent(row, OVER - 1, OVER).state is S.UNCONFIRMED
    assert listed_absent(row, OVER - 1, OVER, OVER + 1).state is S.NEEDS_DECISION


@pytest.mark.parametrize("began", [SENT - 1, SENT])
def test_a_listing_that_began_before_the_attempt_had_ended_does_not_count(began: float) -> None:
    row = a_row(PURCHASE, S.UNCONFIRMED)
    assert advance(row, absent(began), NOW, POLICY).row == row


def test_a_listing_counts_once() -> None:
    row = listed_absent(a_row(PURCHASE, S.UNCONFIRMED), OVER + 5)
    assert advance(row, absent(OVER + 5), NOW, POLICY).row == row


def test_what_the_platform_said_yes_to_is_never_sent_again() -> None:
    for kind in (PURCHASE, EXACT, IMPORT):
        retry_unconfirmed = attrs.evolve(POLICY, retry_unconfirmed=True)
        row = advance(
            a_row(kind, S.SENDING), AttemptEnded(Verdict.COMMITTED_UNREAD, "garbage"), SENT, POLICY
        ).row
        assert (row.state, row.accepted) == (S.UNCONFIRMED, True)
        absent = listed_absent(row, OVER, OVER + 1, policy=retry_unconfirmed)
        assert absent.state is S.NEEDS_DECISION


def test_what_a_process_that_was_taken_for_lost_reports_is_evidence() -> None:
    """A yes, or a request that may arrive late: it is waited for from now on."""
    yes = AttemptEnded(Verdict.COMMITTED_UNREAD, "garbage")
    for state in (S.UNCONFIRMED, S.PLANNED):
        row = a_row(PURCHASE, state, attempt=1, unconfirmed_since=SENT, absent_listings=1)
        accepted = advance(row, yes, NOW, POLICY).row
        assert (accepted.state, accepted.accepted) == (S.UNCONFIRMED, True)
        unanswered = advance(row, AttemptEnded(Verdict.AMBIGUOUS, "reset"), NOW, POLICY).row
        for late in (accepted, unanswered):
            assert (late.unconfirmed_since, late.absent_listings) == (NOW, 0)
        with pytest.raises(IllegalTransitionError):
            advance(row, CONFIRMED, NOW, POLICY)
    with pytest.raises(IllegalTransitionError):
        advance(a_row(PURCHASE, S.PLANNED), yes, NOW, POLICY)


@pytest.mark.parametrize("kind", [UPDATE, RELEASE])
def test_a_new_attempt_forgets_what_the_platform_said_to_the_one_before(kind: Kind) -> None:
    row = a_row(kind, S.UNCONFIRMED, accepted=True)
    claimed = advance(row, CLAIMED, NOW, POLICY).row
    assert not claimed.accepted
    assert not advance(claimed, AttemptEnded(Verdict.AMBIGUOUS, "reset"), NOW, POLICY).row.accepted


@pytest.mark.parametrize("kind", [EXACT, IMPORT])
def test_a_number_that_can_be_owned_once_waits_no_longer_than_an_answer(kind: Kind) -> None:
    row = a_row(kind, S.UNCONFIRMED)
    assert listed_absent(row, SENT + 19).state is S.UNCONFIRMED
    assert listed_absent(row, SENT + 20).state is S.PLANNED


def test_a_release_is_seen_after_the_settle_time_and_keeps_its_doubt() -> None:
    """A number that was just bought may not be listed yet, and a DELETE may come later."""
    row = a_row(RELEASE, S.UNCONFIRMED)
    assert listed_absent(row, SENT + 1, SENT + 2).state is S.UNCONFIRMED
    gone = listed_absent(row, OVER, OVER + 1)
    assert (gone.state, gone.unconfirmed_since) == (S.DONE, SENT)


def test_an_update_that_a_listing_shows_keeps_its_doubt() -> None:
    """What is shown may be older; the unanswered request may still come."""
    done = advance(a_row(UPDATE, S.UNCONFIRMED), found(MATCH), NOW, POLICY).row
    assert (done.state, done.unconfirmed_since) == (S.DONE, SENT)


@pytest.mark.parametrize(("attempt", "doubt"), [(1, 0.0), (2, SENT)])
def test_a_purchase_that_is_found_ends_the_doubt_if_it_was_sent_once(
    attempt: int, doubt: float
) -> None:
    row = a_row(EXACT, S.UNCONFIRMED, attempt=attempt)
    assert advance(row, found(MATCH), NOW, POLICY).row.unconfirmed_since == doubt


def test_what_is_found_otherwise_is_repaired_first() -> None:
    row = a_row(IMPORT, S.UNCONFIRMED)
    assert advance(row, found(OTHERWISE), NOW, POLICY) == Transition(row, (Repair(OTHERWISE),))


# --- more than one ---------------------------------------------------------------------------


def test_the_latest_attempt_is_kept_and_the_others_are_duplicates() -> None:
    """In one write: the journal refuses a version that skips one."""
    row = a_row(PURCHASE, S.UNCONFIRMED, attempt=2)
    moved = advance(row, found(MATCH, LATER), NOW, POLICY).row
    assert (moved.state, moved.record, moved.duplicates) == (S.DUPLICATE, "rec-2", ("rec-1",))
    assert moved.version == row.version + 1


def test_duplicates_are_released_where_that_is_allowed_and_never_the_kept_one() -> None:
    row = a_row(PURCHASE, S.DONE)
    assert not advance(row, found(MATCH), NOW, POLICY).actions
    allowed = attrs.evolve(POLICY, release_duplicates=True)
    assert advance(row, found(MATCH), NOW, allowed).actions == (Release("rec-1"),)


def test_what_is_known_is_not_found_again() -> None:
    row = a_row(PURCHASE, S.DUPLICATE, released=("rec-1",))
    kept = attrs.evolve(MATCH, record="rec-0")
    extra = attrs.evolve(MATCH, record="rec-9")
    assert advance(row, found(kept, extra, MATCH), NOW, POLICY).row == row


def test_duplicates_without_a_kept_number_can_be_adopted_or_released() -> None:
    abandoned = advance(a_row(PURCHASE, S.ABANDONED), found(MATCH, LATER), NOW, POLICY).row
    assert (abandoned.state, abandoned.duplicates) == (S.DUPLICATE, ("rec-1", "rec-2"))
    adopted = advance(abandoned, AdoptApproved(MATCH), NOW, POLICY).row
    assert (adopted.state, adopted.record, adopted.duplicates) == (S.DUPLICATE, "rec-1", ("rec-2",))
    one = advance(abandoned, DuplicateReleased("rec-1"), NOW, POLICY).row
    assert advance(one, DuplicateReleased("rec-2"), NOW, POLICY).row.state is S.ABANDONED


# --- money and history -----------------------------------------------------------------------

COSTS: dict[State, int] = {
    S.PLANNED: 0,
    S.SENDING: 1,
    S.UNCONFIRMED: 1,
    S.DONE: 1,
    S.FAILED: 0,
    S.DUPLICATE: 2,
    S.NEEDS_DECISION: 1,
    S.ABANDONED: 1,
}


@pytest.mark.parametrize(("state", "bought"), list(COSTS.items()))
def test_what_may_have_been_bought_counts(state: State, bought: int) -> None:
    assert a_row(PURCHASE, state).purchase_count == bought
    assert a_row(EXACT, state).purchase_count == bought
    assert [a_row(kind, state).purchase_count for kind in (IMPORT, UPDATE, RELEASE)] == [0, 0, 0]


def test_duplicates_of_which_none_is_kept_count() -> None:
    row = a_row(PURCHASE, S.DUPLICATE, record="", phone_number="", released=("rec-8",))
    assert row.purchase_count == 2


def test_an_exact_purchase_in_doubt_counts_until_it_is_settled() -> None:
    """It may be sent again long before the first request can be taken for lost."""
    assert a_row(EXACT, S.PLANNED, unconfirmed_since=SENT).purchase_count == 1
    assert a_row(PURCHASE, S.PLANNED, unconfirmed_since=SENT).purchase_count == 0


def test_the_history_stays_short_and_keeps_its_beginning() -> None:
    row = advance(a_row(PURCHASE, S.PLANNED), CLAIMED, 1.0, POLICY).row
    first = row.history[0]
    steps: list[Callable[[], Event]] = [
        lambda: AttemptEnded(Verdict.NOT_SENT, "refused"),
        lambda: CLAIMED,
    ]
    for turn in range(3 * HISTORY):
        row = advance(row, steps[turn % 2](), float(turn), POLICY).row
    assert len(row.history) == HISTORY
    assert (row.history[0], row.history[-1].at) == (first, 3.0 * HISTORY - 1)

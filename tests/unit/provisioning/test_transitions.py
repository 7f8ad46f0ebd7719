"""Every arrow of the machine, and that there are no others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import attrs
import pytest

from sigmamind_async.provisioning.row import HISTORY, Kind, Row, State
from sigmamind_async.provisioning.transitions import (
    Abandoned,
    Adopted,
    Claimed,
    Confirmed,
    Event,
    GivenUp,
    IllegalMoveError,
    Listed,
    Match,
    Mending,
    Move,
    NotRepaired,
    NotSent,
    Policy,
    Refused,
    Rejected,
    Release,
    Released,
    Repair,
    Repaired,
    Resent,
    Resting,
    Stripped,
    Unanswered,
    Unreadable,
    advance,
)

NOW = 10_000.0
SENT = 1_000.0
POLICY = Policy(quarantine=900.0, exact_quarantine=20.0)
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
        "request": "CreatePhoneNumber",
        "asked": {},
        "token": "ABCDEFGHIJKLM",
        "key": "" if kind is PURCHASE else "+14155550001",
        "state": state,
        "attempt": 0 if state is S.PLANNED else 1,
        "fence": 7,
        "owner": "me",
        "lease_until": SENT + 25.0,
        "sent_at": SENT,
    }
    if state in {S.AMBIGUOUS, S.COMMITTED, S.NEEDS_OPERATOR}:
        fields["doubt_since"] = SENT
    if state in {S.DONE, S.SURPLUS} and kind is not RELEASE:
        fields |= {"record": "rec-0", "phone_number": "+14155550000"}
    if state is S.SURPLUS:
        fields["surplus"] = ("rec-9",)
    return Row(**{**fields, **changed})  # type: ignore[arg-type]


def absent(began: float = NOW) -> Listed:
    return Listed(began=began, matches=[])


def found(*matches: Match) -> Listed:
    return Listed(began=NOW, matches=list(matches))


CLAIMED = Claimed(owner="me", lease=25.0)
BY_ANOTHER = Claimed(owner="you", lease=25.0)
CONFIRMED = Confirmed(match=MATCH)
ENDS: dict[str, tuple[Event, State]] = {
    "not sent": (NotSent("refused"), S.PLANNED),
    "rejected": (Rejected("400"), S.FAILED),
    "unanswered": (Unanswered("reset"), S.AMBIGUOUS),
    "unreadable": (Unreadable("garbage"), S.COMMITTED),
    "confirmed": (CONFIRMED, S.DONE),
    "abandoned": (Abandoned(), S.AMBIGUOUS),
}
EVENTS: dict[str, Event] = {
    "claimed": CLAIMED,
    "claimed by another": BY_ANOTHER,
    "resting": Resting(),
    "refused": Refused("too many"),
    **{name: event for name, (event, _) in ENDS.items()},
    "absent": absent(),
    "found": found(MATCH),
    "found otherwise": found(OTHERWISE),
    "mending": Mending(),
    "repaired": Repaired(MATCH),
    "not repaired": NotRepaired(MATCH, "400"),
    "adopted": Adopted(MATCH),
    "resent": Resent(),
    "given up": GivenUp(),
    "released": Released("rec-9"),
    "stripped": Stripped(),
}

Arrows = dict[tuple[State, str], State]


def arrows(kind: Kind) -> Arrows:
    """Return where every event leads that changes a row of *kind*; first absences only."""
    table: Arrows = {
        (S.PLANNED, "claimed"): S.SENDING,
        (S.PLANNED, "claimed by another"): S.SENDING,
        (S.PLANNED, "refused"): S.FAILED,
        (S.FAILED, "claimed"): S.SENDING,
        (S.FAILED, "claimed by another"): S.SENDING,
        (S.SENDING, "claimed"): S.SENDING,
        (S.SENDING, "resting"): S.SENDING,
        **{(S.SENDING, name): state for name, (_, state) in ENDS.items()},
        (S.NEEDS_OPERATOR, "resent"): S.PLANNED,
        (S.GIVEN_UP, "resent"): S.PLANNED,
        (S.FAILED, "resent"): S.PLANNED,
        (S.SURPLUS, "released"): S.DONE if kind is not RELEASE else S.GIVEN_UP,
        (S.SURPLUS, "given up"): S.DONE if kind is not RELEASE else S.GIVEN_UP,
        **{(state, "stripped"): state for state in State},
    }
    for state in (S.AMBIGUOUS, S.COMMITTED, S.NEEDS_OPERATOR):
        table[state, "given up"] = S.GIVEN_UP
        table[state, "adopted"] = S.DONE
    table[S.GIVEN_UP, "adopted"] = S.DONE
    for state in (S.AMBIGUOUS, S.COMMITTED):
        table[state, "mending"] = state
        table[state, "repaired"] = S.DONE
        table[state, "not repaired"] = S.NEEDS_OPERATOR
        table[state, "absent"] = state  # counted
        table[state, "found"] = S.DONE
        if kind.repeatable:
            table[state, "claimed"] = table[state, "claimed by another"] = S.SENDING
    table |= {
        PURCHASE: _found_by_tag(),
        EXACT: {(S.AMBIGUOUS, "absent"): S.PLANNED},
        IMPORT: {(S.AMBIGUOUS, "absent"): S.PLANNED},
        UPDATE: {
            (S.AMBIGUOUS, "found otherwise"): S.AMBIGUOUS,
            (S.COMMITTED, "found otherwise"): S.COMMITTED,
        },
        RELEASE: {
            (state, name): state
            for state in (S.AMBIGUOUS, S.COMMITTED)
            for name in ("found", "found otherwise")
        },
    }[kind]
    if kind is RELEASE:
        table[S.SURPLUS, "adopted"] = S.SURPLUS  # a row that never is
    return table


def _found_by_tag() -> Arrows:
    """A number with the operation's tag is taken note of in whatever state."""
    states = [state for state in State if state is not S.SENDING]
    named = {S.DONE: S.SURPLUS, S.SURPLUS: S.SURPLUS, S.GIVEN_UP: S.SURPLUS}
    return {
        (state, name): named.get(state, S.DONE)
        for state in states
        for name in ("found", "found otherwise")
    }


@pytest.mark.parametrize(("kind", "state", "name"), list(product(Kind, State, EVENTS)))
def test_an_event_leads_where_the_table_says_or_nowhere(
    kind: Kind, state: State, name: str
) -> None:
    """Whatever the table does not name is refused, or leaves the row as it is."""
    row = a_row(kind, state)
    wanted = arrows(kind).get((state, name))
    try:
        moved = advance(row, EVENTS[name], NOW, POLICY).row
    except IllegalMoveError:
        assert wanted is None
        return
    if wanted is None:
        assert moved == row
        return
    assert moved.state is wanted
    assert moved.fence == row.fence + 1
    assert (moved.op_id, moved.kind, moved.token) == (row.op_id, row.kind, row.token)


# --- claims ----------------------------------------------------------------------------------


def test_a_claim_begins_an_attempt_with_a_tag_of_its_own() -> None:
    row = a_row(PURCHASE, S.FAILED)
    claimed = advance(row, CLAIMED, NOW, POLICY).row
    assert (claimed.attempt, claimed.sent_at, claimed.lease_until) == (2, NOW, NOW + 25.0)
    assert claimed.tag != row.tag


def test_the_same_owner_sends_again_under_the_same_tag() -> None:
    """After a 429 or a refused connection the attempt goes on."""
    row = a_row(PURCHASE, S.SENDING)
    assert advance(row, CLAIMED, NOW, POLICY).row.tag == row.tag
    with pytest.raises(IllegalMoveError):
        advance(row, BY_ANOTHER, NOW, POLICY)


def test_a_claim_keeps_the_doubt_about_earlier_attempts() -> None:
    row = a_row(UPDATE, S.AMBIGUOUS)
    assert advance(row, CLAIMED, NOW, POLICY).row.doubt_since == SENT


# --- ends of attempts ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UPDATE, RELEASE])
def test_what_was_not_sent_leaves_an_earlier_doubt(kind: Kind) -> None:
    row = a_row(kind, S.SENDING, doubt_since=SENT)
    assert advance(row, NotSent("refused"), NOW, POLICY).row.state is S.AMBIGUOUS


@pytest.mark.parametrize("kind", [EXACT, IMPORT])
def test_a_refusal_after_a_doubt_may_be_its_echo(kind: Kind) -> None:
    """The number may be there because of the first attempt: listings tell, however late it is."""
    row = a_row(kind, S.SENDING, doubt_since=SENT)
    refused = advance(row, Rejected("400"), NOW, POLICY).row
    assert (refused.state, refused.refused) == (S.AMBIGUOUS, "400")
    once = advance(refused, absent(NOW), NOW, POLICY).row
    assert once.state is S.AMBIGUOUS
    assert advance(once, absent(NOW + 1), NOW + 1, POLICY).row.state is S.FAILED
    assert advance(refused, found(MATCH), NOW, POLICY).row.state is S.DONE


def test_a_purchase_of_any_number_is_refused_for_good() -> None:
    row = a_row(PURCHASE, S.SENDING, doubt_since=NOW - 1.0)
    assert advance(row, Rejected("402"), NOW, POLICY).row.state is S.FAILED


def test_an_attempt_that_rested_when_it_was_abandoned_left_nothing() -> None:
    """A pause that the platform asked for may be longer than any lease."""
    resting = advance(a_row(PURCHASE, S.SENDING), Resting(), SENT + 1.0, POLICY).row
    assert advance(resting, Abandoned(), NOW, POLICY).row.state is S.PLANNED
    again = attrs.evolve(resting, owner="me")
    claimed = advance(again, Claimed(owner="me", lease=25.0), NOW, POLICY).row
    assert (claimed.attempt, claimed.resting) == (resting.attempt, False)
    assert advance(claimed, Abandoned(), NOW + 99, POLICY).row.state is S.AMBIGUOUS


def test_a_mending_that_went_unanswered_keeps_later_changes_waiting() -> None:
    row = a_row(IMPORT, S.AMBIGUOUS, doubt_since=SENT)
    mending = advance(row, Mending(), NOW, POLICY).row
    assert mending.doubt_since == NOW
    assert advance(mending, Repaired(MATCH), NOW + 1, POLICY).row.doubt_since == 0.0
    assert advance(mending, Repaired(MATCH, doubtful=True), NOW + 1, POLICY).row.doubt_since > NOW
    # Begun anew after a crash: what became of the first writing is not known.
    anew = advance(mending, Mending(), NOW + 5, POLICY).row
    assert advance(anew, Repaired(MATCH), NOW + 6, POLICY).row.doubt_since > NOW


def test_an_abandoned_attempt_ended_with_its_lease() -> None:
    row = a_row(PURCHASE, S.SENDING)
    assert advance(row, Abandoned(), NOW, POLICY).row.doubt_since == row.lease_until
    early = advance(row, Abandoned(), SENT + 1.0, POLICY).row
    assert early.doubt_since == SENT + 1.0


def test_a_confirmation_keeps_what_the_platform_said() -> None:
    done = advance(a_row(PURCHASE, S.SENDING), CONFIRMED, NOW, POLICY).row
    assert (done.record, done.phone_number, done.result) == ("rec-1", "+14155550001", {"a": 1})
    assert (done.tagged, done.adopted, done.error) == (True, False, "")


def test_a_confirmation_after_an_unanswered_request_leaves_its_doubt() -> None:
    """The first one may still come, after somebody else has changed the number."""
    row = a_row(UPDATE, S.SENDING)
    doubted = advance(row, Confirmed(match=MATCH, doubtful=True), NOW, POLICY).row
    assert (doubted.state, doubted.doubt_since) == (S.DONE, NOW)


# --- listings --------------------------------------------------------------------------------


def listed_absent(row: Row, *moments: float, policy: Policy = POLICY) -> Row:
    for moment in moments:
        row = advance(row, absent(moment), moment + 1.0, policy).row
    return row


OVER = SENT + 900.0


def test_absence_is_proven_by_two_listings_after_the_quarantine() -> None:
    row = a_row(PURCHASE, S.AMBIGUOUS)
    assert listed_absent(row, SENT + 1, SENT + 2, SENT + 3).state is S.AMBIGUOUS
    assert listed_absent(row, OVER, OVER + 1).state is S.NEEDS_OPERATOR
    resend = attrs.evolve(POLICY, resend=True)
    assert listed_absent(row, OVER, OVER + 1, policy=resend).state is S.PLANNED


def test_a_listing_before_the_end_of_the_quarantine_does_not_second_one_after_it() -> None:
    """Or a late commit and one shifted page would be enough to buy twice."""
    row = a_row(PURCHASE, S.AMBIGUOUS)
    assert listed_absent(row, OVER - 1, OVER).state is S.AMBIGUOUS
    assert listed_absent(row, OVER - 1, OVER, OVER + 1).state is S.NEEDS_OPERATOR


@pytest.mark.parametrize("began", [SENT - 1, SENT])
def test_a_listing_that_began_before_the_attempt_had_ended_does_not_count(began: float) -> None:
    row = a_row(PURCHASE, S.AMBIGUOUS)
    assert advance(row, absent(began), NOW, POLICY).row == row


def test_a_listing_counts_once() -> None:
    row = listed_absent(a_row(PURCHASE, S.AMBIGUOUS), OVER + 5)
    assert advance(row, absent(OVER + 5), NOW, POLICY).row == row


def test_what_the_platform_said_yes_to_is_never_sent_again() -> None:
    for kind in (PURCHASE, EXACT, IMPORT):
        resend = attrs.evolve(POLICY, resend=True)
        row = listed_absent(a_row(kind, S.COMMITTED), OVER, OVER + 1, policy=resend)
        assert row.state is S.NEEDS_OPERATOR


@pytest.mark.parametrize("kind", [EXACT, IMPORT])
def test_a_number_that_can_be_owned_once_waits_no_longer_than_an_answer(kind: Kind) -> None:
    row = a_row(kind, S.AMBIGUOUS)
    assert listed_absent(row, SENT + 19).state is S.AMBIGUOUS
    assert listed_absent(row, SENT + 20).state is S.PLANNED


def test_a_release_is_seen_after_the_quarantine_and_keeps_its_doubt() -> None:
    """A number that was just bought may not be listed yet, and a DELETE may come later."""
    row = a_row(RELEASE, S.AMBIGUOUS)
    assert listed_absent(row, SENT + 1, SENT + 2).state is S.AMBIGUOUS
    gone = listed_absent(row, OVER, OVER + 1)
    assert (gone.state, gone.doubt_since) == (S.DONE, SENT)


def test_an_update_that_a_listing_shows_keeps_its_doubt() -> None:
    """What is shown may be older; the unanswered request may still come."""
    done = advance(a_row(UPDATE, S.AMBIGUOUS), found(MATCH), NOW, POLICY).row
    assert (done.state, done.doubt_since) == (S.DONE, SENT)


@pytest.mark.parametrize(("attempt", "doubt"), [(1, 0.0), (2, SENT)])
def test_a_purchase_that_is_found_ends_the_doubt_if_it_was_sent_once(
    attempt: int, doubt: float
) -> None:
    row = a_row(EXACT, S.AMBIGUOUS, attempt=attempt)
    assert advance(row, found(MATCH), NOW, POLICY).row.doubt_since == doubt


def test_what_is_found_otherwise_is_repaired_first() -> None:
    row = a_row(IMPORT, S.AMBIGUOUS)
    assert advance(row, found(OTHERWISE), NOW, POLICY) == Move(row, (Repair(OTHERWISE),))


# --- more than one ---------------------------------------------------------------------------


def test_the_latest_attempt_is_kept_and_the_others_are_surplus() -> None:
    """In one write: the journal refuses a fence that skips one."""
    row = a_row(PURCHASE, S.AMBIGUOUS, attempt=2)
    moved = advance(row, found(MATCH, LATER), NOW, POLICY).row
    assert (moved.state, moved.record, moved.surplus) == (S.SURPLUS, "rec-2", ("rec-1",))
    assert moved.fence == row.fence + 1


def test_surplus_is_released_where_that_is_allowed_and_never_the_kept_one() -> None:
    row = a_row(PURCHASE, S.DONE)
    assert not advance(row, found(MATCH), NOW, POLICY).actions
    allowed = attrs.evolve(POLICY, release_surplus=True)
    assert advance(row, found(MATCH), NOW, allowed).actions == (Release("rec-1"),)


def test_what_is_known_is_not_found_again() -> None:
    row = a_row(PURCHASE, S.SURPLUS, released=("rec-1",))
    kept = attrs.evolve(MATCH, record="rec-0")
    extra = attrs.evolve(MATCH, record="rec-9")
    assert advance(row, found(kept, extra, MATCH), NOW, POLICY).row == row


def test_surplus_without_a_kept_number_can_be_adopted_or_released() -> None:
    given_up = advance(a_row(PURCHASE, S.GIVEN_UP), found(MATCH, LATER), NOW, POLICY).row
    assert (given_up.state, given_up.surplus) == (S.SURPLUS, ("rec-1", "rec-2"))
    adopted = advance(given_up, Adopted(MATCH), NOW, POLICY).row
    assert (adopted.state, adopted.record, adopted.surplus) == (S.SURPLUS, "rec-1", ("rec-2",))
    one = advance(given_up, Released("rec-1"), NOW, POLICY).row
    assert advance(one, Released("rec-2"), NOW, POLICY).row.state is S.GIVEN_UP


# --- money and history -----------------------------------------------------------------------

COSTS: dict[State, int] = {
    S.PLANNED: 0,
    S.SENDING: 1,
    S.AMBIGUOUS: 1,
    S.COMMITTED: 1,
    S.DONE: 1,
    S.FAILED: 0,
    S.SURPLUS: 2,
    S.NEEDS_OPERATOR: 1,
    S.GIVEN_UP: 1,
}


@pytest.mark.parametrize(("state", "bought"), list(COSTS.items()))
def test_what_may_have_been_bought_counts(state: State, bought: int) -> None:
    assert a_row(PURCHASE, state).bought == bought
    assert a_row(EXACT, state).bought == bought
    assert [a_row(kind, state).bought for kind in (IMPORT, UPDATE, RELEASE)] == [0, 0, 0]


def test_surplus_that_nobody_kept_counts_by_itself() -> None:
    row = a_row(PURCHASE, S.SURPLUS, record="", phone_number="", released=("rec-8",))
    assert row.bought == 2


def test_an_exact_purchase_in_doubt_counts_until_it_is_settled() -> None:
    """It may be sent again long before the first request can be taken for lost."""
    assert a_row(EXACT, S.PLANNED, doubt_since=SENT).bought == 1
    assert a_row(PURCHASE, S.PLANNED, doubt_since=SENT).bought == 0


def test_the_history_stays_short_and_keeps_its_beginning() -> None:
    row = advance(a_row(PURCHASE, S.PLANNED), CLAIMED, 1.0, POLICY).row
    first = row.history[0]
    steps: list[Callable[[], Event]] = [lambda: NotSent("refused"), lambda: CLAIMED]
    for turn in range(3 * HISTORY):
        row = advance(row, steps[turn % 2](), float(turn), POLICY).row
    assert len(row.history) == HISTORY
    assert (row.history[0], row.history[-1].at) == (first, 3.0 * HISTORY - 1)

"""The machine against a model of a platform that loses answers, and of two processes that die.

Time is in whole seconds. A request that goes unanswered is carried out at once, up to `LATEST`
seconds after its sender gave it up, or never; a new number is listed up to `LAG` seconds later; a
page that shifts hides each number once at most. Under these conditions nothing may be bought
twice, and nothing that was bought may be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sigmamind_async.operation import Verdict
from sigmamind_async.provisioning import transitions
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
    RepairDone,
    RetryApproved,
)
from sigmamind_async.provisioning.row import UNSETTLED, Kind, Row, State
from sigmamind_async.provisioning.transitions import IllegalTransitionError, Policy, Release, Repair

SETTLE_TIME = 30
LAG = 4
LATEST = SETTLE_TIME - LAG - 1
TIMEOUT = 5
LEASE = 7
HUGE = 10_000

Advance = Callable[[Row, Event, float, Policy], transitions.Transition]


@attrs.define(eq=False)
class Bought:
    """A number of the account."""

    record: str
    attempt: int
    listed_from: int
    hidden: bool = False


@attrs.define(eq=False)
class Process:
    """A process: the row as it last saw it, and what it is about."""

    name: str
    view: Row
    owner: str = ""
    sending: int | None = None
    doubtful: bool = False
    """Whether an earlier attempt was unconfirmed when this one was claimed."""
    ends: int = 0
    reading: tuple[int, list[Bought]] | None = None


FATES = st.sampled_from(
    ["not sent", "rejected", "confirmed", "lost", "late", "latest", "never", "unread", "crash",
     "crash after", "crash late", "again"]
)  # fmt: skip


class World(RuleBasedStateMachine):
    """One operation, one journal, two processes."""

    @initialize(
        kind=st.sampled_from([Kind.PURCHASE, Kind.PURCHASE, Kind.EXACT_PURCHASE]),
        retry_unconfirmed=st.booleans(),
        release=st.booleans(),
    )
    def begin(self, kind: Kind, retry_unconfirmed: bool, release: bool) -> None:
        self.now = 100
        self.policy = Policy(
            settle_time=SETTLE_TIME,
            exact_settle_time=TIMEOUT,
            retry_unconfirmed=retry_unconfirmed,
            release_duplicates=release,
        )
        self.stored = Row(
            op_id="op", account="a", kind=kind, request_type="r", request_fields={},
            token="ABCDEFGHIJKLM", key="" if kind is Kind.PURCHASE else "+1",
        )  # fmt: skip
        self.processes = [Process("a", self.stored), Process("b", self.stored)]
        self.owned: list[Bought] = []
        self.bought = 0
        self.coming: list[tuple[int, int]] = []
        self.claims = 0
        self.yes = 0
        """Latest attempt that was told yes."""

    # --- platform ----------------------------------------------------------------------------

    def commit(self, attempt: int) -> Bought | None:
        if self.stored.kind is Kind.EXACT_PURCHASE and self.owned:
            return None
        self.bought += 1
        number = Bought(f"rec-{self.bought}", attempt, self.now + self.bought % (LAG + 1))
        self.owned.append(number)
        return number

    def match(self, number: Bought) -> Match:
        by_tag = self.stored.kind is Kind.PURCHASE
        return Match(
            record=number.record,
            phone_number=number.record,
            attempt=number.attempt if by_tag else None,
        )

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for due in [due for due in self.coming if due[0] <= self.now]:
                self.coming.remove(due)
                self.commit(due[1])
        for process in self.processes:
            if process.sending is not None and self.now > process.ends:
                process.sending = None  # it died: a live one would have given up by now

    # --- processes ---------------------------------------------------------------------------

    def move(self, process: Process, event: Event) -> bool:
        """Write what follows, as `Books` does: only over the row that was seen."""
        try:
            moved = transitions.advance(process.view, event, float(self.now), self.policy)
        except IllegalTransitionError:
            return False
        if moved.row.version == process.view.version:
            assert moved.row == process.view
        elif not self.put(process.view, moved.row):
            return False
        process.view = moved.row
        for action in moved.actions:
            match action:
                case Release(record):
                    assert record != process.view.record
                    self.owned = [number for number in self.owned if number.record != record]
                    self.move(process, DuplicateReleased(record))
                case Repair(found):
                    self.move(process, RepairDone(found))
        return True

    def put(self, seen: Row, row: Row) -> bool:
        if row.version != self.stored.version + 1 or seen.version != self.stored.version:
            return False
        self.stored = row
        return True

    @rule(seconds=st.sampled_from([1, 1, 2, 4, TIMEOUT, LEASE, SETTLE_TIME - 2, SETTLE_TIME + 1]))
    def wait(self, seconds: int) -> None:
        self.pass_time(seconds)

    @rule(one=st.integers(0, 1))
    def look(self, one: int) -> None:
        self.processes[one].view = self.stored

    @rule(one=st.integers(0, 1), fate=FATES, fresh=st.booleans(), slow=st.booleans())
    def send(self, one: int, fate: str, fresh: bool, slow: bool) -> None:
        process = self.processes[one]
        if fresh:
            process.view = self.stored
        if process.sending is None:
            self.claim(process)
            if slow or process.sending is None:
                return
        if fate == "again":
            self.move(process, Claimed(owner=process.owner, lease=LEASE))
        elif process.view.state is State.SENDING:
            self.end(process, fate)

    def claim(self, process: Process) -> None:
        self.claims += 1
        process.owner = f"{process.name}{self.claims}"
        doubtful = bool(process.view.unconfirmed_since)
        if self.move(process, Claimed(owner=process.owner, lease=LEASE)):
            assert not self.yes or self.stored.attempt == self.yes, "told yes, and sent again"
            process.sending, process.doubtful = process.view.attempt, doubtful
            process.ends = self.now + TIMEOUT

    def end(self, process: Process, fate: str) -> None:
        attempt, process.sending = process.sending or 0, None
        match fate:
            case "not sent":
                self.record(process, AttemptEnded(Verdict.NOT_SENT, "refused"))
            case "rejected":
                self.record(process, AttemptEnded(Verdict.REJECTED, "402"))
            case "confirmed" | "lost" | "unread" | "crash after":
                self.answer(process, attempt, fate)
            case "late" | "crash late":
                self.coming.append((self.now + 1 + attempt % LATEST, attempt))
            case "latest":
                self.coming.append((self.now + LATEST, attempt))
        if fate in {"late", "latest", "never"}:
            self.record(process, AttemptEnded(Verdict.AMBIGUOUS, "silence"))

    def answer(self, process: Process, attempt: int, fate: str) -> None:
        number = self.commit(attempt)
        if fate == "crash after":
            return
        if fate == "lost":
            self.record(process, AttemptEnded(Verdict.AMBIGUOUS, "reset"))
        elif number is None:
            self.record(process, AttemptEnded(Verdict.REJECTED, "409"))
        elif fate == "unread":
            self.yes = attempt
            self.record(process, AttemptEnded(Verdict.COMMITTED_UNREAD, "garbage"))
        elif not self.record(process, AttemptEnded(Verdict.CONFIRMED, match=self.match(number))):
            process.view = self.stored
            self.move(process, Listed(began=self.now, matches=[self.match(number)]))

    def record(self, process: Process, event: AttemptEnded) -> bool:
        if self.move(process, event):
            return True
        process.view = self.stored
        return self.stored.owner == process.owner and self.move(process, event)

    @rule(one=st.integers(0, 1))
    def take_for_abandoned(self, one: int) -> None:
        process = self.processes[one]
        process.view = self.stored
        if process.view.state is State.SENDING and self.now >= process.view.lease_until:
            self.move(process, OwnerLost())

    @rule(one=st.integers(0, 1), shifts=st.booleans())
    def begin_listing(self, one: int, shifts: bool) -> None:
        shown = [number for number in self.owned if number.listed_from <= self.now]
        if shifts and shown and not shown[0].hidden:
            shown[0].hidden = True
            shown = shown[1:]
        self.processes[one].reading = (self.now, shown)
        self.pass_time(1)

    @rule(one=st.integers(0, 1), shifts=st.booleans())
    def list_at_once(self, one: int, shifts: bool) -> None:
        self.begin_listing(one, shifts)
        self.end_listing(fresh=True)

    @precondition(lambda self: any(one.reading for one in self.processes))
    @rule(fresh=st.booleans())
    def end_listing(self, fresh: bool) -> None:
        for process in self.processes:
            if process.reading is None:
                continue
            (began, shown), process.reading = process.reading, None
            if fresh:
                process.view = self.stored
            still = {number.record for number in self.owned}
            matches = [self.match(number) for number in shown if number.record in still]
            self.move(process, Listed(began=began, matches=matches))

    @precondition(lambda self: self.stored.state is State.NEEDS_DECISION)
    @rule(decision=st.sampled_from(["retry_unconfirmed", "give up", "adopt"]))
    def decide(self, decision: str) -> None:
        person = Process("person", self.stored)
        if decision == "retry_unconfirmed":
            self.yes = 0
            self.move(person, RetryApproved())
        elif decision == "give up":
            self.move(person, AbandonApproved())
        elif self.owned:
            self.move(person, AdoptApproved(self.match(self.owned[0])))

    # --- promises ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_bought_twice(self) -> None:
        assert self.bought <= 1

    @invariant()
    def what_was_bought_is_counted(self) -> None:
        assert self.bought <= self.stored.purchase_count

    @invariant()
    def done_is_owned(self) -> None:
        if self.stored.state is State.DONE:
            assert self.stored.record in {number.record for number in self.owned}

    @invariant()
    def a_settled_row_has_its_record(self) -> None:
        assert (self.stored.state is State.DONE) <= bool(self.stored.record)
        assert (self.stored.state is State.DUPLICATE) <= bool(self.stored.duplicates)

    def teardown(self) -> None:
        """Heal, let the settle time pass, and look whether anything has been lost."""
        if not hasattr(self, "stored"):
            return
        one = Process("c", self.stored)
        self.processes = [one]
        self.settle(one)
        assert self.stored.state not in UNSETTLED, "still unconfirmed"
        if self.stored.state is State.PLANNED:
            self.claim(one)
            self.answer(one, one.sending or 0, "confirmed")
            self.settle(one)
            assert self.stored.record
        self.done_is_owned()
        self.nothing_is_bought_twice()
        known = {self.stored.record, *self.stored.duplicates}
        assert {number.record for number in self.owned} <= known, "forgotten"

    def settle(self, one: Process) -> None:
        self.pass_time(LEASE + SETTLE_TIME + 1)
        one.view = self.stored
        if one.view.state is State.SENDING:
            self.move(one, OwnerLost())
        for _ in range(4):
            self.pass_time(LAG + 1)
            one.view = self.stored
            matches = [self.match(number) for number in self.owned]
            self.move(one, Listed(began=self.now, matches=matches))


PATIENT = settings(
    max_examples=1_000,
    stateful_step_count=10,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.usefixtures("unmeasured")
def test_nothing_is_bought_twice_and_nothing_is_lost(soak: bool) -> None:
    examples = 20 * PATIENT.max_examples if soak else PATIENT.max_examples
    run_state_machine_as_test(World, settings=settings(PATIENT, max_examples=examples))


# --- and mutants, each of which the model must find ------------------------------------------


def _advance(changed: Callable[[Row, Event, float, Policy], tuple[Row, Event, Policy]]) -> Advance:
    real = transitions.advance

    def mutant(row: Row, event: Event, now: float, policy: Policy) -> transitions.Transition:
        row, event, policy = changed(row, event, now, policy)
        return real(row, event, now, policy)

    return mutant


def _no_settle_time(row: Row, event: Event, now: float, policy: Policy) -> Any:
    return row, event, attrs.evolve(policy, settle_time=0.0)


def _error_is_a_refusal(row: Row, event: Event, now: float, policy: Policy) -> Any:
    if isinstance(event, AttemptEnded) and event.verdict is Verdict.AMBIGUOUS:
        return row, AttemptEnded(Verdict.REJECTED, "?"), policy
    return row, event, policy


def _doubt_from_the_claim_on(row: Row, event: Event, now: float, policy: Policy) -> Any:
    return attrs.evolve(row, lease_until=row.sent_at), event, policy


class Unlucky(World):
    """A world in which answers are lost and purchases are late, which is what mutants forget.

    What was not found is sent again there, by a process that knows how it is. Mutants are found in
    it many times as soon.
    """

    @initialize(release=st.booleans())
    def begin(self, release: bool) -> None:
        super().begin(Kind.PURCHASE, retry_unconfirmed=True, release=release)

    @rule(one=st.integers(0, 1), fate=st.sampled_from(["lost", "late", "latest", "crash late"]))
    def send(self, one: int, fate: str) -> None:
        super().send(one, fate, fresh=True, slow=False)


MUTANTS: dict[str, tuple[str, Any]] = {
    "no settle time": ("advance", _advance(_no_settle_time)),
    "a lost answer is a refusal": ("advance", _advance(_error_is_a_refusal)),
    "the settle time begins with the claim": ("advance", _advance(_doubt_from_the_claim_on)),
}


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_finds_a_mutant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what = MUTANTS[name]
    monkeypatch.setattr(transitions, where, what)
    quick = settings(PATIENT, phases=[Phase.generate], max_examples=20_000)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Unlucky, settings=quick)

"""What a run of a plan does when things go wrong, and what it never does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import attrs
import pytest

from sigmamind_async import JournalError
from sigmamind_async.errors import ConfigurationError, PlanError, SigmaMindError
from sigmamind_async.fleet.apply import Executor
from sigmamind_async.fleet.dispatcher import StepOutcome
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.requests import RequestBuilder, StepRequest
from sigmamind_async.fleet.spec import DesiredState, FleetRow
from sigmamind_async.fleet.step import Action, Step
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber
from sigmamind_async.provisioning import MemoryJournal
from sigmamind_async.sandbox import Faults, Sandbox
from tests.functional.fleets import (
    CLIENTS,
    Operator,
    absent,
    bought,
    commits,
    imported,
    row,
    saying,
    sent,
)

OWN, OTHER = "+14155550110", "+14155550111"


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
async def operator(box: Sandbox) -> AsyncIterator[Operator]:
    async with Operator(box) as one:
        yield one


# --- nothing is released unless it is asked for twice -------------------------------------------

KEPT: tuple[FleetRow, ...] = (
    bought("bought", "sigmamind"),
    imported("mine", "verbex", OWN),
    imported("moves", "verbex", OTHER),
    bought("stays", "dialnexa"),
)
GONE = [absent(each) for each in KEPT]
MOVED = [KEPT[0], KEPT[1], imported("moves", "sigmamind", OTHER), KEPT[3]]


def evolved(made: Plan, **changes: object) -> Plan:
    """Return *made* with every step changed."""
    return attrs.evolve(made, steps=[attrs.evolve(step, **changes) for step in made.steps])  # type: ignore[arg-type]


async def try_everything(
    operator: Operator, errands: type[RequestBuilder] = RequestBuilder
) -> None:
    """Try each way to a release that row and flag do not both ask for."""
    await operator.settle(KEPT)
    gone, kept = await operator.planned(GONE), await allowed(operator)
    tampered = [
        gone,
        evolved(gone, blocked=""),
        attrs.evolve(gone, options=kept.options),
        evolved(kept, action=Action.RELEASE),
        *(evolved(kept, action=Action.RELEASE, platform=name) for name in CLIENTS),
    ]
    for made in tampered:
        await operator.carry_out(made, errands)
    await lead_away(operator, errands)
    await swap_numbers(operator, errands)
    await forget_the_flag(operator, errands)


async def allowed(operator: Operator) -> Plan:
    """Return a plan of rows that want their numbers, with the flag."""
    return await operator.planned(KEPT, allow_release=True)


async def lead_away(operator: Operator, errands: type[RequestBuilder]) -> None:
    """Say of numbers that they move, from where they are and from elsewhere."""
    made = await allowed(operator)
    assert operator.known is not None
    for platform, found in operator.known.numbers.items():
        for leaves in found.values():
            tampered = evolved(made, action=Action.MOVE, moves_from=leaves, changes=())
            await operator.carry_out(tampered, errands)
            for step in made.steps:
                there = attrs.evolve(step, action=Action.MOVE, moves_from=leaves, platform=platform)
                await operator.carry_out(attrs.evolve(made, steps=[there]), errands)


async def swap_numbers(operator: Operator, errands: type[RequestBuilder]) -> None:
    """Let a row that says absent, with the flag, be about the number of another."""
    nobody = row("nobody", "verbex", "existing", phone_number="+14155550199")
    rows = [*KEPT[1:], absent(nobody), absent(row("silent", "sigmamind", "purchase"))]
    made = await operator.planned(rows, allow_release=True)
    assert operator.known is not None
    for found in [one for each in operator.known.numbers.values() for one in each.values()]:
        steps = [
            Step(
                id=name,
                platform=found.platform,
                action=Action.RELEASE,
                record=found.record,
                phone_number=found.phone_number,
            )
            for name in ("nobody", "silent")
        ]
        await operator.carry_out(attrs.evolve(made, steps=steps), errands)


async def forget_the_flag(operator: Operator, errands: type[RequestBuilder]) -> None:
    """Move without the flag; take rows out, overwrite drift and clear fields with it."""
    made = await operator.planned(MOVED)
    await operator.carry_out(made, errands)
    made = await operator.planned(MOVED, allow_release=True)
    held_back = attrs.evolve(made, options=attrs.evolve(made.options, allow_release=False))
    await operator.carry_out(held_back, errands)
    await operator.carry_out(await operator.planned(KEPT[:1], allow_release=True), errands)
    await operator.carry_out(await operator.planned([], allow_release=True), errands)
    cleared = [saying(KEPT[0], label=None), saying(KEPT[1], label="Drifts")]
    for each in (cleared, KEPT[:2]):
        made = await operator.planned(each, allow_release=True, on_drift="overwrite")
        await operator.carry_out(made, errands)


async def test_nothing_is_released_that_row_and_flag_do_not_both_give_up(
    box: Sandbox, operator: Operator
) -> None:
    await try_everything(operator)
    assert box.ledger.of_kind("release") == []


class Careless(RequestBuilder):
    """Gives up what it is told to."""

    async def release(self, step: Step, found: RemoteNumber, sequence: int) -> StepRequest:
        adapter = VENDORS[found.platform].adapter
        op_id = f"{step.id} #{sequence}.release"
        return StepRequest(op_id=op_id, sequence=sequence, value=adapter.release(found.record))


async def test_the_guard_is_what_keeps_them(box: Sandbox, operator: Operator) -> None:
    """The guard at work: without it the same attempts give numbers up."""
    await try_everything(operator, Careless)
    assert box.ledger.of_kind("release") != []


async def test_the_run_knows_whose_number_a_release_is_about(
    box: Sandbox, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard at work: a row that wants no number cannot give up another's."""

    def anybodys(*_: object) -> bool:
        return True

    monkeypatch.setattr(Executor, "_belongs", anybodys)
    await operator.settle(KEPT)
    await swap_numbers(operator, RequestBuilder)
    assert box.ledger.of_kind("release") != []


@pytest.mark.parametrize("action", [each for each in Action if each is not Action.PURCHASE])
async def test_nothing_but_a_purchase_spends_money(
    box: Sandbox, operator: Operator, action: Action
) -> None:
    """A step about a number that is not there any more brings no other one."""
    made = evolved(await operator.planned(KEPT[:1] + KEPT[3:]), action=action)
    await operator.carry_out(made)
    assert sent(box) == {}
    # The guard at work: as planned, they are bought.
    await operator.carry_out(evolved(made, action=Action.PURCHASE))
    assert len(box.ledger.purchases) == 2


@pytest.mark.parametrize("field", ["withheld", "options", "state", "action", "number", "platform"])
async def test_each_word_of_a_release_is_needed(operator: Operator, field: str) -> None:
    """A release that may be made, but for one thing, may not."""
    step = Step(id="mine", platform="verbex", action=Action.RELEASE, record="r")
    made = await operator.planned([absent(KEPT[1])], allow_release=True)
    found = RemoteNumber(platform="verbex", record="r", phone_number=OWN, shown={})
    errands = RequestBuilder(made, operator.journal, operator.resolve)
    assert (await errands.release(step, found, 1)).op_id == "mine #1.release"
    match field:
        case "withheld":
            step = attrs.evolve(step, blocked="not now")
        case "options":
            made = attrs.evolve(made, options=attrs.evolve(made.options, allow_release=False))
        case "state":
            made = attrs.evolve(
                made, rows={"mine": attrs.evolve(made.rows["mine"], state=DesiredState.PRESENT)}
            )
        case "action":
            step = attrs.evolve(step, action=Action.UPDATE)
        case "number":
            found = attrs.evolve(found, phone_number=OTHER)
        case _:  # no move: the row is on this platform
            step = attrs.evolve(step, action=Action.MOVE, moves_from=found)
    with pytest.raises(PlanError, match="releasing a number is permanent"):
        await RequestBuilder(made, operator.journal, operator.resolve).release(step, found, 1)


# --- faults ----------------------------------------------------------------------------------

FLEET: Sequence[FleetRow] = (
    *(bought(f"b{index}", name, label=f"B {index}") for name in CLIENTS for index in range(4)),
    *(
        imported(f"i{index} {name}", name, f"+1415555{place}1{index}")
        for place, name in enumerate(CLIENTS, start=10)
        for index in range(3)
    ),
)
BAD_DAY = Faults(share=0.2, hang=0.2, late=0.01, drip=0.05, retry_after=0)


def unique(rows: Sequence[FleetRow]) -> list[FleetRow]:
    return [attrs.evolve(each, id=f"{each.id} {each.platform}") for each in rows]


@pytest.mark.parametrize("seed", range(3))
async def test_a_bad_day_ends_as_a_good_one(box: Sandbox, seed: int) -> None:
    """One request in five goes wrong: nothing is bought twice, nothing is missing."""
    rows = unique(FLEET)
    async with Operator(box) as calm:
        await calm.settle(rows)
        wanted = await calm.state()
    async with Sandbox(seed=seed, faults=BAD_DAY) as bad:
        async with Operator(
            bad, real_time=True, settle_time=0.4, attempt_timeout=0.15, deadline=3.0
        ) as operator:
            await applied_until_done(operator, rows)
            bad.faults = Faults()
            await operator.settle(rows)
            state = await operator.state()
        assert len(bad.ledger.purchases) == 12
        owned = [(name, number) for name in CLIENTS for number in bad.ledger.owned(name)]
        assert len(set(owned)) == len(owned) == len(rows)
    assert sorted(map(repr, state.numbers.values())) == sorted(map(repr, wanted.numbers.values()))
    assert state.notes.keys() == wanted.notes.keys()


async def applied_until_done(operator: Operator, rows: Sequence[FleetRow]) -> None:
    for _ in range(30):
        try:
            ends = await operator.apply(rows)
        except SigmaMindError:
            continue  # the account could not be read this time
        if set(ends.values()) == {"done"}:
            return
    raise AssertionError("never done")


# --- runs that end early -----------------------------------------------------------------------

ROWS = [bought(f"row {index} {name}", name) for name in CLIENTS for index in range(3)]


class SpillingReportError(Exception):
    """Whoever is told cannot take it."""


@pytest.mark.parametrize("first", [0, 4])
async def test_a_report_that_raises_stops_the_run(
    box: Sandbox, operator: Operator, first: int
) -> None:
    """Every step is told of once, and what is under way is settled; then it comes through."""
    told: list[StepOutcome] = []

    def report(outcome: StepOutcome) -> None:
        told.append(outcome)
        if len(told) > first:
            raise SpillingReportError(outcome.step.id)

    made = await operator.planned(ROWS)
    run = operator.running(made, report)
    with pytest.raises(SpillingReportError) as raised:
        await run.carry_out()
    assert str(raised.value) == told[first].step.id
    assert sorted(one.step.id for one in told) == sorted(row.id for row in ROWS)
    assert {one.status for one in told} <= {"done", "skipped"}
    assert operator.dispatcher is not None
    progress = operator.dispatcher.progress
    assert progress.finished == progress.total == len(ROWS)
    await operator.settle(ROWS)
    assert len(box.ledger.purchases) == len(ROWS)


class Forgetful(MemoryJournal):
    """Can be written to, but for notes, from some note on."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        self.most -= 1
        if self.most < 0:
            raise JournalError("the disk is full")
        await super().set_last_applied(row_id, text)


@pytest.mark.parametrize("most", range(0, 24, 4))
async def test_a_journal_that_takes_no_notes_stops_the_run(box: Sandbox, most: int) -> None:
    """What was carried out and could not be noted is unconfirmed, until it is found again."""
    journal = Forgetful(most)
    async with Operator(box, journal) as operator:
        made = await operator.planned(ROWS)
        with suppress(JournalError):
            await operator.carry_out(made)
            pytest.fail("it ends as if all were well") if most else None
        ends = Counter(one.status for one in operator.told)
        assert ends["unconfirmed"] <= len(box.ledger.purchases)
        if not most:  # a purchase that cannot be announced is not made
            assert ends == {"failed": len(ROWS)}
            assert not sent(box)
        assert operator.dispatcher is not None
        assert operator.dispatcher.progress.finished == len(ROWS)
        journal.most = 1_000
        await operator.settle(ROWS)
    assert len(box.ledger.purchases) == len(ROWS)


async def test_a_plan_for_a_platform_without_a_provisioner_is_refused(
    box: Sandbox, operator: Operator
) -> None:
    """A number that moves must not be left on both platforms."""
    await operator.settle([imported("moves", "verbex", OWN)])
    since = len(box.ledger)
    made = await operator.planned([imported("moves", "sigmamind", OWN)], allow_release=True)
    del operator.clients["verbex"]
    with pytest.raises(ConfigurationError, match="there is none for verbex"):
        await operator.running(made, print).carry_out()
    assert commits(box, since) == []


async def test_nothing_is_unconfirmed_in_the_end(operator: Operator) -> None:
    await operator.apply(ROWS)
    assert operator.dispatcher is not None
    assert operator.dispatcher.unconfirmed == 0

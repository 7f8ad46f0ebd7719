"""A long plan is made in linear time and memory, and carried out in flat memory."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import attrs
import orjson
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.fleet.apply import apply
from sigmamind_async.fleet.dispatcher import StepOutcome
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.spec import Fleet, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, LastApplied
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.operation import Response
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.testing import ScriptedTransport, reply
from sigmamind_async.transport import HttpRequest
from tests.functional.fleets import Operator, bought

pytestmark = pytest.mark.usefixtures("unmeasured")  # the same many times

MIB = 1 << 20
FEW, MANY = 200, 800
"""Rows: tracing takes several times as long as they do, and growth shows from row to row."""
PER_ROW = 100
"""Bytes that a further row may cost: less than any object that were kept for each."""


def number(index: int) -> str:
    return f"+1{2_000_000_000 + index}"


def known_of(count: int) -> FleetState:
    """Return what is known of so many numbers, all with another label than is wanted."""
    return FleetState(
        numbers={
            "sigmamind": {
                number(index): RemoteNumber(
                    platform="sigmamind",
                    record=number(index),
                    phone_number=number(index),
                    shown={"label": "Old"},
                )
                for index in range(count)
            }
        },
        last_applied={
            f"row {index}": LastApplied(
                platform="sigmamind",
                record=number(index),
                phone_number=number(index),
                source="existing",
                sequence=1,
                fields={"label": "Old"},
            )
            for index in range(count)
        },
    )


def fleet_of(count: int) -> Fleet:
    return Fleet(
        rows=[
            FleetRow(
                id=f"row {index}",
                platform="sigmamind",
                source=Source.EXISTING,
                fields={"phone_number": number(index), "label": "New"},
            )
            for index in range(count)
        ]
    )


def answer(outgoing: HttpRequest) -> Response:
    """Answer an update as the platform does."""
    label = orjson.loads(outgoing.body or b"{}").get("friendlyName")
    key = outgoing.url.rpartition("/")[2].replace("%2B", "+")
    return reply(json={"sipPhoneNumber": key, "active": True, "friendlyName": label})


async def grown(count: int, path: Path, *, keeping: int = 0) -> int:
    """Return by how many bytes a run of so many updates grew; keep *keeping* bytes of each."""
    known, fleet = known_of(count), fleet_of(count)
    made = plan(fleet, known)
    client = SigmaMind("sk", transport=ScriptedTransport(answer, remember=1), max_connections=20)
    ends: Counter[str] = Counter()
    kept: list[bytes] = []

    def report(outcome: StepOutcome) -> None:
        ends[outcome.status] += 1
        if keeping:
            kept.append(bytes(keeping))

    async with SqliteJournal(path / "journal.db") as journal:
        run = apply(made, [Provisioner(client, journal)], state=known, report=report)
        gc.collect()
        tracemalloc.start()
        try:
            await run
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert ends == {"done": count}
    return most


async def test_memory_does_not_grow_with_the_plan(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A long run meets each moment that needs more; a short one may not, so several are made."""
    await grown(10, tmp_path_factory.mktemp("first"))  # fills what is made once
    few = max([await grown(FEW, tmp_path_factory.mktemp("few")) for _ in range(4)])
    many = min([await grown(MANY, tmp_path_factory.mktemp("many")) for _ in range(2)])
    assert many <= MIB
    assert many - few < PER_ROW * (MANY - FEW)
    # The control: what is kept of each row is seen, also above what the start takes for a moment.
    kept = await grown(MANY, tmp_path_factory.mktemp("kept"), keeping=10 * PER_ROW)
    assert kept - few > PER_ROW * (MANY - FEW)


async def test_rows_are_finished_as_they_come() -> None:
    """What is to be written behind a purchase does not wait, in memory, for all other purchases."""
    rows = [bought(f"row {index}", "dialnexa") for index in range(40)]
    async with Sandbox(seed=1) as box, Operator(box, max_connections=2) as operator:
        made = await operator.planned(rows)
        before: list[int] = []
        run = operator.running(made, lambda _: before.append(len(box.ledger.purchases)))
        await run.carry_out()
        assert before[0] < 20
        assert before[-1] == len(before) == len(rows)


# --- the plan itself ----------------------------------------------------------------------------

PER_PLANNED_ROW = 3_000
"""Bytes that planning a further row may take, its step or problem included."""


def renamed(fleet: Fleet) -> Fleet:
    """Return *fleet* with new ids for rows that buy: each must be compared with those removed."""
    return Fleet(
        rows=[
            attrs.evolve(
                each,
                id=f"new {each.id}",
                source=Source.PURCHASE,
                fields={"country_code": "US", "label": "New"},
            )
            for each in fleet.rows
        ]
    )


def bought_before(state: FleetState) -> FleetState:
    notes = {
        row_id: attrs.evolve(note, source="purchase", fields={"area_code": 200 + place % 300})
        for place, (row_id, note) in enumerate(state.last_applied.items())
    }
    return attrs.evolve(state, last_applied=notes)


def planning(count: int, *, rename: bool) -> Callable[[], Plan]:
    fleet, state = fleet_of(count), bought_before(known_of(count))
    fleet = renamed(fleet) if rename else fleet
    return lambda: plan(fleet, state)


def memory_of(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions *work* enters: unlike seconds, the same on every machine."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("rename", [False, True])
def test_planning_takes_memory_in_proportion_to_the_rows(rename: bool) -> None:
    """The control keeps as much again of each row, and is seen."""
    few, many = (planning(count, rename=rename) for count in (FEW, MANY))
    few()  # fills what is made once
    least, most = memory_of(few), PER_PLANNED_ROW * (MANY - FEW)
    assert memory_of(many) - least < most

    def waste() -> object:
        return many(), [bytes(PER_PLANNED_ROW) for _ in range(MANY)]

    assert memory_of(waste) - least > most


@pytest.mark.parametrize("rename", [False, True])
def test_planning_takes_time_in_proportion_to_the_rows(rename: bool) -> None:
    """The control looks at each row for each row."""
    few, many = (calls_of(planning(count, rename=rename)) for count in (FEW, 4 * FEW))
    assert many < 4.4 * few

    def compare_all(count: int) -> int:
        rows = fleet_of(count).rows
        return calls_of(lambda: [each.phone_number for _ in rows for each in rows])

    assert compare_all(4 * FEW) > 4.4 * compare_all(FEW)

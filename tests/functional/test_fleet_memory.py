"""A long plan is carried out in flat memory: nothing is kept of a row that has ended."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from pathlib import Path

import orjson
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.fleet.apply import apply
from sigmamind_async.fleet.dispatcher import StepOutcome
from sigmamind_async.fleet.plan import plan
from sigmamind_async.fleet.spec import Fleet, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, LastApplied
from sigmamind_async.fleet.vendor_schema import RemoteNumber
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
    await grown(10, tmp_path_factory.mktemp("first"))  # fills what is made once
    few = await grown(FEW, tmp_path_factory.mktemp("few"))
    many = await grown(MANY, tmp_path_factory.mktemp("many"))
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

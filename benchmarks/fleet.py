"""What a fleet costs: planning ten thousand rows, and the memory of applying a hundred thousand.

The rows are on all three platforms, and every tenth of them differs from what its account shows.
Applying them changes every row of one platform, answered from a script in this process; what is
measured is how far the traced memory rises above what the plan itself needs, for two sizes.
"""

import gc
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from sigmamind_async import SigmaMind
from sigmamind_async.fleet import (
    Fleet,
    FleetRow,
    FleetState,
    Plan,
    RemoteNumber,
    Source,
    apply,
    load,
    plan,
)
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.testing import ScriptedTransport, reply

T = TypeVar("T")

PLATFORMS = ("sigmamind", "verbex", "dialnexa")


@attrs.frozen(kw_only=True)
class PlanCost:
    """Processor seconds, the best of several rounds."""

    rows: int
    load: float
    """Reading the file and checking each row."""
    plan: float
    """Comparing the rows with as many numbers that were found."""
    writes: int
    """Steps that the plan comes to."""


@attrs.frozen(kw_only=True)
class ApplyMemory:
    """Highest traced memory while a plan is applied, above what was there before, in MiB."""

    rows: int
    rise: float
    seconds: float


def plan_cost(*, count: int = 10_000, rounds: int = 5) -> PlanCost:
    """Measure reading and planning a file of *count* rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fleet.jsonl")
        path.write_text("\n".join(json.dumps(wanted(place)) for place in range(count)))
        loading = [timed(lambda: load(path)) for _ in range(rounds)]
    fleet, known = loading[0][1], known_of(count)
    assert not fleet.problems
    planning = [timed(lambda: plan(fleet, known)) for _ in range(rounds)]
    return PlanCost(
        rows=count,
        load=min(seconds for seconds, _ in loading),
        plan=min(seconds for seconds, _ in planning),
        writes=planning[0][1].writes,
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the processor seconds that *work* took, and what it returned."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


async def apply_memory(count: int) -> ApplyMemory:
    """Measure applying a change of *count* numbers."""
    todo, known = changes_of(count)
    transport = ScriptedTransport(
        lambda sent: reply(200, {"sipPhoneNumber": f"+{sent.url.rpartition('%2B')[2]}"}), remember=1
    )
    with tempfile.TemporaryDirectory() as folder:
        async with (
            SigmaMind("key", transport=transport) as client,
            SqliteJournal(Path(folder, "fleet.db")) as journal,
        ):
            run = apply(todo, [Provisioner(client, journal)], state=known)
            gc.collect()
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            began = time.monotonic()
            await run
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    return ApplyMemory(rows=count, rise=(peak - before) / 2**20, seconds=time.monotonic() - began)


def number_of(place: int) -> str:
    return f"+1415{5_550_000 + place:07d}"


def wanted(place: int) -> dict[str, str]:
    """Return a row as it stands in a file."""
    return {
        "id": f"desk-{place}",
        "platform": PLATFORMS[place % 3],
        "source": "existing",
        "phone_number": number_of(place),
        "label": f"Desk {place}",
        "inbound_agent_id": f"agent_{place % 50}",
    }


def known_of(count: int) -> FleetState:
    """Return an account state in which every tenth label is another one."""
    found: dict[str, dict[str, RemoteNumber]] = {platform: {} for platform in PLATFORMS}
    for place in range(count):
        row = wanted(place)
        record = row["phone_number"] if row["platform"] == "sigmamind" else f"id{place}"
        label = "another" if place % 10 == 0 else row["label"]
        shown = {"label": label, "inbound_agent_id": row["inbound_agent_id"]}
        found[row["platform"]][record] = RemoteNumber(
            platform=row["platform"], record=record, phone_number=row["phone_number"], shown=shown
        )
    return FleetState(numbers=found)


def changes_of(count: int) -> tuple[Plan, FleetState]:
    """Return the plan that gives each of *count* numbers another label."""
    numbers = [number_of(place) for place in range(count)]
    rows = [
        FleetRow(
            id=f"desk-{place}",
            platform="sigmamind",
            source=Source.EXISTING,
            fields={"phone_number": number, "label": "New"},
        )
        for place, number in enumerate(numbers)
    ]
    found = {
        number: RemoteNumber(
            platform="sigmamind", record=number, phone_number=number, shown={"label": "Old"}
        )
        for number in numbers
    }
    known = FleetState(numbers={"sigmamind": found})
    return plan(Fleet(rows=rows), known), known

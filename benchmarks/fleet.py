"""What a fleet costs: planning ten thousand rows, and the memory of applying a hundred thousand.

The rows are on all three platforms, and every tenth of them differs from what its account shows.
Applying them changes every row of one platform, answered from a script in this process; what is
measured is how far the traced memory rises above what the plan itself needs, for two sizes. And
what the command needs that applies so many rows a second time, when all of them are settled.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import attrs

from sigmamind_async import SigmaMind
from sigmamind_async.fleet import (
    Fleet,
    FleetRow,
    FleetState,
    LastApplied,
    Plan,
    RemoteNumber,
    Source,
    apply,
    load,
    plan,
)
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.provisioning.fingerprint import new_row
from sigmamind_async.provisioning.row import Kind, State
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


# --- a second apply --------------------------------------------------------------------------

AGENTS = 50
CHUNK = 500
"""Rows that are written to the journal together."""


def second_apply(count: int) -> dict[str, float]:
    """Measure the command that applies *count* purchases which are done and listed already."""
    fields = ("country_code", "area_code", "label", "inbound_agent_id")
    with tempfile.TemporaryDirectory() as folder, listing(count) as url:
        path = Path(folder, "fleet.csv")
        rows = (",".join(map(str, purchase(place).values())) for place in range(count))
        lines = (f"desk-{place},sigmamind,purchase,{row}" for place, row in enumerate(rows))
        path.write_text("\n".join([f"id,platform,source,{','.join(fields)}", *lines]))
        asyncio.run(settle(Path(f"{path}.journal.db"), count))
        environment = {
            **os.environ,
            "SIGMAMIND_BASE_URL": url,
            "SIGMAMIND_API_KEY": "sk_bench",
            "XDG_STATE_HOME": folder,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "sigmamind_async", "apply", path, "--json"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"exit code {os.waitstatus_to_exitcode(status)}"
    return {
        "highest resident memory, MiB": usage.ru_maxrss / 1024,
        "processor seconds": usage.ru_utime + usage.ru_stime,
    }


def purchase(place: int) -> dict[str, str | int]:
    agent = f"agent_{place % AGENTS}"
    return {
        "country_code": "US",
        "area_code": 415,
        "label": f"Desk {place}",
        "inbound_agent_id": agent,
    }


async def settle(path: Path, count: int) -> None:
    """Write a journal in which so many purchases are done, and noted."""
    async with SqliteJournal(path) as journal:

        async def note(place: int) -> None:
            fields, number = purchase(place), number_of(place)
            label, agent = str(fields["label"]), str(fields["inbound_agent_id"])
            value = CreatePhoneNumber(
                country_code="US", area_code=415, friendly_name=label, inbound_agent_id=agent
            )
            row = new_row(
                f"desk-{place} #1",
                value,
                kind=Kind.PURCHASE,
                key="",
                journal_id=journal.journal_id,
                account="sigmamind",
            )
            result = {"sipPhoneNumber": number, "friendlyName": label}
            done = {"state": State.DONE, "phone_number": number, "record": number, "version": 1}
            await journal.put(attrs.evolve(row, **done, result=result))  # type: ignore[arg-type]
            applied = LastApplied(
                platform="sigmamind",
                record=number,
                phone_number=number,
                source="purchase",
                sequence=1,
                fields=fields,
            )
            await journal.set_last_applied(f"desk-{place}", applied.dump())

        for first in range(0, count, CHUNK):
            await asyncio.gather(*map(note, range(first, min(first + CHUNK, count))))


@contextmanager
def listing(count: int) -> Generator[str]:
    """Be an account with so many numbers, in a thread; give its base URL."""
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # it was closed
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = json.dumps(page_of(head.split()[1].decode(), count)).encode()
                about = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
                writer.write(f"HTTP/1.1 200 OK\r\n{about}\r\n\r\n".encode() + body)

    async def serve() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(serve(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def page_of(path: str, count: int) -> dict[str, object]:
    asked = parse_qs(urlsplit(path).query)
    size = int(asked.get("size", ["100"])[0])
    first = int(asked.get("page", ["0"])[0]) * size
    if "agents" in path:
        count = AGENTS
        data = [{"agentId": f"agent_{place}"} for place in range(count)]
    else:
        data = [record_of(place) for place in range(first, min(first + size, count))]
    return {
        "data": data,
        "page": first // size,
        "size": size,
        "totalCount": count,
        "totalPages": -(-count // size),
        "hasNext": first + size < count,
        "hasPrevious": first > 0,
    }


def record_of(place: int) -> dict[str, str]:
    fields = purchase(place)
    return {
        "sipPhoneNumber": number_of(place),
        "friendlyName": str(fields["label"]),
        "inboundAgentId": str(fields["inbound_agent_id"]),
    }

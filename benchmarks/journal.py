"""What the journal costs a purchase: the same one through the client, and through a `Provisioner`.

The platform answers at once, from a script in this process, so that nothing but the library and
the disk is measured. The journal's file is in the current directory: a temporary one may be in
memory, where a write costs nothing. A purchase waits for the disk twice; what one such wait takes
at the same time stands beside it, because on a busy machine it is most of the share.
"""

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs

from benchmarks.measure import Block, Quartiles, alternate, concurrently, quartiles
from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Journal, MemoryJournal, Provisioner, SqliteJournal
from sigmamind_async.testing import ScriptedTransport, reply

VALUE = CreatePhoneNumber(country_code="US", friendly_name="Support Line - US")
RECORD = {
    "sipPhoneNumber": "+14155550100",
    "provider": "twilio",
    "inboundAgentId": None,
    "outboundAgentId": None,
    "outboundPhoneNumber": None,
    "active": True,
    "friendlyName": "Support Line - US",
}
WIDTH = 100
ALONE = "client alone"

Buy = Callable[[int], Awaitable[object]]


@attrs.frozen(kw_only=True)
class JournalCost:
    """By the name of the journal; the client without one is ``client alone``."""

    latency_ms: dict[str, tuple[float, float]]
    """Median and 99th percentile of one purchase at a time."""
    share_ms: dict[str, tuple[float, float]]
    """The same of what it takes longer than the median of the client alone, round by round."""
    cpu_us: dict[str, Quartiles]
    """Processor time a purchase, all threads, with 100 under way."""
    speed: dict[str, Quartiles]
    """Purchases a second, likewise."""
    disk_ms: tuple[float, float]
    """Median and 99th percentile of writing 4 KiB to the disk, in the same rounds."""


async def journal_cost(*, calls: int = 1000, rounds: int = 30) -> JournalCost:
    """Measure the client alone and with both journals, in alternated blocks."""
    transport = ScriptedTransport(lambda _: reply(201, RECORD), remember=1)
    with tempfile.TemporaryDirectory(dir=".", prefix=".journal-") as folder:
        async with (
            SigmaMind("key", transport=transport, max_connections=WIDTH) as client,
            SqliteJournal(Path(folder, "orders.db")) as on_disk,
        ):
            cases = {
                ALONE: lambda _: client.run(VALUE),
                "MemoryJournal": through(client, MemoryJournal()),
                "SqliteJournal": through(client, on_disk),
            }
            taken: dict[str, list[list[float]]] = {name: [] for name in cases}
            disk: list[list[float]] = []
            one_by_one = {name: timed(buy, taken[name]) for name, buy in cases.items()}
            one_by_one["disk"] = timed(writing(Path(folder, "plain")), disk)
            await alternate(one_by_one, calls=calls // 5, rounds=rounds)
            together = {name: wide(buy) for name, buy in cases.items()}
            samples = await alternate(together, calls=calls, rounds=rounds)
    alone = [statistics.median(block) for block in taken[ALONE]]
    return JournalCost(
        latency_ms={name: ends(itertools.chain(*blocks)) for name, blocks in taken.items()},
        share_ms={
            name: ends(
                seconds - base
                for base, block in zip(alone, blocks, strict=True)
                for seconds in block
            )
            for name, blocks in taken.items()
            if name != ALONE
        },
        cpu_us={
            name: quartiles([1e6 * one.cpu for one in blocks]) for name, blocks in samples.items()
        },
        speed={
            name: quartiles([1 / one.wall for one in blocks]) for name, blocks in samples.items()
        },
        disk_ms=ends(itertools.chain(*disk)),
    )


def through(client: SigmaMind, journal: Journal) -> Buy:
    """Return what buys with *journal*, each time as a new operation."""
    provisioner, numbers = Provisioner(client, journal), itertools.count()
    return lambda _: provisioner.run(f"order-{next(numbers)}", VALUE)


def writing(path: Path) -> Buy:
    """Return what writes 4 KiB to a file and waits for the disk."""
    page = bytes(4096)

    async def write(_: int) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(page)
            os.fsync(file.fileno())

    return write


def timed(buy: Buy, taken: list[list[float]]) -> Block:
    """Return a block that buys one by one and adds its seconds to *taken*."""

    async def block(calls: int) -> None:
        seconds: list[float] = []
        for number in range(calls):
            began = time.perf_counter()
            await buy(number)
            seconds.append(time.perf_counter() - began)
        taken.append(seconds)

    return block


def wide(buy: Buy) -> Block:
    return lambda calls: concurrently(buy, calls, WIDTH)


def ends(seconds: Iterator[float]) -> tuple[float, float]:
    """Return median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * statistics.median(ordered), 1000 * ordered[int(0.99 * (len(ordered) - 1))]

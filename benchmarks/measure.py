"""How things are measured here: alternated blocks in one process, ratios between neighbours.

The speed of a shared machine swings by a factor within a second. Absolute times from it mean
little; what two ways of doing the same cost relative to one another, block beside block, does.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

Block = Callable[[int], Awaitable[None]]
"""Makes the given number of calls."""


Quartiles = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


@attrs.frozen(kw_only=True)
class Sample:
    """One block of calls."""

    cpu: float
    """Processor seconds of this process a call."""
    wall: float
    """Seconds a call."""


@contextmanager
def server_process() -> Iterator[str]:
    """Run the answering server in a process of its own; give its base URL."""
    script = Path(__file__).with_name("server.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def stay_on_first_core() -> None:
    """Keep this process off the server's core, where there are two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})


async def concurrently(call: Callable[[int], Awaitable[object]], calls: int, width: int) -> None:
    """Make *calls* calls with *width* workers on one iterator."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


async def alternate(
    cases: Mapping[str, Block], *, calls: int, rounds: int
) -> dict[str, list[Sample]]:
    """Run every case once a round, in an order drawn anew each time."""
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for block in cases.values():
        await block(calls)
    # Lets the allocator keep what the transport's large reads give back: without it every read
    # costs a map and an unmap, in whichever case happens to come first.
    bytes(1 << 20)
    for _ in range(rounds):
        for name in random.sample(list(cases), len(cases)):
            cpu, wall = time.process_time(), time.perf_counter()
            await cases[name](calls)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            samples[name].append(Sample(cpu=cpu / calls, wall=wall / calls))
    return samples


def ratios(a: list[Sample], b: list[Sample]) -> list[float]:
    """Return, round by round, how many times the calls a second of *b* are those of *a*."""
    return [one.wall / other.wall for one, other in zip(b, a, strict=True)]


def quartiles(values: list[float]) -> Quartiles:
    """Return the quartiles of *values*."""
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high

"""How things are measured here: alternated blocks in one process, ratios between neighbours.

The speed of a shared machine swings by a factor within a second. Absolute times from it mean
little; what two ways of doing the same cost relative to one another, block beside block, does.
Processor time is the main figure: on one core it is the throughput, and what else runs on the
machine takes less of it away than of the clock on the wall.
"""

import asyncio
import gc
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import attrs

Block = Callable[[int], Awaitable[None]]
"""Makes the given number of calls."""


Quartiles = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""

CORES: list[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Processors of this process at its start; none where the system does not say."""


@attrs.frozen(kw_only=True)
class Sample:
    """One block of calls."""

    cpu: float
    """Processor seconds of this process a call."""
    wall: float
    """Seconds a call."""


Samples = dict[str, list[Sample]]
"""The blocks of each case; blocks at the same place are of the same round."""


@contextmanager
def server_process(*options: str, scheme: str = "http") -> Iterator[str]:
    """Run the answering server in a process on the last core; give its base URL."""
    core = ("--core", str(CORES[-1])) if len(CORES) > 1 else ()
    command = [sys.executable, str(Path(__file__).with_name("server.py")), *core, *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"{scheme}://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


@contextmanager
def on_first_core() -> Iterator[None]:
    """Keep this process off the server's core, where there are two."""
    if len(CORES) < 2:
        yield
        return
    os.sched_setaffinity(0, CORES[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


async def concurrently(call: Callable[[int], Awaitable[object]], calls: int, width: int) -> None:
    """Make *calls* calls with *width* workers on one iterator."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


async def alternate(cases: Mapping[str, Block], *, calls: int, rounds: int) -> Samples:
    """Run every case once a round, in an order drawn anew each time."""
    samples: Samples = {name: [] for name in cases}
    for block in cases.values():
        await block(calls)
    settle_allocator()
    for name in turns(cases, rounds):
        with sampling(samples[name], calls):
            await cases[name](calls)
    return samples


def alternate_loops(
    cases: Mapping[str, tuple[asyncio.Runner, Block]], *, calls: int, rounds: int
) -> Samples:
    """Do as `alternate` does, with an event loop for each case."""
    samples: Samples = {name: [] for name in cases}

    async def run(block: Block) -> None:
        await block(calls)

    for runner, block in cases.values():
        runner.run(run(block))
    settle_allocator()
    for name in turns(cases, rounds):
        runner, block = cases[name]
        with sampling(samples[name], calls):
            runner.run(run(block))
    return samples


def turns(cases: Iterable[str], rounds: int) -> Iterator[str]:
    """Yield every case once a round."""
    names = list(cases)
    for _ in range(rounds):
        yield from random.sample(names, len(names))


@contextmanager
def sampling(samples: list[Sample], calls: int) -> Iterator[None]:
    """Measure what happens inside as one block of *calls* calls."""
    gc.collect()  # no case pays for another's garbage
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    samples.append(Sample(cpu=cpu / calls, wall=wall / calls))


async def functions_called(block: Block, calls: int) -> int:
    """Return how many functions, of Python and of C, *block* calls."""
    count = 0

    def see(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(see)
    try:
        await block(calls)
    finally:
        sys.setprofile(None)
    return count


def settle_allocator() -> None:
    """Let the allocator keep what the transport's large reads give back.

    Without it every read costs a map and an unmap, in whichever case happens to come first.
    """
    bytes(1 << 20)


def ratios(a: list[Sample], b: list[Sample]) -> list[float]:
    """Return, round by round, the processor time of *a* as a multiple of that of *b*."""
    return [one.cpu / other.cpu for one, other in zip(a, b, strict=True)]


def differences(a: list[Sample], b: list[Sample]) -> list[float]:
    """Return, round by round, the processor seconds of a call of *a* above those of *b*."""
    return [one.cpu - other.cpu for one, other in zip(a, b, strict=True)]


def quartiles(values: Iterable[float]) -> Quartiles:
    """Return the quartiles of *values*."""
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def times(factor: float, values: Iterable[float]) -> list[float]:
    """Return *values* in another unit."""
    return [factor * value for value in values]

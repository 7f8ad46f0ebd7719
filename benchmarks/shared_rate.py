"""How exactly several processes keep to one rate that is in a row of PostgreSQL, and what it costs.

    python -m benchmarks.shared_rate [--dsn DSN]

Processes with twenty callers each, who want to send all the time, are told a rate; every admission
is written down by the database's clock. Without a DSN the server of the tests is started.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

import attrs

from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.workers.rates import RateReply, RateReport, SharedRates
from sigmamind_async.workers.shared_gate import SharedGate

CALLERS = 20
SCHEMA = "benchmark_shared_rate"


@attrs.frozen(kw_only=True)
class Exactness:
    """What became of a rate."""

    rate: float
    """The one that was to be kept."""
    processes: int
    kept: float
    """Admissions a second."""
    worst: int
    """Admissions in the worst second, wherever it begins."""
    parts: tuple[int, ...]
    """Admissions of each process."""
    asked: float
    """Questions to the database a second, of all processes."""

    @property
    def is_kept(self) -> bool:
        """Whether it is within 5 %, and no second more than 10 % above."""
        return abs(self.kept / self.rate - 1) <= 0.05 and self.worst <= 1.1 * self.rate


@attrs.frozen(kw_only=True)
class Cost:
    """What one admission costs, by who grants it: quartiles, in microseconds."""

    alone: tuple[float, ...]
    """A `Gate`."""
    free: tuple[float, ...]
    """A `SharedGate` where nothing was ever refused."""
    asking: tuple[float, ...]
    """A `SharedGate` where each caller comes alone and has to ask."""


def exactness(dsn: str, *, rate: float, processes: int = 3, seconds: float = 10.0) -> Exactness:
    """Let *processes* keep to *rate* for so many *seconds*."""
    account = f"{rate:g} a second, {processes}, {time.time_ns()}"
    asyncio.run(_know(dsn, account, rate))
    command = [sys.executable, "-m", "benchmarks.shared_rate", "--dsn", dsn]
    command += ["--account", account, "--seconds", str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(processes)]  # type: ignore[call-overload]
    for process in started:
        process.stdout.readline()  # it is ready
    told = [json.loads(text) for text in _all_at_once(started)]
    # The first to begin are alone for a while: the time that all share is what counts.
    begin = max(one["times"][0] for one in told)
    end = min(one["times"][-1] for one in told)
    parts = [[at for at in one["times"] if begin <= at < end] for one in told]
    together = sorted(at for part in parts for at in part)
    return Exactness(
        rate=rate,
        processes=processes,
        kept=len(together) / (end - begin),
        worst=_worst_second(together),
        parts=tuple(map(len, parts)),
        asked=sum(one["asked"] / (one["times"][-1] - one["times"][0]) for one in told),
    )


def _all_at_once(started: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Let all processes begin; return what they print."""
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    return [process.communicate()[0] for process in started]


def cost(dsn: str, *, rounds: int = 9, calls: int = 300) -> Cost:
    """Measure single admissions, one after the other, in blocks that take turns."""
    return asyncio.run(_cost(dsn, rounds, calls))


async def _cost(dsn: str, rounds: int, calls: int) -> Cost:
    quick, slow = f"quick {time.time_ns()}", f"free {time.time_ns()}"
    await _know(dsn, quick, 1e6)
    async with PostgresJournal(dsn, schema=SCHEMA) as journal:
        gates = [Gate(), SharedGate(slow, journal), SharedGate(quick, journal)]
        taken: list[list[float]] = [[] for _ in gates]
        for _ in range(rounds):
            for gate, into in zip(gates, taken, strict=True):
                into.append(await _each(gate, calls))
    alone, free, asking = (tuple(statistics.quantiles(some)) for some in taken)
    return Cost(alone=alone, free=free, asking=asking)


async def _each(gate: Gate, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        permit = await gate.acquire(width=CALLERS, deadline=math.inf)
        gate.release(permit)
    return 1e6 * (time.perf_counter() - began) / calls


async def _know(dsn: str, account: str, rate: float) -> None:
    insert = "INSERT INTO {schema}.rates (account, rate) VALUES (%s, %s)"
    async with PostgresJournal(dsn, schema=SCHEMA) as journal:
        await journal.run(
            lambda connection: connection.execute(journal.sql(insert), (account, rate))
        )


@attrs.define
class Counting:
    """The database, and how often it was asked."""

    rates: SharedRates
    asked: int = 0

    def now(self) -> float:
        return self.rates.now()

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateReply]:
        self.asked += 1
        return self.rates.exchange(account, report)


async def _admissions(dsn: str, account: str, seconds: float) -> dict[str, object]:
    times: list[float] = []
    async with PostgresJournal(dsn, schema=SCHEMA) as journal:
        counting = Counting(SharedRates(journal))
        gate = SharedGate(account, counting)
        print("ready", flush=True)
        sys.stdin.read()
        until = time.monotonic() + seconds

        async def call() -> None:
            while time.monotonic() < until:
                permit = await gate.acquire(width=CALLERS, deadline=math.inf)
                times.append(journal.now())
                gate.release(permit)

        await asyncio.gather(*(call() for _ in range(CALLERS)))
    return {"times": sorted(times), "asked": counting.asked}


def _worst_second(times: Sequence[float]) -> int:
    return max(bisect.bisect_left(times, at + 1.0) - index for index, at in enumerate(times))


def show(dsn: str, *, quick: bool = False) -> dict[str, object]:
    """Measure all there is, print it, and return it."""
    found = [
        exactness(dsn, rate=rate, processes=processes, seconds=3.0 if quick else 10.0)
        for rate in (10.0, 100.0, 500.0)
        for processes in ((3,) if quick else (1, 2, 3))
    ]
    print("\nOne rate for several processes, through one row of PostgreSQL")
    for one in found:
        print(
            f"  {one.rate:5g} a second, {one.processes} processes: kept {one.kept:.1f}, worst"
            f" second {one.worst}, parts {one.parts}, {one.asked:.0f} questions a second"
            f"{'' if one.is_kept else '  not as promised'}"
        )
    paid = cost(dsn, rounds=3 if quick else 9)
    print("\nOne admission, microseconds: quartiles")
    for name, quartiles in attrs.asdict(paid).items():
        print(f"  {name:8}" + "".join(f"{value:9.1f}" for value in quartiles))
    return {"exactness": [attrs.asdict(one) for one in found], "cost": attrs.asdict(paid)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--account", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.account:
        print(json.dumps(asyncio.run(_admissions(chosen.dsn, chosen.account, chosen.seconds))))
        return
    from tests.harness.postgres import running

    with nullcontext() if chosen.dsn else running() as server:
        show(chosen.dsn if server is None else server.dsn(), quick=chosen.quick)


if __name__ == "__main__":
    main()

"""A fleet bought by several workers through faults, kill -9 and SIGSTOP, and how fast.

``python -m benchmarks workers`` runs a platform that misbehaves (`shop`), a PostgreSQL server,
worker processes (`consumer`) on the queue in it, and a process that applies a fleet of purchases
through them (`applier`). A share of all requests meets one of 16 kinds of faults, as in
`purchases`. Again and again one of the workers, or the applying process, is killed with SIGKILL and
another one started in its place, or a worker is stopped for some seconds and goes on where it was.
The judge is the platform's ledger: the numbers that are held in the end, against the rows of the
journal. It is over when a plan that is made anew has nothing left to do.

``--bare`` takes the journal away and leaves the queue: an unconfirmed purchase is then sent again.

``--speed`` measures instead how many numbers one, two and three workers buy in a second where
nothing goes wrong. All of them share the cores of this machine with the platform and the server.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, LiteralString, TypeAlias

import attrs
import psycopg

from sigmamind_async.provisioning import PostgresJournal, Row, State
from sigmamind_async.sandbox import Ledger
from sigmamind_async.workers import Queue
from tests.harness import preloaded, purchases
from tests.harness.buyer import operations
from tests.harness.postgres import running
from tests.harness.purchases import (
    HERE,
    LAG,
    LATE,
    SETTLE_TIME,
    Shop,
    Verdict,
    row_name,
    shop_process,
)
from tests.harness.purchases import Plan as ShopPlan

PATIENCE = 1200.0
"""Longest time in seconds that all workers together may take."""
TICK = 0.2
WAITING: LiteralString = (
    "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    " AND task_name = 'sigmamind:provision'"
)


@attrs.frozen(kw_only=True)
class Plan:
    """What is bought by whom, and what goes wrong meanwhile."""

    count: int = 10_000
    workers: int = 3
    faults: float = 0.2
    """Share of the requests that go wrong."""
    kills: int = 10
    """Kills of workers."""
    apply_kills: int = 5
    """Kills of the process that applies the fleet."""
    stops: int = 3
    frozen: float = 6.0
    """Seconds for which a stopped worker does nothing."""
    seed: int = 1
    width: int = 25
    """Jobs under way at once in each worker."""
    late: float = LATE
    lag: float = LAG
    settle_time: float = SETTLE_TIME
    every: int = 2
    """Seconds between two sweeps, and between two reconciliations."""
    bare: bool = False
    """Whether there is no journal."""
    forgetful: bool = False
    """Whether each start of the applying process gives its purchases new ids."""


@attrs.frozen(kw_only=True)
class Report:
    """How a run went."""

    verdict: Verdict
    unsettled: int
    """Operations that are not done in the end."""
    seconds: float
    """From the first worker's start until all was bought."""
    faults: dict[str, int]
    """Requests by the fault they met."""
    adopted: int
    resent: int
    released: int
    """Duplicates that late requests bought, which were found and released."""
    ended: int
    """Processes that ended without being told to."""
    rate: float
    """Purchases a second, the first and the last tenth left out."""


# --- the workers, and what happens to them ---------------------------------------------------


@attrs.define(eq=False)
class Crew:
    """Processes of one kind; one that has ended is replaced."""

    command: Sequence[str]
    has_end: bool = False
    """True for processes that have finished once they end with 0."""
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    frozen: dict[int, float] = attrs.field(factory=dict)
    """When each stopped process goes on."""
    ended: int = 0

    @property
    def has_finished(self) -> bool:
        return self.has_end and all(process.poll() == 0 for process in self.processes)

    def fill(self, count: int) -> None:
        """Let those go on whose time has come, and start what is missing."""
        for place, until in list(self.frozen.items()):
            if time.monotonic() >= until:
                self.processes[place].send_signal(signal.SIGCONT)
                del self.frozen[place]
        for place, process in enumerate(self.processes):
            if process.poll() is not None and not self.has_finished:
                self.ended += 1
                self.processes[place] = self._started()
        while len(self.processes) < count:
            self.processes.append(self._started())

    def kill(self, place: int) -> None:
        self.frozen.pop(place, None)
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._started()

    def stop(self, place: int, seconds: float) -> None:
        self.processes[place].send_signal(signal.SIGSTOP)
        self.frozen[place] = time.monotonic() + seconds

    def dismiss(self) -> list[int]:
        """End all of them as a supervisor would, and return how each ended."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [process.wait(60) for process in self.processes]

    def _started(self) -> subprocess.Popen[bytes]:
        return preloaded.Popen(self.command, cwd=HERE.parents[1])


@contextmanager
def crew(plan: Plan, shop: Shop, dsn: str) -> Iterator[Crew]:
    """Run workers; end what is left of them with the block."""
    options = {"settle-time": plan.settle_time, "width": plan.width, "every": plan.every}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    bare = ["--bare"] if plan.bare else []
    command = [sys.executable, "-m", "tests.harness.consumer", shop.url, shop.key, dsn]
    with started(Crew([*command, *arguments, *bare]), plan.workers) as made:
        yield made


@contextmanager
def applying(plan: Plan, shop: Shop, dsn: str) -> Iterator[Crew]:
    """Run the process that applies the fleet."""
    options = ["--count", str(plan.count)]
    options += ["--forgetful"] * plan.forgetful
    command = [sys.executable, "-m", "tests.harness.applier", shop.url, shop.key, dsn]
    with started(Crew([*command, *options], has_end=True), 1) as made:
        yield made


@contextmanager
def started(made: Crew, count: int) -> Iterator[Crew]:
    """Start *count* processes; end what is left of them with the block."""
    try:
        made.fill(count)
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait()


Deed: TypeAlias = Literal["kill", "kill applier", "stop"]


@attrs.frozen(order=True)
class Moment:
    """Once the platform has had so many requests, this happens to one of the processes."""

    requests: int
    deed: Deed
    place: int


def moments(plan: Plan) -> list[Moment]:
    """Draw what happens when, all of it before everything can be bought."""
    chance = random.Random(plan.seed)
    kills: list[Deed] = ["kill"] * plan.kills
    stops: list[Deed] = ["stop"] * plan.stops
    apply_kills: list[Deed] = ["kill applier"] * (0 if plan.bare else plan.apply_kills)
    span = range(plan.count // 10, plan.count)
    return sorted(
        Moment(chance.choice(span), deed, chance.randrange(plan.workers))
        for deed in kills + stops + apply_kills
    )


# --- the run ---------------------------------------------------------------------------------


def run(plan: Plan, dsn: str, *, meanwhile: Callable[[], object] = lambda: None) -> Report:
    """Buy everything that *plan* says with the empty database of *dsn*, and judge it.

    *meanwhile* is called once, when half of it has been asked for.
    """
    with ExitStack() as stack:
        shop = stack.enter_context(shop_process(_shop_plan(plan)))
        asyncio.run(_prepare(plan, dsn))
        workers = stack.enter_context(crew(plan, shop, dsn))
        began = time.perf_counter()
        applier = None if plan.bare else stack.enter_context(applying(plan, shop, dsn))
        Storm(plan, shop, workers, applier, dsn).rage(meanwhile)
        seconds = time.perf_counter() - began
        ledger = shop.ledger()
        # Time for what came late to be found: it is there now, and two sweeps begin after this.
        time.sleep(0 if plan.bare else 2 * plan.every + plan.lag + 1)
        ledger, faults = shop.ledger(), shop.stats()["requests"]["by_fault"]
        workers.dismiss()
        rows = asyncio.run(_rows(dsn))
    return Report(
        verdict=judge(plan.count, ledger, rows),
        unsettled=sum(row.state is not State.DONE for row in rows),
        seconds=seconds,
        faults=faults,
        adopted=sum(row.adopted for row in rows),
        resent=sum(row.attempt > 1 for row in rows),
        released=sum(len(row.released) for row in rows),
        ended=workers.ended + (0 if applier is None else applier.ended),
        rate=rate_of([row.updated_at for row in rows]),
    )


def rate_of(moments: Sequence[float]) -> float:
    """Return how many a second there were, the first and the last tenth left out."""
    ordered = sorted(moments)
    middle = ordered[len(ordered) // 10 : len(ordered) - len(ordered) // 10]
    span = middle[-1] - middle[0] if middle else 0.0
    return (len(middle) - 1) / span if span else 0.0


@attrs.frozen(eq=False)
class Storm:
    """What happens to the processes until everything is bought."""

    plan: Plan
    shop: Shop
    workers: Crew
    applier: Crew | None
    """None where the operations were enqueued at the beginning."""
    dsn: str

    def rage(self, meanwhile: Callable[[], object]) -> None:
        """Kill and stop processes as drawn, until everything is bought."""
        drawn, called = moments(self.plan), False
        until = time.monotonic() + PATIENCE
        while drawn or self.workers.frozen or not self._is_over():
            if time.monotonic() > until:
                raise RuntimeError("the workers have not bought everything in time")
            requests = self.shop.requests()
            if not called and requests >= self.plan.count // 2:
                called = True
                meanwhile()
            while drawn and self._can_happen(drawn[0], requests):
                self._let_happen(drawn.pop(0))
            self.workers.fill(self.plan.workers)
            if self.applier is not None:
                self.applier.fill(1)
            time.sleep(TICK)

    def _can_happen(self, moment: Moment, requests: int) -> bool:
        is_frozen = moment.deed != "kill applier" and moment.place in self.workers.frozen
        return moment.requests <= requests and not is_frozen

    def _let_happen(self, moment: Moment) -> None:
        if moment.deed == "stop":
            self.workers.stop(moment.place, self.plan.frozen)
        elif moment.deed == "kill":
            self.workers.kill(moment.place)
        elif self.applier is not None:
            self.applier.kill(0)

    def _is_over(self) -> bool:
        if self.applier is not None:
            return self.applier.has_finished
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(WAITING).fetchone() == (0,)


def _shop_plan(plan: Plan) -> ShopPlan:
    return ShopPlan(seed=plan.seed, faults=plan.faults, late=plan.late, lag=plan.lag)


async def _prepare(plan: Plan, dsn: str) -> None:
    queue = Queue(dsn)
    await queue.prepare()
    if plan.bare:
        await queue.enqueue(operations(plan.count))


async def _rows(dsn: str) -> list[Row]:
    async with PostgresJournal(dsn, read_only=True) as journal:
        return await journal.in_states("sigmamind", list(State))


def judge(count: int, ledger: Ledger, rows: Sequence[Row]) -> Verdict:
    """Judge as for one process, but count as bought twice only what is still held.

    A frozen worker that buys late cannot be prevented: what it bought is found, and released.
    An operation is named after its row: ``row-1 #1``.
    """
    held = ledger.owned_twice(by=row_name)
    named = [attrs.evolve(row, op_id=row.op_id.partition(" #")[0]) for row in rows]
    return attrs.evolve(
        purchases.judge(count, ledger, named),
        twice=sum(len(numbers) - 1 for numbers in held.values()),
    )


# --- from the command line -------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, help="numbers to buy: 10000, with --speed 2000")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--faults", type=float, default=0.2, help="share of faulty requests")
    parser.add_argument("--kills", type=int, default=10, help="number of kill -9 of workers")
    parser.add_argument(
        "--apply-kills", type=int, default=5, help="number of kill -9 of the applying process"
    )
    parser.add_argument("--stops", type=int, default=3, help="number of SIGSTOP")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settle-time", type=float, default=SETTLE_TIME, help="seconds")
    parser.add_argument("--bare", action="store_true", help="without a journal")
    parser.add_argument("--speed", action="store_true", help="measure the rate instead")
    parser.add_argument("--postgres", metavar="DSN", help="an empty database to use")


def measure(chosen: argparse.Namespace, figures: dict[str, object]) -> bool:
    """Run, print the report and add it to *figures*; return whether the verdict is clean."""
    if chosen.speed:
        figures["speed"] = speed(chosen.count or 2000, chosen.workers, chosen.seed)
        return True
    plan = Plan(
        count=chosen.count or 10_000,
        workers=chosen.workers,
        faults=chosen.faults,
        kills=chosen.kills,
        apply_kills=chosen.apply_kills,
        stops=chosen.stops,
        seed=chosen.seed,
        settle_time=chosen.settle_time,
        bare=chosen.bare,
    )
    with a_database(chosen.postgres) as dsn:
        report = run(plan, dsn)
    figures["workers"] = {"plan": attrs.asdict(plan), "report": attrs.asdict(report)}
    print(
        f"\n{plan.count} purchases by {plan.workers} workers{', no journal' * plan.bare},"
        f" {plan.faults:.0%} of the requests with one of {len(report.faults)} kinds of faults,"
        f" seed {plan.seed}:\nbought in {report.seconds:.0f} s through {plan.kills} kill -9 of"
        f" workers, {plan.apply_kills * (not plan.bare)} of the applying process and"
        f" {plan.stops} SIGSTOP of {plan.frozen:g} s; {report.adopted} adopted, {report.resent}"
        f" sent again after a settle time of {plan.settle_time:g} s,"
        f"\n{report.released} bought late,"
        f" found and released; {report.ended} processes ended without being told to"
    )
    counts = {**attrs.asdict(report.verdict), "not settled": report.unsettled}
    print(", ".join(f"{name} {number}" for name, number in counts.items()))
    return report.verdict.clean and not report.unsettled


def speed(count: int, most: int, seed: int) -> dict[int, float]:
    """Return purchases a second by the number of workers."""
    rates: dict[int, float] = {}
    print(f"\n{count} purchases, nothing goes wrong, {os.cpu_count()} cores for everything")
    for workers in range(1, most + 1):
        plan = Plan(
            count=count, workers=workers, faults=0.0, kills=0, apply_kills=0, stops=0, seed=seed
        )
        with a_database(None) as dsn:
            rates[workers] = run(plan, dsn).rate
        print(f"  {workers} workers: {rates[workers]:.0f} a second")
    return rates


@contextmanager
def a_database(dsn: str | None) -> Iterator[str]:
    """Yield the empty database that was given, or one of a server of its own."""
    if dsn is not None:
        yield dsn
        return
    with running() as server:
        # The tests do without.
        server.asked("ALTER SYSTEM SET fsync = on")
        server.asked("SELECT pg_reload_conf()")
        yield server.dsn()

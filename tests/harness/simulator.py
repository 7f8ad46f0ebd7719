"""Jobs against platforms that limit their callers, in virtual time.

A server decides about a request when it arrives; what passes is handled for a random time, what is
refused is answered at once. A job sends its rows through a real gate, as the engine does for
unbounded calls: a throttled row waits out its backoff outside the gate and queues again. A seed
repeats a run exactly.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import selectors
from typing import Any

import attrs

from sigmamind_async.limiter.gate import Gate
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.responses.headers import BUCKET, Remaining, policy, remaining, retry_after
from sigmamind_async.retry import StandardWait
from tests.harness.limits import EPOCH, Answer, Limit
from tests.harness.servers import Case

WIDTH = 100
"""Connections of one client: the default."""


# ---------------------------------------------------------------- virtual time


class _Idle(selectors.DefaultSelector):
    """A selector whose waits move a clock instead of taking time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to whatever is due next."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        return self._idle.now


def now() -> float:
    return asyncio.get_running_loop().time()


# ---------------------------------------------------------------- servers and jobs


@attrs.define(eq=False)
class Server:
    """A platform; counts what it was sent and refused, and when."""

    limit: Limit
    latency: float
    chance: random.Random
    arrivals: list[float] = attrs.field(factory=list[float])
    refusals: list[float] = attrs.field(factory=list[float])

    @property
    def refused(self) -> int:
        """Requests refused."""
        return len(self.refusals)

    async def call(self, kind: str) -> Answer:
        limit, way = self.limit.of(kind), self.latency / 20
        await asyncio.sleep(way)
        self.arrivals.append(now())
        answer = limit.decide(now())
        if answer.status == 200:
            await asyncio.sleep((self.latency - 2 * way) * (0.5 + self.chance.random()))
            limit.end()
        else:
            self.refusals.append(now())
        await asyncio.sleep(way)
        return answer

    async def be_taken_up(self, rate: float) -> None:
        """Run another client, which sends at a fixed rate whatever is answered."""
        while True:
            await asyncio.sleep(1 / rate)
            self.limit.decide(now())


@attrs.define(eq=False)
class Job:
    """Rows that go through one gate."""

    gate: Gate
    server: Server
    rows: int
    chance: random.Random
    kind: str = ""
    done: int = 0
    ended: float = 0.0
    told_at: float = 0.0
    """When a refusal last reported a wait: what goes in that moment was admitted before it."""
    told_until: float = 0.0
    """End of the longest wait that a refusal has reported."""
    early: int = 0
    """Requests that went before it."""

    async def run(self) -> None:
        rows = iter(range(self.rows))

        async def work() -> None:
            for _ in rows:
                await self._row()
                self.done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(WIDTH):
                group.create_task(work())
        self.ended = now()

    async def _row(self) -> None:
        for attempt in itertools.count(1):
            ticket = await self.gate.acquire(
                width=WIDTH, deadline=math.inf, unbounded=True, kind=self.kind
            )
            self.early += self.told_at < ticket[0] < self.told_until - 1e-6
            answer = await self.server.call(self.kind)
            wait = retry_after(answer.headers, EPOCH + now())
            if BUCKET in answer.headers:
                self.gate.name_bucket(ticket, answer.headers[BUCKET])
            if answer.status != 200 and (stated := policy(answer.headers)):
                self.gate.follow(ticket, stated)
            said = remaining(answer.headers, lambda: EPOCH + now())
            if answer.status != 200 and wait is not None:
                self.told_at, self.told_until = now(), max(self.told_until, now() + wait)
            throttled = report(self.gate, ticket, answer.status, wait, said)
            self.gate.release(ticket)
            if answer.status == 200:
                return
            delay = StandardWait(jitter=self.chance.random).seconds(attempt, throttled=throttled)
            await asyncio.sleep(max(delay, wait or 0.0))


def report(
    gate: Gate, ticket: Admitted, status: int, wait: float | None, said: Remaining | None
) -> bool:
    """Report a response to the gate as the engine does; return whether it was throttled."""
    if status == 429 or (status == 503 and wait is not None):
        gate.throttled(ticket, wait, refused=status == 429)
    elif status == 200:
        gate.succeeded(ticket, said)
    else:
        gate.failed(ticket, overloaded=status == 503)
    return status in {429, 503}


# ---------------------------------------------------------------- runs


@attrs.frozen(kw_only=True)
class Run:
    """What became of a case."""

    seconds: float
    """When the last of its jobs had ended."""
    sent: int
    refused: int
    done: float
    """Share of the rows that are done."""
    early: int
    """Requests that went before a wait had passed that the platform had asked for."""
    share: float
    """Rows that the first of several clients had done when it ended, for one of the last."""
    arrivals: list[float] = attrs.field(repr=False)
    refusals: list[float] = attrs.field(repr=False)


async def _run(case: Case, seed: int) -> Run:
    server = Server(case.limit(), case.latency, random.Random(seed))
    kinds = case.kinds or {"": case.rows}
    jobs = [
        Job(gate, server, rows, chance, kind)
        for chance in (random.Random(seed + index) for index in range(case.clients))
        for gate in [Gate(clock=now, jitter=chance.random)]
        for kind, rows in kinds.items()
    ]
    other = asyncio.create_task(server.be_taken_up(case.greedy)) if case.greedy else None
    shares: list[float] = []

    async def run_one(job: Job) -> None:
        await job.run()
        shares.append(job.done / max(1, min(each.done for each in jobs)))

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(run_one(job))
    if other is not None:
        other.cancel()
    return Run(
        seconds=max(job.ended for job in jobs),
        sent=len(server.arrivals),
        refused=server.refused,
        done=sum(job.done for job in jobs) / sum(job.rows for job in jobs),
        early=sum(job.early for job in jobs),
        share=shares[0] if case.clients > 1 else 1.0,
        arrivals=server.arrivals,
        refusals=server.refusals,
    )


def run(case: Case, seed: int) -> Run:
    """Run one case in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_run(case, seed))

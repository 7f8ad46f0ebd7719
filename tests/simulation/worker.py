"""A process of the simulation: a provisioner that can be killed between any two of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from random import Random
from typing import Any, Protocol, TypeVar

import attrs

from sigmamind_async import SigmaMind
from sigmamind_async.errors import JournalError
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.operation import ConnectionFlag, Fault, Response
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row, State
from sigmamind_async.provisioning.journal.protocol import Counts, PutResult
from sigmamind_async.transport import HttpRequest
from tests.simulation.provider import Provider, Trouble

T = TypeVar("T")

EPOCH = 1_700_000_000.0
ATTEMPT = 8.0
"""Seconds for one attempt."""
DEADLINE = 20.0


class KilledError(Exception):
    """The process that was asked is no more."""


class Watch(Protocol):
    """Whoever judges the run."""

    def leaving(self, worker: str, outgoing: HttpRequest) -> str:
        """Look at a change that is about to leave; return the op_id it belongs to."""
        ...

    def landed(self, op_id: str) -> None:
        """Look at the end of that request."""
        ...

    def written(self, worker: str, row: Row) -> None:
        """Look at a row that was stored."""
        ...


class Worker:
    """One process with one client and one provisioner, on a journal that outlives it."""

    def __init__(
        self,
        name: str,
        *,
        seed: str,
        provider: Provider,
        journal: MemoryJournal,
        watch: Watch,
        note: Callable[[str, str], None],
        kill_at: int | None = None,
        **policy: Any,
    ) -> None:
        self.name = name
        self.alive = True
        self.random = Random(f"{seed} {name}")
        self.provider = provider
        self.watch = watch
        self._note = note
        self._kill_at = kill_at
        self._steps = 0
        self._tasks: list[asyncio.Task[Any]] = []
        loop = asyncio.get_running_loop()
        client = SigmaMind(
            "sk-simulated",
            transport=_Wire(self),
            deadline=DEADLINE,
            attempt_timeout=ATTEMPT,
            gate=Gate(clock=loop.time, jitter=self.random.random),
        )
        engine = attrs.evolve(
            client.runner.engine,
            clock=loop.time,
            wall_clock=lambda: EPOCH + loop.time(),
            jitter=self.random.random,
        )
        client._bind(engine)  # noqa: SLF001 - no public setting changes a client's time
        self.provisioner = Provisioner(client, _Disk(self, journal), **policy)

    async def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Have this process carry *what* out; raises `KilledError` where it does not survive."""
        if not self.alive:
            what.close()
            raise KilledError
        task = asyncio.ensure_future(what)
        self._tasks.append(task)
        try:
            return await task
        except asyncio.CancelledError:
            asked = asyncio.current_task()
            if asked is not None and asked.cancelling():
                raise
            self._raise_if_killed()
            raise
        finally:
            self._tasks.remove(task)

    def _raise_if_killed(self) -> None:
        if not self.alive:
            raise KilledError from None

    def kill(self) -> None:
        """End here and now: nothing of this process is written or sent from now on."""
        if self.alive:
            self._note(self.name, "killed")
        self.alive = False
        for task in self._tasks:
            task.cancel()

    def step(self) -> None:
        """Pass a point at which the process may be killed."""
        self._steps += 1
        if self._steps == self._kill_at:
            self.kill()
        if not self.alive:
            raise asyncio.CancelledError

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self.alive:
            raise asyncio.CancelledError


@attrs.define(eq=False)
class _Wire:
    """The process's `Transport`."""

    worker: Worker

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        worker = self.worker
        worker.step()
        op_id = ""
        if outgoing.method != "GET":
            op_id = worker.watch.leaving(worker.name, outgoing)
            if worker.provider.draws(Trouble.FROZEN):
                settle_time = worker.provider.weather.settle_time
                await worker.pause(worker.random.uniform(1.0, 3.0) * settle_time)
        try:
            answer = await worker.provider.serve(worker.name, outgoing, mark, seconds)
        finally:
            worker.watch.landed(op_id)
        worker.step()
        return answer

    async def aclose(self) -> None:
        pass


class _Disk:
    """The process's way to the journal, which is slow and fails as the weather has it."""

    def __init__(self, worker: Worker, journal: MemoryJournal) -> None:
        self._worker = worker
        self._journal = journal

    @property
    def journal_id(self) -> str:
        return self._journal.journal_id

    @property
    def may_be_a_copy(self) -> bool:
        return self._journal.may_be_a_copy

    @property
    def latest(self) -> float:
        return self._journal.latest

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        worker = self._worker
        worker.step()
        try:
            await worker.pause(self._latency())
        except asyncio.CancelledError:
            # It was on its way: whether it got there is not for the process to say.
            if worker.random.random() < 0.5:
                await self._store(row, max_purchases)
            raise
        fails = worker.provider.draws(Trouble.JOURNAL_FAILS)
        if not durable:
            # Told before it is made: whether the disk failed, or somebody else was faster.
            if not fails:
                await self._store(row, max_purchases)
            return PutResult.STORED
        if fails and worker.random.random() < 0.5:
            raise JournalError("the disk is full")
        written = await self._store(row, max_purchases)
        worker.step()
        if fails:
            raise JournalError("the disk is gone")
        return written

    async def _store(self, row: Row, max_purchases: int | None) -> PutResult:
        written = await self._journal.put(row, max_purchases=max_purchases)
        if written is PutResult.STORED:
            self._worker.watch.written(self._worker.name, row)
        return written

    def _latency(self) -> float:
        worker = self._worker
        if worker.provider.draws(Trouble.JOURNAL_SLOW):
            return worker.random.uniform(0.1, 12.0)
        return worker.random.uniform(0.0, 0.005)

    async def _read(self) -> MemoryJournal:
        self._worker.step()
        await self._worker.pause(self._worker.random.uniform(0.0, 0.002))
        return self._journal

    async def last_applied(self) -> dict[str, str]:
        return await (await self._read()).last_applied()

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        await (await self._read()).set_last_applied(row_id, text)

    async def get(self, account: str, op_id: str) -> Row | None:
        return await (await self._read()).get(account, op_id)

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        return await (await self._read()).in_states(account, states)

    async def unsettled(self, account: str) -> list[Row]:
        return await (await self._read()).unsettled(account)

    async def next_rows(self, account: str, states: Collection[State], after: str) -> list[Row]:
        return await (await self._read()).next_rows(account, states, after)

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        return await (await self._read()).with_tokens(account, tokens)

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        return await (await self._read()).with_key(account, key, since)

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        return await (await self._read()).tagged_before(account, before)

    async def counts(self, account: str) -> Counts:
        return await (await self._read()).counts(account)

    async def acquire_lease(self, name: str, holder: str, now: float, until: float) -> bool:
        return await (await self._read()).acquire_lease(name, holder, now, until)

    async def key_fingerprints(self, account: str) -> frozenset[str]:
        return await (await self._read()).key_fingerprints(account)

    async def add_key_fingerprint(self, account: str, fingerprint: str) -> None:
        await (await self._read()).add_key_fingerprint(account, fingerprint)

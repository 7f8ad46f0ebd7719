"""Many calls from one iterator: few workers, one outcome a row, flat memory.

Workers pull from one iterator instead of a task being made for each row, and start one by one as
there is work for them. A row that fails is an outcome, not the end of the batch. Outcomes wait for
the consumer in a short queue; when it is full the workers rest, so a slow consumer slows the job
instead of filling memory.

Nothing that is known is lost: when the consumer is cancelled or leaves early, the rows under way
are ended and what is known of them, and of every outcome not yet handed over, stays in
`BulkRun.undelivered`.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from typing import Generic, Literal, Protocol, TypeVar

import attrs

from sigmamind_async.errors import SigmaMindError

V = TypeVar("V")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["done", "failed", "unknown", "skipped"]


@attrs.frozen(kw_only=True)
class Outcome(Generic[V, T]):
    """How one row ended."""

    index: int
    """Place of the value in what was given, from 0."""
    status: Status
    """``unknown``: it may have been carried out; ``skipped``: nothing of it was sent."""
    value: V
    result: T | None = None
    error: BaseException | None = None
    op_id: str | None = None
    """The caller's own key of the row, where provisioning was asked to keep one."""
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds from taking up the row to its end."""
    ignored: tuple[str, ...] = ()
    """Fields that were sent and that the answer does not show."""


@attrs.define
class Progress:
    """Counts of a running job, kept up to date while it runs."""

    total: int | None = None
    """Rows in all, where that is known beforehand."""
    done: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    started: float | None = None
    clock: Callable[[], float] = attrs.field(default=time.monotonic, repr=False)

    @property
    def finished(self) -> int:
        """Rows that have ended, in whatever way."""
        return self.done + self.failed + self.unknown + self.skipped

    @property
    def rate(self) -> float:
        """Rows ended a second, over the whole job so far."""
        seconds = 0.0 if self.started is None else self.clock() - self.started
        return self.finished / seconds if seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to go at that rate; `None` while unknown."""
        if self.total is None or self.rate <= 0:
            return None
        return max(0, self.total - self.finished) / self.rate

    def count(self, status: Status) -> None:
        """Add one row that ended with *status*."""
        setattr(self, status, getattr(self, status) + 1)

    def recount(self, before: Status, after: Status) -> None:
        """Count a row that ended with *before* under *after*, because more is known of it."""
        setattr(self, before, getattr(self, before) - 1)
        self.count(after)


@attrs.frozen(kw_only=True)
class StopOn:
    """When a job stops taking up rows: too many that failed or are unknown."""

    count: int | None = None
    """Bad rows that are enough."""
    share: float | None = None
    """Share of bad rows, 0 to 1, that is enough once *least* rows have ended."""
    least: int = 20

    def reached(self, progress: Progress) -> bool:
        """Return whether the job should stop."""
        bad = progress.failed + progress.unknown
        if self.count is not None and bad >= self.count:
            return True
        ended = progress.finished - progress.skipped
        return self.share is not None and ended >= self.least and bad >= self.share * ended


class Row(Protocol[T_co]):
    """One call that has been prepared: awaited once, then asked how far it got."""

    @property
    def attempts(self) -> int:
        """Requests sent or tried so far."""
        ...

    @property
    def touched(self) -> bool:
        """Whether the platform may have acted on it, as far as it got."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and that the answer shows otherwise."""
        ...

    def run(self) -> Awaitable[T_co]:
        """Carry it out."""
        ...


class BulkRun(Generic[V, T]):
    """A job over many values, made by ``run_many``; run it, once, with ``async for``.

    Args:
        prepare: Makes the call for one value without sending anything; what it raises fails the
            row, not the job.
        values: Any iterable or async iterable; read lazily, one value at a time.
        width: Most rows under way at once.
        ordered: Hand outcomes over in the order of the values.
        stop_on: When to take up no more rows; the rest of the values is then skipped.
        progress: Counts to keep up to date.
    """

    def __init__(
        self,
        prepare: Callable[[V], Row[T]],
        values: Iterable[V] | AsyncIterable[V],
        *,
        width: int,
        ordered: bool = False,
        stop_on: StopOn | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.undelivered: list[Outcome[V, T]] = []
        """After an early end: each outcome that was known and not handed over."""
        self._prepare = prepare
        self._source = _Source(values)
        self._width = width
        self._stop_on = stop_on or StopOn()
        self._stopped = False
        self._ending = False
        self._workers: set[asyncio.Task[None]] = set()
        self._under_way: dict[asyncio.Task[None] | None, Row[T]] = {}
        self._ready: _InOrder[V, T] | _AsTheyCome[V, T] = _InOrder() if ordered else _AsTheyCome()
        self._handed = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def stop(self) -> None:
        """Take up no more rows: those that were sent are finished, all others are skipped."""
        self._stopped = True
        for worker, row in self._under_way.items():
            if worker is not None and not row.attempts:
                worker.cancel()  # it waits to be admitted

    async def __aiter__(self) -> AsyncGenerator[Outcome[V, T], None]:
        """Run the job; yield the `Outcome` of every row."""
        self.progress.started = self.progress.clock()
        self._add_worker()
        try:
            while True:
                self._news.clear()
                while (outcome := self._ready.pop()) is not None:
                    self._handed += 1
                    self._room.set()
                    yield outcome
                if not self._workers:
                    break
                await self._news.wait()
        finally:
            await self._end()
        self._source.raise_if_broken()

    async def _end(self) -> None:
        """End every worker, and keep what is known and was not handed over.

        The workers are plain tasks because a task group cannot stay open across a ``yield``; none
        of them outlives this method.
        """
        self._ending = True
        for worker in self._workers:
            worker.cancel()
        while self._workers:
            await asyncio.wait(self._workers)
        self.undelivered.extend(self._ready.rest())

    def _add_worker(self) -> None:
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if self._stopped and not self._ending and not self._workers and not self._source.ended:
            self._add_worker()  # the one that skips the rest
        self._news.set()

    async def _work(self) -> None:
        while True:
            # Rows taken up and not yet handed over are bounded, and with them the memory.
            while self._source.taken - self._handed >= 4 * self._width:
                self._room.clear()
                await self._room.wait()
            row = await self._source.take()
            if row is None:
                return
            if len(self._workers) < self._width and not self._stopped:
                self._add_worker()
            await self._carry_out(*row)

    async def _carry_out(self, index: int, value: V) -> None:
        """Run one row and have its outcome handed over, whatever happens."""
        if self._stopped:
            self._finish(Outcome(index=index, status="skipped", value=value))
            return
        row: Row[T] | None = None
        began = self.progress.clock()
        result: T | None = None
        error: BaseException | None = None
        worker = asyncio.current_task()
        try:
            row = self._under_way[worker] = self._prepare(value)
            result = await row.run()
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        except Exception as failure:  # noqa: BLE001 - one bad row never ends the batch
            error = failure
        finally:
            self._under_way.pop(worker, None)
            status = _status(error, touched=row is not None and row.touched)
            self._finish(
                Outcome(
                    index=index,
                    status=status,
                    value=value,
                    result=result,
                    error=None if status == "skipped" else error,
                    attempts=0 if row is None else row.attempts,
                    ignored=() if row is None else row.ignored,
                    elapsed=self.progress.clock() - began,
                )
            )

    def _finish(self, outcome: Outcome[V, T]) -> None:
        self.progress.count(outcome.status)
        self._ready.push(outcome)
        self._news.set()
        if not self._stopped and self._stop_on.reached(self.progress):
            self.stop()


def _status(error: BaseException | None, *, touched: bool) -> Status:
    """Return how a row ended, given its *error* and whether the platform may have acted."""
    if error is None:
        return "done"
    if isinstance(error, SigmaMindError):
        return "failed" if error.committed == "no" else "unknown"
    if touched:
        return "unknown"
    return "skipped" if isinstance(error, asyncio.CancelledError) else "failed"


class _Source(Generic[V]):
    """The values, read one at a time by whichever worker asks next."""

    def __init__(self, values: Iterable[V] | AsyncIterable[V]) -> None:
        self.taken = 0
        self._values = aiter(values) if isinstance(values, AsyncIterable) else iter(values)
        self._turn = asyncio.Lock()
        self.ended = False
        self._broken: Exception | None = None

    async def take(self) -> tuple[int, V] | None:
        """Return the next value with its index, `None` after the last.

        What the values themselves raise ends them; `raise_if_broken` gives it to the consumer
        once the rows before it have ended.
        """
        try:
            return await self._next()
        except Exception as error:  # noqa: BLE001 - raised again for the consumer
            self.ended, self._broken = True, error
            return None

    async def _next(self) -> tuple[int, V] | None:
        if isinstance(self._values, AsyncIterator):
            # An async generator cannot be asked again before it has answered.
            async with self._turn:
                value = _END if self.ended else await anext(self._values, _END)
        else:
            value = _END if self.ended else next(self._values, _END)
        if isinstance(value, _End):
            self.ended = True
            return None
        self.taken += 1
        return self.taken - 1, value

    def raise_if_broken(self) -> None:
        """Raise what reading the values raised, if it did."""
        if self._broken is not None:
            raise self._broken


class _End(enum.Enum):
    END = enum.auto()


_END = _End.END


class _AsTheyCome(Generic[V, T]):
    """Outcomes to hand over, the first to end first."""

    def __init__(self) -> None:
        self._queue: deque[Outcome[V, T]] = deque()

    def push(self, outcome: Outcome[V, T]) -> None:
        self._queue.append(outcome)

    def pop(self) -> Outcome[V, T] | None:
        return self._queue.popleft() if self._queue else None

    def rest(self) -> list[Outcome[V, T]]:
        return list(self._queue)


class _InOrder(Generic[V, T]):
    """Outcomes to hand over in the order of their values."""

    def __init__(self) -> None:
        self._held: dict[int, Outcome[V, T]] = {}
        self._next = 0

    def push(self, outcome: Outcome[V, T]) -> None:
        self._held[outcome.index] = outcome

    def pop(self) -> Outcome[V, T] | None:
        outcome = self._held.pop(self._next, None)
        self._next += outcome is not None
        return outcome

    def rest(self) -> list[Outcome[V, T]]:
        return [self._held[index] for index in sorted(self._held)]


@attrs.frozen(kw_only=True)
class BulkResult(Generic[V, T]):
    """How every row of a job ended, in the caller's order."""

    outcomes: list[Outcome[V, T]]

    @property
    def done(self) -> list[Outcome[V, T]]:
        """Rows that were carried out."""
        return self._with("done")

    @property
    def failed(self) -> list[Outcome[V, T]]:
        """Rows that were not carried out."""
        return self._with("failed")

    @property
    def unknown(self) -> list[Outcome[V, T]]:
        """Rows that may have been carried out: look them up before trying again."""
        return self._with("unknown")

    @property
    def skipped(self) -> list[Outcome[V, T]]:
        """Rows that were never taken up."""
        return self._with("skipped")

    def raise_for_failures(self) -> None:
        """Raise one `ExceptionGroup` with the error of each failed or unknown row, if any."""
        errors = [
            outcome.error
            for outcome in self.outcomes
            if outcome.status in {"failed", "unknown"} and isinstance(outcome.error, Exception)
        ]
        if errors:
            count = len(self.outcomes)
            raise ExceptionGroup(f"{len(errors)} of {count} rows were not carried out", errors)

    def _with(self, status: Status) -> list[Outcome[V, T]]:
        return [outcome for outcome in self.outcomes if outcome.status == status]


async def collect(run: BulkRun[V, T]) -> BulkResult[V, T]:
    """Run a job to its end and keep all its outcomes."""
    outcomes = [outcome async for outcome in run]
    return BulkResult(outcomes=sorted(outcomes, key=lambda outcome: outcome.index))

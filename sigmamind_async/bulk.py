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
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast

import attrs

from sigmamind_async import static
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    InsufficientFundsError,
    JournalError,
    PermissionDeniedError,
    SigmaMindError,
)
from sigmamind_async.limiter.gate import Gate

V = TypeVar("V")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["done", "failed", "unknown", "skipped"]


@static.frozen
class Outcome(Generic[V, T]):
    """How one row ended."""

    index: int
    """Place of the value in what was given, from 0."""
    status: Status
    """``unknown``: it may have been carried out; ``skipped``: nothing of it was sent."""
    value: V = attrs.field(hash=False)
    result: T | None = attrs.field(default=None, hash=False)
    error: BaseException | None = None
    op_id: str | None = None
    """The caller's own key of the row, where provisioning was asked to keep one."""
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds from taking up the row to its end."""
    ignored: tuple[str, ...] = ()
    """Fields that were sent and that the answer does not show."""


_outcome = static.maker(Outcome)


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


def _is_count(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(f"StopOn: {field.name}: must be a whole number from 1, or None")


def _is_share(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise ConfigurationError(f"StopOn: {field.name}: must be a number from 0 to 1, or None")


def _is_time(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, (int, float)) and value > 0):
        raise ConfigurationError(f"StopOn: {field.name}: must be seconds, more than 0, or None")


@attrs.frozen(kw_only=True)
class StopOn:
    """When a job takes up no more rows; the rest is then skipped.

    Every job has ``StopOn()`` unless it is given another one; ``stop_on=None`` lets it go on
    whatever happens.
    """

    count: int | None = attrs.field(default=None, validator=_is_count)
    """Rows that failed or are unknown, when they are enough."""
    share: float | None = attrs.field(default=None, validator=_is_share)
    """Share of such rows, 0 to 1, that is enough once *least* rows have ended."""
    least: int = 20
    in_a_row: int | None = attrs.field(default=3, validator=_is_count)
    """Rows in a row that end with a 401, 402 or 403, or with an answer that is not the API's, such
    as an HTML page: the rows to come would end alike. A row that is done, or that the platform
    answers in another way, begins the count anew; one without an answer does not. What no row can
    get past, such as a journal on a full disk, ends the job at the first; `None` turns that off,
    too."""
    patience: float | None = attrs.field(default=60.0, validator=_is_time)
    """Seconds for which rows wait while the platform answers nothing, but for failures. They wait
    out what is shorter. Then the job stops: rows that were tried end with the error of their latest
    attempt, which says whether anything was sent; all others are skipped. `None` waits on, until
    each row fails after five minutes."""

    def reached(self, progress: Progress) -> bool:
        """Return whether so many rows have failed that the job should stop."""
        bad = progress.failed + progress.unknown
        if self.count is not None and bad >= self.count:
            return True
        ended = progress.finished - progress.skipped
        return self.share is not None and ended >= self.least and bad >= self.share * ended


BY_DEFAULT: Final = StopOn()
LOOK: Final = 1.0
"""Seconds between two looks at whether the platform answers."""

_ABOUT_ALL: Final = (
    AuthenticationError,
    ConfigurationError,
    InsufficientFundsError,
    PermissionDeniedError,
)


@attrs.define
class Streak:
    """Rows in a row that ended with what may be wrong for all rows."""

    length: int = 0

    def add(self, error: BaseException) -> None:
        """Count a row that ended with *error*."""
        if isinstance(error, SigmaMindError) and (
            error.not_from_api or isinstance(error, _ABOUT_ALL)
        ):
            self.length += 1
        elif isinstance(error, APIStatusError) and error.status < 500:
            self.length = 0


def _stops_at_once(error: BaseException) -> bool:
    """Return whether no other row can get past *error*, which is not about the row it met."""
    if isinstance(error, JournalError):
        return error.op_id is None and not error.retryable
    if isinstance(error, APIStatusError):
        return error.status == 407  # which only a proxy answers
    return isinstance(error, APIConnectionError) and not error.retryable


class PreparedCall(Protocol[T_co]):
    """One call that has been prepared: awaited once, then asked how far it got."""

    @property
    def attempts(self) -> int:
        """Requests sent or tried so far."""
        ...

    @property
    def may_have_acted(self) -> bool:
        """Whether the platform may have acted on it."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and that the answer shows otherwise."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a request of it has ended and another is to follow."""
        ...

    def ending(self) -> SigmaMindError | None:
        """Return the error with which it ends while it `waits`; `None` at other times."""
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
        gate: What admits the requests; tells whether the platform answers.
    """

    def __init__(
        self,
        prepare: Callable[[V], PreparedCall[T]],
        values: Iterable[V] | AsyncIterable[V],
        *,
        width: int,
        ordered: bool = False,
        stop_on: StopOn | None = BY_DEFAULT,
        progress: Progress | None = None,
        gate: Gate | None = None,
    ) -> None:
        _check_options(stop_on, progress)
        self.progress = progress or Progress()
        self.stopped: str = ""
        """Why it takes up no more rows, as a sentence; empty while it does."""
        self.stopped_by: SigmaMindError | None = None
        """The error that the rows to come would meet as well, where one has stopped it."""
        self.undelivered: list[Outcome[V, T]] = []
        """After an early end: each outcome that was known and not handed over."""
        self._prepare = prepare
        self._source: _Source[V] | _AsyncSource[V] = (
            _AsyncSource(values) if isinstance(values, AsyncIterable) else _Source(values)
        )
        self._width = width
        # Outcomes that wait are bounded, and with them the memory.
        self._most = 4 * width
        self._stop_on = stop_on
        # Looked at after each row, so only where there is something to see.
        counts = stop_on is not None and (stop_on.count is not None or stop_on.share is not None)
        self._counts = stop_on if counts else None
        self._streak = Streak()
        self._gate = gate
        self._idle_at: float = 0.0
        """When nothing was under way the last time that was looked at, by the gate's clock."""
        self._unreachable = False
        """Whether the platform has answered nothing for too long."""
        self._watching: asyncio.TimerHandle | None = None
        self._ending = False
        self._broken: BaseException | None = None
        """What counting a row raised."""
        self._workers: set[asyncio.Task[None]] = set()
        self._under_way: dict[asyncio.Task[None], PreparedCall[T]] = {}
        self._ready: deque[Outcome[V, T]] = deque()
        self._order: _Order[V, T] | None = _Order() if ordered else None
        self._handed = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def stop(self, why: str = "stop() was called") -> None:
        """Take up no more rows: those that were sent are finished, all others are skipped."""
        self.stopped = self.stopped or why
        for worker, row in self._under_way.items():
            if not row.attempts:
                worker.cancel()  # it waits to be admitted

    async def __aiter__(self) -> AsyncGenerator[Outcome[V, T], None]:
        """Run the job; yield the `Outcome` of every row."""
        self.progress.started = self.progress.clock()
        self._add_worker()
        self._watch()
        try:
            while True:
                self._news.clear()
                while self._ready:
                    self._handed += 1
                    self._room.set()
                    yield self._ready.popleft()
                if not self._workers:
                    break
                await self._news.wait()
        finally:
            if self._watching is not None:
                self._watching.cancel()
            await self._end()
        if self._broken is not None:
            raise self._broken
        self._source.raise_if_broken()

    async def _end(self) -> None:
        """End every worker, and keep what is known and was not handed over.

        The workers are plain tasks because a task group cannot stay open across a ``yield``; none
        of them outlives this method.
        """
        self._ending = True
        for worker in self._workers:
            worker.cancel()
        try:
            while self._workers:
                await asyncio.wait(self._workers)
        finally:  # cancelled once more, it is over with what is known by then
            self.undelivered.extend(self._ready)
            if self._order is not None:
                self.undelivered.extend(self._order.held())

    def _watch(self) -> None:
        """Look each second whether the platform answers, for as long as the job runs."""
        gate, patience = self._gate, None if self._stop_on is None else self._stop_on.patience
        if gate is None or patience is None:
            return
        if not self._under_way:
            self._idle_at = gate.now()
        silent = gate.failing_for(self._idle_at)
        if silent > patience and not self._unreachable:
            self._give_up_on_platform(silent)
        if self._unreachable:
            for worker, row in self._under_way.items():
                if row.waits:
                    worker.cancel()
        self._watching = asyncio.get_running_loop().call_later(LOOK, self._watch)

    def _give_up_on_platform(self, seconds: float) -> None:
        """Stop, and let rows wait no more; requests under way are ended as ever."""
        self._unreachable = True
        rows = (row.ending() for row in self._under_way.values() if row.waits)
        latest = next((f": {_line(error)}" for error in rows if error is not None), "")
        why = f"the platform has let nothing pass for {seconds:.0f} s{latest}"
        self.stopped_by = self.stopped_by or APIConnectionError(why)
        self.stop(why)

    def _reason(self, row: PreparedCall[T] | None, error: BaseException) -> BaseException:
        """Return why *row* ended: for one that was to wait no longer, its latest error."""
        if row is None or not self._unreachable or self._ending or isinstance(error, Exception):
            return error
        return row.ending() or error

    def _add_worker(self) -> None:
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and worker.exception() is not None:
            # A row's error is an outcome: here a `Progress` or `StopOn` of the caller's failed.
            self._broken = self._broken or worker.exception()
            self.stop(f"counting a row raised {type(self._broken).__name__}")
        if self.stopped and not self._ending and not self._workers and not self._source.ended:
            self._add_worker()  # the one that skips the rest
        self._news.set()

    async def _work(self) -> None:
        """Carry out row after row; whatever happens, the outcome of each is handed over."""
        worker = cast("asyncio.Task[None]", asyncio.current_task())
        source, clock, under_way = self._source, self.progress.clock, self._under_way
        workers, width = self._workers, self._width
        take = source.take if isinstance(source, _Source) else None
        while True:
            # What is there and has room is not awaited: that would take half a microsecond.
            if take is not None and source.taken - self._handed < self._most:
                value = take()
            else:
                value = await self._next_value()
            if value is _END:
                return
            index = source.taken - 1
            if self.stopped:
                self._finish(Outcome(index, "skipped", value))
                continue
            # Where one row was there may be another, so as many workers are made as there may be.
            if len(workers) < width:
                self._add_worker()
            row: PreparedCall[T] | None = None
            began = clock()
            try:
                row = under_way[worker] = self._prepare(value)
                result = await row.run()
            except BaseException as error:
                under_way.pop(worker, None)
                why = self._reason(row, error)
                self._finish(_bad_end(index, value, row, why, clock() - began))
                if not isinstance(error, Exception):
                    raise  # cancelled; one bad row never ends the batch
            else:
                del under_way[worker]
                self._streak.length = 0
                elapsed, attempts, ignored = clock() - began, row.attempts, row.ignored
                # By place: to give them by name doubles the time that it takes.
                self._hand_over(
                    _outcome(index, "done", value, result, None, None, attempts, elapsed, ignored)
                )
                # Counted last: what counting raises costs no row its outcome.
                self.progress.done += 1
                if self._counts is not None:
                    self._compare(self._counts)

    async def _next_value(self) -> V | Literal[_End.END]:
        """Return the next value, once there is room for its outcome."""
        source = self._source
        while source.taken - self._handed >= self._most:
            self._room.clear()
            await self._room.wait()
        return source.take() if isinstance(source, _Source) else await source.take()

    def _finish(self, outcome: Outcome[V, T]) -> None:
        self._hand_over(outcome)
        self.progress.count(outcome.status)
        if outcome.error is not None and self._stop_on is not None and not self.stopped:
            self._heed(outcome.error, self._stop_on.in_a_row)
        if self._counts is not None:
            self._compare(self._counts)

    def _heed(self, error: BaseException, in_a_row: int | None) -> None:
        """Stop if *error* shows that the remaining rows would end the same way."""
        self._streak.add(error)
        if in_a_row is None or not isinstance(error, SigmaMindError):
            return
        if _stops_at_once(error):
            self.stopped_by = error
            self.stop(f"no other row would succeed: {_line(error)}")
        elif self._streak.length >= in_a_row:
            self.stopped_by = error
            rows = "1 row" if in_a_row == 1 else f"{in_a_row} rows in a row"
            self.stop(f"{rows} ended the same way, as the rest would: {_line(error)}")

    def _hand_over(self, outcome: Outcome[V, T]) -> None:
        if self._order is None:
            if not self._ready:
                self._news.set()
            self._ready.append(outcome)
        else:
            self._ready.extend(self._order.follow(outcome))
            self._news.set()

    def _compare(self, stop_on: StopOn) -> None:
        """Stop where *stop_on* says that enough rows have failed."""
        if not self.stopped and stop_on.reached(self.progress):
            bad = self.progress.failed + self.progress.unknown
            self.stop(f"{bad} of {self.progress.finished} rows failed or may have been carried out")


def _check_options(stop_on: object, progress: object) -> None:
    """Raise `ConfigurationError` for what cannot be the options of a job."""
    if stop_on is not None and not isinstance(stop_on, StopOn):
        raise ConfigurationError("stop_on: must be a StopOn, or None")
    if progress is not None and not isinstance(progress, Progress):
        raise ConfigurationError("progress: must be a Progress, or None")


def _line(error: SigmaMindError) -> str:
    return " ".join(str(error).split())


def _bad_end(
    index: int, value: V, row: PreparedCall[T] | None, error: BaseException, elapsed: float
) -> Outcome[V, T]:
    """Return the outcome of a row that raised *error*; *row* is `None` if preparing it did."""
    status = _status(error, touched=row is not None and row.may_have_acted)
    return Outcome(
        index=index,
        status=status,
        value=value,
        error=None if status == "skipped" else error,
        attempts=0 if row is None else row.attempts,
        elapsed=elapsed,
        ignored=() if row is None else row.ignored,
    )


def _status(error: BaseException, *, touched: bool) -> Status:
    """Return how a row ended, given its *error* and whether the platform may have acted."""
    if isinstance(error, SigmaMindError):
        return "failed" if error.committed == "no" else "unknown"
    if touched:
        return "unknown"
    return "skipped" if isinstance(error, asyncio.CancelledError) else "failed"


class _End(enum.Enum):
    END = enum.auto()


_END: Final = _End.END


class _Reading:
    """How far the values have been read.

    What the values themselves raise ends them; `raise_if_broken` gives it to the consumer once the
    rows before it have ended.
    """

    def __init__(self) -> None:
        self.taken: int = 0
        self.ended: bool = False
        self._broken: Exception | None = None

    def _end(self, broken: Exception | None = None) -> Literal[_End.END]:
        self.ended, self._broken = True, broken or self._broken
        return _END

    def raise_if_broken(self) -> None:
        """Raise what reading the values raised, if it did."""
        if self._broken is not None:
            raise self._broken


class _Source(_Reading, Generic[V]):
    """The values, read one at a time by whichever worker asks next."""

    def __init__(self, values: Iterable[V]) -> None:
        super().__init__()
        self._values = iter(values)

    def take(self) -> V | Literal[_End.END]:
        """Return the next value, after the last `_END`."""
        if self.ended:
            return _END
        try:
            for value in self._values:
                self.taken += 1
                return value
        except Exception as error:  # noqa: BLE001 - raised again for the consumer
            return self._end(error)
        return self._end()


class _AsyncSource(_Reading, Generic[V]):
    """Values that come asynchronously, one worker waiting for the next at a time."""

    def __init__(self, values: AsyncIterable[V]) -> None:
        super().__init__()
        self._values = aiter(values)
        # An async generator cannot be asked again before it has answered.
        self._turn = asyncio.Lock()

    async def take(self) -> V | Literal[_End.END]:
        """Return the next value, after the last `_END`."""
        async with self._turn:
            if self.ended:
                return _END
            try:
                value = await anext(self._values, _END)
            except Exception as error:  # noqa: BLE001 - raised again for the consumer
                return self._end(error)
            if value is _END:
                return self._end()
            self.taken += 1
            return value


class _Order(Generic[V, T]):
    """Holds outcomes until those of all values before them are there."""

    def __init__(self) -> None:
        self._held: dict[int, Outcome[V, T]] = {}
        self._next = 0

    def follow(self, outcome: Outcome[V, T]) -> Iterator[Outcome[V, T]]:
        """Yield what can be handed over, now that *outcome* is there."""
        self._held[outcome.index] = outcome
        while self._next in self._held:
            yield self._held.pop(self._next)
            self._next += 1

    def held(self) -> list[Outcome[V, T]]:
        """Return what waits for others."""
        return [self._held[index] for index in sorted(self._held)]


@attrs.frozen(kw_only=True)
class BulkResult(Generic[V, T]):
    """How every row of a job ended, in the caller's order."""

    outcomes: list[Outcome[V, T]] = attrs.field(hash=False)
    stopped: str = ""
    """Why the job ended before its rows did, as a sentence; empty where it did not."""

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
            why = f"{len(errors)} of {count} rows were not carried out"
            if self.stopped:
                why += f", and {len(self.skipped)} were skipped: {self.stopped}"
            raise ExceptionGroup(why, errors)

    def _with(self, status: Status) -> list[Outcome[V, T]]:
        return [outcome for outcome in self.outcomes if outcome.status == status]


async def collect(run: BulkRun[V, T]) -> BulkResult[V, T]:
    """Run a job to its end and keep all its outcomes."""
    outcomes: list[Outcome[V, T]] = []
    try:
        async for outcome in run:
            outcomes.append(outcome)  # noqa: PERF401 - what has ended is counted where the rest fails
    except BaseException as error:
        ended = len(outcomes) + len(run.undelivered)
        error.add_note(f"rows ended before: {ended}; run_many hands each over as soon as it ends")
        raise
    outcomes.sort(key=lambda outcome: outcome.index)
    return BulkResult(outcomes=outcomes, stopped=run.stopped)

"""Many calls from one iterator: a few workers, one outcome per row, flat memory.

Workers pull from one iterator, instead of one task per row, and start one by one while there is
work. A row that fails is an outcome, not the end of the job. Outcomes wait for the consumer in a
bounded queue; while it is full the workers pause, so a slow consumer slows the job down instead of
filling memory.

When the consumer is cancelled or leaves early, the rows in progress are cancelled, and every
outcome that was not delivered, theirs included, is in `BulkRun.undelivered`.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast

import attrs

from sigmamind_async.compiled import quick
from sigmamind_async.convert.fields import Record
from sigmamind_async.convert.portable import json_text, plain
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    InsufficientFundsError,
    InvalidRequestError,
    JournalError,
    PermissionDeniedError,
    RateLimitError,
    SigmaMindError,
)
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.values import check_count, check_seconds

V = TypeVar("V")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["done", "failed", "unconfirmed", "skipped"]


@quick
@attrs.frozen
class Outcome(Generic[V, T]):
    """How one row ended: with a `result`, or with the `error` that says why there is none."""

    index: int
    """Position of the value in the input, from 0."""
    status: Status
    """``unconfirmed``: the platform may have acted; ``skipped``: nothing was sent."""
    value: V = attrs.field(hash=False)
    """The row as it was given; of a mapping a copy whose secrets are masked."""
    result: T | None = attrs.field(default=None, hash=False)
    error: BaseException | None = None
    op_id: str | None = None
    """The caller's key of the row, for a job of a `Provisioner`."""
    attempts: int = 0
    """Requests sent or tried."""
    elapsed: float = 0.0
    """Seconds from the row's start to its end."""
    ignored: tuple[str, ...] = ()
    """Fields that were sent and that the response shows with another value."""
    request_id: str | None = None
    """The platform's id of the latest request, where it gives one."""

    def to_dict(self, *, wire: bool = False) -> dict[str, Any]:
        """Return it as JSON values, secrets masked; with *wire* value and result by wire names."""
        names = (field.name for field in attrs.fields(type(self)))
        return {name: plain(getattr(self, name), wire=wire) for name in names}

    def to_json(self, *, wire: bool = False) -> str:
        """Return `to_dict` as JSON text; *wire* means the same."""
        return json_text(self.to_dict(wire=wire))


@attrs.define
class Progress:
    """Counts of the rows of a job by how they ended, updated while it runs.

    `done`, `failed`, `unconfirmed` and `skipped` are numbers of rows.
    """

    total: int | None = None
    """Number of rows; `None` if it is not known beforehand."""
    done: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    started: float | None = None
    """When the job started, by *clock*; `None` before."""
    clock: Callable[[], float] = attrs.field(default=time.monotonic, repr=False)
    """Monotonic seconds."""

    @property
    def finished(self) -> int:
        """Rows that have ended, with any status."""
        return self.done + self.failed + self.unconfirmed + self.skipped

    @property
    def rate(self) -> float:
        """Rows per second, averaged over the job so far."""
        seconds = 0.0 if self.started is None else self.clock() - self.started
        return self.finished / seconds if seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left at that rate; `None` while unknown."""
        if self.total is None or self.rate <= 0:
            return None
        return max(0, self.total - self.finished) / self.rate

    def count(self, status: Status) -> None:
        """Add a row that ended with *status*."""
        setattr(self, status, getattr(self, status) + 1)

    def recount(self, before: Status, after: Status) -> None:
        """Change the status of a row that was counted as *before* to *after*."""
        setattr(self, before, getattr(self, before) - 1)
        self.count(after)


def _unless_none(
    check: Callable[[str, object], None],
) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check(f"StopOn: {field.name}", value)

    return validate


def _check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(f"{name}: must be a number from 0 to 1")


_COUNT = _unless_none(check_count)
_SHARE = _unless_none(_check_share)
_SECONDS = _unless_none(check_seconds)


@attrs.frozen(kw_only=True)
class StopOn:
    """When a job starts no more rows and skips the rest.

    Every job has ``StopOn()`` by default; ``stop_on=None`` never stops it.
    """

    count: int | None = attrs.field(default=None, validator=_COUNT)
    """Stop after this many failed or unconfirmed rows; with `None` their number stops nothing."""
    share: float | None = attrs.field(default=None, validator=_SHARE)
    """Stop when this share of the rows, 0 to 1, failed or is unconfirmed, once *least* rows have
    ended; with `None` their share stops nothing."""
    least: int = attrs.field(default=20, validator=_COUNT)
    """Rows that must have ended before *share* counts."""
    in_a_row: int | None = attrs.field(default=3, validator=_COUNT)
    """Stop after this many consecutive rows that end with a 401, 402 or 403, or with a response
    that is not the API's, such as an HTML page: later rows would end the same way. A success or
    another response of the platform resets the count; a row without a response does not. An error
    that no row can avoid, such as a journal on a full disk, stops the job at once. `None` turns
    both off."""
    patience: float | None = attrs.field(default=60.0, validator=_SECONDS)
    """Seconds that rows wait while every request fails. After a longer outage the job stops: rows
    that were tried end with the error of their latest attempt, the others are skipped. With `None`
    each row fails on its own, after five minutes."""

    def reached(self, progress: Progress) -> bool:
        """Return whether *progress* has reached *count* or *share*."""
        bad = progress.failed + progress.unconfirmed
        if self.count is not None and bad >= self.count:
            return True
        ended = progress.finished - progress.skipped
        return self.share is not None and ended >= self.least and bad >= self.share * ended


DEFAULT_STOP_ON: Final = StopOn()
WATCH_INTERVAL: Final = 1.0
"""Seconds between two checks for an outage."""

_LIKELY_SHARED: Final = (
    AuthenticationError,
    ConfigurationError,
    InsufficientFundsError,
    PermissionDeniedError,
)


@attrs.define
class Streak:
    """Consecutive rows that ended with an error which later rows will probably meet, too."""

    length: int = 0

    def add(self, error: BaseException) -> None:
        """Count a row that ended with *error*."""
        if isinstance(error, SigmaMindError) and (
            error.not_from_api or isinstance(error, _LIKELY_SHARED)
        ):
            self.length += 1
        elif isinstance(error, APIStatusError) and error.status < 500:
            self.length = 0


def _stops_every_row(error: SigmaMindError) -> bool:
    """Return whether no row can succeed while *error* lasts."""
    if isinstance(error, JournalError):
        return error.op_id is None and not error.retryable
    if isinstance(error, APIStatusError):
        return error.status == 407  # only a proxy answers that
    return isinstance(error, APIConnectionError) and not error.retryable


class PreparedCall(Protocol[T_co]):
    """One call that is ready to be sent; it is run once."""

    @property
    def attempts(self) -> int:
        """Requests tried so far."""
        ...

    @property
    def may_have_acted(self) -> bool:
        """True if the platform may have acted on it."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and that the response shows with another value."""
        ...

    @property
    def request_id(self) -> str | None:
        """The platform's id of the latest request that was answered, where it gives one."""
        ...

    @property
    def waits(self) -> bool:
        """True between two attempts."""
        ...

    def ending(self) -> SigmaMindError | None:
        """Return the error it would end with without another attempt; `None` unless it `waits`."""
        ...

    def run(self) -> Awaitable[T_co]:
        """Send it and return its result."""
        ...


class SingleUse:
    """Base of the jobs, each of which can be iterated once."""

    _is_begun = False

    def _begin(self) -> None:
        """Raise `ConfigurationError` if the job was iterated before: its rows are spent."""
        if self._is_begun:
            raise ConfigurationError(
                "a job can be iterated once; what an early end left is in its undelivered,"
                " and the rows after that need another job"
            )
        self._is_begun = True


class BulkRun(SingleUse, Generic[V, T]):
    """A job over many values, made by ``run_many``; iterate over it once, with ``async for``.

    Args:
        prepare: Makes the call for one value and sends nothing; an exception fails that row alone.
        values: Any iterable or async iterable; read lazily, one value at a time.
        width: Most rows in progress at once.
        ordered: Yield outcomes in the order of the values.
        stop_on: When to start no more rows and skip the rest.
        progress: Counts to keep up to date.
        gate: The gate of the calls; it reports outages.
    """

    def __init__(
        self,
        prepare: Callable[[V], PreparedCall[T]],
        values: Iterable[V] | AsyncIterable[V],
        *,
        width: int,
        ordered: bool = False,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
        gate: Gate | None = None,
    ) -> None:
        _check_type("stop_on", stop_on, StopOn)
        _check_type("progress", progress, Progress)
        self.progress: Progress = progress or Progress()
        self.stopped: str = ""
        """Why it starts no more rows, as a sentence; empty while it does."""
        self.stopped_by: SigmaMindError | None = None
        """The error that stopped it, if later rows would have met the same."""
        self.undelivered: list[Outcome[V, T]] = []
        """After an early end: the outcomes that were not delivered."""
        self._prepare = prepare
        self._input = _InputState(values)
        self._width = width
        self._max_pending = 4 * width  # rows started and not yet delivered
        self._stop_on = stop_on
        # `StopOn.reached` is called after every row, so only if it can be true.
        limited = stop_on is not None and (stop_on.count is not None or stop_on.share is not None)
        self._failure_limit = stop_on if limited else None
        self._streak = Streak()
        self._gate = gate
        self._idle_at = 0.0  # when the watchdog last saw no row in progress, on the gate's clock
        self._unreachable = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._closing = False
        self._counting_error: BaseException | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._running: dict[asyncio.Task[None], PreparedCall[T]] = {}
        self._ready: deque[Outcome[V, T]] = deque()
        self._ordered = ordered
        self._early: dict[int, Outcome[V, T]] = {}  # by index, waiting for those before them
        self._next_index = 0
        self._delivered = 0
        self._changed = asyncio.Event()  # an outcome is ready, or a worker has ended
        self._has_room = asyncio.Event()

    def stop(self, why: str = "stop() was called") -> None:
        """Start no more rows: finish those that were sent, skip all others."""
        self.stopped = self.stopped or why
        for worker, row in self._running.items():
            if not row.attempts:
                worker.cancel()  # it waits for the gate

    async def __aiter__(self) -> AsyncGenerator[Outcome[V, T], None]:
        """Run the job; yield the `Outcome` of every row."""
        self._begin()
        self.progress.started = self.progress.clock()
        self._add_worker()
        self._watch()
        try:
            while True:
                self._changed.clear()
                while self._ready:
                    self._delivered += 1
                    self._has_room.set()
                    yield self._ready.popleft()
                if not self._workers:
                    break
                await self._changed.wait()
        finally:
            if self._watchdog is not None:
                self._watchdog.cancel()
            await self._close()
        error = self._counting_error or self._input.error
        if error is not None:
            raise error

    async def _close(self) -> None:
        """Cancel the workers and keep the outcomes that were not delivered."""
        # Workers are plain tasks, because a task group cannot stay open across a ``yield``; none of
        # them outlives this method.
        self._closing = True
        for worker in self._workers:
            worker.cancel()
        try:
            while self._workers:
                await asyncio.wait(self._workers)
        finally:  # also when cancelled a second time
            self.undelivered.extend(self._ready)
            self.undelivered.extend(self._early[index] for index in sorted(self._early))

    # --- outages -----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Check regularly, while the job runs, whether the platform is down."""
        gate, patience = self._gate, None if self._stop_on is None else self._stop_on.patience
        if gate is None or patience is None:
            return
        if not self._running:
            self._idle_at = gate.now()
        down_for = gate.failing_for(self._idle_at)
        if down_for > patience and not self._unreachable:
            self._stop_for_outage(down_for)
        if self._unreachable:
            for worker, row in self._running.items():
                if row.waits:
                    worker.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(WATCH_INTERVAL, self._watch)

    def _stop_for_outage(self, seconds: float) -> None:
        """Stop; rows that wait for a retry end, requests in progress are finished."""
        self._unreachable = True
        endings = (row.ending() for row in self._running.values() if row.waits)
        errors = [error for error in endings if error is not None]
        errors.sort(key=lambda error: isinstance(error, RateLimitError))  # rarely what is wrong
        example = f": {_one_line(errors[0])}" if errors else ""
        why = f"no request has succeeded for {seconds:.0f} s{example}"
        self.stopped_by = self.stopped_by or APIConnectionError(why)
        self.stop(why)

    # --- workers -----------------------------------------------------------------------------

    def _add_worker(self) -> None:
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._on_worker_done)

    def _on_worker_done(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and worker.exception() is not None:
            # Errors of rows are outcomes; this one is from the caller's `Progress` or `StopOn`.
            self._counting_error = self._counting_error or worker.exception()
            self.stop(f"counting a row raised {type(self._counting_error).__name__}")
        if self.stopped and not self._closing and not self._workers and not self._input.ended:
            self._add_worker()  # to skip the rest
        self._changed.set()

    async def _work(self) -> None:
        """Process rows until the input ends; each that is taken from it gets one outcome."""
        worker = cast("asyncio.Task[None]", asyncio.current_task())
        # Names of its own: to look them up for each row takes a fiftieth of it.
        source, clock, prepare = self._input, self.progress.clock, self._prepare
        running, streak, workers, width = self._running, self._streak, self._workers, self._width
        while True:
            # Awaiting a value that is available would cost half a microsecond.
            if source.is_async or source.taken - self._delivered >= self._max_pending:
                value = await self._next_value()
            else:
                value = source.take()
            if value is _END:
                return
            index = source.taken - 1
            if self.stopped:
                self._finish(Outcome(index, "skipped", value))
                continue
            if len(workers) < width:
                self._add_worker()  # there may be more values
            row: PreparedCall[T] | None = None
            began = clock()
            try:
                row = running[worker] = prepare(value)
                result = await row.run()
            except BaseException as error:
                running.pop(worker, None)
                # A row may wait for something that is cancelled, such as another task.
                goes_on = isinstance(error, asyncio.CancelledError) and not worker.cancelling()
                skipped = isinstance(error, asyncio.CancelledError) and not goes_on
                outcome = self._failure(index, value, row, error, clock() - began, skipped=skipped)
                self._finish(outcome)
                if not goes_on and not isinstance(error, Exception):
                    raise
            else:
                del running[worker]
                streak.length = 0
                elapsed, attempts, ignored = clock() - began, row.attempts, row.ignored
                request_id = row.request_id
                # Keyword arguments would take twice as long.
                self._emit(
                    Outcome(
                        index,
                        "done",
                        value,
                        result,
                        None,
                        None,
                        attempts,
                        elapsed,
                        ignored,
                        request_id,
                    )
                )
                # Counted last: an exception in here must not cost the row its outcome.
                self.progress.done += 1
                if self._failure_limit is not None:
                    self._check_failures(self._failure_limit)

    async def _next_value(self) -> V | Literal[_End.END]:
        """Return the next value, once there is room for its outcome."""
        while self._input.taken - self._delivered >= self._max_pending:
            self._has_room.clear()
            await self._has_room.wait()
        return await self._input.take_async() if self._input.is_async else self._input.take()

    # --- outcomes ----------------------------------------------------------------------------

    def _finish(self, outcome: Outcome[V, T]) -> None:
        self._emit(outcome)
        self.progress.count(outcome.status)
        if isinstance(outcome.error, SigmaMindError) and not self.stopped:
            self._check_error(outcome.error)
        if self._failure_limit is not None:
            self._check_failures(self._failure_limit)

    def _failure(
        self,
        index: int,
        value: V,
        row: PreparedCall[T] | None,
        error: BaseException,
        elapsed: float,
        *,
        skipped: bool,
    ) -> Outcome[V, T]:
        """Return the outcome of a row that raised *error*; *row* is `None` if preparing it did.

        One that was cancelled by the job is *skipped*, unless it may have acted.
        """
        cancelled = not isinstance(error, Exception)
        if cancelled and row is not None and self._unreachable and not self._closing:
            error = row.ending() or error  # it was cancelled because of the outage
        elif isinstance(error, asyncio.CancelledError) and not skipped:
            error = SigmaMindError("what the call waited for was cancelled")
            error.committed = "unknown" if row is not None and row.may_have_acted else "no"
        status: Status = "failed"
        if isinstance(error, SigmaMindError):
            status = "failed" if error.committed == "no" else "unconfirmed"
        elif row is not None and row.may_have_acted:
            status = "unconfirmed"
        elif skipped:
            status = "skipped"
        return Outcome(
            index=index,
            status=status,
            value=value,
            error=None if status == "skipped" else error,
            attempts=0 if row is None else row.attempts,
            elapsed=elapsed,
            ignored=() if row is None else row.ignored,
            request_id=None if row is None else row.request_id,
        )

    def _emit(self, outcome: Outcome[V, T]) -> None:
        if not self._ready:
            self._changed.set()
        if not self._ordered:
            self._ready.append(outcome)
        else:
            self._early[outcome.index] = outcome
            while self._next_index in self._early:
                self._ready.append(self._early.pop(self._next_index))
                self._next_index += 1

    def _check_error(self, error: SigmaMindError) -> None:
        """Stop if *error* shows that the remaining rows would end the same way."""
        limit = None if self._stop_on is None else self._stop_on.in_a_row
        if limit is None:
            return
        self._streak.add(error)
        if _stops_every_row(error):
            why = "no other row would succeed"
        elif self._streak.length >= limit:
            rows = "1 row" if limit == 1 else f"{limit} rows in a row"
            why = f"{rows} ended the same way, as the rest would"
        else:
            return
        self.stopped_by = error
        self.stop(f"{why}: {_one_line(error)}")

    def _check_failures(self, limit: StopOn) -> None:
        """Stop if enough rows have failed for *limit*."""
        if not self.stopped and limit.reached(self.progress):
            bad = self.progress.failed + self.progress.unconfirmed
            self.stop(f"{bad} of {self.progress.finished} rows failed or are unconfirmed")


def _check_type(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{name}: must be a {kind.__name__}, or None")


def _one_line(error: SigmaMindError) -> str:
    return " ".join(str(error).split())


def check_rows(values: object) -> None:
    """Raise `InvalidRequestError` unless *values* can be rows of a job: a text or record cannot."""
    if isinstance(values, str | bytes | Record) or not isinstance(values, Iterable | AsyncIterable):
        rule = f"must be an iterable of rows, not {type(values).__name__}"
        raise InvalidRequestError(field="values", rule=rule)


def map_rows(
    change: Callable[[V], T], values: Iterable[V] | AsyncIterable[V]
) -> Iterable[T] | AsyncIterable[T]:
    """Return what *change* makes of each of *values*, read as lazily."""
    check_rows(values)
    if not isinstance(values, AsyncIterable):
        return map(change, values)

    async def changed(values: AsyncIterable[V]) -> AsyncGenerator[T, None]:
        async for value in values:
            yield change(value)

    return changed(values)


class _End(enum.Enum):
    END = enum.auto()


_END: Final = _End.END


class _InputState(Generic[V]):
    """The values and how far they have been read.

    An exception from the iterator ends them; the consumer gets it after the rows before it.
    """

    def __init__(self, values: Iterable[V] | AsyncIterable[V]) -> None:
        self.taken = 0
        self.ended = False
        self.error: Exception | None = None
        self.is_async = isinstance(values, AsyncIterable)
        self._values = iter(()) if isinstance(values, AsyncIterable) else iter(values)
        self._async_values = aiter(values) if isinstance(values, AsyncIterable) else None
        # An async generator cannot be asked for a value before it has yielded the one before.
        self._lock = asyncio.Lock()

    def take(self) -> V | Literal[_End.END]:
        """Return the next value, or `_END`."""
        if self.ended:
            return _END
        try:
            value = next(self._values, _END)
        except asyncio.CancelledError:  # what the rows wait for was cancelled, and not the job
            value, self.error = _END, _cut_off()
        except Exception as error:  # noqa: BLE001 - raised again for the consumer
            value, self.error = _END, error
        if value is _END:
            self.ended = True
        else:
            self.taken += 1
        return value

    async def take_async(self) -> V | Literal[_End.END]:
        """Return the next value of an async iterable, or `_END`."""
        async with self._lock:
            if self.ended or self._async_values is None:
                return _END
            try:
                value = await anext(self._async_values, _END)
            except asyncio.CancelledError:
                if cast("asyncio.Task[Any]", asyncio.current_task()).cancelling():
                    raise
                value, self.error = _END, _cut_off()
            except Exception as error:  # noqa: BLE001 - raised again for the consumer
                value, self.error = _END, error
            if value is _END:
                self.ended = True
            else:
                self.taken += 1
            return value


def _cut_off() -> InvalidRequestError:
    rule = "reading them was cancelled by what they come from; there may be more"
    return InvalidRequestError(field="values", rule=rule)


@attrs.frozen(kw_only=True, repr=False)
class BulkResult(Generic[V, T]):
    """How every row of a job ended, in the caller's order."""

    outcomes: list[Outcome[V, T]] = attrs.field(hash=False)
    """One for each row that was read."""
    stopped: str = ""
    """Why the job stopped early, as a sentence; empty if it did not."""

    def __repr__(self) -> str:
        counts = Counter[str](outcome.status for outcome in self.outcomes)
        parts = [f"{name}={count}" for name, count in counts.items()]
        parts += [f"stopped={self.stopped!r}"] if self.stopped else []
        return f"BulkResult({', '.join(parts)})"

    def to_dict(self, *, wire: bool = False) -> dict[str, Any]:
        """Return it as JSON values; *wire* is that of `Outcome.to_dict`."""
        outcomes = [outcome.to_dict(wire=wire) for outcome in self.outcomes]
        return {"outcomes": outcomes, "stopped": self.stopped}

    def to_json(self, *, wire: bool = False) -> str:
        """Return `to_dict` as JSON text; *wire* means the same."""
        return json_text(self.to_dict(wire=wire))

    @property
    def done(self) -> list[Outcome[V, T]]:
        """Rows that succeeded."""
        return self._with("done")

    @property
    def failed(self) -> list[Outcome[V, T]]:
        """Rows of which the platform has done nothing."""
        return self._with("failed")

    @property
    def unconfirmed(self) -> list[Outcome[V, T]]:
        """Rows on which the platform may have acted: look them up before trying again."""
        return self._with("unconfirmed")

    @property
    def skipped(self) -> list[Outcome[V, T]]:
        """Rows that were not sent."""
        return self._with("skipped")

    def raise_for_failures(self) -> None:
        """Raise an `ExceptionGroup` with the error of each failed or unconfirmed row, if any."""
        errors = [
            outcome.error
            for outcome in self.outcomes
            if outcome.status in {"failed", "unconfirmed"} and isinstance(outcome.error, Exception)
        ]
        if errors:
            why = f"{len(errors)} of {len(self.outcomes)} rows failed or are unconfirmed"
            if self.stopped:
                why += f", and {len(self.skipped)} were skipped: {self.stopped}"
            raise ExceptionGroup(why, errors)

    def _with(self, status: Status) -> list[Outcome[V, T]]:
        return [outcome for outcome in self.outcomes if outcome.status == status]


async def collect(run: BulkRun[V, T]) -> BulkResult[V, T]:
    """Run a job to its end and return all outcomes."""
    outcomes: list[Outcome[V, T]] = []
    try:
        async for outcome in run:
            outcomes.append(outcome)  # noqa: PERF401 - those before an exception are counted below
    except BaseException as error:
        ended = len(outcomes) + len(run.undelivered)
        error.add_note(f"{ended} rows had ended; run_many yields each as soon as it ends")
        raise
    outcomes.sort(key=lambda outcome: outcome.index)
    return BulkResult(outcomes=outcomes, stopped=run.stopped)

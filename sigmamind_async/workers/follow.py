"""Operations that workers carry out, followed like a job of a `Provisioner`.

    provisioner = WorkerProvisioner(client, Queue(dsn), journal)
    await fleet.apply(todo, [provisioner], secrets=SecretReference)

Operations are handed over some hundred at a time, and looked at in the journal until they have
ended. Nothing is sent from here, so a process that follows may be killed at any moment: what it has
handed over is carried out all the same, and the same operations, given again, are followed further.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async.bulk import (
    DEFAULT_STOP_ON,
    Outcome,
    Progress,
    SingleUse,
    Status,
    StopOn,
    Streak,
)
from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
    status_error,
)
from sigmamind_async.provisioning.adapters.registry import adapter_for, adapter_of
from sigmamind_async.provisioning.fingerprint import from_result
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.journal.protocol import Status as AccountStatus
from sigmamind_async.provisioning.messages import outcome_unknown
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.row import Row, State, read_pair
from sigmamind_async.values import redacted
from sigmamind_async.workers.enqueue import RUNNABLE, JournalTransaction
from sigmamind_async.workers.queue import Queue, iterate
from sigmamind_async.workers.watch import PAUSES

T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R")

log: Final = logging.getLogger(__name__)

CHUNK: Final = 500
"""Operations that are handed over in one transaction."""
MAX_OPEN: Final = 2000
"""Operations that are with the workers at once and not unconfirmed: some seconds of work."""
_UNKNOWN_SETTLE_TIME: Final = 1e9
"""Seconds; the workers know the real one. Until then, no listing proves an operation lost."""
IDLE: Final = 10.0
"""Seconds in which nothing happens before `WorkerProvisioner.on_idle` is called."""

Pair: TypeAlias = tuple[str, RequestValue[T]]
"""An op_id and its value."""


class WorkerProvisioner:
    """Has the workers of a database carry operations out, each once.

    It takes the place of a `Provisioner` in `fleet.apply`. Whatever happens to this process, what
    was handed over is carried out; the same command, run again, follows it further.

    Args:
        client: Client of the account; it lists numbers, and sends none of the operations.
        queue: Hands operations to the workers. Its tables are made if they are missing.
        journal: The journal of the same database; it must be open.
        account: Label that distinguishes several accounts of one platform, as in `Provisioner`.
        on_idle: Called once in a job if nothing has happened for ten seconds, as when no worker
            serves the account; by default that is logged.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(
        self,
        client: Client,
        queue: Queue,
        journal: PostgresJournal,
        *,
        account: str | None = None,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        self._provisioner = Provisioner(
            client, journal, settle_time=_UNKNOWN_SETTLE_TIME, account=account
        )
        self.client = client
        self.queue = queue
        self.journal = journal
        self.account: str = self._provisioner.account
        self.label = account
        self.on_idle: Callable[[], None] = on_idle or self._log_idle
        self._is_checked = False

    def run_many(
        self,
        operations: Iterable[Pair[T]] | AsyncIterable[Pair[T]],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> FollowedRun[T]:
        """Have many operations carried out; iterate the result with ``async for``.

        Args:
            operations: Pairs of op_id and value; read lazily, about 2,000 ahead of the workers.
                Secrets in values are `SecretReference`.
            stop_on: When to hand no more of them over, as in `Provisioner.run_many`.
            progress: Counts, rate and estimated time, kept up to date.

        Returns:
            A job that yields one `Outcome` per operation, with its ``op_id``, as they end. Once all
            that are left are unconfirmed, it waits for them as long as that settles more of them,
            and for the client's deadline after that.
        """
        return FollowedRun(self, operations, stop_on=stop_on, progress=progress)

    async def reconcile(self) -> AccountStatus:
        """Compare unconfirmed operations with one listing; return what is left.

        Those that are found are done. Whether the others were lost is left to the workers, which
        know their settle time. Raises what `Provisioner.reconcile` does.
        """
        return await self._provisioner.reconcile()

    async def accept_key(self) -> None:
        """Accept the client's API key for the account, as `Provisioner.accept_key` does."""
        await self._provisioner.accept_key()

    async def check(self) -> None:
        """Make the tables of the queue if they are missing.

        Raises `ConfigurationError` if the queue is not in the database of the journal, whose
        operations would then never be seen to end.
        """
        if not self._is_checked:
            await self.queue.prepare()
            if await self.queue.journal_id() != self.journal.journal_id:
                raise ConfigurationError("queue: it must use the database and schema of journal")
            self._is_checked = True

    def _log_idle(self) -> None:
        log.warning(
            "%s: nothing has happened for %.0f s; check that a worker serves it and reaches the"
            " platform",
            self.account,
            IDLE,
        )


@attrs.define(eq=False)
class _Operation(Generic[T]):
    """An operation that has not ended."""

    index: int
    op_id: str
    value: RequestValue[T]
    began: float
    """When it was taken from the input, by the clock of the progress."""
    may_be_enqueued: bool = False
    attempts: int = 0
    """Attempts before it was handed over."""
    version: int = 0
    is_unconfirmed: bool = False


class FollowedRun(SingleUse, Generic[T]):
    """A job over many operations in the hands of workers; iterate it once.

    It is made by `WorkerProvisioner.run_many`.
    """

    def __init__(
        self,
        provisioner: WorkerProvisioner,
        operations: Iterable[Pair[T]] | AsyncIterable[Pair[T]],
        *,
        stop_on: StopOn | None,
        progress: Progress | None,
    ) -> None:
        self.progress: Progress = progress or Progress()
        self.stopped: str = ""
        """Why it hands no more operations over, as a sentence; empty while it does."""
        self.stopped_by: SigmaMindError | None = None
        """The error that stopped it, which the remaining operations would meet as well."""
        self.undelivered: list[Outcome[RequestValue[T], T]] = []
        """After an early end: each outcome that was known and not yielded."""
        self._provisioner = provisioner
        self._client = provisioner.client
        self._adapter = adapter_of(provisioner.client)
        self._deadline = provisioner.client.runner.engine.limits.deadline
        self._stop_on = stop_on
        self._streak = Streak()
        self._input = operations
        self._input_error: Exception | None = None
        self._has_input = True
        self._op_ids: set[str] = set()
        """Of the operations that have not ended."""
        self._waiting: deque[_Operation[T]] = deque()
        """Taken from the input, and not handed over."""
        self._open: dict[str, _Operation[T]] = {}
        """Handed over, by op_id."""
        self._ready: deque[Outcome[RequestValue[T], T]] = deque()
        self._chunk = CHUNK
        self._wake = asyncio.Event()  # there is a chunk to hand over, or it is stopped
        self._has_room = asyncio.Event()
        self._reached_at = 0.0  # when the database last answered
        self._moved_at = 0.0  # when something last happened
        self._settled_at = 0.0  # when an operation last ended, or not all were unconfirmed
        self._was_idle = False

    def stop(self, why: str = "stop() was called") -> None:
        """Hand over and follow no more operations; the workers go on with those they have.

        *why* becomes `stopped`.
        """
        self.stopped = self.stopped or why
        self._wake.set()

    async def __aiter__(self) -> AsyncGenerator[Outcome[RequestValue[T], T]]:
        """Run the job; yield the `Outcome` of every operation."""
        self._begin()
        now = self.progress.started = self.progress.clock()
        self._reached_at = self._moved_at = self._settled_at = now
        await self._provisioner.check()
        shortest, longest = PAUSES
        pause = shortest
        reader = asyncio.create_task(self._read())
        try:
            while self._has_input or self._waiting or self._open or self._ready:
                has_moved = await self._advance()
                while self._ready:
                    yield self._ready.popleft()
                pause = shortest if has_moved or self._waiting else min(2 * pause, longest)
                await self._sleep(pause)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            self._leave([*self._open.values(), *self._waiting])
            self.undelivered.extend(self._ready)
        if self._input_error is not None:
            raise self._input_error

    async def _advance(self) -> bool:
        """Hand over what there is room for, and look once; return whether anything happened."""
        now, has_moved = self.progress.clock(), False
        try:
            has_moved = await self._hand_over()
            has_moved = await self._look() or has_moved
            self._reached_at = now
        except JournalError as error:
            if now - self._reached_at > self._deadline:
                self._stop_because(error, "the journal cannot be read")
        all_unconfirmed = all(each.is_unconfirmed for each in self._open.values())
        if self._has_input or not all_unconfirmed:
            self._settled_at = now
        if has_moved or all_unconfirmed:
            self._moved_at = now
        if now - self._moved_at > IDLE and not self._was_idle:
            self._was_idle = True
            self._provisioner.on_idle()
        if self.stopped or now - self._settled_at > self._deadline:
            await self._leave_open()
        return has_moved

    async def _sleep(self, seconds: float) -> None:
        if not (self._has_input or self._waiting or self._open):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    # --- handing over ------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read the input, as far ahead as there is room."""
        try:
            index = 0
            async for given in iterate(self._input):
                self._add(index, given)
                index += 1
                while len(self._waiting) >= CHUNK:
                    self._wake.set()
                    self._has_room.clear()
                    await self._has_room.wait()
        except Exception as error:  # noqa: BLE001 - raised again for the consumer
            self._input_error = error
        finally:
            self._has_input = False
            self._wake.set()

    def _add(self, index: int, given: Pair[T]) -> None:
        """Take an operation up, unless it cannot be one of this job."""
        operation = _Operation(index, "", cast("RequestValue[T]", given), self.progress.clock())
        try:
            operation.op_id, operation.value = read_pair(index, given)
            self._check(operation)
        except InvalidRequestError as error:
            self._emit(operation, "failed", error=error)
        else:
            self._op_ids.add(operation.op_id)
            self._waiting.append(operation)

    def _check(self, operation: _Operation[T]) -> None:
        platform, _ = adapter_for(operation.value)
        if platform != self._client.platform.name:
            raise InvalidRequestError(field="value", rule=f"is a request of {platform}")
        if operation.op_id in self._op_ids:
            raise InvalidRequestError(
                f"{operation.op_id}: two requests under one id", "op_id", "not unique"
            )

    async def _hand_over(self) -> bool:
        """Enqueue what is waiting; an operation that cannot be enqueued fails alone."""
        if self.stopped:
            self._leave([*self._waiting])
            self._waiting.clear()
            self._has_room.set()
        has_moved = False
        while self._waiting and (room := self._room()) > 0 and not self.stopped:
            some = [*islice(self._waiting, min(self._chunk, room))]
            for each in some:
                each.may_be_enqueued = True  # a lost answer may have been a yes
            try:
                rows = await self._provisioner.queue.enqueue(
                    [(each.op_id, each.value) for each in some], account=self._provisioner.label
                )
            except (InvalidRequestError, JournalError) as error:
                if isinstance(error, JournalError) and error.op_id is None:
                    raise
                if error.retryable:
                    break
                if len(some) == 1:
                    self._finish(self._waiting.popleft(), "failed", error=error)
                self._chunk = max(1, len(some) // 2)  # to find the one that it is about
                continue
            for each, row in zip(some, rows, strict=True):
                self._waiting.popleft()
                each.attempts, each.version = row.attempt, row.version
                self._open[each.op_id] = each
                self._take_in(row)
            has_moved, self._chunk = True, min(2 * self._chunk, CHUNK)
            self._has_room.set()
        return has_moved

    def _room(self) -> int:
        """Return how many operations may be handed over; unconfirmed ones hold up no others."""
        return MAX_OPEN - sum(not each.is_unconfirmed for each in self._open.values())

    # --- following ---------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Take in which operations have ended; return whether any got further."""
        if not self._open:
            return False
        has_moved = False
        account, op_ids = self._provisioner.account, [*self._open]
        progress = await self._query(lambda journal: journal.progress([account], op_ids))
        for each in progress:
            operation = self._open[each.op_id]
            has_moved = has_moved or each.version != operation.version
            operation.version = each.version
            self._mark(operation, is_unconfirmed=each.state is State.UNCONFIRMED)
        await self._end([each.op_id for each in progress if each.has_ended])
        return has_moved

    async def _end(self, op_ids: Sequence[str]) -> None:
        """Take in the rows of operations that have ended, in the order in which they did."""
        for row in sorted(await self._rows(op_ids), key=lambda row: row.updated_at):
            self._take_in(row)

    async def _rows(self, op_ids: Sequence[str]) -> Iterable[Row]:
        account = self._provisioner.account
        rows = await self._query(lambda journal: journal.rows_of(account, op_ids)) if op_ids else {}
        return rows.values()

    async def _query(self, query: Callable[[JournalTransaction], Awaitable[R]]) -> R:
        schema = self._provisioner.queue.schema
        return await self._provisioner.journal.run(
            lambda connection: query(JournalTransaction(connection, schema))
        )

    def _take_in(self, row: Row) -> None:
        """End the operation of *row* if the workers do no more about it."""
        operation = self._open[row.op_id]
        if row.state is State.DONE or (row.state is State.DUPLICATE and row.record):
            self._succeed(operation, row)
        elif row.state is State.FAILED:
            self._finish(operation, "failed", row, error=_refused_error(row))
        elif row.state not in RUNNABLE:
            self._finish(operation, "unconfirmed", row, error=outcome_unknown(row, operation.value))

    def _succeed(self, operation: _Operation[T], row: Row) -> None:
        try:
            result = None if row.result is None else from_result(row.result, self._adapter.result)
        except JournalError as error:  # another version has stored it
            error.committed = "yes"
            self._finish(operation, "unconfirmed", row, error=error)
            return
        self._streak.length = 0
        self._finish(operation, "done", row, result=cast("T", result))

    def _mark(self, operation: _Operation[T], *, is_unconfirmed: bool) -> None:
        self.progress.unconfirmed += is_unconfirmed - operation.is_unconfirmed
        operation.is_unconfirmed = is_unconfirmed

    # --- the end -----------------------------------------------------------------------------

    async def _leave_open(self) -> None:
        """End the operations that are not followed any more, with what is known of each."""
        with suppress(JournalError):
            unconfirmed = [each.op_id for each in self._open.values() if each.is_unconfirmed]
            for row in await self._rows(unconfirmed):
                if row.state is State.UNCONFIRMED:
                    operation = self._open[row.op_id]
                    error = outcome_unknown(row, operation.value)
                    self._finish(operation, "unconfirmed", row, error=error)
                elif row.state is not State.FAILED:  # or its job may send it again
                    self._take_in(row)
        self._leave([*self._open.values()])

    def _leave(self, operations: Iterable[_Operation[T]]) -> None:
        """End *operations* that the workers may have, or that were not handed over."""
        for operation in operations:
            if not operation.may_be_enqueued:
                self._finish(operation, "skipped")
                continue
            error = OutcomeUnknownError(
                f"{operation.op_id}: left to the workers, which carry it out; the same call made"
                " again follows it"
            )
            error.value = redacted(operation.value)
            self._finish(operation, "unconfirmed", error=error)

    def _finish(
        self,
        operation: _Operation[T],
        status: Status,
        row: Row | None = None,
        *,
        result: T | None = None,
        error: SigmaMindError | None = None,
    ) -> None:
        self._op_ids.discard(operation.op_id)
        self._open.pop(operation.op_id, None)
        self._mark(operation, is_unconfirmed=False)
        self._settled_at = self.progress.clock()
        attempts = 0 if row is None else row.attempt - operation.attempts
        self._emit(operation, status, result=result, error=error, attempts=attempts)
        if error is not None and row is not None and not self.stopped:
            self._check_failures(error)

    def _emit(
        self,
        operation: _Operation[T],
        status: Status,
        *,
        result: T | None = None,
        error: SigmaMindError | None = None,
        attempts: int = 0,
    ) -> None:
        self.progress.count(status)
        self._ready.append(
            Outcome(
                index=operation.index,
                status=status,
                value=operation.value,
                result=result,
                error=error,
                op_id=operation.op_id,
                attempts=attempts,
                elapsed=self.progress.clock() - operation.began,
                ignored=self._ignored(operation.value, result)
                if attempts and result is not None
                else (),
            )
        )

    def _ignored(self, value: RequestValue[T], result: T) -> tuple[str, ...]:
        """Return the fields of *value* that *result* shows otherwise."""
        runner = self._client.runner
        if type(value) not in runner.operations:  # the worker has chosen the number to buy
            return ()
        find = runner.operation(value).ignored_fields
        return () if find is None else find(result)

    def _check_failures(self, error: SigmaMindError) -> None:
        """Stop if *error* shows that the remaining operations would end the same way."""
        limit = self._stop_on
        if limit is None:
            return
        self._streak.add(error)
        if limit.in_a_row is not None and self._streak.length >= limit.in_a_row:
            self._stop_because(error, f"{self._streak.length} operations in a row were refused")
        elif limit.reached(self.progress):
            bad = self.progress.failed + self.progress.unconfirmed
            self.stop(f"{bad} of {self.progress.finished} operations failed or are unconfirmed")

    def _stop_because(self, error: SigmaMindError, why: str) -> None:
        self.stopped_by = self.stopped_by or error
        self.stop(f"{why}: {' '.join(str(error).split())}")


def _refused_error(row: Row) -> SigmaMindError:
    """Return the error for an operation that failed; the journal holds its words and status."""
    if not row.error_status:
        return InvalidRequestError(row.error)
    error = status_error(row.error_status)(row.error)
    error.status, error.committed = row.error_status, "no"
    return error

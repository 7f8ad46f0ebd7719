"""Many operations in one job; at its end the unconfirmed ones are reconciled together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async.bulk import (
    DEFAULT_STOP_ON,
    BulkRun,
    Outcome,
    PreparedCall,
    Progress,
    SingleUse,
    StopOn,
    map_rows,
)
from sigmamind_async.convert import RequestValue
from sigmamind_async.convert.portable import build_request, hide_secrets
from sigmamind_async.errors import (
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
)
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.context import POLL_BACKOFF, AccountContext
from sigmamind_async.provisioning.messages import outcome_unknown
from sigmamind_async.provisioning.reconcile import reconcile_rows
from sigmamind_async.provisioning.row import UNSETTLED, Row, State, read_pair

T = TypeVar("T")

_Given: TypeAlias = RequestValue[T] | Mapping[str, Any]
_Operation: TypeAlias = tuple[str, _Given[T]]
_Outcome: TypeAlias = Outcome[_Given[T], T]

_SENDABLE = frozenset({State.PLANNED, State.FAILED})
"""States from which the next run sends again."""


class ProvisioningRun(SingleUse, Generic[T]):
    """A job over many operations, made by `Provisioner.run_many`; iterate it once.

    Unanswered operations are held until all others have ended. Then one listing after another
    reconciles them together, and those that may be sent again are. That goes on for as long as it
    settles more of them, and for the client's deadline after that. What is left is yielded as
    ``unconfirmed``, and stays in the journal. Made with what is no class of requests as *kind*, it
    raises `InvalidRequestError`.
    """

    def __init__(
        self,
        context: AccountContext,
        prepare: Callable[[str, Value], PreparedCall[T]],
        operations: Iterable[_Operation[T]] | AsyncIterable[_Operation[T]],
        *,
        kind: type[RequestValue[T]] | None = None,
        ordered: bool = False,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> None:
        given: object = kind
        if given is not None and not (isinstance(given, type) and issubclass(given, RequestValue)):
            raise InvalidRequestError(
                field="kind", rule="must be a class of requests, such as CreatePhoneNumber"
            )
        self.progress: Progress = progress or Progress()
        self.undelivered: list[_Outcome[T]] = []
        """After an early end: each outcome that was known and not yielded."""
        self._context = context
        self._prepare = prepare
        self._kind = kind
        self._ordered = ordered
        self._held: dict[int, _Outcome[T]] = {}
        """Unconfirmed outcomes, by index."""
        self._later: list[_Outcome[T]] = []
        """In an ordered job, the outcomes behind those that are held."""
        self._first = self._run(operations, stop_on, self.progress)

    def _run(
        self,
        operations: Iterable[_Operation[T]] | AsyncIterable[_Operation[T]],
        stop_on: StopOn | None,
        progress: Progress,
    ) -> BulkRun[_Operation[T], T]:
        engine = self._context.runner.engine
        return BulkRun(
            self._prepare_row,
            map_rows(partial(self._hide, count()), operations),
            width=engine.limits.max_connections,
            ordered=self._ordered,
            stop_on=stop_on,
            progress=progress,
            gate=engine.gate,
        )

    def _hide(self, indices: Iterator[int], operation: object) -> _Operation[T]:
        """Return *operation*; no outcome shows a secret of one that is a mapping."""
        kinds = () if self._kind is None else (self._kind,)
        try:
            op_id, value = read_pair(next(indices), operation)
        except InvalidRequestError as error:  # its row fails, and the job goes on
            parts = cast(
                "list[Any]", operation if isinstance(operation, list | tuple) else [operation]
            )
            hidden: Any = [hide_secrets(each, kinds) for each in parts]
            return cast("Any", error), hidden
        return op_id, hide_secrets(value, kinds)

    def _prepare_row(self, operation: _Operation[T]) -> PreparedCall[T]:
        op_id, value = cast("tuple[object, _Given[T]]", operation)
        if isinstance(op_id, InvalidRequestError):
            raise op_id
        return self._prepare(cast("str", op_id), self._request(value))

    def _request(self, value: _Given[T]) -> RequestValue[T]:
        request = build_request(value, self._kind)
        if self._kind is not None and not isinstance(request, self._kind):
            # An import would be a purchase otherwise.
            raise InvalidRequestError(
                field="value", rule=f"must be of the class {self._kind.__name__}"
            )
        return request

    @property
    def stopped(self) -> str:
        """Why it starts no more operations, as a sentence; empty while it does."""
        return self._first.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it, which the remaining operations would meet as well."""
        return self._first.stopped_by

    def stop(self) -> None:
        """Start no more operations: those that were sent are settled, all others are skipped."""
        self._first.stop()

    async def __aiter__(self) -> AsyncGenerator[_Outcome[T]]:
        """Run the job; yield the `Outcome` of every operation."""
        self._begin()
        try:
            async with aclosing(aiter(self._first)) as outcomes:
                async for raw in outcomes:
                    outcome = _with_op_id(raw)
                    if _may_be_reconciled(outcome):
                        self._held[outcome.index] = outcome
                    elif self._ordered and self._held:
                        self._later.append(outcome)
                    else:
                        yield outcome
            if not self._ordered:
                async for outcome in self._reconcile():
                    yield outcome
            else:
                self._later += [outcome async for outcome in self._reconcile()]
                self._later.sort(key=lambda outcome: -outcome.index)
                while self._later:
                    yield self._later.pop()
        finally:
            self.undelivered += [_with_op_id(raw) for raw in self._first.undelivered]
            self.undelivered += [*self._held.values(), *self._later]

    # --- reconciling -------------------------------------------------------------------------

    async def _reconcile(self) -> AsyncGenerator[_Outcome[T]]:
        """Yield the held outcomes as they are settled, and those that cannot be at the end."""
        clock, deadline = self._context.now, self._context.deadline
        until, (pause, longest) = clock() + deadline, POLL_BACKOFF
        while self._held:
            before = len(self._held)
            async for outcome in self._reconcile_held():
                self._drop_held(outcome)
                yield outcome
            if len(self._held) < before:
                until, pause = clock() + deadline, POLL_BACKOFF[0]
            elif self.stopped or clock() + pause >= until:
                break
            else:
                await self._context.sleep(pause)
                pause = min(2 * pause, longest)
        for outcome in list(self._held.values()):
            del self._held[outcome.index]
            yield outcome

    async def _reconcile_held(self) -> AsyncGenerator[_Outcome[T]]:
        """List the account once; yield what that settles, after sending again what may be sent."""
        try:
            rows = await self._rows_after_listing()
        except SigmaMindError:
            return  # the account or the journal cannot be read now
        again: list[_Outcome[T]] = []
        for outcome in list(self._held.values()):
            row = rows.get(outcome.op_id or "")
            if row is None:
                again.append(outcome)  # it waited for another operation on its number
            elif row.state in UNSETTLED:
                continue
            elif row.state in _SENDABLE or row.record or row.state is State.DONE:
                again.append(outcome)
            else:
                yield attrs.evolve(
                    outcome, error=outcome_unknown(row, self._request(outcome.value))
                )
        if self.stopped:
            again = [outcome for outcome in again if not _would_send(outcome, rows)]
        async for outcome in self._run_again(again):
            yield outcome

    async def _rows_after_listing(self) -> dict[str, Row]:
        context = self._context
        listing = await context.listings.newer_than(context.now())
        values = {each.op_id or "": self._request(each.value) for each in self._held.values()}

        async def request_of(row: Row) -> Value:
            return values[row.op_id]

        found = [await context.get(op_id) for op_id in values]
        rows = [row for row in found if row is not None]
        reconciled = await reconcile_rows(context, rows, listing, request_of)
        return {row.op_id: row for row in reconciled}

    async def _run_again(self, held: list[_Outcome[T]]) -> AsyncGenerator[_Outcome[T]]:
        operations = [(outcome.op_id or "", outcome.value) for outcome in held]
        async with aclosing(aiter(self._run(operations, None, Progress()))) as outcomes:
            async for raw in outcomes:
                first = held[raw.index]
                outcome = attrs.evolve(
                    _with_op_id(raw),
                    index=first.index,
                    attempts=first.attempts + raw.attempts,
                    elapsed=first.elapsed + raw.elapsed,
                )
                if _may_be_reconciled(outcome):
                    self._held[outcome.index] = outcome
                else:
                    yield outcome

    def _drop_held(self, outcome: _Outcome[T]) -> None:
        self.progress.recount(self._held[outcome.index].status, outcome.status)
        del self._held[outcome.index]


def _with_op_id(outcome: Outcome[_Operation[T], T]) -> _Outcome[T]:
    """Return *outcome* with id and value apart."""
    op_id, value = outcome.value
    return Outcome(
        index=outcome.index,
        status=outcome.status,
        value=value,
        result=outcome.result,
        error=outcome.error,
        op_id=None if isinstance(cast("object", op_id), InvalidRequestError) else op_id,
        attempts=outcome.attempts,
        elapsed=outcome.elapsed,
        ignored=outcome.ignored,
        request_id=outcome.request_id,
    )


def _may_be_reconciled(outcome: _Outcome[T]) -> bool:
    """Return whether a listing may still show how *outcome* ended."""
    error = outcome.error
    return isinstance(error, OutcomeUnknownError) or (
        isinstance(error, JournalError) and error.retryable
    )


def _would_send(outcome: _Outcome[T], rows: dict[str, Row]) -> bool:
    row = rows.get(outcome.op_id or "")
    return row is None or row.state in _SENDABLE

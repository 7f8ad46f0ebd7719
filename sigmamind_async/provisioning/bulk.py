"""Many operations in one job, and what is in doubt among them settled together at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

import attrs

from sigmamind_async import bulk
from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkRun, Outcome, Progress, StopOn
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import JournalError, OutcomeUnknownError, SigmaMindError
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.context import POLL_BACKOFF, AccountContext
from sigmamind_async.provisioning.messages import outcome_unknown
from sigmamind_async.provisioning.reconcile import reconcile_row
from sigmamind_async.provisioning.row import UNSETTLED, Row, State

T = TypeVar("T")

Given = tuple[str, RequestValue[T]]
Ended = Outcome[RequestValue[T], T]

_GOES_ON = frozenset({State.PLANNED, State.FAILED})
"""States from which the next run sends again."""


class ProvisioningRun(Generic[T]):
    """A job over many operations, made by `Provisioner.run_many`; run it, once, with ``async for``.

    Operations that went unanswered are held back; once all others have ended, one listing after
    another settles them together, and those that may be sent again are. That goes on for as long
    as it makes headway, and for the client's deadline after that. What is then still in doubt is
    handed over as ``unconfirmed``, and the journal keeps it.
    """

    def __init__(
        self,
        context: AccountContext,
        execution: Callable[[str, Value], bulk.PreparedCall[T]],
        operations: Iterable[Given[T]] | AsyncIterable[Given[T]],
        *,
        ordered: bool = False,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.undelivered: list[Ended[T]] = []
        """After an early end: each outcome that was known and not handed over."""
        self._context = context
        self._execution = execution
        self._ordered = ordered
        self._held: dict[int, Ended[T]] = {}
        self._later: list[Ended[T]] = []
        self._first = self._bulk(operations, stop_on, self.progress)

    def _bulk(
        self,
        operations: Iterable[Given[T]] | AsyncIterable[Given[T]],
        stop_on: StopOn | None,
        progress: Progress | None,
    ) -> BulkRun[Given[T], T]:
        return BulkRun(
            lambda given: self._execution(*given),
            operations,
            width=self._context.runner.engine.limits.max_connections,
            ordered=self._ordered,
            stop_on=stop_on,
            progress=progress,
            gate=self._context.runner.engine.gate,
        )

    @property
    def stopped(self) -> str:
        """Why it takes up no more operations, as a sentence; empty while it does."""
        return self._first.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that the operations to come would meet as well, where one has stopped it."""
        return self._first.stopped_by

    def stop(self) -> None:
        """Take up no more operations: those that were sent are settled, all others are skipped."""
        self._first.stop()

    async def __aiter__(self) -> AsyncGenerator[Ended[T]]:
        """Run the job; yield the `Outcome` of every operation."""
        try:
            async with aclosing(aiter(self._first)) as outcomes:
                async for given in outcomes:
                    outcome = _named(given)
                    if _held_back(outcome):
                        self._held[outcome.index] = outcome
                    elif self._ordered and self._held:
                        self._later.append(outcome)
                    else:
                        yield outcome
            if not self._ordered:
                async for outcome in self._settled():
                    yield outcome
            else:
                self._later += [outcome async for outcome in self._settled()]
                self._later.sort(key=lambda outcome: -outcome.index)
                while self._later:
                    yield self._later.pop()
        finally:
            self.undelivered += [_named(given) for given in self._first.undelivered]
            self.undelivered += [*self._held.values(), *self._later]

    # --- what is in doubt --------------------------------------------------------------------

    async def _settled(self) -> AsyncGenerator[Ended[T]]:
        """Yield what was held back, as it is settled; at the end what could not be."""
        context, (pause, longest) = self._context, POLL_BACKOFF
        until = context.now() + self._context.deadline
        while self._held:
            before = len(self._held)
            async for outcome in self._looked_up():
                self._let_go(outcome)
                yield outcome
            if len(self._held) < before:
                until, pause = context.now() + self._context.deadline, POLL_BACKOFF[0]
            elif self.stopped or context.now() + pause >= until:
                break
            else:
                await self._context.sleep(pause)
                pause = min(2 * pause, longest)
        for outcome in list(self._held.values()):
            del self._held[outcome.index]
            yield outcome

    async def _looked_up(self) -> AsyncGenerator[Ended[T]]:
        """Read the account once; yield what is settled by that, sending again what may be."""
        try:
            rows = await self._rows_after_a_listing()
        except SigmaMindError:
            return  # neither the platform nor the journal may be readable at every moment
        again: list[Ended[T]] = []
        for outcome in list(self._held.values()):
            row = rows.get(outcome.op_id or "")
            if row is None:
                again.append(outcome)  # another operation had its number
            elif row.state in UNSETTLED:
                continue
            elif row.state in _GOES_ON or row.record or row.state is State.DONE:
                again.append(outcome)
            else:
                yield attrs.evolve(outcome, error=outcome_unknown(row, outcome.value))
        if self.stopped:
            again = [outcome for outcome in again if not _would_send(outcome, rows)]
        async for outcome in self._run_again(again):
            yield outcome

    async def _rows_after_a_listing(self) -> dict[str, Row]:
        context = self._context
        listing = await context.listings.newer_than(context.now())
        rows: dict[str, Row] = {}
        for outcome in self._held.values():
            row = await context.get(outcome.op_id or "")
            if row is not None:
                rows[row.op_id] = await reconcile_row(context, row, listing, outcome.value)
        return rows

    async def _run_again(self, held: list[Ended[T]]) -> AsyncGenerator[Ended[T]]:
        operations = [(outcome.op_id or "", outcome.value) for outcome in held]
        async with aclosing(aiter(self._bulk(operations, None, Progress()))) as outcomes:
            async for given in outcomes:
                first = held[given.index]
                outcome = attrs.evolve(
                    _named(given),
                    index=first.index,
                    attempts=first.attempts + given.attempts,
                    elapsed=first.elapsed + given.elapsed,
                )
                if _held_back(outcome):
                    self._held[outcome.index] = outcome
                else:
                    yield outcome

    def _let_go(self, outcome: Ended[T]) -> None:
        held = self._held[outcome.index]
        self.progress.recount(held.status, outcome.status)
        del self._held[outcome.index]


def _named(outcome: Outcome[Given[T], T]) -> Ended[T]:
    """Return *outcome* with id and value apart."""
    op_id, value = outcome.value
    return Outcome(
        index=outcome.index,
        status=outcome.status,
        value=value,
        result=outcome.result,
        error=outcome.error,
        op_id=op_id,
        attempts=outcome.attempts,
        elapsed=outcome.elapsed,
        ignored=outcome.ignored,
    )


def _held_back(outcome: Ended[T]) -> bool:
    """Return whether a listing may still tell how *outcome* ended."""
    error = outcome.error
    return isinstance(error, OutcomeUnknownError) or (
        isinstance(error, JournalError) and error.retryable
    )


def _would_send(outcome: Ended[T], rows: dict[str, Row]) -> bool:
    row = rows.get(outcome.op_id or "")
    return row is None or row.state in _GOES_ON

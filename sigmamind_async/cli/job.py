"""The rows of a file, carried out concurrently, until they end or something ends them.

A job can end early in two ways. `stop` takes up no more rows and lets those under way finish.
`cancel` ends those as well: what is then known of them is reported, the rest is in doubt. Either
way every row of the file is reported once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from sigmamind_async.bulk import BulkRun, Outcome, Progress
from sigmamind_async.cli.columns import Value
from sigmamind_async.cli.ending import LOOK_UP, advice_for, message_of
from sigmamind_async.cli.interrupts import on_interrupt
from sigmamind_async.cli.platforms import AnyClient
from sigmamind_async.cli.records import Fault, RowResult, Stopped
from sigmamind_async.cli.rows import BadRow, Row
from sigmamind_async.errors import (
    AuthenticationError,
    PermissionDeniedError,
    SigmaMindError,
    SpendLimitError,
)
from sigmamind_async.gate import Admission

TICK = 0.1
"""Seconds between two looks at how the job goes."""

Report = Callable[[RowResult, Row | None], None]
"""Told how each row ended; the row is `None` for one that could not be read."""


@attrs.define(kw_only=True)
class Job:
    """One run over the rows of a file."""

    client: AnyClient
    rows: Iterator[Row | BadRow]
    report: Report
    admission: Admission
    """The client's own: tells whether the platform can be reached."""
    max_purchases: int
    """Purchases that were agreed to; more, if the file has grown since, are refused."""
    patience: float
    """Seconds without a single answer after which the job gives up."""
    on_stop: Callable[[Stopped, int], None]
    """Told once why the job ends early, and how many rows are under way."""
    keep_going: Callable[[], bool] = lambda: True
    progress: Progress = attrs.field(factory=Progress)
    stopped: Stopped | None = None
    _purchases: int = 0
    _pending: dict[int, Row] = attrs.field(factory=dict[int, Row])
    _bulk: BulkRun[Value, Any] | None = None
    _work: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Carry out all rows."""
        self._bulk = bulk = self.client.run_many(self._values(), progress=self.progress)
        try:
            with on_interrupt(self.interrupt):
                async with asyncio.TaskGroup() as tasks:
                    self._work = work = tasks.create_task(self._consume(bulk))
                    while not work.done():
                        self._look()
                        await asyncio.wait([work], timeout=TICK)
        finally:
            self._report_rest(bulk)

    def interrupt(self) -> None:
        """Stop at the first call, cancel at the second."""
        if self.stopped is None:
            self.stop("interrupted")
        else:
            self.cancel()

    def stop(self, why: Stopped) -> None:
        """Take up no more rows."""
        if self.stopped is not None or self._bulk is None:
            return
        self.stopped = why
        self._bulk.stop()
        self.on_stop(why, len(self._pending))

    def cancel(self) -> None:
        """End the rows under way as well."""
        if self._work is not None:
            self._work.cancel()

    def _look(self) -> None:
        if not self.keep_going():
            self.stop("output closed")
        if is_unreachable(self.admission, self.progress, self.patience):
            self.stop("platform unreachable")
            self.cancel()

    async def _consume(self, bulk: BulkRun[Value, Any]) -> None:
        async for outcome in bulk:
            self._settle(outcome)
            if is_hopeless(outcome.error, self.progress):
                self.stop("key refused")

    def _values(self) -> Iterator[Value]:
        for index, row in enumerate(self._good_rows()):
            self._pending[index] = row
            yield row.value

    def _good_rows(self) -> Iterator[Row]:
        """Yield the rows that can be sent; the others have failed already."""
        for row in self.rows:
            if isinstance(row, BadRow):
                self._fail(bad_row_result(row))
            elif row.spends and self._purchases >= self.max_purchases:
                self._fail(over_limit_result(row, self.max_purchases))
            else:
                self._purchases += row.spends
                yield row

    def _fail(self, result: RowResult) -> None:
        self.progress.count("failed")
        self.report(result, None)

    def _settle(self, outcome: Outcome[Value, Any]) -> None:
        row = self._pending.pop(outcome.index)
        self.report(result_of(row, outcome), row)

    def _report_rest(self, bulk: BulkRun[Value, Any]) -> None:
        """Report what a cancelled job had not handed over, and what it never took up."""
        for outcome in bulk.undelivered:
            self._settle(outcome)
        for row in self._good_rows() if self.stopped else ():
            self.progress.count("skipped")
            self.report(skipped_result(row), row)


def is_hopeless(error: BaseException | None, progress: Progress) -> bool:
    """Return whether the rows to come will fail like this one: the key opens nothing."""
    if isinstance(error, AuthenticationError):
        return True
    return isinstance(error, PermissionDeniedError) and progress.done == 0


def is_unreachable(admission: Admission, progress: Progress, patience: float) -> bool:
    """Return whether the platform has failed for *patience* seconds without one answer."""
    if admission.open_until is None or progress.started is None:
        return False
    alive = max(progress.started, admission.last_success or 0.0)
    return progress.clock() - alive > patience


# ---------------------------------------------------------------- results


def bad_row_result(row: BadRow) -> RowResult:
    """Return the end of a row that could not be read."""
    fault = Fault(kind="BadRow", message=row.message, committed="no")
    return RowResult(line=row.line, id=row.id, action=row.action, status="failed", fault=fault)


def over_limit_result(row: Row, limit: int) -> RowResult:
    """Return the end of a purchase that nobody agreed to."""
    error = SpendLimitError(f"only {limit} purchases were agreed to")
    return RowResult(
        line=row.line, id=row.id, action=row.action, status="failed", fault=fault_of(error)
    )


def skipped_result(row: Row) -> RowResult:
    """Return the end of a row that was never taken up."""
    return RowResult(
        line=row.line,
        id=row.id,
        action=row.action,
        status="skipped",
        phone_number=row.phone_number,
        record_id=row.record_id,
    )


def result_of(row: Row, outcome: Outcome[Any, Any]) -> RowResult:
    """Return how *row* ended."""
    found = None if outcome.result is None else row.platform.shown(outcome.result)
    skipped = outcome.status == "skipped" or outcome.error is None
    return RowResult(
        line=row.line,
        id=row.id,
        action=row.action,
        status=outcome.status,
        phone_number=(found and found.phone_number) or row.phone_number,
        record_id=(found and found.record_id) or row.record_id,
        fault=None if skipped else fault_of(outcome.error),
        attempts=outcome.attempts,
        elapsed=outcome.elapsed,
    )


def fault_of(error: BaseException | None) -> Fault:
    """Return what an error tells about a row."""
    kind, advice = type(error).__name__, advice_for(error)
    if isinstance(error, SigmaMindError):
        return Fault(
            kind=kind,
            message=message_of(error),
            committed=error.committed,
            status=getattr(error, "status", None),
            retry_after=getattr(error, "retry_after", None),
            advice=advice,
        )
    if isinstance(error, asyncio.CancelledError):
        message = "stopped while it was under way; it may have been carried out"
        return Fault(kind="Interrupted", message=message, committed="unknown", advice=LOOK_UP)
    return Fault(kind=kind, message=f"unexpected {kind}", committed="unknown")

"""The rows of a file, carried out concurrently, until they end or something ends them.

However it ends, every row of the file is reported once, and the journal knows all that the report
says. Of rows that were cut off, what is known is reported, and the rest is unconfirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import attrs

from sigmamind_async.bulk import Outcome, Progress
from sigmamind_async.cli.columns import Value
from sigmamind_async.cli.errors import advice_for, message_of
from sigmamind_async.cli.jobs.supervisor import Supervision
from sigmamind_async.cli.output.events import RowError, RowResult, StopReason
from sigmamind_async.cli.output.journal_status import without_call
from sigmamind_async.cli.rows import BadRow, Row
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.provisioning.bulk import ProvisioningRun
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.row import NEED_DECISION, State
from sigmamind_async.provisioning.row import Row as Entry

Report = Callable[[RowResult], None]
"""Told how each row ended."""


@attrs.define(kw_only=True)
class Job:
    """One run over the rows of a file."""

    provisioner: Provisioner
    journal: Journal
    account: str
    """Whose rows of the journal they are."""
    rows: Iterator[Row | BadRow]
    report: Report
    admission: Admission
    """The client's own: tells whether the platform can be reached."""
    patience: float
    """Seconds without a single answer after which the job gives up."""
    on_stop: Callable[[StopReason, int, str], None]
    """Told once why the job ends early, how many rows are under way, and the job's own words."""
    on_wait: Callable[[int], None]
    """Told once that every row has been sent, and how many of them are still unconfirmed."""
    keep_going: Callable[[], bool] = lambda: True
    progress: Progress = attrs.field(factory=Progress)
    _pending: dict[int, Row] = attrs.field(factory=dict[int, Row])
    """Rows taken up and not reported yet, by the index of their outcome."""
    _unreported: list[Outcome[Value, Any]] = attrs.field(factory=list[Outcome[Value, Any]])
    """The outcome that is being reported: the journal is asked about it first."""
    _supervision: Supervision | None = None

    @property
    def stopped(self) -> StopReason | None:
        """Why it ended early, if it did."""
        return None if self._supervision is None else self._supervision.stopped

    async def run(self) -> None:
        """Carry out all rows."""
        bulk = self.provisioner.run_many(self._values(), progress=self.progress)
        self._supervision = supervision = Supervision(
            stop_job=bulk.stop,
            on_stop=lambda why: self.on_stop(why, len(self._pending), reason_of(bulk)),
            on_wait=self.on_wait,
            awaited=self._awaited,
            admissions=[self.admission],
            patience=self.patience,
            progress=self.progress,
            keep_going=self.keep_going,
            stopped_by=lambda: bulk.stopped_by,
        )
        try:
            await supervision.over(self._consume(bulk, supervision))
        finally:
            await self._report_rest(bulk)

    def _awaited(self) -> int:
        progress = self.progress
        return progress.unconfirmed if progress.finished == progress.total else 0

    async def _consume(self, bulk: ProvisioningRun[Any], supervision: Supervision) -> None:
        # Closed at once, also when cancelled in here: what it has not handed over comes next.
        async with aclosing(aiter(bulk)) as outcomes:
            async for outcome in outcomes:
                self._unreported = [outcome]
                await self._settle(outcome)
                supervision.heed(outcome.error)

    def _values(self) -> Iterator[tuple[str, Value]]:
        for index, row in enumerate(self._good_rows()):
            self._pending[index] = row
            yield row.id or "", row.value

    def _good_rows(self) -> Iterator[Row]:
        """Yield the rows that can be sent; the others have failed already."""
        for row in self.rows:
            if isinstance(row, BadRow):
                self.progress.count("failed")
                self.report(bad_row_result(row))
            else:
                yield row

    async def _settle(self, outcome: Outcome[Value, Any]) -> None:
        row = self._pending[outcome.index]
        result = row_result(row, outcome)
        if result.status == "unconfirmed":
            result = in_plain_words(result, await self._entry(row))
            self._recount(result)
        del self._pending[outcome.index]
        self._unreported = []
        self.report(result)

    async def _entry(self, row: Row) -> Entry | None:
        """Return what the journal holds of *row*, where it can be read."""
        with suppress(JournalError):
            return await self.journal.get(self.account, row.id or "")
        return None

    def _recount(self, result: RowResult) -> None:
        if result.status != "unconfirmed":
            self.progress.recount("unconfirmed", result.status)

    async def _report_rest(self, bulk: ProvisioningRun[Any]) -> None:
        """Report what a cancelled job had not handed over, and what it never took up."""
        for outcome in [*self._unreported, *bulk.undelivered]:
            await self._settle(outcome)
        for row in self._good_rows() if self.stopped else ():
            self.progress.count("skipped")
            self.report(skipped_result(row))


def reason_of(bulk: ProvisioningRun[Any]) -> str:
    """Return why *bulk* stopped early, as it says; empty where it did not."""
    return bulk.stopped if bulk.stopped_by is not None else ""


# ---------------------------------------------------------------- results


def bad_row_result(row: BadRow) -> RowResult:
    """Return the end of a row that could not be read."""
    fault = RowError(type="BadRow", message=row.message, committed="no")
    return RowResult(line=row.line, id=row.id, action=row.action, status="failed", error=fault)


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


def row_result(row: Row, outcome: Outcome[Any, Any]) -> RowResult:
    """Return how *row* ended."""
    found = None if outcome.result is None else row.platform.number(outcome.result)
    skipped = outcome.status == "skipped" or outcome.error is None
    return RowResult(
        line=row.line,
        id=row.id,
        action=row.action,
        status=outcome.status,
        phone_number=(found and found.phone_number) or row.phone_number,
        record_id=(found and found.record_id) or row.record_id,
        error=None if skipped else fault_of(outcome.error, row),
        attempts=outcome.attempts,
        elapsed_ms=round(outcome.elapsed * 1000),
        already_done=outcome.status == "done" and not outcome.attempts,
    )


def fault_of(error: BaseException | None, row: Row | None = None) -> RowError:
    """Return what an error tells about a row."""
    kind, advice = type(error).__name__, advice_for(error)
    if isinstance(error, SigmaMindError):
        message = message_of(error)
        if row is not None:
            message = message.removeprefix(f"{row.id}: ")
            if isinstance(error, JournalError) and not error.retryable and row.goes_by_its_place:
                advice = MOVED
        return RowError(
            type=kind,
            message=message,
            committed=error.committed,
            status=getattr(error, "status", None),
            retry_after=getattr(error, "retry_after", None),
            hint=advice,
        )
    if isinstance(error, asyncio.CancelledError):
        message = "stopped while it was under way; it may have been carried out"
        return RowError(type="Interrupted", message=message, committed="unknown")
    return RowError(type=kind, message=f"unexpected {kind}", committed="unknown")


MOVED = (
    "a row without an id goes by its place: was one above it added or taken away? Other rows need"
    " another --journal"
)


def in_plain_words(result: RowResult, entry: Entry | None) -> RowResult:
    """Return the end of an unconfirmed row with what the journal says about it."""
    if entry is None or result.error is None:
        return result
    if entry.state is State.ABANDONED:
        fault = attrs.evolve(result.error, message=_ABANDONED, committed="unknown", hint="")
        return attrs.evolve(result, status="failed", error=fault)
    if entry.state in NEED_DECISION:
        message, advice = entry.history[-1].text, DECIDE
    elif entry.state is State.SENDING:
        message, advice = _SENT_ELSEWHERE, ""
    else:
        message, advice = entry.error, "it may have been carried out"
    fault = attrs.evolve(result.error, message=without_call(message), hint=advice)
    return attrs.evolve(result, error=fault)


_ABANDONED = "was abandoned by an operator: it is not sent again"
_SENT_ELSEWHERE = "another run has sent it and has not written down how it ended"
DECIDE = "needs a decision: sigmamind status shows how"
"""Advice on a row that no run settles by itself."""

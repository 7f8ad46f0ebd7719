"""The plan of a fleet, carried out until it ends or something ends it.

However it ends, every step is reported once, and the journal knows all that the report says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.jobs.next_steps import stopping_text, waiting_text
from sigmamind_async.cli.jobs.operations import fault_of, in_plain_words
from sigmamind_async.cli.jobs.supervisor import Supervision
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import RowError, RowResult, StopReason, Summary
from sigmamind_async.cli.output.plan_text import step_notes
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.errors import JournalError
from sigmamind_async.fleet.apply import Crew, FleetRun
from sigmamind_async.fleet.dispatcher import StepOutcome
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step import Action
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver

_OPEN: Final = frozenset({*UNSETTLED, *NEED_DECISION, State.ABANDONED})

Report = Callable[[RowResult], None]
"""Told how each row ended."""


@attrs.define(kw_only=True)
class FleetJob:
    """One run of a plan, supervised."""

    plan: Plan
    known: FleetState
    crew: Crew
    references: SecretResolver
    output: Output
    report: Report
    admissions: Sequence[Admission]
    """The clients' own."""
    patience: float
    """Seconds without a single answer after which the job gives up."""
    progress: Progress = attrs.field(factory=Progress)
    _doubtful: list[RowResult] = attrs.field(factory=list[RowResult])
    _supervision: Supervision | None = None
    _unchanged: int = 0
    _earlier: int = 0

    @property
    def stopped(self) -> StopReason | None:
        """Why it ended early, if it did."""
        return None if self._supervision is None else self._supervision.stopped

    async def run(self) -> None:
        """Carry out all steps."""
        run = self.crew.run(
            self.plan, self.known, self.references, report=self._ended, progress=self.progress
        )
        self._supervision = supervision = Supervision(
            stop_job=run.stop,
            on_stop=lambda why: self._say_stopping(why, run),
            on_wait=lambda count: self.output.log(waiting_text(count, self.patience)),
            awaited=lambda: _awaited(run),
            admissions=self.admissions,
            patience=self.patience,
            progress=self.progress,
            keep_going=lambda: not self.output.closed,
            stopped_by=lambda: run.stopped_by,
        )
        try:
            await supervision.over(self._carried_out(run, supervision))
        finally:
            await self._tell_of_doubts()

    async def _carried_out(self, run: FleetRun, supervision: Supervision) -> None:
        try:
            await run
        except JournalError as error:
            self.output.log(str(error))
            supervision.stop("journal_unusable")

    def _ended(self, outcome: StepOutcome) -> None:
        result = step_result(outcome, self.plan)
        self._unchanged += is_routine(result)
        self._earlier += result.already_done
        if result.status == "unconfirmed":
            self._doubtful.append(result)
        else:
            self.report(result)
        if self._supervision is not None:
            self._supervision.heed(outcome.error)

    def _say_stopping(self, why: StopReason, run: FleetRun) -> None:
        refusal = None if self._supervision is None else self._supervision.refusal
        error = run.stopped_by or refusal
        call = (error and error.operation) or ""
        platform = PLATFORMS.get(call.partition(".")[0])
        key = "" if platform is None else platform.key_variable
        reason = "" if run.stopped_by is None else run.stopped
        self.output.log(stopping_text(why, key, reason=reason))

    def summary(self, traffic: Traffic, seconds: float, *, bad: int = 0) -> Summary:
        """Return how it ended; *bad* rows were left out beforehand."""
        progress = self.progress
        return Summary(
            rows=progress.finished + bad,
            done=progress.done - self._unchanged,
            unchanged=self._unchanged,
            failed=progress.failed + bad,
            unconfirmed=progress.unconfirmed,
            skipped=progress.skipped,
            already_done=self._earlier,
            requests=traffic.requests,
            rate_limited=traffic.rate_limited,
            elapsed_ms=round(seconds * 1000),
            stopped=self.stopped,
        )

    # --- what is unconfirmed --------------------------------------------------------------------

    async def _tell_of_doubts(self) -> None:
        """Report the unconfirmed rows with what the journal says about them by now."""
        entries = await self._entries()
        for result in self._doubtful:
            told = in_plain_words(result, entries.get(result.id or ""))
            if told.status != "unconfirmed":
                self.progress.recount("unconfirmed", told.status)
            self.report(told)

    async def _entries(self) -> Mapping[str, Row]:
        """Return what is not settled in the journal, by the id of the row it is about."""
        entries: dict[str, Row] = {}
        if not self._doubtful:
            return entries
        with suppress(JournalError):
            for account in self.crew.provisioners:
                for entry in await self.crew.journal.in_states(account, _OPEN):
                    entries[entry.op_id.rpartition(" #")[0]] = entry
        return entries


def _awaited(run: FleetRun) -> int:
    """Return how many steps are unconfirmed, once nothing else is left of *run*."""
    progress = run.progress
    held = run.unconfirmed - progress.unconfirmed
    return held if progress.finished + held == progress.total else 0


# ---------------------------------------------------------------- results


def step_result(outcome: StepOutcome, plan: Plan) -> RowResult:
    """Return how a step ended, as the end of its row."""
    step, done = outcome.step, outcome.status == "done"
    fault = None if outcome.error is None or done else fault_of_step(outcome.error, step.id)
    return RowResult(
        line=plan.rows[step.id].line,
        id=step.id,
        platform=step.platform,
        action=step.action.value,
        status=outcome.status,
        phone_number=outcome.phone_number or None,
        record_id=_record(outcome),
        error=fault,
        attempts=outcome.attempts,
        elapsed_ms=round(outcome.elapsed * 1000),
        already_done=done and step.writes and not outcome.attempts,
        note="; ".join(_remarks(outcome)),
    )


def is_routine(result: RowResult) -> bool:
    """Return whether nothing was done about a row, because nothing had to be."""
    return result.status == "done" and result.action == Action.UNCHANGED.value


def _record(outcome: StepOutcome) -> str | None:
    return outcome.record if outcome.record not in {"", outcome.phone_number} else None


def _remarks(outcome: StepOutcome) -> list[str]:
    if outcome.status == "skipped":
        return [outcome.step.blocked] if outcome.step.blocked else []
    if outcome.status != "done":
        return []
    ignored = ", ".join(outcome.ignored)
    said = [f"the platform shows {ignored} otherwise than written"] if ignored else []
    return [
        *(step_notes(outcome.step) if outcome.step.kept_drift or outcome.step.renamed_from else ()),
        *said,
    ]


def fault_of_step(error: BaseException, row_id: str) -> RowError:
    """Return what an error tells about the row *row_id*, without the ids of its operations."""
    if isinstance(error, SecretReferenceError):
        return RowError(type=type(error).__name__, message=str(error), committed="no")
    fault = fault_of(error)
    operation = rf"{re.escape(row_id)} #\d+(\.\w+)?"
    return attrs.evolve(fault, message=re.sub(rf"^{operation}: ", "", fault.message))

"""Runs a job of many rows: stops it where it has to, shows its progress, and says how it ended.

Every command over many rows runs its job here. A job ends early in one of two ways: `stop` starts
no more rows and lets those under way settle; `cancel` ends those as well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from sigmamind_async import fleet
from sigmamind_async.bulk import Progress, StopOn
from sigmamind_async.cli.errors import exit_for_job, more_about, page_of_job, platform_prefix
from sigmamind_async.cli.jobs.results import (
    NEEDS_DECISION,
    NextSteps,
    left_to_workers,
    step_result,
    with_journal_state,
)
from sigmamind_async.cli.loop import on_interrupt
from sigmamind_async.cli.output.console import JobView, Output, Traffic
from sigmamind_async.cli.output.events import RowResult, StopReason, Summary
from sigmamind_async.cli.output.journal_status import row_id_of
from sigmamind_async.cli.output.text import STOP_TEXTS, Widths
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    InsufficientFundsError,
    JournalError,
    SigmaMindError,
)
from sigmamind_async.fleet import Action, FleetState, Plan, Secrets, StepOutcome
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State

if TYPE_CHECKING:  # a job without a report does without it
    from sigmamind_async.cli.report.page import PageFile

TICK: Final = 0.1
"""Seconds between two looks at a job."""
QUIET: Final = 2.0
"""Seconds to wait after the last row before telling the user what is still pending."""
_SETTLING: Final = "settling requests under way; Ctrl-C again leaves them unconfirmed"
_NOT_SETTLED: Final = frozenset({*UNSETTLED, *NEED_DECISION, State.ABANDONED})


class Job(Protocol):
    """What can be stopped, such as a `fleet.FleetRun` or a `VerificationRun`."""

    @property
    def stopped(self) -> str:
        """Why it starts no more rows, as a sentence; empty while it does."""
        ...

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that all other rows would meet as well, where one has stopped it."""
        ...

    def stop(self) -> None:
        """Start no more rows."""
        ...


@attrs.define(kw_only=True)
class JobRunner:
    """The supervision of one job, and its progress."""

    output: Output
    traffic: Traffic = attrs.field(factory=Traffic)
    """The requests that were sent, counted as an observer of the job's clients."""
    gates: Sequence[Gate] = ()
    """Those of the job's clients, which know what a platform asks for."""
    patience: float = 60.0
    """Seconds that rows wait while every request fails, and that unconfirmed ones are looked for:
    the deadline of one call."""
    progress: Progress = attrs.field(factory=Progress)
    stopped: StopReason | None = None
    """Why the job ended early."""
    seconds: float = 0.0
    """How long it took."""
    refusal: AuthenticationError | None = None
    """The error of the row that ended last, where the key was refused."""
    _job: Job = attrs.field(init=False)
    _task: asyncio.Task[None] = attrs.field(init=False)
    _view: JobView = attrs.field(init=False)
    _interrupted: bool = False
    _cancelled: bool = False
    _quiet_since: float | None = None

    async def run(
        self, job: Job, work: Awaitable[object], held: Callable[[], int] = lambda: 0
    ) -> None:
        """Await *work*, which carries *job* out and reports every row; it may end early.

        *held* returns how many rows have no answer yet and are looked for at the end. What *work*
        raises is raised, but for `JournalError`.
        """
        self._job, began = job, time.monotonic()
        self._view = JobView(
            progress=self.progress, traffic=self.traffic, gates=self.gates, held=held
        )
        try:
            with self.output.live(self._view.lines), on_interrupt(self._interrupt):
                async with asyncio.TaskGroup() as tasks:
                    self._task = task = tasks.create_task(self._carry_out(work))
                    while not task.done():
                        self._look()
                        await asyncio.wait([task], timeout=TICK)
                    self._note_refusal()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self.seconds = time.monotonic() - began

    async def _carry_out(self, work: Awaitable[object]) -> None:
        try:
            await work
        except JournalError as error:
            self.output.log(str(error))
            self.stop("journal_unusable")

    def _interrupt(self) -> None:
        """Stop at the first call, cancel at the second."""
        # A terminal that goes away takes standard output with it, and sends SIGHUP: that is once.
        if self.stopped is None or (self.stopped == "output_closed" and not self._interrupted):
            self._interrupted = True
            self.stop("interrupted")
        else:
            self.cancel()

    def stop(self, why: StopReason) -> None:
        """Start no more rows."""
        if self.stopped is not None:
            return
        self.stopped = why
        error = self._job.stopped_by or self.refusal
        text = _SETTLING if why == "interrupted" else STOP_TEXTS[why]
        if why == "key_refused" and error is not None:
            text += f" in {platform_prefix(error)}_API_KEY"
        if self._job.stopped_by is not None:
            text += f". {self._job.stopped}"
        self._job.stop()
        self.output.log(f"stopping: {text}")

    def cancel(self) -> None:
        """End the rows under way as well. Once: a second time would cut their ending short."""
        if not self._task.done() and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def _look(self) -> None:
        self._stop_with_job()
        if self.output.closed:
            self.stop("output_closed")
        self.output.pulse(self._view)
        self._look_for_a_wait()

    def _stop_with_job(self) -> None:
        """Note that an error has stopped the job."""
        if (error := self._job.stopped_by) is not None:
            self.stop(stop_reason(error))

    def _note_refusal(self) -> None:
        """Say why nothing was done, where too few rows met a refused key to stop the job."""
        self._stop_with_job()
        if self.refusal is not None and not self.progress.done:
            self.stop("key_refused")

    def _look_for_a_wait(self) -> None:
        """Say what the job waits for once everything left of it is unconfirmed."""
        held, now = self._view.held(), self.progress.clock()
        is_last = held and self.progress.finished + held == self.progress.total
        if self._view.waits_until is not None or not is_last:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since > QUIET:
            self._view.waits_until = time.monotonic() + self.patience
            self._view.shown_at = -math.inf  # without a terminal, that is worth a line at once


@attrs.define(kw_only=True)
class PlanRunner(JobRunner):
    """The job that a plan is: its supervision, and how its steps ended.

    Unconfirmed steps are reported last, with what the journal knows by then.
    """

    plan: Plan
    """What was shown."""
    page: PageFile | None = None
    """The report, if one is wanted."""
    next_steps: NextSteps | None = None
    """`None` where no journal remembers the job."""
    workers: bool = False
    """True if the operations are handed to workers."""
    invalid: int = 0
    """Rows that were left out because of their problems."""
    _unchanged: int = 0
    _abandoned: int = 0
    _needs_decision: int = 0
    _already_done: int = 0
    _unconfirmed: list[RowResult] = attrs.field(factory=list[RowResult])
    _failures: Counter[str] = attrs.field(factory=Counter[str])
    """Rows that failed, by the type of their errors."""

    async def carry_out(
        self,
        provisioners: Sequence[fleet.StepProvisioner],
        *,
        state: FleetState | None = None,
        secrets: Secrets | None = None,
    ) -> Summary:
        """Carry the plan out, report its steps, and return how that ended.

        Args:
            provisioners: One for each platform, all on one journal.
            state: What the plan was made against, if that was read just now. `None`: it is read
                again, and the plan is refused if it has moved.
            secrets: Resolves the references in rows.
        """
        plan = self.plan
        self.progress.total = len(plan.steps)
        if self.next_steps is not None:
            self.output.status_command = self.next_steps.command("status", "--rows")
        self.output.widths = Widths.of(
            plan.rows,
            {step.action.value for step in plan.steps},
            {step.platform for step in plan.steps},
        )
        run = fleet.apply(
            plan,
            provisioners,
            state=state,
            secrets=secrets,
            report=self._add,
            progress=self.progress,
            stop_on=StopOn(patience=self.patience),
        )
        try:
            await self.run(run, run, lambda: run.unconfirmed)
        finally:
            await self._report_unconfirmed(provisioners)
        return self._summary()

    def conclude(self, summary: Summary) -> int:
        """Show the summary and what is left to do; return the exit code."""
        self.output.show(summary)
        if self.next_steps is not None:
            self.next_steps.print(self.output.log, summary.stopped)
        if page := page_of_job(summary, self._failures):
            self.output.log(more_about(page))
        return exit_for_job(summary)

    def _add(self, outcome: StepOutcome) -> None:
        """Report how a step ended, or keep it where it is unconfirmed."""
        result, error = step_result(outcome, self.plan), outcome.error
        unchanged = result.status == "done" and result.action == Action.UNCHANGED.value
        self._unchanged += unchanged
        self._abandoned += outcome.step.blocked == fleet.ABANDONED
        if result.status == "unconfirmed":
            self._unconfirmed.append(result)
        else:
            self._report(result, shown=not unchanged or self.output.verbose or self.output.json)
        self.refusal = error if isinstance(error, AuthenticationError) else None

    def _report(self, result: RowResult, *, shown: bool = True) -> None:
        """Show *result*, and keep it for the report and the next steps."""
        if shown:
            self.output.show(result)
        self._already_done += result.already_done
        if result.error is not None:
            self._needs_decision += result.error.hint == NEEDS_DECISION
            self._failures[result.error.type] += result.status == "failed"
        commands = () if self.next_steps is None else self.next_steps.add(result)
        if self.page is not None:
            self.page.tally.add(result, commands)

    async def _report_unconfirmed(self, provisioners: Sequence[fleet.StepProvisioner]) -> None:
        if not self._unconfirmed:
            return
        stored: dict[str, Row] = {}
        with suppress(JournalError):  # the job has said so already
            for each in provisioners:
                for held in await each.journal.in_states(each.account, _NOT_SETTLED):
                    stored[row_id_of(held.op_id)] = held
        for result in self._unconfirmed:
            row = stored.get(result.id or "")
            if self.workers and (row is None or row.state is State.SENDING):
                now = left_to_workers(result)
            else:
                now = with_journal_state(result, row)
            if now.status != "unconfirmed":
                self.progress.recount("unconfirmed", now.status)
            self._report(now)

    def _summary(self) -> Summary:
        progress = self.progress
        return Summary(
            rows=progress.finished + self.invalid,
            done=progress.done - self._unchanged,
            unchanged=self._unchanged,
            failed=progress.failed,
            unconfirmed=progress.unconfirmed,
            skipped=progress.skipped + self.invalid,
            abandoned=self._abandoned,
            needs_decision=self._needs_decision,
            already_done=self._already_done,
            requests=self.traffic.requests,
            rate_limited=self.traffic.rate_limited,
            elapsed_ms=round(self.seconds * 1000),
            stopped=self.stopped,
        )


def stop_reason(error: SigmaMindError) -> StopReason:
    """Return why a job ends early that *error* has stopped."""
    if isinstance(error, JournalError):
        return "journal_unusable"
    if isinstance(error, APIConnectionError):
        return "platform_unreachable"
    if error.not_from_api:
        return "not_the_api"
    return "cannot_pay" if isinstance(error, InsufficientFundsError) else "key_refused"

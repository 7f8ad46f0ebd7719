"""Runs a job of many rows: stops it where it has to, shows its progress, and says how it ended.

Every command over many rows runs its job here. A job ends early in one of two ways: `stop` starts
no more rows and lets those under way settle; `cancel` ends those as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs

from sigmamind_async import fleet
from sigmamind_async.bulk import Progress
from sigmamind_async.cli.errors import exit_for_job
from sigmamind_async.cli.jobs.results import (
    NextSteps,
    left_to_workers,
    step_result,
    with_journal_state,
)
from sigmamind_async.cli.output.console import Output, Traffic
from sigmamind_async.cli.output.events import RowResult, StopReason, Summary
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.report.writer import PageFile
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    InsufficientFundsError,
    JournalError,
    SigmaMindError,
)
from sigmamind_async.fleet import Action, FleetState, Plan, Secrets, StepOutcome
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State

TICK: Final = 0.1
"""Seconds between two looks at a job."""
QUIET: Final = 2.0
"""Seconds after the last row has ended before a person is told what the job still waits for."""
STOPPING: Final[dict[StopReason, str]] = {
    "interrupted": "stopping: rows under way are settled; Ctrl-C again leaves them unconfirmed",
    "key_refused": "stopping: the platform refuses the key in {key}",
    "cannot_pay": "stopping: the account cannot pay",
    "not_the_api": "stopping: what answers is not the API",
    "platform_unreachable": "stopping: the platform cannot be reached",
    "journal_unusable": "stopping: the journal cannot be written, so nothing more is sent",
    "output_closed": "stopping: nothing reads the results any more; rows under way are settled",
}


_NOT_SETTLED: Final = frozenset({*UNSETTLED, *NEED_DECISION, State.ABANDONED})


class Job(Protocol):
    """What is run, such as a `fleet.FleetRun`; awaited once, and every row is reported by then."""

    @property
    def unconfirmed(self) -> int:
        """Rows that have no answer yet, and are looked for at the end."""
        ...

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

    def __await__(self) -> Generator[Any, Any, object]:
        """Run it to its end."""
        ...


@attrs.define(kw_only=True)
class JobRunner:
    """One job: its supervision, its progress, and the results of its rows."""

    output: Output
    next_steps: NextSteps | None = None
    """`None` where no journal remembers the job."""
    page: PageFile = attrs.field(factory=lambda: PageFile(stream=None))
    """The report, and an observer of the job's clients; it counts their requests."""
    admissions: Sequence[Admission] = ()
    """Those of the job's clients: they know whether a platform can be reached."""
    patience: float = 60.0
    """Seconds without an answer after which a platform counts as unreachable."""
    progress: Progress = attrs.field(factory=Progress)
    stopping: Mapping[StopReason, str] = STOPPING
    """What a person reads when the job stops early."""
    stopped: StopReason | None = None
    """Why the job ended early."""
    _job: Job | None = None
    _task: asyncio.Task[None] | None = None
    _seconds: float = 0.0
    _cancelled: bool = False
    _refusal: AuthenticationError | None = None
    _already_done: int = 0
    _quiet_since: float | None = None
    _waiting: bool = False

    # --- running -----------------------------------------------------------------------------

    async def run(self, job: Job) -> None:
        """Run *job* to its end, early or not. What it raises is raised, but for `JournalError`."""
        self._job, began = job, time.monotonic()
        try:
            with self.output.progress(self.progress, self.traffic), on_interrupt(self.interrupt):
                await self._watch(job)
        finally:
            self._seconds = time.monotonic() - began

    async def _watch(self, job: Job) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._task = task = tasks.create_task(self._carry_out(job))
                while not task.done():
                    self._look()
                    await asyncio.wait([task], timeout=TICK)
                self._note_refusal()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _carry_out(self, job: Job) -> None:
        try:
            await job
        except JournalError as error:
            self.output.log(str(error))
            self.stop("journal_unusable")

    def interrupt(self) -> None:
        """Stop at the first call, cancel at the second."""
        if self.stopped is None:
            self.stop("interrupted")
        else:
            self.cancel()

    def stop(self, why: StopReason) -> None:
        """Start no more rows."""
        if self.stopped is None and self._job is not None:
            self.stopped = why
            error = self._job.stopped_by
            reason = "" if error is None else f". {self._job.stopped}"
            self._job.stop()
            self.output.log(self._stopping_text(why, error or self._refusal) + reason)

    def cancel(self) -> None:
        """End the rows under way as well. Once: a second time would cut their ending short."""
        if self._task is not None and not self._task.done() and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def _look(self) -> None:
        self._stop_with_job()
        if self.output.closed:
            self.stop("output_closed")
        if is_unreachable(self.admissions, self.progress, self.patience):
            self.stop("platform_unreachable")
            self.cancel()
        self._look_for_a_wait()

    def _stop_with_job(self) -> None:
        """Note that an error has stopped the job."""
        error = None if self._job is None else self._job.stopped_by
        if error is not None:
            self.stop(stop_reason(error))

    def _note_refusal(self) -> None:
        """Say why nothing was done, where too few rows met a refused key to stop the job."""
        self._stop_with_job()
        if self._refusal is not None and not self.progress.done:
            self.stop("key_refused")

    def _look_for_a_wait(self) -> None:
        """Say what the job waits for once everything left of it is unconfirmed."""
        held = 0 if self._job is None else self._job.unconfirmed
        count = held if self.progress.finished + held == self.progress.total else 0
        now = self.progress.clock()
        if self._waiting or not count:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since > QUIET:
            self._waiting = True
            self.output.wait_for_unconfirmed(count, self.patience)

    def _stopping_text(self, why: StopReason, error: SigmaMindError | None) -> str:
        platform = ((error and error.operation) or "sigmamind").partition(".")[0]
        return self.stopping[why].format(key=f"{platform.upper()}_API_KEY")

    # --- results -----------------------------------------------------------------------------

    def report(self, result: RowResult, *, shown: bool = True) -> None:
        """Take how a row ended: show it, and keep it for the report and the next steps."""
        if shown:
            self.output.show(result)
        self._already_done += result.already_done
        commands: tuple[str, ...] = ()
        if self.next_steps is not None:
            self.next_steps.add(result)
            commands = self.next_steps.commands_for(result)
        self.page.add(result, commands)

    def note_error(self, error: BaseException | None) -> None:
        """Take the error of the row that ended last, if it has one."""
        self._refusal = error if isinstance(error, AuthenticationError) else None

    @property
    def traffic(self) -> Traffic:
        """The requests that were sent."""
        return self.page.traffic

    def summary(
        self, *, unchanged: int | None = None, abandoned: int = 0, invalid: int = 0
    ) -> Summary:
        """Return how the job ended.

        *unchanged* of the rows that are done needed nothing, and *abandoned* of those skipped were
        given up by an operator; *invalid* ones were left out before.
        """
        progress = self.progress
        return Summary(
            rows=progress.finished + invalid,
            done=progress.done - (unchanged or 0),
            unchanged=unchanged,
            failed=progress.failed + invalid,
            unconfirmed=progress.unconfirmed,
            skipped=progress.skipped,
            abandoned=abandoned,
            already_done=self._already_done,
            requests=self.traffic.requests,
            rate_limited=self.traffic.rate_limited,
            elapsed_ms=round(self._seconds * 1000),
            stopped=self.stopped,
        )

    def conclude(self, summary: Summary) -> int:
        """Show the summary and what is left to do; return the exit code."""
        self.output.show(summary)
        if self.next_steps is not None:
            self.next_steps.print(self.output.log, summary.stopped)
        return exit_for_job(summary)


async def run_plan(
    plan: Plan,
    provisioners: Iterable[fleet.StepProvisioner],
    runner: JobRunner,
    *,
    state: FleetState | None = None,
    secrets: Secrets | None = None,
    workers: bool = False,
    verbose: bool = False,
    invalid: int = 0,
) -> Summary:
    """Carry *plan* out and return how that ended.

    Args:
        plan: What was shown.
        provisioners: One for each platform, all on one journal.
        runner: Supervises the job.
        state: What the plan was made against, if that was read just now. `None`: it is read again,
            and the plan is refused if it has moved.
        secrets: Resolves the references in rows.
        workers: True if *provisioners* hand the operations to workers.
        verbose: Show the steps that had nothing to do, too.
        invalid: Rows that were left out because of their problems.
    """
    given = [*provisioners]
    runner.progress.total = len(plan.steps)
    runner.output.widths = _widths(plan)
    verbose = verbose or runner.output.json
    steps = StepReporter(plan, runner, workers=workers, verbose=verbose)
    run = fleet.apply(
        plan, given, state=state, secrets=secrets, report=steps.add, progress=runner.progress
    )
    try:
        await runner.run(run)
    finally:
        journal = given[0].journal if given else None
        await steps.report_unconfirmed(journal, [each.account for each in given])
    return runner.summary(unchanged=steps.unchanged, abandoned=steps.abandoned, invalid=invalid)


@attrs.define
class StepReporter:
    """Reports how steps ended; unconfirmed ones last, with what the journal knows by then."""

    plan: Plan
    runner: JobRunner
    workers: bool = attrs.field(kw_only=True)
    verbose: bool = attrs.field(kw_only=True)
    unchanged: int = 0
    abandoned: int = 0
    _unconfirmed: list[RowResult] = attrs.field(factory=list[RowResult])

    def add(self, outcome: StepOutcome) -> None:
        """Report *outcome*, or keep it where it is unconfirmed."""
        result = step_result(outcome, self.plan)
        unchanged = result.status == "done" and result.action == Action.UNCHANGED.value
        self.unchanged += unchanged
        self.abandoned += outcome.step.blocked == fleet.ABANDONED
        if result.status == "unconfirmed":
            self._unconfirmed.append(result)
        else:
            self.runner.report(result, shown=self.verbose or not unchanged)
        self.runner.note_error(outcome.error)

    async def report_unconfirmed(self, journal: Journal | None, accounts: Iterable[str]) -> None:
        """Report the unconfirmed rows with what *journal* says about them by now."""
        if not self._unconfirmed or journal is None:
            return
        stored = await _not_settled(journal, accounts)
        for result in self._unconfirmed:
            row = stored.get(result.id or "")
            if self.workers and (row is None or row.state is State.SENDING):
                now = left_to_workers(result)
            else:
                now = with_journal_state(result, row)
            if now.status != "unconfirmed":
                self.runner.progress.recount("unconfirmed", now.status)
            self.runner.report(now)


async def _not_settled(journal: Journal, accounts: Iterable[str]) -> Mapping[str, Row]:
    """Return the operations that are not settled, by the id of the fleet's row."""
    rows: dict[str, Row] = {}
    with suppress(JournalError):  # the job has said so already
        for account in accounts:
            for row in await journal.in_states(account, _NOT_SETTLED):
                rows[row.op_id.rpartition(" #")[0]] = row
    return rows


def _widths(plan: Plan) -> Widths:
    actions = {step.action.value for step in plan.steps}
    return Widths.of(plan.rows, actions, {step.platform for step in plan.steps})


def stop_reason(error: SigmaMindError) -> StopReason:
    """Return why a job ends early that *error* has stopped."""
    if isinstance(error, JournalError):
        return "journal_unusable"
    if isinstance(error, APIConnectionError):
        return "platform_unreachable"
    if error.not_from_api:
        return "not_the_api"
    return "cannot_pay" if isinstance(error, InsufficientFundsError) else "key_refused"


def is_unreachable(admissions: Sequence[Admission], progress: Progress, patience: float) -> bool:
    """Return whether a platform has failed for *patience* seconds, and none has answered."""
    if progress.started is None or all(each.open_until is None for each in admissions):
        return False
    alive = max(progress.started, *(each.last_success or 0.0 for each in admissions))
    return progress.clock() - alive > patience

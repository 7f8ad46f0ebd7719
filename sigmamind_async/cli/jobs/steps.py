"""Carries a plan out under a `JobRunner`: each step is reported once, as the result of its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.jobs.results import left_to_workers, row_error, with_journal_state
from sigmamind_async.cli.jobs.runner import JobRunner
from sigmamind_async.cli.output.events import RowError, RowResult, Summary
from sigmamind_async.cli.output.plan_text import step_notes
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.errors import JournalError
from sigmamind_async.fleet import Action, FleetState, Plan, Secrets, StepOutcome
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State
from sigmamind_async.secret_references import SecretReferenceError

_NOT_SETTLED: Final = frozenset({*UNSETTLED, *NEED_DECISION, State.ABANDONED})


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
    return runner.summary(unchanged=steps.unchanged, invalid=invalid)


@attrs.define
class StepReporter:
    """Reports how steps ended; unconfirmed ones last, with what the journal knows by then."""

    plan: Plan
    runner: JobRunner
    workers: bool = attrs.field(kw_only=True)
    verbose: bool = attrs.field(kw_only=True)
    unchanged: int = 0
    _unconfirmed: list[RowResult] = attrs.field(factory=list[RowResult])

    def add(self, outcome: StepOutcome) -> None:
        """Report *outcome*, or keep it where it is unconfirmed."""
        result = step_result(outcome, self.plan)
        unchanged = result.status == "done" and result.action == Action.UNCHANGED.value
        self.unchanged += unchanged
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


def step_result(outcome: StepOutcome, plan: Plan) -> RowResult:
    """Return how a step ended, as the result of its row."""
    step, done = outcome.step, outcome.status == "done"
    error = None if outcome.error is None or done else _step_error(outcome.error, step.id)
    return RowResult(
        line=plan.rows[step.id].line,
        id=step.id,
        platform=step.platform,
        action=step.action.value,
        status=outcome.status,
        phone_number=outcome.phone_number or None,
        record_id=outcome.record if outcome.record != outcome.phone_number else None,
        label=str(plan.rows[step.id].fields.get("label") or ""),
        error=error,
        attempts=outcome.attempts,
        elapsed_ms=round(outcome.elapsed * 1000),
        already_done=done and step.writes and not outcome.attempts,
        note="; ".join(_notes(outcome)),
    )


def _notes(outcome: StepOutcome) -> list[str]:
    step = outcome.step
    if outcome.status == "skipped":
        return [step.blocked] if step.blocked else []
    if outcome.status != "done":
        return []
    fields = ", ".join(outcome.ignored)
    ignored = [f"the platform shows another value for {fields}"] if fields else []
    return [*(step_notes(step) if step.kept_drift or step.renamed_from else ()), *ignored]


def _step_error(error: BaseException, row_id: str) -> RowError:
    """Return what *error* says about a row, without the id of the operation."""
    if isinstance(error, SecretReferenceError):
        return RowError(type=type(error).__name__, message=str(error), committed="no")
    found = row_error(error)
    operation = rf"{re.escape(row_id)} #\d+(\.\w+)?"
    return attrs.evolve(found, message=re.sub(rf"^{operation}: ", "", found.message))


def _widths(plan: Plan) -> Widths:
    actions = {step.action.value for step in plan.steps}
    return Widths.of(plan.rows, actions, {step.platform for step in plan.steps})

"""How rows ended, in words, and what is left to do about those that are not settled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

import attrs

from sigmamind_async.cli.errors import advice_for, message_of
from sigmamind_async.cli.journal_location import JournalLocation
from sigmamind_async.cli.options import SETTLE_TIME, settle_words
from sigmamind_async.cli.output.events import RowError, RowResult, StopReason
from sigmamind_async.cli.output.journal_status import without_call
from sigmamind_async.cli.output.text import ids_text, step_notes
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.fleet import Plan, StepOutcome
from sigmamind_async.provisioning.row import NEED_DECISION, Row, State
from sigmamind_async.secret_references import SecretReferenceError

NEEDS_DECISION: Final = "needs a decision: sigmamind status shows how"
"""Advice on a row that no run settles."""
WITH_WORKERS: Final = "with the workers"
"""Advice on a row that workers still have."""


def row_error(error: BaseException | None) -> RowError:
    """Return what an error says about a row."""
    kind = type(error).__name__
    if isinstance(error, SigmaMindError):
        return RowError(
            type=kind,
            message=message_of(error),
            committed=error.committed,
            status=getattr(error, "status", None),
            retry_after=getattr(error, "retry_after", None),
            hint=advice_for(error),
        )
    if isinstance(error, asyncio.CancelledError):
        message = "stopped while it was under way; it may have been carried out"
        return RowError(type="Interrupted", message=message, committed="unknown")
    # The text of any other error may hold anything, a password included.
    return RowError(type=kind, message=f"unexpected {kind}", committed="unknown")


def with_journal_state(result: RowResult, stored: Row | None) -> RowResult:
    """Return an unconfirmed *result* with what the journal says about its operation."""
    if stored is None or result.error is None:
        return result
    if stored.state is State.ABANDONED:
        message = "was abandoned by an operator: it is not sent again"
        error = attrs.evolve(result.error, message=message, committed="unknown", hint="")
        return attrs.evolve(result, status="failed", error=error)
    if stored.state in NEED_DECISION:
        return _with_message(result, without_call(stored.history[-1].text), NEEDS_DECISION)
    if stored.state is State.SENDING:
        return _with_message(
            result, "another run has sent it and has not recorded how it ended", ""
        )
    message = without_call(stored.error)
    hint = "" if "carried out" in message else "it may have been carried out"
    return _with_message(result, message, hint)


def left_to_workers(result: RowResult) -> RowResult:
    """Return an unconfirmed *result* whose operation workers still carry out."""
    return _with_message(result, "still with the workers, who carry it out", WITH_WORKERS)


def _with_message(result: RowResult, message: str, hint: str) -> RowResult:
    if result.error is None:
        return result
    return attrs.evolve(result, error=attrs.evolve(result.error, message=message, hint=hint))


def step_result(outcome: StepOutcome, plan: Plan) -> RowResult:
    """Return how a step ended, as the result of its row."""
    step, done = outcome.step, outcome.status == "done"
    row = plan.rows[step.id]
    notes: list[str] = []
    if outcome.status == "skipped" and step.blocked:
        notes.append(step.blocked)
    if done and (step.kept_drift or step.renamed_from):
        notes += step_notes(step)
    if done and outcome.ignored:
        notes.append(f"the platform shows another value for {', '.join(outcome.ignored)}")
    return RowResult(
        line=row.line,
        id=step.id,
        label=str(row.fields.get("label") or ""),
        platform=step.platform,
        action=step.action.value,
        status=outcome.status,
        phone_number=outcome.phone_number or None,
        record_id=outcome.record if outcome.record != outcome.phone_number else None,
        error=None if outcome.error is None or done else _step_error(outcome.error, step.id),
        attempts=outcome.attempts,
        elapsed_ms=round(outcome.elapsed * 1000),
        already_done=done and step.writes and not outcome.attempts,
        note="; ".join(notes),
    )


def _step_error(error: BaseException, row_id: str) -> RowError:
    """Return what *error* says about a row, without the id of the operation."""
    if isinstance(error, SecretReferenceError):
        return RowError(type=type(error).__name__, message=str(error), committed="no")
    found = row_error(error)
    operation = rf"{re.escape(row_id)} #\d+(\.\w+)?"
    return attrs.evolve(found, message=re.sub(rf"^{operation}: ", "", found.message))


# ---------------------------------------------------------------- what is left to do


@attrs.define(kw_only=True)
class NextSteps:
    """Collects the rows that are not settled, and says what settles them."""

    place: JournalLocation
    resume: str = ""
    """The command that goes on with the job."""
    settle_time: float = SETTLE_TIME
    _rows: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    """Ids of rows, by what is left to do about them."""
    _blocked: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    """Ids of rows that were left out, by the reason."""

    def add(self, result: RowResult) -> tuple[str, ...]:
        """Note how a row ended, and return the commands that settle it."""
        advice = "" if result.error is None else result.error.hint
        row_id = result.id or f"line {result.line}"
        if advice in {NEEDS_DECISION, WITH_WORKERS}:
            self._rows.setdefault(advice, []).append(row_id)
        elif result.status == "skipped" and result.note:
            self._blocked.setdefault(result.note, []).append(row_id)
        elif result.status in {"skipped", "unconfirmed"}:
            self._rows.setdefault(result.status, []).append(row_id)
        if advice == NEEDS_DECISION:
            return (self.command("status"),)
        if result.status == "unconfirmed":
            return (self.command("reconcile", "--wait"), self.command("status"))
        return ()

    def print(self, say: Callable[[str], None], stopped: StopReason | None) -> None:
        """Print which rows are not settled, and the commands that settle them."""
        for reason, ids in self._blocked.items():
            say(f"left out: {ids_text(ids)}: {reason}")
        if ids := self._rows.get(WITH_WORKERS, []):
            say(f"still with the workers, which carry on: {ids_text(ids)}")
            say(f"  how far they are: {self.command('status')}")
        if ids := self._rows.get("skipped", []):
            say(f"not sent: {ids_text(ids)}")
        if ids := self._rows.get("unconfirmed", []):
            say(f"unconfirmed, may have been carried out: {ids_text(ids)}")
            say(f"  see what is known:  {self.command('status')}")
            say(f"  wait until settled: {self.command('reconcile', '--wait')}")
        if ids := self._rows.get(NEEDS_DECISION, []):
            say(f"needs a decision: {ids_text(ids)}")
            say(f"  {self.command('status')}")
        if self.resume and (stopped or self._rows.keys() & {"skipped", "unconfirmed"}):
            password = ", with the password in place of ***" if "***" in self.resume else ""
            say(f"to continue, run the same command again{password}; nothing is sent twice:")
            say(f"  {self.resume}")

    def command(self, name: str, *words: str) -> str:
        """Return the command *name* about the journal of the job."""
        return self.place.command(name, None, *words, *settle_words(self.settle_time))

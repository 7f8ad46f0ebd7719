"""The requests of a run, many at once, and the end of each of its steps.

Whatever happens, every step is reported once: one that was carried out and could not be noted is
``unconfirmed``, one that the run did not come to ``skipped``. An error of the journal, or of the
caller's callback, stops the run; steps under way are settled first.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

from sigmamind_async.bulk import Outcome, Progress, Status, StopOn
from sigmamind_async.client import Client
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.fleet.requests import StepRequest
from sigmamind_async.fleet.step import Step
from sigmamind_async.fleet.step_progress import Report, StepProgress
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.secret_references import SecretReferenceError

Make: TypeAlias = Callable[[StepProgress], Awaitable[StepRequest]]
"""Returns the next request of a step; raises where there can be none."""
Ended: TypeAlias = Callable[[StepProgress, StepRequest, Any], Awaitable[None]]
"""Told of the record that an answer brought."""

_NotReached: TypeAlias = type[SigmaMindError] | tuple[()]


class StepBatch(Protocol):
    """Operations under way, as `Provisioner.run_many` returns them."""

    @property
    def progress(self) -> Progress:
        """Counts, kept up to date."""
        ...

    @property
    def stopped(self) -> str:
        """Why it starts no more operations, as a sentence; empty while it does."""
        ...

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it."""
        ...

    @property
    def undelivered(self) -> Sequence[Outcome[Any, Any]]:
        """After an early end: each outcome that was known and not yielded."""
        ...

    def stop(self) -> None:
        """Start no more operations, settle those under way and skip the others."""
        ...

    def __aiter__(self) -> AsyncGenerator[Outcome[Any, Any]]:
        """Yield the `Outcome` of every operation, with its ``op_id``."""
        ...


class StepProvisioner(Protocol):
    """Carries out the operations of one platform: a `Provisioner`, or one that hands them on."""

    @property
    def client(self) -> Client:
        """Client of the account; it lists the numbers."""
        ...

    @property
    def journal(self) -> Journal:
        """Where operations are recorded."""
        ...

    @property
    def account(self) -> str:
        """Its name in the journal."""
        ...

    def run_many(
        self, operations: AsyncIterable[tuple[str, Any]], *, stop_on: StopOn | None = ...
    ) -> StepBatch:
        """Carry out pairs of op_id and request, which are read lazily."""
        ...

    async def reconcile(self) -> object:
        """Settle what earlier runs left unconfirmed, if it can be settled."""
        ...


class Dispatcher:
    """Where the steps of a run are carried out.

    Args:
        steps: All of them.
        provisioners: By platform.
        report: Told how each step ended.
        progress: Counts, kept up to date.
        stop_on: When the requests of one platform stop the whole run.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        provisioners: Mapping[str, StepProvisioner],
        report: Report,
        progress: Progress,
        stop_on: StopOn | None,
    ) -> None:
        self.progress = progress
        self.stopped: str = ""
        """Why it takes up no more steps, as a sentence; empty while it does."""
        self.stopped_by: SigmaMindError | None = None
        """The error that the steps to come would meet as well, where one has stopped it."""
        self.error: Exception | None = None
        """What stopped it, to be raised once all steps have been reported."""
        self._open = {step.id: step for step in steps}
        self._provisioners = provisioners
        self._tell = report
        self._stop_on = stop_on
        self._runs: list[StepBatch] = []

    @property
    def unconfirmed(self) -> int:
        """Operations whose outcome is not known yet, and that are looked for at the end."""
        return sum(run.progress.unconfirmed for run in self._runs)

    @property
    def left(self) -> list[Step]:
        """Steps that have not been reported."""
        return list(self._open.values())

    def stop(self, why: str = "stop() was called") -> None:
        """Take up no more steps; those under way are settled."""
        self.stopped = self.stopped or why
        for run in self._runs:
            run.stop()

    def fail(self, error: Exception) -> None:
        """Stop because of *error*."""
        self.error = self.error or error
        self.stop(str(error) or type(error).__name__)

    def report(
        self, work: StepProgress, status: Status, error: BaseException | None = None
    ) -> None:
        """Report how a step ended, unless that was done."""
        if self._open.pop(work.step.id, None) is None:
            return
        self.progress.count(status)
        try:
            self._tell(work.outcome(status, error))
        except Exception as failure:  # noqa: BLE001 - raised again, after every step was reported
            self.fail(failure)

    async def perform(
        self,
        platform: str,
        works: Iterable[StepProgress],
        make: Make,
        ended: Ended,
        done: _NotReached = (),
    ) -> None:
        """Carry out one request for each of *works*, and tell *ended* of each answer.

        *done* is an error that says that there was nothing left to do.
        """
        under_way: dict[str, tuple[StepProgress, StepRequest]] = {}

        async def operations() -> AsyncIterator[tuple[str, Any]]:
            for work in works:
                if self.stopped:
                    self.report(work, "skipped")
                    return
                errand = await self._made(work, make)
                if errand is not None:
                    under_way[errand.op_id] = work, errand
                    yield errand.op_id, errand.value

        async def end(outcome: Outcome[Any, Any]) -> None:
            work, errand = under_way[outcome.op_id or ""]
            await self._end(work, errand, outcome, ended, done)
            del under_way[outcome.op_id or ""]

        run: StepBatch = self._provisioners[platform].run_many(operations(), stop_on=self._stop_on)
        self._runs.append(run)
        left: list[Outcome[Any, Any]] = []
        try:
            async with aclosing(aiter(run)) as outcomes:
                async for outcome in outcomes:
                    left = [outcome]
                    self._stop_with(run)
                    await end(outcome)
                    left = []
        finally:
            # Ended early: what is known and was not handed over, or was not noted to its end.
            left += run.undelivered
            try:
                for outcome in left:
                    await end(outcome)
            finally:
                self._report_unnoted(left, under_way)

    def _stop_with(self, run: StepBatch) -> None:
        """Stop on all platforms where what one of them answers has stopped *run*."""
        if run.stopped and not self.stopped:
            self.stopped_by = run.stopped_by
            self.stop(run.stopped)

    def _report_unnoted(
        self,
        left: Iterable[Outcome[Any, Any]],
        under_way: Mapping[str, tuple[StepProgress, StepRequest]],
    ) -> None:
        """Report what was cancelled once more, while it was noted."""
        for outcome in left:
            op_id = outcome.op_id or ""
            if op_id in under_way and outcome.status != "skipped":
                self.report(under_way[op_id][0], "unconfirmed", outcome.error)

    async def _made(self, work: StepProgress, make: Make) -> StepRequest | None:
        """Return the request, or report why there is none."""
        try:
            return await make(work)
        except (SigmaMindError, SecretReferenceError) as error:
            self.report(work, "failed", error)
            return None

    async def _end(
        self,
        work: StepProgress,
        errand: StepRequest,
        outcome: Outcome[Any, Any],
        ended: Ended,
        done: _NotReached,
    ) -> None:
        work = work.after(outcome)
        error = outcome.error
        gone = isinstance(error, done) and not error.not_from_api
        if outcome.status != "done" and not gone:
            self.report(work, outcome.status, outcome.error)
            return
        try:
            await ended(work, errand, outcome.result)
        except SigmaMindError as failure:  # it was carried out, and could not be noted
            self.report(work, "unconfirmed", failure)
            self.fail(failure)

"""The requests of a run, many at once, and the end of each of its steps.

Every step is reported once, whatever happens: one that was carried out and could not be noted as
``unconfirmed``, one that was not started as ``skipped``. An error of the journal, or of the
caller's callback, stops the run; steps under way are settled first.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
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
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

import attrs

from sigmamind_async.bulk import Outcome, Progress, Status, StopOn
from sigmamind_async.client import Client
from sigmamind_async.errors import APIConnectionError, SigmaMindError
from sigmamind_async.fleet.requests import StepRequest
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.step import Change, Step
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.secret_references import SecretReferenceError

READ_AHEAD: Final = 10
"""Steps whose requests are made at once. What follows a step waits for those made before it."""

# --- what a run needs of a provisioner -------------------------------------------------------


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
        """Carry out *operations*, pairs of op_id and request, which are read lazily.

        *stop_on* is that of `Provisioner.run_many`.
        """
        ...

    async def reconcile(self) -> object:
        """Settle what earlier runs left unconfirmed, if it can be settled."""
        ...


# --- steps under way -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class StepOutcome:
    """How one `step` ended: with the number's `record` and `phone_number`, or with an `error`."""

    step: Step
    status: Status
    """``skipped``: not sent, or only the request that created the number."""
    phone_number: str = ""
    record: str = ""
    error: BaseException | None = None
    attempts: int = 0
    """Requests sent or tried."""
    elapsed: float = 0.0
    """Seconds."""
    ignored: tuple[str, ...] = ()
    """Fields that were written and that the platform shows with another value."""


Report: TypeAlias = Callable[[StepOutcome], None]


@attrs.frozen(kw_only=True)
class StepProgress:
    """How far a step has got."""

    step: Step
    found: RemoteNumber | None = None
    """Its number as it was last seen."""
    changes: tuple[Change, ...] = ()
    """What is left to write to it."""
    applied: LastApplied | None = None
    """What has been noted of it so far."""
    sequence: int = 0
    """Of its next request."""
    attempts: int = 0
    elapsed: float = 0.0
    ignored: tuple[str, ...] = ()


MakeRequest: TypeAlias = Callable[[StepProgress], Awaitable[StepRequest]]
"""Returns the next request of a step; raises if there can be none."""
OnAnswer: TypeAlias = Callable[[StepProgress, StepRequest, Any], Awaitable[None]]
"""Called with the record of a response."""
_Errors: TypeAlias = type[SigmaMindError] | tuple[()]


@attrs.define(eq=False)
class Dispatcher:
    """Sends the requests of a run's steps, and reports how each step ended; see `apply`."""

    provisioners: Mapping[str, StepProvisioner]
    """By platform."""
    _report: Report | None
    progress: Progress
    _stop_on: StopOn | None
    stopped: str = attrs.field(default="", init=False)
    """Why it starts no more steps, as a sentence; empty while it does."""
    stopped_by: SigmaMindError | None = attrs.field(default=None, init=False)
    """The error that stopped it, which the remaining steps would meet as well."""
    error: Exception | None = attrs.field(default=None, init=False)
    """What stopped it, to be raised once all steps have been reported."""
    counts: Counter[Status] = attrs.field(factory=Counter[Status], init=False)
    """Steps that have been reported, by status."""
    bad: list[StepOutcome] = attrs.field(factory=list[StepOutcome], init=False)
    """Those that failed or are unconfirmed."""
    unreported: dict[str, Step] = attrs.field(factory=dict[str, Step], init=False)
    """Steps that have not been reported, by id."""
    _batches: list[StepBatch] = attrs.field(factory=list[StepBatch], init=False)
    _away: dict[str, tuple[str, SigmaMindError]] = attrs.field(
        factory=dict[str, tuple[str, SigmaMindError]], init=False
    )
    """Platforms that cannot be reached, with a sentence and the error that say so."""

    def begin(self, steps: Sequence[Step]) -> None:
        """Count *steps*, each of which will be reported."""
        self.unreported = {step.id: step for step in steps}
        self.progress.total = len(steps)
        self.progress.started = self.progress.clock()

    @property
    def unconfirmed(self) -> int:
        """Operations whose outcome is unknown so far."""
        return sum(batch.progress.unconfirmed for batch in self._batches)

    def stop(self, why: str = "stop() was called") -> None:
        """Start no more steps; those under way are settled."""
        self.stopped = self.stopped or why
        for batch in self._batches:
            batch.stop()

    def _stop_with(self, platform: str, batch: StepBatch) -> None:
        """Stop as *batch* has; where only its platform is away, the steps of the others go on."""
        has_others = len(self.provisioners) > 1
        why = f"{platform}: {batch.stopped}" if has_others else batch.stopped
        if has_others and isinstance(batch.stopped_by, APIConnectionError):
            self._away.setdefault(platform, (why, batch.stopped_by))
        else:
            self.stopped_by = batch.stopped_by
            self.stop(why)

    def conclude(self) -> None:
        """Say at the end why steps of a platform that was away are skipped."""
        for why, error in self._away.values():
            if not self.stopped:
                self.stopped_by = error
            self.stop(why)

    def fail(self, error: Exception) -> None:
        """Stop because of *error*."""
        self.error = self.error or error
        self.stop(str(error) or type(error).__name__)

    def report(
        self, progress: StepProgress, status: Status, error: BaseException | None = None
    ) -> None:
        """Report how a step ended, unless that was done."""
        step, found = progress.step, progress.found
        if self.unreported.pop(step.id, None) is None:
            return
        outcome = StepOutcome(
            step=step,
            status=status,
            phone_number=step.phone_number if found is None else found.phone_number,
            record=step.record if found is None else found.record,
            error=error,
            attempts=progress.attempts,
            elapsed=progress.elapsed,
            ignored=progress.ignored,
        )
        self.progress.count(status)
        self.counts[status] += 1
        if status in {"failed", "unconfirmed"}:
            self.bad.append(outcome)
        try:
            if self._report is not None:
                self._report(outcome)
        except Exception as failure:  # noqa: BLE001 - raised again, after every step was reported
            self.fail(failure)

    async def send(
        self,
        platform: str,
        steps: Iterable[StepProgress],
        make_request: MakeRequest,
        on_answer: OnAnswer,
        success: _Errors = (),
    ) -> None:
        """Send one request for each of *steps*, and await *on_answer* for each response.

        An error of the type *success* means that nothing was left to do.
        """
        under_way: dict[str, tuple[StepProgress, StepRequest]] = {}
        ahead: deque[StepProgress] = deque()

        async def end(outcome: Outcome[Any, Any]) -> None:
            progress, request = under_way[outcome.op_id or ""]
            progress = attrs.evolve(
                progress,
                attempts=progress.attempts + outcome.attempts,
                elapsed=progress.elapsed + outcome.elapsed,
                ignored=outcome.ignored,
            )
            error = outcome.error
            if outcome.status == "done" or (isinstance(error, success) and not error.not_from_api):
                try:
                    await on_answer(progress, request, outcome.result)
                except SigmaMindError as failure:  # it was carried out, and could not be noted
                    self.report(progress, "unconfirmed", failure)
                    self.fail(failure)
            else:
                self.report(progress, outcome.status, error)
            del under_way[outcome.op_id or ""]

        operations = self._operations(platform, steps, make_request, ahead, under_way)
        batch: StepBatch = self.provisioners[platform].run_many(operations, stop_on=self._stop_on)
        self._batches.append(batch)
        unfinished: list[Outcome[Any, Any]] = []
        try:
            async with aclosing(aiter(batch)) as outcomes:
                async for outcome in outcomes:
                    unfinished = [outcome]
                    if batch.stopped and not self.stopped:  # by responses of this platform
                        self._stop_with(platform, batch)
                    await end(outcome)
                    unfinished = []
        finally:
            # After an early end: outcomes that are known and were not yielded, or not fully noted.
            unfinished += batch.undelivered
            while ahead:
                self.report(ahead.popleft(), "skipped")
            try:
                for outcome in unfinished:
                    await end(outcome)
            finally:  # cancelled once more meanwhile
                for outcome in unfinished:
                    if outcome.op_id in under_way and outcome.status != "skipped":
                        self.report(under_way[outcome.op_id][0], "unconfirmed", outcome.error)

    async def _operations(
        self,
        platform: str,
        steps: Iterable[StepProgress],
        make_request: MakeRequest,
        ahead: deque[StepProgress],
        under_way: dict[str, tuple[StepProgress, StepRequest]],
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield the operation of each of *steps*, which is in *ahead* before and then *under_way*.

        Several requests are made at once: one after the other, each would wait for the journal, and
        each write of the journal would wait for the disk alone.
        """
        left = iter(steps)
        while platform not in self._away and (some := [*islice(left, READ_AHEAD)]):
            ahead.extend(some)
            made = asyncio.gather(*map(make_request, some), return_exceptions=True)
            for request in await made:
                if self.stopped or platform in self._away:
                    return
                if isinstance(request, (SigmaMindError, SecretReferenceError)):
                    self.report(ahead.popleft(), "failed", request)
                elif isinstance(request, BaseException):
                    raise request
                else:
                    under_way[request.op_id] = ahead.popleft(), request
                    yield request.op_id, request.value

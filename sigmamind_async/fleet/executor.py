"""A plan, carried out: every request through a provisioner, every end written down.

Numbers come and change first, on all platforms at once; what their requests do not take is written
behind them; numbers go last, so that one that moves is never without a home. A row is noted in the
journal once it is as it should be. Whatever ends a run, the next plan finds in notes, operations
and listings how far it got.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress, StopOn
from sigmamind_async.errors import (
    ConfigurationError,
    NotFoundError,
    PlanError,
    SigmaMindError,
)
from sigmamind_async.fleet.diff import fixed_changes
from sigmamind_async.fleet.dispatcher import Dispatcher, StepProvisioner
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.requests import RequestBuilder, StepRequest
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.state_update import as_wanted, brought, gone, seen_again, still_to_write
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.fleet.step_progress import Report, StepProgress, announced, came_otherwise
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row


class Executor:
    """One run of a plan; carried out once.

    Args:
        plan: What to do. Its problems are not looked at: whoever runs it has decided about them.
        known: What it was made against.
        provisioners: One for each platform of the plan, by name, all on *journal*.
        journal: Where notes are kept.
        errands: Makes the requests.
        report: Told how each step ended, as it ends, exactly once. What it raises stops the run.
        progress: Counts, kept up to date.
        stop_on: When to take up no more steps, as in `Provisioner.run_many`; it looks at the
            requests of each platform by themselves, and stops all.

    Raises:
        ConfigurationError: A platform has no provisioner.
    """

    def __init__(
        self,
        plan: Plan,
        known: FleetState,
        provisioners: Mapping[str, StepProvisioner],
        journal: Journal,
        errands: RequestBuilder,
        *,
        report: Report,
        progress: Progress | None = None,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
    ) -> None:
        self.progress = progress or Progress()
        self._stage = Dispatcher(plan.steps, provisioners, report, self.progress, stop_on)
        self._plan = plan
        self._known = known
        self._provisioners = provisioners
        self._journal = journal
        self._errands = errands
        self._behind: dict[str, deque[StepProgress]] = {
            platform: deque() for platform in provisioners
        }
        self._leaving: dict[str, deque[StepProgress]] = {
            platform: deque() for platform in provisioners
        }
        self._orphans = _orphans(plan, known)
        _check_platforms(plan, provisioners)

    @property
    def unconfirmed(self) -> int:
        """Operations whose outcome is not known yet, and that are looked for at the end."""
        return self._stage.unconfirmed

    @property
    def stopped(self) -> str:
        """Why it takes up no more steps, as a sentence; empty while it does."""
        return self._stage.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that the steps to come would meet as well, where one has stopped it."""
        return self._stage.stopped_by

    def stop(self) -> None:
        """Take up no more steps: those under way are settled, all others are skipped."""
        self._stage.stop()

    async def carry_out(self) -> None:
        """Carry out every step; what it raises comes after every step has been reported.

        Raises:
            JournalError: A row that is as it should be could not be noted. The steps that were
                under way have been settled, the others are skipped.
        """
        self.progress.total = len(self._plan.steps)
        self.progress.started = self.progress.clock()
        try:
            await self._or_stop(self._note_what_is_so())
            await self._on_each_platform(self._bring)
            await self._on_each_platform(self._release)
        finally:
            self._report_the_rest()
        if self._stage.error is not None:
            raise self._stage.error

    async def _on_each_platform(self, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for platform in self._provisioners:
                tasks.create_task(self._or_stop(work(platform)))

    async def _or_stop(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work*; what it raises stops the run, and lets what is under way elsewhere settle."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised again, after every step was reported
            self._stage.fail(error)

    def _report_the_rest(self) -> None:
        """Report the steps that a run which ended early did not come to, or not to the end."""
        for waiting in (*self._behind.values(), *self._leaving.values()):
            for work in waiting:
                self._stage.report(work, "skipped")
        for step in self._stage.left:
            self._stage.report(StepProgress(step=step, found=self._found(step)), "skipped")

    # --- steps -------------------------------------------------------------------------------

    async def _note_what_is_so(self) -> None:
        """Note and report the steps that send nothing."""
        for step in self._plan.steps:
            if self._stage.stopped:
                return
            if step.withheld:
                self._stage.report(StepProgress(step=step), "skipped")
            elif not step.writes:
                found = self._found(step)
                work = StepProgress(step=step, found=found, sequence=max(step.sequence - 1, 0))
                if found is not None:
                    await self._note_as_wanted(work, found)
                else:
                    await self._note_as_gone(step)
                self._stage.report(work, "done")

    async def _note_as_gone(self, step: Step) -> None:
        """Note that a number is gone which an earlier run gave up; of others nothing is known.

        One that is not listed may have been bought a moment ago.
        """
        noted = self._known.applied.get(step.id)
        if noted is not None and noted.record and await self._errands.has_released(step):
            row = self._plan.rows[step.id]
            was = RemoteNumber(platform=noted.platform, record="", phone_number="", shown={})
            await self._journal.set_last_applied(row.id, gone(row, was, step.sequence).dump())

    async def _bring(self, platform: str) -> None:
        for works in (self._coming(platform), ()):
            behind = self._with_those_behind(platform, works)
            await self._stage.perform(platform, behind, self._first, self._came)

    def _coming(self, platform: str) -> Iterator[StepProgress]:
        """Yield the steps that bring or change a number of *platform*."""
        for step in self._plan.steps:
            if step.platform == platform and step.writes and step.action is not Action.RELEASE:
                found = self._found(step)
                work = StepProgress(
                    step=step, found=found, sequence=step.sequence, changes=step.changes
                )
                if self._has_to_come(work):
                    yield work

    def _with_those_behind(
        self, platform: str, works: Iterable[StepProgress]
    ) -> Iterator[StepProgress]:
        """Yield *works*, and what is to be written behind them as soon as it is known."""
        behind = self._behind[platform]
        for work in works:
            while behind:
                yield behind.popleft()
            yield work
        while behind:
            yield behind.popleft()

    def _has_to_come(self, work: StepProgress) -> bool:
        """Return whether anything is to be done before the number of *work* may leave its old home.

        An earlier run may have brought it here already.
        """
        if work.step.leaves is None or work.found is None or work.changes:
            return True
        self._leaving[work.step.leaves.platform].append(work)
        return False

    async def _release(self, platform: str) -> None:
        going = (
            StepProgress(step=step, found=self._found(step), sequence=step.sequence)
            for step in self._plan.steps
            if step.platform == platform and step.writes and step.action is Action.RELEASE
        )
        for works in (going, self._leaving[platform]):
            await self._stage.perform(
                platform, works, self._farewell, self._gone, done=NotFoundError
            )

    def _found(self, step: Step) -> RemoteNumber | None:
        return self._known.found.get(step.platform, {}).get(step.record)

    # --- the request of a step ---------------------------------------------------------------

    async def _first(self, work: StepProgress) -> StepRequest:
        """Return what brings the number of *work*, or changes it if it is there."""
        step, found = work.step, work.found
        if found is not None:
            return await self._errands.update(step, found.record, work.changes, work.sequence)
        errand = await self._errands.creation(step)
        if step.action is Action.PURCHASE and not errand.begun:
            self._errands.refuse_second(step, errand, self._orphans)
        if step.leaves is None:  # or the journal forgot where it is to be released
            await self._announce(step, errand)
        return errand

    async def _announce(self, step: Step, errand: StepRequest) -> None:
        """Note, before it is sent, that a number is on its way for a row.

        Should the row be renamed or say another platform before it is noted what came, the next
        plan knows of it nevertheless.
        """
        ahead = announced(self._plan.rows[step.id], errand)
        if ahead != self._known.applied.get(step.id):
            await self._journal.set_last_applied(step.id, ahead.dump())

    async def _farewell(self, work: StepProgress) -> StepRequest:
        leaves = work.step.leaves or work.found
        if leaves is None or not self._is_of(work.step, leaves):
            raise PlanError(f"{work.step.id}: the number to be released is not the row's")
        return await self._errands.release(work.step, leaves, work.sequence)

    def _is_of(self, step: Step, found: RemoteNumber) -> bool:
        """Return whether *found* is the number of a row, by its own word or the journal's."""
        noted = self._known.applied.get(step.id)
        return found.phone_number in {
            self._plan.rows[step.id].phone_number,
            "" if noted is None or noted.platform != found.platform else noted.phone_number,
            self._brought(step),
        } - {""}

    def _brought(self, step: Step) -> str:
        begun = self._known.begun.get(step.id)
        return "" if begun is None or begun.row is None else begun.row.phone_number

    # --- what its answer means ---------------------------------------------------------------

    async def _came(self, work: StepProgress, errand: StepRequest, record: Any) -> None:  # noqa: ANN401 - any platform's
        """Note a number that came or changed, and see what is left to do about it."""
        row = self._plan.rows[work.step.id]
        found = seen_again(work.found, VENDORS[work.step.platform].found(record))
        applied = work.applied
        changes: tuple[Change, ...] = ()
        if work.found is None:
            applied = brought(row, found, errand.fields, errand.sequence)
            changes = still_to_write(row, found, applied)
            if work.step.leaves is None:  # or the journal forgot where it is to be released
                await self._journal.set_last_applied(row.id, applied.dump())
        work = attrs.evolve(
            work, found=found, sequence=errand.sequence, changes=changes, applied=applied
        )
        fixed = [*fixed_changes(row, VENDORS[found.platform], applied)]
        if row.phone_number not in {"", found.phone_number}:
            fixed.append("phone_number")
        if fixed:
            self._stage.report(work, "failed", came_otherwise(row, fixed))
        elif work.changes:
            self._behind[found.platform].append(work.next)
        elif work.step.leaves is not None:
            self._leaving[work.step.leaves.platform].append(work.next)
        else:
            await self._note_as_wanted(work, found)
            self._stage.report(work, "done")

    async def _gone(self, work: StepProgress, errand: StepRequest, _: None) -> None:
        """Note a number that was released."""
        work = attrs.evolve(work, sequence=errand.sequence)
        found = work.found
        assert found is not None  # noqa: S101 - or nothing could have been released
        if work.step.leaves is not None:
            await self._note_as_wanted(work, found)
        else:
            row = self._plan.rows[work.step.id]
            await self._journal.set_last_applied(row.id, gone(row, found, work.sequence).dump())
        self._stage.report(work, "done")

    async def _note_as_wanted(self, work: StepProgress, found: RemoteNumber) -> None:
        """Note that the number of a row is as it should be, if that is not noted already."""
        row = self._plan.rows[work.step.id]
        noted = self._known.applied.get(row.id)
        before = work.applied or (noted if work.step.leaves is None else None)
        if work.step.was:
            before = self._known.applied[work.step.was]
        now = as_wanted(row, found, before, work.sequence, work.step.kept)
        if now != noted:
            await self._journal.set_last_applied(row.id, now.dump())
        if work.step.was:
            await self._journal.set_last_applied(work.step.was, None)


def _check_platforms(plan: Plan, provisioners: Collection[str]) -> None:
    """Raise `ConfigurationError` where a step could not be carried out, or only half of it."""
    needed = {found.platform for step in plan.steps for found in (step, step.leaves) if found}
    missing = sorted(needed.difference(provisioners))
    if missing:
        raise ConfigurationError(f"provisioners: there is none for {', '.join(missing)}")


def _orphans(plan: Plan, known: FleetState) -> list[Row]:
    """Return what was begun for rows that the fleet has no longer, if it may be there."""
    listed = {*plan.rows, *(problem.id for problem in plan.problems), *plan.skipped}
    rows = [one.row for row_id, one in known.begun.items() if row_id not in listed and one.row]
    return [row for row in rows if not row.record or row.record in known.found.get(row.account, {})]

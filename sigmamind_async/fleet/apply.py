"""A plan, carried out: checked against the state now, each of its requests sent once.

`apply` returns a `FleetRun`: ``await`` it for the `Result`, and stop or watch it meanwhile.

Numbers are created and updated first, on all platforms at once; what their requests do not take is
written afterwards; numbers are released last, so that one that moves is always on a platform. A row
is noted in the journal once it is as the fleet asks. Wherever a run ends, the next plan finds out
from notes, operations and listings how far it got.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress, Status, StopOn
from sigmamind_async.client import Client
from sigmamind_async.errors import ConfigurationError, NotFoundError, PlanError, SigmaMindError
from sigmamind_async.fleet.dispatcher import (
    Dispatcher,
    Report,
    StepOutcome,
    StepProgress,
    StepProvisioner,
)
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.plan_file import stale_reasons
from sigmamind_async.fleet.requests import RequestBuilder, StepRequest
from sigmamind_async.fleet.spec import SECRETS, Fleet, Problem
from sigmamind_async.fleet.state import FleetState, LastApplied, refresh
from sigmamind_async.fleet.step import (
    Action,
    Change,
    Step,
    after_release,
    after_sync,
    find_fixed_changes,
    merge_shown,
    note_creation,
    remaining_changes,
)
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret

Secrets: TypeAlias = SecretResolver | Callable[[str], Secret]
"""Resolves references, ``env:NAME`` or ``file:PATH``. As a function, it raises
`SecretReferenceError` for one that it cannot resolve; `SecretReference` itself leaves that to the
worker that sends the request."""

_SECONDS_TO_READ: Final = 60.0
"""For one file with a secret."""
_MOST_REASONS: Final = 5
"""That an error names."""


@attrs.frozen(kw_only=True)
class Result:
    """How a run ended."""

    counts: Mapping[Status, int] = attrs.field(hash=False)
    """Steps by status."""
    bad: tuple[StepOutcome, ...]
    """Steps that failed or are unconfirmed."""
    stopped: str = ""
    """Why the run ended early, as a sentence; empty if it did not."""

    @property
    def done(self) -> bool:
        """True if every row is as the fleet says."""
        return not set(self.counts) - {"done"}


def apply(
    plan: Plan,
    provisioners: Iterable[StepProvisioner],
    *,
    state: FleetState | None = None,
    secrets: Secrets | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
    stop_on: StopOn | None = DEFAULT_STOP_ON,
) -> FleetRun:
    """Return the run of *plan*: ``await`` it to send each of its requests once.

    Without *state*, what earlier runs left unconfirmed is reconciled first, the accounts are read,
    and a plan that was made against another state is refused.

    Args:
        plan: Without problems.
        provisioners: One for each platform, all on one journal.
        state: The state that the plan was made against, if it has just been read: the accounts are
            not listed again.
        secrets: Resolves the references in rows; by default a `SecretResolver` for the environment
            and the current folder.
        report: Called with the `StepOutcome` of each step when it ends, exactly once. An exception
            that it raises stops the run.
        progress: Counts, rate and estimated time, kept up to date.
        stop_on: When to start no more steps and skip the rest, as in `Provisioner.run_many`: the
            requests of each platform are counted separately, and stop all platforms; but where one
            of several cannot be reached, only its steps are skipped.

    Raises:
        ConfigurationError: The provisioners do not fit together, or a platform has none.
        PlanError: The plan has problems, or the state has changed; nothing was sent.
        JournalError: The journal cannot be used.
        SigmaMindError: An account cannot be read.
    """
    by_platform = _group_by_platform(provisioners)
    dispatcher = Dispatcher(by_platform, report, progress or Progress(), stop_on)
    return FleetRun(plan, state, secrets or SecretResolver(), dispatcher)


@attrs.define(eq=False)
class FleetRun:
    """A plan being carried out; ``await`` it, once, for the `Result`."""

    _plan: Plan
    _state: FleetState | None
    _secrets: Secrets
    _dispatcher: Dispatcher
    _is_started: bool = attrs.field(default=False, init=False)

    def __await__(self) -> Generator[Any, None, Result]:
        """Carry out every step; an exception is raised once all steps have been reported."""
        return self._run().__await__()

    @property
    def progress(self) -> Progress:
        """Counts, rate and estimated time, kept up to date."""
        return self._dispatcher.progress

    @property
    def unconfirmed(self) -> int:
        """Operations whose outcome is unknown so far; they are looked up at the end of the run."""
        return self._dispatcher.unconfirmed

    @property
    def stopped(self) -> str:
        """Why it starts no more steps, as a sentence; empty while it does."""
        return self._dispatcher.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it, which the remaining steps would meet as well."""
        return self._dispatcher.stopped_by

    def stop(self) -> None:
        """Start no more steps: those under way are settled, all others are skipped."""
        self._dispatcher.stop()

    async def _run(self) -> Result:
        if self._is_started:
            raise ConfigurationError("a FleetRun can be awaited once; call apply() again")
        self._is_started = True
        plan, state = await check_secrets(self._plan, self._secrets), self._state
        if plan.problems:
            reasons = [str(problem) for problem in plan.problems]
            raise PlanError(f"the plan has problems, so nothing was sent: {_some(reasons)}")
        provisioners = self._dispatcher.provisioners
        journal = next(iter(provisioners.values())).journal
        if state is None:
            for provisioner in provisioners.values():
                await provisioner.reconcile()
            clients = {name: each.client for name, each in provisioners.items()}
            plan, state = await recheck(plan, clients, journal)
        requests = RequestBuilder(plan, journal, _resolve_with(self._secrets), state)
        await Executor(plan, state, journal, requests, self._dispatcher).carry_out()
        counts, bad = self._dispatcher.counts, tuple(self._dispatcher.bad)
        return Result(counts=counts, bad=bad, stopped=self.stopped)


def _group_by_platform(provisioners: Iterable[StepProvisioner]) -> dict[str, StepProvisioner]:
    """Return *provisioners* by platform; raise `ConfigurationError` unless they fit together."""
    several = [*provisioners]
    by_platform = {each.client.platform.name: each for each in several}
    journals = {id(each.journal) for each in several}
    if len(by_platform) != len(several) or len(journals) != 1:
        raise ConfigurationError("provisioners: give one for each platform, all on one journal")
    for name, each in by_platform.items():
        if each.account != name:
            what = f"a fleet has no labels for accounts: {each.account}"
            raise ConfigurationError(f"provisioners: {what}")
    return by_platform


# --- the steps of a run ----------------------------------------------------------------------


_Waiting: TypeAlias = defaultdict[str, deque[StepProgress]]


@attrs.define(eq=False)
class Executor:
    """One run of a plan that was made against *state*; see `apply`."""

    _plan: Plan
    _state: FleetState
    _journal: Journal
    _requests: RequestBuilder
    _dispatcher: Dispatcher
    _follow_ups: _Waiting = attrs.field(factory=lambda: defaultdict(deque), init=False)
    """Created numbers with something left to write, by platform."""
    _moved: _Waiting = attrs.field(factory=lambda: defaultdict(deque), init=False)
    """Imported numbers to be released where they were, by that platform."""

    async def carry_out(self) -> None:
        """Carry out every step; an exception is raised once all steps have been reported.

        Raises `ConfigurationError` if a platform has no provisioner: a step could not be carried
        out, or only half of it.
        """
        steps = self._plan.steps
        needed = {found.platform for step in steps for found in (step, step.moves_from) if found}
        if missing := sorted(needed.difference(self._dispatcher.provisioners)):
            raise ConfigurationError(f"provisioners: there is none for {', '.join(missing)}")
        self._dispatcher.begin(steps)
        try:
            await self._or_stop(self._note_unchanged())
            await self._on_each_platform(self._create_and_update)
            if any(step.moves_from or step.action is Action.RELEASE for step in steps):
                await self._on_each_platform(self._release)
            self._dispatcher.conclude()
        finally:
            self._report_skipped()
        if self._dispatcher.error is not None:
            raise self._dispatcher.error

    async def _on_each_platform(self, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for platform in self._dispatcher.provisioners:
                tasks.create_task(self._or_stop(work(platform)))

    async def _or_stop(self, work: Coroutine[Any, Any, None]) -> None:
        """Await *work*; an exception stops the run, and what is under way elsewhere is settled."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised again, after every step was reported
            self._dispatcher.fail(error)

    def _report_skipped(self) -> None:
        """Report the steps that a run which ended early did not start, or not finish."""
        for waiting in (*self._follow_ups.values(), *self._moved.values()):
            for progress in waiting:
                self._dispatcher.report(progress, "skipped")
        for step in [*self._dispatcher.unreported.values()]:
            progress = StepProgress(step=step, found=self._find_number(step))
            self._dispatcher.report(progress, "skipped")

    # --- steps -------------------------------------------------------------------------------

    async def _note_unchanged(self) -> None:
        """Note and report the steps that send nothing."""
        for step in self._plan.steps:
            if self._dispatcher.stopped:
                return
            if step.blocked:
                self._dispatcher.report(StepProgress(step=step), "skipped")
            elif not step.writes:
                found = self._find_number(step)
                progress = StepProgress(step=step, found=found, sequence=max(step.sequence - 1, 0))
                if found is not None:
                    await self._note_synced(progress, found)
                else:
                    await self._note_absent(step)
                self._dispatcher.report(progress, "done")

    async def _note_absent(self, step: Step) -> None:
        """Note that a number which an earlier run released is absent.

        Of any other number that is not listed, nothing is known: it may have been bought just now.
        """
        applied = self._state.last_applied.get(step.id)
        if applied is not None and applied.record and await self._requests.has_released(step):
            row = self._plan.rows[step.id]
            await self._note(row.id, after_release(row, applied.platform, step.sequence))

    async def _create_and_update(self, platform: str) -> None:
        for steps in (self._steps_to_create_or_update(platform), ()):
            await self._dispatcher.send(
                platform,
                self._with_follow_ups(platform, steps),
                self._request_first,
                self._on_written,
            )

    def _steps_to_create_or_update(self, platform: str) -> Iterator[StepProgress]:
        for step in self._plan.steps:
            if step.platform != platform or not step.writes or step.action is Action.RELEASE:
                continue
            found = self._find_number(step)
            progress = StepProgress(
                step=step, found=found, sequence=step.sequence, changes=step.changes
            )
            if step.moves_from is not None and found is not None and not step.changes:
                self._moved[step.moves_from.platform].append(progress)  # by an earlier run
            else:
                yield progress

    def _with_follow_ups(
        self, platform: str, steps: Iterable[StepProgress]
    ) -> Iterator[StepProgress]:
        """Yield *steps*, and in between what is left to write to numbers that were created."""
        follow_ups = self._follow_ups[platform]
        for progress in steps:
            while follow_ups:
                yield follow_ups.popleft()
            yield progress
        while follow_ups:
            yield follow_ups.popleft()

    async def _release(self, platform: str) -> None:
        released = (
            StepProgress(step=step, found=self._find_number(step), sequence=step.sequence)
            for step in self._plan.steps
            if step.platform == platform and step.writes and step.action is Action.RELEASE
        )
        for steps in (released, self._moved[platform]):
            await self._dispatcher.send(
                platform, steps, self._request_release, self._on_released, success=NotFoundError
            )

    def _find_number(self, step: Step) -> RemoteNumber | None:
        return self._state.numbers.get(step.platform, {}).get(step.record)

    # --- the request of a step ---------------------------------------------------------------

    async def _request_first(self, progress: StepProgress) -> StepRequest:
        """Return the request that creates the number of a step, or updates it if it exists."""
        step, found = progress.step, progress.found
        if found is not None:
            return await self._requests.update(
                step, found.record, progress.changes, progress.sequence
            )
        request = await self._requests.creation(step)
        if step.moves_from is None:  # otherwise the note says where it is to be released
            row = self._plan.rows[step.id]
            await self._note(step.id, note_creation(row, request.fields, request.sequence))
        return request

    async def _request_release(self, progress: StepProgress) -> StepRequest:
        found = progress.step.moves_from or progress.found
        if found is None or not self._belongs(progress.step, found):
            raise PlanError(f"{progress.step.id}: the number to be released is not the row's")
        return await self._requests.release(progress.step, found, progress.sequence)

    def _belongs(self, step: Step, found: RemoteNumber) -> bool:
        """Return whether *found* is the number of a row, by its name or by the journal."""
        applied = self._state.last_applied.get(step.id)
        pending = self._state.pending.get(step.id)
        numbers = {self._plan.rows[step.id].phone_number}
        if applied is not None and applied.platform == found.platform:
            numbers.add(applied.phone_number)
        if pending is not None:
            numbers.add(pending.row.phone_number)
        return bool(found.phone_number) and found.phone_number in numbers

    # --- what its response means -------------------------------------------------------------

    async def _on_written(self, progress: StepProgress, request: StepRequest, record: Any) -> None:  # noqa: ANN401 - any platform's
        """Note a number that was created or updated, and find what is left to do about it."""
        step, row = progress.step, self._plan.rows[progress.step.id]
        found = merge_shown(progress.found, VENDORS[step.platform].read_number(record))
        applied = progress.applied
        changes: tuple[Change, ...] = ()
        if progress.found is None:
            applied = note_creation(row, request.fields, request.sequence, found)
            changes = remaining_changes(row, found, applied)
        fixed = [*find_fixed_changes(row, VENDORS[found.platform], applied)]
        if row.phone_number not in {"", found.phone_number}:
            fixed.append("phone_number")
        # The note about a number that moves says where it is to be released. Any other one that is
        # as the fleet asks is noted below.
        if progress.found is None and applied and step.moves_from is None and (fixed or changes):
            await self._note(row.id, applied)
        progress = attrs.evolve(
            progress, found=found, sequence=request.sequence, changes=changes, applied=applied
        )
        if fixed:
            why = "its number was created as an earlier run had requested it, and"
            how = "cannot be changed afterwards: change the row back"
            error = PlanError(f"{row.id}: {why} {' and '.join(fixed)} {how}")
            self._dispatcher.report(progress, "failed", error)
        elif changes or step.moves_from is not None:
            following = attrs.evolve(progress, sequence=request.sequence + 1)
            if changes:
                self._follow_ups[found.platform].append(following)
            elif step.moves_from is not None:
                self._moved[step.moves_from.platform].append(following)
        else:
            await self._note_synced(progress, found)
            self._dispatcher.report(progress, "done")

    async def _on_released(self, progress: StepProgress, request: StepRequest, _: None) -> None:
        """Note a number that was released."""
        progress = attrs.evolve(progress, sequence=request.sequence)
        found = progress.found
        assert found is not None  # noqa: S101 - or nothing could have been released
        if progress.step.moves_from is not None:
            await self._note_synced(progress, found)
        else:
            row = self._plan.rows[progress.step.id]
            await self._note(row.id, after_release(row, found.platform, progress.sequence))
        self._dispatcher.report(progress, "done")

    async def _note_synced(self, progress: StepProgress, found: RemoteNumber) -> None:
        """Note that the number of a row is as the fleet asks."""
        step, row = progress.step, self._plan.rows[progress.step.id]
        noted = self._state.last_applied.get(row.id)
        before = progress.applied or (noted if step.moves_from is None else None)
        if step.renamed_from:
            before = self._state.last_applied[step.renamed_from]
        note = after_sync(row, found, before, progress.sequence, step.kept_drift)
        await self._note(row.id, note)
        if step.renamed_from:
            await self._journal.set_last_applied(step.renamed_from, None)

    async def _note(self, row_id: str, note: LastApplied) -> None:
        """Write *note*, unless the run began with the same."""
        noted = self._state.last_applied.get(row_id)
        origin = self._plan.origin or (noted.origin if noted else "")
        note = attrs.evolve(note, origin=origin) if origin else note
        if note != noted:
            await self._journal.set_last_applied(row_id, note.dump())


# --- checks before anything is sent ----------------------------------------------------------


async def recheck(
    agreed: Plan, clients: Mapping[str, Client], journal: Journal
) -> tuple[Plan, FleetState]:
    """Read the accounts again, and return what is left to do of *agreed*, and the state.

    For a plan that was saved, or that a person took time to agree to. Its own rows are planned
    again, never those of a file that may have changed since. *clients*, by platform, list the
    accounts, and *journal* is only read.

    Raises `PlanError` with the reasons if the same rows now come to something else.
    """
    rows = [*agreed.rows.values()]
    fleet = Fleet(rows=rows, skipped=agreed.skipped, origin=agreed.origin)
    state = await refresh(fleet, clients, journal)
    left = plan(fleet, state, agreed.options)
    reasons = stale_reasons(agreed, left, state)
    if reasons:
        raise PlanError(
            "the state has changed since the plan was made, so nothing was sent; plan again: "
            + _some(reasons)
        )
    return attrs.evolve(left, unlisted=agreed.unlisted), state


async def check_secrets(plan: Plan, secrets: Secrets | None = None) -> Plan:
    """Return *plan* with a problem for each secret that cannot be resolved, and without its step.

    *secrets* resolves the references, as in `apply`; each file has 60 s, in another thread.
    """
    secrets = secrets or SecretResolver()
    resolve = _resolve_with(secrets)
    problems: list[Problem] = []
    for step in plan.steps:
        row = plan.rows[step.id]
        for change in step.changes if step.writes else ():
            reference = row.fields.get(change.field)
            if change.field not in SECRETS or not isinstance(reference, str):
                continue
            try:
                if isinstance(secrets, SecretResolver):
                    await secrets.fetch(reference, _SECONDS_TO_READ)
                resolve(reference)
            except SecretReferenceError as error:
                problems.append(row.problem(change.field, str(error)))
    if not problems:
        return plan
    ids = {problem.id for problem in problems}
    return attrs.evolve(
        plan,
        steps=tuple(step for step in plan.steps if step.id not in ids),
        rows={row_id: row for row_id, row in plan.rows.items() if row_id not in ids},
        problems=(*plan.problems, *problems),
    )


def _resolve_with(secrets: Secrets) -> Callable[[str], Secret]:
    return secrets.resolve if isinstance(secrets, SecretResolver) else secrets


async def count_new_purchases(plan: Plan, journal: Journal) -> Mapping[str, int]:
    """Return how many numbers *plan* buys that *journal* does not count yet, by platform."""
    counts: Counter[str] = Counter()
    for step in plan.steps:
        if step.writes and step.action is Action.PURCHASE:
            stored = await journal.get(step.platform, step.op_id)
            counts[step.platform] += stored is None or not stored.purchase_count
    return counts


def _some(reasons: Sequence[str]) -> str:
    rest = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {rest} more" if rest > 0 else "")

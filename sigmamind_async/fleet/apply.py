"""A plan, applied: checked against what is there now, and carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress, Status, StopOn
from sigmamind_async.errors import ConfigurationError, PlanError
from sigmamind_async.fleet.executor import Executor
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.plan_file import moved
from sigmamind_async.fleet.refresh import refresh
from sigmamind_async.fleet.requests import RequestBuilder
from sigmamind_async.fleet.spec import SECRETS, Fleet, FleetRow, Problem
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step_progress import Report, StepOutcome
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver

_READING: Final = 60.0
"""Seconds that one file with a secret may take to be read."""
_SHOWN: Final = 5
"""Reasons that an error names."""


@attrs.frozen(kw_only=True)
class Result:
    """How an application ended."""

    counts: Mapping[Status, int] = attrs.field(hash=False)
    """Steps by how they ended."""
    bad: tuple[StepOutcome, ...]
    """Steps that failed or are unconfirmed."""
    stopped: str = ""
    """Why it ended before its steps did, as a sentence; empty where it did not."""

    @property
    def done(self) -> bool:
        """Whether every row is as it should be."""
        return not set(self.counts) - {"done"}


async def apply(
    plan: Plan,
    provisioners: Iterable[Provisioner],
    *,
    secrets: SecretResolver | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
    stop_on: StopOn | None = DEFAULT_STOP_ON,
) -> Result:
    """Carry *plan* out, each of its requests once, and return how that ended.

    What earlier runs left unconfirmed is settled first, and the accounts are read: a plan that was
    made against another state is refused.

    Args:
        plan: Without problems.
        provisioners: One for each platform, all on one journal.
        secrets: Resolves the references in rows; the environment and the current folder by default.
        report: Told how each step ended, as it ends.
        progress: Counts, rate and estimated time, kept up to date.
        stop_on: When to take up no more steps and skip the rest; see `Executor`.

    Raises:
        PlanError: The plan has problems, or the state has moved; nothing was sent.
        JournalError: The journal cannot be used.
        SigmaMindError: An account cannot be read.
    """
    references = secrets or SecretResolver()
    crew = crew_of(provisioners)
    await _read_files(plan, references)
    check_problems([*plan.problems, *missing_secrets(plan, references)])
    for provisioner in crew.provisioners.values():
        await provisioner.reconcile()
    plan, known = await checked(plan, crew)
    counts: Counter[Status] = Counter()
    bad: list[StepOutcome] = []

    def note(outcome: StepOutcome) -> None:
        counts[outcome.status] += 1
        if outcome.status in {"failed", "unconfirmed"}:
            bad.append(outcome)
        if report is not None:
            report(outcome)

    run = crew.run(plan, known, references, report=note, progress=progress, stop_on=stop_on)
    await run.carry_out()
    return Result(counts=counts, bad=tuple(bad), stopped=run.stopped)


@attrs.frozen
class Crew:
    """Those who carry plans out."""

    provisioners: Mapping[str, Provisioner] = attrs.field(hash=False)
    """By platform."""
    journal: Journal

    def run(
        self,
        plan: Plan,
        known: FleetState,
        references: SecretResolver,
        *,
        report: Report,
        progress: Progress | None = None,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
    ) -> Executor:
        """Return the run of *plan*."""
        return Executor(
            plan,
            known,
            self.provisioners,
            self.journal,
            RequestBuilder(plan, self.journal, references.resolve),
            report=report,
            progress=progress,
            stop_on=stop_on,
        )


def crew_of(provisioners: Iterable[Provisioner]) -> Crew:
    """Return *provisioners* by platform; raises `ConfigurationError` unless they fit together."""
    given = [*provisioners]
    by_platform = {each.client.platform.name: each for each in given}
    journals = {id(each.journal): each.journal for each in given}
    if len(by_platform) != len(given) or len(journals) != 1:
        raise ConfigurationError("provisioners: give one for each platform, all on one journal")
    labelled = [each.account for name, each in by_platform.items() if each.account != name]
    if labelled:
        raise ConfigurationError(f"provisioners: a fleet has no labels for accounts: {labelled[0]}")
    return Crew(by_platform, *journals.values())


async def checked(plan_: Plan, crew: Crew) -> tuple[Plan, FleetState]:
    """Return what is left of *plan_*, and what is known now.

    Raises `PlanError` where it was made against something else.
    """
    fleet = Fleet(rows=[*plan_.rows.values()])
    clients = {name: each.client for name, each in crew.provisioners.items()}
    known = await refresh(fleet, clients, crew.journal)
    left = plan(fleet, known, plan_.rules)
    reasons = moved(plan_, left, known)
    if reasons:
        raise PlanError(
            "the state has moved since the plan was made, so nothing was sent; make it again: "
            + _some(reasons)
        )
    return attrs.evolve(left, unlisted=plan_.unlisted), known


def check_problems(problems: Iterable[Problem]) -> None:
    """Raise `PlanError` where there are *problems*."""
    texts = [str(problem) for problem in problems]
    if texts:
        raise PlanError(f"the plan has problems, so nothing was sent: {_some(texts)}")


async def _read_files(plan: Plan, references: SecretResolver) -> None:
    """Have *references* know what is in files, so that none is read in the loop's thread."""
    for _, _, cell in _needed_secrets(plan):
        with suppress(SecretReferenceError):  # told by `missing_secrets`
            await references.fetch(cell, _READING)


def missing_secrets(plan: Plan, references: SecretResolver) -> list[Problem]:
    """Return a problem for each secret that a step needs and that is not to be had."""
    problems: list[Problem] = []
    for row, name, cell in _needed_secrets(plan):
        try:
            references.resolve(cell)
        except SecretReferenceError as error:
            problems.append(Problem(message=str(error), id=row.id, field=name, line=row.line))
    return problems


def _needed_secrets(plan: Plan) -> Iterator[tuple[FleetRow, str, str]]:
    for step in plan.steps:
        row = plan.rows[step.id]
        for change in step.changes if step.writes else ():
            cell = row.fields.get(change.field)
            if change.field in SECRETS and isinstance(cell, str):
                yield row, change.field, cell


def _some(texts: list[str]) -> str:
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more

"""A plan, carried out: checked against the state now, and each of its requests sent once.

`apply` returns a `FleetRun`: ``await`` it for the `Result`, and stop or watch it meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress, Status, StopOn
from sigmamind_async.client import Client
from sigmamind_async.errors import ConfigurationError, PlanError, SigmaMindError
from sigmamind_async.fleet.dispatcher import Dispatcher, Report, StepOutcome, StepProvisioner
from sigmamind_async.fleet.executor import Executor
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.plan_file import stale_reasons
from sigmamind_async.fleet.refresh import refresh
from sigmamind_async.fleet.requests import RequestBuilder
from sigmamind_async.fleet.spec import SECRETS, Fleet, FleetRow, Problem
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step import Action
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
            requests of each platform are counted separately, and stop all platforms.

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
        requests = RequestBuilder(plan, journal, _resolve_with(self._secrets))
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
    labels = [each.account for name, each in by_platform.items() if each.account != name]
    if labels:
        raise ConfigurationError(f"provisioners: a fleet has no labels for accounts: {labels[0]}")
    return by_platform


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
    for row, name, reference in _secret_references(plan):
        if isinstance(secrets, SecretResolver):
            with suppress(SecretReferenceError):  # `resolve` raises it again
                await secrets.fetch(reference, _SECONDS_TO_READ)
        try:
            resolve(reference)
        except SecretReferenceError as error:
            problems.append(row.problem(name, str(error)))
    ids = {problem.id for problem in problems}
    if not ids:
        return plan
    return attrs.evolve(
        plan,
        steps=tuple(step for step in plan.steps if step.id not in ids),
        rows={row_id: row for row_id, row in plan.rows.items() if row_id not in ids},
        problems=(*plan.problems, *problems),
    )


def _resolve_with(secrets: Secrets) -> Callable[[str], Secret]:
    return secrets.resolve if isinstance(secrets, SecretResolver) else secrets


def _secret_references(plan: Plan) -> Iterator[tuple[FleetRow, str, str]]:
    """Yield row, field and reference of each secret that a step needs."""
    for step in plan.steps:
        row = plan.rows[step.id]
        for change in step.changes if step.writes else ():
            cell = row.fields.get(change.field)
            if change.field in SECRETS and isinstance(cell, str):
                yield row, change.field, cell


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

"""From what should be, and what is, to what is to be done. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import attrs

from sigmamind_async.fleet.row_plan import PlanOptions, RowPlan, draft
from sigmamind_async.fleet.spec import Fleet, FleetRow, Problem
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.fleet.step import Action, Step

ORDER: Final = {action: place for place, action in enumerate(Action)}
"""Money first, then what is permanent, then the rest."""


@attrs.frozen(kw_only=True, slots=False)
class Plan:
    """What is done about each row of a fleet, and why it cannot be done, if so."""

    steps: Sequence[Step]
    """One for each row without a problem; first what costs money, then as in the file."""
    rows: Mapping[str, FleetRow] = attrs.field(hash=False)
    """The rows of the steps, by id."""
    problems: Sequence[Problem] = ()
    """With one of them, nothing is carried out unless the caller says so."""
    unlisted: Sequence[str] = ()
    """Ids that the journal knows and no row has: their numbers are left alone."""
    skipped: Sequence[str] = ()
    """Ids of rows that are left alone because of their problems."""
    rules: PlanOptions = attrs.field(factory=PlanOptions)

    def skip_problems(self) -> Plan:
        """Return the plan of the rows without problems; the others are left alone."""
        ids = {problem.id for problem in self.problems if problem.id}
        return attrs.evolve(self, problems=(), skipped=(*self.skipped, *sorted(ids)))

    @cached_property
    def counts(self) -> Mapping[Action, int]:
        """Steps by action; those withheld are not counted."""
        return Counter(step.action for step in self.steps if not step.withheld)

    @property
    def purchases(self) -> int:
        """Numbers that are bought."""
        return self.counts.get(Action.PURCHASE, 0)

    @cached_property
    def writes(self) -> int:
        """Steps that send anything."""
        return sum(step.writes for step in self.steps)


def plan(fleet: Fleet, known: FleetState, rules: PlanOptions | None = None) -> Plan:
    """Return what makes *fleet* so, given what is *known* of it.

    A row with a problem, or that is about the number of another one, has no step.
    """
    rules = rules or PlanOptions()
    register = StateIndex(fleet, known)
    drafts = [draft(row, register, rules) for row in fleet.rows]
    problems = [problem for one in drafts for problem in one.problems]
    problems += _doubles(fleet.rows)
    problems += _rivals(drafts)
    broken = {problem.id for problem in problems}
    steps = [one.step for one in drafts if one.step is not None and one.row.id not in broken]
    return Plan(
        steps=tuple(sorted(steps, key=lambda step: ORDER[step.action])),
        rows={row.id: row for row in fleet.rows if row.id not in broken},
        problems=(*fleet.problems, *problems),
        unlisted=tuple(register.unlisted),
        skipped=tuple(fleet.skipped),
        rules=rules,
    )


def _doubles(rows: Sequence[FleetRow]) -> Iterator[Problem]:
    """Yield a problem for each row whose id another one has: nothing tells which is meant."""
    times = Counter(row.id for row in rows)
    if len(times) == len(rows):
        return
    for row in rows:
        if times[row.id] > 1:
            message = "is in the fleet more than once; each row needs its own"
            yield Problem(message=message, id=row.id, field="id", line=row.line)


def _rivals(drafts: Iterable[RowPlan]) -> Iterator[Problem]:
    """Yield a problem for each row that is about the number of another one."""
    claimed: dict[tuple[str, str], FleetRow] = {}
    for one in drafts:
        for platform, number in one.claims:
            first = claimed.setdefault((platform, number), one.row)
            if first is not one.row:
                yield _rivalry(first, one.row, number)
                yield _rivalry(one.row, first, number)


def _rivalry(row: FleetRow, other: FleetRow, number: str) -> Problem:
    return Problem(
        message=f"the row {other.id} is about {number} as well",
        id=row.id,
        field="phone_number",
        line=row.line,
    )

"""From the rows of a fleet, and its state, to the steps that make the state fit the rows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import attrs

from sigmamind_async.fleet.row_plan import PlanOptions, RowPlan, plan_row
from sigmamind_async.fleet.spec import Fleet, FleetRow, Problem
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.fleet.step import Action, Step

ORDER: Final = {action: place for place, action in enumerate(Action)}
"""What costs money first, then what is permanent, then the rest."""


@attrs.frozen(kw_only=True, slots=False)
class Plan:
    """What is done about each row of a fleet, and what keeps rows from being planned."""

    steps: Sequence[Step]
    """One for each row without a problem, by `ORDER`, then as in the file."""
    rows: Mapping[str, FleetRow] = attrs.field(hash=False)
    """The rows of the steps, by id."""
    problems: Sequence[Problem] = ()
    """`apply` refuses a plan with problems, see `skip_problems`."""
    unlisted: Sequence[str] = ()
    """Ids that the journal has a number for and the fleet lost: their numbers are left alone."""
    skipped: Sequence[str] = ()
    """Ids of rows that are left alone because of their problems."""
    options: PlanOptions = attrs.field(factory=PlanOptions)
    """What it was made with."""
    origin: str = ""
    """Of the fleet."""

    def skip_problems(self) -> Plan:
        """Return the plan of the rows without problems; the others are left alone."""
        ids = {problem.id for problem in self.problems if problem.id}
        return attrs.evolve(self, problems=(), skipped=(*self.skipped, *sorted(ids)))

    @cached_property
    def counts(self) -> Mapping[Action, int]:
        """Steps by action, except those that are blocked."""
        return Counter(step.action for step in self.steps if not step.blocked)

    @property
    def purchases(self) -> int:
        """Numbers to buy."""
        return self.counts.get(Action.PURCHASE, 0)

    @cached_property
    def writes(self) -> int:
        """Steps that send anything."""
        return sum(step.writes for step in self.steps)


def plan(fleet: Fleet, state: FleetState, options: PlanOptions | None = None) -> Plan:
    """Return the steps that make the numbers of *state* as *fleet* asks.

    A row with a problem has no step, nor has one that is about the number of another row. *options*
    decides about drift and releases; without them, drift is a problem and no number is released.
    """
    options = options or PlanOptions()
    index = StateIndex(fleet, state)
    planned = [plan_row(row, index, options) for row in fleet.rows]
    problems = [problem for each in planned for problem in each.problems]
    problems += _repeated_ids(fleet.rows)
    problems += _conflicts(planned)
    bad = {problem.id for problem in problems}
    steps = [each.step for each in planned if each.step is not None and each.row.id not in bad]
    return Plan(
        steps=tuple(sorted(steps, key=lambda step: ORDER[step.action])),
        rows={row.id: row for row in fleet.rows if row.id not in bad},
        problems=(*fleet.problems, *problems),
        unlisted=tuple(index.unlisted),
        skipped=tuple(fleet.skipped),
        options=options,
        origin=fleet.origin,
    )


def _repeated_ids(rows: Sequence[FleetRow]) -> Iterator[Problem]:
    """Yield a problem for each row whose id another one has."""
    times = Counter(row.id for row in rows)
    for row in rows:
        if times[row.id] > 1:
            yield row.problem("id", "is in the fleet more than once; give each row its own")


def _conflicts(planned: Iterable[RowPlan]) -> Iterator[Problem]:
    """Yield a problem for each row that is about the number of another one."""
    claims: dict[tuple[str, str], FleetRow] = {}
    for each in planned:
        for platform, number in each.claims:
            first = claims.setdefault((platform, number), each.row)
            for row, other in (first, each.row), (each.row, first):
                if first is not each.row:
                    message = f"the row {other.id} has {number} as well; remove one of the two rows"
                    yield row.problem("phone_number", message)

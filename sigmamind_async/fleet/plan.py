"""From the rows of a fleet, and its state, to the steps that make the state fit the rows. Pure.

The id identifies a row; the journal, or the number that the row names, identifies its number.
Nothing is bought, moved or released on a guess: a number that cannot be identified with certainty
is a problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, Literal, TypeAlias

import attrs

from sigmamind_async.fleet.blockers import (
    ABANDONED,
    NEEDS_DECISION,
    RELEASE_NOT_ALLOWED,
    ambiguous_number,
    move_conflict,
    move_refusal,
    number_conflict,
    pending_mismatch,
    release_conflict,
    repeated_purchase,
)
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Problem, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, creation_id, normalize_cell
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.fleet.step import (
    CREATES,
    Action,
    Change,
    Step,
    find_changes,
    find_fixed_changes,
)
from sigmamind_async.fleet.vendors import AGENTS, VENDORS, RemoteNumber, VendorSchema
from sigmamind_async.provisioning.row import State

OnDrift: TypeAlias = Literal["keep", "overwrite", "fail"]


@attrs.frozen(kw_only=True)
class PlanOptions:
    """What a plan may do."""

    on_drift: OnDrift = "fail"
    """What to do about a field that was changed elsewhere since it was applied."""
    allow_release: bool = False
    """Release the numbers of rows that are absent, or that move, permanently."""
    rewrite_secrets: bool = False
    """Write passwords again: a new one behind the same reference cannot be detected."""
    allow_unlisted: bool = False
    """Let new rows buy numbers although rows were removed whose numbers were bought. A row with the
    same fields as one of them, or with an id that a spreadsheet may have made of its id, still buys
    none."""


@attrs.frozen(kw_only=True)
class RowPlan:
    """One row with its step, or its problems."""

    row: FleetRow
    step: Step | None = None
    problems: Sequence[Problem] = ()

    @property
    def claims(self) -> Iterator[tuple[str, str]]:
        """Platforms and numbers that the step is about."""
        step = self.step
        if step is None or not step.phone_number:
            return
        if step.record or step.op_id:  # otherwise the number is absent and stays so
            yield step.platform, step.phone_number
        if step.moves_from is not None:
            yield step.moves_from.platform, step.phone_number


def plan_row(row: FleetRow, index: StateIndex, options: PlanOptions) -> RowPlan:
    """Return the step of *row*, or its problems."""
    applied = index.last_applied(row)
    if applied is not None and row.phone_number not in {"", applied.phone_number}:
        why = f"this row has the number {applied.phone_number}; add a row for {row.phone_number}"
        return _refuse(row, "phone_number", why)
    if row.state is DesiredState.ABSENT:
        return _plan_release(row, applied, index, options)
    if why := pending_mismatch(row, index.under_way(row)):
        return _refuse(row, "", why)
    if applied is not None and applied.platform != row.platform:
        return _plan_move(row, applied, index, options)
    found = _find_number(row, applied, index)
    if found is not None and index.under_way(row) is None:
        return _plan_update(row, found, applied, index, options)
    return _plan_missing(row, applied, index, options)


def _refuse(row: FleetRow, field: str, message: str) -> RowPlan:
    return RowPlan(row=row, problems=(row.problem(field, message),))


def _find_number(
    row: FleetRow, applied: LastApplied | None, index: StateIndex
) -> RemoteNumber | None:
    """Return the number of *row*, if the account has it."""
    if applied is None:
        return index.find_number(row.platform, row.phone_number)
    # A number that was removed and added again has another record.
    return index.find_record(row.platform, applied.record) or index.find_number(
        row.platform, applied.phone_number
    )


# --- numbers in the account ------------------------------------------------------------------


def _plan_update(
    row: FleetRow,
    found: RemoteNumber,
    applied: LastApplied | None,
    index: StateIndex,
    options: PlanOptions,
) -> RowPlan:
    if why := ambiguous_number(row, found, applied, index):
        return _refuse(row, "phone_number", why)
    is_adopted = not index.owns(row, found)
    previous_id = (index.other_owner(row, found, listed=False) or "") if is_adopted else ""
    if previous_id:
        applied = index.state.last_applied[previous_id]
    vendor = VENDORS[row.platform]
    if applied is not None and applied.record != found.record:
        applied = _forget_unseen(applied, found, vendor)
    fixed = [
        row.problem(name, "cannot be changed after the number was created; change it back")
        for name in find_fixed_changes(row, vendor, applied)
    ]
    if fixed:
        return RowPlan(row=row, problems=fixed)
    changes = [*find_changes(row, vendor, found, applied, rewrite_secrets=options.rewrite_secrets)]
    drifted = [change for change in changes if change.drifted]
    refused = drifted if options.on_drift == "fail" else []
    kept = drifted if options.on_drift == "keep" else []
    changes = [change for change in changes if change not in kept]
    problems = [row.problem(change.field, _drift_text(change)) for change in refused]
    problems += _missing_agents(row, [change.field for change in changes], index)
    action = Action.UPDATE if changes else Action.DRIFTED if kept else Action.UNCHANGED
    step = Step(
        id=row.id,
        platform=row.platform,
        action=Action.ADOPT if is_adopted else action,
        sequence=index.next_sequence(row),
        phone_number=found.phone_number,
        record=found.record,
        changes=tuple(changes),
        kept_drift=tuple(kept),
        renamed_from=previous_id,
    )
    return RowPlan(row=row, step=step, problems=problems)


def _forget_unseen(applied: LastApplied, found: RemoteNumber, vendor: VendorSchema) -> LastApplied:
    """Return what is known of a number that has another record than the one that was written to.

    What the platform does not show of the new record, such as a password, was never written to it.
    """
    takes = vendor.update.takes
    fields = applied.fields.items()
    return attrs.evolve(
        applied,
        fields={name: cell for name, cell in fields if name in found.shown or name not in takes},
    )


def _drift_text(change: Change) -> str:
    after, before = (
        "empty" if value is None else repr(value) for value in (change.after, change.before)
    )
    return (
        f"is {before}, changed elsewhere since it was applied, and the row has {after}:"
        " pass --on-drift keep or overwrite"
    )


def _missing_agents(row: FleetRow, fields: Collection[str], index: StateIndex) -> Iterator[Problem]:
    """Yield a problem for each agent that would be written and that does not exist."""
    agents = index.state.agents.get(row.platform)
    for name in AGENTS:
        agent = row.fields.get(name)
        if agents is not None and name in fields and agent and agent not in agents:
            yield row.problem(name, f"the account has no agent {agent!r}")


# --- numbers that are to be created ----------------------------------------------------------


def _plan_missing(
    row: FleetRow, applied: LastApplied | None, index: StateIndex, options: PlanOptions
) -> RowPlan:
    """Plan a row whose number the account does not have."""
    if applied is not None and row.source is not Source.IMPORT:
        what = f"{applied.phone_number} is no longer in the account"
        how = "remove the row, or give it a new id to get another number"
        return _refuse(row, "phone_number", f"{what}; {how}")
    if blocked := _plan_blocked(row, index):
        return blocked
    if why := number_conflict(row, row.phone_number, index):
        return _refuse(row, "phone_number", why)
    if row.source is Source.EXISTING:
        number = row.phone_number or "its number, which the row does not name,"
        return _refuse(row, "phone_number", f"{number} is not in the account")
    begun = index.under_way(row)
    if row.source is Source.PURCHASE and not row.phone_number and begun is None:
        allowed = options.allow_unlisted
        removed = index.removed_purchase(row, alike=allowed)
        if why := repeated_purchase(removed, allow_unlisted=allowed):
            return _refuse(row, "", why)
    step = usual_step(row, _creation(row), index.next_sequence(row))
    if begun is not None:
        number = row.phone_number or (begun.key if begun.key.startswith("+") else "")
        remarks = ("continues what an earlier run began",)
        step = attrs.evolve(step, phone_number=number, remarks=remarks)
    return RowPlan(row=row, step=step, problems=[*_missing_agents(row, row.fields, index)])


def _plan_blocked(row: FleetRow, index: StateIndex) -> RowPlan | None:
    """Return the plan of a row whose operation waits for an operator, or was abandoned by one."""
    pending = index.state.pending.get(row.id)
    if pending is None:
        return None
    if pending.needs_decision:
        problem = attrs.evolve(row.problem("", NEEDS_DECISION), needs_decision=True)
        return RowPlan(row=row, problems=(problem,))
    if pending.row.state is not State.ABANDONED:
        return None
    step = usual_step(row, _creation(row), 0)
    return RowPlan(row=row, step=attrs.evolve(step, op_id="", changes=(), blocked=ABANDONED))


def _creation(row: FleetRow) -> Action:
    return Action.PURCHASE if row.source is Source.PURCHASE else Action.IMPORT


def usual_step(row: FleetRow, action: Action, sequence: int) -> Step:
    """Return the step of *row*, as far as the row tells it."""
    creates = action in CREATES
    changes = (
        Change(name, None, after)
        for name, cell in row.fields.items()
        if name != "phone_number" and (after := normalize_cell(cell)) is not None
    )
    is_key = VENDORS[row.platform].key == "phone_number"
    return Step(
        id=row.id,
        platform=row.platform,
        action=action,
        sequence=sequence,
        op_id=creation_id(row.id, sequence) if creates else "",
        phone_number=row.phone_number,
        record=row.phone_number if is_key and not creates else "",
        changes=tuple(changes) if creates else (),
    )


# --- numbers that are released or moved ------------------------------------------------------


def _plan_release(
    row: FleetRow, applied: LastApplied | None, index: StateIndex, options: PlanOptions
) -> RowPlan:
    found = _find_number(row, applied, index)
    if why := release_conflict(row, found, applied, index):
        return _refuse(row, "phone_number", why)
    sequence = index.next_sequence(row)
    step = attrs.evolve(
        usual_step(row, Action.UNCHANGED, sequence), record="", remarks=("is absent already",)
    )
    if found is not None:
        step = attrs.evolve(
            usual_step(row, Action.RELEASE, sequence),
            phone_number=found.phone_number,
            record=found.record,
            blocked="" if options.allow_release else RELEASE_NOT_ALLOWED,
        )
    return RowPlan(row=row, step=step)


def _plan_move(
    row: FleetRow, applied: LastApplied, index: StateIndex, options: PlanOptions
) -> RowPlan:
    """Plan a row that has another platform than its number."""
    here = index.find_number(row.platform, applied.phone_number)
    there = index.find_record(applied.platform, applied.record)
    if index.under_way(row) is not None:
        here = None  # otherwise the operation under way would never be settled
    if there is None and here is not None:
        return _plan_update(row, here, None, index, options)
    if there is None:
        return _plan_missing(row, applied, index, options)
    if why := move_refusal(row, applied, allow_release=options.allow_release):
        return _refuse(row, "platform", why)
    if why := move_conflict(row, here, there, index):
        return _refuse(row, "phone_number", why)
    if here is None and (blocked := _plan_blocked(row, index)):
        return blocked
    step = usual_step(row, Action.MOVE, index.next_sequence(row))
    step = attrs.evolve(step, phone_number=applied.phone_number, moves_from=there)
    if here is not None:
        changes = tuple(find_changes(row, VENDORS[row.platform], here, None))
        step = attrs.evolve(step, record=here.record, changes=changes)
    agents = _missing_agents(row, [change.field for change in step.changes], index)
    return RowPlan(row=row, step=step, problems=[*agents])


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

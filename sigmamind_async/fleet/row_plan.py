"""What is to be done about one row, or why only an operator can tell. Pure.

A row is known by its id, and its number by the journal or by the number that the row names. Nothing
is bought, moved or released on a guess: whatever cannot be told apart with certainty is a problem.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from sigmamind_async.fleet.blockers import (
    RELEASE_NOT_ALLOWED as RELEASE_NOT_ALLOWED,  # noqa: PLC0414 - given on
)
from sigmamind_async.fleet.blockers import (
    ambiguous_number,
    missing_number,
    move_conflict,
    move_refusal,
    number_conflict,
    number_mismatch,
    pending_decision,
    pending_mismatch,
    release_conflict,
)
from sigmamind_async.fleet.diff import find_changes, find_fixed_changes
from sigmamind_async.fleet.spec import DesiredState, FleetRow, Problem, Source
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.fleet.step import Action, Change, Step, creation_id
from sigmamind_async.fleet.vendor_schema import RemoteNumber, VendorSchema
from sigmamind_async.fleet.vendors import VENDORS

OnDrift: TypeAlias = Literal["keep", "overwrite", "fail"]


@attrs.frozen(kw_only=True)
class PlanOptions:
    """What a plan may do without asking again."""

    on_drift: OnDrift = "fail"
    """What becomes of a field that somebody else has changed since it was applied."""
    allow_release: bool = False
    """Whether numbers of rows that say ``absent``, or move, are released, permanently."""
    rewrite_secrets: bool = False
    """Whether passwords are written again: a new one behind the same reference is not noticed."""


_AGENTS: Final = ("inbound_agent_id", "outbound_agent_id")


@attrs.frozen(kw_only=True)
class RowPlan:
    """What one row comes to."""

    row: FleetRow
    step: Step | None = None
    problems: Sequence[Problem] = ()

    @property
    def claims(self) -> Iterator[tuple[str, str]]:
        """Platforms and numbers that the step is about."""
        step = self.step
        if step is None or not step.phone_number:
            return
        if step.record or step.op_id:  # or nothing is there, and nothing comes
            yield step.platform, step.phone_number
        if step.moves_from is not None:
            yield step.moves_from.platform, step.phone_number


def plan_row(row: FleetRow, register: StateIndex, rules: PlanOptions) -> RowPlan:
    """Return what is to be done about *row*."""
    applied = register.last_applied(row)
    if refusal := number_mismatch(row, applied):
        return _problem_draft(row, "phone_number", refusal)
    if row.state is DesiredState.ABSENT:
        return _absent(row, applied, register, rules)
    if refusal := pending_mismatch(row, register.pending(row)):
        return _problem_draft(row, "", refusal)
    if applied is not None and applied.platform != row.platform:
        return _elsewhere(row, applied, register, rules)
    found = _find_number(row, row.platform, applied, register)
    if found is not None and not register.is_under_way(row):
        return _present(row, found, applied, register, rules)
    return _missing(row, applied, register)


def _problem_draft(row: FleetRow, field: str, message: str) -> RowPlan:
    return RowPlan(row=row, problems=(_told(row, field, message),))


def _told(row: FleetRow, field: str, message: str) -> Problem:
    return Problem(message=message, id=row.id, field=field, line=row.line)


def _find_number(
    row: FleetRow, platform: str, applied: LastApplied | None, register: StateIndex
) -> RemoteNumber | None:
    """Return the number of *row*, if the account has it."""
    if applied is None:
        return register.find_number(platform, row.phone_number)
    # A record that was made anew has another key, and is about the same number.
    return register.find_record(platform, applied.record) or register.find_number(
        platform, applied.phone_number
    )


# --- numbers that are there ------------------------------------------------------------------


def _present(
    row: FleetRow,
    found: RemoteNumber,
    applied: LastApplied | None,
    register: StateIndex,
    rules: PlanOptions,
) -> RowPlan:
    if refusal := ambiguous_number(row, found, applied, register):
        return _problem_draft(row, "phone_number", refusal)
    adopted = not register.owns(row, found)
    was = (register.previous_id(row, found) or "") if adopted else ""
    if was:
        applied = register.known.last_applied[was]
    capability = VENDORS[row.platform]
    if applied is not None and applied.record != found.record:
        applied = _made_anew(applied, found, capability)
    fixed = [
        _told(row, name, "was said otherwise when the number came, and cannot be changed since")
        for name in find_fixed_changes(row, capability, applied)
    ]
    if fixed:
        return RowPlan(row=row, problems=fixed)
    changes = [
        *find_changes(row, capability, found, applied, rewrite_secrets=rules.rewrite_secrets)
    ]
    drifted = [change for change in changes if change.drifted]
    problems = [_told(row, one.field, _drift(one)) for one in drifted if rules.on_drift == "fail"]
    kept = drifted if rules.on_drift == "keep" else []
    if kept:
        changes = [change for change in changes if not change.drifted]
    problems += _agents(row, [change.field for change in changes], register)
    action = Action.UPDATE if changes else Action.DRIFTED if kept else Action.UNCHANGED
    step = Step(
        id=row.id,
        platform=row.platform,
        action=Action.ADOPT if adopted else action,
        sequence=register.next_sequence(row),
        phone_number=found.phone_number,
        record=found.record,
        changes=tuple(changes),
        kept_drift=tuple(kept),
        renamed_from=was,
    )
    return RowPlan(row=row, step=step, problems=problems)


def _made_anew(applied: LastApplied, found: RemoteNumber, capability: VendorSchema) -> LastApplied:
    """Return what is known of a number whose record is another one than was written to.

    What the platform does not show of the new one, a password for instance, was never written.
    """
    takes = capability.update.takes
    fields = applied.fields.items()
    return attrs.evolve(
        applied,
        fields={name: cell for name, cell in fields if name in found.shown or name not in takes},
    )


def _drift(change: Change) -> str:
    wanted, found = (_shown(value) for value in (change.after, change.before))
    return (
        f"is {found}, changed by somebody else since it was applied, and wanted is {wanted}:"
        " say --on-drift keep or overwrite"
    )


def _shown(value: object) -> str:
    return "empty" if value is None else repr(value)


def _agents(row: FleetRow, fields: Collection[str], register: StateIndex) -> Iterator[Problem]:
    """Yield a problem for each agent that a number would be given to and that does not exist."""
    agents = register.known.agents.get(row.platform)
    for name in _AGENTS:
        agent = row.fields.get(name)
        if agents is not None and name in fields and agent and agent not in agents:
            yield _told(row, name, f"{agent!r} is no agent of the account")


# --- numbers that are not there yet ----------------------------------------------------------


def _missing(row: FleetRow, applied: LastApplied | None, register: StateIndex) -> RowPlan:
    """Return what is to be done about a number that the account does not have."""
    if applied is not None and row.source is not Source.IMPORT:
        return _problem_draft(row, "phone_number", missing_number(applied))
    if refusal := pending_decision(register.pending(row)):
        return _problem_draft(row, "", refusal)
    if refusal := number_conflict(row, row.phone_number, register):
        return _problem_draft(row, "phone_number", refusal)
    return _new(row, register)


def _new(row: FleetRow, register: StateIndex) -> RowPlan:
    if row.source is Source.EXISTING:
        number = row.phone_number or "its number, which the row does not name,"
        return _problem_draft(row, "phone_number", f"{number} is not in the account")
    under_way = register.is_under_way(row)
    twin = None if under_way or row.phone_number else register.twin(row)
    if twin is not None:
        twin_id = register.twin_id(row)
        return _problem_draft(
            row,
            "",
            f"would buy another number just like {twin_id}, which the file has no longer: if that"
            f" row was renamed, add phone_number {twin.phone_number}; if not, keep {twin_id}",
        )
    sequence = register.next_sequence(row)
    step = Step(
        id=row.id,
        platform=row.platform,
        action=Action.PURCHASE if row.source is Source.PURCHASE else Action.IMPORT,
        sequence=sequence,
        op_id=creation_id(row.id, sequence),
        phone_number=row.phone_number or _number_under_way(row, register),
        changes=_all_of(row),
        remarks=("goes on with what an earlier run began",) if under_way else (),
    )
    return RowPlan(row=row, step=step, problems=[*_agents(row, row.fields, register)])


def _number_under_way(row: FleetRow, register: StateIndex) -> str:
    begun = register.pending(row)
    key = "" if begun is None or begun.row is None or not begun.is_under_way else begun.row.key
    return key if key.startswith("+") else ""


def _all_of(row: FleetRow) -> tuple[Change, ...]:
    return tuple(
        Change(name, None, after)
        for name, cell in row.fields.items()
        if name != "phone_number" and (after := normalize_cell(cell)) is not None
    )


# --- numbers that go -------------------------------------------------------------------------


def _absent(
    row: FleetRow, applied: LastApplied | None, register: StateIndex, rules: PlanOptions
) -> RowPlan:
    found = _find_number(row, row.platform, applied, register)
    if refusal := release_conflict(row, found, applied, register):
        return _problem_draft(row, "phone_number", refusal)
    if found is None:
        step = Step(
            id=row.id,
            platform=row.platform,
            action=Action.UNCHANGED,
            sequence=register.next_sequence(row),
            phone_number=row.phone_number,
            remarks=("is absent already",),
        )
        return RowPlan(row=row, step=step)
    step = Step(
        id=row.id,
        platform=row.platform,
        action=Action.RELEASE,
        sequence=register.next_sequence(row),
        phone_number=found.phone_number,
        record=found.record,
        blocked="" if rules.allow_release else RELEASE_NOT_ALLOWED,
    )
    return RowPlan(row=row, step=step)


def _elsewhere(
    row: FleetRow, applied: LastApplied, register: StateIndex, rules: PlanOptions
) -> RowPlan:
    """Return what is to be done about a number that is to be on another platform than it was."""
    here = register.find_number(row.platform, applied.phone_number)
    there = register.find_record(applied.platform, applied.record)
    if register.is_under_way(row):
        here = None  # or what is under way there would never be settled
    if there is None and here is not None:
        return _present(row, here, None, register, rules)
    if there is None:
        return _missing(row, applied, register)
    if refusal := move_refusal(row, applied, allow_release=rules.allow_release):
        return _problem_draft(row, "platform", refusal)
    if refusal := move_conflict(row, here, there, register):
        return _problem_draft(row, "phone_number", refusal)
    if here is None and (refusal := pending_decision(register.pending(row))):
        return _problem_draft(row, "", refusal)
    changes = (
        _all_of(row)
        if here is None
        else tuple(find_changes(row, VENDORS[row.platform], here, None))
    )
    sequence = register.next_sequence(row)
    step = Step(
        id=row.id,
        platform=row.platform,
        action=Action.MOVE,
        sequence=sequence,
        op_id=creation_id(row.id, sequence),
        phone_number=applied.phone_number,
        record="" if here is None else here.record,
        changes=changes,
        moves_from=there,
    )
    agents = _agents(row, [change.field for change in changes], register)
    return RowPlan(row=row, step=step, problems=[*agents])

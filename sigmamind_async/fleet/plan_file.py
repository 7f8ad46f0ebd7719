"""A plan as a file: shown and agreed to now, carried out later if the state is still the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
import orjson
from cattrs import Converter

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import FIELDS
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step import Action, Step
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.row import State
from sigmamind_async.values import Secret

KIND: Final = "sigmamind_async.plan"
VERSION: Final = 1
"""Of the format; to be increased with it."""

_PARTS: Final = [each.name for each in attrs.fields(Plan) if each.name != "problems"]
_SCALARS: Final = {str, int, bool, NoneType, Secret}


def dump_plan(plan: Plan) -> bytes:
    """Return *plan* as JSON.

    Raises `PlanError` if it has problems, or a row with an inline secret: a reference can be saved,
    a password cannot.
    """
    if plan.problems:
        raise PlanError("a plan with problems cannot be saved; see Plan.skip_problems")
    for row in plan.rows.values():
        if any(isinstance(cell, Secret) for cell in row.fields.values()):
            why = "an inline secret cannot be saved; use env:NAME or file:PATH"
            raise PlanError(f"{row.id}: {why}")
    parts: dict[str, Any] = _converter().unstructure(plan)
    return orjson.dumps({"kind": KIND, "version": VERSION} | {name: parts[name] for name in _PARTS})


def load_plan(content: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote as *content*; raise `PlanError` for anything else."""
    plan: Plan | None = None
    try:
        document = orjson.loads(content)
        kind, version = document["kind"], document["version"]
        if (kind, version) == (KIND, VERSION):
            # A caller may add other keys, such as where the plan is from.
            plan = _converter().structure({name: document[name] for name in _PARTS}, Plan)
    except Exception:  # noqa: BLE001 - whatever a damaged file leads to
        kind, version = "", VERSION
    if kind == KIND and version != VERSION:
        raise PlanError("was saved by another version; make the plan again")
    if plan is None or not _is_consistent(plan):
        raise PlanError("is not a saved plan, or was changed since; make the plan again")
    return plan


@cache
def _converter() -> Converter:
    """Return a converter that converts no scalar into another type."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _check_scalar)
    converter.register_structure_hook_func(_is_scalar_union, _check_scalar)
    return converter


def _is_scalar_union(hint: Any) -> bool:  # noqa: ANN401 - an annotation has no type
    is_union = get_origin(hint) in {Union, UnionType}
    return is_union and _SCALARS.issuperset(get_args(hint))


def _check_scalar(value: object, hint: Any) -> object:  # noqa: ANN401 - as above
    if type(value) not in (get_args(hint) or (hint,)):
        raise TypeError
    return value


def _is_consistent(plan: Plan) -> bool:
    """Return whether there is one row for each step, and no name that this version lacks."""
    rows, steps = plan.rows.values(), plan.steps
    platforms = {row.platform for row in rows} | {step.platform for step in steps}
    platforms |= {step.moves_from.platform for step in steps if step.moves_from is not None}
    return (
        [step.id for step in steps] == [*dict.fromkeys(step.id for step in steps)]
        and {step.id for step in steps} == {*plan.rows}
        and all(row.id == row_id for row_id, row in plan.rows.items())
        and platforms <= VENDORS.keys()
        and {name for row in rows for name in row.fields} <= {*FIELDS}
    )


# --- whether the state is still the same -----------------------------------------------------


def stale_reasons(saved: Plan, now: Plan, state: FleetState) -> list[str]:
    """Return how *saved* differs from the plan of the same rows *now*; empty if it does not.

    A step that is done already is no difference, and neither is one that *saved* has begun.
    """
    steps = {step.id: step for step in now.steps}
    return [*_differences(saved, steps, state), *(str(problem) for problem in now.problems)]


def _differences(saved: Plan, steps: Mapping[str, Step], state: FleetState) -> Iterator[str]:
    for old in saved.steps:
        new = steps.get(old.id)
        if new is None or not new.writes or _work(new) == _work(old) or _has_begun(old, state):
            continue
        yield f"{old.id}: was to {_describe(old)}, is now to {_describe(new)}"


def _work(step: Step) -> tuple[object, ...]:
    # A second purchase for the same row has another operation: the first one was carried out.
    op_id = step.op_id if step.action is Action.PURCHASE else ""
    return step.action, step.phone_number, step.record, step.changes, step.moves_from, op_id


def _has_begun(old: Step, state: FleetState) -> bool:
    """Return whether the operation that was to create a number is under way, or has created it."""
    if not old.op_id:
        return False
    pending, applied = state.pending.get(old.id), state.last_applied.get(old.id)
    stored = None if pending is None else pending.row
    is_under_way = stored is not None and stored.op_id == old.op_id
    is_applied = applied is not None and applied.platform == old.platform and applied.record != ""
    return (is_under_way and stored is not None and stored.state != State.FAILED) or is_applied


def _describe(step: Step) -> str:
    changes = (f"{each.field} {each.before!r} -> {each.after!r}" for each in step.changes)
    return f"{step.action.value} ({', '.join(changes)})" if step.changes else step.action.value

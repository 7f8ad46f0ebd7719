"""A plan as a file: shown and agreed to now, carried out later if the state is still the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import attrs
import orjson

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.row_plan import PlanOptions
from sigmamind_async.fleet.spec import FIELDS, DesiredState, FleetRow, Source
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step import Action, Step
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.row import State
from sigmamind_async.values import Secret

KIND: Final = "sigmamind_async.plan"
VERSION: Final = 1
"""Of the format; to be increased with it."""


def dump_plan(plan: Plan) -> bytes:
    """Return *plan* as JSON.

    Raises `PlanError` if it has problems, or a row with an inline secret: a reference can be saved,
    a password cannot.
    """
    if plan.problems:
        raise PlanError("a plan with problems cannot be saved; see Plan.skip_problems")
    document = {
        "kind": KIND,
        "version": VERSION,
        "options": attrs.asdict(plan.options),
        "unlisted": list(plan.unlisted),
        "skipped": list(plan.skipped),
        "rows": [_dump_row(row) for row in plan.rows.values()],
        "steps": [step.dump() for step in plan.steps],
    }
    return orjson.dumps(document, default=dict)


def load_plan(content: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote; raise `PlanError` for anything else."""
    try:
        document = orjson.loads(content)
        if document["kind"] != KIND:
            raise PlanError("is not a saved plan")
        if document["version"] != VERSION:
            raise PlanError("was saved by another version; make the plan again")
        rows = [_load_row(fields) for fields in document["rows"]]
        plan = Plan(
            steps=tuple(Step.load(fields) for fields in document["steps"]),
            rows={row.id: row for row in rows},
            unlisted=tuple(document["unlisted"]),
            skipped=tuple(document["skipped"]),
            options=PlanOptions(**document["options"]),
        )
        if _fits(plan, Plan) and _is_consistent(plan, len(rows)):
            return plan
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise PlanError("is not a saved plan, or was changed since; make the plan again")


def _is_consistent(plan: Plan, count: int) -> bool:
    """Return whether there is one row for each step, and no name that this version lacks."""
    ids = {step.id for step in plan.steps}
    platforms = {step.platform for step in plan.steps} | {
        row.platform for row in plan.rows.values()
    }
    platforms |= {step.moves_from.platform for step in plan.steps if step.moves_from is not None}
    fields = {name for row in plan.rows.values() for name in row.fields}
    return (
        (len(plan.rows), len(ids)) == (count, len(plan.steps))
        and ids <= plan.rows.keys()
        and platforms <= VENDORS.keys()
        and fields <= {*FIELDS}
    )


def _fits(held: object, hint: Any) -> bool:  # noqa: ANN401 - an annotation is of no one type
    """Return whether *held* fits an annotation at every depth: a file may hold anything."""
    if type(held) is hint and not attrs.has(hint):
        return True  # True is no int, and 1 no bool
    origin, inner = _parts(hint)
    if origin in {Union, UnionType}:
        return any(_fits(held, each) for each in inner)
    if origin is Literal:
        return held in inner
    if origin in {tuple, Sequence}:
        return isinstance(held, tuple) and all(
            _fits(each, inner[0]) for each in cast("tuple[object, ...]", held)
        )
    if origin is Mapping:
        of_key, of_value = inner
        return isinstance(held, dict) and all(
            _fits(key, of_key) and _fits(value, of_value)
            for key, value in cast("dict[object, object]", held).items()
        )
    if attrs.has(hint):
        return type(held) is hint and all(
            _fits(getattr(held, name), each) for name, each in _hints(hint).items()
        )
    return False


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:  # noqa: ANN401 - as above
    return get_origin(hint), get_args(hint)


@cache
def _hints(kind: type[attrs.AttrsInstance]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in attrs.fields(kind)}


def _dump_row(row: FleetRow) -> dict[str, Any]:
    if any(isinstance(cell, Secret) for cell in row.fields.values()):
        raise PlanError(f"{row.id}: an inline secret cannot be saved; use env:NAME or file:PATH")
    return {
        "id": row.id,
        "platform": row.platform,
        "source": row.source.value,
        "state": row.state.value,
        "fields": dict(row.fields),
        "line": row.line,
    }


def _load_row(fields: dict[str, Any]) -> FleetRow:
    return FleetRow(
        id=fields["id"],
        platform=fields["platform"],
        source=Source(fields["source"]),
        state=DesiredState(fields["state"]),
        fields=fields["fields"],
        line=fields["line"],
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

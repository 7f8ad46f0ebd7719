"""A plan as a file: looked at and agreed to today, carried out tomorrow, if nothing has moved."""

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
from sigmamind_async.fleet.step import Step
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.row import State
from sigmamind_async.values import Secret

KIND: Final = "sigmamind_async.plan"
VERSION: Final = 1
"""Of the file's form; whoever changes that counts it up."""


def dump(plan: Plan) -> bytes:
    """Return *plan* as JSON, without problems, of which it must have none.

    Raises `PlanError` for one with a problem, or with a secret that stands in a row itself: a
    reference can be saved, a password cannot.
    """
    if plan.problems:
        raise PlanError(f"a plan with {len(plan.problems)} problems cannot be saved")
    document = {
        "kind": KIND,
        "version": VERSION,
        "rules": attrs.asdict(plan.rules),
        "unlisted": list(plan.unlisted),
        "skipped": list(plan.skipped),
        "rows": [_row(row) for row in plan.rows.values()],
        "steps": [step.dump() for step in plan.steps],
    }
    return orjson.dumps(document, default=dict)


def load(content: bytes) -> Plan:
    """Return the plan that `dump` wrote; raises `PlanError` for anything else."""
    try:
        document = orjson.loads(content)
        if document["kind"] != KIND:
            raise PlanError("is no saved plan")
        if document["version"] != VERSION:
            raise PlanError("was saved by another version; make the plan again")
        rows = [_row_of(said) for said in document["rows"]]
        plan = Plan(
            steps=tuple(Step.load(said) for said in document["steps"]),
            rows={row.id: row for row in rows},
            unlisted=tuple(document["unlisted"]),
            skipped=tuple(document["skipped"]),
            rules=PlanOptions(**document["rules"]),
        )
        if _fits(plan, Plan) and _is_about_its_rows(plan, len(rows)):
            return plan
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise PlanError("is no saved plan, or was changed since; make the plan again")


def _is_about_its_rows(plan: Plan, count: int) -> bool:
    """Return whether there is one row for each step, and no word that this version lacks."""
    ids = {step.id for step in plan.steps}
    platforms = {step.platform for step in plan.steps} | {
        row.platform for row in plan.rows.values()
    }
    platforms |= {step.leaves.platform for step in plan.steps if step.leaves is not None}
    fields = {name for row in plan.rows.values() for name in row.fields}
    return (
        (len(plan.rows), len(ids)) == (count, len(plan.steps))
        and ids <= plan.rows.keys()
        and platforms <= VENDORS.keys()
        and fields <= {*FIELDS}
    )


def _fits(held: object, hint: Any) -> bool:  # noqa: ANN401 - an annotation is of no one type
    """Return whether *held* is what an annotation says, all the way down: a file may hold all."""
    if type(held) is hint and not attrs.has(hint):
        return True  # 1 is no truth, and true is no number
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
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:  # noqa: ANN401 - likewise
    return get_origin(hint), get_args(hint)


@cache
def _hints(kind: type[attrs.AttrsInstance]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in attrs.fields(kind)}


def _row(row: FleetRow) -> dict[str, Any]:
    if any(isinstance(cell, Secret) for cell in row.fields.values()):
        raise PlanError(f"{row.id}: a secret in the row itself cannot be saved; use a reference")
    return {
        "id": row.id,
        "platform": row.platform,
        "source": row.source.value,
        "state": row.state.value,
        "fields": dict(row.fields),
        "line": row.line,
    }


def _row_of(said: dict[str, Any]) -> FleetRow:
    return FleetRow(
        id=said["id"],
        platform=said["platform"],
        source=Source(said["source"]),
        state=DesiredState(said["state"]),
        fields=said["fields"],
        line=said["line"],
    )


# --- what has moved --------------------------------------------------------------------------


def moved(saved: Plan, now: Plan, known: FleetState) -> list[str]:
    """Return what differs between a plan and the same made *now*, in words; empty if nothing does.

    That a step is done already is no difference, nor that this plan has begun it.
    """
    steps = {step.id: step for step in now.steps}
    return [*_of_steps(saved, steps, known), *(str(problem) for problem in now.problems)]


def _of_steps(saved: Plan, steps: Mapping[str, Step], known: FleetState) -> Iterator[str]:
    for old in saved.steps:
        new = steps.get(old.id)
        if new is None or not new.writes or _tasks(new) == _tasks(old) or _has_begun(old, known):
            continue
        changed = f"now is to {new.action.value}{_described(new)}"
        yield f"{old.id}: was to {old.action.value}, and {changed}"


def _tasks(step: Step) -> tuple[object, ...]:
    return step.action, step.phone_number, step.record, step.changes, step.leaves


def _has_begun(old: Step, known: FleetState) -> bool:
    """Return whether the operation that was to bring a number has been sent, or was carried out."""
    if not old.op_id:
        return False
    begun, applied = known.begun.get(old.id), known.applied.get(old.id)
    stored = None if begun is None else begun.row
    under_way = stored is not None and stored.op_id == old.op_id and stored.state != State.FAILED
    brought = applied is not None and applied.platform == old.platform and applied.record != ""
    return under_way or brought


def _described(step: Step) -> str:
    names = ", ".join(change.field for change in step.changes)
    return f" ({names})" if names else ""

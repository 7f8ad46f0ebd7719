"""A plan as a file: looked at and agreed to today, carried out tomorrow, if nothing has moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import orjson

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.draft import Rules
from sigmamind_async.fleet.known import Known
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import FleetRow, Presence, Source
from sigmamind_async.fleet.step import Step
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
        return Plan(
            steps=tuple(Step.load(said) for said in document["steps"]),
            rows={row.id: row for row in rows},
            unlisted=tuple(document["unlisted"]),
            rules=Rules(**document["rules"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise PlanError("is no saved plan, or was changed since; make the plan again")


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
        state=Presence(said["state"]),
        fields=said["fields"],
        line=said["line"],
    )


# --- what has moved --------------------------------------------------------------------------


def moved(saved: Plan, now: Plan, known: Known) -> list[str]:
    """Return what differs between a plan and the same made *now*, in words; empty if nothing does.

    That a step is done already is no difference, nor that this plan has begun it.
    """
    steps = {step.id: step for step in now.steps}
    return [*_of_steps(saved, steps, known), *(str(problem) for problem in now.problems)]


def _of_steps(saved: Plan, steps: Mapping[str, Step], known: Known) -> Iterator[str]:
    for old in saved.steps:
        new = steps.get(old.id)
        if new is None or not new.writes or _tasks(new) == _tasks(old) or _has_begun(old, known):
            continue
        yield f"{old.id}: was to {old.action.value}, and now is to {new.action.value}{_fields(new)}"


def _tasks(step: Step) -> tuple[object, ...]:
    return step.action, step.phone_number, step.record, step.changes, step.leaves


def _has_begun(old: Step, known: Known) -> bool:
    """Return whether the operation that was to bring a number has been sent, or was carried out."""
    if not old.op_id:
        return False
    begun, applied = known.begun.get(old.id), known.applied.get(old.id)
    stored = None if begun is None else begun.row
    under_way = stored is not None and stored.op_id == old.op_id and stored.state != State.FAILED
    brought = applied is not None and applied.platform == old.platform and applied.record != ""
    return under_way or brought


def _fields(step: Step) -> str:
    names = ", ".join(change.field for change in step.changes)
    return f" ({names})" if names else ""

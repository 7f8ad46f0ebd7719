"""A plan as a file: shown and agreed to now, carried out later if the state is still the same.

JSON Lines: a head, which names the columns, and a line for each row with its step. What a step has
in common with every step of its kind for such a row is left out, so that a plan is at most three
times as large as the CSV file that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
import orjson
from cattrs import Converter

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.plan import ORDER, Plan, usual_step
from sigmamind_async.fleet.spec import FIELDS, DesiredState, FleetRow
from sigmamind_async.fleet.state import FleetState, normalize_cell
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.row import State
from sigmamind_async.values import Secret

KIND: Final = "sigmamind_async.plan"
VERSION: Final = 2
"""Of the format; to be increased with it."""

_HEAD: Final = ("unlisted", "skipped", "options", "origin")
_ROW: Final = ("id", "platform", "source", "line")
_NAMES: Final = ("state", *FIELDS)
"""Further columns, those that are in use."""
_STEP: Final = ("action", "sequence", "record", "before", "more")
_LEFT_OUT: Final[Sequence[object]] = ("", {}, {})
"""Of the last columns: what is left out at the end of a line."""
_SCALARS: Final = {str, int, bool, NoneType, Secret}
_UNSET: Final = dict[str, object]()
"""In place of a field that the row does not have."""


def dump_plan(plan: Plan, notes: Mapping[str, object] | None = None) -> bytes:
    """Return *plan* as JSON Lines; the first one, an object, holds the keys of *notes* as well.

    Raises `PlanError` if it has problems, or a row with an inline secret: a reference can be saved,
    a password cannot.
    """
    if plan.problems:
        raise PlanError("a plan with problems cannot be saved; see Plan.skip_problems")
    rows, steps = plan.rows.values(), {step.id: step for step in plan.steps}
    for row in rows:
        if any(isinstance(cell, Secret) for cell in row.fields.values()):
            why = "an inline secret cannot be saved; use env:NAME or file:PATH"
            raise PlanError(f"{row.id}: {why}")
    used = {name for row in rows for name in row.fields}
    used |= {"state" for row in rows if row.state is not DesiredState.PRESENT}
    names = [name for name in _NAMES if name in used]
    parts = _converter().unstructure({name: getattr(plan, name) for name in _HEAD})
    head = {"kind": KIND, "version": VERSION, "rows": len(rows), "columns": [*_ROW, *names, *_STEP]}
    lines = [
        {**head, **parts, **(notes or {})},
        *(_line(row, steps[row.id], names) for row in rows),
    ]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _line(row: FleetRow, step: Step, names: Sequence[str]) -> list[object]:
    usual = usual_step(row, step.action, step.sequence)
    more = {
        each.name: _converter().unstructure(value)
        for each in attrs.fields(Step)
        if (value := getattr(step, each.name)) != getattr(usual, each.name)
    }
    record = more.pop("record") if more.get("record") else ""
    before = {change.field: change.before for change in step.changes}
    if "changes" in more and step.changes == _changes(row, before) != ():
        del more["changes"]
    else:
        before = {}
    cells: Mapping[str, object] = {"state": row.state.value, **row.fields}
    own = [row.id, row.platform, row.source.value, row.line]
    of_step = [step.action.value, step.sequence, record, before, more]
    line: list[object] = [*own, *(cells.get(name, _UNSET) for name in names), *of_step]
    while line[-1] in _LEFT_OUT:
        line.pop()
    return line


def _changes(row: FleetRow, before: Mapping[str, str | int | None]) -> tuple[Change, ...]:
    """Return changes to what *row* asks for, from the values that the account shows."""
    return tuple(
        Change(name, shown, normalize_cell(row.fields.get(name))) for name, shown in before.items()
    )


def load_plan(content: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote as *content*; raise `PlanError` for anything else."""
    plan: Plan | None = None
    version: object = VERSION
    try:
        head, *lines = map(orjson.loads, content.splitlines())
        if head["kind"] == KIND:
            version = head["version"]
            plan = _plan_of(head, lines)
    except Exception:  # noqa: BLE001, S110 - whatever a damaged file leads to
        pass
    if version != VERSION:
        raise PlanError("was saved by another version; make the plan again")
    if plan is None:
        raise PlanError("is not a saved plan, or was changed since; make the plan again")
    return plan


def _plan_of(head: Mapping[str, Any], lines: Sequence[Any]) -> Plan:
    names = head["columns"][len(_ROW) : -len(_STEP)]
    is_known = head["columns"] == [*_ROW, *names, *_STEP] and {*names} <= {*_NAMES}
    found = [_read_line(line, names) for line in lines]
    rows = {row.id: row for row, _ in found}
    if not is_known or not len(rows) == len(lines) == head["rows"]:
        raise ValueError
    empty: dict[str, Any] = {"steps": (), "rows": {}, **{name: head[name] for name in _HEAD}}
    # Lines are in the order of the file.
    steps = sorted((step for _, step in found), key=lambda step: ORDER[step.action])
    return attrs.evolve(_converter().structure(empty, Plan), steps=tuple(steps), rows=rows)


def _read_line(line: Sequence[Any], names: Sequence[str]) -> tuple[FleetRow, Step]:
    columns = (*_ROW, *names, *_STEP)
    left_out = _LEFT_OUT[len(line) - len(columns) + len(_LEFT_OUT) :]
    cells: dict[str, Any] = dict(zip(columns, (*line, *left_out), strict=True))
    fields = {name: cells[name] for name in names if cells[name] != _UNSET}
    of_row = {**{name: cells[name] for name in _ROW}, "state": fields.pop("state", "present")}
    row = _converter().structure({**of_row, "fields": fields}, FleetRow)
    step = usual_step(row, Action(cells["action"]), _check_scalar(cells["sequence"], int))
    more: dict[str, Any] = {**cells["more"]}
    if not more.keys().isdisjoint(("id", "platform", "action", "sequence")):
        raise ValueError
    if cells["record"] != "":
        more["record"] = cells["record"]
    if cells["before"] != {}:
        more["changes"] = _converter().unstructure(_changes(row, cells["before"]))
    if more:
        step = _converter().structure({**_converter().unstructure(step), **more}, Step)
    if step.moves_from is not None and step.moves_from.platform not in VENDORS:
        raise ValueError
    return row, step


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


def _check_scalar(value: Any, hint: Any) -> Any:  # noqa: ANN401 - as above
    if type(value) not in (get_args(hint) or (hint,)):
        raise TypeError
    return value


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
    if stored is not None and stored.op_id == old.op_id and stored.state is not State.FAILED:
        return True
    return applied is not None and applied.platform == old.platform and applied.record != ""


def _describe(step: Step) -> str:
    changes = (f"{each.field} {each.before!r} -> {each.after!r}" for each in step.changes)
    return f"{step.action.value} ({', '.join(changes)})" if step.changes else step.action.value

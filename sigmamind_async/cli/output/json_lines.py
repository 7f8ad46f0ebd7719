"""Records as JSON Lines: for programs. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

from sigmamind_async.cli.output.events import (
    Crash,
    Killed,
    NumberList,
    NumberRecord,
    OpenRow,
    OrderPlaced,
    PlanShown,
    Problems,
    Ready,
    Record,
    Released,
    RowChange,
    RowError,
    RowResult,
    SandboxReady,
    Standing,
    Summary,
    Verdict,
    Verification,
    Verifications,
    VerificationSummary,
)
from sigmamind_async.fleet.spec import Problem
from sigmamind_async.fleet.step import Step


def line_of(json_object: Mapping[str, object]) -> str:
    """Return an object as one line; pure ASCII, whatever the encoding of the output."""
    return json.dumps(json_object, separators=(",", ":"))


@functools.singledispatch
def json_lines(record: Record) -> str:
    """Return *record* as one line, or several, without the last line end."""
    raise TypeError(type(record).__name__)


@json_lines.register
def _(record: RowResult) -> str:
    return line_of(
        {
            **({"line": record.line} if record.line else {}),
            "id": record.id,
            **({} if record.platform is None else {"platform": record.platform}),
            "action": record.action or None,
            "status": record.status,
            "phone_number": record.phone_number,
            **({} if record.record_id is None else {"record_id": record.record_id}),
            "error": None if record.fault is None else _fault_object(record.fault),
            "attempts": record.attempts,
            "elapsed_ms": round(record.elapsed * 1000),
            "earlier": record.earlier,
            **({"remark": record.remark} if record.remark else {}),
        }
    )


def _fault_object(fault: RowError) -> dict[str, object]:
    return {
        "class": fault.kind,
        "message": fault.message,
        "committed": fault.committed,
        "status": fault.status,
        "retry_after": fault.retry_after,
    }


@json_lines.register
def _(record: Summary) -> str:
    counts = attrs.asdict(record)
    if record.unchanged is None:
        del counts["unchanged"]
    counts["seconds"], counts["rate"] = round(record.seconds, 3), round(record.rate, 3)
    return line_of({"summary": counts})


@json_lines.register
def _(record: PlanShown) -> str:
    plan = record.plan
    summary = {
        "steps": {action.value: count for action, count in plan.counts.items()},
        "withheld": sum(bool(step.withheld) for step in plan.steps),
        "writes": plan.writes,
        "problems": len(plan.problems),
        "unlisted": list(plan.unlisted),
    }
    steps = [line_of({"step": _step(step)}) for step in plan.steps]
    return "\n".join([*steps, *map(_problem_line, plan.problems), line_of({"summary": summary})])


def _step(step: Step) -> dict[str, object]:
    """Return what is done about a row, in the words of a saved plan."""
    return {**step.dump(), "writes": step.writes}


@json_lines.register
def _(record: Problems) -> str:
    return "\n".join(map(_problem_line, record.problems))


def _problem_line(problem: Problem) -> str:
    return line_of({"problem": attrs.asdict(problem)})


@json_lines.register
def _(record: Verdict) -> str:
    return line_of({"verdict": {**attrs.asdict(record), "holds": record.holds}})


@json_lines.register
def _(record: Ready) -> str:
    return line_of({"serving": attrs.asdict(record)})


@json_lines.register
def _(record: Crash) -> str:
    return line_of({"crash": attrs.asdict(record)})


@json_lines.register
def _(record: Killed) -> str:
    return line_of({"killed": attrs.asdict(record)})


@json_lines.register
def _(record: RowChange) -> str:
    change = attrs.asdict(record)
    change |= {"before": record.before.value, "after": record.after.value}
    return line_of({"change": change})


@json_lines.register
def _(record: Standing) -> str:
    head = {
        "journal": record.journal,
        "platform": record.platform,
        "settled": record.settled,
        "rows": {state.value: count for state, count in record.counts.items()},
        "bought": record.bought,
    }
    return "\n".join([line_of({"status": head}), *map(_open_row, record.rows)])


def _open_row(row: OpenRow) -> str:
    fields = attrs.asdict(row)
    fields["state"] = row.state.value
    fields["since"], fields["believable"] = _iso(row.since), _iso(row.believable)
    return line_of({"row": fields})


def _iso(at: float | None) -> str | None:
    """Return a time as UTC, such as ``2026-11-21T02:58:01Z``."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@json_lines.register
def _(record: NumberList) -> str:
    return "\n".join(map(json_lines, record.numbers))


@json_lines.register
def _(record: NumberRecord) -> str:
    fields = attrs.asdict(record)
    for name in ("platform", "side"):  # said in some lists only
        if fields[name] is None:
            del fields[name]
    return line_of(fields)


@json_lines.register
def _(record: Released) -> str:
    names = {name: text for name, text in attrs.asdict(record).items() if text is not None}
    return line_of({**names, "released": True})


@json_lines.register
def _(record: OrderPlaced) -> str:
    return line_of({"type": "order", **attrs.asdict(record)})


@json_lines.register
def _(record: SandboxReady) -> str:
    return "\n".join(line_of(attrs.asdict(entrance)) for entrance in record.entrances)


@json_lines.register
def _(record: Verification) -> str:
    return line_of(
        {
            "phone_number": record.phone_number,
            "status": record.status,
            "destination": record.destination,
            "call_id": record.call_id,
            "call_status": record.call_status,
            "termination_reason": record.termination_reason,
            "duration": record.duration,
            "remark": record.remark or None,
            "error": None if record.fault is None else _fault_object(record.fault),
        }
    )


@json_lines.register
def _(record: Verifications) -> str:
    return "\n".join(map(json_lines, record.results))


@json_lines.register
def _(record: VerificationSummary) -> str:
    return line_of({"summary": attrs.asdict(record)})

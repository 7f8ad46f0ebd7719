"""Records as JSON Lines: for programs. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

from sigmamind_async.cli.records import (
    Change,
    Crash,
    Fault,
    NumberList,
    NumberRecord,
    OpenRow,
    Record,
    Released,
    RowResult,
    SandboxReady,
    Standing,
    Summary,
    Verdict,
)


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
            "line": record.line,
            "id": record.id,
            "action": record.action or None,
            "status": record.status,
            "phone_number": record.phone_number,
            **({} if record.record_id is None else {"record_id": record.record_id}),
            "error": None if record.fault is None else _fault(record.fault),
            "attempts": record.attempts,
            "elapsed_ms": round(record.elapsed * 1000),
            "earlier": record.earlier,
        }
    )


def _fault(fault: Fault) -> dict[str, object]:
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
    counts["seconds"], counts["rate"] = round(record.seconds, 3), round(record.rate, 3)
    return line_of({"summary": counts})


@json_lines.register
def _(record: Verdict) -> str:
    return line_of({"verdict": {**attrs.asdict(record), "holds": record.holds}})


@json_lines.register
def _(record: Crash) -> str:
    return line_of({"crash": attrs.asdict(record)})


@json_lines.register
def _(record: Change) -> str:
    return line_of({"change": attrs.asdict(record)})


@json_lines.register
def _(record: Standing) -> str:
    head = {
        "journal": record.journal,
        "platform": record.platform,
        "settled": record.settled,
        "rows": dict(record.counts),
        "bought": record.bought,
    }
    return "\n".join([line_of({"status": head}), *map(_open_row, record.rows)])


def _open_row(row: OpenRow) -> str:
    fields = attrs.asdict(row)
    fields["since"], fields["believable"] = _iso(row.since), _iso(row.believable)
    return line_of({"row": fields})


def _iso(at: float | None) -> str | None:
    """Return a time as UTC, such as ``2026-11-21T02:58:01Z``."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@json_lines.register
def _(record: NumberList) -> str:
    return "\n".join(line_of(attrs.asdict(number)) for number in record.numbers)


@json_lines.register
def _(record: NumberRecord) -> str:
    return line_of(attrs.asdict(record))


@json_lines.register
def _(record: Released) -> str:
    names = {name: text for name, text in attrs.asdict(record).items() if text is not None}
    return line_of({**names, "released": True})


@json_lines.register
def _(record: SandboxReady) -> str:
    return "\n".join(line_of(attrs.asdict(entrance)) for entrance in record.entrances)

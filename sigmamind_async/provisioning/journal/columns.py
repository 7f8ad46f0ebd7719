"""A row as the columns of a table, and back.

Fields that are queried have columns of their own, and so have the times. The others are one JSON
text, so that a new field of `Row` changes no table.
"""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any, Final, TypeAlias

import attrs
import orjson

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.row import Kind, Row, State, Step

Values: TypeAlias = tuple[
    str, str, str, str, str, str, int, float, float, float, float, float, bool, int, str
]
"""One value for each of `COLUMNS`."""

COLUMNS: Final = {
    "account": str,
    "op_id": str,
    "kind": str,
    "state": str,
    "key": str,
    "token": str,
    "version": int,
    "unconfirmed_since": float,
    "lease_until": float,
    "sent_at": float,
    "listed_at": float,
    "updated_at": float,
    "tagged": bool,
    "purchase_count": int,
    "detail": str,
}
"""The columns of an operation, in their order; the first two are its key."""

_DETAIL: Final = tuple(
    field.name for field in attrs.fields(Row) if field.name not in {*COLUMNS, "history"}
)
_get_detail: Final = attrgetter(*_DETAIL)
_get_step: Final = attrgetter("at", "text")

_STDLIB_MARK: Final = " "
"""Begins a text that orjson cannot read back: it has lone surrogates or long integers."""


def to_columns(row: Row) -> Values:
    """Return *row* as a value for each of `COLUMNS`.

    Raises `JournalError` for a value without a JSON form.
    """
    detail: dict[str, Any] = dict(zip(_DETAIL, _get_detail(row), strict=True))
    detail["history"] = list(map(_get_step, row.history))
    try:
        text = orjson.dumps(detail, default=dict).decode()
    except TypeError:
        text = ""
    return (
        row.account,
        row.op_id,
        row.kind.value,
        row.state.value,
        row.key,
        row.token,
        row.version,
        row.unconfirmed_since,
        row.lease_until,
        row.sent_at,
        row.listed_at,
        row.updated_at,
        row.tagged,
        row.purchase_count,
        text or _dump_with_stdlib(row.op_id, detail),
    )


def from_columns(values: Values) -> Row:
    """Return the row that `to_columns` was given, with plain JSON in its mappings.

    Raises `JournalError` for values that `to_columns` has not written.
    """
    try:
        return _parse_row(values)
    except (ValueError, TypeError, KeyError):
        pass
    raise JournalError(
        f"the row of {values[1]!r} cannot be read: it was changed by another program.\n"
        "Restore it from a backup."
    )


def _dump_with_stdlib(op_id: str, detail: dict[str, Any]) -> str:
    # A lone surrogate in the text of an error must not keep a purchase from being written down.
    try:
        return _STDLIB_MARK + json.dumps(detail, default=dict)
    except (TypeError, ValueError):
        pass
    raise JournalError(f"{op_id!r}: a value of the request or its result has no JSON form")


def _parse_row(values: Values) -> Row:
    text = values[14]
    detail = json.loads(text) if text.startswith(_STDLIB_MARK) else orjson.loads(text)
    return Row(
        account=values[0],
        op_id=values[1],
        kind=Kind(values[2]),
        state=State(values[3]),
        key=values[4],
        token=values[5],
        version=values[6],
        unconfirmed_since=values[7],
        lease_until=values[8],
        sent_at=values[9],
        listed_at=values[10],
        updated_at=values[11],
        tagged=bool(values[12]),
        secret_fields=tuple(detail.pop("secret_fields")),
        duplicates=tuple(detail.pop("duplicates")),
        released=tuple(detail.pop("released")),
        history=tuple(Step(at, text) for at, text in detail.pop("history")),
        **detail,
    )

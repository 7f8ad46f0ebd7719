"""Events as JSON Lines, for programs."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import attrs

from sigmamind_async.cli.output.events import EVENT_TYPES, VERSION, Event


def json_line(event: Event) -> str:
    """Return an event as one line of JSON; ASCII, whatever the encoding of the output."""
    head = {"type": EVENT_TYPES[type(event)], "version": VERSION}
    return json.dumps({**head, **_fields(event)}, separators=(",", ":"))


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any attrs class
    cls = cast("type[attrs.AttrsInstance]", type(value))
    fields = (each for each in attrs.fields(cls) if each.metadata.get("json", True))
    return {field.name: _json(getattr(value, field.name)) for field in fields}


def _json(value: Any) -> Any:  # noqa: ANN401 - any value of a field, and of JSON
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping):
        mapping: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {_json(key): _json(each) for key, each in mapping.items()}
    if isinstance(value, tuple):
        items: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return [_json(each) for each in items]
    return _fields(value)

"""Functions written out field by field: one makes a record of an object, one a body of a value.

They are what a call spends its time in.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs

from sigmamind_async.convert.fields import Record, wire, wire_names
from sigmamind_async.convert.scalars import WrongTypeError, read_array, read_object, with_plus
from sigmamind_async.values import Secret

Hook = Callable[[Any], Callable[[Any, Any], Any]]
"""Gives the reader of a type."""


def filler(hook: Hook, cls: type[Record]) -> Callable[[Any, Any], Record]:
    """Return the function that makes a *cls* of an object, written out field by field.

    It writes the fields of an open twin of *cls*, same slots and not frozen, and makes it a *cls*
    in the end: a field of a frozen class is written through a descriptor, at four times the cost,
    and a loop over the fields takes a quarter longer. So a record class has neither converters nor
    validators of its own; the readers of its fields are those that *hook* gives.
    """
    known: dict[str, Any] = {
        "cls": cls,
        "new": object.__new__,
        "Open": type(cls.__name__, cls.__bases__, {"__slots__": _slots(cls), **_OPEN}),
        "ABSENT": _ABSENT,
        "refuse": read_object,
        "unknown": _unknown_fields,
        "keys": frozenset(mark.name for mark in wire_names(cls).values()),
    }
    lines = [line for name in wire_names(cls) for line in _reading(hook, cls, name, known)]
    # As many keys as fields that were found: there is no other among them.
    other = f"if len(fields) + absent != {len(known['keys'])}: extra.update(unknown(fields, keys))"
    source = "\n    ".join([*_FILL, *lines, other, *_FILLED])
    exec(source, known)  # noqa: S102 - written here from names of fields, as cattrs writes its own
    fill: Callable[[Any, Any], Record] = known["fill"]
    return fill


_ABSENT: Any = object()
_OPEN = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
_FILL = (
    "def fill(fields, _):",
    "if type(fields) is not dict: refuse(fields)",
    "record = new(Open)",
    "nulls = {}",
    "extra = {}",
    "absent = 0",
    "get = fields.get",
)
_FILLED = (
    "record.extra = extra",
    "record.nulls = nulls",
    "record.__class__ = cls",
    "return record",
)


def _reading(hook: Hook, cls: type[Record], name: str, known: dict[str, Any]) -> list[str]:
    """Return the lines that read one field; put what they need among what is *known*."""
    mark, kind = wire_names(cls)[name], typing.get_type_hints(cls)[name]
    plain, default = _plain(kind), attrs.fields_dict(cls)[name].default
    known[f"default_{name}"] = default
    known[f"other_{name}"] = _other_reader(mark, kind, hook(kind), default)
    lines = [f"value = get({mark.name!r}, ABSENT)"]
    absent = f"if value is ABSENT: record.{name} = default_{name}; absent += 1"
    other = f"else: record.{name} = other_{name}(value, nulls, extra)"
    if plain is None:
        return [*lines, absent, other]
    known[f"plain_{name}"] = plain
    test = " and value" if plain is str else ""
    if mark.phone_number:
        test += " and value[0] == '+'"
    null = f"elif value is None: record.{name} = None; nulls[{mark.name!r}] = None"
    return [
        *lines,
        f"if type(value) is plain_{name}{test}: record.{name} = value",
        *([] if mark.null_as_empty or plain is kind else [null]),
        f"el{absent}",
        other,
    ]


def _other_reader(
    mark: wire, kind: Any, read: Callable[[Any, Any], Any], default: object
) -> Callable[[Any, dict[str, Any], dict[str, Any]], object]:
    """Return the reader of whatever is not simply a value of the field's plain type."""

    def read_other(value: Any, nulls: dict[str, Any], extra: dict[str, Any]) -> object:
        if value is None or value == "":
            nulls[mark.name] = value
            if mark.null_as_empty:
                return ""
        try:
            held = read(value, kind)
        except WrongTypeError as error:
            if mark.strict or mark.null_as_empty:
                raise error.below(f".{mark.name}") from None
            extra[mark.name] = _conceal(mark.name, value)
            return default
        return with_plus(held) if mark.phone_number else held

    return read_other


def _unknown_fields(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: _conceal(key, value) for key, value in fields.items() if key not in known}


def _slots(cls: type) -> tuple[str, ...]:
    slots: tuple[str, ...] = vars(cls)["__slots__"]
    return slots


def _plain(kind: Any) -> type | None:
    """Return the plain type that *kind* is, or is beside null."""
    arms = [arm for arm in typing.get_args(kind) or (kind,) if arm is not type(None)]
    return arms[0] if len(arms) == 1 and arms[0] in (str, bool, int) else None


_CREDENTIAL = re.compile(r"pass|secret|token|credential|api.?key", re.IGNORECASE)


def _conceal(key: str, value: Any) -> Any:
    """Mask texts under a key that sounds like a credential, however deep they stand."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {inner: _conceal(f"{key}.{inner}", held) for inner, held in fields.items()}
    if isinstance(value, list):
        return [_conceal(key, held) for held in read_array(cast("object", value))]
    return Secret(value) if isinstance(value, str) and _CREDENTIAL.search(key) else value

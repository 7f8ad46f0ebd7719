"""Strict readers of plain JSON values: one of another type is an error, never turned into one.

Each takes the value and the type that is asked for, as cattrs calls its hooks.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, cast

from sigmamind_async.convert.bodies import wire
from sigmamind_async.values import Secret


class WrongTypeError(ValueError):
    """A known key holds a value of another type; `converter` turns it into words."""

    def __init__(self, expected: str, got: object) -> None:
        """Name both types and not the value, which may be a secret."""
        super().__init__(f"expected {expected}, got {_json_type(got)}")


_JSON_TYPES: dict[type[Any], str] = {
    dict: "an object",
    list: "an array",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), type(value).__name__)


def reader_of(kind: type) -> Callable[[object, object], object]:
    """Return the reader of exactly *kind*: a boolean is no number here."""
    expected = _JSON_TYPES[kind]

    def read(raw: object, _: object) -> object:
        if type(raw) is not kind:
            raise WrongTypeError(expected, raw)
        return raw

    return read


def reader_of_any(union: Any) -> Callable[[object, object], object]:
    """Return the reader of a *union* of plain types."""
    arms = typing.get_args(union)
    expected = " or ".join(dict.fromkeys(_JSON_TYPES[arm] for arm in arms))

    def read(raw: object, _: object) -> object:
        if type(raw) not in arms:
            raise WrongTypeError(expected, raw)
        return raw

    return read


def read_secret(raw: object, _: object) -> Secret:
    """Read a text as a `Secret`."""
    if type(raw) is not str:
        raise WrongTypeError("text", raw)
    return Secret(raw)


def read_number(raw: object, _: object) -> float:
    """Read a number, whole or not."""
    if type(raw) is not float and type(raw) is not int:
        raise WrongTypeError("a number", raw)
    return raw


def reader_for(mark: wire) -> Callable[[object, object], str | None] | None:
    """Return the reader that *mark* asks for, if it asks for one of its own."""
    if mark.needed:
        return lambda raw, cls: _read_digits(raw, cls) or ""
    return _read_digits if mark.digits else None


def _read_digits(raw: object, _: object) -> str | None:
    if raw is None or type(raw) is str:
        return raw
    if type(raw) is not int:
        raise WrongTypeError("text", raw)
    return str(raw)


def read_object(raw: object) -> dict[str, Any]:
    """Read an object, whatever is in it."""
    if type(raw) is not dict:
        raise WrongTypeError("an object", raw)
    return cast("dict[str, Any]", raw)


def read_array(raw: object) -> list[object]:
    """Read an array, whatever is in it."""
    if type(raw) is not list:
        raise WrongTypeError("an array", raw)
    return cast("list[object]", raw)

"""Readers of plain JSON values: another spelling of the same value is accepted, nothing is guessed.

Each takes a value and the wanted type, as cattrs calls its hooks.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from sigmamind_async.values import Secret


class WrongTypeError(ValueError):
    """A value cannot be read as the wanted type."""

    path: str = ""
    """Where the value is, relative to what was being read: ``[3].owner.age``."""

    def __init__(self, expected: str, got: object) -> None:
        # Only the type of the value: it may be a secret.
        super().__init__(f"expected {expected}, got {_json_type(got)}")

    def below(self, place: str) -> WrongTypeError:
        """Prefix the path with *place*."""
        self.path = place + self.path
        return self


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


_EXACT: Final = 1 << 53
"""Below it, no two whole numbers share a float."""


def read_text(raw: object, _: object) -> str:
    """Read a text, the digits of a whole number, or a text in MongoDB's extended JSON."""
    if type(raw) is str:
        return raw
    if type(raw) is int or (type(raw) is float and raw.is_integer() and abs(raw) < _EXACT):
        return str(int(raw))
    text = _unwrap(raw)
    if text is None:
        raise WrongTypeError("text", raw)
    return text


def _unwrap(raw: object) -> str | None:
    """Return the text in an object such as ``{"$oid": "66f0c2a4"}``."""
    fields = cast("dict[str, object]", raw) if type(raw) is dict else {}
    texts = [held for name, held in fields.items() if name.startswith("$")]
    return texts[0] if len(fields) == len(texts) == 1 and type(texts[0]) is str else None


_FLAGS: Final = {"true": True, "false": False}


def read_flag(raw: object, _: object) -> bool:
    """Read a boolean, or ``"true"`` or ``"false"``."""
    if type(raw) is bool:
        return raw
    if type(raw) is str and raw in _FLAGS:
        return _FLAGS[raw]
    raise WrongTypeError("a boolean", raw)


_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


def read_whole_number(raw: object, _: object) -> int:
    """Read a whole number, also written as ``250.0`` or ``"250"``."""
    if type(raw) is int:
        return raw
    if (type(raw) is float and raw.is_integer()) or (type(raw) is str and _WHOLE.fullmatch(raw)):
        return int(raw)
    raise WrongTypeError("a number", raw)


def read_number(raw: object, _: object) -> float:
    """Read a number, whole or not."""
    if type(raw) is not float and type(raw) is not int:
        raise WrongTypeError("a number", raw)
    return raw


def read_secret(raw: object, _: object) -> Secret:
    """Read a text as a `Secret`; anything else as the JSON of it, which may hold one."""
    return Secret(raw if type(raw) is str else json.dumps(raw))


SCALAR_READERS: Final[Mapping[type[Any], Callable[[object, object], object]]] = {
    str: read_text,
    bool: read_flag,
    int: read_whole_number,
    float: read_number,
    Secret: read_secret,
}


def scalar_union_reader(union: Any) -> Callable[[object, object], object]:
    """Return the reader of a *union* of plain types, which takes each as it is."""
    arms = typing.get_args(union)
    expected = " or ".join(dict.fromkeys(_JSON_TYPES[arm] for arm in arms))

    def read(raw: object, _: object) -> object:
        if type(raw) not in arms:
            raise WrongTypeError(expected, raw)
        return raw

    return read


_BARE_NUMBER: Final = re.compile(r"[0-9]{7,15}", re.ASCII)


def add_plus(number: object) -> object:
    """Prefix 7 to 15 bare digits with a plus; return anything else as it is."""
    return f"+{number}" if type(number) is str and _BARE_NUMBER.fullmatch(number) else number


def read_object(raw: object, _: object = None) -> dict[str, Any]:
    """Read an object, whatever it holds."""
    if type(raw) is not dict:
        raise WrongTypeError("an object", raw)
    return cast("dict[str, Any]", raw)


def read_array(raw: object) -> list[object]:
    """Read an array, whatever it holds."""
    if type(raw) is not list:
        raise WrongTypeError("an array", raw)
    return cast("list[object]", raw)

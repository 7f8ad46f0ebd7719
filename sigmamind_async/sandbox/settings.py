"""Settings that are checked: tests write them by hand, and other programs send them as JSON.

The annotation of a setting says what it may be; `Bounds` add how small and how large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from typing import get_type_hints as type_hints

import attrs


@attrs.frozen
class Bounds:
    """How small and how large a number may be."""

    lowest: float
    highest: float = math.inf
    is_open: bool = False
    """True: it must be more than the lowest."""

    def hold(self, value: float) -> bool:
        """Return whether *value* is within them."""
        above = value > self.lowest if self.is_open else value >= self.lowest
        return above and value <= self.highest

    def __str__(self) -> str:
        if self.highest < math.inf:
            return f"from {self.lowest} to {self.highest}"
        return f"{'above' if self.is_open else 'of at least'} {self.lowest}"


Count: TypeAlias = Annotated[int, Bounds(0)]
Seconds: TypeAlias = Annotated[float, Bounds(0)]


class Setting:
    """A frozen group of settings."""

    __slots__ = ()

    def __attrs_post_init__(self) -> None:
        for name in _kinds(type(self)):
            check_setting(self, name, getattr(self, name))


def check_setting(instance: object, field: str | attrs.Attribute[Any], value: object) -> None:
    """Raise `ValueError` unless *value* is what the annotation of *field* says."""
    name = field if isinstance(field, str) else field.name
    kind = _kinds(type(instance))[name]
    if not _fits(value, kind):
        raise ValueError(f"{name} must be {_words(kind)}, not {value!r:.80}")


_KINDS: Final[dict[type, Mapping[str, Any]]] = {}


def _kinds(cls: type) -> Mapping[str, Any]:
    """Return the annotations of a class, which are read once."""
    if cls not in _KINDS:
        _KINDS[cls] = type_hints(cls, include_extras=True)
    return _KINDS[cls]


def _fits(value: Any, kind: Any) -> bool:  # noqa: ANN401 - of any type, and any annotation
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(value, arguments[0]) and arguments[1].hold(value)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin in {Union, UnionType}:
        return any(_fits(value, each) for each in arguments)
    if kind in {int, float}:
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if not isinstance(value, origin or kind):
        return False
    parts: Any = value
    if origin is Mapping:
        return all(_fits(each, arguments[1]) for each in parts.values())
    if _is_pair(kind):
        return len(parts) == len(arguments) and all(map(_fits, parts, arguments))
    return origin is None or all(_fits(each, arguments[0]) for each in parts)


_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}


def _words(kind: Any) -> str:  # noqa: ANN401 - any annotation
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return f"{_words(arguments[0])} {arguments[1]}"
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin in {Union, UnionType}:
        return " or ".join(map(_words, arguments))
    if origin is Mapping:
        return f"a mapping to {_words(arguments[1])}"
    if _is_pair(kind):
        return f"a pair of {' and '.join(map(_words, arguments))}"
    if origin is not None:
        return f"a list of {_words(arguments[0])}"
    return _WORDS.get(kind) or f"a {kind.__name__}"


def _is_pair(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return get_origin(kind) is tuple and get_args(kind)[-1] is not Ellipsis

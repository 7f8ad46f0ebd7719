"""Checks of request fields, as attrs validators: what is wrong is said before anything is sent.

`UNSET` passes each of them, being "not said". `None` passes only what `or_null` allows it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import (
    E164,
    UNSET,
    Secret,
    check_country_code,
    check_id,
    check_length,
    check_phone_number,
    check_range,
)

_MASK = re.compile(r"[*\u2022\u25cf]+")
"""What stands in place of a secret: asterisks or dots."""

Validator: TypeAlias = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def said(check: Callable[[str, Any], None]) -> Validator:
    """Return the validator that applies *check*, given name and value, to what is not `UNSET`."""

    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not UNSET:
            check(field.name, value)

    return validate


def or_null(validator: Validator) -> Validator:
    """Return *validator* with ``None`` allowed: the platform documents null for the field."""

    def validate(instance: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            validator(instance, field, value)

    return validate


def text(most: int, *, least: int = 0) -> Validator:
    """Require *least* to *most* characters."""

    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        # What is right is told at once; `check_length` finds the words for what is not.
        if type(value) is str and least <= len(value) <= most:
            return
        if value is not UNSET:
            check_length(field.name, value, most, least=least)

    return validate


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequestError(field=name, rule="must be text")


any_text: Validator = said(_check_text)
"""A text of any length, where the platform states none."""


def whole_number(least: int, most: int) -> Validator:
    """Require a whole number from *least* to *most*."""
    return said(lambda name, value: check_range(name, value, least, most))


def one_of(*words: str) -> Validator:
    """Require one of *words*."""

    def check(name: str, value: object) -> None:
        if value not in words:
            choice = ", ".join(words)
            raise InvalidRequestError(f"{name}: must be one of {choice}", name, f"one of {choice}")

    return said(check)


def secret(most: int = 10_000) -> Validator:
    """Require a `Secret` of at most *most* characters; one that is not known here passes.

    A mask, as some answers show in place of a secret, is refused: sent back, it would become one.
    """

    def check(name: str, value: object) -> None:
        if not isinstance(value, Secret):
            raise InvalidRequestError(field=name, rule="must be text")
        if not value.known:
            return
        # Not `check_length`: its frame would hold the text while the error passes through.
        if len(value.reveal()) > most:
            raise InvalidRequestError(field=name, rule=f"at most {most} characters")
        if _MASK.fullmatch(value.reveal()):
            raise InvalidRequestError(field=name, rule="is a mask; give the secret itself")

    return said(check)


def record_id(most: int = 128) -> Validator:
    """Require an opaque id that stays one segment of a path."""
    return said(lambda name, value: check_id(name, value, most))


def phone_number(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Require an E.164 number with a leading plus."""
    if value is not UNSET and not (type(value) is str and E164.fullmatch(value)):
        check_phone_number(field.name, value)


country_code: Validator = said(check_country_code)


def only_what_is_said(cls: type) -> None:
    """Give *cls* an ``__init__`` that does what attrs' own does, and calls no validator for `UNSET`.

    An update says one field or two of eight. Each validator that only sees that there is nothing
    to see takes half a microsecond in a busy program, and writing a field through
    ``object.__setattr__`` instead of its slot another tenth. Classes with more than plain
    arguments keep what attrs has made.
    """
    fields = attrs.fields(cls)
    if not all(field.init and field.kw_only and _is_plain(field.default) for field in fields):
        return
    given: dict[str, Any] = {"UNSET": UNSET}
    lines = [line for field in fields for line in _setting(cls, field, given)]
    if hasattr(cls, "__attrs_post_init__"):
        lines.append("self.__attrs_post_init__()")
    arguments = ", ".join(
        field.name if field.default is attrs.NOTHING else f"{field.name}=default_{field.name}"
        for field in fields
    )
    source = "\n ".join([f"def __init__(self, *, {arguments}):", *lines])
    exec(source, given)  # noqa: S102 - written here from names of fields, as attrs writes its own
    init, own = given["__init__"], cls.__init__
    init.__annotations__, init.__qualname__ = own.__annotations__, own.__qualname__
    cls.__init__ = init  # type: ignore[misc]


def _is_plain(default: object) -> bool:
    return not isinstance(default, attrs.Factory)  # type: ignore[arg-type]


def _setting(cls: type, field: attrs.Attribute[Any], given: dict[str, Any]) -> list[str]:
    """Return the lines that convert, check and write one field; put what they need in *given*."""
    name = field.name
    given[f"default_{name}"], given[f"put_{name}"] = field.default, getattr(cls, name).__set__
    lines: list[str] = []
    if field.converter is not None:
        given[f"convert_{name}"] = field.converter
        lines.append(f"{name} = convert_{name}({name})")
    if field.validator is not None:
        given[f"check_{name}"], given[f"field_{name}"] = field.validator, field
        lines.append(f"check_{name}(self, field_{name}, {name})")
    if field.default is UNSET:
        lines = [f"if {name} is not UNSET:", *(" " + line for line in lines)] if lines else []
    return [*lines, f"put_{name}(self, {name})"]


def require_change(value: object, *keys: str) -> None:
    """Refuse an update in which nothing but its *keys* is said."""
    kind: Any = type(value)
    for name in _field_names(kind):
        if name not in keys and getattr(value, name) is not UNSET:
            return
    raise InvalidRequestError(field="update", rule="names no field to change")


@functools.cache
def _field_names(cls: Any) -> tuple[str, ...]:  # noqa: ANN401 - any attrs class
    return tuple(field.name for field in attrs.fields(cls))

"""The shape of an adapter: what those of all platforms are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, cast

import attrs

from sigmamind_async.operation import Operation
from sigmamind_async.provisioning.adapter import Intent, Value, no_change
from sigmamind_async.provisioning.fingerprint import set_fields

Intents: TypeAlias = Mapping[type[Value], Callable[[Any], Intent]]
"""What each request class asks for."""


def reader_of(intents: Intents) -> Callable[[Value], Intent]:
    """Return the `Adapter.intent` that looks a value up in *intents*, by its very class."""

    def read(value: Value) -> Intent:
        intend = intents.get(type(value))
        if intend is None:
            raise no_change(value)
        return intend(value)

    return read


def names_of(intents: Intents) -> dict[str, type[Value]]:
    """Return the `Adapter.requests` of *intents*."""
    return {cls.__name__: cls for cls in intents}


def shown_by(operation: Operation[Any], unreadable: Collection[str] = ()) -> Callable[[Any], bool]:
    """Return whether a record shows what *operation* sent, by the operation's own comparison.

    Where one of *unreadable* was said no record does: nothing proves that it was taken.
    """
    if not set_fields(cast("Value", operation.value)).keys().isdisjoint(unreadable):
        return _never
    if operation.read_back is not None:
        return operation.read_back.agrees
    differing = operation.find_ignored
    assert differing is not None  # noqa: S101 - a call that sends fields has one or the other
    return lambda found: not differing(found)


def _never(_: object) -> bool:
    return False


def written_by(value: Value, update: type[Value], key: str) -> Callable[[str], Value | None]:
    """Return the `Intent.repair` of *value*: an *update* with those of its fields that it takes.

    *key* names the field of *update* that holds the record's key.
    """
    takes: tuple[attrs.Attribute[Any], ...] = attrs.fields(update)
    names = {field.name for field in takes} - {key}
    fields = {name: held for name, held in set_fields(value).items() if name in names}

    def repair(record: str) -> Value | None:
        return update(**{key: record}, **fields) if fields else None

    return repair


def text_or_none(text: object) -> str | None:
    """Return *text* where it is one, and `None` for `UNSET`, null and an empty text."""
    return text if isinstance(text, str) and text else None

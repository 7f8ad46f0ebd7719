"""What the adapters of all platforms have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import attrs

from sigmamind_async.operation import Operation
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.fingerprint import set_fields


def confirms_request(
    operation: Operation[Any], unreadable: Collection[str] = ()
) -> Callable[[Any], bool]:
    """Return whether a record shows what *operation* sent, by the operation's own comparison.

    If it set one of the *unreadable* fields, no record does: nothing proves that it was taken.
    """
    if not set_fields(cast("Value", operation.value)).keys().isdisjoint(unreadable):
        return lambda _: False
    if operation.read_back is not None:
        return operation.read_back.agrees
    differing = operation.ignored_fields
    assert differing is not None  # noqa: S101 - a call that sends fields has one or the other
    return lambda record: not differing(record)


def repair_update(value: Value, update: type[Value], key: str) -> Callable[[str], Value | None]:
    """Return the `Intent.repair` of *value*: an *update* with those of its fields that it takes.

    *key* names the field of *update* that holds the record's key.
    """
    takes: tuple[attrs.Attribute[Any], ...] = attrs.fields(update)
    names = {field.name for field in takes} - {key}
    fields = {name: held for name, held in set_fields(value).items() if name in names}

    def repair(record: str) -> Value | None:
        return update(**{key: record}, **fields) if fields else None

    return repair

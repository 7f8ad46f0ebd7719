"""What request values and records are made of: the base class of each, and names in JSON.

The wire name stands beside each field, never computed, because vendors spell one name two ways
(SigmaMind writes ``terminationSipURI`` and, in one request, ``terminationSipUri``).
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from sigmamind_async.convert import validators

T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class wire:  # noqa: N801 - reads as an annotation: Annotated[str, wire("phoneNumber")]
    """The name of a field in JSON."""

    name: str
    phone_number: bool = False
    """Put a plus before 7 to 15 bare digits, text or integer: later calls take no number without
    it, and some answers print none."""
    needed: bool = False
    """Read null as an empty text: later calls take the field as it is. Implies `strict`."""
    strict: bool = False
    """A value that cannot be read is an error: a key, or what says how a listing goes on."""


@attrs.frozen(kw_only=True)
class RequestValue(Generic[T_co]):
    """Base of request values; *T_co* is what running one returns.

    Fields with a `wire` name form the JSON body, others do not.
    """

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        validators.only_what_is_said(cls)


@attrs.frozen(kw_only=True)
class Record:
    """Base of what a platform answers: every field optional, nothing that came in is lost.

    A field is ``None`` when its key was absent or null; one that later calls need is then empty.

    A value in another spelling is read where it can mean one thing only: 415 is the text ``"415"``,
    ``"true"`` a boolean, ``"250"`` and ``250.0`` a whole number, ``{"$oid": "66f0"}`` the text in
    it. Any other value of the wrong type leaves the field at its default and is kept in `extra`
    under its wire name, so that one odd record does not hide the others. Only a key that cannot be
    read is an error: without it no call can name the record.

    `extra` also keeps the keys this class does not know. What looks like a credential there is a
    `Secret`.
    """

    extra: Mapping[str, Any] = attrs.field(hash=False, factory=dict[str, Any], repr=False)
    """What has no place in a field, by wire names: unknown keys, and values of the wrong type."""
    blanks: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """Keys of fields that came without a value, as they came: null, or an empty text."""

    @classmethod
    def kind_of(cls, raw: Mapping[str, object]) -> type[Record]:  # noqa: ARG003 - for subclasses
        """Return the class that reads *raw*, where several kinds of record come in one place."""
        return cls


def wire_names(cls: type) -> dict[str, wire]:
    """Return the `wire` of each field of *cls* that has one, by field name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    marks = ((name, getattr(hint, "__metadata__", ())) for name, hint in hints.items())
    return {name: mark for name, metadata in marks for mark in metadata if isinstance(mark, wire)}

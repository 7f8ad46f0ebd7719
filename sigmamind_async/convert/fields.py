"""The base classes of request values and records, and the annotations of their fields.

The wire name is never computed, because vendors spell one name two ways: SigmaMind writes
``terminationSipURI`` and, in one request, ``terminationSipUri``.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async.compiled import CompiledInit, compile_init
from sigmamind_async.convert.portable import Portable, build, require_mapping
from sigmamind_async.values import UNSET, Unset

T_co = TypeVar("T_co", covariant=True)

Check: TypeAlias = Callable[[str, Any], None]
"""Raises `InvalidRequestError` if the value, its second argument, cannot be that of the field."""


@attrs.frozen
class wire:  # noqa: N801 - reads as an annotation: Annotated[str, wire("phoneNumber")]
    """The name of a field in JSON."""

    name: str
    phone_number: bool = False
    """Put a plus before 7 to 15 bare digits, text or integer: later calls take no number without
    it, and some answers print none."""
    null_as_empty: bool = False
    """Read null as an empty text: later calls take the field as it is. Implies `strict`."""
    strict: bool = False
    """A value that cannot be read is an error: a key, or what shows where a listing continues."""


@attrs.frozen(kw_only=True)
class RequestValue(Portable, Generic[T_co]):
    """Base of request values; *T_co* is what running one returns.

    Fields with a `wire` name form the JSON body, others do not. A `Check` beside the type, as in
    ``Annotated[str | None, wire("agentId"), validators.visible(64)]``, sees every value but the
    `UNSET` and the ``None`` that the type allows.
    """

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        kind: Any = cls
        # Once every name in its annotations exists.
        kind.__init__ = CompiledInit(kind, functools.partial(_checking_init, kind, kind.__init__))

    def _check_combination(self, /) -> None:
        """Refuse fields that do not go together; for subclasses."""

    @classmethod
    def _wire_names(cls) -> Mapping[str, str]:
        return {name: mark.name for name, mark in wire_names(cls).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value with *fields*, by the names of its parameters.

        A secret is a text, or a reference to one, ``env:NAME`` or ``file:PATH``, which is read only
        where a `SecretResolver` is; a `Secret` is taken as it is. Raises
        `InvalidRequestError` for a name that it does not have, or a value it cannot have.
        """
        return cast("Self", build(cls, fields))


def _checking_init(cls: Any, given: Callable[..., None]) -> Callable[..., None]:
    """Compile the ``__init__`` of a request value, in place of the one *given* by attrs.

    A loop over the fields takes 4 % of a call longer. No frame that a check's error passes through
    holds what a `Secret` was given as, as that of attrs' own ``__init__`` would.
    """
    names: dict[str, Any] = {"_UNSET": UNSET}
    lines: list[str] = []
    for name, check, exempt in _checks(cls):
        names[f"_check_{len(lines)}"] = check
        tests = (f"{name} is not {'_UNSET' if each is UNSET else each}" for each in exempt)
        lines.append(f"if {' and '.join(tests) or True}: _check_{len(lines)}({name!r}, {name})")
    base: Any = RequestValue
    if cls._check_combination is not base._check_combination:  # noqa: SLF001
        lines.append("self._check_combination()")
    return compile_init(cls, given, lines, names)


def _checks(cls: type) -> Iterator[tuple[str, Check, tuple[Unset | None, ...]]]:
    """Give the checks of a request value, each with its field and the values it does not see."""
    for name, hint in _annotations(cls):
        allowed = typing.get_args(hint.__origin__)
        exempt = (
            *(UNSET for kind in allowed if kind is Unset),
            *(None for kind in allowed if kind is types.NoneType),
        )
        for check in hint.__metadata__:
            if not isinstance(check, wire):
                yield name, check, exempt


@functools.cache
def _known_checks(cls: type) -> tuple[tuple[str, Check, tuple[Unset | None, ...]], ...]:
    # Resolving the annotations of a class takes longer than reading a row of a file.
    return tuple(_checks(cls))


def check_field(cls: type[RequestValue[Any]], field: str, value: object) -> None:
    """Raise `InvalidRequestError` if *value* alone cannot be the *field* of a *cls*."""
    for name, check, exempt in _known_checks(cast("Hashable", cls)):
        if name == field and not any(value is each for each in exempt):
            check(name, value)


@attrs.frozen(kw_only=True)
class Record(Portable):
    """Base of a platform's records: every field is optional, and nothing received is lost.

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
    nulls: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """Keys of fields that came without a value, as they came: null, or an empty text."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield the items of `to_dict`, as a pydantic model does, so that ``dict(record)`` works.

        FastAPI returns what a handler without a return type gives it in this way.
        """
        return iter(self.to_dict().items())

    @classmethod
    def select_class(cls, raw: Mapping[str, object]) -> type[Record]:  # noqa: ARG003 - for subclasses
        """Return the class that reads *raw*, where several kinds of record come in one place."""
        return cls

    @classmethod
    def _wire_names(cls) -> Mapping[str, str]:
        return {name: mark.name for name, mark in wire_names(cls).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the record of *fields*, which `to_dict` gave; a mask stays without its secret.

        Raises `InvalidRequestError` for a name that it does not have.
        """
        require_mapping("fields", fields)
        kind, given = cls.select_class(fields), dict(fields)
        key = given.pop("id", None) if "plain_id" in wire_names(kind) else None
        if key is not None:
            given["plain_id"] = key
        return cast("Self", build(kind, given))


def wire_names(cls: type) -> dict[str, wire]:
    """Return the `wire` of each field of *cls* that has one, by field name."""
    return {
        name: mark
        for name, hint in _annotations(cls)
        for mark in hint.__metadata__
        if isinstance(mark, wire)
    }


def _annotations(cls: type) -> Iterator[tuple[str, Any]]:
    """Give each field of *cls* that is ``Annotated``, with its type as it is written."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if typing.get_origin(hint) is typing.Annotated:
            yield name, hint

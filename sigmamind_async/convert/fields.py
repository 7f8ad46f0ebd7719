"""The base classes of request values and records, and the annotations of their fields.

The wire name is never computed, because vendors spell one name two ways: SigmaMind writes
``terminationSipURI`` and, in one request, ``terminationSipUri``.
"""

from __future__ import annotations

import functools
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async.values import UNSET

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
class RequestValue(Generic[T_co]):
    """Base of request values; *T_co* is what running one returns.

    Fields with a `wire` name form the JSON body, others do not. A `Check` beside the type, as in
    ``Annotated[str | None, wire("agentId"), validators.visible(64)]``, sees every value but `UNSET`
    and the ``None`` that the type allows.
    """

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        kind = cast("Any", cls)
        fill = kind.__init__
        plan: _Plan | None = None

        @functools.wraps(fill)
        def fill_and_check(self: RequestValue[T_co], **given: object) -> None:
            nonlocal plan
            try:
                fill(self, **given)
            except BaseException:
                del self  # it is half made: no crash reporter could show it
                raise
            finally:
                # A text that became a `Secret` must not be in a frame that an error passes through:
                # attrs' own validators would run while the frame of its ``__init__`` holds it.
                given.clear()
            if plan is None:  # only now does every name in the annotations exist
                plan = _plan(kind)
            read, checks = plan
            for check, value in zip(checks, read(self), strict=True):
                if value is not UNSET:
                    check(value)
            self._check_combination()

        kind.__init__ = fill_and_check

    def _check_combination(self) -> None:
        """Refuse fields that do not go together; for subclasses."""


def _checks(cls: type) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Give the checks of a request value, each with the name of its field."""
    for name, hint in _annotations(cls):
        nullable = types.NoneType in typing.get_args(hint.__origin__)
        for check in hint.__metadata__:
            if not isinstance(check, wire):
                bound = functools.partial(check, name)
                yield name, _unless_none(bound) if nullable else bound


def _unless_none(check: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda value: None if value is None else check(value)


_Plan: TypeAlias = tuple[Callable[[object], tuple[Any, ...]], list[Callable[[Any], None]]]
"""What reads the checked fields of a request value, and their checks."""


def _plan(cls: type) -> _Plan:
    names, checks = [], []
    for name, check in _checks(cls):
        names.append(name)
        checks.append(check)
    return values_of(names), checks


def values_of(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    """Return a function that reads the attributes *names*, at the price of one call."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda held: tuple(getattr(held, name) for name in names)


def check_field(cls: type[RequestValue[Any]], field: str, value: object) -> None:
    """Raise `InvalidRequestError` if *value* alone cannot be the *field* of a *cls*."""
    for name, check in _checks(cls):
        if name == field:
            check(value)


@attrs.frozen(kw_only=True)
class Record:
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

    @classmethod
    def select_class(cls, raw: Mapping[str, object]) -> type[Record]:  # noqa: ARG003 - for subclasses
        """Return the class that reads *raw*, where several kinds of record come in one place."""
        return cls


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

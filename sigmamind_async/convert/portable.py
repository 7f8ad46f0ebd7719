"""What records and request values are to other programs: dictionaries, JSON, pydantic's schemas.

No secret leaves in any of them: a `Secret` is shown as its mask, a `SecretReference` as what it
refers to. pydantic is no dependency: it asks for a schema, and is imported only then.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import Any, Final, Self, TypeVar, cast

import attrs

from sigmamind_async.errors import HintedNames, InvalidRequestError, SigmaMindError, suggest
from sigmamind_async.values import REDACTED, UNSET, Secret, SecretReference, conceal

V = TypeVar("V")
P = TypeVar("P", bound="Portable")

_MASK: Final = str(REDACTED)
_BOOKKEEPING: Final = ("extra", "nulls")
_KEYS: Final = ("underscore_id", "plain_id")
"""Two spellings of one key, which the property ``id`` unites."""


_ELSEWHERE: Final = (
    "agent_id",
    "as_dict",
    "dict",
    "friendly_name",
    "id",
    "json",
    "label",
    "model_dump",
    "model_dump_json",
    "model_extra",
    "name",
    "nickname",
    "number",
    "phone_number",
    "phone_number_id",
    "sid",
    "sip_phone_number",
)
"""What other SDKs call an attribute of a record."""


class Portable(HintedNames, names=_ELSEWHERE):
    """Base of records and request values: attrs classes whose fields have a name in JSON."""

    __slots__ = ()

    @classmethod
    def _wire_names(cls) -> Mapping[str, str]:
        """Return the name in JSON of each field that has one."""
        raise NotImplementedError

    def to_dict(self, *, wire: bool = False) -> dict[str, Any]:
        """Return what is set as JSON values, by field names; secrets are masked.

        Args:
            wire: As the platform's own object instead: its names, and for a record all that came,
                `extra` included.
        """
        if not wire:
            names = _field_names(cast("Hashable", type(self)))
            held = ((name, getattr(self, name)) for name in names)
            return {name: plain(value) for name, value in held if value is not UNSET}
        object_: dict[str, Any] = {}
        for kept in reversed(_BOOKKEEPING):
            object_ |= getattr(self, kept, {})
        fields = {field.name: field.default for field in _fields(type(self))}
        is_record = "extra" in fields
        for name, key in self._wire_names().items():
            value = getattr(self, name)
            if value is not UNSET and not (is_record and value == fields[name]):
                object_[key] = value
        return cast("dict[str, Any]", plain(object_, wire=True))

    def to_json(self, *, wire: bool = False) -> str:
        """Return `to_dict` as JSON text; *wire* means the same."""
        return json_text(self.to_dict(wire=wire))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value with *fields*, by field names, as `to_dict` gives them.

        A secret is a text, or a reference to one, ``env:NAME`` or ``file:PATH``, which is read only
        where a `SecretResolver` is; a `Secret` is taken as it is. Raises
        `InvalidRequestError` for a name that the class does not have, and for what one of its
        fields cannot be.
        """
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _: object, handler: Callable[[Any], Any]) -> Any:
        return _pydantic_schema(cls, handler)


def plain(held: object, *, wire: bool = False) -> Any:
    """Return *held* as JSON values, each secret masked."""
    if isinstance(held, Portable):
        return held.to_dict(wire=wire)
    if isinstance(held, SecretReference):
        return held.reference
    if isinstance(held, Secret):
        return _MASK
    if isinstance(held, Mapping):
        fields = cast("Mapping[object, object]", held)
        return {str(name): plain(value, wire=wire) for name, value in fields.items()}
    if isinstance(held, list | tuple | set | frozenset):
        return [plain(each, wire=wire) for each in cast("list[object]", held)]
    if held is None or isinstance(held, str | int | float):
        return held
    convert = getattr(held, "to_dict", None)
    return convert() if callable(convert) else str(held)


def json_text(held: object) -> str:
    """Return JSON values as compact text."""
    return json.dumps(held, ensure_ascii=False, separators=(",", ":"))


def json_default(held: object) -> Any:
    """Return *held* as JSON values: the ``default`` of `json.dumps` and ``orjson.dumps``.

    It takes records, request values, outcomes, errors and secrets, which it masks. msgspec writes
    classes of attrs without asking its ``enc_hook``: give it ``to_dict()``. Raises `TypeError` for
    anything else, as those functions ask.
    """
    if isinstance(held, Secret) or callable(getattr(held, "to_dict", None)):
        return plain(held)
    raise TypeError(f"{type(held).__name__} has no JSON form")


def require_mapping(name: str, value: object) -> None:
    """Raise `InvalidRequestError` unless *value* is a mapping whose keys are text."""
    if not isinstance(value, Mapping):
        rule = f"must be a mapping, not of type {type(value).__name__}"
        raise InvalidRequestError(field=name, rule=rule)
    for key in cast("Mapping[object, object]", value):
        if not isinstance(key, str):
            # `csv.DictReader` keeps the cells of a row that is longer than the header under None.
            raise InvalidRequestError(field=name, rule=f"has a key that is no text: {key!r}")


def build(cls: Any, fields: Mapping[str, Any], **kept: object) -> Any:
    """Return a *cls* with *fields*, by the names of its parameters, and those that are *kept*."""
    require_mapping("fields", fields)
    for name in fields.keys() & {*_BOOKKEEPING}:
        require_mapping(name, fields[name])
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in _fields(cls) if field.init}
    fixed = {field.name: field.default for field in _fields(cls) if not field.init}
    for name in fields:
        if name in fixed and fields[name] != fixed[name]:
            rule = f"is {fixed[name]!r} in a {cls.__name__}"
            raise InvalidRequestError(field=name, rule=rule)
        if name not in known.keys() | fixed.keys():
            names = sorted(known.keys() - {*_BOOKKEEPING})
            rule = f"is not a field of {cls.__name__}{suggest(str(name), names)}"
            raise InvalidRequestError(field=str(name), rule=rule)
    for name, field in known.items():
        if field.default is attrs.NOTHING and name not in fields:
            raise InvalidRequestError(field=name, rule="is missing")
    given = {name: _read(fields[name], hints[name]) for name in fields if name in known}
    return cls(**given, **kept)


def build_request(given: P | Mapping[str, Any], kind: type[P] | None) -> P:
    """Return *given*, or what *kind* builds of a mapping; raise `InvalidRequestError`."""
    if not isinstance(given, Mapping):
        return given
    if kind is None:
        raise InvalidRequestError(field="kind", rule="is needed where rows are mappings")
    return kind.from_dict(given)


@cache
def _secret_fields(cls: Hashable) -> frozenset[str]:
    hints = typing.get_type_hints(cls).items()
    return frozenset(
        name
        for name, hint in hints
        for kind in (typing.get_args(hint) if _is_union(hint) else (hint,))
        if isinstance(kind, type) and issubclass(kind, Secret)
    )


def hide_secrets(row: V, kinds: Iterable[type[Portable]]) -> V:
    """Return *row*; of a mapping a copy in which the secrets of such *kinds* show as a mask.

    So does whatever else sounds like a credential: its name may be misspelled, or another SDK's.
    """
    if not isinstance(row, Mapping):
        return row
    names = frozenset[str]().union(*(_secret_fields(cast("Hashable", kind)) for kind in kinds))
    hidden: dict[str, Any] = {}
    for name, value in cast("Mapping[str, Any]", row).items():
        is_text = isinstance(value, str) and value != _MASK
        hidden[name] = _secret_of(cast("str", value)) if is_text and name in names else value
        if value != _MASK:
            hidden[name] = conceal(hidden[name], str(name))
    return cast("V", hidden)


def _read(value: object, hint: Any) -> object:
    """Return *value* as a field of that type has it: a nested record, or a secret."""
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    for kind in kinds:
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is list and isinstance(value, list):
            return [_read(each, inner[0]) for each in cast("list[object]", value)]
        if not isinstance(kind, type):
            continue
        if issubclass(kind, Portable) and isinstance(value, Mapping):
            return kind.from_dict(cast("Mapping[str, Any]", value))
        if issubclass(kind, Secret) and isinstance(value, str):
            return REDACTED if value == _MASK else _secret_of(value)
    return value


def _secret_of(text: str) -> Secret:
    """Return *text* as a secret; one that `to_dict` wrote for a reference, as that again.

    Otherwise the reference itself would be sent for a password.
    """
    is_reference = text.startswith(("env:", "file:")) and text.isprintable() and text[-1] != ":"
    return SecretReference(text) if is_reference else Secret(text)


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    return tuple(attrs.fields(cast("type[attrs.AttrsInstance]", cls)))


@cache
def _field_names(cls: Hashable) -> tuple[str, ...]:
    """Return the names that `to_dict` gives, in order."""
    names = [field.name for field in _fields(cast("type", cls))]
    key = ["id"] if _KEYS[0] in names else []
    return (*key, *(name for name in names if name not in {*_BOOKKEEPING, *_KEYS}))


# --- pydantic --------------------------------------------------------------------------------


def _pydantic_schema(cls: type[Portable], handler: Callable[[Any], Any]) -> Any:
    """Return the schema of an object by field names.

    An instance is taken as it is; a mapping is built with all the checks of the class.
    """
    from pydantic_core import core_schema

    hints, fields = typing.get_type_hints(cls), {field.name: field for field in _fields(cls)}
    shape = core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(
                _field_schema(hints.get(name, str), handler),
                required=name in fields and fields[name].default is attrs.NOTHING,
            )
            for name in _field_names(cast("Hashable", cls))
        },
        extra_behavior="allow",
        cls_name=cls.__name__,
    )

    def build_checked(given: Any, check: Callable[[Any], Any]) -> Any:
        if isinstance(given, cls):
            return given
        checked: Mapping[str, Any] = check(given)
        try:
            return cls.from_dict(checked)
        except SigmaMindError as error:
            raise ValueError(str(error)) from None

    return core_schema.no_info_wrap_validator_function(
        build_checked,
        shape,
        ref=f"{cls.__module__}.{cls.__qualname__}",
        serialization=core_schema.plain_serializer_function_ser_schema(
            cls.to_dict, return_schema=shape
        ),
    )


def _field_schema(hint: Any, handler: Callable[[Any], Any]) -> Any:
    from pydantic_core import core_schema

    given = typing.get_args(hint) if _is_union(hint) else (hint,)
    kinds = [kind for kind in given if kind is not type(UNSET)]
    if any(isinstance(kind, type) and issubclass(kind, Secret) for kind in kinds):
        text = core_schema.str_schema()
        return core_schema.nullable_schema(text) if types.NoneType in kinds else text
    narrowed: Any = kinds[0]
    for kind in kinds[1:]:
        narrowed |= kind
    return handler(narrowed)

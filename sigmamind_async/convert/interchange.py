"""Records and request values in the forms of other programs: plain dictionaries, JSON, pydantic.

No secret leaves in any of them: a `Secret` is shown as its mask, a `SecretReference` as what it
refers to. pydantic is no dependency: it asks for a schema, and is imported only then.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any, Final, TypeVar, cast

import attrs

from sigmamind_async.convert.conversion import as_object, body_of, structure
from sigmamind_async.convert.fields import Record, RequestValue, wire_names
from sigmamind_async.convert.json_codec import dump_json, load_json
from sigmamind_async.errors import InvalidRequestError, SigmaMindError, suggest
from sigmamind_async.values import UNSET, Secret, SecretReference

R = TypeVar("R", bound=Record)
V = TypeVar("V", bound=RequestValue[Any])

_MASK: Final = str(Secret(""))

_BOOKKEEPING: Final = frozenset({"extra", "nulls"})
_KEYS: Final = frozenset({"underscore_id", "plain_id"})
"""Two spellings of one key, which a property unites."""


def plain(held: object) -> Any:
    """Return *held* as JSON values, each secret masked."""
    if isinstance(held, Record | RequestValue):
        return to_dict(held)
    if isinstance(held, SecretReference):
        return held.reference
    if isinstance(held, Secret):
        return _MASK
    if isinstance(held, Mapping):
        fields = cast("Mapping[object, object]", held)
        return {str(name): plain(value) for name, value in fields.items()}
    if isinstance(held, list | tuple | set | frozenset):
        return [plain(each) for each in cast("list[object]", held)]
    if held is None or isinstance(held, str | int | float):
        return held
    convert = getattr(held, "to_dict", None)
    return convert() if callable(convert) else str(held)


def to_dict(value: Record | RequestValue[Any], *, wire: bool = False) -> dict[str, Any]:
    """Return *value* as a dictionary of JSON values; see `Record.to_dict`."""
    if wire:
        raw = as_object(value) if isinstance(value, Record) else body_of(value)
        return cast("dict[str, Any]", plain(raw))
    return {
        name: plain(held)
        for name in field_names(cast("Hashable", type(value)))
        if (held := getattr(value, name)) is not UNSET
    }


@cache
def field_names(cls: Hashable) -> tuple[str, ...]:
    """Return the names that `to_dict` gives, in order."""
    names = [field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", cls))]
    names = [name for name in names if name not in _BOOKKEEPING]
    keys = [name for name in names if name in _KEYS]
    return (*(["id"] if keys else []), *(name for name in names if name not in _KEYS))


def record_from(cls: type[R], fields: Mapping[str, Any]) -> R:
    """Return the record that `to_dict` was given, or the one of a platform's own object."""
    marks = wire_names(cls)
    raw = {marks[name].name if name in marks else name: held for name, held in fields.items()}
    if "id" in fields and "plain_id" in marks:
        raw["id"] = fields["id"]
    return structure({name: held for name, held in raw.items() if held != _MASK}, cls)


def request_from(cls: type[V], fields: Mapping[str, Any]) -> V:
    """Return the request value with *fields*, by the names of its parameters.

    Raises `InvalidRequestError` for a name that it does not have, and as the value itself does.
    """
    known = {field.name for field in attrs.fields(cls) if field.init}
    for name in fields:
        if name not in known:
            hint = suggest(str(name), sorted(known))
            raise InvalidRequestError(field=str(name), rule=f"is no field of {cls.__name__}{hint}")
    make: Callable[..., V] = cls
    try:
        return make(**fields)
    except TypeError:
        missing = [
            field.name
            for field in attrs.fields(cls)
            if field.init and field.default is attrs.NOTHING and field.name not in fields
        ]
        field = missing[0] if missing else "value"
        raise InvalidRequestError(field=field, rule="is missing") from None


# --- pydantic --------------------------------------------------------------------------------


def pydantic_schema(cls: type, handler: Callable[[Any], Any]) -> Any:
    """Return pydantic's schema of a record or request value: an object by its field names.

    An instance is taken as it is; a mapping is built with all the checks of the class. What is
    written is `to_dict`.
    """
    from pydantic_core import core_schema

    fields = {
        name: core_schema.typed_dict_field(_field_schema(hint, handler), required=required)
        for name, hint, required in _typed_fields(cls)
    }
    shape = core_schema.typed_dict_schema(fields, extra_behavior="allow", cls_name=cls.__name__)

    def build(given: Any, check: Callable[[Any], Any]) -> Any:
        if isinstance(given, cls):
            return given
        checked: Mapping[str, Any] = check(given)
        try:
            if issubclass(cls, Record):
                return record_from(cls, checked)
            return request_from(cast("type[RequestValue[Any]]", cls), checked)
        except SigmaMindError as error:
            raise ValueError(str(error)) from None

    return core_schema.no_info_wrap_validator_function(
        build,
        shape,
        ref=f"{cls.__module__}.{cls.__qualname__}",
        serialization=core_schema.plain_serializer_function_ser_schema(
            to_dict, return_schema=shape
        ),
    )


def _typed_fields(cls: type) -> list[tuple[str, Any, bool]]:
    """Return name and type of each field, and whether it must be given."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in attrs.fields(cls)}
    return [
        (name, hints.get(name, str), name in fields and fields[name].default is attrs.NOTHING)
        for name in field_names(cast("Hashable", cls))
    ]


def _field_schema(hint: Any, handler: Callable[[Any], Any]) -> Any:
    from pydantic_core import core_schema

    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(UNSET)]
    if any(isinstance(kind, type) and issubclass(kind, Secret) for kind in kinds):
        text = core_schema.str_schema()
        return core_schema.nullable_schema(text) if type(None) in kinds else text
    narrowed: Any = kinds[0]
    for kind in kinds[1:]:
        narrowed |= kind
    return handler(narrowed)


def to_json(value: Record | RequestValue[Any], *, wire: bool = False) -> str:
    """Return `to_dict` as JSON text."""
    return dump_json(to_dict(value, wire=wire)).decode()


def from_json(cls: type[R], text: str | bytes) -> R:
    """Return the record in JSON *text*, by field names or the platform's own."""
    raw = load_json(text.encode() if isinstance(text, str) else text)
    if not isinstance(raw, dict):
        raise InvalidRequestError(field="text", rule="must be a JSON object")
    return record_from(cls, cast("dict[str, Any]", raw))

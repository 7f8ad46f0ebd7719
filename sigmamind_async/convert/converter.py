"""The cattrs converter, and the hook for each kind of field.

cattrs coerces by default (``None`` becomes ``"None"``, ``"no"`` becomes ``True``); here a value of
the wrong type raises `WrongTypeError`, which its field catches unless it is a key.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Collection
from typing import Any, Final

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from sigmamind_async.compiled import compile_function, open_twin
from sigmamind_async.convert.fields import Record, RequestValue, wire, wire_names
from sigmamind_async.convert.scalars import (
    SCALAR_READERS,
    WrongTypeError,
    add_plus,
    read_array,
    read_object,
    scalar_union_reader,
)
from sigmamind_async.values import UNSET, conceal

Reader = Callable[[Any, Any], Any]
"""Reads parsed JSON as a type, both given; raises `WrongTypeError` with the path of a fault."""
Writer = Callable[[Any], dict[str, Any]]


def reader(cls: Any) -> Reader:
    """Return the function that reads a *cls*."""
    return _converter().get_structure_hook(cls)


def writer(cls: Any) -> Writer:
    """Return the function that writes a *cls*, a record or a request value."""
    return _converter().get_unstructure_hook(cls)


@functools.cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind, read in SCALAR_READERS.items():
        converter.register_structure_hook(kind, read)
    for matches, factory in _READER_FACTORIES:
        converter.register_structure_hook_factory(matches, factory)
    converter.register_unstructure_hook_factory(_is_record, _record_writer)
    converter.register_unstructure_hook_factory(_is_request, _request_writer)
    return converter


# --- kinds of fields -------------------------------------------------------------------------


def _is_record(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Record)


def _is_request(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, RequestValue)


def _is_list(cls: object) -> bool:
    return typing.get_origin(cls) is list


def _is_dict(cls: object) -> bool:
    return typing.get_origin(cls) is dict


def _arms(cls: object) -> tuple[Any, ...]:
    """Return the members of a union; empty for anything else."""
    union = typing.get_origin(cls) in (typing.Union, types.UnionType)
    return typing.get_args(cls) if union else ()


def _is_optional(cls: object) -> bool:
    return len(_arms(cls)) == 2 and types.NoneType in _arms(cls)


def _is_scalar_union(cls: object) -> bool:
    """Return whether *cls* is several plain types: some amounts come as text or as a number."""
    return len(_arms(cls)) > 2 and {str, int, float, bool, types.NoneType}.issuperset(_arms(cls))


def _is_record_or_text(cls: object) -> bool:
    """Return whether *cls* is a record or a text: vendors replaced one by the other."""
    return str in _arms(cls) and any(map(_is_record, _arms(cls)))


# --- readers ---------------------------------------------------------------------------------


def _optional_reader(cls: Any, converter: Converter) -> Reader:
    inner = next(arm for arm in _arms(cls) if arm is not types.NoneType)
    read = converter.get_structure_hook(inner)
    return lambda raw, _: None if raw is None else read(raw, inner)


def _list_reader(cls: Any, converter: Converter) -> Reader:
    (item,) = typing.get_args(cls)
    read = converter.get_structure_hook(item)

    def read_list(raw: object, _: object) -> list[Any]:
        entries = read_array(raw)
        try:
            return [read(entry, item) for entry in entries]
        except WrongTypeError:
            # Only a list with a fault pays for finding its place.
            return [read_at(index, entry) for index, entry in enumerate(entries)]

    def read_at(index: int, entry: object) -> Any:
        try:
            return read(entry, item)
        except WrongTypeError as error:
            raise error.below(f"[{index}]") from None

    return read_list


def _dict_reader(_: Any) -> Reader:
    return read_object


def _record_or_text_reader(cls: Any, converter: Converter) -> Reader:
    record = next(filter(_is_record, _arms(cls)))
    read = converter.get_structure_hook(record)
    return lambda raw, _: raw if raw is None or type(raw) is str else read(raw, record)


def _record_reader(cls: type[Record], converter: Converter) -> Reader:
    read = _compile_reader(cls, converter.get_structure_hook)

    def select_and_read(raw: object, _: object) -> Record:
        selected = cls.select_class(read_object(raw))
        return read(raw, cls) if selected is cls else converter.structure(raw, selected)

    selects = any("select_class" in vars(base) for base in cls.__mro__ if base is not Record)
    return select_and_read if selects else read


_READER_FACTORIES: Final[tuple[tuple[Callable[[Any], bool], Callable[..., Reader]], ...]] = (
    (_is_optional, _optional_reader),
    (_is_scalar_union, scalar_union_reader),
    (_is_list, _list_reader),
    (_is_dict, _dict_reader),
    (_is_record_or_text, _record_or_text_reader),
    (_is_record, _record_reader),
)
"""A reader for each kind of field; of several that match, the last is used."""


# --- one record ------------------------------------------------------------------------------


def _compile_reader(cls: type[Record], hook_of: Callable[[Any], Reader]) -> Reader:
    """Return the function that makes a *cls* of an object, compiled from one line per case.

    A loop over the fields takes 2.0 us for a record of SigmaMind's, this 0.7. A record class has
    neither converters nor validators.
    """
    names = wire_names(cls)
    scope: dict[str, Any] = {
        "cls": cls,
        "new": object.__new__,
        "Open": open_twin(cls),
        "ABSENT": object(),
        "refuse": read_object,
        "unknown": unknown_fields,
        "keys": frozenset(mark.name for mark in names.values()),
    }
    lines = [line for name in names for line in _lines_of_field(cls, name, hook_of, scope)]
    body = [
        "if type(fields) is not dict: refuse(fields)",
        "record = new(Open)",
        "nulls = {}",
        "extra = {}",
        "absent = 0",
        "get = fields.get",
        *lines,
        # As many keys as fields that were found: there is no other among them.
        f"if len(fields) + absent != {len(names)}: extra.update(unknown(fields, keys))",
        "record.extra = extra",
        "record.nulls = nulls",
        "record.__class__ = cls",
        "return record",
    ]
    return compile_function("read(fields, _)", body, scope)


def _lines_of_field(
    cls: type[Record], name: str, hook_of: Callable[[Any], Reader], scope: dict[str, Any]
) -> list[str]:
    """Return the lines that read one field; put what they need into *scope*."""
    mark, kind = wire_names(cls)[name], typing.get_type_hints(cls)[name]
    plain, default = _plain_type(kind), attrs.fields_dict(cls)[name].default
    scope[f"default_{name}"] = default
    scope[f"other_{name}"] = other_reader(mark, kind, hook_of(kind), default)
    value = f"value = get({mark.name!r}, ABSENT)"
    absent = f"if value is ABSENT: record.{name} = default_{name}; absent += 1"
    other = f"else: record.{name} = other_{name}(value, nulls, extra)"
    if plain is None:
        return [value, absent, other]
    scope[f"plain_{name}"] = plain
    test = f"type(value) is plain_{name}"
    test += " and value" if plain is str else ""
    test += " and value[0] == '+'" if mark.phone_number else ""
    null = f"elif value is None: record.{name} = None; nulls[{mark.name!r}] = None"
    nullable = not mark.null_as_empty and plain is not kind
    found = f"if {test}: record.{name} = value"
    return [value, found, *([null] if nullable else []), f"el{absent}", other]


def _plain_type(kind: Any) -> type | None:
    """Return the plain type that *kind* is, or is beside null."""
    arms = [arm for arm in _arms(kind) or (kind,) if arm is not types.NoneType]
    return arms[0] if len(arms) == 1 and arms[0] in (str, bool, int) else None


def other_reader(
    mark: wire, kind: Any, read: Reader, default: object
) -> Callable[[Any, dict[str, Any], dict[str, Any]], object]:
    """Return the reader of any value a field may have; plain ones are read without it."""

    def read_other(value: Any, nulls: dict[str, Any], extra: dict[str, Any]) -> object:
        if value is None or value == "":
            nulls[mark.name] = value
            if mark.null_as_empty:
                return ""
        try:
            held = read(value, kind)
        except WrongTypeError as error:
            if mark.strict or mark.null_as_empty:
                raise error.below(f".{mark.name}") from None
            extra[mark.name] = conceal(value, mark.name)
            return default
        return add_plus(held) if mark.phone_number else held

    return read_other


def unknown_fields(fields: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the *fields* that are not among the *known* keys, credentials masked."""
    return {key: conceal(value, key) for key, value in fields.items() if key not in known}


# --- writers ---------------------------------------------------------------------------------


def _record_writer(cls: type[Record], converter: Converter) -> Writer:
    overrides: dict[str, Any] = dict.fromkeys(("extra", "nulls"), override(omit=True))
    overrides |= {field: override(rename=mark.name) for field, mark in wire_names(cls).items()}
    write = make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)
    # Fields last: a value that was set later wins over the one in the answer.
    return lambda record: {**record.nulls, **record.extra, **write(record)}


def _request_writer(cls: type[RequestValue[object]]) -> Writer:
    """Return the function that writes a body; it passes the values on unchanged.

    A default other than `UNSET`, such as the provider of a variant, is sent.
    """
    # A loop would call a function for each field, of all that a call calls 2 %.
    lines = [
        f"if value.{field} is not UNSET: body[{mark.name!r}] = value.{field}"
        for field, mark in wire_names(cls).items()
    ]
    return compile_function("write(value)", ["body = {}", *lines, "return body"], {"UNSET": UNSET})

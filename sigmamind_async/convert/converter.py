"""The cattrs converter behind `conversion`, which imports it with the first body.

cattrs coerces by default (``None`` becomes ``"None"``, ``"no"`` becomes ``True``); here a value of
the wrong type raises `WrongTypeError`, which the field that holds it takes or passes on.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from sigmamind_async.convert.compiled import filler
from sigmamind_async.convert.fields import Record, RequestValue, wire, wire_names
from sigmamind_async.convert.scalars import (
    PLAIN_READERS,
    WrongTypeError,
    read_array,
    read_object,
    reader_of_any,
)
from sigmamind_async.values import UNSET


def reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the function that reads a *cls*; raises `WrongTypeError` with the path of a fault."""
    return _converter().get_structure_hook(cls)


def writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the function that writes a *cls*, a record or a request value."""
    return _converter().get_unstructure_hook(cls)


@functools.cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind, read in PLAIN_READERS.items():
        converter.register_structure_hook(kind, read)
    converter.register_structure_hook_factory(
        _is_optional, functools.partial(_optional_hook, converter)
    )
    converter.register_structure_hook_factory(_is_scalar_union, reader_of_any)
    converter.register_structure_hook_factory(_is_list, functools.partial(_list_hook, converter))
    converter.register_structure_hook_factory(_is_dict, _object_hook)
    converter.register_structure_hook_factory(
        _is_record_or_text, functools.partial(_record_or_text_hook, converter)
    )
    converter.register_structure_hook_factory(
        _is_record, functools.partial(_record_reader, converter)
    )
    converter.register_unstructure_hook_factory(
        _is_record, functools.partial(_record_writer, converter)
    )
    converter.register_unstructure_hook_factory(_is_request, _request_writer)
    return converter


def _is_record(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Record)


def _is_request(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, RequestValue)


def _is_list(cls: object) -> bool:
    return typing.get_origin(cls) is list


def _is_dict(cls: object) -> bool:
    return typing.get_origin(cls) is dict


def _is_optional(cls: object) -> bool:
    arms = typing.get_args(cls)
    return _is_union(cls) and len(arms) == 2 and type(None) in arms


def _is_union(cls: object) -> bool:
    return typing.get_origin(cls) in (typing.Union, types.UnionType)


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _is_scalar_union(cls: object) -> bool:
    """Whether *cls* is several plain types: some amounts come as a text or as a number."""
    arms = typing.get_args(cls)
    return _is_union(cls) and len(arms) > 2 and _SCALARS.issuperset(arms)


def _is_record_or_text(cls: object) -> bool:
    """Whether *cls* is a record or a text (or null): vendors replaced one by the other."""
    arms = typing.get_args(cls)
    return _is_union(cls) and str in arms and any(map(_is_record, arms))


def _optional_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    """Read null, or the one other type."""
    inner = next(arm for arm in typing.get_args(cls) if arm is not type(None))
    read = converter.get_structure_hook(inner)

    def read_optional(raw: object, _: object) -> object:
        return None if raw is None else read(raw, inner)

    return read_optional


def _object_hook(_: Any) -> Callable[[object, object], dict[str, Any]]:
    return lambda raw, _: read_object(raw)


def _list_hook(converter: Converter, cls: Any) -> Callable[[object, object], list[Any]]:
    (item,) = typing.get_args(cls)
    read = converter.get_structure_hook(item)

    def read_list(raw: object, _: object) -> list[Any]:
        entries = read_array(raw)
        try:
            return [read(entry, item) for entry in entries]
        except WrongTypeError:
            pass
        return [read_at(index, entry) for index, entry in enumerate(entries)]

    def read_at(index: int, entry: object) -> Any:
        try:
            return read(entry, item)
        except WrongTypeError as error:
            raise error.below(f"[{index}]") from None

    return read_list


def _record_or_text_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    record = next(filter(_is_record, typing.get_args(cls)))

    def read(raw: object, _: object) -> object:
        if raw is None or type(raw) is str:
            return raw
        return converter.structure(raw, record)

    return read


def _record_reader(converter: Converter, cls: type[Record]) -> Callable[[object, object], Record]:
    read = filler(converter.get_structure_hook, cls)

    def read_one_kind(raw: object, _: object) -> Record:
        fields = read_object(raw)
        kind = cls.select_class(fields)
        return read(fields, cls) if kind is cls else converter.structure(raw, kind)

    return read_one_kind if _chooses(cls) else read


def _chooses(cls: type[Record]) -> bool:
    """Whether *cls* has subclasses that read some of the objects that come in its place."""
    return any("select_class" in vars(base) for base in cls.__mro__ if base is not Record)


def _record_writer(converter: Converter, cls: type[Record]) -> Callable[[Any], dict[str, Any]]:
    write = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **_renames(wire_names(cls)), **_HIDDEN
    )

    def write_record(record: Record) -> dict[str, Any]:
        # The fields last: one that was set since wins over what came in its place.
        return {**record.nulls, **record.extra, **write(record)}

    return write_record


def _request_writer(cls: type[RequestValue[object]]) -> Callable[[Any], dict[str, Any]]:
    """Return the function that writes a body; what is in a value goes through as it is.

    A default other than `UNSET`, such as the constant word of a variant, is sent.
    """
    names = [(field, mark.name) for field, mark in wire_names(cls).items()]

    def write(value: object) -> dict[str, Any]:
        return {name: held for field, name in names if (held := getattr(value, field)) is not UNSET}

    return write


_HIDDEN: dict[str, Any] = {"extra": override(omit=True), "nulls": override(omit=True)}


def _renames(names: Mapping[str, wire]) -> dict[str, Any]:
    return {field: override(rename=mark.name) for field, mark in names.items()}

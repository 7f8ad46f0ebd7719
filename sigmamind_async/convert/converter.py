"""The strict cattrs converter behind `conversion`, which imports it with the first body.

cattrs coerces by default (``None`` becomes ``"None"``, ``"no"`` becomes ``True``); here a known key
of the wrong type is an error. Reading is done by a fast converter. When it fails, a second, slower
one reads the same object again only to say where the fault is.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from sigmamind_async.convert.bodies import Record, RequestValue, wire, wire_names
from sigmamind_async.convert.filler import filler, request_writer
from sigmamind_async.convert.scalars import (
    WrongTypeError,
    read_array,
    read_number,
    read_object,
    read_secret,
    reader_for,
    reader_of,
    reader_of_any,
)
from sigmamind_async.values import Secret


def reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the function that reads a *cls*, and does not say where a fault is."""
    return _fast().get_structure_hook(cls)


def writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the function that writes a *cls*, a record or a request value."""
    return _fast().get_unstructure_hook(cls)


def first_fault(raw: object, cls: type) -> tuple[str, str]:
    """Read *raw* as *cls* once more; return the path of the first fault, and what it is."""
    try:
        _detailed().structure(raw, cls)
    except Exception as error:  # noqa: BLE001 - turned into words; nothing of it is kept
        return _in_words(error)
    return "", "cannot be read"


@functools.cache
def _fast() -> Converter:
    return _strict(Converter(detailed_validation=False))


@functools.cache
def _detailed() -> Converter:
    return _strict(Converter(detailed_validation=True))


def _strict(converter: Converter) -> Converter:
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, reader_of(kind))
    converter.register_structure_hook(float, read_number)
    converter.register_structure_hook(Secret, read_secret)
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
    converter.register_unstructure_hook_factory(_is_request, request_writer)
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


def _in_words(error: BaseException) -> tuple[str, str]:
    """Follow the first failure of a cattrs error group down to its path and its cause."""
    path = ""
    while isinstance(error, (ClassValidationError, IterableValidationError)):
        names = wire_names(error.cl) if isinstance(error, ClassValidationError) else {}
        error = error.exceptions[0]
        for note in getattr(error, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                path += "." + (names[note.name].name if note.name in names else note.name)
            elif isinstance(note, IterableValidationNote):
                path += f"[{note.index}]"
    problem = str(error) if isinstance(error, WrongTypeError) else "cannot be read"
    return path, problem


def _optional_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    """Read null, or the one other type; plain types in one step, there are many of them."""
    inner = next(arm for arm in typing.get_args(cls) if arm is not type(None))
    read = converter.get_structure_hook(inner)

    def read_plain(raw: object, _: object) -> object:
        return raw if raw is None or type(raw) is inner else read(raw, inner)

    def read_any(raw: object, _: object) -> object:
        return None if raw is None else read(raw, inner)

    return read_plain if inner in (str, bool, int) else read_any


def _object_hook(_: Any) -> Callable[[object, object], dict[str, Any]]:
    return lambda raw, _: read_object(raw)


def _list_hook(converter: Converter, cls: Any) -> Callable[[object, object], list[Any]]:
    (item,) = typing.get_args(cls)
    read = converter.get_structure_hook(item)

    def read_list(raw: object, _: object) -> list[Any]:
        return [read(entry, item) for entry in read_array(raw)]

    def read_list_with_path(raw: object, _: object) -> list[Any]:
        for index, entry in enumerate(read_array(raw)):
            try:
                read(entry, item)
            except Exception as error:  # noqa: BLE001 - only passed on, with its place
                error.add_note(IterableValidationNote("", index, cls))
                raise IterableValidationError("", [error], cls) from None  # pyright: ignore[reportCallIssue]  # typed as a plain group
        return read_list(raw, _)

    return read_list_with_path if converter.detailed_validation else read_list


def _record_or_text_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    record = next(filter(_is_record, typing.get_args(cls)))

    def read(raw: object, _: object) -> object:
        if raw is None or type(raw) is str:
            return raw
        return converter.structure(raw, record)

    return read


def _record_reader(converter: Converter, cls: type[Record]) -> Callable[[object, object], Record]:
    fast = not converter.detailed_validation
    read: Callable[[Any, Any], Any] = (
        filler(converter.get_structure_hook, cls)
        if fast
        else make_dict_structure_fn(cls, converter, **_renames(wire_names(cls)), **_HIDDEN)
    )

    def read_one_kind(raw: object, _: object) -> Record:
        fields = read_object(raw)
        kind = cls.kind_of(fields)
        return read(fields, cls) if kind is cls else converter.structure(raw, kind)

    return read if fast and not _chooses(cls) else read_one_kind


def _chooses(cls: type[Record]) -> bool:
    """Whether *cls* has subclasses that read some of the objects that come in its place."""
    return any("kind_of" in vars(base) for base in cls.__mro__ if base is not Record)


def _record_writer(converter: Converter, cls: type[Record]) -> Callable[[Any], dict[str, Any]]:
    write = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **_renames(wire_names(cls)), **_HIDDEN
    )

    def write_record(record: Record) -> dict[str, Any]:
        return {**record.blanks, **write(record), **record.extra}

    return write_record


_HIDDEN: dict[str, Any] = {"extra": override(omit=True), "blanks": override(omit=True)}


def _renames(names: Mapping[str, wire]) -> dict[str, Any]:
    return {
        field: override(rename=mark.name, struct_hook=reader_for(mark))
        for field, mark in names.items()
    }

"""Bytes to records, and request values to bytes.

The converter is imported with the first body that is read or written: with cattrs it would take a
fifth of the time that a first client takes above aiohttp's import.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sigmamind_async.convert.fields import Record, RequestValue
from sigmamind_async.convert.json_codec import load_json
from sigmamind_async.convert.scalars import WrongTypeError
from sigmamind_async.errors import APIConnectionError, ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.values import Secret

T = TypeVar("T")
R = TypeVar("R", bound=Record)


def body_of(value: RequestValue[object]) -> dict[str, Any]:
    """Return the JSON body of *value* by wire names, without what is `UNSET`.

    A `Secret` stays a `Secret`: it is revealed by `dump_json`, as the bytes are written.
    """
    kind: Any = type(value)
    body: dict[str, Any] = _writer(kind)(value)
    return body


def dump_record(record: Record) -> dict[str, Any]:
    """Return *record* as the JSON object it was read from; secrets are revealed.

    A value that was read from another spelling is written as it was read: ``+14155550100`` for
    14155550100.
    """
    return cast("dict[str, Any]", _revealed(as_object(record)))


def _revealed(held: object) -> object:
    """Return parsed JSON with the text of each `Secret` in its place."""
    if isinstance(held, dict):
        fields = cast("dict[str, object]", held)
        return {name: _revealed(value) for name, value in fields.items()}
    if isinstance(held, list):
        return [_revealed(value) for value in cast("list[object]", held)]
    return held.reveal() if isinstance(held, Secret) else held


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; what was taken for a secret stays one."""
    kind: Any = type(record)
    return _writer(kind)(record)


def told_by(record: Record) -> set[str]:
    """Return the wire names of the fields that *record* tells about, null included.

    Keys without a field, and values that could not be read, are not among them.
    """
    return as_object(record).keys() - record.extra.keys()


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*.

    Raises `ResponseDecodeError` that names the place; *at* is the path that leads to *raw*.
    """
    kind: Any = cls
    try:
        return cast("T", _reader(kind)(raw, kind))
    except WrongTypeError as error:
        path, problem = (at + error.path).removeprefix("."), str(error)
    except Exception:  # noqa: BLE001 - turned into words; nothing of it is kept
        path, problem = at, "cannot be read"
    unreadable = ResponseDecodeError(f"{path or 'the answer'}: {problem}")
    unreadable.path = path
    raise unreadable


def structure_list(raw: object, cls: type[T], *, at: str = "") -> list[T]:
    """Read a parsed array of *cls*, like `structure`."""
    return structure(raw, list[cls], at=at)  # type: ignore[valid-type]


def record_decoder(cls: type[R]) -> Callable[[Response], R]:
    """Return the function that reads an answer holding one *cls*."""

    def decode(response: Response) -> R:
        return structure(load_json(response.body), cls)

    return decode


@functools.cache
def _reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the hook that reads a *cls*."""
    with importing():
        from sigmamind_async.convert.converter import reader

    return reader(cls)


@functools.cache
def _writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the hook that writes a *cls*."""
    with importing():
        from sigmamind_async.convert.converter import writer

    return writer(cls)


@contextmanager
def importing() -> Generator[None, None, None]:
    """Make an `APIConnectionError` of a module that cannot be read when it is first needed.

    A process without a free descriptor has none for a connection either.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        # A C library that cannot be opened is an ImportError, and only its text says why.
        code = error.errno if isinstance(error, OSError) else errno.EMFILE
        if code is None or (isinstance(error, ImportError) and os.strerror(code) not in str(error)):
            raise
    else:
        return
    reason = os.strerror(code)
    unloaded = APIConnectionError(f"no file can be opened ({reason}); nothing was sent")
    unloaded.__cause__ = OSError(code, reason)
    raise unloaded

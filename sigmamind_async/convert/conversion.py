"""Answers to records, and request values to bodies.

The converter is imported with the first body: cattrs would add a fifth to what importing a client
costs on top of aiohttp.
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
    """Return the JSON body of *value* by wire names, without the fields that are `UNSET`.

    A `Secret` stays one until `dump_json` writes the bytes.
    """
    kind: Any = type(value)
    return _writer(kind)(value)


def dump_record(record: Record) -> dict[str, Any]:
    """Return *record* as the JSON object it was read from, secrets revealed.

    A value in another spelling comes back as it was understood: ``+14155550100`` for 14155550100.
    """
    return cast("dict[str, Any]", _reveal_secrets(as_object(record)))


def _reveal_secrets(held: object) -> object:
    """Return parsed JSON with the text of each `Secret` in its place."""
    if isinstance(held, dict):
        fields = cast("dict[str, object]", held)
        return {name: _reveal_secrets(value) for name, value in fields.items()}
    if isinstance(held, list):
        return [_reveal_secrets(value) for value in cast("list[object]", held)]
    return held.reveal() if isinstance(held, Secret) else held


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; a `Secret` stays one."""
    kind: Any = type(record)
    return _writer(kind)(record)


def present_keys(record: Record) -> set[str]:
    """Return the wire names of the fields that were in the answer, null included.

    Keys without a field, and values that could not be read, are left out.
    """
    return as_object(record).keys() - record.extra.keys()


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*; *at* is the path that leads to *raw*.

    Raises `ResponseDecodeError` with the path of the fault.
    """
    kind: Any = cls
    try:
        record: T = _reader(kind)(raw, kind)
    except WrongTypeError as error:
        path, problem = (at + error.path).removeprefix("."), str(error)
    except Exception:  # noqa: BLE001 - nothing of it may reach the caller
        path, problem = at, "cannot be read"
    else:
        return record
    unreadable = ResponseDecodeError(f"{path or 'the answer'}: {problem}")
    unreadable.path = path
    raise unreadable


def structure_list(raw: object, cls: type[T], *, at: str = "") -> list[T]:
    """Read a parsed array of *cls* as `structure` does."""
    return structure(raw, list[cls], at=at)  # type: ignore[valid-type]


def record_decoder(cls: type[R]) -> Callable[[Response], R]:
    """Return the function that reads an answer that is one *cls*."""
    return lambda response: structure(load_json(response.body), cls)


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
    """Turn the lack of a file descriptor to read a module with into an `APIConnectionError`.

    A process without one cannot connect either.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        # A C library that cannot be opened is an ImportError; only its text gives the reason.
        code = error.errno if isinstance(error, OSError) else errno.EMFILE
        if code is None or (isinstance(error, ImportError) and os.strerror(code) not in str(error)):
            raise
    else:
        return
    reason = os.strerror(code)
    unloaded = APIConnectionError(f"no file can be opened ({reason}); nothing was sent")
    unloaded.__cause__ = OSError(code, reason)
    raise unloaded

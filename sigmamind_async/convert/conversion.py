"""Bytes to records, and request values to bytes.

The converter is imported with the first body that is read or written: with cattrs it would take a
fifth of the time that a first client takes above aiohttp's import.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from sigmamind_async.convert import codec
from sigmamind_async.convert.fields import Record, RequestValue
from sigmamind_async.convert.scalars import WrongTypeError
from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
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
    import msgspec

    raw: dict[str, Any] = msgspec.to_builtins(as_object(record), enc_hook=_reveal)
    return raw


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; what was taken for a secret stays one."""
    kind: Any = type(record)
    return _writer(kind)(record)


def told_by(record: Record) -> set[str]:
    """Return the wire names of the fields that *record* tells about, null included.

    Keys without a field, and values that could not be read, are not among them.
    """
    return as_object(record).keys() - record.extra.keys()


def dump_json(body: object) -> bytes:
    """Encode a body as UTF-8 JSON, revealing its secrets.

    Raises `InvalidRequestError` for what has no JSON form, a redacted secret for instance.
    """
    try:
        return codec.dumps(body, default=_reveal)
    except TypeError as error:
        problem = str(error.__cause__ or error)
    raise InvalidRequestError(f"the body cannot be written: {problem}", "body", "JSON values")


def parse_json(body: bytes) -> object:
    """Parse UTF-8 JSON; raise `ValueError` for anything else, `RecursionError` for deep nesting.

    A damaged text is read with U+FFFD in place of what is damaged: half a surrogate pair, or broken
    UTF-8, in one label would make a whole page unreadable. Control characters may stand unescaped
    in a text, and a byte order mark in front of the body.
    """
    try:
        return codec.parse(body)
    except ValueError:
        pass
    read = json.loads(
        body.decode("utf-8-sig", errors="replace"), strict=False, parse_constant=_refuse
    )
    # Which escapes are halves of pairs is known once they are read.
    text = _HALVES.sub("\N{REPLACEMENT CHARACTER}", json.dumps(read, ensure_ascii=False))
    return codec.parse(text.encode())


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_HALVES: Final = re.compile("[\ud800-\udfff]")


def load_json(body: bytes) -> object:
    """Parse UTF-8 JSON, as `parse_json` does; raise `ResponseDecodeError` for anything else.

    Refused are an empty body, NaN and infinities, and nesting deeper than the interpreter's
    recursion limit. Of duplicate keys the last one counts.
    """
    try:
        return parse_json(body)
    except (ValueError, RecursionError):
        problem = "the answer is empty" if not body.strip() else "the answer is not JSON"
    raise ResponseDecodeError(problem)


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*.

    Raises `ResponseDecodeError` that names the place; *at* is the path that leads to *raw*.
    """
    try:
        return cast("T", _reader(cls)(raw, cls))
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
        # `load_json` and `structure`, without three calls in an answer that is as it should be.
        try:
            read = _READERS.get(cls) or _reader(cls)
            record: R = read(codec.parse(response.body), cls)
        except Exception:  # noqa: BLE001, S110 - they find out what it was
            pass
        else:
            return record
        return structure(load_json(response.body), cls)

    return decode


_READERS: dict[Any, Callable[[Any, Any], Any]] = {}


def _reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the fast hook of *cls*: looked up once, not for every answer."""
    read = _READERS.get(cls)
    if read is None:
        with codec.loading():
            from sigmamind_async.convert.cattrs_setup import reader

        read = _READERS[cls] = reader(cls)
    return read


@functools.cache
def _writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the hook that writes a *cls*: looked up once, not for every request."""
    with codec.loading():
        from sigmamind_async.convert.cattrs_setup import writer

    return writer(cls)


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no JSON form")

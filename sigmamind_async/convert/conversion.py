"""Bytes to records, and request values to bytes.

The converter is imported with the first body that is read or written: with cattrs it would take a
fifth of the time that a first client takes above aiohttp's import.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sigmamind_async.convert import codec
from sigmamind_async.convert.bodies import Record, RequestValue
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
    """Return *record* as the JSON object it was read from; secrets are revealed."""
    import msgspec

    raw: dict[str, Any] = msgspec.to_builtins(as_object(record), enc_hook=_reveal)
    return raw


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; what was taken for a secret stays one."""
    kind: Any = type(record)
    return _writer(kind)(record)


def dump_json(body: object) -> bytes:
    """Encode a body as UTF-8 JSON, revealing its secrets.

    Raises `InvalidRequestError` for what has no JSON form, a redacted secret for instance.
    """
    try:
        return codec.dumps(body, default=_reveal)
    except TypeError as error:
        problem = str(error.__cause__ or error)
    raise InvalidRequestError(f"the body cannot be written: {problem}", "body", "JSON values")


def load_json(body: bytes) -> object:
    """Parse UTF-8 JSON; raise `ResponseDecodeError` for anything else.

    Refused are an empty body, NaN and infinities, a byte order mark, broken UTF-8 and nesting
    deeper than the interpreter's recursion limit. Of duplicate keys the last one counts.
    """
    try:
        parsed: object = codec.parse(body)
    except (ValueError, RecursionError):
        problem = "the answer is empty" if not body.strip() else "the answer is not JSON"
    else:
        return parsed
    raise ResponseDecodeError(problem)


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*.

    Raises `ResponseDecodeError` that names the place; *at* is the path that leads to *raw*.
    """
    try:
        return cast("T", _reader(cls)(raw, cls))
    except Exception:  # noqa: BLE001, S110 - whatever it was, `_explain` finds it, with its path
        pass
    raise _explain(raw, cls, at)


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


def _explain(raw: object, cls: type, at: str) -> ResponseDecodeError:
    with codec.loading():
        from sigmamind_async.convert.converter import first_fault

    path, problem = first_fault(raw, cls)
    path = (at + path).removeprefix(".")
    explained = ResponseDecodeError(f"{path or 'the answer'}: {problem}")
    explained.path = path
    return explained


_READERS: dict[Any, Callable[[Any, Any], Any]] = {}


def _reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the fast hook of *cls*: looked up once, not for every answer."""
    read = _READERS.get(cls)
    if read is None:
        with codec.loading():
            from sigmamind_async.convert.converter import reader

        read = _READERS[cls] = reader(cls)
    return read


@functools.cache
def _writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the hook that writes a *cls*: looked up once, not for every request."""
    with codec.loading():
        from sigmamind_async.convert.converter import writer

    return writer(cls)


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no JSON form")

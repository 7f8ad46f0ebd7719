"""JSON as text: msgspec reads it, orjson writes it; the standard library reads damaged text.

Both libraries are imported with the first body, which saves a first client a tenth of its import.
Both at once: what reads an answer must be there before a purchase is sent.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from sigmamind_async.errors import APIConnectionError, InvalidRequestError, ResponseDecodeError
from sigmamind_async.values import Secret


def dump_json(body: object) -> bytes:
    """Encode a body as UTF-8 JSON, revealing its secrets.

    Raises `InvalidRequestError` for what has no JSON form, such as a redacted secret.
    """
    try:
        return _dump(body, default=reveal)
    except TypeError as error:
        problem = str(error.__cause__ or error)
    raise InvalidRequestError(f"the body cannot be written: {problem}", "body", "JSON values")


def reveal(value: object) -> str:
    """Return the text of a `Secret`; raise `TypeError` for anything else, as orjson asks."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def load_json(body: bytes) -> object:
    """Parse an answer as `parse_json` does; raise `ResponseDecodeError` for what is not JSON."""
    try:
        # Not by `parse_json`: of all that a call calls, each function is a quarter of a percent.
        try:
            return _parse(body)
        except ValueError:
            pass
        return _parse_damaged(body)
    except (ValueError, RecursionError):
        problem = "the answer is empty" if not body.strip() else "the answer is not JSON"
    raise ResponseDecodeError(problem)


def parse_json(body: bytes) -> object:
    """Parse UTF-8 JSON.

    Damaged text is read with U+FFFD in place of the damage: half a surrogate pair or broken UTF-8
    in one label would otherwise make a whole page unreadable. Unescaped control characters and a
    byte order mark are accepted. Of duplicate keys the last one counts.

    Raises `ValueError` for anything else, including NaN and infinities, and `RecursionError` for
    nesting deeper than the interpreter's recursion limit.
    """
    try:
        return _parse(body)
    except ValueError:
        pass
    return _parse_damaged(body)


def _parse_damaged(body: bytes) -> object:
    parsed = _DECODER.decode(body.decode("utf-8-sig", errors="replace"))
    if not _SURROGATE_ESCAPE.search(body):
        return parsed
    # Only a parsed text shows which surrogate escapes have no partner.
    text = json.dumps(parsed, ensure_ascii=False)
    return _DECODER.decode(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text))


_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("the number is too large for a double")
    return number


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


_DECODER: Final = json.JSONDecoder(
    strict=False, parse_constant=_refuse_constant, parse_float=_finite
)


# orjson reads with 512-bit instructions, for which many processors lower their clock: all that
# follows then takes longer, 3 to 5 % of an update in one process on an EPYC and on a Xeon. It also
# rounds whole numbers past 64 bits. Writing bodies with it has neither effect.
def _import_libraries() -> None:
    global _parse, _dump
    with importing():
        import msgspec
        import orjson

    _parse, _dump = msgspec.json.Decoder().decode, orjson.dumps


def _parse_first(body: bytes) -> object:
    _import_libraries()
    return _parse(body)


def _dump_first(body: object, default: Callable[[Any], Any]) -> bytes:
    _import_libraries()
    return _dump(body, default=default)


_parse: Callable[[bytes], Any] = _parse_first
_dump: Callable[..., bytes] = _dump_first


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

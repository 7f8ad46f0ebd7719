"""JSON as text: orjson reads and writes it; the standard library reads what orjson cannot.

orjson refuses a page for one damaged label, and rounds whole numbers past 64 bits to a double.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

import orjson

from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
from sigmamind_async.values import Secret


def dump_json(body: object) -> bytes:
    """Encode a body as UTF-8 JSON, revealing its secrets.

    Raises `InvalidRequestError` for what has no JSON form, such as a redacted secret.
    """
    try:
        return orjson.dumps(body, default=reveal)
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
        return parse_json(body)
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
    # Twenty digits in a row show as four in every fifth byte; looking at every byte of a page would
    # take half as long as parsing it does.
    may_be_huge = body[::5].translate(_OUTLINE).find(b"0000") >= 0
    if not may_be_huge or _HUGE_INTEGER not in body.translate(_OUTLINE):
        try:
            return orjson.loads(body)
        except ValueError:
            pass
    parsed = _DECODER.decode(body.decode("utf-8-sig", errors="replace"))
    if not _SURROGATE_ESCAPE.search(body):
        return parsed
    # Only a parsed text shows which surrogate escapes have no partner.
    text = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(parsed, ensure_ascii=False))
    return _DECODER.decode(text)


_OUTLINE: Final = bytes.maketrans(b"-0123456789,:[ \t\r\n", b"0" * 11 + b":" * 7)
_HUGE_INTEGER: Final = b":" + b"0" * 20
"""In outline: a whole number past 64 bits has 20 digits, or a sign and 19. Digits in a text are not
meant: they follow a quotation mark."""
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("the number has no double")
    return number


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


_DECODER: Final = json.JSONDecoder(
    strict=False, parse_constant=_refuse_constant, parse_float=_finite
)

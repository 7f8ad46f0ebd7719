"""JSON as text: orjson reads and writes it; the standard library reads what orjson cannot.

orjson refuses a page for one damaged label, and rounds whole numbers past 64 bits to a double.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

import msgspec
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
    text = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(parsed, ensure_ascii=False))
    return _DECODER.decode(text)


# orjson reads with 512-bit instructions, for which many processors lower their clock: all that
# follows then takes longer, 3 to 5 % of an update in one process on an EPYC and on a Xeon. It also
# rounds whole numbers past 64 bits. Writing bodies with it has neither effect.
_parse: Final = msgspec.json.Decoder().decode
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


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

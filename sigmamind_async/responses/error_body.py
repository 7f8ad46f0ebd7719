"""What an error answer says, whatever its shape: the platforms document few of them, and vary."""

from __future__ import annotations

import html
import re
from typing import Any, Final, cast

import attrs

from sigmamind_async.convert import parse_json
from sigmamind_async.operation import Response

NO_REASON: Final = "the platform gave no reason"


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """What an error response says in words."""

    message: str
    code: str | None = None
    request_id: str | None = None


def parse_error_body(response: Response) -> ErrorDetail:
    """Read an error answer; never raises.

    Of a JSON object the first key of `_SPEAKING` that says something is taken, each of them a text
    or a list (of texts, or of ``{"loc": [...], "msg": "..."}``), then the same below ``data``; of
    an HTML page its title, if it has one; of anything else the text as it is.
    """
    try:
        fields = _fields(response.body)
        inner = fields.get("data")
        below = cast("dict[str, object]", inner) if isinstance(inner, dict) else {}
        words = [_words(held.get(key)) for held in (fields, below) for key in _SPEAKING]
    except RecursionError:  # an answer may be nested deeper than a call may be
        fields, words = {}, []
    name = fields.get("error")
    return ErrorDetail(
        message=next(filter(None, words), NO_REASON),
        code=name if isinstance(name, str) else None,
        request_id=response.headers.get("x-request-id"),
    )


_SPEAKING: Final = ("message", "detail", "error", "errors", "error_description", "reason")

_PAGE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]")
_TITLE: Final = re.compile(rb"<title[^<>]*>([^<]*)", re.IGNORECASE)
_HEAD: Final = 1 << 16
"""Bytes of a page in which its title is looked for."""


def is_html(body: bytes) -> bool:
    """Return whether *body* is a page: no JSON begins so."""
    return _PAGE.match(body) is not None


def title_of(page: bytes) -> str:
    """Return the title of an HTML page, empty where it has none."""
    found = _TITLE.search(page[:_HEAD])
    text = html.unescape(found[1].decode(errors="replace")) if found else ""
    return " ".join("".join(filter(str.isprintable, text.replace("\n", " "))).split())


def _fields(body: bytes) -> dict[str, object]:
    try:
        said: Any = parse_json(body)
    except ValueError:
        said = (is_html(body) and title_of(body)) or body.decode(errors="replace")
    return cast("dict[str, object]", said) if isinstance(said, dict) else {"message": said}


def _words(said: object) -> str:
    if isinstance(said, str):
        return said.strip()
    if isinstance(said, list):
        return "; ".join(filter(None, map(_words, cast("list[object]", said))))
    if isinstance(said, dict):
        return _complaint(cast("dict[str, object]", said))
    return ""


def _complaint(fields: dict[str, object]) -> str:
    """Read one entry of a FastAPI ``detail``: where, and what."""
    place = fields.get("loc")
    where = ".".join(map(str, cast("list[object]", place))) if isinstance(place, list) else ""
    names = ("msg", "message", "detail", "error", "title")
    what = _words(next(filter(None, map(fields.get, names)), None))
    return f"{where}: {what}" if where and what else what

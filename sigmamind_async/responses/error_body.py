"""Reads an error response, in whatever shape: the platforms document few, and vary."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from sigmamind_async.convert.json_codec import parse_json
from sigmamind_async.operation import Response

NO_REASON: Final = "the platform gave no reason"
_MESSAGE_KEYS: Final = ("message", "detail", "error", "errors", "error_description", "reason")
_ENTRY_KEYS: Final = ("msg", "message", "detail", "error", "title")

_PAGE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]")
_TITLE: Final = re.compile(rb"<title[^<>]*>([^<]*)", re.IGNORECASE)
_ID_LENGTH: Final = 200
_TITLE_WITHIN: Final = 1 << 16
"""Bytes of a page that are searched for its title."""


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """The message and code of an error response."""

    message: str
    code: str | None = None
    request_id: str | None = None


def parse_error_body(response: Response) -> ErrorDetail:
    """Read an error response; never raises.

    The message is the first text under `_MESSAGE_KEYS` of a JSON object, or else of the object in
    its ``data``: a string or a list, of strings or of ``{"loc": [...], "msg": "..."}``. Of an HTML
    page it is the title, of anything else the body itself.
    """
    try:
        fields = _fields_of(response.body)
        inner = fields.get("data")
        objects = (
            [fields, cast("dict[str, object]", inner)] if isinstance(inner, dict) else [fields]
        )
        texts = [_text_of(each.get(key)) for each in objects for key in _MESSAGE_KEYS]
    except RecursionError:  # JSON may be nested deeper than calls may be
        fields, texts = {}, []
    code = fields.get("error")
    return ErrorDetail(
        message=next(filter(None, texts), NO_REASON),
        code=code if isinstance(code, str) else None,
        request_id=request_id(response.headers),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the platform's id of the request, where *headers* have a short, printable one."""
    text = headers.get("x-request-id")
    return text if text and text.isprintable() and len(text) <= _ID_LENGTH else None


def is_html(body: bytes) -> bool:
    """Return whether *body* is an HTML or XML page: no JSON begins like one."""
    return _PAGE.match(body) is not None


def title_of(page: bytes) -> str:
    """Return the title of an HTML page, empty where it has none."""
    import html  # only pages need it, and it has been imported before the request was sent

    found = _TITLE.search(page[:_TITLE_WITHIN])
    text = html.unescape(found[1].decode(errors="replace")) if found else ""
    return " ".join("".join(filter(str.isprintable, text.replace("\n", " "))).split())


def on_one_line(text: str) -> str:
    """Return *text* fit for a log and a terminal: escape sequences and line breaks end in it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if is_control(character) else character
        for character in " ".join(text.split())
    )


def is_control(character: str) -> bool:
    """Return whether *character* steers a terminal, or cannot be encoded."""
    # Cc: escape sequences; Cf: marks that reverse the text; Zl, Zp: line ends; Cs: half characters.
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _fields_of(body: bytes) -> dict[str, object]:
    try:
        content: Any = parse_json(body)
    except ValueError:
        content = (is_html(body) and title_of(body)) or body.decode(errors="replace")
    return cast("dict[str, object]", content) if isinstance(content, dict) else {"message": content}


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, list):
        return "; ".join(filter(None, map(_text_of, cast("list[object]", content))))
    if isinstance(content, dict):
        return _entry_text(cast("dict[str, object]", content))
    return ""


def _entry_text(entry: Mapping[str, object]) -> str:
    """Return one entry of a FastAPI ``detail`` as ``where: what``."""
    loc = entry.get("loc")
    where = ".".join(map(str, cast("list[object]", loc))) if isinstance(loc, list) else ""
    what = _text_of(next(filter(None, map(entry.get, _ENTRY_KEYS)), None))
    return f"{where}: {what}" if where and what else what

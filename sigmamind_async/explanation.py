"""What an error answer says, whatever its shape: the platforms document few of them, and vary."""

from __future__ import annotations

from typing import Any, cast

from sigmamind_async.convert import parse_json
from sigmamind_async.operation import Explanation, Response

_NO_REASON = "the platform gave no reason"


def explain(response: Response) -> Explanation:
    """Read an error answer; never raises.

    Of a JSON object the first of ``message``, ``detail`` and ``error`` that says something is
    taken, each of them a text or a list (of texts, or of ``{"loc": [...], "msg": "..."}``); of
    anything else the text as it is.
    """
    try:
        fields = _fields(response.body)
        words = [_words(fields.get(key)) for key in ("message", "detail", "error")]
    except RecursionError:  # an answer may be nested deeper than a call may be
        fields, words = {}, []
    name = fields.get("error")
    return Explanation(
        message=next(filter(None, words), _NO_REASON),
        code=name if isinstance(name, str) else None,
        request_id=response.headers.get("x-request-id"),
    )


def _fields(body: bytes) -> dict[str, object]:
    try:
        said: Any = parse_json(body)
    except ValueError:
        said = body.decode(errors="replace")
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
    what = _words(fields.get("msg") or fields.get("message") or fields.get("error"))
    return f"{where}: {what}" if where and what else what

"""Pages, as DialNexa cuts them, in every envelope its documentation shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from sigmamind_async.sandbox.answers import Json, json_answer
from sigmamind_async.sandbox.dialnexa.records import PhoneNumber
from sigmamind_async.sandbox.fields import whole_number
from sigmamind_async.sandbox.messages import Answer, ApiRequest
from sigmamind_async.sandbox.refusals import Problem, RefusedError

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100

TYPES: Mapping[str, str] = {
    "local": "local",
    "mobile": "mobile",
    "toll_free": "toll_free",
    "tollfree": "toll_free",
}
"""The types of a number, in both spellings of the documentation."""


def page_answer(
    call: ApiRequest,
    rows: Sequence[PhoneNumber],
    view: Callable[[PhoneNumber], Json],
) -> Answer:
    """Return the page a request asks for out of all *rows*.

    Raises :class:`RefusedError` when a parameter is out of range.
    """
    page = whole_number(call.query, "page", default=1, lowest=1)
    limit = whole_number(
        call.query,
        "limit",
        default=DEFAULT_LIMIT,
        lowest=1,
        highest=LARGEST_LIMIT,
    )
    rows = _filtered(rows, call.query)
    if call.switches.dialnexa.list_envelope == "array":
        return json_answer(200, [view(row) for row in rows])
    limit = min(limit, call.switches.max_page_size or limit)
    shown = [view(row) for row in rows[(page - 1) * limit : page * limit]]
    envelope = _ENVELOPES[call.switches.dialnexa.list_envelope]
    return json_answer(200, envelope(shown, page, limit, len(rows)))


def number_type(query: Mapping[str, str]) -> str | None:
    """Return the type a query names; raises :class:`RefusedError` for one there is not."""
    word = query.get("type")
    if word is None:
        return None
    if word not in TYPES:
        said = f"must be one of {', '.join(TYPES)}"
        raise RefusedError(400, "", Problem(kind="choice", name="type", said=said, place="query"))
    return TYPES[word]


def _filtered(rows: Sequence[PhoneNumber], query: Mapping[str, str]) -> list[PhoneNumber]:
    wanted_type, country = number_type(query), query.get("country_code")
    return [
        row
        for row in rows
        if wanted_type in {None, row.type} and country in {None, row.country_code}
    ]


def _items(shown: list[Json], page: int, limit: int, total: int) -> Json:
    # https://dialnexa.com/docs
    return {"items": shown, "total": total, "page": page, "limit": limit}


def _data(shown: list[Json], page: int, limit: int, total: int) -> Json:
    # https://dialnexa.mintlify.app
    pages = math.ceil(total / limit)
    meta = {"page": page, "limit": limit, "total": total, "totalPages": pages}
    return {"data": shown, "meta": meta}


def _wrapped_data(shown: list[Json], page: int, limit: int, total: int) -> Json:
    return {"statusCode": 200, "message": "Success", **_data(shown, page, limit, total)}


def _wrapped_items(shown: list[Json], page: int, limit: int, total: int) -> Json:
    return {"statusCode": 200, "message": "Success", "data": _items(shown, page, limit, total)}


_ENVELOPES: Mapping[str, Callable[[list[Json], int, int, int], Json]] = {
    "items": _items,
    "data": _data,
    "wrapped_data": _wrapped_data,
    "wrapped_items": _wrapped_items,
}

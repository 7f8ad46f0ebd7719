"""Pages, as SigmaMind cuts them.

https://docs.sigmamind.ai/api-reference/calls/list-phone-calls; the envelope of the list of
phone numbers is in no public copy, this one is called the standard wrapper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from sigmamind_async.sandbox.answers import Json, json_answer
from sigmamind_async.sandbox.fields import whole_number
from sigmamind_async.sandbox.messages import Answer, ApiRequest
from sigmamind_async.sandbox.switches import Switches

T = TypeVar("T")

DEFAULT_SIZE = 10


def page_answer(call: ApiRequest, rows: Sequence[T], view: Callable[[T], Json]) -> Answer:
    """Return the page a request asks for out of all *rows*.

    Raises :class:`RefusedError` when the page or its size is out of range.
    """
    page = whole_number(call.query, "page", default=0, lowest=0)
    size = whole_number(call.query, "size", default=DEFAULT_SIZE, lowest=1)
    if call.switches.list_envelope == "array":
        return json_answer(200, [view(row) for row in rows])
    size = min(size, call.switches.max_page_size or size)
    shown = [view(row) for row in rows[page * size : (page + 1) * size]]
    return json_answer(200, _envelope(shown, page, size, len(rows), call.switches))


def _envelope(shown: list[Json], page: int, size: int, total: int, switches: Switches) -> Json:
    pages = math.ceil(total / size)
    return {
        "data": shown,
        "page": page,
        "size": size,
        "totalCounts" if switches.list_envelope == "older_page" else "totalCount": total,
        "totalPages": pages,
        "hasNext": page + 1 < pages,
        "hasPrevious": page > 0,
    }

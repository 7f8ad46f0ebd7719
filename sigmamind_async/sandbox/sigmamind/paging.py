"""Pages, as SigmaMind cuts them.

https://docs.sigmamind.ai/api-reference/calls/list-phone-calls; the envelope of the list of
phone numbers is in no public copy, this one is called the standard wrapper.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sigmamind_async.sandbox.sigmamind.rules import RefusedError
from sigmamind_async.sandbox.sigmamind.views import Json, json_answer
from sigmamind_async.sandbox.switches import Switches
from sigmamind_async.sandbox.tower import Answer, Call

T = TypeVar("T")

DEFAULT_SIZE = 10
INT32_MAX = 2**31 - 1

_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


def page_answer(call: Call, rows: Sequence[T], view: Callable[[T], Json]) -> Answer:
    """Return the page a request asks for out of all *rows*.

    Raises :class:`RefusedError` when the page or its size is out of range.
    """
    page = _count(call.query, "page", default=0, lowest=0)
    size = _count(call.query, "size", default=DEFAULT_SIZE, lowest=1)
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


def _count(query: Mapping[str, str], name: str, *, default: int, lowest: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or not lowest <= int(text) <= INT32_MAX:
        raise RefusedError(400, f"{name} must be an integer of at least {lowest}")
    return int(text)

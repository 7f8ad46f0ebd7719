"""Pages, as Verbex cuts them: a size and an opaque token.

The envelope of the list of phone numbers is on no page that can be read; the list of webhook
subscriptions at https://docs.verbex.ai says ``next_page_token``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from sigmamind_async.sandbox.answers import Json, finished, json_answer
from sigmamind_async.sandbox.fields import whole_number
from sigmamind_async.sandbox.messages import Answer, ApiRequest
from sigmamind_async.sandbox.refusals import RefusedError
from sigmamind_async.sandbox.verbex.records import PhoneNumber

DEFAULT_SIZE = 20
LARGEST_SIZE = 100

_AFTER = b"after:"


def page_answer(
    call: ApiRequest,
    rows: list[PhoneNumber],
    view: Callable[[PhoneNumber], Json],
) -> Answer:
    """Return the page a request asks for out of all *rows*.

    Raises :class:`RefusedError` when the size is out of range or the token is not one.
    """
    key = call.switches.verbex.list_envelope
    size = whole_number(
        call.query,
        "page_size",
        default=DEFAULT_SIZE,
        lowest=1,
        highest=LARGEST_SIZE,
    )
    after = _position(call.query.get("page_token"))
    if key == "array":
        return json_answer(200, [view(row) for row in rows])
    size = min(size, call.switches.max_page_size or size)
    rest = [row for row in rows if row.ordinal > after]
    shown = rest[:size]
    token = _token(shown[-1]) if len(rest) > size else None
    page: Json = {key: [view(row) for row in shown], "next_page_token": token}
    return json_answer(200, finished(page, call.switches))


def _token(row: PhoneNumber) -> str:
    """Return the token of the page after *row*; it holds when rows are deleted meanwhile."""
    return base64.urlsafe_b64encode(_AFTER + str(row.ordinal).encode()).decode()


def _position(token: str | None) -> int:
    if token is None:
        return -1
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        return int(text.removeprefix(_AFTER))
    except (ValueError, binascii.Error):
        raise RefusedError(400, "Invalid page token") from None

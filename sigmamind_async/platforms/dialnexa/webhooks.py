"""Deliveries of DialNexa: is this one genuine, and what does it say?

The signature is HMAC-SHA256 over the raw body with the webhook's secret. Three spellings of its
header are documented. There is no timestamp in it, so an old delivery can be sent again by whoever
saw it: keep the ids of events that were handled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import attrs

from sigmamind_async.convert import Record, wire
from sigmamind_async.webhook_signatures import (
    MAX_BYTES,
    Headers,
    Key,
    as_secrets,
    check_body,
    check_signature,
    header,
    header_pairs,
    read_genuine,
)

SIGNATURE_HEADERS = ("x-dialnexa-signature", "x-nexa-signature")


@attrs.frozen(kw_only=True)
class WebhookEvent(Record):
    """One event; its own fields are in `extra`."""

    event_type: Annotated[str | None, wire("event_type", strict=True)] = None
    """``call_initiated``, ``call_ended``, ``transfer_completed``, ``verification`` and others."""
    call_id: Annotated[str | None, wire("call_id", strict=True)] = None


def verify_webhook(
    body: bytes,
    headers: Headers,
    secrets: Key | Iterable[Key],
    *,
    max_bytes: int = MAX_BYTES,
) -> WebhookEvent:
    """Return the event of a genuine delivery.

    Args:
        body: The raw bytes as they came, not parsed and written again.
        headers: By name, in any case: a mapping, or pairs as ASGI has them.
        secrets: The webhook's secret, or several while one is replaced.
        max_bytes: Most bytes of a body that is looked at.

    Raises:
        InvalidRequestError: The body is too large, or not signed with a secret of ours.
        ResponseDecodeError: The delivery is genuine, and its body is not as expected.
        ConfigurationError: An option cannot be used.
    """
    secrets, given = as_secrets(secrets), header_pairs(headers)
    del headers  # which may be the secret, given in its place
    check_body(body, max_bytes)
    sent = re.split(r"[,\s]+", ",".join(header(given, name) for name in SIGNATURE_HEADERS))
    check_signature(body, [part.removeprefix("sha256=") for part in sent if part], secrets)
    return read_genuine(body, WebhookEvent)

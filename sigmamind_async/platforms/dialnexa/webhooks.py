"""DialNexa's webhook deliveries: checking the signature and reading the event.

The signature is HMAC-SHA256 over the raw body with the webhook's secret. Three spellings of its
header are documented. It covers no timestamp, so anyone who has seen a delivery can replay it:
remember the ids of the events you have handled.
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
    """One event of the call `call_id`; the fields of its type are in `extra`.

    https://docs.dialnexa.com, "Webhooks"
    """

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
        body: The raw bytes as received, not parsed and serialized again.
        headers: A mapping in any case, or pairs as ASGI has them.
        secrets: The webhook's secret, or several while one is replaced.
        max_bytes: Maximum size of the body; by default 1 MiB.

    Raises:
        InvalidRequestError: The body is too large, or not signed with these secrets.
        ResponseDecodeError: The delivery is genuine, but its body has an unexpected form.
        ConfigurationError: An option cannot be used.
    """
    secrets, given = as_secrets(secrets), header_pairs(headers)
    del headers  # a caller may have passed the secret in its place
    check_body(body, max_bytes)
    sent = re.split(r"[,\s]+", ",".join(header(given, name) for name in SIGNATURE_HEADERS))
    check_signature(body, [part.removeprefix("sha256=") for part in sent if part], secrets)
    return read_genuine(body, WebhookEvent)

"""Deliveries of Verbex: is this one genuine, and what does it say?

``X-Webhook-Signature`` holds one ``v1=`` part, or two for 72 hours after a secret was replaced.
What exactly is signed is not documented, so the caller says it. Deliveries may come out of order
and more than once: keep the trace ids that were handled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeAlias

import attrs

from sigmamind_async.convert import Record, wire
from sigmamind_async.signatures import (
    MAX_BYTES,
    check_signature,
    check_size,
    header,
    keys_of,
    read_delivery,
)
from sigmamind_async.values import Secret

SignedString: TypeAlias = Callable[[str, bytes], bytes]
"""From the timestamp header and the raw body to the bytes that were signed."""


def body_alone(_: str, body: bytes) -> bytes:
    """Sign the raw body."""
    return body


def timestamp_and_body(timestamp: str, body: bytes) -> bytes:
    """Sign the timestamp header, a full stop, and the raw body."""
    # A header may hold any byte, and servers pass on what is no text as halves of surrogate pairs.
    return timestamp.encode(errors="surrogatepass") + b"." + body


@attrs.frozen(kw_only=True)
class WebhookEvent(Record):
    """One event."""

    event_name: Annotated[str | None, wire("eventName", strict=True)] = None
    """``CallHandler.CallStarted``, ``CallHandler.CallEnded`` and others."""
    trace_id: Annotated[str | None, wire("traceId", strict=True)] = None
    organization_id: Annotated[str | None, wire("organizationId")] = None
    timestamp: Annotated[float | None, wire("timestamp")] = None
    """Seconds since 1970."""
    payload: Annotated[dict[str, Any] | None, wire("payload")] = None


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Secret | Iterable[str | Secret],
    *,
    signed: SignedString,
    max_bytes: int = MAX_BYTES,
) -> WebhookEvent:
    """Return the event of a genuine delivery.

    Args:
        body: The raw bytes as they came, not parsed and written again.
        headers: By name, in any case.
        secrets: The subscription's secret (``whsec_...``), or several while one is replaced.
        signed: What the platform signs: `body_alone`, `timestamp_and_body`, or your finding.
        max_bytes: Most bytes of a body that is looked at.

    Raises:
        InvalidRequestError: The body is too large, not JSON, or not signed with a secret of ours.
    """
    secrets = keys_of(secrets)
    check_size(body, max_bytes)
    parts = re.split(r"[,\s]+", header(headers, "x-webhook-signature"))
    values = [part.removeprefix("v1=") for part in parts if part.startswith("v1=")]
    check_signature(signed(header(headers, "x-webhook-timestamp"), body), values, secrets)
    return read_delivery(body, WebhookEvent)

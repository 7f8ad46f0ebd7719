"""Deliveries of Verbex: is this one genuine, and what does it say?

``X-Webhook-Signature`` holds one ``v1=`` part, or two for 72 hours after a secret was replaced.
What exactly is signed is not documented, so the caller says it. Deliveries may come out of order
and more than once: keep the trace ids that were handled.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeAlias

import attrs

from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import ConfigurationError, InvalidRequestError
from sigmamind_async.webhook_signatures import (
    MAX_BYTES,
    Headers,
    Key,
    as_secrets,
    check_age,
    check_body,
    check_signature,
    header,
    header_pairs,
    read_genuine,
)

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
    payload: Annotated[dict[str, Any] | None, wire("payload")] = attrs.field(
        default=None, hash=False
    )


def verify_webhook(
    body: bytes,
    headers: Headers,
    secrets: Key | Iterable[Key],
    *,
    signed: SignedString,
    tolerance: float | None = 300.0,
    max_bytes: int = MAX_BYTES,
    clock: Callable[[], float] = time.time,
) -> WebhookEvent:
    """Return the event of a genuine delivery.

    Args:
        body: The raw bytes as they came, not parsed and written again.
        headers: By name, in any case: a mapping, or pairs as ASGI has them.
        secrets: The subscription's secret (``whsec_...``), or several while one is replaced. Bytes
            where the key is what the text stands for: ``b64decode(secret.removeprefix("whsec_"))``.
        signed: What the platform signs: `body_alone`, `timestamp_and_body`, or your finding.
        tolerance: Most seconds between ``X-Webhook-Timestamp`` and now, before or after; ``None``
            takes a delivery of any age. It stops replays only where *signed* covers that header.
        max_bytes: Most bytes of a body that is looked at.
        clock: Returns the seconds since 1970.

    Raises:
        InvalidRequestError: The body is too large, not signed with a secret of ours, or too old.
        ResponseDecodeError: The delivery is genuine, and its body is not as expected.
        ConfigurationError: An option cannot be used.
    """
    secrets, given = as_secrets(secrets), header_pairs(headers)
    del headers  # which may be the secret, given in its place
    if not callable(signed):
        raise ConfigurationError("signed: must be a function of timestamp and body")
    check_body(body, max_bytes)
    stamp = header(given, "x-webhook-timestamp")
    parts = re.split(r"[,\s]+", header(given, "x-webhook-signature"))
    values = [part.removeprefix("v1=") for part in parts if part.startswith("v1=")]
    check_signature(_checked(signed(stamp, bytes(body))), values, secrets)
    check_age(stamp, tolerance, clock())
    return read_genuine(body, WebhookEvent)


def _checked(said: object) -> bytes:
    if not isinstance(said, bytes):
        raise InvalidRequestError(field="signed", rule="must return bytes")
    return said

"""Verbex's webhook deliveries: checking the signature and reading the event.

``X-Webhook-Signature`` holds one ``v1=`` part, or two for 72 hours after a secret was replaced.
What exactly is signed is not documented, so the caller chooses it. A delivery may come late, out of
order and more than once: remember the trace ids you have handled.
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
"""Returns the bytes that were signed, given the timestamp header and the raw body."""


def body_alone(_: str, body: bytes) -> bytes:
    """Return *body*: the raw body was signed, and nothing else."""
    return body


def timestamp_and_body(timestamp: str, body: bytes) -> bytes:
    """Return *timestamp*, a full stop and *body*: header and raw body were signed."""
    # A header may hold any byte; servers pass on those that are not text as lone surrogates.
    return timestamp.encode(errors="surrogatepass") + b"." + body


@attrs.frozen(kw_only=True)
class WebhookEvent(Record):
    """One event; `payload` is the platform's object, `trace_id` names the delivery.

    `organization_id` is the account's. https://docs.verbex.ai, "Webhooks"
    """

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
        body: The raw bytes as received, not parsed and serialized again.
        headers: A mapping in any case, or pairs as ASGI has them.
        secrets: The subscription's secret (``whsec_...``), or several while one is replaced. Give
            bytes if the text encodes the key: ``b64decode(secret.removeprefix("whsec_"))``.
        signed: What the platform signs: `body_alone`, `timestamp_and_body`, or your own function.
        tolerance: Maximum seconds between ``X-Webhook-Timestamp`` and now, in either direction;
            ``None`` accepts any age. It prevents replays only if *signed* covers that header.
        max_bytes: Maximum size of the body; by default 1 MiB.
        clock: Returns the seconds since 1970.

    Raises:
        InvalidRequestError: The body is too large or too old, or not signed with these secrets.
        ResponseDecodeError: The delivery is genuine, but its body has an unexpected form.
        ConfigurationError: An option cannot be used.
    """
    secrets, given = as_secrets(secrets), header_pairs(headers)
    del headers  # a caller may have passed the secret in its place
    if not callable(signed):
        raise ConfigurationError("signed: must be a function of timestamp and body")
    check_body(body, max_bytes)
    stamp = header(given, "x-webhook-timestamp")
    parts = re.split(r"[,\s]+", header(given, "x-webhook-signature"))
    values = [part.removeprefix("v1=") for part in parts if part.startswith("v1=")]
    check_signature(_require_bytes(signed(stamp, bytes(body))), values, secrets)
    check_age(stamp, tolerance, clock())
    return read_genuine(body, WebhookEvent)


def _require_bytes(signed: object) -> bytes:
    if not isinstance(signed, bytes):
        raise InvalidRequestError(field="signed", rule="must return bytes")
    return signed

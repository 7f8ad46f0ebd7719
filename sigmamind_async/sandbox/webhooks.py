"""Deliveries of events as each platform sends them: signed bytes, and headers.

What the documentation leaves open is a choice here: Verbex does not say which bytes it signs, and
SigmaMind documents no signature of its inbound-call webhook at all.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import attrs
import orjson

from sigmamind_async.sandbox.chance import draw_token

Json: TypeAlias = Mapping[str, object]
Signed: TypeAlias = Literal["body", "timestamp_and_body"]

_VERBEX_EVENTS: Final = {
    "call_started": "CallHandler.CallStarted",
    "call_ended": "CallHandler.CallEnded",
    "call_transferred": "CallHandler.CallTransferred",
    "call_analyzed": "callAnalysis.pcaCompleted",
}
_DIALNEXA_EVENTS: Final = {
    "call_started": "call_initiated",
    "call_ended": "call_ended",
    "call_transferred": "transfer_completed",
    "verification": "verification",
}
_SIGMAMIND_EVENTS: Final = {"inbound_call": "inbound_call"}


@attrs.frozen(kw_only=True)
class WebhookDelivery:
    """One delivery: post *body* with *headers* to the application under test."""

    body: bytes
    headers: Mapping[str, str]
    secret: str = attrs.field(repr=False)
    """What it is signed with; empty where the platform signs nothing."""


def _hmac_hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _of_verbex(
    event: str, fields: Json, secret: str, now: float, signed: Signed
) -> WebhookDelivery:
    # https://docs.verbex.ai: deliveries may arrive out of order; deduplicate on the trace id
    stamp = datetime.fromtimestamp(now, UTC).isoformat()
    trace = draw_token(0, 24, "webhook", event, str(now))
    payload = {"call_id": "call_1", "agent_id": "agent_1", "status": "ended", **fields}
    body = orjson.dumps(
        {
            "organizationId": "org_1",
            "traceId": trace,
            "eventName": event,
            "timestamp": now,
            "payload": payload,
        }
    )
    content = body if signed == "body" else stamp.encode() + b"." + body
    headers = {
        "Content-Type": "application/json",
        "X-Webhook-Event": event,
        "X-Webhook-Traceid": trace,
        "X-Webhook-Timestamp": stamp,
        "X-Webhook-Signature": f"v1={_hmac_hex(secret, content)}",
    }
    return WebhookDelivery(body=body, headers=headers, secret=secret)


def _of_dialnexa(
    event: str, fields: Json, secret: str, _now: float, _signed: Signed
) -> WebhookDelivery:
    # https://docs.dialnexa.com: HMAC-SHA256 over the raw body; no timestamp takes part
    body = orjson.dumps({"event_type": event, "call_id": "call_1", **fields})
    headers = {
        "Content-Type": "application/json",
        "X-DialNexa-Signature": f"sha256={_hmac_hex(secret, body)}",
    }
    return WebhookDelivery(body=body, headers=headers, secret=secret)


def _of_sigmamind(
    event: str, fields: Json, _secret: str, _now: float, _signed: Signed
) -> WebhookDelivery:
    # https://docs.sigmamind.ai: the inbound-call webhook; a signature is not mentioned
    numbers = {"from_number": "+14155550199", "to_number": "+14155550100"}
    body = orjson.dumps({"event": event, **numbers, **fields})
    return WebhookDelivery(body=body, headers={"Content-Type": "application/json"}, secret="")


_Sender: TypeAlias = Callable[[str, Json, str, float, Signed], WebhookDelivery]

_PLATFORMS: Final[Mapping[str, tuple[Mapping[str, str], _Sender]]] = {
    "sigmamind": (_SIGMAMIND_EVENTS, _of_sigmamind),
    "verbex": (_VERBEX_EVENTS, _of_verbex),
    "dialnexa": (_DIALNEXA_EVENTS, _of_dialnexa),
}


def delivery(
    platform: str, event: str, fields: Json, *, secret: str, now: float, signed: Signed
) -> WebhookDelivery:
    """Return what *platform* sends for *event*, with *fields* in place of made-up ones.

    Raises `ValueError` for an event that it does not have.
    """
    events, send = _PLATFORMS[platform]
    if event not in events:
        message = f"{platform} has no event {event!r}; it has {', '.join(events)}"
        raise ValueError(message)
    return send(events[event], fields, secret, now, signed)

"""The inbound-call webhook of SigmaMind: what it asks, and what it is told.

Before an inbound call is connected, the number's webhook (its URL is set in the dashboard) is
asked for the call's variables. It has 10 seconds, and up to 3 further attempts are made while the
caller hears ringing; without an answer the call is not connected. No signature is documented: do
not act on what a request says beyond answering it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from sigmamind_async.convert import Record, RequestValue, body_of, dump_json, validators, wire
from sigmamind_async.values import UNSET, Unset
from sigmamind_async.webhook_signatures import MAX_BYTES, check_body, read_delivery


@attrs.frozen(kw_only=True)
class InboundCall(Record):
    """What the platform asks; snake_case here, unlike everywhere else."""

    event: Annotated[str | None, wire("event", strict=True)] = None
    """``inbound_call``."""
    from_number: Annotated[str | None, wire("from_number", phone_number=True)] = None
    to_number: Annotated[str | None, wire("to_number", phone_number=True)] = None
    agent_id: Annotated[str | None, wire("agent_id")] = None
    """Present where the number has an inbound agent."""


@attrs.frozen(kw_only=True)
class InboundCallReply(RequestValue[None]):
    """What it is told."""

    dynamic_variables: Annotated[Mapping[str, Any], wire("dynamic_variables")] = attrs.field(
        hash=False, factory=dict[str, Any]
    )
    override_agent_id: Annotated[str | Unset, wire("override_agent_id"), validators.visible(64)] = (
        UNSET
    )
    """Another agent for this call alone; named in one copy of the page."""

    def body(self) -> bytes:
        """Return the JSON to answer with, beside a 200 and ``Content-Type: application/json``."""
        return dump_json(body_of(self))


def read_inbound_call(body: bytes, *, max_bytes: int = MAX_BYTES) -> InboundCall:
    """Read the raw body of a request; raise `InvalidRequestError` if it is none."""
    check_body(body, max_bytes)
    return read_delivery(body, InboundCall)

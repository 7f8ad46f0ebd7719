"""SigmaMind's inbound-call webhook: its request, and the reply.

Before it connects an inbound call, the platform asks the number's webhook, whose URL is set in the
dashboard, for the call's variables. The webhook has 10 seconds; up to 3 more attempts follow while
the caller hears ringing, and without a reply the call is not connected. No signature is documented:
do nothing on the word of a request but reply to it.
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
    """The platform's request, in snake_case unlike the rest of the API.

    `from_number` and `to_number` are E.164. https://docs.sigmamind.ai, the inbound-call webhook
    """

    event: Annotated[str | None, wire("event", strict=True)] = None
    """``inbound_call``."""
    from_number: Annotated[str | None, wire("from_number", phone_number=True)] = None
    to_number: Annotated[str | None, wire("to_number", phone_number=True)] = None
    agent_id: Annotated[str | None, wire("agent_id")] = None
    """Present if the number has an inbound agent."""


@attrs.frozen(kw_only=True)
class InboundCallReply(RequestValue[None]):
    """The reply to it: `dynamic_variables` are values for the agent's instructions.

    https://docs.sigmamind.ai, the inbound-call webhook
    """

    dynamic_variables: Annotated[
        Mapping[str, Any], wire("dynamic_variables"), validators.json_object
    ] = attrs.field(hash=False, factory=dict[str, Any])
    override_agent_id: Annotated[str | Unset, wire("override_agent_id"), validators.visible(64)] = (
        UNSET
    )
    """Another agent for this call only; documented in one copy of the page."""

    def body(self) -> bytes:
        """Return the body of a 200 reply with ``Content-Type: application/json``."""
        return dump_json(body_of(self))


def read_inbound_call(body: bytes, *, max_bytes: int = MAX_BYTES) -> InboundCall:
    """Return the request in *body*, the raw bytes as received, of at most *max_bytes*.

    Raises `InvalidRequestError` for anything else.
    """
    check_body(body, max_bytes)
    return read_delivery(body, InboundCall)

"""What a SigmaMind account holds. Plain values, stored as they are; ``views`` words them.

https://docs.sigmamind.ai/api-reference/phone-numbers/create-phone-number
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

PROVISIONED_PROVIDERS = ("twilio", "telnyx")
BRING_YOUR_OWN = "byo"


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A number held by the account. The trunk password is kept elsewhere, in memory only."""

    phone_number: str
    provider: str
    friendly_name: str
    inbound_agent_id: str | None = None
    outbound_agent_id: str | None = None
    outbound_phone_number: str | None = None
    termination_sip_uri: str | None = None
    trunk_username: str | None = None
    active: bool = True
    created_at: float
    """Epoch seconds."""

    @property
    def key(self) -> str:
        """What the platform knows it by."""
        return self.phone_number

    @property
    def is_imported(self) -> bool:
        """True for a number that reached the account over the customer's own trunk."""
        return self.provider == BRING_YOUR_OWN


@attrs.frozen(kw_only=True)
class Agent:
    """A voice agent; seeded, never written."""

    agent_id: str
    agent_name: str
    instructions: str
    welcome_message: str
    language: str = "en-US"


@attrs.frozen(kw_only=True)
class PhoneCall:
    """A call as it was created; how far it has come follows from the time."""

    call_id: str
    from_phone_number: str
    to_phone_number: str
    agent_id: str
    dynamic_variables: Mapping[str, object]
    created_at: float
    seconds: float
    """From creation to end."""
    status: str
    """What it says once it has ended."""
    reason: str | None


AGENTS = (
    Agent(
        agent_id="agent_D5D0p7TUs66TTAEAx",
        agent_name="Support",
        instructions="Answer questions about orders.",
        welcome_message="Hello, how can I help?",
    ),
    Agent(
        agent_id="agent_Kq27RmBxT9wYcV4Le",
        agent_name="Sales",
        instructions="Qualify the caller and book a demonstration.",
        welcome_message="Hello, thanks for calling sales.",
    ),
    Agent(
        agent_id="awTw7UKhOsLGiDbt",
        agent_name="Reception",
        instructions="Find out who is wanted and transfer the call.",
        welcome_message="Good day, whom may I connect you with?",
        language="en-GB",
    ),
)

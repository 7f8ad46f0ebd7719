"""What a DialNexa account holds. Plain values, stored as they are; ``views`` words them.

https://dialnexa.mintlify.app, "Update Phone Number"; https://dialnexa.com/docs for the agents.
"""

from __future__ import annotations

import attrs

CARRIER = "plivo"
TRUNK = "sip"


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A number held by the account. The trunk password is kept elsewhere, in memory only."""

    key: str
    phone_number: str
    provider: str
    country_code: str | None
    type: str = "local"
    label: str | None = None
    nickname: str | None = None
    agent_id: str | None = None
    """Who answers: what is live, whichever way it was assigned."""
    outbound_agent_id: str | None = None
    created_at: float
    """Epoch seconds."""
    active_at: float
    """When provisioning ends; epoch seconds."""

    @property
    def is_imported(self) -> bool:
        """True for a number that reached the account over the customer's own trunk."""
        return self.provider == TRUNK


@attrs.frozen(kw_only=True)
class Agent:
    """A voice agent, seeded; its numbers are what its draft says.

    Only a draft is changed. No documented call makes one, so another is opened, with the same
    numbers, when one is published: as its owner would do in the dashboard.
    """

    agent_id: str
    name: str
    version_number: int = 1
    """The draft, and current version; all before it are published."""
    inbound_phone_number_id: str | None = None
    outbound_phone_number_id: str | None = None
    live_inbound_id: str | None = None
    """The inbound number of the newest version that was published."""
    live_outbound_id: str | None = None


AGENTS = (
    Agent(agent_id="agt_abc123", name="Support"),
    Agent(agent_id="agt_k7m2nq9xw4p8", name="Sales"),
    Agent(agent_id="agent_2g7Xy3tY53gRlp", name="Reception"),
    Agent(agent_id="Qm4Zt8Kd1Vb7Xs", name="Collections"),
)

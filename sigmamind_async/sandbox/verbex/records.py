"""What a Verbex account holds. Plain values, stored as they are; ``views`` words them.

https://docs.verbex.ai: "Update the configuration of an existing phone number", the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

Variant = Literal["sip", "pia", "twilio"]

OWN_FIELDS: Mapping[Variant, tuple[str, ...]] = {
    "sip": ("sip_termination_uri", "sip_trunk_username", "sip_infra_region"),
    "pia": (),
    "twilio": ("twilio_account_sid",),
}
"""What only the numbers of one variant have, secrets apart."""

SECRET_FIELDS: Mapping[Variant, str] = {
    "sip": "sip_trunk_password",
    "twilio": "twilio_auth_token",
}


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A number held by the account. Its password or token is kept elsewhere, in memory only."""

    key: str
    provider: Variant
    phone_number: str
    friendly_name: str | None = None
    inbound_agent_id: str | None = None
    outbound_agent_id: str | None = None
    sip_termination_uri: str | None = None
    sip_trunk_username: str | None = None
    sip_infra_region: str | None = None
    twilio_account_sid: str | None = None
    ordinal: int
    """Position among all records ever made."""
    created_at: float
    """Epoch seconds."""

"""The three platforms by the field names of a fleet: one table each.

A field is in each request that takes it. What the request that creates a number does not take, and
an update does, is written by an update afterwards; what no update takes is stated once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sigmamind_async.fleet.vendor_schema import RequestForm, VendorSchema
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.provisioning.adapters.dialnexa import DIALNEXA, PurchaseAnyNumber
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND
from sigmamind_async.provisioning.adapters.verbex import VERBEX


def _same(*names: str) -> dict[str, str]:
    """Return fields that the platform calls the same."""
    return {name: name for name in names}


_NUMBER: Final = _same("phone_number")
_AGENTS: Final = _same("inbound_agent_id", "outbound_agent_id")

# --- SigmaMind -------------------------------------------------------------------------------

_SIGMAMIND_COMMON: Final = {
    "label": "friendly_name",
    **_AGENTS,
    "test_number": "outbound_phone_number",
}
_SIGMAMIND_TRUNK: Final = {
    "termination_uri": "termination_sip_uri",
    **_same("trunk_username", "trunk_password"),
}
_SIGMAMIND: Final = VendorSchema(
    platform="sigmamind",
    adapter=SIGMAMIND,
    purchases=tuple(
        RequestForm(
            value=sigmamind.CreatePhoneNumber,
            takes={**_NUMBER, **_SIGMAMIND_COMMON, **_same("country_code", "area_code")},
            needs=(need,),
            # A bought number has no trunk: the platform takes these without effect.
            excludes=tuple(_SIGMAMIND_TRUNK),
        )
        for need in ("phone_number", "country_code")
    ),
    imports=(
        RequestForm(
            value=sigmamind.ImportPhoneNumber,
            takes={**_NUMBER, **_SIGMAMIND_COMMON, **_SIGMAMIND_TRUNK},
            needs=("phone_number",),
        ),
    ),
    update=RequestForm(
        value=sigmamind.UpdatePhoneNumber, takes={**_SIGMAMIND_COMMON, **_SIGMAMIND_TRUNK}
    ),
    key="phone_number",
    shown=(*_SIGMAMIND_COMMON.items(), ("termination_uri", "termination_sip_uri")),
)

# --- Verbex ----------------------------------------------------------------------------------

_VERBEX_COMMON: Final = {"label": "friendly_name", **_AGENTS}
_VERBEX_TRUNK: Final = {
    "termination_uri": "sip_termination_uri",
    "trunk_username": "sip_trunk_username",
    "trunk_password": "sip_trunk_password",
}
_VERBEX_TWILIO: Final = _same("twilio_account_sid", "twilio_auth_token")
_VERBEX: Final = VendorSchema(
    platform="verbex",
    adapter=VERBEX,
    purchases=(
        RequestForm(
            value=verbex.CreatePiaPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON},
            excludes=(*_VERBEX_TRUNK, *_VERBEX_TWILIO),
        ),
    ),
    imports=(
        RequestForm(
            value=verbex.CreateTwilioPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON, **_VERBEX_TWILIO},
            needs=("phone_number", "twilio_account_sid", "twilio_auth_token"),
            excludes=(*_VERBEX_TRUNK, "sip_infra_region"),
        ),
        RequestForm(
            value=verbex.CreateSipPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON, **_VERBEX_TRUNK, **_same("sip_infra_region")},
            needs=("phone_number",),
            excludes=tuple(_VERBEX_TWILIO),
        ),
    ),
    update=RequestForm(
        value=verbex.UpdatePhoneNumber, takes={**_VERBEX_COMMON, **_VERBEX_TRUNK, **_VERBEX_TWILIO}
    ),
    key="phone_number_id",
    shown=(
        *_VERBEX_COMMON.items(),
        ("termination_uri", "sip_termination_uri"),
        ("trunk_username", "sip_trunk_username"),
        ("twilio_account_sid", "twilio_account_sid"),
    ),
)

# --- DialNexa --------------------------------------------------------------------------------

_DIALNEXA_PURCHASE: Final = {"country_code": "country_iso", **_same("telephony_provider_id")}
_DIALNEXA_TRUNK: Final = {
    **_same("termination_uri", "auth_mode"),
    "trunk_username": "sip_trunk_user_name",
    "trunk_password": "sip_trunk_password",
}
_DIALNEXA: Final = VendorSchema(
    platform="dialnexa",
    adapter=DIALNEXA,
    purchases=(
        RequestForm(
            value=dialnexa.PurchasePhoneNumber,
            takes={**_NUMBER, **_DIALNEXA_PURCHASE},
            needs=("phone_number", *_DIALNEXA_PURCHASE),
        ),
        RequestForm(
            value=PurchaseAnyNumber,
            takes={**_DIALNEXA_PURCHASE, "type": "type"},
            needs=tuple(_DIALNEXA_PURCHASE),
        ),
    ),
    imports=(
        RequestForm(
            value=dialnexa.ImportSipTrunk,
            takes={**_NUMBER, **_DIALNEXA_TRUNK, "label": "nickname"},
            needs=("phone_number", "termination_uri"),
        ),
    ),
    update=RequestForm(
        value=dialnexa.UpdatePhoneNumber,
        takes={"label": "nickname", "inbound_agent_id": "agent_id", "accounting_label": "label"},
    ),
    key="id",
    shown=(
        ("label", "nickname"),
        ("inbound_agent_id", "inbound_agent_id"),  # a response has the agent under either name
        ("inbound_agent_id", "agent_id"),
        ("accounting_label", "label"),
    ),
)

VENDORS: Final[Mapping[str, VendorSchema]] = {
    each.platform: each for each in (_SIGMAMIND, _VERBEX, _DIALNEXA)
}

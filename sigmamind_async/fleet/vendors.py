"""The three platforms in the words of a fleet: one table each.

A field stands in each request that takes it. What a request that brings a number does not take,
and an update does, is written by an update behind it; what no update takes is said once, when the
number comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sigmamind_async.convert import present_keys
from sigmamind_async.fleet.vendor_schema import RequestForm, VendorSchema
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.provisioning.adapters.dialnexa import DIALNEXA, PurchaseAnyNumber
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND
from sigmamind_async.provisioning.adapters.verbex import VERBEX

_NUMBER: Final = {"phone_number": "phone_number"}
_AGENTS: Final = {"inbound_agent_id": "inbound_agent_id", "outbound_agent_id": "outbound_agent_id"}

# --- SigmaMind -------------------------------------------------------------------------------

_SIGMAMIND_COMMON: Final = {
    "label": "friendly_name",
    **_AGENTS,
    "test_number": "outbound_phone_number",
}
_SIGMAMIND_TRUNK: Final = {
    "termination_uri": "termination_sip_uri",
    "trunk_username": "trunk_username",
    "trunk_password": "trunk_password",
}
_SIGMAMIND_PURCHASE: Final = {
    **_NUMBER,
    **_SIGMAMIND_COMMON,
    "country_code": "country_code",
    "area_code": "area_code",
}


def _sigmamind_fields(found: sigmamind.PhoneNumber) -> dict[str, tuple[str, object]]:
    return {
        "label": ("friendlyName", found.friendly_name),
        "inbound_agent_id": ("inboundAgentId", found.inbound_agent_id),
        "outbound_agent_id": ("outboundAgentId", found.outbound_agent_id),
        "test_number": ("outboundPhoneNumber", found.outbound_phone_number),
        "termination_uri": ("terminationSipURI", found.termination_sip_uri),
    }


_SIGMAMIND: Final = VendorSchema(
    platform="sigmamind",
    adapter=SIGMAMIND,
    purchases=(
        # A bought number has no trunk of one's own: the platform takes these without effect.
        RequestForm(
            value=sigmamind.CreatePhoneNumber,
            takes=_SIGMAMIND_PURCHASE,
            needs=("phone_number",),
            excludes=tuple(_SIGMAMIND_TRUNK),
        ),
        RequestForm(
            value=sigmamind.CreatePhoneNumber,
            takes=_SIGMAMIND_PURCHASE,
            needs=("country_code",),
            excludes=tuple(_SIGMAMIND_TRUNK),
        ),
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
    shown=_sigmamind_fields,
)

# --- Verbex ----------------------------------------------------------------------------------

_VERBEX_COMMON: Final = {"label": "friendly_name", **_AGENTS}
_VERBEX_TRUNK: Final = {
    "termination_uri": "sip_termination_uri",
    "trunk_username": "sip_trunk_username",
    "trunk_password": "sip_trunk_password",
}
_VERBEX_TWILIO: Final = {
    "twilio_account_sid": "twilio_account_sid",
    "twilio_auth_token": "twilio_auth_token",
}


def _of_verbex(found: verbex.PhoneNumber) -> dict[str, tuple[str, object]]:
    told: dict[str, tuple[str, object]] = {
        "label": ("friendly_name", found.friendly_name),
        "inbound_agent_id": ("inbound_agent_id", found.inbound_agent_id),
        "outbound_agent_id": ("outbound_agent_id", found.outbound_agent_id),
    }
    match found:
        case verbex.SipPhoneNumber():
            told["termination_uri"] = ("sip_termination_uri", found.sip_termination_uri)
            told["trunk_username"] = ("sip_trunk_username", found.sip_trunk_username)
        case verbex.TwilioPhoneNumber():
            told["twilio_account_sid"] = ("twilio_account_sid", found.twilio_account_sid)
        case _:
            pass
    return told


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
            takes={
                **_NUMBER,
                **_VERBEX_COMMON,
                **_VERBEX_TRUNK,
                "sip_infra_region": "sip_infra_region",
            },
            needs=("phone_number",),
            excludes=tuple(_VERBEX_TWILIO),
        ),
    ),
    update=RequestForm(
        value=verbex.UpdatePhoneNumber, takes={**_VERBEX_COMMON, **_VERBEX_TRUNK, **_VERBEX_TWILIO}
    ),
    key="phone_number_id",
    shown=_of_verbex,
)

# --- DialNexa --------------------------------------------------------------------------------

_DIALNEXA_TRUNK: Final = {
    "termination_uri": "termination_uri",
    "auth_mode": "auth_mode",
    "trunk_username": "sip_trunk_user_name",
    "trunk_password": "sip_trunk_password",
}


def _dialnexa_fields(found: dialnexa.PhoneNumber) -> dict[str, tuple[str, object]]:
    # The agent has two names, of which an answer uses one; it may also be null under its name.
    newer = found.agent_id is None and "inbound_agent_id" in present_keys(found)
    agent = "inbound_agent_id" if newer else "agent_id"
    return {
        "label": ("nickname", found.nickname),
        "inbound_agent_id": (agent, found.routed_agent_id),
        "accounting_label": ("label", found.label),
    }


_DIALNEXA: Final = VendorSchema(
    platform="dialnexa",
    adapter=DIALNEXA,
    purchases=(
        RequestForm(
            value=dialnexa.PurchasePhoneNumber,
            takes={
                **_NUMBER,
                "country_code": "country_iso",
                "telephony_provider_id": "telephony_provider_id",
            },
            needs=("phone_number", "country_code", "telephony_provider_id"),
        ),
        RequestForm(
            value=PurchaseAnyNumber,
            takes={
                "country_code": "country_iso",
                "telephony_provider_id": "telephony_provider_id",
                "type": "type",
            },
            needs=("country_code", "telephony_provider_id"),
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
    shown=_dialnexa_fields,
)

VENDORS: Final[Mapping[str, VendorSchema]] = {
    each.platform: each for each in (_SIGMAMIND, _VERBEX, _DIALNEXA)
}

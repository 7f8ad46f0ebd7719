"""The recorded bodies, and for each recorded request the value that stands for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from sigmamind_async.convert import Record, RequestValue
from sigmamind_async.operation import Operation, Response
from sigmamind_async.platforms.dialnexa import models as dialnexa
from sigmamind_async.platforms.dialnexa import operations as dialnexa_operations
from sigmamind_async.platforms.sigmamind import models as sigmamind
from sigmamind_async.platforms.sigmamind import operations as sigmamind_operations
from sigmamind_async.platforms.verbex import models as verbex
from sigmamind_async.platforms.verbex import operations as verbex_operations

SAMPLES = Path(__file__).parents[2] / "samples"

Sample = dict[str, Any]


def read_sample(platform: str, name: str) -> Sample:
    """Return one recorded exchange."""
    recorded: Sample = json.loads((SAMPLES / platform / f"{name}.json").read_text())
    return recorded


def held_at(sample: Sample) -> Any:
    """Return the record, or the list of records, that a recorded answer holds."""
    found = sample["response"]["json"]
    for key in sample.get("at", []):
        found = found[key]
    return found


@attrs.frozen(kw_only=True)
class Recorded:
    """One platform's requests."""

    models: ModuleType
    operations: Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]
    site: str
    """Where its documentation is."""
    names: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The operations of those samples that have another name."""
    values: Mapping[str, RequestValue[Any]]

    def operation(self, name: str) -> Operation[Any]:
        value = self.values[name]
        return self.operations[type(value)](value)

    def decoded(self, name: str, body: object) -> Any:
        value = self.values[name]
        if isinstance(value, dialnexa.UpdatePhoneNumber):
            # The documented answer is that of another number than the documented request.
            value = attrs.evolve(value, id="phn_abc123")
        operation = self.operations[type(value)](value)
        return operation.decode(Response(status=200, body=json.dumps(body).encode()))


def records_in(decoded: Any) -> list[Record]:
    """Return the records of an answer: itself, those of a page, or those of a list."""
    if isinstance(decoded, Record):
        return [decoded]
    return list(getattr(decoded, "items", decoded) or [])


SIGMAMIND_AGENT = "awTw7UKhOsLGiDbt"
SIGMAMIND = Recorded(
    models=sigmamind,
    operations=sigmamind_operations.OPERATIONS,
    site="https://docs.sigmamind.ai/",
    values={
        "create_phone_number": sigmamind.CreatePhoneNumber(
            friendly_name="Support Line - US",
            country_code="US",
            area_code=415,
            phone_number="+14155552671",
            inbound_agent_id=SIGMAMIND_AGENT,
            outbound_agent_id=SIGMAMIND_AGENT,
            outbound_phone_number="+14155552671",
        ),
        "import_phone_number": sigmamind.ImportPhoneNumber(
            phone_number="+14155552671",
            friendly_name="BYO - Main Office Line",
            inbound_agent_id=SIGMAMIND_AGENT,
            outbound_agent_id=SIGMAMIND_AGENT,
            trunk_username="my_trunk_user",
            trunk_password="tr!nkP@ssword",
            termination_sip_uri="sip.telnyx.com",
            outbound_phone_number="+14155552671",
        ),
        "update_phone_number": sigmamind.UpdatePhoneNumber(
            phone_number="+14155552671",
            friendly_name="Support Line - US",
            inbound_agent_id=SIGMAMIND_AGENT,
            outbound_agent_id=SIGMAMIND_AGENT,
            termination_sip_uri="sip.telnyx.com",
            trunk_username="my_trunk_user",
            trunk_password="tr!nkP@ssword",
            outbound_phone_number="+14155552671",
        ),
        "get_phone_number": sigmamind.GetPhoneNumber(phone_number="+14155552671"),
        "list_phone_numbers": sigmamind.ListPhoneNumbers(size=2),
        "delete_phone_number": sigmamind.DeletePhoneNumber(phone_number="+14155552671"),
        "get_agent": sigmamind.GetAgent(agent_id="agent_D5D0p7TUs66TTAEAx"),
        "list_agents": sigmamind.ListAgents(size=2),
        "create_call": sigmamind.CreateCall(
            from_phone_number="+14155552671",
            to_phone_number="+14155552672",
            agent_id="agent_D5D0p7TUs66TTAEAx",
            dynamic_variables={"name": "Ada"},
        ),
        "get_call": sigmamind.GetCall(call_id="call_8kJ2hQ"),
        "list_calls": sigmamind.ListCalls(status="ended", size=2),
        "delete_call": sigmamind.DeleteCall(call_id="call_8kJ2hQ"),
    },
)

VERBEX_ID = "66f0c2a4e1b2c3d4e5f60718"
_LABELS: dict[str, Any] = {
    "friendly_name": "Support Line",
    "inbound_agent_id": "agent_in_1",
    "outbound_agent_id": "agent_out_1",
}
_TRUNK: dict[str, Any] = {
    "sip_termination_uri": "sip:carrier.example.com",
    "sip_trunk_username": "trunk-user",
    "sip_trunk_password": "tr!nkP@ssword",
}
_TWILIO: dict[str, Any] = {
    "twilio_account_sid": "AC0123456789",
    "twilio_auth_token": "tw-t0ken",
}
VERBEX = Recorded(
    models=verbex,
    operations=verbex_operations.OPERATIONS,
    site="https://docs.verbex.ai",
    names={
        f"{verb}_{kind}_phone_number": f"{verb}_phone_number"
        for verb in ("create", "update")
        for kind in ("sip", "pia", "twilio")
    },
    values={
        "create_sip_phone_number": verbex.CreateSipPhoneNumber(
            phone_number="+14155552671", **_LABELS, **_TRUNK, sip_infra_region="bd"
        ),
        "create_pia_phone_number": verbex.CreatePiaPhoneNumber(
            phone_number="+14155552671", **_LABELS
        ),
        "create_twilio_phone_number": verbex.CreateTwilioPhoneNumber(
            phone_number="+14155552671", **_LABELS, **_TWILIO
        ),
        "update_sip_phone_number": verbex.UpdateSipPhoneNumber(
            phone_number_id=VERBEX_ID, **_LABELS, **_TRUNK
        ),
        "update_pia_phone_number": verbex.UpdatePiaPhoneNumber(
            phone_number_id=VERBEX_ID, **_LABELS
        ),
        "update_twilio_phone_number": verbex.UpdateTwilioPhoneNumber(
            phone_number_id=VERBEX_ID, **_LABELS, **_TWILIO
        ),
        "update_phone_number": verbex.UpdatePhoneNumber(
            phone_number_id=VERBEX_ID,
            friendly_name=None,
            inbound_agent_id=None,
            outbound_agent_id=None,
            sip_termination_uri=None,
            sip_trunk_username=None,
            sip_trunk_password=None,
        ),
        "get_phone_number": verbex.GetPhoneNumber(phone_number_id=VERBEX_ID),
        "list_phone_numbers": verbex.ListPhoneNumbers(page_size=2, page_token="b2Zmc2V0OjI="),
        "delete_phone_number": verbex.DeletePhoneNumber(phone_number_id=VERBEX_ID),
    },
)

_IMPORT: dict[str, Any] = {"phone_number": "+912234567890", "termination_uri": "sip.example.com"}
DIALNEXA = Recorded(
    models=dialnexa,
    operations=dialnexa_operations.OPERATIONS,
    site="https://dialnexa.",
    names={
        "update_phone_number_detached": "update_phone_number",
        "get_phone_number_narrative": "get_phone_number",
        "get_phone_number_newer": "get_phone_number",
        "get_phone_number_wrapped": "get_phone_number",
        "list_phone_numbers_meta": "list_phone_numbers",
        "list_phone_numbers_wrapped": "list_phone_numbers",
        "list_phone_numbers_bare": "list_phone_numbers",
        "purchase_phone_number_older": "purchase_phone_number",
        "import_sip_trunk_by_address": "import_sip_trunk",
    },
    values={
        "search_phone_numbers": dialnexa.SearchPhoneNumbers(country_iso="IN", type="tollfree"),
        "list_phone_number_pricing": dialnexa.ListPhoneNumberPricing(),
        "purchase_phone_number": dialnexa.PurchasePhoneNumber(
            phone_number="+912234567890", telephony_provider_id="tp_abc123xyz78", country_iso="IN"
        ),
        "purchase_phone_number_older": dialnexa.PurchasePhoneNumber(
            phone_number="+912234567890", provider="twilio", older_body=True
        ),
        "import_sip_trunk": dialnexa.ImportSipTrunk(
            phone_number="+912234567890",
            termination_uri="sip.example.com:5060",
            auth_mode="userpass",
            sip_trunk_user_name="trunk-user",
            sip_trunk_password="tr!nkP@ssword",
            nickname="Sales Line",
        ),
        "import_sip_trunk_by_address": dialnexa.ImportSipTrunk(**_IMPORT, auth_mode="ip"),
        "update_phone_number": dialnexa.UpdatePhoneNumber(
            id="phn_f7w2kx5mb9qz",
            agent_id="agt_abc123",
            nickname="Sales Line",
            label="Main Support Line",
        ),
        "update_phone_number_detached": dialnexa.UpdatePhoneNumber(
            id="phn_f7w2kx5mb9qz", agent_id=None, nickname=None
        ),
        "get_phone_number": dialnexa.GetPhoneNumber(id="phn_abc123"),
        "get_phone_number_narrative": dialnexa.GetPhoneNumber(id="phn_f7w2kx5mb9qz"),
        "get_phone_number_newer": dialnexa.GetPhoneNumber(id="phn_abc123"),
        "get_phone_number_wrapped": dialnexa.GetPhoneNumber(id="phn_abc123"),
        "list_phone_numbers": dialnexa.ListPhoneNumbers(limit=2, country_code="IN", type="local"),
        "list_phone_numbers_meta": dialnexa.ListPhoneNumbers(page=2, limit=2),
        "list_phone_numbers_wrapped": dialnexa.ListPhoneNumbers(limit=2),
        "list_phone_numbers_bare": dialnexa.ListPhoneNumbers(limit=2),
        "release_phone_number": dialnexa.ReleasePhoneNumber(id="phn_abc123"),
        "get_agent": dialnexa.GetAgent(id="agent_2g7Xy3tY53gRlp"),
        "update_agent": dialnexa.UpdateAgent(
            id="agent_2g7Xy3tY53gRlp",
            version_number=3,
            inbound_phone_number_id="phn_abc123",
            outbound_phone_number_id="",
            is_published=True,
        ),
    },
)

PLATFORMS = {"sigmamind": SIGMAMIND, "verbex": VERBEX, "dialnexa": DIALNEXA}
CASES = [(platform, name) for platform, each in PLATFORMS.items() for name in each.values]
"""Every recorded request, by platform and name."""

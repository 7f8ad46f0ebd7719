"""The request values check themselves; the limits are those of the documented pages.

https://docs.sigmamind.ai/api-reference/phone-numbers: create, import and update.
"""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from sigmamind_async.convert import RequestValue, body_of, dump_json, wire_names
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms.sigmamind.models import (
    BYO,
    TELNYX,
    TWILIO,
    Call,
    CreateCall,
    CreatePhoneNumber,
    DeleteCall,
    DeletePhoneNumber,
    GetAgent,
    GetCall,
    GetPhoneNumber,
    ImportPhoneNumber,
    ListAgents,
    ListCalls,
    ListPhoneNumbers,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.values import UNSET, Secret

NUMBER = "+14155552671"
KINDS: dict[str, tuple[type[RequestValue[PhoneNumber]], dict[str, Any]]] = {
    "create": (CreatePhoneNumber, {"country_code": "US"}),
    "import": (ImportPhoneNumber, {"phone_number": NUMBER}),
    "update": (UpdatePhoneNumber, {"phone_number": NUMBER, "friendly_name": "x"}),
}
EVERYWHERE = ["create", "import", "update"]
ON_A_TRUNK = ["import", "update"]


def made(kind: str, **fields: Any) -> RequestValue[PhoneNumber]:
    cls, needed = KINDS[kind]
    return cls(**{**needed, **fields})


def cases(rows: list[tuple[list[str], str, Any]]) -> list[tuple[str, str, Any]]:
    return [(kind, field, value) for kinds, field, value in rows for kind in kinds]


ACCEPTED = cases(
    [
        (EVERYWHERE, "friendly_name", "x" * 128),
        (EVERYWHERE, "friendly_name", ""),
        (EVERYWHERE, "inbound_agent_id", "x" * 64),
        (EVERYWHERE, "outbound_agent_id", "x" * 64),
        (EVERYWHERE, "inbound_agent_id", "awTw7UKhOsLGiDbt"),
        (EVERYWHERE, "outbound_phone_number", "+1415555"),
        (EVERYWHERE, "outbound_phone_number", "+141555526711234"),
        (["create", "import"], "phone_number", "+1415555"),
        (["create", "import"], "phone_number", "+141555526711234"),
        (["create"], "country_code", "GB"),
        (["create"], "area_code", 100),
        (["create"], "area_code", 99_999),
        (ON_A_TRUNK, "trunk_username", "x" * 128),
        (ON_A_TRUNK, "trunk_password", "x" * 128),
        (ON_A_TRUNK, "trunk_password", Secret("x" * 128)),
        (ON_A_TRUNK, "termination_sip_uri", "x" * 253),
        (ON_A_TRUNK, "termination_sip_uri", "sip.twilio.com"),
        (ON_A_TRUNK, "termination_sip_uri", "sip:me@sip.telnyx.com:5061;transport=tls"),
        (ON_A_TRUNK, "termination_sip_uri", "notsip.livekit.cloud"),
        (["update"], "inbound_agent_id", None),
        (["update"], "outbound_agent_id", None),
    ]
)

REFUSED = cases(
    [
        (EVERYWHERE, "friendly_name", "x" * 129),
        (EVERYWHERE, "friendly_name", None),
        (EVERYWHERE, "friendly_name", 5),
        (EVERYWHERE, "inbound_agent_id", "x" * 65),
        (EVERYWHERE, "outbound_agent_id", "x" * 65),
        (EVERYWHERE, "inbound_agent_id", ""),
        (EVERYWHERE, "outbound_agent_id", ""),
        (EVERYWHERE, "inbound_agent_id", 7),
        (["create", "import"], "inbound_agent_id", None),
        (["create", "import"], "outbound_agent_id", None),
        (EVERYWHERE, "outbound_phone_number", "+141555"),
        (EVERYWHERE, "outbound_phone_number", "+1415555267112345"),
        (EVERYWHERE, "outbound_phone_number", None),
        (EVERYWHERE, "phone_number", "+141555"),
        (EVERYWHERE, "phone_number", "+1415555267112345"),
        (EVERYWHERE, "phone_number", "14155552671"),
        (EVERYWHERE, "phone_number", "+04155552671"),
        (EVERYWHERE, "phone_number", "+1 415 555 2671"),
        (EVERYWHERE, "phone_number", None),
        (["create"], "country_code", "us"),
        (["create"], "country_code", "USA"),
        (["create"], "country_code", "U"),
        (["create"], "country_code", None),
        (["create"], "area_code", 99),
        (["create"], "area_code", 100_000),
        (["create"], "area_code", "415"),
        (["create"], "area_code", True),
        (["create"], "area_code", None),
        (ON_A_TRUNK, "trunk_username", "x" * 129),
        (ON_A_TRUNK, "trunk_username", None),
        (ON_A_TRUNK, "trunk_password", "x" * 129),
        (ON_A_TRUNK, "trunk_password", Secret("x" * 129)),
        (ON_A_TRUNK, "trunk_password", None),
        (ON_A_TRUNK, "trunk_password", 5),
        (ON_A_TRUNK, "termination_sip_uri", "x" * 254),
        (ON_A_TRUNK, "termination_sip_uri", ""),
        (ON_A_TRUNK, "termination_sip_uri", None),
        (ON_A_TRUNK, "termination_sip_uri", "28y698lhv2f.sip.livekit.cloud"),
        (ON_A_TRUNK, "termination_sip_uri", "SIP.LiveKit.Cloud."),
        (ON_A_TRUNK, "termination_sip_uri", "sip:+1415@28y698lhv2f.sip.livekit.cloud:5060"),
        (ON_A_TRUNK, "termination_sip_uri", "sips:28y698lhv2f.sip.livekit.cloud;transport=tls"),
    ]
)


@pytest.mark.parametrize(("kind", "field", "value"), ACCEPTED)
def test_a_value_within_the_limit_is_accepted_and_sent_as_it_is(
    kind: str, field: str, value: Any
) -> None:
    request = made(kind, **{field: value})
    key = wire_names(type(request)).get(field)

    assert getattr(request, field) == (
        Secret(value) if field == "trunk_password" and isinstance(value, str) else value
    )
    assert key is None or body_of(request)[key.name] is getattr(request, field)


@pytest.mark.parametrize(("kind", "field", "value"), REFUSED)
def test_a_value_past_the_limit_is_refused_by_the_name_of_its_field(
    kind: str, field: str, value: Any
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        made(kind, **{field: value})

    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_a_refused_own_host_says_whose_it_is() -> None:
    with pytest.raises(InvalidRequestError, match="SigmaMind's own SIP host; give your carrier's"):
        made("import", termination_sip_uri="28y698lhv2f.sip.livekit.cloud")


def test_a_purchase_needs_a_number_or_a_country() -> None:
    CreatePhoneNumber(phone_number=NUMBER)
    CreatePhoneNumber(country_code="US")
    with pytest.raises(InvalidRequestError, match="country_code: give it, or a phone_number"):
        CreatePhoneNumber(area_code=415, friendly_name="Support")


def test_an_import_needs_only_the_number() -> None:
    """The newest page marks nothing else required; without the trunk, calls come in only."""
    assert body_of(ImportPhoneNumber(phone_number=NUMBER)) == {"phoneNumber": NUMBER}
    with pytest.raises(TypeError, match="phone_number"):
        ImportPhoneNumber()  # type: ignore[call-arg]


def test_an_update_that_changes_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="update: names no field to change"):
        UpdatePhoneNumber(phone_number=NUMBER)


@pytest.mark.parametrize("agent", ["inbound_agent_id", "outbound_agent_id"])
def test_null_removes_an_agent_and_nothing_else(agent: str) -> None:
    value = made("update", friendly_name=UNSET, **{agent: None})

    assert list(body_of(value).values()) == [None]


def test_the_update_spells_the_uri_its_own_way() -> None:
    """``Uri`` in this request alone; ``URI`` in the import and in every answer."""
    assert list(body_of(made("update", friendly_name=UNSET, termination_sip_uri="a"))) == [
        "terminationSipUri"
    ]
    assert "terminationSipURI" in body_of(made("import", termination_sip_uri="a"))
    assert wire_names(PhoneNumber)["termination_sip_uri"].name == "terminationSipURI"


@pytest.mark.parametrize("kind", ON_A_TRUNK)
def test_a_password_is_write_only(kind: str) -> None:
    value = made(kind, trunk_password="tr!nkP@ssword")

    assert "tr!nkP@ssword" not in repr(value) + repr(attrs.asdict(value))
    assert b'"trunkPassword":"tr!nkP@ssword"' in dump_json(body_of(value))
    assert "trunk_password" not in attrs.fields_dict(PhoneNumber)


@pytest.mark.parametrize("kind", ON_A_TRUNK)
def test_a_value_with_a_password_cannot_be_pickled(kind: str) -> None:
    pickle.dumps(made(kind))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made(kind, trunk_password="hunter2"))


def test_a_purchase_sends_no_trunk() -> None:
    names = {mark.name for mark in wire_names(CreatePhoneNumber).values()}

    assert not {name for name in names if "trunk" in name.lower() or "sip" in name.lower()}


def test_the_providers_have_names() -> None:
    assert {TWILIO, TELNYX, BYO} == {"twilio", "telnyx", "byo"}


@pytest.mark.parametrize("cls", [GetPhoneNumber, DeletePhoneNumber])
def test_a_number_in_a_path_is_checked(cls: Any) -> None:
    with pytest.raises(InvalidRequestError, match="phone_number"):
        cls(phone_number="../agents")


@pytest.mark.parametrize(
    ("cls", "field"), [(GetAgent, "agent_id"), (GetCall, "call_id"), (DeleteCall, "call_id")]
)
@pytest.mark.parametrize("value", ["", "..", "a/b", "a?b", "a#b", "%2e%2e", None])
def test_an_id_in_a_path_is_checked(cls: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        cls(**{field: value})


@pytest.mark.parametrize("cls", [ListPhoneNumbers, ListAgents, ListCalls])
@pytest.mark.parametrize("page", [-1, True, "0", 1.0, None, 2**31])
def test_a_page_is_checked(cls: Any, page: Any) -> None:
    """It is counted from 0, and int32."""
    assert (cls().page, cls(page=2**31 - 1).page) == (0, 2**31 - 1)
    with pytest.raises(InvalidRequestError, match="page"):
        cls(page=page)


@pytest.mark.parametrize("status", ["", None, 7])
def test_a_status_is_an_open_word(status: Any) -> None:
    assert ListCalls(status="brand_new").status == "brand_new"
    with pytest.raises(InvalidRequestError, match="status"):
        ListCalls(status=status)


@pytest.mark.parametrize("cls", [ListPhoneNumbers, ListAgents, ListCalls])
@pytest.mark.parametrize("size", [0, 1_001, True, "10"])
def test_a_page_size_is_checked(cls: Any, size: Any) -> None:
    assert (cls(size=1).size, cls(size=1_000).size) == (1, 1_000)
    with pytest.raises(InvalidRequestError, match="size"):
        cls(size=size)


def test_a_call_needs_both_numbers_and_no_agent() -> None:
    assert body_of(CreateCall(from_phone_number=NUMBER, to_phone_number=NUMBER)) == {
        "fromPhoneNumber": NUMBER,
        "toPhoneNumber": NUMBER,
    }
    with pytest.raises(InvalidRequestError, match="to_phone_number"):
        CreateCall(from_phone_number=NUMBER, to_phone_number="911")


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({}, False),
        ({"status": "scheduled"}, False),
        ({"status": "in-progress"}, False),
        ({"status": "in_progress"}, False),
        ({"status": "ringing"}, False),
        ({"status": "completed"}, True),
        ({"status": "failed"}, True),
        ({"status": "ended"}, True),
        ({"status": "not-connected"}, True),
        ({"status": "error"}, True),
        ({"status": "archived", "termination_reason": "busy"}, True),
        ({"status": "in_progress", "termination_reason": "busy"}, False),
        ({"status": "archived", "end_time": "2026-05-05T10:07:15.500Z"}, True),
        ({"status": "scheduled", "end_time": "", "termination_reason": ""}, False),
    ],
)
def test_a_call_has_ended_in_any_of_the_three_vocabularies(
    fields: dict[str, str], ended: bool
) -> None:
    assert Call(**fields).has_ended is ended  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_a_request_value_cannot_be_changed(kind: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made(kind).friendly_name = "y"  # type: ignore[attr-defined]

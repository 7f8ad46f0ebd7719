"""The request values check themselves.

https://dialnexa.mintlify.app ("Update Phone Number", "Buy a Phone Number") and
https://dialnexa.com/docs.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.convert import body_of, wire_names
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms import dialnexa
from sigmamind_async.platforms.dialnexa.models import (
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumbers,
    PhoneNumber,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.values import Secret

NUMBER = "+912234567890"

MAKERS: dict[str, Any] = {
    "update": lambda **given: UpdatePhoneNumber(**{"id": "phn_abc123", **given}),
    "purchase": lambda **given: PurchasePhoneNumber(
        **{
            "phone_number": NUMBER,
            "telephony_provider_id": "tp_abc123xyz78",
            "country_iso": "IN",
            **given,
        }
    ),
    "older purchase": lambda **given: PurchasePhoneNumber(
        **{"phone_number": NUMBER, "older_body": True, **given}
    ),
    "import": lambda **given: ImportSipTrunk(
        **{
            "phone_number": NUMBER,
            "termination_uri": "sip.example.com",
            "sip_trunk_user_name": "u",
            "sip_trunk_password": "p",
            **given,
        }
    ),
    "agent": lambda **given: UpdateAgent(**{"id": "agt_1", "version_number": 1, **given}),
    "search": lambda **given: SearchPhoneNumbers(**{"country_iso": "IN", **given}),
    "list": ListPhoneNumbers,
}

ACCEPTED: list[tuple[str, str, Any]] = [
    ("update", "agent_id", "agt_abc123"),
    ("update", "agent_id", "agent_2g7Xy3tY53gRlp"),
    ("update", "agent_id", "Qm4Zt8Kd1Vb7Xs"),
    ("update", "agent_id", None),
    ("update", "nickname", "x" * 255),
    ("update", "nickname", None),
    ("update", "nickname", ""),
    ("update", "label", "x" * 1_000),
    ("update", "label", ""),
    ("purchase", "phone_number", "+14155550100"),
    ("purchase", "telephony_provider_id", "tp_abc123xyz789"),
    ("purchase", "telephony_provider_id", "plivo_123456"),
    ("purchase", "country_iso", "US"),
    ("older purchase", "provider", "twilio"),
    ("import", "termination_uri", "sip.example.com:5060"),
    ("import", "auth_mode", "userpass"),
    ("import", "sip_trunk_password", Secret("p")),
    ("import", "nickname", "x" * 255),
    ("agent", "inbound_phone_number_id", "phn_abc123"),
    ("agent", "inbound_phone_number_id", ""),
    ("agent", "outbound_phone_number_id", ""),
    ("agent", "is_published", True),
]
REFUSED: list[tuple[str, str, Any]] = [
    ("update", "id", "../agents"),
    ("update", "agent_id", ""),
    ("update", "agent_id", 7),
    ("update", "nickname", "x" * 256),
    ("update", "nickname", 7),
    ("update", "label", None),
    ("update", "label", 7),
    ("purchase", "phone_number", "912234567890"),
    ("purchase", "phone_number", None),
    ("purchase", "telephony_provider_id", None),
    ("purchase", "country_iso", "IND"),
    ("purchase", "country_iso", "in"),
    ("purchase", "provider", "twilio"),
    ("older purchase", "country_iso", "IN"),
    ("older purchase", "telephony_provider_id", "tp_abc123xyz78"),
    ("import", "phone_number", "sip:1"),
    ("import", "termination_uri", "sip:carrier.example.com"),
    ("import", "termination_uri", "SIPS:carrier.example.com"),
    ("import", "termination_uri", ""),
    ("import", "termination_uri", None),
    ("import", "auth_mode", "password"),
    ("import", "auth_mode", None),
    ("import", "sip_trunk_user_name", None),
    ("import", "sip_trunk_password", None),
    ("import", "sip_trunk_password", "********"),
    ("import", "nickname", "x" * 256),
    ("agent", "version_number", True),
    ("agent", "version_number", "1"),
    ("agent", "inbound_phone_number_id", None),
    ("agent", "outbound_phone_number_id", None),
    ("search", "country_iso", "India"),
    ("search", "type", None),
    ("search", "type", ""),
    ("purchase", "telephony_provider_id", ""),
    ("older purchase", "provider", ""),
    ("import", "sip_trunk_user_name", ""),
    ("agent", "version_number", -1),
    ("agent", "is_published", "yes"),
    ("agent", "is_published", None),
    ("list", "type", ""),
    ("list", "page", -1),
    ("list", "page", "1"),
    ("list", "limit", -1),
    ("list", "page", 0),
    ("list", "limit", 0),
    ("list", "limit", 101),
    ("list", "country_code", "us"),
]


@pytest.mark.parametrize(("kind", "field", "value"), ACCEPTED)
def test_a_value_within_the_rules_is_sent_as_it_is(kind: str, field: str, value: Any) -> None:
    request = MAKERS[kind](**{field: value})
    mark = wire_names(type(request)).get(field)

    assert getattr(request, field) == value
    assert mark is None or body_of(request)[mark.name] is getattr(request, field)


@pytest.mark.parametrize(("kind", "field", "value"), REFUSED)
def test_a_value_past_the_rules_is_refused_by_the_name_of_its_field(
    kind: str, field: str, value: Any
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MAKERS[kind](**{field: value})

    assert caught.value.field == field


# ---------------------------------------------------------------- updates


def test_no_agent_detaches_routing() -> None:
    """``null`` is the documented way; an empty text is refused."""
    assert body_of(UpdatePhoneNumber(id="phn_1", agent_id=None)) == {"agent_id": None}


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_nickname_clears_it(nothing: str | None) -> None:
    assert body_of(UpdatePhoneNumber(id="phn_1", nickname=nothing)) == {"nickname": nothing}


def test_an_empty_text_detaches_a_number_from_an_agent() -> None:
    value = UpdateAgent(id="agt_1", version_number=1, inbound_phone_number_id="")

    assert body_of(value) == {"version_number": 1, "inbound_phone_number_id": ""}


@pytest.mark.parametrize("kind", ["update", "agent"])
def test_an_update_that_changes_nothing_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match="update: names no field to change"):
        MAKERS[kind]()


def test_what_cannot_be_updated_is_no_field() -> None:
    """Carrier, number and cost are out of this call's reach."""
    assert {mark.name for mark in wire_names(UpdatePhoneNumber).values()} == {
        "agent_id",
        "nickname",
        "label",
    }


# ---------------------------------------------------------------- how numbers come


@pytest.mark.parametrize(
    ("given", "field"),
    [({}, "telephony_provider_id"), ({"telephony_provider_id": "tp_1"}, "country_iso")],
)
def test_the_newer_purchase_needs_all_its_fields(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{field}: the newer body needs it"):
        PurchasePhoneNumber(phone_number=NUMBER, **given)


def test_the_older_purchase_needs_only_the_number() -> None:
    assert PurchasePhoneNumber(phone_number=NUMBER, older_body=True).phone_number == NUMBER


@pytest.mark.parametrize("mode", [{}, {"auth_mode": "userpass"}])
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"sip_trunk_password": "p"}, "sip_trunk_user_name"),
        ({"sip_trunk_user_name": "u"}, "sip_trunk_password"),
    ],
)
def test_an_import_by_password_needs_both(mode: Any, given: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError, match="is needed, or auth_mode 'ip'") as caught:
        ImportSipTrunk(phone_number=NUMBER, termination_uri="h", **mode, **given)

    assert caught.value.field == field


@pytest.mark.parametrize("field", ["sip_trunk_user_name", "sip_trunk_password"])
def test_an_import_by_address_forbids_both(field: str) -> None:
    given: dict[str, Any] = {field: "x"}
    with pytest.raises(InvalidRequestError, match="must be left out with auth_mode 'ip'") as caught:
        ImportSipTrunk(phone_number=NUMBER, termination_uri="h", auth_mode="ip", **given)

    assert caught.value.field == field


def test_a_password_is_write_only() -> None:
    value = MAKERS["import"](sip_trunk_password="hunter2")

    assert "hunter2" not in repr(value) + repr(attrs.asdict(value))
    assert "sip_trunk_password" not in attrs.fields_dict(PhoneNumber)


# ---------------------------------------------------------------- keys and words


@pytest.mark.parametrize("cls", [GetPhoneNumber, ReleasePhoneNumber, GetAgent])
@pytest.mark.parametrize("value", ["", "..", "a/b", "a?b", "%2e", None])
def test_an_id_in_a_path_is_checked(cls: Any, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="id"):
        cls(id=value)


@pytest.mark.parametrize("id", ["phn_abc123", "phn_f7w2kx5mb9qz", "Qm4Zt8Kd1Vb7Xs", "anything"])
def test_an_id_is_opaque(id: str) -> None:  # noqa: A002 - the vendor's word
    assert GetPhoneNumber(id=id).id == id


def test_the_words_have_names() -> None:
    assert (dialnexa.PENDING, dialnexa.ACTIVE) == ("pending", "active")

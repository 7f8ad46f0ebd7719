"""What the platforms take and show, in the words of a fleet."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.convert import Record, structure
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.fleet.spec import FIELDS, Cell, Source
from sigmamind_async.fleet.vendors import PLACEHOLDER, VENDORS, RemoteNumber
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from tests.unit.fleet.rows import NUMBER, PLATFORMS

RECORDS: dict[str, type[Record]] = {
    "sigmamind": sigmamind.PhoneNumber,
    "verbex": verbex.PhoneNumber,
    "dialnexa": dialnexa.PhoneNumber,
}


def seen(platform: str, **told: Any) -> RemoteNumber:
    return VENDORS[platform].read_number(structure(told, RECORDS[platform]))


# ---------------------------------------------------------------- what is shown


def test_what_sigmamind_shows() -> None:
    """All but the trunk's user and password."""
    assert seen(
        "sigmamind",
        sipPhoneNumber=14155550100,
        friendlyName="Support",
        inboundAgentId="a1",
        outboundAgentId=None,
        outboundPhoneNumber="14155550101",
        terminationSipURI="sip.example",
    ) == RemoteNumber(
        platform="sigmamind",
        record=NUMBER,
        phone_number=NUMBER,
        shown={
            "label": "Support",
            "inbound_agent_id": "a1",
            "outbound_agent_id": None,
            "test_number": "+14155550101",
            "termination_uri": "sip.example",
        },
    )


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"provider": "pia"}, {}),
        (
            {"provider": "sip", "sip_termination_uri": "sip.example", "sip_trunk_username": None},
            {"termination_uri": "sip.example", "trunk_username": None},
        ),
        (
            {"provider": "twilio", "twilio_account_sid": "AC1", "twilio_auth_token": "t"},
            {"twilio_account_sid": "AC1"},
        ),
        ({"provider": "newer", "sip_termination_uri": "sip.example"}, {}),
    ],
)
def test_what_verbex_shows(told: dict[str, Any], shown: dict[str, Any]) -> None:
    """What the kind of number has; passwords, although they are shown, never."""
    one = seen("verbex", _id="r1", phone_number=NUMBER, friendly_name="", **told)

    assert one == RemoteNumber(
        platform="verbex", record="r1", phone_number=NUMBER, shown={"label": None, **shown}
    )


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({}, {}),
        ({"agent_id": "a1"}, {"inbound_agent_id": "a1"}),
        ({"inbound_agent_id": "a1"}, {"inbound_agent_id": "a1"}),
        ({"inbound_agent_id": None}, {"inbound_agent_id": None}),
        ({"agent_id": None}, {"inbound_agent_id": None}),
        ({"agent_id": None, "inbound_agent_id": "a1"}, {"inbound_agent_id": "a1"}),
        ({"agent_id": "a1", "inbound_agent_id": None}, {"inbound_agent_id": "a1"}),
        ({"agent_id": "", "inbound_agent_id": ""}, {"inbound_agent_id": None}),
        ({"nickname": "N", "label": "9"}, {"label": "N", "accounting_label": "9"}),
    ],
)
def test_what_dialnexa_shows(told: dict[str, Any], shown: dict[str, Any]) -> None:
    """The agent under either name, null as well; of what it is silent about nothing."""
    assert seen("dialnexa", id="phn_1", phone_number="14155550100", **told) == RemoteNumber(
        platform="dialnexa", record="phn_1", phone_number=NUMBER, shown=shown
    )


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("Support [sm:AAAAAAAAAAAAA.1]", "Support"),
        ("[sm:AAAAAAAAAAAAA.1]", None),
        ("", None),
        ("Support [sm:AAAAAAAAAAAAA.0]", "Support [sm:AAAAAAAAAAAAA.0]"),
        ("[sm:AAAAAAAAAAAAA.1] Support", "[sm:AAAAAAAAAAAAA.1] Support"),
        ("Support [sm]", "Support [sm]"),
    ],
)
def test_a_label_is_shown_without_its_tag(label: str, shown: str | None) -> None:
    """And nothing that only looks a little like one is taken away."""
    assert seen("sigmamind", sipPhoneNumber=NUMBER, friendlyName=label).shown == {"label": shown}


def test_an_accounting_label_has_no_tag() -> None:
    """Only labels that a purchase can carry are looked at."""
    text = "Support [sm:AAAAAAAAAAAAA.1]"

    assert seen("dialnexa", id="phn_1", phone_number=NUMBER, label=text).shown == {
        "accounting_label": text
    }


# ---------------------------------------------------------------- what is taken


def test_the_label_of_dialnexa_is_its_nickname() -> None:
    """Its own label is for the accounts."""
    update = VENDORS["dialnexa"].update

    assert update.request({"label": "L", "accounting_label": "9"}, id="phn_1") == (
        dialnexa.UpdatePhoneNumber(id="phn_1", nickname="L", label="9")
    )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_form_names_what_is_there(platform: str) -> None:
    """Fields are those of a fleet, attributes those of the request; no two of either are one."""
    capability = VENDORS[platform]
    for form in (*capability.purchases, *capability.imports, capability.update):
        attributes = {field.name for field in attrs.fields(form.value)}

        assert {*form.takes} <= {*FIELDS}
        assert {*form.takes.values()} <= attributes
        assert len(form.names) == len(form.takes)
        assert {*form.needs} <= {*form.takes}
        assert {*form.excludes} <= {*FIELDS} - {*form.takes}


@pytest.mark.parametrize(
    ("fields", "request_name"),
    [
        ({"phone_number": "+1"}, "CreateSipPhoneNumber"),
        (
            {"phone_number", "twilio_account_sid", "twilio_auth_token"},
            "CreateTwilioPhoneNumber",
        ),
        ({"phone_number", "twilio_account_sid"}, "CreateSipPhoneNumber"),
    ],
)
def test_the_first_way_that_suits_is_taken(fields: Any, request_name: str) -> None:
    """A number in a Twilio account is told by its credentials."""
    form = VENDORS["verbex"].form(Source.IMPORT, dict.fromkeys(fields, "x"))

    assert form is not None
    assert form.value.__name__ == request_name


def test_no_way_suits() -> None:
    """Nor has an existing number any."""
    assert VENDORS["dialnexa"].form(Source.PURCHASE, {"country_code": "US"}) is None
    assert VENDORS["dialnexa"].form(Source.EXISTING, dict.fromkeys(FIELDS, "x")) is None


def test_a_request_says_what_it_can() -> None:
    """What it does not take, or cannot clear, is for an update."""
    (form, _) = VENDORS["sigmamind"].purchases
    said = {"phone_number": NUMBER, "label": None, "inbound_agent_id": "a1", "trunk_username": "u"}

    part = form.part_of(said)

    assert part == {"phone_number": NUMBER, "inbound_agent_id": "a1"}
    assert form.request(part) == sigmamind.CreatePhoneNumber(
        phone_number=NUMBER, inbound_agent_id="a1"
    )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_field_that_can_be_cleared_is(platform: str) -> None:
    """An update with null is made of it; the other fields refuse."""
    capability = VENDORS[platform]
    update = capability.update
    for name in update.takes:
        if name in update.clears:
            made = update.request({name: None}, **{capability.key: NUMBER})
            assert getattr(made, update.takes[name]) is None


def test_what_is_left_out_is_not_said() -> None:
    """An update writes exactly what it is given."""
    made = VENDORS["verbex"].update.request({"label": None}, phone_number_id="r1")

    assert made == verbex.UpdatePhoneNumber(phone_number_id="r1", friendly_name=None)
    assert made != verbex.UpdatePhoneNumber(
        phone_number_id="r1", friendly_name=None, inbound_agent_id=None
    )


def test_an_update_that_mixes_two_kinds() -> None:
    """The platform's own rule, with the attribute's name."""
    update = VENDORS["verbex"].update
    fields: dict[str, Cell] = {"trunk_username": "u", "twilio_account_sid": "AC1"}

    with pytest.raises(InvalidRequestError) as caught:
        update.request(fields, phone_number_id="r1")

    assert caught.value.field == "twilio_account_sid"


# ---------------------------------------------------------------- types


def test_the_placeholder_passes_for_a_secret() -> None:
    """A row is checked before its secrets can be read."""
    update = VENDORS["sigmamind"].update

    assert update.check("trunk_password", "env:X") == ""
    update.request({"trunk_password": PLACEHOLDER}, phone_number=NUMBER)

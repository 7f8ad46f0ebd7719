"""Records, request values and outcomes as dictionaries, JSON and pydantic schemas."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.bulk import BulkResult, Outcome
from sigmamind_async.convert import structure
from sigmamind_async.convert.portable import hide_secrets, json_default
from sigmamind_async.errors import InvalidRequestError, NotFoundError
from sigmamind_async.platforms import dialnexa, verbex
from sigmamind_async.platforms.sigmamind.models import (
    CreatePhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
)
from sigmamind_async.platforms.verbex.models import SipPhoneNumber
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.values import Secret, SecretReference

RAW: dict[str, Any] = {
    "sipPhoneNumber": "+14155550100",
    "friendlyName": "Desk",
    "active": True,
    "inboundAgentId": None,
    "novel": {"apiKey": "sk-1234567890"},
}
SIP: dict[str, Any] = {
    "_id": "n_1",
    "provider": "sip",
    "phone_number": "+14155550100",
    "sip_trunk_password": "hunter22",
}


def test_a_record_is_a_dictionary_by_its_own_names() -> None:
    """Without bookkeeping: what `extra` and `nulls` hold is not the reader's."""
    number = structure(RAW, PhoneNumber)

    assert number.to_dict() == {
        "sip_phone_number": "+14155550100",
        "provider": None,
        "inbound_agent_id": None,
        "outbound_agent_id": None,
        "outbound_phone_number": None,
        "active": True,
        "termination_sip_uri": None,
        "friendly_name": "Desk",
    }


def test_by_wire_names_it_is_what_the_platform_sent() -> None:
    shown = structure(RAW, PhoneNumber).to_dict(wire=True)

    assert shown == {**RAW, "novel": {"apiKey": "***"}}


def test_no_form_shows_a_secret() -> None:
    number = structure(SIP, SipPhoneNumber)
    forms = [number.to_dict(), number.to_dict(wire=True), number.to_json(), repr(number)]

    assert "hunter22" not in json.dumps(forms)
    assert number.to_dict()["sip_trunk_password"] == "***"


def test_the_two_spellings_of_an_id_are_one() -> None:
    shown = structure(SIP, SipPhoneNumber).to_dict()

    assert shown["id"] == "n_1"
    assert not {"underscore_id", "plain_id"} & shown.keys()


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (PhoneNumber, {key: held for key, held in RAW.items() if key != "novel"}),
        (verbex.PhoneNumber, {key: held for key, held in SIP.items() if "password" not in key}),
        (dialnexa.PhoneNumber, {"id": "phn_1", "phone_number": "+14155550100", "nickname": "D"}),
    ],
)
def test_a_record_comes_back(kind: Any, raw: dict[str, Any]) -> None:
    number = structure(raw, kind)

    assert kind.from_dict(number.to_dict()).to_dict() == number.to_dict()
    assert type(kind.from_dict(number.to_dict())) is type(number)
    assert json.loads(number.to_json()) == number.to_dict()
    assert json.loads(number.to_json(wire=True)) == number.to_dict(wire=True)


def test_a_mask_stays_without_its_secret() -> None:
    shown = structure(SIP, SipPhoneNumber).to_dict()
    back = SipPhoneNumber.from_dict(shown)

    assert back.sip_trunk_password is not None
    assert not back.sip_trunk_password.known


def test_records_can_be_members_of_a_set() -> None:
    assert len({structure(RAW, PhoneNumber), structure(RAW, PhoneNumber)}) == 1


# --- request values --------------------------------------------------------------------------


def test_a_request_value_travels_through_a_queue() -> None:
    value = CreatePhoneNumber(country_code="US", area_code=415, friendly_name="Desk")
    sent = json.loads(json.dumps(value.to_dict()))

    assert sent == {"country_code": "US", "area_code": 415, "friendly_name": "Desk"}
    assert CreatePhoneNumber.from_dict(sent) == value


@pytest.mark.parametrize(
    "value",
    [
        verbex.CreatePiaPhoneNumber(friendly_name="Desk"),
        verbex.CreateSipPhoneNumber(phone_number="+14155550100", sip_trunk_username="acme"),
        verbex.CreateTwilioPhoneNumber(
            phone_number="+14155550100",
            twilio_account_sid="AC1",
            twilio_auth_token=SecretReference("file:/run/secrets/twilio"),
        ),
    ],
)
def test_a_request_of_one_kind_comes_back_and_is_no_other(value: Any) -> None:
    """Its kind is written, and may be given."""
    kind, sent = type(value), json.loads(value.to_json())

    assert kind.from_dict(sent) == value
    with pytest.raises(
        InvalidRequestError, match=rf"provider: is '{value.provider}' in a {kind.__name__}"
    ):
        kind.from_dict({**sent, "provider": "other"})


async def test_a_reference_in_a_row_is_never_sent_as_the_password() -> None:
    box = Sandbox()
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
    row = {"phone_number": "+14155550100", "trunk_password": "env:TRUNK"}
    result = await client.phone_numbers.import_many([row])

    assert "is only a reference, env:TRUNK; resolve it first" in str(result.failed[0].error)
    assert box.ledger.commits == ()


def test_a_reference_travels_and_a_secret_does_not() -> None:
    def trunk(password: Secret) -> ImportPhoneNumber:
        return ImportPhoneNumber(phone_number="+14155550100", trunk_password=password)

    referring = trunk(SecretReference("env:TRUNK"))
    assert referring.to_dict()["trunk_password"] == "env:TRUNK"
    assert ImportPhoneNumber.from_dict(referring.to_dict()) == referring
    assert trunk(Secret("hunter22")).to_dict()["trunk_password"] == "***"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"country": "US"},
            "country: is not a field of CreatePhoneNumber; did you mean 'country_code'",
        ),
        ({"country_code": "USA"}, "country_code: "),
        ({"country_code": 7}, "country_code: "),
    ],
)
def test_what_a_mapping_cannot_say_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CreatePhoneNumber.from_dict(fields)

    assert str(caught.value).startswith(message)


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="phone_number: is missing"):
        ImportPhoneNumber.from_dict({"friendly_name": "Desk"})


def test_the_hook_of_a_json_library_writes_all_of_them() -> None:
    number = structure(SIP, SipPhoneNumber)
    value = ImportPhoneNumber(phone_number="+14155550100", trunk_password="hunter22")
    held = {
        "number": number,
        "all": BulkResult(outcomes=[Outcome(0, "done", value, number)]),
        "error": NotFoundError("404"),
        "secret": Secret("hunter22"),
    }
    texts = [
        json.dumps(held, default=json_default),
        orjson.dumps(held, default=json_default).decode(),
    ]

    for text in texts:
        back = json.loads(text)
        assert "hunter22" not in text
        assert back["number"] == number.to_dict()
        assert back["all"]["outcomes"][0]["value"] == value.to_dict()
        assert back["error"]["committed"] == "no"
    with pytest.raises(TypeError, match="object has no JSON form"):
        json.dumps(object(), default=json_default)


@pytest.mark.parametrize(
    "name", ["trunkPassword", "trunk_pasword", "password", "sip_pwd", "auth_token", "apiKey"]
)
def test_a_row_hides_what_sounds_like_a_credential(name: str) -> None:
    row = {"friendly_name": "Desk", name: "hunter22", "sip": [{name: "hunter22"}]}
    hidden = hide_secrets(row, [ImportPhoneNumber])

    assert "hunter22" not in f"{hidden}{json.dumps(hidden, default=json_default)}"
    assert hidden["friendly_name"] == "Desk"
    assert row[name] == "hunter22"


def test_a_masked_secret_of_a_row_stays_one() -> None:
    assert hide_secrets({"trunk_password": "***"}, [ImportPhoneNumber])["trunk_password"] == "***"


# --- outcomes --------------------------------------------------------------------------------


def test_outcomes_results_and_errors_are_json_text_too() -> None:
    value = CreatePhoneNumber(country_code="US")
    done = Outcome(0, "done", value, structure(RAW, PhoneNumber))
    result, error = BulkResult(outcomes=[done]), NotFoundError("404: Ünknown")

    assert json.loads(done.to_json()) == done.to_dict()
    assert json.loads(result.to_json()) == result.to_dict()
    assert json.loads(error.to_json()) == error.to_dict()
    assert done.to_dict(wire=True)["value"] == {"countryCode": "US"}
    [by_wire] = json.loads(result.to_json(wire=True))["outcomes"]
    assert by_wire["result"]["sipPhoneNumber"] == "+14155550100"


def test_an_outcome_is_json() -> None:
    value = CreatePhoneNumber(country_code="US")
    done = Outcome(0, "done", value, structure(RAW, PhoneNumber), op_id="row-1", attempts=2)
    failed = Outcome[Any, Any](1, "failed", value, error=NotFoundError("no such number"))
    result = BulkResult(outcomes=[done, failed], stopped="the key is refused")
    shown = json.loads(json.dumps(result.to_dict()))

    assert shown["outcomes"][0]["result"]["sip_phone_number"] == "+14155550100"
    assert shown["outcomes"][0]["op_id"] == "row-1"
    assert shown["outcomes"][1]["error"]["type"] == "NotFoundError"
    assert repr(result) == "BulkResult(done=1, failed=1, stopped='the key is refused')"


@pytest.mark.parametrize("kind", [CreatePhoneNumber, SipPhoneNumber])
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (None, "fields: must be a mapping, not of type NoneType"),
        ([("phone_number", "+14155550100")], "fields: must be a mapping, not of type list"),
        # As `csv.DictReader` reads a row that is longer than the header.
        ({"phone_number": "+14155550100", None: ["x"]}, "fields: has a key that is no text: None"),
    ],
)
def test_what_are_no_fields_is_refused(kind: Any, fields: Any, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        kind.from_dict(fields)


@pytest.mark.parametrize("name", ["extra", "nulls"])
def test_what_a_record_keeps_aside_is_a_mapping(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name}: must be a mapping, not of type int"):
        SipPhoneNumber.from_dict({name: 5})

"""Each request value as an HTTP call, and each answer read, against recorded bodies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sigmamind_async.convert import Record, RequestValue, dump_record, structure
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.paging import Page
from sigmamind_async.platforms.sigmamind.models import (
    Call,
    CallAgent,
    CreatePhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
)
from sigmamind_async.platforms.sigmamind.operations import OPERATIONS, SIGMAMIND
from sigmamind_async.responses.error_body import parse_error_body
from sigmamind_async.values import Secret
from tests.unit.platforms.recorded import SIGMAMIND as SIGMAMIND_CALLS

Sample = Callable[[str], dict[str, Any]]

VALUES = SIGMAMIND_CALLS.values
operation, decoded = SIGMAMIND_CALLS.operation, SIGMAMIND_CALLS.decoded


def number(**body: object) -> PhoneNumber:
    return structure(body, PhoneNumber)


# ---------------------------------------------------------------- recorded bodies


def test_the_fields_of_a_number_by_name(sample: Sample) -> None:
    assert decoded("update_phone_number", sample("update_phone_number")["response"]["json"]) == (
        PhoneNumber(
            sip_phone_number="+14155552671",
            provider="twilio",
            inbound_agent_id="agent_D5D0p7TUs66TTAEAx",
            outbound_agent_id="agent_D5D0p7TUs66TTAEAx",
            outbound_phone_number="+14155552671",
            active=True,
            termination_sip_uri="sip.telnyx.com",
            friendly_name="Support Line - US",
        )
    )


def test_what_the_pages_leave_out_is_none(sample: Sample) -> None:
    """An answer to a purchase has no termination URI, one to an import no provider."""
    bought = decoded("create_phone_number", sample("create_phone_number")["response"]["json"])
    imported = decoded("import_phone_number", sample("import_phone_number")["response"]["json"])

    assert (bought.termination_sip_uri, imported.provider) == (None, None)
    assert (imported.termination_sip_uri, bought.provider) == ("sip.telnyx.com", "twilio")


def test_a_call_holds_records(sample: Sample) -> None:
    call = decoded("get_call", sample("get_call")["response"]["json"])

    assert call.phone_number == PhoneNumber(
        sip_phone_number="+14155552671", provider="twilio", active=True
    )
    assert call.agent == CallAgent(
        name="Support", agent_id="agent_D5D0p7TUs66TTAEAx", status="active"
    )
    assert (call.duration, call.has_ended) == (30, True)


# ---------------------------------------------------------------- what is not documented


@pytest.mark.parametrize("absent", [{}, {"inboundAgentId": None}, {"inboundAgentId": ""}])
def test_an_agent_that_was_removed_is_none_at_all(absent: dict[str, Any]) -> None:
    """Nobody says whether it comes back as null, as an empty text, or not at all."""
    assert not number(sipPhoneNumber="+14155552671", **absent).inbound_agent_id
    assert dump_record(number(**absent)) == absent


@pytest.mark.parametrize("word", ["twilio", "telnyx", "byo", "vonage", ""])
def test_any_provider_is_kept_as_it_is(word: str) -> None:
    assert number(provider=word).provider == word


def test_any_status_is_kept_as_it_is() -> None:
    call = structure({"status": "teleported", "terminationReason": "fell_asleep"}, Call)

    assert (call.status, call.termination_reason) == ("teleported", "fell_asleep")


@pytest.mark.parametrize("key", ["sipPhoneNumber", "outboundPhoneNumber"])
def test_a_number_without_plus_or_quotes_is_read(key: str) -> None:
    """Older samples print numbers as bare integers."""
    assert "14155552671" in repr(number(**{key: 14155552671}))
    assert "14155552671" in repr(number(**{key: "14155552671"}))


def test_unknown_fields_are_kept() -> None:
    read = number(sipPhoneNumber="+14155552671", id=7, price={"amount": 1.5})

    assert read.extra == {"id": 7, "price": {"amount": 1.5}}


def test_a_password_that_comes_back_against_the_documentation_is_masked() -> None:
    raw = {"sipPhoneNumber": "+14155552671", "trunkPassword": "hunter2"}
    read = number(**raw)

    assert read.extra["trunkPassword"] == Secret("hunter2")
    assert dump_record(read) == raw


def test_every_field_may_be_missing() -> None:
    assert number() == PhoneNumber()
    assert structure({}, Call) == Call()


def test_a_number_may_be_inactive() -> None:
    assert number(active=False).active is False


@pytest.mark.parametrize("odd", [True, [], {}, {"e164": "+14155552671"}])
def test_a_number_that_cannot_be_read_is_an_error(odd: object) -> None:
    """It is the key of later calls."""
    with pytest.raises(ResponseDecodeError, match="sipPhoneNumber: expected text"):
        number(sipPhoneNumber=odd)


@pytest.mark.parametrize("came", [14155552671, "14155552671", "+14155552671"])
def test_numbers_are_e164_wherever_they_are_read(came: object) -> None:
    read = number(sipPhoneNumber=came, outboundPhoneNumber=came)
    call = structure({"phoneNumber": {"sipPhoneNumber": came}}, Call)

    assert (read.sip_phone_number, read.outbound_phone_number) == ("+14155552671",) * 2
    assert call.phone_number == PhoneNumber(sip_phone_number="+14155552671")


@pytest.mark.parametrize("came", ["14155552671", "+14155552671"])
def test_a_calls_number_that_is_a_text_is_e164_too(came: str) -> None:
    assert structure({"phoneNumber": came}, Call).phone_number == "+14155552671"


def test_a_calls_number_was_once_a_text() -> None:
    assert structure({"phoneNumber": "Object"}, Call).phone_number == "Object"


# ---------------------------------------------------------------- pages


def page(body: object) -> Page[PhoneNumber]:
    read = decoded("list_phone_numbers", body)
    assert isinstance(read, Page)
    return read


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ({"hasNext": True}, (True, None, None)),
        ({"hasNext": False, "page": 0, "size": 1, "totalCount": 9}, (False, 9, None)),
        ({"page": 0, "totalPages": 2}, (None, None, 2)),
        ({"page": 0, "size": 1, "totalCounts": 2}, (None, 2, None)),
        ({"page": 0, "size": 1}, (None, None, None)),
        ({}, (None, None, None)),
    ],
)
def test_a_page_says_what_the_envelope_says(around: dict[str, Any], said: object) -> None:
    read = page({"data": [{"sipPhoneNumber": "+14155552671"}], **around})

    assert (len(read.items), (read.more, read.total, read.pages)) == (1, said)


def test_a_bare_array_is_a_page() -> None:
    read = page([{"sipPhoneNumber": "+14155552671"}])

    assert ([each.sip_phone_number for each in read.items], read.more) == (["+14155552671"], None)


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": {}}, {"items": []}, "text", 7, None, {"error": "x"}]
)
def test_an_answer_without_a_list_is_an_error_and_not_an_empty_account(body: object) -> None:
    """An early end would let numbers look lost."""
    with pytest.raises(ResponseDecodeError):
        page(body)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"data": [{}, {}, {}, {"sipPhoneNumber": []}]}, "data[3].sipPhoneNumber"),
        ({"data": [{}, 7]}, "data[1]"),
    ],
)
def test_a_page_that_cannot_be_read_names_the_place(body: object, path: str) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        page(body)

    assert caught.value.path == path


# ---------------------------------------------------------------- errors


def test_the_documented_error_is_explained(sample: Sample) -> None:
    body = json.dumps(sample("error")["response"]["json"]).encode()
    said = parse_error_body(Response(status=400, body=body))

    assert (said.message, said.code) == ("Invalid request parameters", "Bad Request")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "m", "error": "e"}', "m"),
        (b'{"error": "e"}', "e"),
        (b'{"message": "", "error": "e"}', "e"),
        (b"upstream failed", "upstream failed"),
        (b"<html>", "<html>"),
        (b"", "the platform gave no reason"),
        (b"{}", "the platform gave no reason"),
        (b'{"message": 7}', "the platform gave no reason"),
        (b"\xff", "\ufffd"),
    ],
)
def test_any_other_error_is_read_as_far_as_it_goes(body: bytes, message: str) -> None:
    said = parse_error_body(Response(status=500, headers={"x-request-id": "r-1"}, body=body))

    assert (said.message, said.request_id) == (message, "r-1")


# ---------------------------------------------------------------- the key


def test_the_key_stands_in_its_header() -> None:
    assert SIGMAMIND.authorize(Secret("sk-1")) == {"X-API-Key": "sk-1"}


# ---------------------------------------------------------------- reading back


def agrees(value: RequestValue[Any], **shown: Any) -> bool:
    read_back = OPERATIONS[type(value)](value).read_back
    assert read_back is not None
    return read_back.agrees(PhoneNumber(**shown))


def test_a_purchase_without_a_chosen_number_has_nothing_to_look_up() -> None:
    value = CreatePhoneNumber(country_code="US")

    assert OPERATIONS[CreatePhoneNumber](value).read_back is None


@pytest.mark.parametrize("name", ["create_phone_number", "import_phone_number"])
def test_a_chosen_number_is_looked_up_by_itself(name: str) -> None:
    read_back = operation(name).read_back

    assert read_back is not None
    assert read_back.operation.request.path == "/v1/phone-numbers/%2B14155552671"


BOUGHT = CreatePhoneNumber(phone_number="+14155552671", friendly_name="Support", country_code="US")
AS_ASKED = {"sip_phone_number": "+14155552671", "friendly_name": "Support"}


def test_a_record_that_shows_what_was_sent_agrees() -> None:
    """Country, user name and password never come back, so they cannot disagree."""
    imported = ImportPhoneNumber(
        phone_number="+14155552671", trunk_username="u", trunk_password="p", friendly_name="Support"
    )

    assert agrees(BOUGHT, **AS_ASKED)
    assert agrees(imported, **AS_ASKED)


@pytest.mark.parametrize(
    "shown",
    [
        {"sip_phone_number": "+14155552672"},
        {"sip_phone_number": ""},
        {"friendly_name": "Sales"},
        {"friendly_name": None},
    ],
)
def test_a_record_that_shows_something_else_does_not_agree(shown: dict[str, Any]) -> None:
    assert not agrees(BOUGHT, **{**AS_ASKED, **shown})


@pytest.mark.parametrize(
    "field", ["inbound_agent_id", "outbound_agent_id", "outbound_phone_number"]
)
def test_every_field_that_comes_back_is_compared(field: str) -> None:
    other: dict[str, Any] = {field: "+14155550100"}
    value = attrs.evolve(BOUGHT, **other)

    assert agrees(value, **AS_ASKED, **other)
    assert not agrees(value, **AS_ASKED)


def test_an_import_compares_its_termination_uri() -> None:
    value = ImportPhoneNumber(phone_number="+14155552671", termination_sip_uri="sip.telnyx.com")

    assert not agrees(value, sip_phone_number="+14155552671", termination_sip_uri="sip.twilio.com")


def test_every_record_is_a_record() -> None:
    assert issubclass(PhoneNumber, Record)

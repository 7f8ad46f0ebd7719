"""How answers of Verbex are read: its three kinds of number, pages, errors, and what is unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sigmamind_async.convert import body_of, dump_record, structure
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.paging import Page
from sigmamind_async.platforms.verbex.models import (
    CreatePiaPhoneNumber,
    CreateSipPhoneNumber,
    PhoneNumber,
    PiaPhoneNumber,
    SipPhoneNumber,
    TwilioPhoneNumber,
    UnknownPhoneNumber,
    UpdatePhoneNumber,
    UpdateSipPhoneNumber,
)
from sigmamind_async.platforms.verbex.operations import (
    OPERATIONS,
    VERBEX,
    create_phone_number,
    update_phone_number,
)
from sigmamind_async.responses.error_body import parse_error_body
from sigmamind_async.values import Secret
from tests.unit.platforms.recorded import VERBEX as CALLS
from tests.unit.platforms.recorded import VERBEX_ID, held_at

Sample = Callable[[str], dict[str, Any]]
NUMBER = "+14155552671"


def number(**body: object) -> PhoneNumber:
    return structure(body, PhoneNumber)


# ---------------------------------------------------------------- recorded bodies

COMMON: dict[str, Any] = {
    "underscore_id": VERBEX_ID,
    "phone_number": NUMBER,
    "friendly_name": "Support Line",
    "inbound_agent_id": "agent_in_1",
    "outbound_agent_id": "agent_out_1",
}
RECORDS: dict[str, PhoneNumber] = {
    "update_sip_phone_number": SipPhoneNumber(
        provider="sip",
        **COMMON,
        sip_termination_uri="sip:carrier.example.com",
        sip_trunk_username="trunk-user",
        sip_trunk_password=Secret("tr!nkP@ssword"),
        sip_infra_region="bd_link3",
    ),
    "update_pia_phone_number": PiaPhoneNumber(provider="pia", **COMMON),
    "update_twilio_phone_number": TwilioPhoneNumber(
        provider="twilio",
        **COMMON,
        twilio_account_sid="AC0123456789",
        twilio_auth_token=Secret("tw-t0ken"),
    ),
    "update_phone_number": SipPhoneNumber(
        provider="sip", underscore_id=VERBEX_ID, phone_number=NUMBER, sip_infra_region="global"
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_fields_of_a_number_by_name(name: str, sample: Sample) -> None:
    """Every field of every kind, and which kind it is."""
    read = CALLS.decoded(name, held_at(sample(name)))

    assert read == RECORDS[name]
    assert read.id == VERBEX_ID


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_but_the_number_may_be_null_or_missing(name: str, sample: Sample) -> None:
    """An answer that clears a field may show null, or leave it out."""
    body = held_at(sample(name))
    for key in body.keys() - {"provider", "phone_number"}:
        without = {other: value for other, value in body.items() if other != key}
        for changed in ({**body, key: None}, without):
            assert dump_record(number(**changed)) == changed


@pytest.mark.parametrize("key", ["_id", "id", "phone_number"])
@pytest.mark.parametrize("odd", [True, [], {}, {"$oid": 7}])
def test_an_id_or_a_number_that_cannot_be_read_is_an_error(key: str, odd: object) -> None:
    with pytest.raises(ResponseDecodeError, match=f"{key}: expected text"):
        number(provider="pia", **{key: odd})


@pytest.mark.parametrize("key", ["_id", "id"])
@pytest.mark.parametrize(("came", "read"), [({"$oid": VERBEX_ID}, VERBEX_ID), (42, "42")])
def test_an_id_is_read_as_mongodb_writes_it(key: str, came: object, read: str) -> None:
    assert number(**{key: came}).id == read


@pytest.mark.parametrize("odd", [{"$date": 1}, True, [], {}])
def test_a_provider_that_cannot_be_read_leaves_the_kind_to_the_fields(odd: object) -> None:
    read = number(provider=odd, sip_trunk_username="u")

    assert isinstance(read, SipPhoneNumber)
    assert (read.provider, read.sip_trunk_username, read.extra) == (None, "u", {"provider": odd})


# ---------------------------------------------------------------- what is not documented


@pytest.mark.parametrize("body", [{"_id": "a"}, {"id": "a"}, {"_id": "a", "id": "b"}])
def test_the_id_has_two_spellings(body: dict[str, str]) -> None:
    assert number(**body).id == "a"
    assert dump_record(number(**body)) == body


def test_a_number_without_an_id_has_an_empty_one() -> None:
    """It is not in the list of required fields."""
    assert (number(phone_number=NUMBER).id, number(_id=None).id) == ("", "")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"sip_trunk_username": "u"}, SipPhoneNumber),
        ({"sip_infra_region": None}, SipPhoneNumber),
        ({"provider": None, "sip_termination_uri": "h"}, SipPhoneNumber),
        ({"twilio_account_sid": "AC1"}, TwilioPhoneNumber),
        ({"phone_number": NUMBER}, UnknownPhoneNumber),
        ({"provider": "pia", "sip_trunk_username": "u"}, PiaPhoneNumber),
        ({"provider": "twilio"}, TwilioPhoneNumber),
        ({"provider": "vonage", "sip_trunk_username": "u"}, UnknownPhoneNumber),
        ({"provider": ""}, UnknownPhoneNumber),
    ],
)
def test_a_kind_is_told_by_the_provider_or_else_by_the_fields(
    body: dict[str, Any], kind: type[PhoneNumber]
) -> None:
    assert type(number(**body)) is kind
    assert dump_record(number(**body)) == body


def test_a_number_of_a_new_kind_is_kept_whole() -> None:
    body = {"_id": "a", "provider": "vonage", "vonage_api_key": "k3y", "more": {"token": ["t"]}}
    read = number(**body)

    assert isinstance(read, UnknownPhoneNumber)
    assert read.raw == {
        "_id": "a",
        "provider": "vonage",
        "vonage_api_key": Secret("k3y"),
        "more": {"token": [Secret("t")]},
    }
    assert "k3y" not in repr(read) + repr(read.raw)


@pytest.mark.parametrize("region", ["global", "bd", "bd_link3", "eu_new", ""])
def test_any_region_is_kept_as_it_is(region: str) -> None:
    body = {"provider": "sip", "sip_infra_region": region}

    assert dump_record(number(**body)) == body


def test_every_kind_may_be_empty() -> None:
    assert number() == UnknownPhoneNumber()
    assert number(provider="sip") == SipPhoneNumber(provider="sip")


# ---------------------------------------------------------------- secrets that come back


@pytest.mark.parametrize("name", ["update_sip_phone_number", "update_twilio_phone_number"])
def test_an_echoed_secret_is_shown_to_nobody(name: str, sample: Sample) -> None:
    read = CALLS.decoded(name, held_at(sample(name)))

    shown = repr(read) + repr(attrs.asdict(read)) + str(read)
    assert not any(text in shown for text in ("tr!nkP@ssword", "tw-t0ken"))


def test_an_update_made_from_a_record_does_not_send_its_secret_back(sample: Sample) -> None:
    """What a record holds goes out only if it is named, and a mask not even then."""
    read = CALLS.decoded("get_phone_number", held_at(sample("get_phone_number")))
    value = UpdateSipPhoneNumber(phone_number_id=read.id, friendly_name=f"{read.friendly_name} 2")

    assert body_of(value) == {"friendly_name": "Support Line 2"}


# ---------------------------------------------------------------- pages


def page(body: object) -> Page[PhoneNumber]:
    read = CALLS.decoded("list_phone_numbers", body)
    assert isinstance(read, Page)
    return read


@pytest.mark.parametrize("key", ["phone_numbers", "data", "items"])
def test_a_page_has_any_of_the_envelopes(key: str, sample: Sample) -> None:
    body = sample("list_phone_numbers")["response"]["json"]
    read = page({key: body["phone_numbers"], "next_page_token": "t"})

    assert [type(each) for each in read.items] == [PiaPhoneNumber, TwilioPhoneNumber]
    assert (read.token, read.more) == ("t", True)


def test_a_bare_array_is_the_only_page() -> None:
    read = page([{"_id": "a", "provider": "pia"}])

    assert ([each.id for each in read.items], read.token) == (["a"], None)


@pytest.mark.parametrize("around", [{}, {"next_page_token": None}, {"next_page_token": ""}])
def test_without_a_token_no_page_follows(around: dict[str, Any]) -> None:
    assert page({"data": [], **around}).token is None


@pytest.mark.parametrize(
    "body", [{}, {"phone_numbers": None}, {"data": {}}, {"detail": "x"}, "text", 7, None]
)
def test_an_answer_without_a_list_is_an_error_and_not_an_empty_account(body: object) -> None:
    with pytest.raises(ResponseDecodeError):
        page(body)


def test_a_page_that_cannot_be_read_names_the_place() -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        page({"phone_numbers": [{}, {"provider": "sip", "phone_number": []}]})

    assert caught.value.path == "phone_numbers[1].phone_number"


# ---------------------------------------------------------------- errors


def test_the_documented_error_is_explained(sample: Sample) -> None:
    body = json.dumps(sample("error_422")["response"]["json"]).encode()

    assert parse_error_body(Response(status=422, body=body)).message == (
        "body.phone_number: Field required;"
        " body.sip_infra_region: Input should be 'global', 'bd' or 'bd_link3'"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": {"code": "c", "message": "m"}}', "m"),
        (b'{"detail": ["a", {"msg": "b"}]}', "a; b"),
        (b'{"detail": []}', "the platform gave no reason"),
        (b'{"message": "m"}', "m"),
        (b"Internal Server Error", "Internal Server Error"),
        (b"", "the platform gave no reason"),
    ],
)
def test_any_other_error_is_read_as_far_as_it_goes(body: bytes, message: str) -> None:
    assert parse_error_body(Response(status=500, body=body)).message == message


def test_the_key_is_a_bearer() -> None:
    assert VERBEX.authorize(Secret("vx-1")) == {"Authorization": "Bearer vx-1"}


# ---------------------------------------------------------------- what was sent, did it take?


@pytest.mark.parametrize(
    ("sent", "shown", "ignored"),
    [
        ({"friendly_name": "x"}, {"friendly_name": "x"}, ()),
        ({"friendly_name": "x"}, {"friendly_name": "y"}, ("friendly_name",)),
        ({"inbound_agent_id": None}, {"inbound_agent_id": ""}, ()),
        ({"inbound_agent_id": None}, {}, ()),
        ({"inbound_agent_id": None}, {"inbound_agent_id": "a"}, ("inbound_agent_id",)),
        ({"outbound_agent_id": "a"}, {}, ("outbound_agent_id",)),
        ({"sip_termination_uri": "h"}, {"provider": "pia"}, ("sip_termination_uri",)),
        ({"sip_trunk_username": "u"}, {"provider": "twilio"}, ("sip_trunk_username",)),
        ({"twilio_account_sid": "AC1"}, {"provider": "sip"}, ("twilio_account_sid",)),
        ({"sip_trunk_password": "p"}, {"provider": "sip", "sip_trunk_password": "***"}, ()),
    ],
)
def test_fields_that_an_update_does_not_show_are_named(
    sent: dict[str, Any], shown: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    """A field of another kind of number may be dropped without a word; secrets may be masked."""
    operation = update_phone_number(UpdatePhoneNumber(phone_number_id="a", **sent))

    assert operation.ignored_fields is not None
    assert operation.ignored_fields(number(**shown)) == ignored


def test_a_region_that_a_creation_does_not_show_is_named() -> None:
    value = CreateSipPhoneNumber(phone_number=NUMBER, sip_infra_region="bd")
    operation = create_phone_number(value)

    assert operation.ignored_fields is not None
    assert operation.ignored_fields(number(provider="sip", sip_infra_region="global")) == (
        "sip_infra_region",
    )


def test_a_creation_is_looked_up_in_the_listing_by_its_number() -> None:
    read_back = create_phone_number(CreatePiaPhoneNumber(phone_number=NUMBER)).read_back

    assert read_back is not None
    assert read_back.operation.request.path == "/v1/phone-numbers?page_size=100"
    body = [{"_id": "a", "phone_number": "+1"}, {"_id": "b", "phone_number": NUMBER}]
    found = read_back.operation.decode(Response(status=200, body=json.dumps(body).encode()))
    assert (found.id, read_back.agrees(found)) == ("b", True)


def test_a_creation_without_a_number_has_nothing_to_look_up() -> None:
    assert create_phone_number(CreatePiaPhoneNumber()).read_back is None


def test_a_record_with_another_label_does_not_agree() -> None:
    value = CreatePiaPhoneNumber(phone_number=NUMBER, friendly_name="x")
    read_back = OPERATIONS[CreatePiaPhoneNumber](value).read_back

    assert read_back is not None
    assert not read_back.agrees(number(phone_number=NUMBER, friendly_name="y"))


@pytest.mark.parametrize("name", CALLS.values)
def test_only_the_collection_has_another_spelling(name: str) -> None:
    request = CALLS.operation(name).request
    path, _, query = request.path.partition("?")
    alias = f"{path}/?{query}" if query else f"{path}/"

    assert request.alias == (alias if path == "/v1/phone-numbers" else None)

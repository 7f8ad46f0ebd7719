"""How answers of DialNexa are read: three shapes, several envelopes, errors, and the unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sigmamind_async.convert import dump_record, structure
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.paging import Page
from sigmamind_async.platforms.dialnexa.models import (
    Agent,
    AvailableNumber,
    ImportSipTrunk,
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberPrice,
    PurchasePhoneNumber,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.dialnexa.operations import (
    DIALNEXA,
    import_sip_trunk,
    list_phone_numbers,
    purchase_phone_number,
    update_agent,
    update_phone_number,
)
from sigmamind_async.responses.error_body import parse_error_body
from sigmamind_async.values import Secret
from tests.unit.platforms.recorded import DIALNEXA as CALLS
from tests.unit.platforms.recorded import held_at

Sample = Callable[[str], dict[str, Any]]
NUMBER = "+912234567890"


def number(**body: object) -> PhoneNumber:
    return structure(body, PhoneNumber)


# ---------------------------------------------------------------- recorded bodies

CREATED = "2024-03-01T10:00:00.000Z"
RECORDS: dict[str, object] = {
    "update_phone_number": PhoneNumber(
        id="phn_abc123",
        phone_number=NUMBER,
        label="Main Support Line",
        agent_id="agt_abc123",
        status="active",
        provider="twilio",
        created_at=CREATED,
        nickname="Sales Line",
    ),
    "update_phone_number_detached": PhoneNumber(
        id="phn_abc123",
        phone_number=NUMBER,
        label="Main Support Line",
        status="active",
        provider="twilio",
        created_at=CREATED,
    ),
    "get_phone_number_narrative": PhoneNumber(
        id="phn_f7w2kx5mb9qz",
        phone_number=NUMBER,
        country_code="IN",
        type="local",
        monthly_cost_usd="1.15",
        capabilities=["voice"],
        nickname="Sales Line",
        inbound_agent_id="agt_k7m2nq9xw4p8",
        created_at=CREATED,
    ),
    "get_phone_number_newer": PhoneNumber(
        id="phn_abc123",
        phone_number=NUMBER,
        provider="plivo",
        status="pending",
        country_code="IN",
        nickname="Sales Line",
        sip_trunk_enabled=False,
    ),
    "get_agent": Agent(
        id="agent_2g7Xy3tY53gRlp",
        name="Reception",
        version_number=3,
        is_published=True,
        inbound_phone_number_id="phn_abc123",
        outbound_phone_number_id="",
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_fields_of_a_record_by_name(name: str, sample: Sample) -> None:
    """Every field, in each of the shapes that are documented."""
    assert CALLS.decoded(name, sample(name)["response"]["json"]) == RECORDS[name]


def test_the_fields_of_an_available_number_by_name(sample: Sample) -> None:
    found = CALLS.decoded(
        "search_phone_numbers", sample("search_phone_numbers")["response"]["json"]
    )

    assert found[0] == AvailableNumber(
        number=NUMBER,
        type="tollfree",
        monthly_rental_rate="0.80000",
        setup_rate="0.00000",
        voice_enabled=True,
        sms_enabled=False,
        mms_enabled=False,
        country_iso="IN",
        number_format="national",
    )
    assert len(found) == 2


@pytest.mark.parametrize(
    "name", [name for name in RECORDS if name.startswith(("update_phone_number", "get_phone"))]
)
def test_every_field_may_be_null_or_missing(name: str, sample: Sample) -> None:
    """Nullability is not stated; agent and nickname can be cleared."""
    body = held_at(sample(name))
    for key in body:
        without = {other: value for other, value in body.items() if other != key}
        for changed in ({**body, key: None}, without):
            assert dump_record(number(**changed)) == changed


@pytest.mark.parametrize("key", ["id", "phone_number"])
@pytest.mark.parametrize("odd", [True, [], {}, {"value": "phn_1"}])
def test_an_id_or_a_number_that_cannot_be_read_is_an_error(key: str, odd: object) -> None:
    with pytest.raises(ResponseDecodeError, match=f"{key}: expected text"):
        number(**{key: odd})


@pytest.mark.parametrize("came", [912234567890, "912234567890", NUMBER])
def test_numbers_are_e164_wherever_they_are_read(came: object) -> None:
    found = CALLS.decoded("search_phone_numbers", {"objects": [{"number": came}]})
    bought = CALLS.decoded("purchase_phone_number", {"phoneNumber": came, "status": "active"})

    assert (number(phone_number=came).phone_number, bought.phone_number) == (NUMBER, NUMBER)
    assert [each.number for each in found] == [NUMBER]


# ---------------------------------------------------------------- what is not documented


@pytest.mark.parametrize("word", ["pending", "active", "suspended", ""])
@pytest.mark.parametrize("key", ["status", "provider", "type"])
def test_any_word_is_kept_as_it_is(key: str, word: str) -> None:
    assert dump_record(number(**{key: word})) == {key: word}


@pytest.mark.parametrize("word", ["toll_free", "tollfree", "local", "mobile"])
def test_a_type_has_two_spellings(word: str) -> None:
    assert number(type=word).type == word


@pytest.mark.parametrize("amount", ["1.15", 1.15, 1, "500.0000"])
def test_an_amount_is_a_text_or_a_number(amount: object) -> None:
    assert number(monthly_cost_usd=amount).monthly_cost_usd == amount
    found = CALLS.decoded("search_phone_numbers", {"objects": [{"monthly_rental_rate": amount}]})
    assert found[0].monthly_rental_rate == amount


@pytest.mark.parametrize(
    ("body", "agent"),
    [
        ({"agent_id": "a"}, "a"),
        ({"inbound_agent_id": "b"}, "b"),
        ({"agent_id": "a", "inbound_agent_id": "b"}, "a"),
        ({"agent_id": None, "inbound_agent_id": "b"}, "b"),
        ({"agent_id": ""}, None),
        ({}, None),
    ],
)
def test_the_inbound_agent_has_two_names(body: dict[str, Any], agent: str | None) -> None:
    assert number(**body).routed_agent_id == agent


WRAPPERS: dict[str, Callable[[Any], object]] = {
    "bare": lambda record: record,
    "data": lambda record: {"data": record},
    "status code": lambda record: {"statusCode": 200, "message": "Success", "data": record},
    "both": lambda record: {"statusCode": 200, "data": {"data": record}},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ["get_phone_number", "import_sip_trunk", "get_agent"])
def test_a_record_comes_in_any_wrapper(wrapper: str, name: str, sample: Sample) -> None:
    body = held_at(sample(name))

    assert dump_record(CALLS.decoded(name, WRAPPERS[wrapper](body))) == body


def test_a_record_that_holds_data_is_no_wrapper() -> None:
    body = {"id": "phn_1", "phone_number": NUMBER, "data": {"id": "another"}}

    assert (number(**body).id, number(**body).extra) == ("phn_1", {"data": {"id": "another"}})


PURCHASED = {"id": "phn_1", "phone_number": NUMBER, "status": "active"}
SUMMARY = {"phoneNumber": NUMBER, "status": "pending", "message": "done"}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(
    "body", [PURCHASED, {**SUMMARY, "organizationPhoneNumber": PURCHASED}], ids=["bare", "inside"]
)
def test_a_purchase_is_the_record_or_holds_it(wrapper: str, body: Any) -> None:
    read = CALLS.decoded("purchase_phone_number", WRAPPERS[wrapper](body))

    assert dump_record(read) == PURCHASED


def test_the_documented_200_of_a_purchase_names_its_number(sample: Sample) -> None:
    """The record in it holds nothing but ``sip_trunk_enabled``."""
    body = sample("purchase_phone_number_outside")["response"]["json"]

    value = PurchasePhoneNumber(
        phone_number="+1234567890", telephony_provider_id="tp_abc123xyz789", country_iso="US"
    )
    bought = purchase_phone_number(value).decode(Response(200, {}, json.dumps(body).encode()))

    assert bought == PhoneNumber(
        phone_number="+1234567890", status="active", sip_trunk_enabled=False
    )


@pytest.mark.parametrize(
    ("outside", "inside", "read"),
    [
        ({"id": "phn_1"}, {}, {"id": "phn_1"}),
        ({"id": "phn_1"}, {"id": None}, {"id": "phn_1"}),
        ({"id": "phn_1"}, {"id": "phn_2"}, {"id": "phn_2"}),
        ({"phoneNumber": "912234567890"}, {"id": "phn_2"}, {"phone_number": NUMBER}),
        ({"provider": "plivo", "country_code": "IN"}, {"id": "phn_2"}, {"provider": "plivo"}),
        (
            {"id": "phn_1", "nickname": "Desk", "created_at": CREATED},
            {"nickname": None},
            {"nickname": "Desk"},
        ),
        ({"id": "phn_1", "status": "active"}, {"status": "pending"}, {"status": "pending"}),
    ],
)
def test_what_a_purchased_record_lacks_is_read_beside_it(
    outside: dict[str, Any], inside: dict[str, Any], read: dict[str, Any]
) -> None:
    """Any field, and only where the record itself says nothing."""
    named = {"phone_number": NUMBER, **inside}
    held = inside if "phoneNumber" in outside else named
    body = {"message": "done", **outside, "organizationPhoneNumber": held}
    bought = CALLS.decoded("purchase_phone_number", body)

    assert {name: getattr(bought, name) for name in read} == read
    assert bought.extra == {}


@pytest.mark.parametrize("body", [[], "text", None, 7])
@pytest.mark.parametrize("name", ["purchase_phone_number", "get_agent", "update_agent"])
def test_an_answer_that_is_no_object_is_an_error(name: str, body: object) -> None:
    with pytest.raises(ResponseDecodeError, match="expected an object"):
        CALLS.decoded(name, body)


# ---------------------------------------------------------------- agents and their versions


def version(number: object, **fields: object) -> dict[str, object]:
    return {"version_number": number, "title": f"Version {number}", **fields}


def agent_of(current: int | None, *versions: dict[str, object], **fields: object) -> Any:
    """Return an agent as the platform documents it."""
    found = [each for each in versions if each["version_number"] == current]
    return {
        "id": "agt_1",
        "current_version_number": current,
        "current_version": found[0] if found else None,
        "versions": list(versions),
        **fields,
    }


def test_the_documented_agent_has_the_fields_of_its_current_version(sample: Sample) -> None:
    """Its version number is the one that an update needs."""
    body = sample("get_agent_versions")["response"]["json"]
    read = CALLS.decoded("get_agent", body)

    assert (read.id, read.name, read.version_number, read.is_published) == (
        "agent_2g7Xy3tY53gRlp",
        "Customer Support Agent",
        1,
        False,
    )
    assert {**body, **dump_record(read)} == dump_record(read)


DRAFT = version(2, is_published=False, inbound_phone_number_id="phn_2")
LIVE = version(1, is_published=True, inbound_phone_number_id="phn_1")


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (agent_of(2, LIVE, DRAFT), (2, False, "phn_2")),
        (agent_of(1, LIVE, DRAFT), (1, True, "phn_1")),
        (agent_of(2, LIVE, DRAFT, current_version=None), (2, False, "phn_2")),
        (agent_of(2, LIVE, DRAFT, versions=None), (2, False, "phn_2")),
        (agent_of(2, LIVE), (2, None, None)),
        ({"id": "agt_1", "current_version": LIVE}, (1, True, "phn_1")),
        ({"id": "agt_1", "current_version_number": "2", "versions": [DRAFT]}, (2, False, "phn_2")),
        (agent_of(2, DRAFT, is_published=True), (2, True, "phn_2")),
        (agent_of(2, DRAFT, is_published=None), (2, False, "phn_2")),
        (agent_of(None, LIVE, DRAFT), (None, None, None)),
        ({"id": "agt_1", "current_version": 7, "versions": 7}, (None, None, None)),
        ({"id": "agt_1", "version_number": 3, "is_published": True}, (3, True, None)),
    ],
)
def test_an_agent_is_read_from_its_version_or_from_itself(
    body: dict[str, Any], read: tuple[object, ...]
) -> None:
    for wrap in WRAPPERS.values():
        found = CALLS.decoded("get_agent", wrap(body))

        assert found.id == "agt_1"
        assert (found.version_number, found.is_published, found.inbound_phone_number_id) == read


@pytest.mark.parametrize(
    ("updated", "body", "ignored"),
    [
        # The version that was updated, wherever it is, and however its number is written.
        (2, agent_of(2, LIVE, version(2, is_published=True)), ()),
        (2, agent_of(3, version(2, is_published=True), version(3, is_published=False)), ()),
        (2, {"id": "agt_1", "versions": [version("2", is_published=True)]}, ()),
        (2, agent_of(2, LIVE, version(2, is_published=False)), ("is_published",)),
        (
            2,
            agent_of(1, LIVE, version(2, is_published=True, inbound_phone_number_id="other")),
            ("inbound_phone_number_id",),
        ),
        # What is told of another version, or not at all, says nothing.
        (2, agent_of(1, LIVE), ()),
        (2, agent_of(2, version(2)), ()),
        (2, {"id": "agt_1"}, ()),
        # The control: a flat record is compared as before.
        (2, {"id": "agt_1", "is_published": False}, ("is_published",)),
    ],
)
def test_an_agents_update_is_compared_with_the_version_that_was_updated(
    updated: int, body: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    value = UpdateAgent(
        id="agt_1", version_number=updated, inbound_phone_number_id="phn_2", is_published=True
    )
    operation = update_agent(value)
    found = operation.decode(Response(status=200, body=json.dumps(body).encode()))

    assert operation.ignored_fields is not None
    assert operation.ignored_fields(found) == ignored


# ---------------------------------------------------------------- what numbers cost


def test_the_fields_of_a_price_by_name(sample: Sample) -> None:
    body = sample("list_phone_number_pricing")["response"]["json"]

    assert CALLS.decoded("list_phone_number_pricing", body) == [
        PhoneNumberPrice(
            telephony_provider_id="tp_abc123xyz789",
            country_iso="IN",
            country_name="India",
            credit_cost="500.0000",
            created_at="2026-03-01T10:00:00.000Z",
            updated_at="2026-03-01T10:00:00.000Z",
            telephony_provider={"name": "plivo"},
        ),
        PhoneNumberPrice(
            telephony_provider_id="tp_abc123xyz789",
            country_iso="US",
            country_name="United States",
            credit_cost=2.5,
        ),
    ]


PRICE = {"telephony_provider_id": "tp_1", "country_iso": "US"}


@pytest.mark.parametrize(
    "body",
    [
        [PRICE],
        {"data": [PRICE]},
        {"items": [PRICE], "total": 1},
        {"statusCode": 200, "data": [PRICE]},
        {"statusCode": 200, "data": {"items": [PRICE], "total": 1}},
    ],
)
def test_prices_come_in_any_envelope(body: object) -> None:
    read = CALLS.decoded("list_phone_number_pricing", body)

    assert [each.telephony_provider_id for each in read] == ["tp_1"]


@pytest.mark.parametrize(
    "body",
    [
        {"items": [PRICE], "total": 2},
        {"data": [PRICE], "meta": {"total": "2"}},
        {"data": [PRICE], "meta": {"totalPages": 2}},
        {"data": [PRICE], "hasNext": True},
        {"message": "none"},
        [{"telephony_provider_id": []}],
    ],
)
def test_a_price_list_that_is_not_whole_is_an_error(body: object) -> None:
    with pytest.raises(ResponseDecodeError):
        CALLS.decoded("list_phone_number_pricing", body)


@pytest.mark.parametrize("nothing", [{}, {"organizationPhoneNumber": None}])
def test_a_purchase_without_the_record_names_number_and_status(nothing: dict[str, Any]) -> None:
    read = CALLS.decoded("purchase_phone_number", {**SUMMARY, **nothing})

    assert (read.id, read.phone_number, read.status) == ("", NUMBER, "pending")
    assert read.extra["message"] == "done"


def test_a_purchase_that_cannot_be_read_names_the_place() -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        CALLS.decoded("purchase_phone_number", {"organizationPhoneNumber": {"id": []}})

    assert caught.value.path == "organizationPhoneNumber.id"


def test_both_bodies_of_a_purchase_may_be_answered_either_way(sample: Sample) -> None:
    older = held_at(sample("purchase_phone_number_older"))
    newer = sample("purchase_phone_number")["response"]["json"]

    assert CALLS.decoded("purchase_phone_number", older).id == "phn_abc123"
    assert CALLS.decoded("purchase_phone_number_older", newer).id == "phn_abc123"


def test_a_password_that_comes_back_against_the_documentation_is_masked() -> None:
    read = number(id="phn_1", sipTrunkPassword="hunter2")

    assert read.extra == {"sipTrunkPassword": Secret("hunter2")}
    assert "hunter2" not in repr(read)


# ---------------------------------------------------------------- pages


def page(body: object, asked: ListPhoneNumbers | None = None) -> Page[PhoneNumber]:
    response = Response(status=200, body=json.dumps(body).encode())
    return list_phone_numbers(asked or ListPhoneNumbers(limit=2)).decode(response)


ROWS = [{"id": "phn_1"}, {"id": "phn_2"}]
ENVELOPES: dict[str, object] = {
    "data and meta": {"data": ROWS, "meta": {"page": 1, "limit": 2, "total": 3, "totalPages": 2}},
    "items and totals": {"items": ROWS, "total": 3, "page": 1, "limit": 2},
    "wrapped data": {"statusCode": 200, "data": ROWS, "meta": {"totalPages": 2}},
    "wrapped items": {"statusCode": 200, "data": {"items": ROWS, "total": 3}},
    "totals around a wrapper": {"data": {"items": ROWS}, "meta": {"total": 3}},
    "wrapped data and meta": {"statusCode": 200, "data": {"data": ROWS, "meta": {"total": 3}}},
    "wrapped array": {"statusCode": 200, "data": ROWS},
    "array": ROWS,
}

SAID = [(3, 2), (3, None), (None, 2)]


@pytest.mark.parametrize("name", ENVELOPES)
def test_a_page_has_any_of_the_envelopes(name: str) -> None:
    read = page(ENVELOPES[name])

    assert [each.id for each in read.items] == ["phn_1", "phn_2"]
    assert (read.total, read.pages) in ([(None, None)] if "array" in name else SAID)


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": {}}, {"items": {}}, {"message": "x"}, "text", 7, None]
)
def test_an_answer_without_a_list_is_an_error_and_not_an_empty_account(body: object) -> None:
    with pytest.raises(ResponseDecodeError):
        page(body)


@pytest.mark.parametrize("body", [[], {"objects": []}, {"data": {"objects": []}}])
def test_nothing_in_stock_is_an_empty_list(body: object) -> None:
    assert CALLS.decoded("search_phone_numbers", body) == []


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("error", "Phone number not found", "Not Found"),
        (
            "error_list",
            "phoneNumber must be E.164; countryISO should not be empty",
            "Bad Request",
        ),
    ],
)
def test_a_documented_error_is_explained(
    name: str, message: str, code: str, sample: Sample
) -> None:
    body = json.dumps(sample(name)["response"]["json"]).encode()
    said = parse_error_body(Response(status=400, body=body))

    assert (said.message, said.code) == (message, code)


def test_the_whole_key_is_the_bearer() -> None:
    """Id, colon and secret."""
    assert DIALNEXA.authorize(Secret("key_1:s3cret")) == {"Authorization": "Bearer key_1:s3cret"}


# ---------------------------------------------------------------- what was sent, did it take?


@pytest.mark.parametrize(
    ("sent", "shown", "ignored"),
    [
        ({"agent_id": "a"}, {"agent_id": "a"}, ()),
        ({"agent_id": "a"}, {"inbound_agent_id": "a"}, ()),
        ({"agent_id": "a"}, {"agent_id": "b"}, ("agent_id",)),
        ({"agent_id": None}, {"agent_id": None}, ()),
        ({"agent_id": None}, {}, ()),
        ({"agent_id": None}, {"agent_id": "a"}, ("agent_id",)),
        ({"nickname": None}, {"nickname": ""}, ()),
        ({"nickname": ""}, {"nickname": None}, ()),
        ({"nickname": None}, {"nickname": "x"}, ("nickname",)),
        ({"label": "l", "nickname": "n"}, {"label": "m", "nickname": "n"}, ("label",)),
        # A shape that has no such key says nothing about the field.
        ({"label": "l", "nickname": "n"}, {"nickname": "n"}, ()),
    ],
)
def test_fields_that_an_update_does_not_show_are_named(
    sent: dict[str, Any], shown: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    operation = update_phone_number(UpdatePhoneNumber(id="phn_1", **sent))

    assert operation.ignored_fields is not None
    assert operation.ignored_fields(number(**shown)) == ignored


@pytest.mark.parametrize(
    ("sent", "shown", "ignored"),
    [
        ({"inbound_phone_number_id": "p"}, {"inbound_phone_number_id": "p"}, ()),
        ({"inbound_phone_number_id": ""}, {"inbound_phone_number_id": None}, ()),
        (
            {"outbound_phone_number_id": ""},
            {"outbound_phone_number_id": "p"},
            ("outbound_phone_number_id",),
        ),
        ({"is_published": True}, {"is_published": False}, ("is_published",)),
    ],
)
def test_fields_that_an_agent_does_not_show_are_named(
    sent: dict[str, Any], shown: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    """Unknown fields are dropped without a word there."""
    operation = update_agent(UpdateAgent(id="agt_1", version_number=1, **sent))

    assert operation.ignored_fields is not None
    assert operation.ignored_fields(CALLS.decoded("get_agent", {"id": "agt_1", **shown})) == ignored


def test_an_import_is_looked_up_in_the_listing_by_its_number() -> None:
    value = ImportSipTrunk(
        phone_number=NUMBER, termination_uri="h", auth_mode="ip", nickname="mine"
    )
    read_back = import_sip_trunk(value).read_back

    assert read_back is not None
    rows = [{"id": "1", "phone_number": "+1"}, {"id": "2", "phone_number": NUMBER}]
    found = read_back.operation.decode(Response(status=200, body=json.dumps(rows).encode()))
    assert (found.id, read_back.agrees(found)) == ("2", False)
    assert read_back.agrees(number(id="2", phone_number=NUMBER, nickname="mine"))

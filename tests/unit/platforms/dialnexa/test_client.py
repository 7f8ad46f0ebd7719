"""The client in the vendor's words: what each method sends, and what it gives."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import pytest

from sigmamind_async import DialNexa
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import (
    ConflictError,
    FieldsIgnoredError,
    InvalidRequestError,
    NotFoundError,
)
from sigmamind_async.events import Event, FieldsIgnored
from sigmamind_async.operation import Response
from sigmamind_async.platforms.dialnexa.client import (
    Agents,
    PhoneNumberChange,
    PhoneNumberPricing,
    PhoneNumbers,
)
from sigmamind_async.platforms.dialnexa.models import (
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumberPricing,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.testing import ScriptedTransport, reply
from sigmamind_async.transport import HttpRequest

Make = Callable[..., tuple[DialNexa, ScriptedTransport]]
NUMBER = "+912234567890"
RECORD = {"id": "phn_1", "phone_number": NUMBER}
PATH = "/v1/organization-phone-numbers"


def what(sent: HttpRequest) -> tuple[str, str, object]:
    body = None if sent.body is None else json.loads(sent.body)
    return sent.method, sent.url.removeprefix("https://api.dialnexa.com"), body


# ---------------------------------------------------------------- methods and values

METHODS: list[tuple[Callable[..., Any], type[RequestValue[Any]]]] = [
    (PhoneNumbers.search, SearchPhoneNumbers),
    (PhoneNumbers.purchase, PurchasePhoneNumber),
    (PhoneNumbers.import_sip_trunk, ImportSipTrunk),
    (PhoneNumbers.update, UpdatePhoneNumber),
    (PhoneNumbers.get, GetPhoneNumber),
    (PhoneNumbers.release, ReleasePhoneNumber),
    (PhoneNumberPricing.list, ListPhoneNumberPricing),
    (Agents.get, GetAgent),
    (Agents.update, UpdateAgent),
]


@pytest.mark.parametrize(("method", "cls"), METHODS, ids=lambda each: each.__qualname__)
def test_a_method_takes_what_its_value_holds(
    method: Callable[..., Any], cls: type[RequestValue[Any]]
) -> None:
    """The key first and by position, the rest by keyword, with the same defaults and types."""
    taken = list(inspect.signature(method).parameters.values())[1:]
    hints, fields = get_type_hints(method), get_type_hints(cls)
    del hints["return"]
    if "sip_trunk_password" in fields:  # a plain text is taken too, and wrapped
        fields["sip_trunk_password"] |= str

    assert {each.name: each.default for each in taken} == {
        field.name: inspect.Parameter.empty if field.default is attrs.NOTHING else field.default
        for field in attrs.fields(cls)
    }
    assert all(each.kind is each.KEYWORD_ONLY for each in taken[1:])
    assert hints == fields


def test_the_change_of_many_numbers_is_that_of_one() -> None:
    fields = {field.name for field in attrs.fields(UpdatePhoneNumber)} - {"id"}
    change, method = get_type_hints(PhoneNumberChange), get_type_hints(PhoneNumbers.update)

    assert change == {name: method[name] for name in fields}


async def test_each_method_sends_its_value(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    numbers = client.phone_numbers
    await numbers.purchase(NUMBER, telephony_provider_id="tp_1", country_iso="IN")
    await numbers.purchase(NUMBER, provider="twilio", older_body=True)
    await numbers.purchase(NUMBER, older_body=True)
    await numbers.import_sip_trunk(
        NUMBER,
        termination_uri="sip.example.com",
        sip_trunk_user_name="u",
        sip_trunk_password="hunter2",
    )
    await numbers.update("phn_1", agent_id=None, nickname=None)
    await numbers.get("phn_1")
    await numbers.release("phn_1")

    newer = {"phoneNumber": NUMBER, "telephonyProviderId": "tp_1", "countryISO": "IN"}
    trunk = {
        "phoneNumber": NUMBER,
        "terminationUri": "sip.example.com",
        "sipTrunkUserName": "u",
        "sipTrunkPassword": "hunter2",
    }
    assert [what(sent) for sent in transport.sent] == [
        ("POST", f"{PATH}/purchase", newer),
        ("POST", f"{PATH}/purchase", {"phone_number": NUMBER, "provider": "twilio"}),
        ("POST", f"{PATH}/purchase", {"phone_number": NUMBER}),
        ("POST", f"{PATH}/sip-trunks", trunk),
        ("PATCH", f"{PATH}/phn_1", {"agent_id": None, "nickname": None}),
        ("GET", f"{PATH}/phn_1", None),
        ("DELETE", f"{PATH}/phn_1", None),
    ]


async def test_a_search_asks_for_a_country_and_a_type(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json={"objects": [{"number": "1"}]}))
    found = await client.phone_numbers.search("IN")
    await client.phone_numbers.search("IN", type="tollfree")

    assert [each.number for each in found] == ["1"]
    assert [what(sent)[1] for sent in transport.sent] == [
        f"{PATH}/plivo-numbers?country_iso=IN",
        f"{PATH}/plivo-numbers?country_iso=IN&type=tollfree",
    ]


async def test_what_is_found_can_be_bought_as_it_is(make_client: Make) -> None:
    """Search, price list and purchase give each other what they need."""
    stock = {"objects": [{"number": "912234567890", "country_iso": "IN"}]}
    prices = [{"telephony_provider_id": "tp_abc123xyz789", "country_iso": "IN"}]
    client, transport = make_client([reply(json=stock), reply(json=prices), reply(201, RECORD)])
    offer = (await client.phone_numbers.search("IN"))[0]
    price = await anext(client.phone_number_pricing.list())
    await client.phone_numbers.purchase(
        offer.number, telephony_provider_id=price.telephony_provider_id, country_iso="IN"
    )

    assert what(transport.sent[1]) == ("GET", "/v1/phone-number-pricing", None)
    assert what(transport.sent[2])[2] == {
        "phoneNumber": NUMBER,
        "telephonyProviderId": "tp_abc123xyz789",
        "countryISO": "IN",
    }


async def test_a_purchase_without_a_provider_says_where_its_id_is(make_client: Make) -> None:
    client, transport = make_client([])
    with pytest.raises(InvalidRequestError, match=r"phone_number_pricing\.list\(\)"):
        await client.phone_numbers.purchase(NUMBER, country_iso="IN")

    assert not transport.sent


async def test_an_agent_of_the_documented_shape_is_updated_as_it_says(make_client: Make) -> None:
    """`strict` raises for nothing that the answer does not tell about."""
    draft = {"version_number": 2, "is_published": False}
    agent = {"id": "agt_1", "current_version_number": 2, "current_version": draft}
    live = {**agent, "current_version": {**draft, "is_published": True}}
    client, transport = make_client([reply(json=agent), reply(json=live)], strict=True)
    found = await client.agents.get("agt_1")
    assert found.version_number is not None
    updated = await client.agents.update(
        "agt_1",
        version_number=found.version_number,
        outbound_phone_number_id="phn_1",
        is_published=True,
    )

    assert (updated.version_number, updated.is_published) == (2, True)
    assert json.loads(transport.sent[1].body or b"")["version_number"] == 2


async def test_agents_are_looked_up_and_rerouted(make_client: Make) -> None:
    """An empty text detaches a number there."""
    client, transport = make_client(lambda _: reply(json={"id": "agt_1"}))
    await client.agents.get("agt_1")
    await client.agents.update(
        "agt_1", version_number=3, inbound_phone_number_id="", is_published=True
    )

    assert [what(sent) for sent in transport.sent] == [
        ("GET", "/v1/agents/agt_1", None),
        (
            "PATCH",
            "/v1/agents/agt_1",
            {"version_number": 3, "inbound_phone_number_id": "", "is_published": True},
        ),
    ]


async def test_the_whole_key_is_sent() -> None:
    transport = ScriptedTransport([reply(json=RECORD)])
    await DialNexa("key_1:s3cret", transport=transport).phone_numbers.get("phn_1")

    assert transport.sent[0].headers["Authorization"] == "Bearer key_1:s3cret"
    assert "X-API-Key" not in transport.sent[0].headers


async def test_a_wrong_argument_is_refused_before_anything_is_sent(make_client: Make) -> None:
    client, transport = make_client([])
    with pytest.raises(InvalidRequestError, match="agent_id"):
        await client.phone_numbers.update("phn_1", agent_id="")

    assert not transport.sent


# ---------------------------------------------------------------- a route that may be retired


@pytest.mark.parametrize(
    "said", ["Phone number not found", "Cannot PATCH /v1/organization-phone-numbers/phn_1"]
)
async def test_a_404_of_an_update_names_both_causes_and_the_other_way(
    said: str, make_client: Make
) -> None:
    body = {"statusCode": 404, "message": said, "error": "Not Found"}
    client, _ = make_client([reply(404, body)])
    with pytest.raises(NotFoundError) as caught:
        await client.phone_numbers.update("phn_1", agent_id=None)

    assert str(caught.value) == (
        f"404: {said}; either this workspace has no such number, or the route is retired: then"
        " assign numbers on the agent's side, with agents.update(inbound_phone_number_id=...,"
        " is_published=True)"
    )


async def test_a_404_of_anything_else_has_one_cause(make_client: Make) -> None:
    client, _ = make_client([reply(404, {"message": "gone"})])
    with pytest.raises(NotFoundError, match=r"^404: gone$"):
        await client.phone_numbers.get("phn_1")


async def test_a_number_in_use_is_not_released(make_client: Make) -> None:
    client, transport = make_client([reply(409, {"message": "in an active campaign"})])
    with pytest.raises(ConflictError, match="in an active campaign"):
        await client.phone_numbers.release("phn_1")

    assert len(transport.sent) == 1


# ---------------------------------------------------------------- listings


def pages_of(count: int, most: int) -> Callable[[HttpRequest], Response]:
    """Answer listings of *count* numbers, of which a page holds *most* at most."""

    def answer(sent: HttpRequest) -> Response:
        query = dict(pair.split("=") for pair in sent.url.partition("?")[2].split("&"))
        page, limit = int(query["page"]), min(int(query["limit"]), most)
        rows = [{"id": f"phn_{row}"} for row in range((page - 1) * limit, min(page * limit, count))]
        return reply(json={"items": rows, "total": count, "page": page, "limit": limit})

    return answer


@pytest.mark.parametrize("most", [100, 10, 3])
async def test_a_listing_reads_every_page(most: int, make_client: Make) -> None:
    """Though the platform cuts large pages down without a word."""
    client, transport = make_client(pages_of(25, most))
    found = [each.id async for each in client.phone_numbers.list(page_size=10)]

    assert found == [f"phn_{row}" for row in range(25)]
    assert what(transport.sent[0])[1] == f"{PATH}?page=1&limit=10"


async def test_a_listing_may_be_filtered(make_client: Make) -> None:
    client, transport = make_client([reply(json=[])])
    listing = client.phone_numbers.list(country_code="IN", type="toll_free")

    assert [each async for each in listing] == []
    assert what(transport.sent[0])[1] == f"{PATH}?page=1&limit=100&country_code=IN&type=toll_free"


# ---------------------------------------------------------------- what was sent, did it take?


async def test_fields_that_were_ignored_are_an_event_and_stand_in_the_outcome(
    make_client: Make,
) -> None:
    seen: list[Event] = []
    shown = reply(json={**RECORD, "agent_id": "agt_old", "nickname": None})
    client, _ = make_client(lambda _: shown, observer=seen.append)
    result = await client.phone_numbers.update_many(["phn_1"], agent_id=None, nickname="")

    assert [each.ignored for each in result.outcomes] == [("agent_id",)]
    assert [each.fields for each in seen if isinstance(each, FieldsIgnored)] == [("agent_id",)]


async def test_strict_raises_for_a_field_that_was_ignored(make_client: Make) -> None:
    client, _ = make_client([reply(json={**RECORD, "label": "y"})], strict=True)
    with pytest.raises(FieldsIgnoredError, match="did not set: label") as caught:
        await client.phone_numbers.update("phn_1", label="x")

    assert (caught.value.fields, caught.value.committed) == (("label",), "yes")


# ---------------------------------------------------------------- many at once


async def test_one_change_goes_to_many_numbers(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    values: list[UpdatePhoneNumber | str] = ["phn_1"]
    values += [UpdatePhoneNumber(id="phn_2", label="Own")]
    await client.phone_numbers.update_many(values, nickname=None)

    assert [what(sent)[2] for sent in transport.sent] == [{"nickname": None}, {"label": "Own"}]


async def test_purchases_and_imports_go_in_many(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(201, RECORD))
    older = PurchasePhoneNumber(phone_number=NUMBER, older_body=True)
    trunk = ImportSipTrunk(phone_number=NUMBER, termination_uri="h", auth_mode="ip")
    bought = await client.phone_numbers.purchase_many([older] * 3)
    imported = await client.phone_numbers.import_sip_trunk_many([trunk])

    assert (len(bought.done), len(imported.done), len(transport.sent)) == (3, 1, 4)

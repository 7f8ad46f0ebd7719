"""Phone numbers as the documentation has them, every switch at its default."""

import aiohttp
import pytest

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import SIGMAMIND, Send, json_of

NUMBERS = SIGMAMIND.numbers
NUMBER = "+14155552671"
TRUNK = {
    "phoneNumber": NUMBER,
    "trunkUsername": "my_trunk_user",
    "trunkPassword": "tr!nkP@ssword",
    "terminationSipURI": "sip.telnyx.com",
}


async def test_an_exact_number_is_bought(box: Sandbox, send: Send) -> None:
    response = await send("POST", NUMBERS, json={"phoneNumber": NUMBER, "friendlyName": "Support"})
    assert response.status == 201
    assert await response.json() == {
        "sipPhoneNumber": NUMBER,
        "provider": "twilio",
        "inboundAgentId": None,
        "outboundAgentId": None,
        "outboundPhoneNumber": None,
        "active": True,
        "friendlyName": "Support",
    }
    assert box.ledger.owned() == [NUMBER]


async def test_the_country_is_ignored_when_the_number_is_given(send: Send) -> None:
    body = {"phoneNumber": NUMBER, "countryCode": "us", "areaCode": "any"}
    assert (await json_of(send("POST", NUMBERS, json=body)))["sipPhoneNumber"] == NUMBER


async def test_a_number_is_chosen_from_the_country_and_area(send: Send) -> None:
    body = {"countryCode": "US", "areaCode": 415}
    bought = [(await json_of(send("POST", NUMBERS, json=body))) for _ in range(3)]
    numbers = [number["sipPhoneNumber"] for number in bought]
    assert len(set(numbers)) == 3
    assert all(number.startswith("+1415") for number in numbers)
    assert [number["friendlyName"] for number in bought] == numbers


async def test_provisioned_numbers_come_from_both_carriers(send: Send) -> None:
    bought = [await json_of(send("POST", NUMBERS, json={"countryCode": "US"})) for _ in range(20)]
    assert {number["provider"] for number in bought} == {"twilio", "telnyx"}


async def test_two_sandboxes_of_one_seed_sell_the_same(send: Send) -> None:
    first = await json_of(send("POST", NUMBERS, json={"countryCode": "GB"}))
    async with Sandbox(seed=1) as other, aiohttp.ClientSession() as session:
        headers = {"X-API-Key": other.sigmamind.api_key}
        url = other.sigmamind.base_url + NUMBERS
        async with session.post(url, json={"countryCode": "GB"}, headers=headers) as response:
            assert await response.json() == first


@pytest.mark.parametrize("body", [{}, {"areaCode": 415}, {"friendlyName": "Support"}])
async def test_a_purchase_needs_a_number_or_a_country(
    box: Sandbox,
    send: Send,
    body: dict[str, object],
) -> None:
    response = await send("POST", NUMBERS, json=body)
    assert response.status == 400
    error = await response.json()
    assert error.pop("timestamp").endswith("Z")
    assert error == {
        "error": "Bad Request",
        "message": "Either phoneNumber or countryCode must be provided",
        "path": NUMBERS,
        "status": 400,
    }
    assert len(box.ledger) == 0


async def test_a_country_without_stock_is_refused(send: Send) -> None:
    assert (await send("POST", NUMBERS, json={"countryCode": "ZZ"})).status == 400


async def test_an_import_answers_without_provider_and_reads_back_with_one(send: Send) -> None:
    response = await send("POST", NUMBERS + "/import", json=TRUNK)
    assert response.status == 201
    imported = await response.json()
    assert "provider" not in imported
    assert imported["terminationSipURI"] == "sip.telnyx.com"
    read = await json_of(send("GET", f"{NUMBERS}/%2B{NUMBER[1:]}"))
    assert read == {**imported, "provider": "byo"}
    assert not {"trunkPassword", "trunkUsername"} & read.keys()


async def test_a_number_is_found_with_its_plus_escaped_or_not(send: Send) -> None:
    await send("POST", NUMBERS, json={"phoneNumber": NUMBER})
    for key in (NUMBER, "%2B" + NUMBER[1:]):
        assert (await send("GET", f"{NUMBERS}/{key}")).status == 200


async def test_an_update_changes_what_it_names_and_leaves_the_rest(send: Send) -> None:
    await send("POST", NUMBERS + "/import", json={**TRUNK, "inboundAgentId": "agent_1"})
    change = {"friendlyName": "New", "outboundAgentId": "agent_2", "terminationSipUri": "sip.new"}
    updated = await json_of(send("PATCH", f"{NUMBERS}/{NUMBER}", json=change))
    assert updated == {
        "sipPhoneNumber": NUMBER,
        "provider": "byo",
        "inboundAgentId": "agent_1",
        "outboundAgentId": "agent_2",
        "outboundPhoneNumber": None,
        "active": True,
        "terminationSipURI": "sip.new",
        "friendlyName": "New",
    }


async def test_null_removes_an_agent(send: Send) -> None:
    body = {"phoneNumber": NUMBER, "inboundAgentId": "agent_1", "outboundAgentId": "agent_1"}
    await send("POST", NUMBERS, json=body)
    updated = await json_of(send("PATCH", f"{NUMBERS}/{NUMBER}", json={"inboundAgentId": None}))
    assert (updated["inboundAgentId"], updated["outboundAgentId"]) == (None, "agent_1")


async def test_the_other_spelling_is_an_unknown_key(send: Send) -> None:
    """``Uri`` in the update, ``URI`` in the import: each ignores the other's word."""
    await send("POST", NUMBERS + "/import", json=TRUNK)
    path = f"{NUMBERS}/{NUMBER}"
    updated = await json_of(send("PATCH", path, json={"terminationSipURI": "sip.new"}))
    assert updated["terminationSipURI"] == "sip.telnyx.com"
    other = {"phoneNumber": "+14155552672", "terminationSipUri": "sip.new"}
    assert (await json_of(send("POST", NUMBERS + "/import", json=other)))[
        "terminationSipURI"
    ] is None


async def test_trunk_fields_have_no_effect_on_a_provisioned_number(send: Send) -> None:
    await send("POST", NUMBERS, json={"phoneNumber": NUMBER})
    change = {"terminationSipUri": "sip.new", "trunkUsername": "x", "trunkPassword": "y"}
    response = await send("PATCH", f"{NUMBERS}/{NUMBER}", json=change)
    assert response.status == 200
    assert (await response.json())["terminationSipURI"] is None


async def test_a_release_has_no_answer(send: Send) -> None:
    await send("POST", NUMBERS, json={"phoneNumber": NUMBER})
    response = await send("DELETE", f"{NUMBERS}/{NUMBER}")
    assert (response.status, await response.read()) == (204, b"")


@pytest.mark.parametrize("key", ["14155552671", "%2B0123456", "x", "..%2F", "%2B1415%0A"])
async def test_a_key_that_is_no_number_is_refused(send: Send, key: str) -> None:
    assert (await send("GET", f"{NUMBERS}/{key}")).status == 400


async def test_pages_are_counted_from_zero_and_cut_to_size(send: Send) -> None:
    bought = [
        (await json_of(send("POST", NUMBERS, json={"countryCode": "US"})))["sipPhoneNumber"]
        for _ in range(12)
    ]
    first = await json_of(send("GET", NUMBERS))
    assert [row["sipPhoneNumber"] for row in first.pop("data")] == bought[:10]
    assert first == {
        "page": 0,
        "size": 10,
        "totalCount": 12,
        "totalPages": 2,
        "hasNext": True,
        "hasPrevious": False,
    }
    last = await json_of(send("GET", NUMBERS + "?page=2&size=5"))
    assert [row["sipPhoneNumber"] for row in last["data"]] == bought[10:]
    assert (last["hasNext"], last["hasPrevious"], last["totalPages"]) == (False, True, 3)
    beyond = await json_of(send("GET", NUMBERS + "?page=9&size=5"))
    assert (beyond["data"], beyond["hasNext"]) == ([], False)


@pytest.mark.parametrize(
    "query",
    ["page=-1", "size=0", "size=-5", "page=x", "size=1.5", "size=2147483648", "page="],
)
async def test_a_page_out_of_range_is_refused(send: Send, query: str) -> None:
    assert (await send("GET", f"{NUMBERS}?{query}")).status == 400

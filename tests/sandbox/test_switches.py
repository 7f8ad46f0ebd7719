"""Each open question of the documentation, answered both ways."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import pytest

from sigmamind_async.sandbox import Sandbox, Switches

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]
Json = Any

NUMBERS = "/v1/phone-numbers"
NUMBER = "+14155552671"
PATH = f"{NUMBERS}/{NUMBER}"
TRUNK = {"phoneNumber": NUMBER, "trunkUsername": "user", "trunkPassword": "tr!nkP@ssword"}


async def json_of(answer: Awaitable[aiohttp.ClientResponse]) -> Json:
    return await (await answer).json()


def turn(box: Sandbox, **switches: Json) -> None:
    box.switches = attrs.evolve(box.switches, **switches)


async def buy(send: Send, **body: object) -> Json:
    return await json_of(send("POST", NUMBERS, json={"phoneNumber": NUMBER, **body}))


async def test_the_older_envelope_spells_the_total_differently(box: Sandbox, send: Send) -> None:
    turn(box, list_envelope="older_page")
    await buy(send)
    page = await json_of(send("GET", NUMBERS))
    assert page["totalCounts"] == 1
    assert "totalCount" not in page


async def test_a_bare_array_holds_everything(box: Sandbox, send: Send) -> None:
    turn(box, list_envelope="array")
    for _ in range(11):
        await send("POST", NUMBERS, json={"countryCode": "US"})
    assert len(await json_of(send("GET", NUMBERS + "?page=0&size=1"))) == 11


async def test_pages_can_be_cut_down(box: Sandbox, send: Send) -> None:
    turn(box, max_page_size=2)
    for _ in range(3):
        await send("POST", NUMBERS, json={"countryCode": "US"})
    page = await json_of(send("GET", NUMBERS + "?size=100"))
    assert (len(page["data"]), page["size"], page["hasNext"]) == (2, 2, True)


async def test_null_can_be_ignored(box: Sandbox, send: Send) -> None:
    turn(box, null_clears=False)
    await buy(send, inboundAgentId="agent_1")
    updated = await json_of(send("PATCH", PATH, json={"inboundAgentId": None}))
    assert updated["inboundAgentId"] == "agent_1"


@pytest.mark.parametrize(("word", "expected"), [("null", None), ("empty", ""), ("absent", "-")])
async def test_an_unset_agent(box: Sandbox, send: Send, word: str, expected: str | None) -> None:
    turn(box, unset_as=word)
    bought = await buy(send)
    assert bought.get("inboundAgentId", "-") == expected
    assert bought["active"] is True


async def test_secrets_can_be_echoed(box: Sandbox, send: Send) -> None:
    turn(box, echo_secrets=True)
    imported = await json_of(send("POST", NUMBERS + "/import", json=TRUNK))
    assert (imported["trunkUsername"], imported["trunkPassword"]) == ("user", "tr!nkP@ssword")
    updated = await json_of(send("PATCH", PATH, json={"trunkPassword": "new"}))
    assert updated["trunkPassword"] == "new"
    assert (await json_of(send("GET", PATH)))["trunkPassword"] == "new"


async def test_numbers_can_be_numbers(box: Sandbox, send: Send) -> None:
    turn(box, numeric_numbers=True)
    bought = await buy(send, outboundPhoneNumber="+14155550100")
    assert bought["sipPhoneNumber"] == 14155552671
    assert bought["outboundPhoneNumber"] == 14155550100


async def test_retired_routes_are_gone_or_served(box: Sandbox, send: Send) -> None:
    body = {"phoneNumber": NUMBER}
    assert (await send("POST", "/v1/phone-number", json=body)).status == 404
    turn(box, serve_retired_routes=True)
    assert (await send("POST", "/v1/phone-number", json=body)).status == 201
    assert (await send("GET", f"/v1/phone-number/{NUMBER}")).status == 200


async def test_a_duplicate_can_be_taken_again(box: Sandbox, send: Send) -> None:
    turn(box, duplicates="accept")
    await buy(send, friendlyName="order-1")
    assert (await buy(send, friendlyName="order-1"))["sipPhoneNumber"] == NUMBER
    assert box.ledger.bought_twice() == {"order-1": [NUMBER, NUMBER]}
    assert box.ledger.owned() == [NUMBER]


async def test_statuses_of_success_vary(box: Sandbox, send: Send) -> None:
    turn(box, create_status=200, delete_status=200)
    body = {"phoneNumber": NUMBER}
    assert (await send("POST", NUMBERS, json=body)).status == 200
    response = await send("DELETE", PATH)
    assert response.status == 200
    assert (await response.json())["sipPhoneNumber"] == NUMBER
    assert (await send("POST", NUMBERS + "/import", json=body)).status == 200


async def test_unknown_keys_are_ignored_or_rejected(box: Sandbox, send: Send) -> None:
    body = {"countryCode": "US", "surprise": 1}
    assert (await send("POST", NUMBERS, json=body)).status == 201
    turn(box, unknown_keys="reject")
    response = await send("POST", NUMBERS, json=body)
    assert response.status == 400
    assert (await response.json())["message"] == "Unknown field: surprise"


async def test_errors_can_be_plain_text(box: Sandbox, send: Send) -> None:
    turn(box, error_body="text")
    response = await send("GET", PATH)
    assert (response.status, response.content_type) == (404, "text/plain")
    assert await response.text() == "Phone number not found"


async def test_errors_can_be_empty(box: Sandbox, send: Send) -> None:
    turn(box, error_body="empty")
    for path, headers, status in ((PATH, {}, 404), (NUMBERS, {"X-API-Key": "wrong"}, 401)):
        response = await send("GET", path, headers=headers)
        assert (response.status, await response.read()) == (status, b"")


async def test_records_can_carry_unknown_keys(box: Sandbox, send: Send) -> None:
    turn(box, extra_keys=True)
    assert (await buy(send))["complianceState"] == "approved"


async def test_carriers_can_have_new_names(box: Sandbox, send: Send) -> None:
    turn(box, provider_word="bandwidth")
    assert (await buy(send))["provider"] == "bandwidth"
    await send("POST", NUMBERS + "/import", json={"phoneNumber": "+14155550100"})
    assert (await json_of(send("GET", f"{NUMBERS}/+14155550100")))["provider"] == "byo"


@pytest.mark.parametrize("field", ["inboundAgentId", "outboundAgentId"])
async def test_unknown_agents_are_accepted_or_refused(
    box: Sandbox,
    send: Send,
    field: str,
) -> None:
    await buy(send, **{field: "agent_unknown"})
    turn(box, check_agents=True)
    assert (await send("PATCH", PATH, json={field: "agent_unknown"})).status == 400
    assert (await send("PATCH", PATH, json={field: "agent_D5D0p7TUs66TTAEAx"})).status == 200
    assert (await send("PATCH", PATH, json={field: None})).status == 200


async def test_a_balance_is_used_up(box: Sandbox, send: Send) -> None:
    turn(box, max_purchases=1)
    statuses = [(await send("POST", NUMBERS, json={"countryCode": "US"})).status for _ in range(2)]
    assert statuses == [201, 402]
    assert (await send("POST", NUMBERS + "/import", json=TRUNK)).status == 201


@pytest.mark.parametrize(
    ("name", "value"),
    [("list_envelope", "x"), ("unset_as", "x"), ("create_status", 202), ("max_page_size", 0)],
)
def test_a_switch_has_no_other_positions(name: str, value: Json) -> None:
    with pytest.raises(ValueError, match=name):
        Switches(**{name: value})

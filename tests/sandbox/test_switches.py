"""Each open question that is asked of every platform or of SigmaMind, answered both ways."""

from collections.abc import Callable

import pytest

from sigmamind_async.sandbox import DialNexaSwitches, Sandbox, Switches, VerbexSwitches
from tests.sandbox.support import (
    SIGMAMIND,
    VERBEX,
    Json,
    Send,
    Vendor,
    every_vendor,
    json_of,
    number_at,
    turn,
)

NUMBERS = SIGMAMIND.numbers
NUMBER = "+14155552671"
PATH = f"{NUMBERS}/{NUMBER}"
TRUNK = {"phoneNumber": NUMBER, "trunkUsername": "user", "trunkPassword": "tr!nkP@ssword"}


async def buy(send: Send, **body: object) -> Json:
    return await json_of(send("POST", NUMBERS, json={"phoneNumber": NUMBER, **body}))


async def bought(send: Send, vendor: Vendor, position: int = 0) -> Json:
    """Buy a number of any platform and return its record."""
    answer = await json_of(send("POST", vendor.purchase[1], json=vendor.order(position)))
    return vendor.record(answer)


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


@every_vendor
async def test_pages_can_be_cut_down(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, max_page_size=2)
    for position in range(3):
        await bought(send, vendor, position)
    page = await json_of(send("GET", vendor.numbers))
    assert len(page[vendor.rows]) == 2


@every_vendor
async def test_null_can_be_ignored(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, null_clears=False)
    agent = vendor.fields["agent"]
    path = vendor.path_of(await bought(send, vendor))
    await send("PATCH", path, json={agent: "agt_abc123"})
    updated = await json_of(send("PATCH", path, json={agent: None}))
    assert updated[agent] == "agt_abc123"


@pytest.mark.parametrize(("word", "expected"), [("null", None), ("empty", ""), ("absent", "-")])
@every_vendor
async def test_an_unset_agent(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
    word: str,
    expected: str | None,
) -> None:
    turn(box, unset_as=word)
    record = await bought(send, vendor)
    assert record.get(vendor.fields["agent"], "-") == expected
    assert record[vendor.shown_number] == number_at(0)


@every_vendor
async def test_a_duplicate_can_be_taken_again(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    """Where records have ids there are two of them, and releasing one leaves the other."""
    turn(box, duplicates="accept")
    first, second = await bought(send, vendor), await bought(send, vendor)
    assert second[vendor.shown_number] == number_at(0)
    held = 1 if vendor is SIGMAMIND else 2
    assert box.ledger.owned() == [number_at(0)] * held
    if vendor.labels_purchases:
        assert box.ledger.bought_twice() == {"order-1": [number_at(0)] * 2}
    await send("DELETE", vendor.path_of(first))
    assert box.ledger.owned() == [number_at(0)] * (held - 1)


@every_vendor
async def test_a_creation_can_answer_200(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, create_status=200)
    bodies = ((vendor.purchase, vendor.order(1)), (vendor.bring, vendor.trunk(2)))
    for (_, path), body in bodies:
        assert (await send("POST", path, json=body)).status == 200


@pytest.mark.parametrize("vendor", [SIGMAMIND, VERBEX], ids=repr)
async def test_a_deletion_can_answer_with_the_record(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    record = await bought(send, vendor)
    turn(box, delete_status=200)
    response = await send("DELETE", vendor.path_of(record))
    assert response.status == 200
    assert (await response.json())[vendor.key_field] == record[vendor.key_field]


@every_vendor
async def test_unknown_keys_are_ignored_or_rejected(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    path, body = vendor.purchase[1], {**vendor.order(), "surprise": 1}
    assert (await send("POST", path, json=body)).status == 201
    turn(box, unknown_keys="reject")
    response = await send("POST", path, json=body)
    assert response.status == vendor.refusal
    assert "surprise" in await response.text()


@every_vendor
async def test_errors_can_be_plain_text(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, error_body="text")
    response = await send("GET", f"{vendor.numbers}/{NUMBER}")
    assert (response.status, response.content_type) == (404, "text/plain")
    assert await response.text() == "Phone number not found"


@every_vendor
async def test_errors_can_be_empty(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, error_body="empty")
    unknown = await send("GET", f"{vendor.numbers}/{NUMBER}")
    keyless = await send("GET", vendor.numbers, headers=vendor.headers("wrong"))
    for response, status in ((unknown, 404), (keyless, 401)):
        assert (response.status, await response.read()) == (status, b"")


@every_vendor
async def test_records_can_carry_unknown_keys(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    turn(box, extra_keys=True)
    assert (await bought(send, vendor))["complianceState"] == "approved"


@every_vendor
async def test_a_balance_is_used_up(box: Sandbox, vendor: Vendor, send: Send) -> None:
    turn(box, max_purchases=1)
    bodies = [vendor.order(position) for position in range(2)]
    statuses = [(await send("POST", vendor.purchase[1], json=body)).status for body in bodies]
    assert statuses == [201, 402]
    assert (await send("POST", vendor.bring[1], json=vendor.trunk(2))).status == 201


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (Switches, "list_envelope", "x"),
        (Switches, "unset_as", "x"),
        (Switches, "create_status", 202),
        (Switches, "max_page_size", 0),
        (VerbexSwitches, "slash_redirect", 301),
        (VerbexSwitches, "secrets", None),
        (DialNexaSwitches, "record_shape", "x"),
        (DialNexaSwitches, "pending_seconds", -1),
    ],
)
def test_a_switch_has_no_other_positions(
    group: Callable[..., object],
    name: str,
    value: Json,
) -> None:
    with pytest.raises(ValueError, match=name):
        group(**{name: value})

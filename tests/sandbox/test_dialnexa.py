"""What sets DialNexa apart: search and purchase, two ways of routing, its open questions."""

import pytest

from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.dialnexa.records import AGENTS, PhoneNumber
from sigmamind_async.sandbox.dialnexa.views import number_status
from tests.sandbox.support import DIALNEXA, Json, Send, Vendor, json_of, turn, turn_own

NUMBERS = DIALNEXA.numbers
NUMBER = "+14155552671"
TRUNK = {
    "phoneNumber": NUMBER,
    "terminationUri": "sip.example.com:5060",
    "sipTrunkUserName": "user",
    "sipTrunkPassword": "tr!nk",
}
SUPPORT, SALES = "agt_abc123", "agt_k7m2nq9xw4p8"


@pytest.fixture
def vendor() -> Vendor:
    return DIALNEXA


async def bring(send: Send, phone_number: str = NUMBER, **fields: str) -> Json:
    body = {**TRUNK, "phoneNumber": phone_number, **fields}
    return await json_of(send("POST", f"{NUMBERS}/sip-trunks", json=body))


async def buy(send: Send, phone_number: str = NUMBER) -> Json:
    body = {"phone_number": phone_number}
    return await json_of(send("POST", f"{NUMBERS}/purchase", json=body))


async def search(send: Send, query: str = "country_iso=US") -> Json:
    return await json_of(send("GET", f"{NUMBERS}/plivo-numbers?{query}"))


async def read(send: Send, record: Json) -> Json:
    return await json_of(send("GET", f"{NUMBERS}/{record['id']}"))


async def route(send: Send, agent_id: str, **fields: object) -> Json:
    """Change the draft of an agent."""
    agent = await json_of(send("GET", f"/v1/agents/{agent_id}"))
    body = {"version_number": agent["current_version_number"], **fields}
    return await json_of(send("PATCH", f"/v1/agents/{agent_id}", json=body))


async def test_a_record_has_the_documented_fields(send: Send) -> None:
    record = await bring(send, nickname="Sales Line")
    assert record.pop("id").startswith("phn_")
    assert record.pop("created_at").endswith("Z")
    assert record == {
        "phone_number": NUMBER,
        "label": None,
        "agent_id": None,
        "status": "active",
        "provider": "sip",
        "nickname": "Sales Line",
    }


async def test_what_is_found_can_be_bought_and_is_then_not_found(send: Send) -> None:
    found = await search(send)
    numbers = [offer["number"] for offer in found["objects"]]
    assert found["meta"]["total_count"] == len(set(numbers)) == 20
    assert await search(send) == found
    bought = await buy(send, "+" + numbers[0])
    assert bought["organizationPhoneNumber"]["phone_number"] == "+" + numbers[0]
    left = [offer["number"] for offer in (await search(send))["objects"]]
    assert len(left) == 20
    assert set(numbers) - set(left) == {numbers[0]}


async def test_an_offer_has_the_documented_fields(send: Send) -> None:
    offer = (await search(send, "country_iso=GB&type=local"))["objects"][0]
    number = offer.pop("number")
    assert number.startswith("44")
    assert offer == {
        "type": "local",
        "monthly_rental_rate": "0.80000",
        "setup_rate": "0.00000",
        "voice_enabled": True,
        "sms_enabled": False,
        "mms_enabled": False,
        "country_iso": "GB",
        "number_format": f"+{number}",
    }


@pytest.mark.parametrize("query", ["country_iso=ZZ", "country_iso=US&type=tollfree"])
async def test_nothing_is_found_where_nothing_is_sold(send: Send, query: str) -> None:
    assert (await search(send, query))["objects"] == []


async def test_a_search_names_a_country(send: Send) -> None:
    response = await send("GET", f"{NUMBERS}/plivo-numbers")
    assert await response.json() == {
        "statusCode": 400,
        "message": "country_iso is required",
        "error": "Bad Request",
    }


async def test_agents_are_listed_as_they_are_read(send: Send) -> None:
    listed = await json_of(send("GET", "/v1/agents"))
    assert [agent["id"] for agent in listed["agents"]] == [agent.agent_id for agent in AGENTS]
    for agent in listed["agents"]:
        assert await json_of(send("GET", f"/v1/agents/{agent['id']}")) == agent


@pytest.mark.parametrize("query", ["", "country_iso=us", "country_iso=US&type=x"])
async def test_a_search_must_be_one(send: Send, query: str) -> None:
    response = await send("GET", f"{NUMBERS}/plivo-numbers?{query}")
    assert response.status == 400


async def test_found_numbers_can_carry_their_plus(box: Sandbox, send: Send) -> None:
    bare = [offer["number"] for offer in (await search(send))["objects"]]
    turn_own(box, DIALNEXA, search_numbers="e164")
    whole = [offer["number"] for offer in (await search(send))["objects"]]
    assert whole == [f"+{number}" for number in bare]


@pytest.mark.parametrize(
    ("spelling", "statuses"),
    [("either", [201, 201]), ("snake", [201, 400]), ("camel", [400, 201])],
)
async def test_a_purchase_is_spelled_two_ways(
    box: Sandbox,
    send: Send,
    spelling: str,
    statuses: list[int],
) -> None:
    turn_own(box, DIALNEXA, purchase_body=spelling)
    bodies = [{"phone_number": NUMBER, "provider": "twilio"}, DIALNEXA.order(1)]
    path = f"{NUMBERS}/purchase"
    assert [(await send("POST", path, json=body)).status for body in bodies] == statuses


async def test_a_purchase_is_answered_in_four_forms(box: Sandbox, send: Send) -> None:
    message = "Phone number purchased successfully"
    envelope = await buy(send, "+14155550101")
    record = await read(send, envelope["organizationPhoneNumber"])
    assert envelope == {
        "phoneNumber": "+14155550101",
        "status": "active",
        "message": message,
        "organizationPhoneNumber": record,
    }
    turn_own(box, DIALNEXA, purchase_answer="summary")
    assert await buy(send, "+14155550102") == {
        "phoneNumber": "+14155550102",
        "status": "active",
        "message": message,
    }
    turn_own(box, DIALNEXA, purchase_answer="outside")
    assert (await buy(send, "+14155550104"))["organizationPhoneNumber"] == {
        "sip_trunk_enabled": False
    }
    turn_own(box, DIALNEXA, purchase_answer="record")
    assert (await buy(send, "+14155550103")).keys() == record.keys()


async def test_a_number_can_be_pending_first(box: Sandbox, send: Send) -> None:
    turn_own(box, DIALNEXA, pending_seconds=60.0)
    bought = await buy(send)
    record = bought["organizationPhoneNumber"]
    assert (bought["status"], record["status"]) == ("pending", "pending")
    assert (await read(send, record))["status"] == "pending"


@pytest.mark.parametrize(("passed", "status"), [(59.9, "pending"), (60.0, "active")])
def test_a_pending_number_is_active_in_the_end(passed: float, status: str) -> None:
    number = PhoneNumber(
        key="phn_1",
        phone_number=NUMBER,
        provider="plivo",
        country_code="US",
        created_at=1_000.0,
        active_at=1_060.0,
    )
    assert number_status(number, 1_000.0 + passed) == status


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"authMode": "ip"}, "must be omitted when authMode=ip"),
        ({"sipTrunkPassword": None}, "are required when authMode=userpass"),
        (
            {"authMode": "userpass", "sipTrunkUserName": None},
            "are required when authMode=userpass",
        ),
    ],
)
async def test_credentials_go_with_the_way_a_trunk_is_known(
    send: Send,
    change: dict[str, str | None],
    said: str,
) -> None:
    whole: dict[str, str | None] = {**TRUNK, **change}
    body = {name: value for name, value in whole.items() if value is not None}
    response = await send("POST", f"{NUMBERS}/sip-trunks", json=body)
    assert response.status == 400
    message = (await response.json())["message"]
    assert message == f"sipTrunkUserName and sipTrunkPassword {said}"


async def test_a_trunk_known_by_its_address_needs_no_credentials(send: Send) -> None:
    body = {"phoneNumber": NUMBER, "terminationUri": "192.0.2.1:5060", "authMode": "ip"}
    assert (await send("POST", f"{NUMBERS}/sip-trunks", json=body)).status == 201


async def test_an_error_has_its_documented_form(send: Send) -> None:
    response = await send("GET", f"{NUMBERS}/phn_unknown")
    assert await response.json() == {
        "statusCode": 404,
        "message": "Phone number not found",
        "error": "Not Found",
    }


async def test_a_nickname_is_cleared_by_null_and_by_nothing(send: Send) -> None:
    record = await bring(send, nickname="Sales")
    for empty in (None, ""):
        await send("PATCH", f"{NUMBERS}/{record['id']}", json={"nickname": "Sales"})
        change = {"nickname": empty}
        updated = await json_of(send("PATCH", f"{NUMBERS}/{record['id']}", json=change))
        assert updated["nickname"] is None


async def test_an_unknown_agent_is_refused_or_taken(box: Sandbox, send: Send) -> None:
    path = f"{NUMBERS}/{(await bring(send))['id']}"
    assert (await send("PATCH", path, json={"agent_id": "agt_unknown"})).status == 400
    turn_own(box, DIALNEXA, check_agents=False)
    updated = await json_of(send("PATCH", path, json={"agent_id": "agt_unknown"}))
    assert updated["agent_id"] == "agt_unknown"


async def test_an_empty_agent_is_refused_or_detaches(box: Sandbox, send: Send) -> None:
    path = f"{NUMBERS}/{(await bring(send))['id']}"
    await send("PATCH", path, json={"agent_id": SUPPORT})
    assert (await send("PATCH", path, json={"agent_id": ""})).status == 400
    turn_own(box, DIALNEXA, empty_agent="detach")
    assert (await json_of(send("PATCH", path, json={"agent_id": ""})))["agent_id"] is None


async def test_the_update_can_be_a_retired_route(box: Sandbox, send: Send) -> None:
    """A number that is not there answers 404 too: the message alone tells them apart."""
    turn_own(box, DIALNEXA, serve_update=False)
    path = f"{NUMBERS}/{(await bring(send))['id']}"
    response = await send("PATCH", path, json={"label": "x"})
    assert response.status == 404
    assert (await response.json())["message"] == f"Cannot PATCH {path}"
    assert (await send("GET", path)).status == 200


async def draft_of(send: Send, agent_id: str) -> Json:
    """Return the version of an agent that can be changed."""
    agent = await json_of(send("GET", f"/v1/agents/{agent_id}"))
    assert agent["current_version"] == agent["versions"][-1]
    assert agent["current_version"]["version_number"] == agent["current_version_number"]
    return agent["current_version"]


async def test_an_agent_has_the_documented_fields(send: Send) -> None:
    version = {
        "agent_id": SUPPORT,
        "version_number": 1,
        "version_title": "Version 1",
        "title": "Support",
        "is_published": False,
    }
    assert await json_of(send("GET", f"/v1/agents/{SUPPORT}")) == {
        "id": SUPPORT,
        "folder_id": None,
        "current_version_number": 1,
        "agent_type": "Single_Prompt_Agent",
        "current_version": version,
        "versions": [version],
    }


async def test_an_agent_takes_a_number_when_it_is_published(box: Sandbox, send: Send) -> None:
    turn_own(box, DIALNEXA, show_routing=True)
    record = await bring(send)
    await route(send, SUPPORT, inbound_phone_number_id=record["id"])
    draft = await draft_of(send, SUPPORT)
    assert (draft["inbound_phone_number_id"], draft["is_published"]) == (record["id"], False)
    assert (await read(send, record))["agent_id"] is None
    agent = await route(send, SUPPORT, is_published=True)
    assert await json_of(send("GET", f"/v1/agents/{SUPPORT}")) == agent
    assert [each["is_published"] for each in agent["versions"]] == [True, False]
    assert [each["inbound_phone_number_id"] for each in agent["versions"]] == [record["id"]] * 2
    assert (await read(send, record))["agent_id"] == SUPPORT
    routings = box.ledger.of_kind("routing")
    assert [commit.phone_number for commit in routings] == [NUMBER, None]
    assert [commit.operation for commit in routings] == ["agents.update"] * 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"is_published": True}, 200),
        ({"is_published": False}, 400),
        ({"inbound_phone_number_id": ""}, 400),
        ({"inbound_phone_number_id": "", "is_published": True}, 400),
        ({}, 400),
    ],
)
async def test_a_published_version_takes_no_update(
    box: Sandbox, send: Send, change: Json, status: int
) -> None:
    """The control: the draft that follows it takes the same change."""
    record = await bring(send)
    await route(send, SUPPORT, inbound_phone_number_id=record["id"], is_published=True)
    body = {"version_number": 1, **change}
    response = await send("PATCH", f"/v1/agents/{SUPPORT}", json=body)
    assert response.status == status
    if status == 400:
        assert "Published versions cannot be updated" in (await response.json())["message"]
    assert (await read(send, record))["agent_id"] == SUPPORT
    assert len(box.ledger.of_kind("routing")) == 1
    on_draft = {"version_number": 2, **change}
    assert (await send("PATCH", f"/v1/agents/{SUPPORT}", json=on_draft)).status == 200


async def test_a_version_that_is_not_there_is_refused(send: Send) -> None:
    body = {"version_number": 2, "is_published": True}
    assert (await send("PATCH", f"/v1/agents/{SUPPORT}", json=body)).status == 400


async def test_an_empty_string_detaches_a_number_from_an_agent(box: Sandbox, send: Send) -> None:
    turn_own(box, DIALNEXA, show_routing=True)
    record = await bring(send)
    await route(send, SUPPORT, inbound_phone_number_id=record["id"], is_published=True)
    agent = await route(send, SUPPORT, inbound_phone_number_id="", is_published=True)
    assert agent["current_version"]["inbound_phone_number_id"] is None
    assert (await read(send, record))["agent_id"] is None


async def test_a_number_taken_by_another_stays_with_the_other(send: Send) -> None:
    record = await bring(send)
    await route(send, SUPPORT, inbound_phone_number_id=record["id"], is_published=True)
    await send("PATCH", f"{NUMBERS}/{record['id']}", json={"agent_id": SALES})
    await route(send, SUPPORT, inbound_phone_number_id="", is_published=True)
    assert (await read(send, record))["agent_id"] == SALES


async def test_another_number_takes_the_place_of_the_last(send: Send) -> None:
    first, second = await bring(send), await bring(send, "+14155552672")
    await route(send, SUPPORT, inbound_phone_number_id=first["id"], is_published=True)
    await route(send, SUPPORT, inbound_phone_number_id=second["id"], is_published=True)
    assert (await read(send, first))["agent_id"] is None
    assert (await read(send, second))["agent_id"] == SUPPORT


async def test_inbound_and_outbound_can_be_one_number(box: Sandbox, send: Send) -> None:
    turn_own(box, DIALNEXA, show_routing=True)
    record = await bring(send)
    both = dict.fromkeys(("inbound_phone_number_id", "outbound_phone_number_id"), record["id"])
    await route(send, SUPPORT, **both, is_published=True)
    draft = await draft_of(send, SUPPORT)
    assert {name: draft[name] for name in both} == both
    assert (await read(send, record))["agent_id"] == SUPPORT


async def test_prices_name_the_provider_that_a_purchase_takes(send: Send) -> None:
    prices = await json_of(send("GET", "/v1/phone-number-pricing"))
    price = next(each for each in prices if each["country_iso"] == "US")
    assert price.keys() == {
        *("telephony_provider_id", "country_iso", "country_name", "credit_cost"),
        *("created_at", "updated_at", "telephonyProvider"),
    }
    body = {**DIALNEXA.order(1), "telephonyProviderId": price["telephony_provider_id"]}
    assert (await send("POST", f"{NUMBERS}/purchase", json=body)).status == 201
    assert (await send("POST", "/v1/phone-number-pricing", json={})).status == 404


async def test_rules_of_countries_fit_the_numbers_on_sale(send: Send) -> None:
    rules = await json_of(send("GET", "/v1/phone-country-rules/countries"))
    allowed = await json_of(send("GET", "/v1/phone-country-rules/enabled-network-groups"))
    for rule, group in zip(rules, allowed, strict=True):
        offers = (await search(send, f"country_iso={rule['country_iso']}"))["objects"]
        national = [each["number"].removeprefix(rule["calling_code"]) for each in offers]
        assert {len(number) for number in national} == {rule["max_length"]}
        assert all(number.startswith(tuple(rule["prefixes"])) for number in national)
        assert group["countryRule"].items() <= rule.items()
        assert (group["prefix_mode"], group["from_phone_number_country_code"]) == (
            "allow_only_listed",
            None,
        )


async def test_an_unknown_agent_is_not_found(send: Send) -> None:
    assert (await send("GET", "/v1/agents/agt_unknown")).status == 404
    body = {"version_number": 1}
    assert (await send("PATCH", "/v1/agents/agt_unknown", json=body)).status == 404


async def test_a_reset_takes_the_numbers_from_the_agents(box: Sandbox, send: Send) -> None:
    record = await bring(send)
    await route(send, SUPPORT, inbound_phone_number_id=record["id"], is_published=True)
    box.reset()
    turn_own(box, DIALNEXA, show_routing=True)
    draft = await draft_of(send, SUPPORT)
    assert (draft["version_number"], draft["inbound_phone_number_id"]) == (1, None)


async def test_a_number_in_use_is_kept(box: Sandbox, send: Send) -> None:
    record = await bring(send)
    turn_own(box, DIALNEXA, numbers_in_use=True)
    assert (await send("DELETE", f"{NUMBERS}/{record['id']}")).status == 409
    body = {"version_number": 1, "outbound_phone_number_id": record["id"]}
    assert (await send("PATCH", f"/v1/agents/{SUPPORT}", json=body)).status == 409
    assert box.ledger.owned() == [NUMBER]


@pytest.mark.parametrize(
    ("switches", "path", "body", "status"),
    [
        ({"kyc_approved": False}, "/purchase", {"phone_number": NUMBER}, 403),
        ({"trunk_registers": False}, "/sip-trunks", TRUNK, 502),
    ],
)
async def test_documented_refusals_can_be_called_up(  # noqa: PLR0917
    box: Sandbox,
    send: Send,
    switches: Json,
    path: str,
    body: Json,
    status: int,
) -> None:
    turn_own(box, DIALNEXA, **switches)
    response = await send("POST", NUMBERS + path, json=body)
    assert (response.status, (await response.json())["statusCode"]) == (status, status)
    assert len(box.ledger) == 0


async def test_a_release_answers_with_a_message_or_nothing(box: Sandbox, send: Send) -> None:
    first, second = await bring(send), await bring(send, "+14155552672")
    released = await json_of(send("DELETE", f"{NUMBERS}/{first['id']}"))
    assert released == {"message": "Phone number released successfully"}
    turn_own(box, DIALNEXA, delete_body=False)
    response = await send("DELETE", f"{NUMBERS}/{second['id']}")
    assert (response.status, await response.read()) == (200, b"")


async def test_pages_are_counted_from_one_and_cut_to_their_limit(send: Send) -> None:
    ids = [(await bring(send, f"+141555501{n:02}"))["id"] for n in range(22)]
    first = await json_of(send("GET", NUMBERS))
    assert [row["id"] for row in first.pop("items")] == ids[:20]
    assert first == {"total": 22, "page": 1, "limit": 20}
    last = await json_of(send("GET", f"{NUMBERS}?page=3&limit=10"))
    assert [row["id"] for row in last["items"]] == ids[20:]
    beyond = await json_of(send("GET", f"{NUMBERS}?page=9"))
    assert (beyond["items"], beyond["total"]) == ([], 22)


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "limit=0", "limit=101", "limit=1.5", "page=2147483648", "type=x"],
)
async def test_a_page_out_of_range_is_refused(send: Send, query: str) -> None:
    response = await send("GET", f"{NUMBERS}?{query}")
    assert response.status == 400
    assert isinstance((await response.json())["message"], list)


async def test_numbers_are_listed_by_country_and_type(send: Send) -> None:
    for number in ("+14155550101", "+14165550102", "+442075550103", "+15555550104"):
        await bring(send, number)

    async def found(query: str) -> list[str]:
        page = await json_of(send("GET", f"{NUMBERS}?{query}"))
        assert page["total"] == len(page["items"])
        return [row["phone_number"] for row in page["items"]]

    assert await found("country_code=CA") == ["+14165550102"]
    assert await found("country_code=GB") == ["+442075550103"]
    assert await found("country_code=US") == ["+14155550101", "+15555550104"]
    assert len(await found("type=local")) == 4
    assert await found("type=toll_free") == []


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("items", {"items": ["+1"], "total": 3, "page": 2, "limit": 2}),
        (
            "data",
            {"data": ["+1"], "meta": {"page": 2, "limit": 2, "total": 3, "totalPages": 2}},
        ),
        (
            "wrapped_data",
            {
                "statusCode": 200,
                "message": "Success",
                "data": ["+1"],
                "meta": {"page": 2, "limit": 2, "total": 3, "totalPages": 2},
            },
        ),
        (
            "wrapped_items",
            {
                "statusCode": 200,
                "message": "Success",
                "data": {"items": ["+1"], "total": 3, "page": 2, "limit": 2},
            },
        ),
        ("array", ["+1", "+1", "+1"]),
    ],
)
async def test_a_page_has_several_forms(
    box: Sandbox,
    send: Send,
    form: str,
    expected: Json,
) -> None:
    for digit in range(3):
        await bring(send, f"+1415555267{digit}")
    turn_own(box, DIALNEXA, list_envelope=form)
    page = await json_of(send("GET", f"{NUMBERS}?page=2&limit=2"))
    assert shortened(page) == expected


def shortened(page: Json) -> Json:
    """Put the first two characters of its number in the place of each record."""
    if isinstance(page, list):
        return [shortened(value) for value in page]
    if not isinstance(page, dict):
        return page
    if "phone_number" in page:
        return page["phone_number"][:2]
    return {name: shortened(value) for name, value in page.items()}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            "narrative",
            {
                "phone_number": NUMBER,
                "country_code": "US",
                "type": "local",
                "monthly_cost_usd": "1.15",
                "capabilities": ["voice"],
                "nickname": "Sales",
                "inbound_agent_id": None,
            },
        ),
        (
            "newer",
            {
                "phone_number": NUMBER,
                "provider": "sip",
                "status": "active",
                "country_code": "US",
                "nickname": "Sales",
                "sip_trunk_enabled": True,
            },
        ),
    ],
)
async def test_a_record_has_several_shapes(
    box: Sandbox,
    send: Send,
    shape: str,
    expected: Json,
) -> None:
    turn_own(box, DIALNEXA, record_shape=shape)
    record = await bring(send, nickname="Sales")
    assert {**record, **expected} == record
    assert record.keys() - expected.keys() <= {"id", "created_at"}
    assert await read(send, record) == record


@pytest.mark.parametrize(("wrapper", "beside"), [("data", set()), ("status_code", {"statusCode"})])
async def test_a_record_can_be_wrapped(
    box: Sandbox,
    send: Send,
    wrapper: str,
    beside: set[str],
) -> None:
    turn_own(box, DIALNEXA, record_wrapper=wrapper)
    answers = [
        await bring(send),
        await buy(send, "+14155552672"),
        await json_of(send("GET", f"/v1/agents/{SUPPORT}")),
    ]
    assert [answer.keys() for answer in answers] == [{"data"} | beside] * 3
    path = f"{NUMBERS}/{answers[0]['data']['id']}"
    assert (await json_of(send("PATCH", path, json={"label": "x"})))["data"]["label"] == "x"


async def test_carriers_can_have_new_names(box: Sandbox, send: Send) -> None:
    turn(box, provider_word="bandwidth")
    assert (await bring(send))["provider"] == "bandwidth"

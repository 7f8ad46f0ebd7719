"""Agents and calls: enough of them to prove a trunk with a test call."""

import pytest

from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.sigmamind import views
from sigmamind_async.sandbox.sigmamind.records import PhoneCall
from sigmamind_async.sandbox.switches import Switches
from tests.sandbox.support import Send, json_of, turn

NUMBER = "+14155552671"
AGENT = "agent_D5D0p7TUs66TTAEAx"
CALL = {"fromPhoneNumber": NUMBER, "toPhoneNumber": "+14155550100"}


@pytest.fixture
async def number(send: Send) -> str:
    body = {"phoneNumber": NUMBER, "outboundAgentId": AGENT}
    assert (await send("POST", "/v1/phone-numbers", json=body)).status == 201
    return NUMBER


async def test_agents_are_listed_and_read(send: Send) -> None:
    page = await json_of(send("GET", "/v1/agents"))
    assert page["totalCount"] == 3
    for agent in page["data"]:
        assert await json_of(send("GET", f"/v1/agents/{agent['agentId']}")) == agent
    assert (await send("GET", "/v1/agents/agent_unknown")).status == 404


async def test_a_call_is_placed_by_the_agent_of_the_number(
    box: Sandbox,
    send: Send,
    number: str,
) -> None:
    turn(box, call_seconds=60.0)
    response = await send("POST", "/v1/calls", json={**CALL, "dynamicVariables": {"name": "Ada"}})
    call = await response.json()
    assert response.status == 201
    assert (call["status"], call["terminationReason"]) == ("scheduled", None)
    assert (call["agent"]["agentId"], call["dynamicVariables"]) == (AGENT, {"name": "Ada"})
    assert call["phoneNumber"]["sipPhoneNumber"] == number
    read = await json_of(send("GET", f"/v1/calls/{call['callId']}"))
    assert {**read, "updatedAt": call["updatedAt"]} == call
    assert [commit.kind for commit in box.ledger.commits] == ["purchase", "call"]


@pytest.mark.parametrize(
    ("passed", "status", "reason"),
    [
        (0.0, "scheduled", None),
        (9.9, "scheduled", None),
        (10.1, "in_progress", None),
        (29.9, "in_progress", None),
        (30.0, "ended", "agent_ended_call"),
    ],
)
def test_a_call_comes_as_far_as_time_has_passed(
    passed: float,
    status: str,
    reason: str | None,
) -> None:
    call = PhoneCall(
        call_id="call_1",
        from_phone_number=NUMBER,
        to_phone_number=NUMBER,
        agent_id=AGENT,
        dynamic_variables={},
        created_at=1_000.0,
        seconds=30.0,
        status="ended",
        reason="agent_ended_call",
    )
    view = views.call_view(call, None, None, Switches(), 1_000.0 + passed)
    assert (view["status"], view["terminationReason"]) == (status, reason)
    assert (view["duration"], view["endTime"]) == (
        (20, "1970-01-01T00:17:10.000Z") if status == "ended" else (None, None)
    )


async def test_a_call_ends_as_the_switches_say(box: Sandbox, send: Send, number: str) -> None:
    turn(box, call_seconds=0.0, call_status="not-connected", call_reason="busy")
    call = await json_of(send("POST", "/v1/calls", json={**CALL, "fromPhoneNumber": number}))
    assert (call["status"], call["terminationReason"]) == ("not-connected", "busy")


@pytest.mark.usefixtures("number")
async def test_calls_are_listed_by_status_and_forgotten(box: Sandbox, send: Send) -> None:
    turn(box, call_seconds=0.0)
    call = await json_of(send("POST", "/v1/calls", json=CALL))
    turn(box, call_seconds=60.0)
    await send("POST", "/v1/calls", json=CALL)
    assert (await json_of(send("GET", "/v1/calls")))["totalCount"] == 2
    ended = await json_of(send("GET", "/v1/calls?status=ended"))
    assert [row["callId"] for row in ended["data"]] == [call["callId"]]
    path = f"/v1/calls/{call['callId']}"
    assert (await send("DELETE", path)).status == 200
    assert (await send("DELETE", path)).status == 404
    assert (await send("GET", path)).status == 404


async def test_a_call_needs_a_number_of_the_account_and_an_agent(send: Send) -> None:
    assert (await send("POST", "/v1/calls", json=CALL)).status == 400
    await send("POST", "/v1/phone-numbers", json={"phoneNumber": NUMBER})
    assert (await send("POST", "/v1/calls", json=CALL)).status == 400
    assert (await send("POST", "/v1/calls", json={**CALL, "agentId": AGENT})).status == 201


async def test_a_call_outlives_its_number(send: Send, number: str) -> None:
    call = await json_of(send("POST", "/v1/calls", json=CALL))
    await send("DELETE", f"/v1/phone-numbers/{number}")
    read = await json_of(send("GET", f"/v1/calls/{call['callId']}"))
    assert read["phoneNumber"] is None

"""The client in the vendor's words: what each method sends, and what it gives."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import (
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    ResponseDecodeError,
)
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind.client import (
    Agents,
    Calls,
    PhoneNumberChange,
    PhoneNumbers,
)
from sigmamind_async.platforms.sigmamind.models import (
    Call,
    CreateCall,
    CreatePhoneNumber,
    DeleteCall,
    DeletePhoneNumber,
    GetAgent,
    GetCall,
    GetPhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, reply
from sigmamind_async.transport import HttpRequest
from sigmamind_async.values import UNSET

Make = Callable[[Any], tuple[SigmaMind, ScriptedTransport]]
NUMBER = "+14155552671"
RECORD = {"sipPhoneNumber": NUMBER, "outboundPhoneNumber": "+14155550100", "active": True}


def what(sent: HttpRequest) -> tuple[str, str, object]:
    body = None if sent.body is None else json.loads(sent.body)
    return sent.method, sent.url.removeprefix("https://api.sigmamind.ai"), body


# ---------------------------------------------------------------- methods and values

METHODS: list[tuple[Callable[..., Any], type[RequestValue[Any]]]] = [
    (PhoneNumbers.create, CreatePhoneNumber),
    (PhoneNumbers.import_, ImportPhoneNumber),
    (PhoneNumbers.update, UpdatePhoneNumber),
    (PhoneNumbers.get, GetPhoneNumber),
    (PhoneNumbers.delete, DeletePhoneNumber),
    (Agents.get, GetAgent),
    (Calls.create, CreateCall),
    (Calls.get, GetCall),
    (Calls.delete, DeleteCall),
]


@pytest.mark.parametrize(("method", "cls"), METHODS, ids=lambda each: each.__name__)
def test_a_method_takes_what_its_value_holds(
    method: Callable[..., Any], cls: type[RequestValue[Any]]
) -> None:
    """The key first and by position, the rest by keyword, with the same defaults in both."""
    taken = list(inspect.signature(method).parameters.values())[1:]
    held = {field.name: field.default for field in attrs.fields(cls)}

    assert {each.name: each.default for each in taken} == {
        name: inspect.Parameter.empty if default is attrs.NOTHING else default
        for name, default in held.items()
    }
    assert all(each.kind is each.KEYWORD_ONLY for each in taken[1:])


@pytest.mark.parametrize(("method", "cls"), METHODS, ids=lambda each: each.__name__)
def test_a_method_has_the_types_of_its_value(
    method: Callable[..., Any], cls: type[RequestValue[Any]]
) -> None:
    hints = get_type_hints(method)
    del hints["return"]
    fields = get_type_hints(cls)
    if "trunk_password" in hints:  # a plain text is taken too, and wrapped
        fields["trunk_password"] = fields["trunk_password"] | str

    assert hints == fields


def test_the_change_of_many_numbers_is_that_of_one() -> None:
    fields = {field.name for field in attrs.fields(UpdatePhoneNumber)} - {"phone_number"}
    change, method = get_type_hints(PhoneNumberChange), get_type_hints(PhoneNumbers.update)

    assert change == {name: method[name] for name in fields}


async def test_each_method_sends_its_value(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    numbers = client.phone_numbers
    await numbers.create(country_code="US", area_code=415)
    await numbers.import_(NUMBER, trunk_password="hunter2", termination_sip_uri="sip.telnyx.com")
    await numbers.update(NUMBER, inbound_agent_id=None, termination_sip_uri="sip.telnyx.com")
    await numbers.get(NUMBER)
    await numbers.delete(NUMBER)

    path = "/v1/phone-numbers/%2B14155552671"
    assert [what(sent) for sent in transport.sent] == [
        ("POST", "/v1/phone-numbers", {"countryCode": "US", "areaCode": 415}),
        (
            "POST",
            "/v1/phone-numbers/import",
            {
                "phoneNumber": NUMBER,
                "trunkPassword": "hunter2",
                "terminationSipURI": "sip.telnyx.com",
            },
        ),
        ("PATCH", path, {"inboundAgentId": None, "terminationSipUri": "sip.telnyx.com"}),
        ("GET", path, None),
        ("DELETE", path, None),
    ]


async def test_each_method_of_agents_and_calls_sends_its_value(make_client: Make) -> None:
    client, transport = make_client(
        lambda _: reply(json={"callId": "call_1", "agentId": "agent_1"})
    )
    await client.agents.get("agent_1")
    await client.calls.create(from_phone_number=NUMBER, to_phone_number=NUMBER)
    await client.calls.get("call:1")
    await client.calls.delete("call_1")

    assert [what(sent) for sent in transport.sent] == [
        ("GET", "/v1/agents/agent_1", None),
        ("POST", "/v1/calls", {"fromPhoneNumber": NUMBER, "toPhoneNumber": NUMBER}),
        ("GET", "/v1/calls/call%3A1", None),
        ("DELETE", "/v1/calls/call_1", None),
    ]


async def test_a_wrong_argument_is_refused_before_anything_is_sent(make_client: Make) -> None:
    client, transport = make_client([])
    with pytest.raises(InvalidRequestError, match="phone_number"):
        await client.phone_numbers.update("14155552671", friendly_name="x")

    assert not transport.sent


# ---------------------------------------------------------------- listings


def pages_of(count: int) -> Callable[[HttpRequest], Response]:
    """Answer listings of *count* numbers in the documented envelope."""

    def answer(sent: HttpRequest) -> Response:
        query = dict(pair.split("=") for pair in sent.url.partition("?")[2].split("&"))
        page, size = int(query["page"]), int(query["size"])
        rows = range(page * size, min((page + 1) * size, count))
        data = [
            {"sipPhoneNumber": f"+1415555{row:04}", "agentId": f"a{row}", "callId": f"c{row}"}
            for row in rows
        ]
        more = (page + 1) * size < count
        around = {"page": page, "size": size, "totalCount": count, "hasNext": more}
        return reply(json={"data": data, **around})

    return answer


async def test_a_listing_reads_every_page(make_client: Make) -> None:
    client, transport = make_client(pages_of(25))
    numbers = [each.sip_phone_number async for each in client.phone_numbers.list(page_size=10)]

    assert numbers == [f"+1415555{row:04}" for row in range(25)]
    assert [what(sent)[1] for sent in transport.sent] == [
        f"/v1/phone-numbers?page={page}&size=10" for page in (0, 0, 1, 2)
    ]


async def test_agents_and_calls_are_listed_likewise(make_client: Make) -> None:
    client, transport = make_client(pages_of(3))
    agents = [each.agent_id async for each in client.agents.list(page_size=2)]
    calls = [each.call_id async for each in client.calls.list(status="ended", page_size=2)]

    assert (agents, calls) == (["a0", "a1", "a2"], ["c0", "c1", "c2"])
    assert what(transport.sent[-1])[1] == "/v1/calls?status=ended&page=1&size=2"


async def test_a_page_that_cannot_be_read_ends_a_listing_with_an_error(make_client: Make) -> None:
    unreadable = reply(json={})
    client, _ = make_client([reply(json={"data": [RECORD], "hasNext": True}), *[unreadable] * 3])
    numbers = client.phone_numbers.list()
    await anext(numbers)

    with pytest.raises(ResponseDecodeError):
        await anext(numbers)


# ---------------------------------------------------------------- lost answers


async def test_a_purchase_by_number_whose_answer_is_lost_is_adopted(make_client: Make) -> None:
    client, transport = make_client([fault(), reply(json=RECORD)])
    bought = await client.phone_numbers.create(phone_number=NUMBER)

    assert bought.sip_phone_number == NUMBER
    assert [sent.method for sent in transport.sent] == ["POST", "GET"]


async def test_a_purchase_by_country_whose_answer_is_lost_is_unknown(make_client: Make) -> None:
    client, transport = make_client([fault()])
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.phone_numbers.create(country_code="US")

    assert caught.value.value == CreatePhoneNumber(country_code="US")
    assert len(transport.sent) == 1


async def test_a_lost_delete_that_is_gone_is_done(make_client: Make) -> None:
    client, _ = make_client([fault(), reply(404)])
    await client.phone_numbers.delete(NUMBER)


async def test_a_first_404_of_a_delete_is_an_error(make_client: Make) -> None:
    client, _ = make_client([reply(404)])
    with pytest.raises(NotFoundError):
        await client.phone_numbers.delete(NUMBER)


# ---------------------------------------------------------------- many at once


async def test_one_change_goes_to_many_numbers(make_client: Make) -> None:
    def answer(sent: HttpRequest) -> Response:
        return reply(json={**RECORD, "sipPhoneNumber": f"+{sent.url[-11:]}"})

    client, transport = make_client(answer)
    values: list[UpdatePhoneNumber | str] = [NUMBER]
    values += [UpdatePhoneNumber(phone_number="+14155552672", friendly_name="Own")]
    result = await client.phone_numbers.update_many(values, inbound_agent_id="agent_2")

    assert [each.status for each in result.outcomes] == ["done", "done"]
    assert [what(sent)[2] for sent in transport.sent] == [
        {"inboundAgentId": "agent_2"},
        {"friendlyName": "Own"},
    ]


async def test_a_wrong_number_among_many_is_an_outcome(make_client: Make) -> None:
    client, _ = make_client(lambda _: reply(json=RECORD))
    result = await client.phone_numbers.update_many([NUMBER, "nonsense"], friendly_name="x")

    assert [each.status for each in result.outcomes] == ["done", "failed"]
    with pytest.raises(ExceptionGroup, match="1 of 2 rows"):
        result.raise_for_failures()


async def test_a_password_for_many_numbers_is_concealed(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    await client.phone_numbers.update_many([NUMBER], trunk_password="hunter2")

    assert what(transport.sent[0])[2] == {"trunkPassword": "hunter2"}


async def test_purchases_and_imports_go_in_many(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(201, RECORD))
    bought = await client.phone_numbers.create_many([CreatePhoneNumber(country_code="US")] * 3)
    imported = await client.phone_numbers.import_many([ImportPhoneNumber(phone_number=NUMBER)])

    assert (len(bought.done), len(imported.done), len(transport.sent)) == (3, 1, 4)


# ---------------------------------------------------------------- test calls


def ringing(*statuses: str) -> list[Response]:
    return [reply(json={"callId": "call_1", "status": status}) for status in statuses]


async def test_a_test_call_is_placed_and_waited_for(make_client: Make, clock: FakeClock) -> None:
    script = [reply(json=RECORD), *ringing("scheduled", "in_progress", "in_progress", "ended")]
    client, transport = make_client(script)
    call = await client.phone_numbers.test_call(NUMBER)

    assert call == Call(call_id="call_1", status="ended")
    assert clock.slept == [1.0, 1.0, 1.0]
    assert what(transport.sent[1]) == (
        "POST",
        "/v1/calls",
        {"fromPhoneNumber": NUMBER, "toPhoneNumber": "+14155550100"},
    )


async def test_a_record_saves_the_look_up_of_a_test_call(make_client: Make) -> None:
    client, transport = make_client(ringing("completed"))
    number = PhoneNumber(sip_phone_number=NUMBER, outbound_phone_number="+14155550100")
    await client.phone_numbers.test_call(number)

    assert [sent.method for sent in transport.sent] == ["POST"]


@pytest.mark.parametrize(
    "number", [PhoneNumber(sip_phone_number=NUMBER), PhoneNumber(outbound_phone_number=NUMBER)]
)
async def test_a_number_without_a_destination_places_no_call(
    number: PhoneNumber, make_client: Make
) -> None:
    client, transport = make_client([])
    with pytest.raises(InvalidRequestError, match="no destination for test calls"):
        await client.phone_numbers.test_call(number)

    assert not transport.sent


async def test_a_test_call_that_does_not_end_says_that_it_was_placed(
    make_client: Make, clock: FakeClock
) -> None:
    client, _ = make_client(lambda _: ringing("in_progress")[0])
    number = PhoneNumber(sip_phone_number=NUMBER, outbound_phone_number="+14155550100")
    with pytest.raises(OutcomeUnknownError, match="has not ended within 5 s") as caught:
        await client.phone_numbers.test_call(number, timeout=5.0, poll_every=2.0)

    assert clock.slept == [2.0, 2.0]
    assert (caught.value.committed, caught.value.value) == (
        "yes",
        Call(call_id="call_1", status="in_progress"),
    )


async def test_a_call_without_an_id_cannot_be_waited_for(make_client: Make) -> None:
    client, _ = make_client([])
    with pytest.raises(OutcomeUnknownError, match=r"call \(no id\) was placed"):
        await client.calls.wait(Call(status="scheduled"))


async def test_what_is_no_record_is_refused(make_client: Make) -> None:
    client, transport = make_client([])
    nothing: Any = None
    with pytest.raises(InvalidRequestError, match=r"^call: must be a Call record, not of type str"):
        await client.calls.wait("call_1")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match=r"^number: must be a PhoneNumber record"):
        await client.phone_numbers.test_call(nothing)
    assert not transport.sent


async def test_a_call_that_has_ended_is_not_asked_for(make_client: Make) -> None:
    client, _ = make_client([])
    ended = Call(call_id="call_1", status="ended")

    assert await client.calls.wait(ended) is ended


# ---------------------------------------------------------------- copies


async def test_a_copy_with_other_options_has_resources_of_its_own(make_client: Make) -> None:
    client, transport = make_client([reply(json=RECORD)])
    twin = client.with_options(deadline=5.0)
    await twin.phone_numbers.get(NUMBER)

    assert type(twin) is SigmaMind
    assert len(transport.sent) == 1


def test_a_method_leaves_unset_what_is_left_out() -> None:
    assert inspect.signature(PhoneNumbers.create).parameters["area_code"].default is UNSET

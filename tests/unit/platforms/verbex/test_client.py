"""The client in the vendor's words: what each method sends, and what it gives."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import pytest

from sigmamind_async import Verbex
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import APIStatusError, FieldsIgnoredError, InvalidRequestError
from sigmamind_async.events import Event, FieldsIgnored
from sigmamind_async.operation import Response
from sigmamind_async.platforms.verbex.client import PhoneNumberChange, PhoneNumbers
from sigmamind_async.platforms.verbex.models import (
    CreatePiaPhoneNumber,
    CreateSipPhoneNumber,
    CreateTwilioPhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    UpdatePhoneNumber,
    UpdatePiaPhoneNumber,
    UpdateSipPhoneNumber,
)
from sigmamind_async.testing import ScriptedTransport, reply
from sigmamind_async.transport import HttpRequest

Make = Callable[..., tuple[Verbex, ScriptedTransport]]
NUMBER = "+14155552671"
RECORD = {"_id": "a1", "provider": "sip", "phone_number": NUMBER}
ORIGIN = "https://api.verbex.ai"


def what(sent: HttpRequest) -> tuple[str, str, object]:
    body = None if sent.body is None else json.loads(sent.body)
    return sent.method, sent.url.removeprefix(ORIGIN), body


# ---------------------------------------------------------------- methods and values

METHODS: list[tuple[Callable[..., Any], type[RequestValue[Any]]]] = [
    (PhoneNumbers.update, UpdatePhoneNumber),
    (PhoneNumbers.get, GetPhoneNumber),
    (PhoneNumbers.delete, DeletePhoneNumber),
]
SECRETS = {"sip_trunk_password", "twilio_auth_token"}


def plain_too(fields: dict[str, Any]) -> dict[str, Any]:
    """A secret may be given as a plain text, and is wrapped."""
    return {name: kind | str if name in SECRETS else kind for name, kind in fields.items()}


@pytest.mark.parametrize(("method", "cls"), METHODS, ids=lambda each: each.__name__)
def test_a_method_takes_what_its_value_holds(
    method: Callable[..., Any], cls: type[RequestValue[Any]]
) -> None:
    """The key first and by position, the rest by keyword, with the same defaults and types."""
    taken = list(inspect.signature(method).parameters.values())[1:]
    hints = get_type_hints(method)
    del hints["return"]

    assert {each.name: each.default for each in taken} == {
        field.name: inspect.Parameter.empty if field.default is attrs.NOTHING else field.default
        for field in attrs.fields(cls)
    }
    assert all(each.kind is each.KEYWORD_ONLY for each in taken[1:])
    assert hints == plain_too(get_type_hints(cls))


def test_create_takes_what_any_kind_takes() -> None:
    """Each field with the type it has in its value; which ones are needed is the kind's."""
    hints = get_type_hints(PhoneNumbers.create)
    kinds = (CreatePiaPhoneNumber, CreateSipPhoneNumber, CreateTwilioPhoneNumber)
    fields = {name: hint for cls in kinds for name, hint in plain_too(get_type_hints(cls)).items()}

    assert hints.keys() - {"return"} == fields.keys()
    for name in fields.keys() - {"provider"}:
        assert set(_arms(fields[name])) <= set(_arms(hints[name]))


def _arms(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", (hint,))


def test_the_change_of_many_numbers_is_that_of_one() -> None:
    fields = {field.name for field in attrs.fields(UpdatePhoneNumber)} - {"phone_number_id"}
    change, method = get_type_hints(PhoneNumberChange), get_type_hints(PhoneNumbers.update)

    assert change == {name: method[name] for name in fields}


async def test_each_method_sends_its_value(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    numbers = client.phone_numbers
    await numbers.create(phone_number=NUMBER, sip_trunk_password="hunter2")
    await numbers.create(provider="pia", friendly_name=None)
    await numbers.create(
        provider="twilio",
        phone_number=NUMBER,
        twilio_account_sid="AC1",
        twilio_auth_token="t0ken",
    )
    await numbers.update("a1", inbound_agent_id=None, sip_trunk_password=None)
    await numbers.get("a1")
    await numbers.delete("a1")

    path = "/v1/phone-numbers"
    twilio = {"twilio_account_sid": "AC1", "twilio_auth_token": "t0ken"}
    assert [what(sent) for sent in transport.sent] == [
        (
            "POST",
            path,
            {"provider": "sip", "phone_number": NUMBER, "sip_trunk_password": "hunter2"},
        ),
        ("POST", path, {"provider": "pia", "friendly_name": None}),
        ("POST", path, {"provider": "twilio", "phone_number": NUMBER, **twilio}),
        ("PATCH", f"{path}/a1", {"inbound_agent_id": None, "sip_trunk_password": None}),
        ("GET", f"{path}/a1", None),
        ("DELETE", f"{path}/a1", None),
    ]
    assert {sent.headers["Authorization"] for sent in transport.sent} == {"Bearer sk-test"}


async def test_a_mix_of_kinds_is_refused_before_anything_is_sent(make_client: Make) -> None:
    client, transport = make_client([])
    with pytest.raises(InvalidRequestError, match="no kind of number takes it"):
        await client.phone_numbers.update("a1", sip_trunk_username="u", twilio_account_sid="AC1")
    with pytest.raises(InvalidRequestError, match="a pia number does not take it"):
        await client.phone_numbers.create(provider="pia", sip_termination_uri="h")

    assert not transport.sent


# ---------------------------------------------------------------- listings


async def test_a_listing_follows_the_tokens(make_client: Make) -> None:
    pages: dict[str, Any] = {
        "": {"phone_numbers": [{"_id": "a"}], "next_page_token": "t/1="},
        "&page_token=t%2F1%3D": {"phone_numbers": [], "next_page_token": "t2"},
        "&page_token=t2": {"phone_numbers": [{"_id": "b"}], "next_page_token": ""},
    }

    def answer(sent: HttpRequest) -> Response:
        return reply(json=pages[sent.url.partition("page_size=2")[2]])

    client, transport = make_client(answer)
    found = [each.id async for each in client.phone_numbers.list(page_size=2)]

    assert (found, len(transport.sent)) == (["a", "b"], 4)


# ---------------------------------------------------------------- the slash

OTHER_SPELLING = "/v1/phone-numbers/"


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", [ORIGIN + OTHER_SPELLING, OTHER_SPELLING])
async def test_a_redirect_to_the_other_spelling_is_followed_once(
    status: int, location: str, make_client: Make
) -> None:
    """With method, body and key."""
    moved = reply(status, headers={"location": location})
    client, transport = make_client([moved, reply(201, RECORD)])
    await client.phone_numbers.create(phone_number=NUMBER)

    first, second = transport.sent
    assert (first.url, second.url) == (ORIGIN + OTHER_SPELLING[:-1], ORIGIN + OTHER_SPELLING)
    assert (first.method, first.body, first.headers) == (
        second.method,
        second.body,
        second.headers,
    )


async def test_a_listing_keeps_its_query_on_the_other_spelling(make_client: Make) -> None:
    location = f"{OTHER_SPELLING}?page_size=5"
    moved = reply(307, headers={"location": location})
    client, transport = make_client([moved, reply(json=[])])

    assert [each async for each in client.phone_numbers.list(page_size=5)] == []
    assert transport.sent[-1].url == ORIGIN + location


@pytest.mark.parametrize(
    "location",
    [
        f"https://elsewhere.example/x{OTHER_SPELLING}",
        f"{ORIGIN}{OTHER_SPELLING}more",
        f"{OTHER_SPELLING}?key=1",
        "https://elsewhere.example/",
        "/v1/elsewhere/",
        "",
    ],
)
async def test_a_redirect_to_anywhere_else_is_not_followed(
    location: str, make_client: Make
) -> None:
    client, transport = make_client([reply(307, headers={"location": location})])
    with pytest.raises(APIStatusError) as caught:
        await client.phone_numbers.create(phone_number=NUMBER)

    assert (caught.value.status, caught.value.committed, len(transport.sent)) == (307, "no", 1)
    assert (location or "nowhere") in str(caught.value)


@pytest.mark.parametrize(
    "origin",
    [
        "http://api.verbex.ai",
        f"{ORIGIN}:443",
        "HTTPS://API.Verbex.AI",
        "http://backend.internal:8000",
        "https://elsewhere.example",
    ],
)
async def test_the_origin_that_a_redirect_names_does_not_count(
    origin: str, make_client: Make
) -> None:
    """Behind a proxy that ends TLS the platform writes another; the key stays with its own."""
    moved = reply(307, headers={"location": origin + OTHER_SPELLING})
    client, transport = make_client([moved, reply(201, json=RECORD)])
    await client.phone_numbers.create(phone_number=NUMBER)

    assert transport.sent[1].url == ORIGIN + OTHER_SPELLING


async def test_a_redirect_is_not_followed_twice(make_client: Make) -> None:
    moved = reply(307, headers={"location": OTHER_SPELLING})
    client, transport = make_client([moved, moved])
    with pytest.raises(APIStatusError):
        await client.phone_numbers.create(phone_number=NUMBER)

    assert len(transport.sent) == 2


async def test_a_redirect_of_one_number_is_not_followed(make_client: Make) -> None:
    moved = reply(307, headers={"location": "/v1/phone-numbers/a1/"})
    client, transport = make_client([moved])
    with pytest.raises(APIStatusError):
        await client.phone_numbers.update("a1", friendly_name="x")

    assert len(transport.sent) == 1


# ---------------------------------------------------------------- what was sent, did it take?


async def test_fields_that_were_ignored_are_an_event_and_stand_in_the_outcome(
    make_client: Make,
) -> None:
    seen: list[Event] = []
    client, _ = make_client(lambda _: reply(json=RECORD), observer=seen.append)
    values: list[UpdatePiaPhoneNumber | str] = [
        UpdateSipPhoneNumber(phone_number_id="a1", sip_trunk_username="u"),
        "a2",
    ]
    result = await client.phone_numbers.update_many(values, friendly_name=None)

    assert [each.ignored for each in result.outcomes] == [("sip_trunk_username",), ()]
    assert [each.fields for each in seen if isinstance(each, FieldsIgnored)] == [
        ("sip_trunk_username",)
    ]


async def test_strict_raises_for_a_field_that_was_ignored(make_client: Make) -> None:
    client, _ = make_client([reply(json=RECORD)], strict=True)
    with pytest.raises(FieldsIgnoredError, match="did not set: friendly_name") as caught:
        await client.phone_numbers.update("a1", friendly_name="x")

    assert (caught.value.fields, caught.value.committed) == (("friendly_name",), "yes")


# ---------------------------------------------------------------- many at once


async def test_one_change_goes_to_many_numbers(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(json=RECORD))
    values: list[UpdatePiaPhoneNumber | str] = [
        "a1",
        UpdatePiaPhoneNumber(phone_number_id="a2", friendly_name="Own"),
    ]
    await client.phone_numbers.update_many(values, sip_trunk_password="hunter2")
    await client.phone_numbers.update_many(["a3"], twilio_auth_token="t0ken")

    assert [what(sent)[2] for sent in transport.sent] == [
        {"sip_trunk_password": "hunter2"},
        {"friendly_name": "Own"},
        {"twilio_auth_token": "t0ken"},
    ]


async def test_numbers_of_all_kinds_are_created_in_many(make_client: Make) -> None:
    client, transport = make_client(lambda _: reply(201, RECORD))
    result = await client.phone_numbers.create_many(
        [CreateSipPhoneNumber(phone_number=NUMBER), CreatePiaPhoneNumber()]
    )

    assert (len(result.done), len(transport.sent)) == (2, 2)

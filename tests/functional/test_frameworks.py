"""Records and request values in web frameworks that speak pydantic."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.convert import structure
from sigmamind_async.errors import InvalidRequestError, SigmaMindError
from sigmamind_async.platforms import verbex
from sigmamind_async.platforms.sigmamind.models import (
    CreatePhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
)
from sigmamind_async.platforms.verbex.models import PiaPhoneNumber, SipPhoneNumber
from sigmamind_async.sandbox import SandboxThread

pydantic = pytest.importorskip("pydantic")

SIP = {"_id": "n_1", "provider": "sip", "phone_number": "+14155550100"}
PIA = {"_id": "n_2", "provider": "pia", "phone_number": "+14155550101"}


def adapter(kind: Any) -> Any:
    return pydantic.TypeAdapter(kind)


def test_a_record_is_a_field_of_a_model() -> None:
    class Order(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        id: str
        number: PhoneNumber

    number = structure({"sipPhoneNumber": "+14155550100", "friendlyName": "Desk"}, PhoneNumber)
    order = Order(id="o-1", number=number)
    again = Order.model_validate_json(order.model_dump_json())

    assert order.number is number
    assert again.number.to_dict() == number.to_dict()


def test_a_union_of_kinds_keeps_its_kind() -> None:
    kinds = adapter(SipPhoneNumber | PiaPhoneNumber)
    for raw, kind in ((SIP, SipPhoneNumber), (PIA, PiaPhoneNumber)):
        number = structure(raw, verbex.PhoneNumber)
        assert type(number) is kind
        assert kinds.validate_python(number) is number
        assert kinds.dump_python(number)["id"] == raw["_id"]


@pytest.mark.parametrize("says_kind", [True, False])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("sip", {"phone_number": "+14155550100"}),
        (
            "twilio",
            {"phone_number": "+14155550100", "twilio_account_sid": "AC1", "twilio_auth_token": "t"},
        ),
        ("pia", {"friendly_name": "Desk"}),
    ],
)
def test_a_body_of_any_kind_of_number_becomes_its_request(
    kind: str, body: dict[str, str], says_kind: bool
) -> None:
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    application = fastapi.FastAPI()

    def register(value: Any) -> str:
        return str(value.provider)

    register.__annotations__["value"] = Annotated[verbex.CreatePhoneNumber, fastapi.Body()]
    application.post("/numbers")(register)
    with testclient.TestClient(application) as client:
        answer = client.post("/numbers", json=body | ({"provider": kind} if says_kind else {}))
        refused = client.post("/numbers", json=body | {"provider": "other"})

    assert (answer.status_code, answer.json(), refused.status_code) == (200, kind, 422)


def test_a_schema_names_types_and_what_is_required() -> None:
    shown = adapter(CreatePhoneNumber).json_schema()["properties"]
    required = adapter(ImportPhoneNumber).json_schema()["required"]

    assert shown["country_code"]["type"] == "string"
    assert required == ["phone_number"]
    assert "trunk_password" in adapter(ImportPhoneNumber).json_schema()["properties"]


@pytest.mark.parametrize("fields", [{"country_code": "USA"}, {"area_code": "x"}, {"nonsense": 1}])
def test_what_a_value_refuses_is_a_validation_error(fields: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        adapter(CreatePhoneNumber).validate_python(fields)


def test_no_dump_shows_a_secret() -> None:
    number = structure({**SIP, "sip_trunk_password": "hunter22"}, verbex.PhoneNumber)

    assert "hunter22" not in str(adapter(SipPhoneNumber).dump_json(number))


def test_a_handler_of_fastapi_takes_a_request_and_returns_a_record() -> None:
    """A number that was bought is what the caller gets, not a 500."""
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    application = fastapi.FastAPI()
    with SandboxThread() as box:
        key, url = box.sigmamind.api_key, box.sigmamind.base_url

        async def buy(order: CreatePhoneNumber) -> PhoneNumber:
            async with SigmaMind(key, base_url=url) as client:
                return await client.run(order)

        async def listed() -> list[PhoneNumber]:
            async with SigmaMind(key, base_url=url) as client:
                return [number async for number in client.phone_numbers.list()]

        # The annotations of this module are text, which FastAPI cannot look up in a function.
        body = Annotated[CreatePhoneNumber, fastapi.Body()]
        buy.__annotations__ = {"order": body, "return": PhoneNumber}
        listed.__annotations__ = {"return": list[PhoneNumber]}
        application.post("/numbers")(buy)
        application.get("/numbers")(listed)
        with testclient.TestClient(application) as browser:
            bought = browser.post("/numbers", json={"country_code": "US", "friendly_name": "Desk"})
            refused = browser.post("/numbers", json={"country_code": "nowhere"})
            found = browser.get("/numbers")
            described = browser.get("/openapi.json")

    assert bought.status_code == 200
    assert bought.json()["friendly_name"] == "Desk"
    assert refused.status_code == 422
    assert [number["sip_phone_number"] for number in found.json()] == [
        bought.json()["sip_phone_number"]
    ]
    assert "PhoneNumber" in described.text
    assert len(box.ledger.purchases) == 1


def test_a_handler_of_fastapi_that_declares_no_type_returns_a_record() -> None:
    """It is read like a model of pydantic; a value that was sent is no record, and is not."""
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    application, number = fastapi.FastAPI(), structure(SIP, verbex.PhoneNumber)
    application.get("/number", response_model=None)(lambda: number)
    with testclient.TestClient(application) as browser:
        answer = browser.get("/number")

    assert answer.json() == number.to_dict() == dict(number)
    with pytest.raises(TypeError, match="not iterable"):
        iter(CreatePhoneNumber(country_code="US"))  # type: ignore[call-overload]


async def test_a_record_is_no_list_of_rows() -> None:
    number: Any = structure(SIP, verbex.PhoneNumber)
    with pytest.raises(InvalidRequestError, match="values: must be an iterable of rows"):
        await SigmaMind("key").phone_numbers.update_many(number, friendly_name="Desk")


def test_an_error_is_json_too() -> None:
    assert SigmaMindError("it broke").to_dict()["type"] == "SigmaMindError"

"""No redirect is followed: neither key nor password reach an address the platform names."""

from __future__ import annotations

import aiohttp
import attrs
import pytest

from sigmamind_async import APIStatusError, OutcomeUnknownError, SigmaMindError
from sigmamind_async.convert import RequestValue
from sigmamind_async.operation import Operation
from sigmamind_async.platforms.sigmamind import (
    CreatePhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ImportPhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.sigmamind.operations import OPERATIONS
from tests.functional.faultserver import OK, FaultServer, always, answer, in_turn
from tests.functional.support import KEY, NUMBER, PASSWORD, client_of, error_of, record

STATUSES = (301, 302, 303, 307, 308)
VALUES: dict[str, RequestValue[object]] = {
    "POST": ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD),
    "PATCH": UpdatePhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD),
    "GET": GetPhoneNumber(phone_number=NUMBER),
    "DELETE": DeletePhoneNumber(phone_number=NUMBER),
}


def told(method: str, status: int) -> tuple[type[SigmaMindError], str]:
    """Return the error's class and what it says was done; 303 means that it was."""
    if status != 303 or method == "GET":
        return APIStatusError, "no"
    # An import is then looked up; everything here is elsewhere, so it is not found.
    return (OutcomeUnknownError if method == "POST" else APIStatusError), "yes"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", VALUES)
async def test_another_origin_receives_nothing(method: str, status: int) -> None:
    async with FaultServer(always(OK)) as other:
        moved = answer(status, Location=f"{other.url}/v1/phone-numbers")
        async with FaultServer(always(moved)) as server, client_of(server.url) as client:
            error = await error_of(client.run(VALUES[method]))
    assert (type(error), error.committed) == told(method, status)
    assert (error.status, error.retryable) == (status, False)
    assert (other.connections, server.methods[method]) == (0, 1)


ALIAS = "/v1/phone-numbers/"


def with_alias(value: RequestValue[object]) -> Operation[object]:
    operation = OPERATIONS[type(value)](value)
    return attrs.evolve(operation, request=attrs.evolve(operation.request, alias=ALIAS))


@pytest.mark.parametrize("status", STATUSES)
async def test_the_other_spelling_of_a_path_is_followed_on_the_same_origin(status: int) -> None:
    """Only where 307 or 308 keep method and body, and once."""
    script = in_turn(answer(status, Location=ALIAS), answer(201, record()))
    async with FaultServer(script) as server, client_of(server.url) as client:
        call = client._runner.engine.begin(with_alias(CreatePhoneNumber(country_code="US"))).run()  # noqa: SLF001
        if status in {307, 308}:
            await call
        else:
            await error_of(call)
    assert server.methods["POST"] == (2 if status in {307, 308} else 1)
    assert server.received[-1].path == (ALIAS if status in {307, 308} else ALIAS[:-1])


@pytest.mark.parametrize("status", STATUSES)
async def test_the_other_spelling_is_not_followed_to_another_origin(status: int) -> None:
    """Whatever origin is named, the one that was asked is asked again, and it alone."""
    async with FaultServer(always(OK)) as other:
        script = in_turn(answer(status, Location=f"{other.url}{ALIAS}"), answer(201, record()))
        async with FaultServer(script) as server, client_of(server.url) as client:
            purchase = with_alias(CreatePhoneNumber(country_code="US"))
            call = client.runner.engine.begin(purchase).run()
            if status in {307, 308}:
                await call
            else:
                await error_of(call)
    assert (other.connections, server.methods["POST"]) == (0, 2 if status in {307, 308} else 1)


@pytest.mark.parametrize(
    "location",
    [
        "http://api.acme.internal{alias}",
        "https://API.ACME.test:443{alias}",
        "HTTP://10.0.0.7:8080{alias}",
        "//inside{alias}",
        "{alias}#top",
        " {alias} ",
    ],
)
async def test_scheme_host_and_port_of_the_other_spelling_do_not_count(location: str) -> None:
    """A platform behind a proxy that ends TLS writes them as it knows them."""
    moved = answer(307, Location=location.format(alias=ALIAS))
    script = in_turn(moved, answer(201, record()))
    async with FaultServer(script) as server, client_of(server.url) as client:
        await client._runner.engine.begin(with_alias(CreatePhoneNumber(country_code="US"))).run()  # noqa: SLF001
    assert [request.path for request in server.received] == [ALIAS[:-1], ALIAS]


@pytest.mark.parametrize(
    "location", ["{alias}more", "{alias}?key=1", "/v1{alias}", "https://[::1", "", "{alias}../x"]
)
async def test_another_path_is_not_followed_and_is_named(location: str) -> None:
    location = location.format(alias=ALIAS)
    async with (
        FaultServer(always(answer(308, Location=location))) as server,
        client_of(server.url) as client,
    ):
        value = CreatePhoneNumber(country_code="US")
        error = await error_of(client._runner.engine.begin(with_alias(value)).run())  # noqa: SLF001
    assert (type(error), error.status, len(server.received)) == (APIStatusError, 308, 1)
    assert location in str(error)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_client_that_follows_takes_the_key_along(status: int) -> None:
    async with FaultServer(always(OK)) as other:
        moved = answer(status, Location=other.url)
        async with FaultServer(always(moved)) as server, aiohttp.ClientSession() as session:
            await session.post(server.url, headers={"X-API-Key": KEY}, json={"it": PASSWORD})
    assert other.received[0].headers["x-api-key"] == KEY
    assert (PASSWORD.encode() in other.received[0].body) is (status in {307, 308})

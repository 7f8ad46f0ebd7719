"""A rejected key is asked for again once, whoever else was rejected with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

from sigmamind_async import AuthenticationError, ConfigurationError, SigmaMind
from sigmamind_async.errors import APITimeoutError
from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.transport import AiohttpTransport, HttpRequest
from tests.functional.faultserver import Exchange, FaultServer, always, answer, response
from tests.functional.support import KEY, NUMBER, client_of, error_of, record

NEW_KEY = f"{KEY}-2"


async def admit_the_new_key(exchange: Exchange) -> None:
    request = await exchange.read()
    key = request.headers["x-api-key"]
    admitted = key == NEW_KEY
    # A platform may well repeat the key that it refuses.
    said = record() if admitted else b'{"message": "bad key %s"}' % key.encode()
    await exchange.write(response(200 if admitted else 401, said))


class Provider:
    """Gives the old key first, and the given ones after."""

    def __init__(self, *later: str) -> None:
        self._keys = [KEY, *later]
        self.asked = 0

    async def __call__(self) -> str:
        await asyncio.sleep(0)
        self.asked += 1
        return self._keys[min(self.asked, len(self._keys)) - 1]


async def test_a_fixed_key_that_is_rejected_is_an_error_at_once() -> None:
    async with FaultServer(always(admit_the_new_key)) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.attempts, error.retryable) == (AuthenticationError, 1, False)
    assert error.body == '{"message": "bad key ***"}'


async def test_a_supplied_key_is_asked_for_again() -> None:
    """For a purchase, too: 401 says that nothing was done."""
    provider = Provider(NEW_KEY)
    async with (
        FaultServer(always(admit_the_new_key)) as server,
        SigmaMind(provider, base_url=server.url) as client,
    ):
        assert (await client.phone_numbers.create(country_code="US")).active
    assert (provider.asked, server.methods["POST"]) == (2, 2)


async def test_fifty_calls_that_are_rejected_together_ask_once() -> None:
    provider = Provider(NEW_KEY)
    async with (
        FaultServer(always(admit_the_new_key)) as server,
        SigmaMind(provider, base_url=server.url) as client,
    ):
        found = await asyncio.gather(*(client.phone_numbers.get(NUMBER) for _ in range(50)))
    assert all(number.active for number in found)
    assert (provider.asked, len(server.received)) == (2, 100)


async def test_without_the_lock_many_would_ask() -> None:
    provider = Provider(NEW_KEY)
    async with (
        FaultServer(always(admit_the_new_key)) as server,
        SigmaMind(provider, base_url=server.url) as client,
    ):
        unguarded = PerLoop(contextlib.nullcontext[None])
        client._runner.engine.credentials._locks = unguarded  # type: ignore[assignment] # noqa: SLF001
        await asyncio.gather(*(client.phone_numbers.get(NUMBER) for _ in range(50)))
    assert provider.asked > 2


async def test_a_second_rejection_is_an_error() -> None:
    provider = Provider(f"{KEY}-3")
    async with (
        FaultServer(always(admit_the_new_key)) as server,
        SigmaMind(provider, base_url=server.url) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.attempts, provider.asked) == (AuthenticationError, 2, 2)


async def test_two_keys_in_turns_each_go_with_their_own_request() -> None:
    """The session wears the headers of the latest request, and none is sent in another's."""
    transport = AiohttpTransport()
    keys = [KEY, NEW_KEY] * 5

    async def send(key: str) -> None:
        request = HttpRequest(
            method="GET", url=server.url, headers={"X-API-Key": key, "X-Is": key}, max_bytes=9
        )
        await transport.send(request, ConnectionFlag(), 5.0)

    async with FaultServer(always(answer(200))) as server:
        for key in keys:
            await send(key)
        await asyncio.gather(*map(send, keys))
        await transport.aclose()
    seen = [request.headers["x-api-key"] for request in server.received]
    assert (seen[:10], sorted(seen[10:])) == (keys, sorted(keys))
    assert [request.headers["x-is"] for request in server.received] == seen


async def test_a_provider_that_hangs_ends_with_the_calls_deadline() -> None:
    """The first time it is asked, and after a 401; nothing stays behind at the gate."""

    async def hangs() -> str:
        await asyncio.sleep(3_600)
        return KEY

    async def hangs_later() -> str:
        if asked:
            await asyncio.sleep(3_600)
        asked.append(1)
        return KEY

    asked: list[int] = []
    async with FaultServer(always(admit_the_new_key)) as server:
        for provider, sent in ((hangs, 0), (hangs_later, 1)):
            async with SigmaMind(provider, base_url=server.url, deadline=1.0) as client:
                error = await error_of(client.phone_numbers.create(country_code="US"))
            assert (type(error), error.committed, error.attempts) == (APITimeoutError, "no", sent)
            assert error.elapsed < 30.0
    assert server.methods["POST"] == 1


async def test_a_provider_that_returns_nothing_after_a_401_is_an_error_of_ours() -> None:
    answers = [KEY, None]

    async def vault() -> str:
        return cast("str", answers.pop(0))

    async with (
        FaultServer(always(admit_the_new_key)) as server,
        SigmaMind(vault, base_url=server.url) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.attempts) == (ConfigurationError, 1)
    assert "vault returned NoneType" in str(error)

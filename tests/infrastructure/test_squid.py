"""A client behind squid: it gets there, and the proxy learns no key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import APIConnectionError, DialNexa, SigmaMind, Verbex
from sigmamind_async.platforms.sigmamind import UpdatePhoneNumber
from tests.functional.conftest import Certificates
from tests.functional.faultserver import Exchange, FaultServer, always, response
from tests.functional.support import ONCE, error_of, record
from tests.infrastructure.servers import free_port, squid

KEY = "canary-key-5f3a91:half-of-it-77c0"
NUMBER = "+14155550100"


async def answer(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.write(response(200, record(id=NUMBER, phone_number=NUMBER)))


ASK: dict[type[Any], Callable[[Any], Any]] = {
    SigmaMind: lambda client: client.phone_numbers.get(NUMBER),
    Verbex: lambda client: client.phone_numbers.get("pn_1"),
    DialNexa: lambda client: client.phone_numbers.get("phn_1"),
}


@pytest.mark.parametrize("credentials", ["", "user:secret@"])
@pytest.mark.parametrize("kind", ASK)
async def test_a_proxy_is_passed_without_the_key(
    kind: type[Any], credentials: str, certificates: Certificates, tmp_path: Path
) -> None:
    """The head of CONNECT, as squid has read it; the platform is given the key all the same."""
    port = free_port()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer(always(answer), ssl=certificates.good))
        requests = stack.enter_context(squid(tmp_path, port))
        client = await stack.enter_async_context(
            kind(
                KEY,
                base_url=server.url,
                ssl=certificates.trusting,
                proxy=f"http://{credentials}127.0.0.1:{port}",
            )
        )
        await ASK[kind](client)
        heads = " ".join(" ".join(request.headers.values()) for request in server.received)

    written = requests.read_text()
    assert f"CONNECT 127.0.0.1:{server.port} 200" in written
    assert KEY in heads, "the control: this is how it would look"
    assert KEY not in written
    assert "half-of-it" not in written
    assert ("Proxy-Authorization:%20Basic" in written) is bool(credentials)


async def test_a_proxy_that_refuses_is_named(certificates: Certificates, tmp_path: Path) -> None:
    """Nothing was sent, and the message says who refused what."""
    port = free_port()
    async with FaultServer(always(answer), ssl=certificates.good) as server:
        with squid(tmp_path, port, "http_access deny CONNECT"):
            async with SigmaMind(
                KEY,
                base_url=server.url,
                ssl=certificates.trusting,
                proxy=f"http://127.0.0.1:{port}",
                retry=ONCE,
            ) as client:
                error = await error_of(client.phone_numbers.get(NUMBER))
                values = [UpdatePhoneNumber(phone_number=NUMBER, friendly_name="x")] * 300
                result = await client.phone_numbers.update_many(values)

    assert isinstance(error, APIConnectionError)
    assert error.committed == "no"
    assert "403" in str(error)
    assert f"127.0.0.1:{port}" in str(error)
    assert len(result.skipped) > 150
    assert server.received == []

"""What stands above a body on the wire: each header once, and the host that is spoken to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.transport import AiohttpTransport, HttpRequest
from tests.functional.faultserver import Exchange, FaultServer, always, response
from tests.functional.support import KEY, client_of, record

HEADERS = {"Accept": "application/json", "User-Agent": "test/1", "X-API-Key": KEY}


class Heads:
    """Keeps the head of each request as it came."""

    def __init__(self) -> None:
        self.raw: list[list[str]] = []

    async def __call__(self, exchange: Exchange) -> None:
        head = (await exchange.read_head()).decode("latin-1").rstrip().split("\r\n")
        self.raw.append(head)
        lengths = [each.partition(": ")[2] for each in head if each.startswith("Content-Length")]
        await exchange.reader.readexactly(sum(map(int, lengths)))
        await exchange.write(response(200, record()))


async def sent(transport: AiohttpTransport, url: str, headers: Mapping[str, str]) -> None:
    mark = ConnectionFlag()
    await transport.send(HttpRequest("PATCH", f"{url}/x", headers, 1 << 16, b"{}"), mark, 5.0)
    assert mark.connected


async def test_a_request_says_each_thing_once_and_its_host_first() -> None:
    heads = Heads()
    async with FaultServer(always(heads)) as server, client_of(server.url) as client:
        await client.phone_numbers.update("+14155550100", friendly_name="Desk")

    ((line, host, *others),) = heads.raw
    assert line.startswith("PATCH /v1/phone-numbers/")
    assert host == f"Host: 127.0.0.1:{server.port}"
    assert sorted(each.split(":")[0].lower() for each in others) == [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "x-api-key",
    ]


async def test_each_host_is_told_its_own_name() -> None:
    """Fails if the host is written once for all requests that have the same headers."""
    one, other = Heads(), Heads()
    async with FaultServer(always(one)) as first, FaultServer(always(other)) as second:
        transport = AiohttpTransport()
        for server in (first, second, first):
            await sent(transport, server.url, HEADERS)
        await transport.aclose()

    assert [head[1] for head in one.raw] == [f"Host: 127.0.0.1:{first.port}"] * 2
    assert [head[1] for head in other.raw] == [f"Host: 127.0.0.1:{second.port}"]


@pytest.mark.parametrize("before", [{"X-Old": "1"}, {**HEADERS, "Accept": "text/plain"}])
async def test_other_headers_replace_those_before(before: Mapping[str, str]) -> None:
    heads = Heads()
    async with FaultServer(always(heads)) as server:
        transport = AiohttpTransport()
        for headers in (before, HEADERS):
            await sent(transport, server.url, headers)
        await transport.aclose()

    assert "Accept: application/json" in heads.raw[1]
    assert len({each.split(":")[0] for each in heads.raw[1]}) == len(heads.raw[1])
    assert not any(each.startswith(("X-Old", "Accept: text")) for each in heads.raw[1])

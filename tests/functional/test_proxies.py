"""What a proxy is told, byte by byte: where to, who asks, and never the platform's key."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sigmamind_async import (
    APIConnectionError,
    ConfigurationError,
    DialNexa,
    RetryPolicy,
    SigmaMind,
    SigmaMindError,
    Verbex,
)
from sigmamind_async.transport import proxy_of_environment
from tests.functional.conftest import Certificates, Run
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    response,
)
from tests.functional.support import KEY, NUMBER, ONCE, error_of
from tests.harness.ports import closed_port

TWICE = RetryPolicy(max_attempts=2, base=0.001)

CLIENTS: dict[str, type[SigmaMind | Verbex | DialNexa]] = {
    "sigmamind": SigmaMind,
    "verbex": Verbex,
    "dialnexa": DialNexa,
}
USER = "clerk:p%40ss%3Aw%2Frd"
BASIC = b"Basic " + base64.b64encode(b"clerk:p@ss:w/rd")


class Proxy:
    """Tunnels and forwards, and keeps every byte that it was sent in the open."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, user: str | None) -> str:
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            method, target, _ = head.split(b" ", 2)
            host = target.removeprefix(b"http://").split(b"/")[0]
            answers, upstream = await asyncio.open_connection(
                "127.0.0.1", int(host.rpartition(b":")[2])
            )
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.write(head)
            await _between((reader, upstream), (answers, writer))
        await _close(writer)


Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _between(*ways: Way) -> None:
    """Pass on both ways until either ends."""
    passing = [asyncio.ensure_future(_pass(*way)) for way in ways]
    try:
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in passing:
            one.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await _close(ways[0][1])


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def list_once(name: str, url: str, **options: Any) -> None:
    async with CLIENTS[name](KEY, base_url=url, retry=ONCE, **options) as client:
        async for _ in client.phone_numbers.list():
            pass


EMPTY = answer(200, b'{"data": [], "phoneNumbers": [], "totalCount": 0, "items": []}')


def named(head: bytes) -> dict[bytes, bytes]:
    lines = head.rstrip().split(b"\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}


@pytest.mark.parametrize("user", [None, USER], ids=["open", "with credentials"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_tunnel_is_asked_for_without_the_key(
    run: Run[None], certificates: Certificates, name: str, user: str | None
) -> None:
    async def main() -> None:
        proxy = Proxy()
        async with (
            FaultServer(always(EMPTY), ssl=certificates.good) as server,
            proxy.serving(),
        ):
            with suppress(SigmaMindError):  # what the page says is another test's
                await list_once(name, server.url, ssl=certificates.trusting, proxy=proxy.url(user))
            await server.all_served()
        (head,) = proxy.heads
        headers = named(head)
        assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % server.port)
        assert KEY.encode() not in head
        assert headers.get(b"proxy-authorization") == (BASIC if user else None)
        assert b"authorization" not in headers
        assert b"x-api-key" not in headers
        received = server.received[0]  # the platform has the key, and nothing of the proxy's
        assert KEY in str(received.headers)
        assert "proxy-authorization" not in received.headers

    run(main())


@pytest.mark.parametrize("user", [None, USER], ids=["open", "with credentials"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_forwarded_request_authorizes_with_the_proxys_own_credentials(
    run: Run[None], name: str, user: str | None
) -> None:
    """To a plain origin the request itself passes through, key and all; that is all that does."""

    async def main() -> None:
        proxy = Proxy()
        async with FaultServer(always(EMPTY)) as server, proxy.serving():
            with suppress(SigmaMindError):
                await list_once(name, server.url, proxy=proxy.url(user))
        headers = named(proxy.heads[0])
        assert headers.get(b"proxy-authorization") == (BASIC if user else None)
        assert KEY in str(server.received[0].headers)

    run(main())


async def test_headers_of_the_session_would_be_told_to_the_proxy(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the key among the session's headers, the first test would find it."""
    telling = partial(aiohttp.ClientSession, headers={"X-API-Key": KEY})
    monkeypatch.setattr(aiohttp, "ClientSession", telling)
    proxy = Proxy()
    async with FaultServer(always(EMPTY), ssl=certificates.good) as server, proxy.serving():
        options = {"ssl": certificates.trusting, "proxy": proxy.url(None)}
        with suppress(SigmaMindError):
            await list_once("sigmamind", server.url, **options)
    assert KEY.encode() in proxy.heads[0]


# --- refusals --------------------------------------------------------------------------------


def refusing(status: int) -> Treatment:
    async def treat(exchange: Exchange) -> None:
        await exchange.read_head()
        await exchange.write(response(status, b"<html>ask the help desk"))
        exchange.close()

    return treat


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (407, False, "user name and password"),
        (403, False, "allow this host and port there"),
        (405, False, "supports CONNECT"),
        (502, True, "cannot reach"),
        (503, True, "cannot reach"),
        (504, True, "cannot reach"),
    ],
)
async def test_a_refusal_names_proxy_status_and_remedy(
    status: int, words: str, *, retryable: bool
) -> None:
    async with FaultServer(always(refusing(status))) as proxy:
        url = f"http://clerk:hunter2@127.0.0.1:{proxy.port}"
        client = SigmaMind(KEY, base_url="https://api.acme.test", proxy=url, retry=TWICE)
        async with client:
            error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed) == (APIConnectionError, "no")
    assert (error.retryable, error.attempts) == (retryable, 2 if retryable else 1)
    assert isinstance(error.__cause__, OSError)
    text = str(error)
    for part in (f"127.0.0.1:{proxy.port}", str(status), "api.acme.test:443", words):
        assert part in text
    assert "hunter2" not in text
    assert "help desk" not in text  # the proxy's words are not ours


async def test_a_tunnel_that_ends_in_the_handshake_is_told_in_our_words() -> None:
    """The proxy says 200 and goes; aiohttp has nothing but the name of a class for that."""
    async with FaultServer(always(refusing(200))) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with SigmaMind(KEY, base_url="https://api.acme.test", proxy=url, retry=ONCE) as made:
            error = await error_of(made.phone_numbers.create(country_code="US"))
    assert error.committed == "no"
    assert f"api.acme.test:443 through the proxy 127.0.0.1:{proxy.port} (" in str(error)
    assert "Client" not in str(error)


async def test_a_job_ends_at_the_first_407_of_a_proxy_that_forwards() -> None:
    """To a plain origin the proxy answers in the platform's place; fails if 407 is any 4xx."""
    async with FaultServer(always(answer(407))) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        made = SigmaMind(KEY, base_url="http://127.0.0.1:9", proxy=url, max_connections=4)
        async with made as client:
            numbers = [f"+1415555{n:04}" for n in range(50)]
            result = await client.phone_numbers.update_many(numbers, friendly_name="x")
    assert len(result.failed) <= 4
    assert "407" in result.stopped
    assert "user name and password" in result.stopped


async def test_a_proxy_that_is_down_is_named() -> None:
    url = f"http://clerk:hunter2@127.0.0.1:{closed_port()}"
    async with SigmaMind(KEY, base_url="https://api.acme.test", proxy=url, retry=ONCE) as client:
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert "the proxy 127.0.0.1:" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert "hunter2" not in str(error)


# --- the environment -------------------------------------------------------------------------

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "trusting", "proxied"),
    [
        ({"HTTPS_PROXY": "{proxy}"}, True, True),
        ({"https_proxy": "{proxy}"}, True, True),
        ({"ALL_PROXY": "{proxy}"}, True, True),
        ({"HTTPS_PROXY": "127.0.0.1:{port}"}, True, True),
        ({"HTTPS_PROXY": "{proxy}"}, False, False),
        ({"HTTP_PROXY": "{proxy}"}, True, False),
        ({"HTTPS_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}, True, False),
        ({"HTTPS_PROXY": "{proxy}", "NO_PROXY": "*"}, True, False),
        ({"HTTPS_PROXY": "{proxy}", "NO_PROXY": "elsewhere.test,10.0.0.1"}, True, True),
        ({"HTTPS_PROXY": "{proxy}", "NO_PROXY": "elsewhere.test, *"}, True, False),
        ({"HTTPS_PROXY": ""}, True, False),
    ],
)
async def test_the_environments_proxy_is_used_where_that_is_trusted(
    certificates: Certificates,
    proxies: pytest.MonkeyPatch,
    variables: dict[str, str],
    *,
    trusting: bool,
    proxied: bool,
) -> None:
    proxy = Proxy()
    async with FaultServer(always(EMPTY), ssl=certificates.good) as server, proxy.serving():
        for name, text in variables.items():
            proxies.setenv(name, text.format(proxy=proxy.url("u:p"), port=proxy.port))
        await list_once("sigmamind", server.url, ssl=certificates.trusting, trust_env=trusting)
    assert len(proxy.heads) == proxied
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("url", "exempt", "direct"),
    [
        ("https://api.acme.test", "acme.test", True),
        ("https://api.acme.test", ".acme.test", True),
        ("https://api.acme.test", "*.acme.test", True),
        ("https://api.acme.test", "API.ACME.TEST", True),
        ("https://api.acme.test", "cme.test", False),
        ("https://api.acme.test", "api.acme.test:443", True),
        ("https://api.acme.test", "api.acme.test:8443", False),
        ("https://api.acme.test:8443", "api.acme.test:8443", True),
        ("https://api.acme.test:8443", "api.acme.test:443", False),
        ("https://[2001:db8::1]", "2001:db8::1", True),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", True),
        ("https://[2001:db8::1]", "2001:db8::2", False),
    ],
)
def test_the_list_of_hosts_without_a_proxy_is_read_as_elsewhere(
    proxies: pytest.MonkeyPatch, url: str, exempt: str, *, direct: bool
) -> None:
    proxies.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    proxies.setenv("NO_PROXY", f"elsewhere.test, {exempt}")
    assert (proxy_of_environment(url) is None) == direct


async def test_no_netrc_is_read(
    certificates: Certificates, proxies: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which would put another's password in the place of the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password hunter2\n")
    proxies.setenv("NETRC", str(netrc))
    async with FaultServer(always(EMPTY), ssl=certificates.good) as server:
        await list_once("verbex", server.url, ssl=certificates.trusting, trust_env=True)
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "ftp://proxy", "http://a b"])
def test_an_unusable_proxy_of_the_environment_is_refused(
    proxies: pytest.MonkeyPatch, proxy: str
) -> None:
    proxies.setenv("HTTPS_PROXY", proxy)
    SigmaMind(KEY)
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY in the environment: "):
        SigmaMind(KEY, trust_env=True)


def test_a_proxy_that_is_given_goes_before_the_environments(proxies: pytest.MonkeyPatch) -> None:
    proxies.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    SigmaMind(KEY, trust_env=True, proxy="http://proxy.example:3128")

"""The aiohttp transport without a socket: how answers and faults become values."""

from __future__ import annotations

import asyncio
import functools
import ssl
import traceback
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from yarl import URL

from sigmamind_async import SigmaMind
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.transport import AiohttpOptions, AiohttpTransport, HttpRequest
from sigmamind_async.transport.connections import BytesBody

OUTGOING = HttpRequest(
    method="POST",
    url="https://api.acme.test/v1/phone-numbers/%2B14155550100",
    headers={"X-API-Key": "sk-1"},
    body=b'{"trunkPassword":"hunter2"}',
    max_bytes=10,
)


class Answer:
    """Stands for an `aiohttp.ClientResponse` whose body came, up to its end or break."""

    def __init__(self, *received: bytes | Exception, status: int = 200) -> None:
        self.status = status
        self.headers = {"x-request-id": "r-1"}
        self.released = 0
        self.closed = False
        self._received = received

    @functools.cached_property
    def content(self) -> aiohttp.StreamReader:
        loop = asyncio.get_running_loop()
        stream = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        for each in self._received:
            if isinstance(each, Exception):
                stream.set_exception(each)
                return stream
            stream.feed_data(each)
        stream.feed_eof()
        return stream

    def release(self) -> None:
        self.released += 1


class Session:
    """Stands for a session that a caller brings: its traces tell when it connects, if any run."""

    def __init__(
        self, answer: Answer | Exception | None, *, connects: bool = True, traced: bool = True
    ) -> None:
        self.closed = False
        self.trace_configs: list[aiohttp.TraceConfig] = []
        self.asked: list[tuple[str, URL, dict[str, Any]]] = []
        self._answer = answer
        self._connects = connects
        self._traced = traced

    async def request(self, method: str, url: URL, **options: Any) -> Answer:
        self.asked.append((method, url, options))
        if self._connects:
            await self._tell("on_connection_reuseconn")
        if self._answer is None:
            await asyncio.sleep(3_600)
        if isinstance(self._answer, Exception):
            await self._tell("on_request_exception", self._answer)
            raise self._answer
        assert self._answer is not None
        return self._answer

    async def _tell(self, what: str, error: BaseException | None = None) -> None:
        for trace in self.trace_configs if self._traced else ():
            for tell in getattr(trace, what):
                await tell(self, SimpleNamespace(), SimpleNamespace(exception=error))


def carried_by(session: Session) -> AiohttpTransport:
    return AiohttpTransport(session=cast("aiohttp.ClientSession", session))


async def send(session: Session) -> tuple[Response | Fault, bool]:
    mark = ConnectionFlag()
    answer = await carried_by(session).send(OUTGOING, mark, 5.0)
    return answer, bool(mark.connected)


async def test_an_answer_becomes_a_response_and_its_connection_is_given_back() -> None:
    answer = Answer(b"he", b"llo", status=201)

    assert await send(Session(answer)) == (
        Response(status=201, headers={"x-request-id": "r-1"}, body=b"hello"),
        True,
    )
    assert answer.released == 1


async def test_what_is_asked_of_aiohttp() -> None:
    """No redirect is followed: it would carry key and body to wherever it points."""
    session = Session(Answer())
    await send(session)
    [(method, url, options)] = session.asked

    assert (method, str(url)) == (OUTGOING.method, OUTGOING.url)
    assert options["data"] == OUTGOING.body
    assert options["allow_redirects"] is False
    assert options["ssl"] is True
    assert options["middlewares"] == ()  # aiohttp sends a POST once anyway


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        ([b"x" * 10], None),
        ([b"x" * 11], FaultKind.TOO_LARGE),
        ([b"x" * 6, b"x" * 6], FaultKind.TOO_LARGE),
        ([b"x", aiohttp.ClientPayloadError()], FaultKind.UNPARSABLE),
        ([b"x", ConnectionResetError()], FaultKind.DROPPED),
        ([TimeoutError()], FaultKind.TIMEOUT),
    ],
)
async def test_a_body_that_ends_early_keeps_its_status(
    body: list[bytes | Exception], cut: FaultKind | None
) -> None:
    answer = Answer(*body, status=201)
    response, connected = await send(Session(answer))

    assert isinstance(response, Response)
    kind = None if response.cut is None else response.cut.kind
    assert (response.status, kind, connected) == (201, cut, True)
    assert answer.released == 1


@pytest.mark.parametrize(
    ("error", "connected", "kind"),
    [
        (OSError(), False, FaultKind.CONNECT),
        (aiohttp.ClientError(), False, FaultKind.CONNECT),
        (TimeoutError(), False, FaultKind.CONNECT_TIMEOUT),
        (TimeoutError(), True, FaultKind.TIMEOUT),
        (OSError(), True, FaultKind.DROPPED),
        (aiohttp.ServerDisconnectedError(), True, FaultKind.DROPPED),
        (aiohttp.ClientConnectionError(), True, FaultKind.DROPPED),
        (aiohttp.ClientPayloadError(), True, FaultKind.UNPARSABLE),
        (ValueError("anything"), True, FaultKind.DROPPED),
    ],
)
async def test_what_aiohttp_raises_becomes_a_fault(
    error: Exception, connected: bool, kind: FaultKind
) -> None:
    answer, marked = await send(Session(error, connects=connected))

    assert isinstance(answer, Fault)
    assert answer.kind is kind
    assert "api.acme.test:443" in answer.detail
    assert "anything" not in answer.detail  # the text of an exception is nobody's of ours
    assert marked is connected


@pytest.mark.parametrize("error", [OSError(), aiohttp.ClientError(), TimeoutError()])
async def test_a_session_that_shows_no_connection_counts_as_connected(error: Exception) -> None:
    """One that hands the request on; the control is the traced session above: it is believed."""
    _, marked = await send(Session(error, connects=False, traced=False))

    assert marked is True


async def test_an_attempt_ends_in_its_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    answer, _ = await send(Session(None))

    assert isinstance(answer, Fault)
    assert answer.kind is FaultKind.TIMEOUT
    assert loop.time() - began == pytest.approx(5.0)


async def test_a_cancelled_attempt_tells_by_its_mark_and_carries_no_frame_with_a_body() -> None:
    mark = ConnectionFlag()
    task = asyncio.create_task(carried_by(Session(None)).send(OUTGOING, mark, 60.0))
    await asyncio.sleep(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert mark.connected


async def test_a_session_that_was_handed_in_is_left_open() -> None:
    """It has no `close` here: calling it would be an error."""
    await carried_by(Session(Answer())).aclose()


def test_showing_an_outgoing_request_shows_neither_key_nor_body() -> None:
    assert "sk-1" not in repr(OUTGOING)
    assert "hunter2" not in repr(OUTGOING)


def test_showing_options_does_not_show_the_proxys_password() -> None:
    assert "hunter2" not in repr(AiohttpOptions(proxy="http://u:hunter2@proxy:3128"))


def no_hostname() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def no_certificate() -> ssl.SSLContext:
    context = no_hostname()
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("make", [no_hostname, no_certificate])
def test_a_context_that_does_not_verify_is_refused(make: Any) -> None:
    AiohttpOptions(ssl=ssl.create_default_context())
    with pytest.raises(ConfigurationError, match="must verify certificates and host names"):
        AiohttpOptions(ssl=make())


@pytest.mark.parametrize("wrong", ["socks5://u:{}@h", "http://u:{}@h:0", "http://u:{} x@h", "{}"])
@pytest.mark.parametrize("origin", ["argument", "environment"])
def test_a_refused_proxy_is_in_no_frame(
    wrong: str, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = wrong.format("hunter22")
    proxy = proxy if "://" in proxy or origin == "argument" else f"ftp://{proxy}"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    given: dict[str, Any] = {"proxy": proxy} if origin == "argument" else {"trust_env": True}
    with pytest.raises(ConfigurationError, match=r"proxy: |HTTPS_PROXY") as caught:
        SigmaMind("key", **given)

    frames = [*traceback.walk_tb(caught.value.__traceback__)][1:]  # without that of this test
    shown = [repr(frame.f_locals) for frame, _ in frames]
    assert len(shown) > 2
    assert "hunter22" not in f"{shown}{caught.value}"


async def test_closing_what_was_never_opened_is_no_error() -> None:
    await AiohttpTransport().aclose()


async def test_a_body_is_what_aiohttp_asks_of_one() -> None:
    """Also where it asks in the ways that a request of ours does not take."""
    written: list[bytes] = []

    class Writer:
        async def write(self, chunk: bytes) -> None:
            written.append(chunk)

    body = BytesBody('{"a": "\u00e9"}'.encode())
    await body.write(cast("Any", Writer()))
    await body.write_with_length(cast("Any", Writer()), body.size)

    assert written == [body.decode().encode()] * 2
    assert body.autoclose
    assert body.decode("latin-1") == '{"a": "\u00c3\u00a9"}'


@pytest.mark.parametrize("given", [True, "context", 5])
def test_what_is_no_tls_context_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="ssl: must be an"):
        AiohttpOptions(ssl=given)

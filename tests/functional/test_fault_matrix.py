"""Every way for one attempt to fail, on real sockets: what is concluded is what happened.

Each row runs on both event loops, with a session of our own (the connector marks the attempt) and
with one that was handed in (trace events do). Three things hold for all rows: NOT_SENT means that
the server received nothing; what the server carried out is never called NOT_SENT or REJECTED; and
no request arrives twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.connector import Connection

from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response, Verdict
from sigmamind_async.responses.verdict import classify
from sigmamind_async.transport import AiohttpOptions, AiohttpTransport
from sigmamind_async.transport import sessions as sessions_module
from sigmamind_async.transport.connections import Connector
from tests.functional.conftest import Certificates, Run
from tests.functional.faultserver import (
    OK,
    Exchange,
    FaultServer,
    Script,
    Treatment,
    always,
    answer,
    breaking_off,
    close_after_head,
    close_at_once,
    close_when_read,
    hang,
    on_reuse,
    reset_after_head,
    reset_at_once,
    reset_when_read,
    response,
    saying,
    stalling,
)
from tests.functional.support import send
from tests.harness.ports import closed_port

pytestmark = pytest.mark.usefixtures("unmeasured")  # the same many times

ALL = ("POST", "PATCH", "GET", "DELETE")
WITH_BODY = ("POST", "PATCH")
SOME = ("POST", "DELETE")
CUT = response(201, b'{"sip').replace(b"Length: 5", b"Length: 100")
CHUNKS = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"


@attrs.frozen(kw_only=True, str=False)
class Row:
    """One fault, one method, and what must be concluded."""

    name: str
    method: str
    script: Script
    verdict: Verdict
    arrives: int = 1
    """Requests that the server receives whole."""
    acts: bool = True
    """Whether the server carries out what it received."""
    may_be_echo: bool = False
    warm: bool = False
    """Whether a request came before, on the same connection."""
    idle: bool = False
    """Whether that connection then ends while nothing is asked of it."""
    seconds: float = 5.0
    big: bool = False
    tls: str | None = None
    """Certificate of the server, or ``none`` for one that does not speak TLS."""
    strange: bool = False
    """Whether the client knows another authority than the server's."""

    def __str__(self) -> str:
        return f"{self.name} {self.method}".replace(" ", "_")


def rows(
    name: str,
    methods: tuple[str, ...],
    treatment: Treatment,
    verdict: Verdict,
    *,
    arrives: int = 1,
    acts: bool = True,
    may_be_echo: bool = False,
    seconds: float = 5.0,
    big: bool = False,
) -> Iterator[Row]:
    for method in methods:
        yield Row(
            name=name,
            method=method,
            script=always(treatment),
            verdict=verdict,
            arrives=arrives,
            acts=acts,
            may_be_echo=may_be_echo,
            seconds=seconds,
            big=big,
        )


def reused(
    name: str, methods: tuple[str, ...], treatment: Treatment, verdict: Verdict, arrives: int = 1
) -> Iterator[Row]:
    for method in methods:
        yield Row(
            name=f"reused: {name}",
            method=method,
            script=on_reuse(treatment),
            verdict=verdict,
            arrives=arrives,
            warm=True,
        )


async def answer_early(exchange: Exchange) -> None:
    await exchange.reader.readuntil(b"\r\n")
    await exchange.write(response(429, Retry_After="1", Connection="close"))
    exchange.close()


async def close_when_begun(exchange: Exchange) -> None:
    await exchange.reader.read(1)
    exchange.close()


async def reset_when_begun(exchange: Exchange) -> None:
    await exchange.reader.read(1)
    exchange.reset()


async def speak_plainly(exchange: Exchange) -> None:
    await exchange.write(response(400))
    exchange.close()


async def close_idle(exchange: Exchange) -> None:
    await OK(exchange)
    exchange.close()


async def reset_idle(exchange: Exchange) -> None:
    await OK(exchange)
    await asyncio.sleep(0.01)
    exchange.reset()


NOT_SENT, REJECTED, CONFIRMED = Verdict.NOT_SENT, Verdict.REJECTED, Verdict.CONFIRMED
UNREAD, AMBIGUOUS = Verdict.COMMITTED_UNREAD, Verdict.AMBIGUOUS

ROWS = [
    # Half a request, or none.
    *rows("closed at once", ALL, close_at_once, AMBIGUOUS, arrives=0),
    *rows("reset at once", ALL, reset_at_once, AMBIGUOUS, arrives=0),
    *rows("head, closed", WITH_BODY, close_after_head, AMBIGUOUS, arrives=0),
    *rows("head, reset", WITH_BODY, reset_after_head, AMBIGUOUS, arrives=0),
    *rows("8 MB, reset", WITH_BODY, reset_after_head, AMBIGUOUS, arrives=0, big=True),
    *rows("8 MB, closed", WITH_BODY, close_after_head, AMBIGUOUS, arrives=0, big=True),
    *rows("answered early", ("POST",), answer_early, REJECTED, arrives=0),
    # The whole request, and no answer.
    *rows("read, closed", ALL, close_when_read, AMBIGUOUS),
    *rows("read, reset", ALL, reset_when_read, AMBIGUOUS),
    *rows("read, silent", ALL, hang, AMBIGUOUS, seconds=0.25),
    *rows("read, garbage", SOME, breaking_off(b"\x16\x03\x01 what\r\n\r\n"), AMBIGUOUS),
    *rows("read, half a head", SOME, breaking_off(b"HTTP/1.1 201 Cre"), AMBIGUOUS),
    *rows("read, head stalls", SOME, stalling(b"HTTP/1.1 201 Cre"), AMBIGUOUS, seconds=0.25),
    *rows("read, 100 and closed", SOME, breaking_off(b"HTTP/1.1 100 Continue\r\n\r\n"), AMBIGUOUS),
    # An answer that was begun.
    *rows("201 cut", ALL, breaking_off(CUT), UNREAD),
    *rows("201 stalls", SOME, stalling(CUT), UNREAD, seconds=0.25),
    *rows("201 chunks cut", SOME, breaking_off(CHUNKS + b"{}"), UNREAD),
    *rows("201 chunks wrong", SOME, breaking_off(CHUNKS.replace(b"5", b"no") + b"{}"), AMBIGUOUS),
    *rows("201 not gzip", SOME, answer(201, b"{}", Content_Encoding="gzip"), UNREAD),
    *rows("201 too large", SOME, answer(201, b" " * 70_000), UNREAD),
    # A whole answer.
    *rows("200", ALL, OK, CONFIRMED),
    *rows("204", SOME, saying(b"HTTP/1.1 204 No Content\r\n\r\n"), CONFIRMED),
    *rows(
        "100, then 201", SOME, saying(b"HTTP/1.1 100 Continue\r\n\r\n", response(201)), CONFIRMED
    ),
    *rows("303", SOME, answer(303, Location="/elsewhere"), UNREAD),
    *(
        row
        for status in (301, 302, 307, 308)
        for row in rows(
            f"{status}", SOME, answer(status, Location="/elsewhere"), REJECTED, acts=False
        )
    ),
    *(
        row
        for status in (400, 401, 402, 403, 404, 409, 413, 422, 429)
        for row in rows(f"{status}", SOME, answer(status), REJECTED, acts=False)
    ),
    *rows("409 unconfirmed", SOME, answer(409), AMBIGUOUS, may_be_echo=True),
    *(
        row
        for status in (408, 499, 500, 501, 502, 503, 504, 599)
        for row in rows(f"{status}", SOME, answer(status), AMBIGUOUS)
    ),
    # A connection that served before.
    *reused("begun, closed", ALL, close_when_begun, AMBIGUOUS, arrives=0),
    *reused("begun, reset", ALL, reset_when_begun, AMBIGUOUS, arrives=0),
    *reused("read, closed", ALL, close_when_read, AMBIGUOUS),
    *reused("read, reset", ALL, reset_when_read, AMBIGUOUS),
    *reused("read, half a head", SOME, breaking_off(b"HTTP/1.1 201 Cre"), AMBIGUOUS),
    *reused("201 cut", SOME, breaking_off(CUT), UNREAD),
    *reused("200", SOME, OK, CONFIRMED),
    *(
        Row(
            name=name,
            method=method,
            script=always(treatment),
            verdict=CONFIRMED,
            warm=True,
            idle=True,
        )
        for name, treatment in (("closed while idle", close_idle), ("reset while idle", reset_idle))
        for method in SOME
    ),
    # TLS.
    *(
        Row(
            name=name,
            method=method,
            script=always(treatment),
            verdict=NOT_SENT,
            arrives=0,
            tls=certificate,
            strange=strange,
        )
        for name, treatment, certificate, strange in (
            ("untrusted", OK, "good", True),
            ("another name", OK, "misnamed", False),
            ("plain server", speak_plainly, "none", False),
            ("closed in the handshake", close_at_once, "none", False),
            ("reset in the handshake", reset_at_once, "none", False),
        )
        for method in SOME
    ),
    *(
        Row(name=name, method="POST", script=always(treatment), verdict=verdict, tls="good")
        for name, treatment, verdict in (
            ("200 over TLS", OK, CONFIRMED),
            ("read, closed over TLS", close_when_read, AMBIGUOUS),
            ("read, reset over TLS", reset_when_read, AMBIGUOUS),
            ("201 cut over TLS", breaking_off(CUT), UNREAD),
        )
    ),
]


@contextlib.asynccontextmanager
async def transport_of(
    *, handed_in: bool, options: AiohttpOptions | None = None, limit: int = 100
) -> AsyncIterator[AiohttpTransport]:
    """Give a transport with its own session, or with one that was handed in."""
    if not handed_in:
        transport = AiohttpTransport(options or AiohttpOptions(max_connections=limit))
        yield transport
        await transport.aclose()
        return
    connector = aiohttp.TCPConnector(limit=limit)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield AiohttpTransport(options, session)


def _contexts(
    row: Row, certificates: Certificates
) -> tuple[tls.SSLContext | None, tls.SSLContext | None]:
    """Return the contexts of the server and of the client."""
    if row.tls is None:
        return None, None
    server = None if row.tls == "none" else getattr(certificates, row.tls)
    return server, certificates.strange if row.strange else certificates.trusting


@attrs.frozen
class Attempt:
    """What came of one row."""

    verdict: Verdict
    arrived: int


async def attempt(row: Row, certificates: Certificates, *, handed_in: bool) -> Attempt:
    served, trusted = _contexts(row, certificates)
    options = AiohttpOptions(ssl=trusted)
    async with FaultServer(row.script, ssl=served) as server:
        url = server.url if trusted is None else server.url.replace("http:", "https:")
        async with transport_of(handed_in=handed_in, options=options) as transport:
            if row.warm:
                await send(transport, url, "GET")
            if row.idle:
                await server.all_served()
                await asyncio.sleep(0.01)
            before = len(server.received)
            mark = ConnectionFlag()
            body = b"x" * 8_000_000 if row.big else b"{}"
            came = await send(transport, url, row.method, body=body, seconds=row.seconds, mark=mark)
        await server.all_served()
    verdict = classify(came, connected=mark.may_have_left, may_be_echo=row.may_be_echo)
    return Attempt(verdict, len(server.received) - before)


def wrong(row: Row, came: Attempt) -> bool:
    """Whether the verdict says less than happened: the mistakes that cost money."""
    return (came.verdict is NOT_SENT and came.arrived > 0) or (
        came.verdict in {NOT_SENT, REJECTED} and came.arrived > 0 and row.acts
    )


@pytest.mark.filterwarnings("ignore:Sending a large body directly")
@pytest.mark.parametrize("handed_in", [False, True], ids=["own", "theirs"])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_verdict_is_what_happened(
    run: Run[Attempt], certificates: Certificates, row: Row, *, handed_in: bool
) -> None:
    """The exact verdict, and never a request more than was sent."""
    came = run(attempt(row, certificates, handed_in=handed_in))
    while came.arrived < row.arrives and row.seconds < 5.0:  # a busy machine took the time
        row = attrs.evolve(row, seconds=4 * row.seconds)
        came = run(attempt(row, certificates, handed_in=handed_in))
    assert came == Attempt(row.verdict, row.arrives)
    assert not wrong(row, came)


def test_the_matrix_is_as_large_as_it_says() -> None:
    assert len(ROWS) >= 61
    assert len({(row.name, row.method) for row in ROWS}) == len(ROWS)


@pytest.mark.filterwarnings("ignore:Inheritance class")
async def test_a_session_that_sends_in_a_task_of_its_own_is_believed() -> None:
    """A caller's session may be of a class that wraps each request; fails with marks by task."""

    class Wrapping(aiohttp.ClientSession):
        async def _request(self, *given: Any, **named: Any) -> aiohttp.ClientResponse:
            return await asyncio.create_task(super()._request(*given, **named))

    mark = ConnectionFlag()
    async with FaultServer(always(close_when_read)) as server, Wrapping() as session:
        came = await send(AiohttpTransport(session=session), server.url, "POST", mark=mark)

    assert classify(came, connected=mark.may_have_left) is AMBIGUOUS


# --- no connection ---------------------------------------------------------------------------


@pytest.mark.parametrize("handed_in", [False, True], ids=["own", "theirs"])
@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}", f"http://{'x' * 70}.invalid", "http://127.0.0.1:99999"],
    ids=["refused", "no such name", "no such port"],
)
def test_without_a_connection_nothing_was_sent(
    run: Run[Response | Fault], method: str, url: str, *, handed_in: bool
) -> None:
    async def main() -> Response | Fault:
        async with transport_of(handed_in=handed_in) as transport:
            return await send(transport, url.format(port=closed_port()), method, mark=mark)

    mark = ConnectionFlag()
    came = run(main())
    assert isinstance(came, Fault)
    assert classify(came, connected=mark.may_have_left) is NOT_SENT


@pytest.mark.parametrize("handed_in", [False, True], ids=["own", "theirs"])
@pytest.mark.parametrize("method", SOME)
def test_a_black_hole_was_sent_nothing(
    run: Run[Response | Fault], method: str, *, handed_in: bool
) -> None:
    """A host that does not answer the connection is given up after the connect timeout."""

    async def main() -> Response | Fault:
        options = AiohttpOptions(connect_timeout=0.1)
        with black_hole() as port:
            async with transport_of(handed_in=handed_in, options=options) as transport:
                return await send(transport, f"http://127.0.0.1:{port}", method, mark=mark)

    mark = ConnectionFlag()
    came = run(main())
    assert classify(came, connected=mark.may_have_left) is NOT_SENT
    assert isinstance(came, Fault)
    assert came.kind is FaultKind.CONNECT_TIMEOUT


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Give a port whose queue of new connections is full and never served."""
    with contextlib.ExitStack() as held:
        hole = held.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


@pytest.mark.parametrize("handed_in", [False, True], ids=["own", "theirs"])
@pytest.mark.parametrize("method", SOME)
def test_a_wait_for_the_pool_sent_nothing(
    run: Run[tuple[Verdict, int]], method: str, *, handed_in: bool
) -> None:
    """With every connection taken, an attempt that runs out of time has not been sent."""

    async def main() -> tuple[Verdict, int]:
        mark = ConnectionFlag()
        async with (
            FaultServer(always(hang)) as server,
            transport_of(handed_in=handed_in, limit=1) as transport,
            asyncio.TaskGroup() as tasks,
        ):
            first = tasks.create_task(send(transport, server.url))
            await server.arrival.wait()
            came = await send(transport, server.url, method, seconds=0.05, mark=mark)
            first.cancel()
        return classify(came, connected=mark.may_have_left), len(server.received)

    assert run(main()) == (NOT_SENT, 1)


def test_a_closed_session_sends_nothing(run: Run[Response | Fault]) -> None:
    async def main() -> Response | Fault:
        session = aiohttp.ClientSession()
        await session.close()
        return await send(AiohttpTransport(session=session), "http://127.0.0.1:9", mark=mark)

    mark = ConnectionFlag()
    end = run(main())
    assert classify(end, connected=mark.may_have_left) is NOT_SENT
    assert isinstance(end, Fault)
    assert "(the client's session is closed)" in end.detail


@pytest.mark.parametrize("reply", [response(407), response(502), b""], ids=["407", "502", "EOF"])
def test_a_proxy_that_refuses_the_tunnel_sent_nothing(
    run: Run[Response | Fault], reply: bytes
) -> None:
    """The platform is behind the tunnel: without one, it has received nothing."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.read_head()
        await exchange.write(reply)
        exchange.close()

    async def main() -> Response | Fault:
        async with FaultServer(always(refuse)) as proxy:
            options = AiohttpOptions(proxy=proxy.url)
            async with transport_of(handed_in=False, options=options) as transport:
                return await send(transport, "https://api.example.invalid", mark=mark)

    mark = ConnectionFlag()
    assert classify(run(main()), connected=mark.may_have_left) is NOT_SENT


# --- a connection that dies in our hands -----------------------------------------------------


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_that_dies_between_pool_and_write_is_in_doubt(
    run: Run[Attempt], monkeypatch: pytest.MonkeyPatch, method: str, *, reset: bool
) -> None:
    """Once handed out, a connection proves nothing any more, and nothing is sent again."""
    connect = Connector.connect
    dies = asyncio.Event()

    async def die(exchange: Exchange) -> None:
        await dies.wait()
        exchange.reset() if reset else exchange.close()

    async def connect_and_lose(
        connector: Connector,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        connection = await connect(connector, req, traces, timeout)
        if dies_now:
            dies.set()
            await asyncio.sleep(0.02)
        return connection

    async def main() -> Attempt:
        async with (
            FaultServer(on_reuse(die)) as server,
            transport_of(handed_in=False) as transport,
        ):
            await send(transport, server.url, "GET")
            dies_now.append(True)
            came = await send(transport, server.url, method, mark=mark)
            return Attempt(classify(came, connected=mark.may_have_left), len(server.received) - 1)

    mark, dies_now = ConnectionFlag(), list[bool]()
    monkeypatch.setattr(Connector, "connect", connect_and_lose)
    assert run(main()) == Attempt(AMBIGUOUS, 0)


# --- the same eyes on broken guards ----------------------------------------------------------


def row_of(name: str, method: str) -> Row:
    return next(row for row in ROWS if (row.name, row.method) == (name, method))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_without_the_middleware_the_matrix_sees_a_second_delivery(
    run: Run[Attempt], certificates: Certificates, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async def send_as_it_likes(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    anyhow = {method: (send_as_it_likes,)}
    monkeypatch.setattr(sessions_module, "NO_RESEND", anyhow)
    row = row_of("read, closed", method)
    assert run(attempt(row, certificates, handed_in=False)).arrived == 2


@pytest.mark.parametrize("name", ["read, closed", "read, silent"])
def test_without_the_mark_the_matrix_sees_wrong_verdicts(
    run: Run[Attempt], certificates: Certificates, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Connector, "connect", aiohttp.TCPConnector.connect)
    row = row_of(name, "POST")
    assert wrong(row, run(attempt(row, certificates, handed_in=False)))


def test_without_the_trace_the_matrix_sees_wrong_verdicts(
    run: Run[Attempt], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one that tells of failures alone; a session without any cannot tell, which is safe."""
    half, blind = aiohttp.TraceConfig(), aiohttp.TraceConfig()
    whole = sessions_module._TRACE  # noqa: SLF001
    half.on_request_exception.extend(whole.on_request_exception)
    for trace in (half, blind):
        trace.freeze()
    row = row_of("read, closed", "POST")
    monkeypatch.setattr(sessions_module, "_TRACE", half)
    assert wrong(row, run(attempt(row, certificates, handed_in=True)))
    monkeypatch.setattr(sessions_module, "_TRACE", blind)
    assert not wrong(row, run(attempt(row, certificates, handed_in=True)))


def test_plain_aiohttp_delivers_a_deletion_twice(run: Run[int]) -> None:
    async def main() -> int:
        async with (
            FaultServer(always(close_when_read)) as server,
            aiohttp.ClientSession() as session,
        ):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.delete(server.url)
            return server.methods["DELETE"]

    assert run(main()) == 2


def test_the_type_of_an_exception_lies(run: Run[int]) -> None:
    """Plain aiohttp says "cannot connect" for a deletion that the server carried out."""

    async def go_down_when_read(exchange: Exchange) -> None:
        await exchange.read()
        exchange.server.stop_listening()
        exchange.close()

    async def main() -> int:
        async with (
            FaultServer(always(go_down_when_read)) as server,
            aiohttp.ClientSession() as session,
        ):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.delete(server.url)
            return len(server.received)

    assert run(main()) == 1

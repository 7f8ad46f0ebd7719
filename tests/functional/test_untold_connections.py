"""Sessions and transports that do not show their connections: nothing is bought or dialled twice.

Whatever a session or a transport says, a status line proves that the request left; and where no
answer came, only one that can tell may say that nothing was sent.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from sigmamind_async import APIConnectionError, OutcomeUnknownError, SigmaMind, SpendLimitError
from sigmamind_async import engine as engine_module
from sigmamind_async.events import CallFinished, Event
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response, Verdict
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.responses.verdict import AttemptResult, classify_attempt
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, in_fake_time
from sigmamind_async.transport import HttpRequest
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    breaking_off,
    close_when_read,
    hang,
    reset_when_read,
)
from tests.functional.support import FAST, KEY, NUMBER, client_of, error_of, record

ANY_NUMBER = CreatePhoneNumber(country_code="US")


with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    # aiohttp advises against it, and people do it.

    class Delegating(aiohttp.ClientSession):
        """Hands each request to another session, as proxies and instrumentation do."""

        inner: aiohttp.ClientSession

        async def _request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
            return await self.inner._request(*args, **options)  # noqa: SLF001

    class FallingBack(Delegating):
        """Tries a port where nothing listens first, where our trace can look on."""

        async def _request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
            try:
                return await aiohttp.ClientSession._request(  # noqa: SLF001
                    self, args[0], "http://127.0.0.1:9/", **options
                )
            except aiohttp.ClientConnectorError:
                return await super()._request(*args, **options)


class ElsewhereConnector(aiohttp.TCPConnector):
    """Makes its connections without a word to the traces."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109
        return await super().connect(req, [], timeout)


SESSIONS: dict[str, Callable[[], aiohttp.ClientSession]] = {
    "delegates": Delegating,
    "falls back": FallingBack,
    "connects elsewhere": lambda: aiohttp.ClientSession(connector=ElsewhereConnector()),
}


@pytest.fixture(params=SESSIONS)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[aiohttp.ClientSession]:
    made = SESSIONS[request.param]()
    async with made, aiohttp.ClientSession() as inner:
        if isinstance(made, Delegating):
            made.inner = inner
        yield made


CALLS: dict[str, Callable[[SigmaMind], Coroutine[Any, Any, object]]] = {
    "purchase": lambda client: client.phone_numbers.create(country_code="US"),
    "call": lambda client: client.calls.create(from_phone_number=NUMBER, to_phone_number=NUMBER),
}
ENDS: dict[str, Treatment] = {
    "closed": close_when_read,
    "reset": reset_when_read,
    "silent": hang,
    "garbage": breaking_off(b"\x00\x01\x02\r\n\r\n"),
    "500": answer(500),
    "201 empty": answer(201, b""),
    "201 {}": answer(201, b"{}"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("end", ENDS)
async def test_an_unclear_end_is_not_asked_for_again(
    call: str, end: str, session: aiohttp.ClientSession
) -> None:
    timeout = 0.5 if end == "silent" else 30.0
    async with (
        FaultServer(always(ENDS[end])) as server,
        client_of(server.url, session=session, attempt_timeout=timeout) as client,
    ):
        error = await error_of(CALLS[call](client))
    assert type(error) is OutcomeUnknownError
    assert server.methods["POST"] in ({0, 1} if end == "silent" else {1})
    assert error.committed == ("yes" if end.startswith("201") else "unknown")


class Double:
    """Has the one method that is used, as doubles and wrappers do, and tries twice."""

    def __init__(self, inner: aiohttp.ClientSession) -> None:
        self.inner = inner

    async def request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        try:
            return await self.inner.request(*args, **options)
        except aiohttp.ClientError:
            return await self.inner.request(*args, **options)


@pytest.mark.parametrize("call", CALLS)
async def test_a_session_without_traces_cannot_tell(call: str) -> None:
    """Its second request finds nothing listening, after the first was read."""
    async with FaultServer(always(closing_down)) as server, aiohttp.ClientSession() as inner:
        double: Any = Double(inner)
        error = await error_of(CALLS[call](client_of(server.url, session=double)))
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")
    assert server.methods == {"POST": 1}


async def closing_down(exchange: Exchange) -> None:
    await exchange.read()
    exchange.server.stop_listening()
    exchange.close()


async def test_clients_that_share_a_session_trace_each_request_once() -> None:
    """A trace for each client would be run for every request of all of them."""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            client_of("http://127.0.0.1:9", session=session)
        assert len(session.trace_configs) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_is_taken(call: str, session: aiohttp.ClientSession) -> None:
    body = record(callId="call_1")
    async with (
        FaultServer(always(answer(201, body))) as server,
        client_of(server.url, session=session) as client,
    ):
        await CALLS[call](client)
    assert server.methods == {"POST": 1}


async def test_a_journal_spends_one_number_and_no_second(session: aiohttp.ClientSession) -> None:
    async with (
        FaultServer(always(answer(201, record()))) as server,
        client_of(server.url, session=session) as client,
    ):
        provisioner = Provisioner(client, MemoryJournal(), max_purchases=1)
        bought = await provisioner.run("order-1", ANY_NUMBER)
        with pytest.raises(SpendLimitError):
            await provisioner.run("order-2", ANY_NUMBER)
    assert (bought.sip_phone_number, server.methods) == (NUMBER, {"POST": 1})


async def test_a_lost_answer_leaves_a_journal_in_doubt(session: aiohttp.ClientSession) -> None:
    """It is not sent again, though the row may be: what left may still be carried out."""
    journal = MemoryJournal()
    async with (
        FaultServer(always(close_when_read)) as server,
        client_of(server.url, session=session) as client,
    ):
        slow = in_fake_time(client, FakeClock())
        provisioner = Provisioner(slow, journal, max_purchases=1)
        error = await error_of(provisioner.run("order-1", ANY_NUMBER))
    assert (type(error), server.methods["POST"]) == (OutcomeUnknownError, 1)


async def test_a_cancelled_purchase_may_have_been_made(session: aiohttp.ClientSession) -> None:
    events: list[Event] = []
    async with (
        FaultServer(always(hang)) as server,
        client_of(server.url, session=session, observer=events.append) as client,
    ):
        runner = client.runner
        operation = runner.operation(ANY_NUMBER)
        call = runner.engine.begin(operation)
        task = asyncio.create_task(call.run())
        await server.arrival.wait()
        assert call.may_have_acted
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert call.may_have_acted
    assert isinstance(events[-1], CallFinished)
    assert (events[-1].error, events[-1].committed) == ("CancelledError", "unknown")


async def test_a_plain_session_that_cannot_connect_has_sent_nothing() -> None:
    """The control: where the trace looks on, a refused connection is tried again and safe."""
    server = FaultServer(always(hang))
    async with server:
        pass
    async with (
        aiohttp.ClientSession() as session,
        client_of(server.url, session=session) as client,
    ):
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed, error.attempts) == (APIConnectionError, "no", 3)


# --- transports ------------------------------------------------------------------------------


class Forgetful:
    """A transport, or a double of one, that never touches the mark."""

    def __init__(self, said: Response | Fault) -> None:
        self.said = said
        self.sent = 0

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        self.sent += 1
        return self.said

    async def aclose(self) -> None:
        """Nothing to close."""


class Careless(Forgetful):
    """One that says that it has not connected, and answers all the same."""

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        mark.connected = False
        return await super().send(outgoing, mark, seconds)


def client_over(transport: Any) -> SigmaMind:
    return SigmaMind(KEY, transport=transport, retry=FAST, deadline=10.0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FaultKind)
async def test_a_fault_without_a_mark_is_not_asked_for_again(kind: FaultKind, call: str) -> None:
    """Whatever its kind: "cannot connect" was seen for a request that had been processed."""
    transport = Forgetful(fault(kind))
    error = await error_of(CALLS[call](client_over(transport)))
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")
    assert transport.sent == 1


class Raising(Forgetful):
    """One that raises what it should return, and counts what would be bought."""

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        self.sent += outgoing.method == "POST"
        raise APIConnectionError("it says that nothing was sent")


async def test_an_error_that_a_transport_raises_proves_nothing() -> None:
    transport = Raising(fault())
    error = await error_of(CALLS["purchase"](client_over(transport)))
    assert (type(error), error.committed, transport.sent) == (APIConnectionError, "unknown", 1)


async def test_a_journal_does_not_believe_it_either() -> None:
    """Seen to fail, with a second purchase, where the row asks for finished attempts alone."""
    transport = Raising(fault())
    slow = in_fake_time(client_over(transport), FakeClock())
    provisioner = Provisioner(slow, MemoryJournal(), max_purchases=1)
    for _ in range(2):
        assert type(await error_of(provisioner.run("order-1", ANY_NUMBER))) is OutcomeUnknownError
    assert transport.sent == 1


@pytest.mark.parametrize("kind", [Forgetful, Careless])
@pytest.mark.parametrize("status", [500, 503, 408, 200, 201])
async def test_a_status_line_counts_whatever_the_mark_says(
    kind: type[Forgetful], status: int
) -> None:
    transport = kind(Response(status=status, body=b"{}"))
    error = await error_of(CALLS["purchase"](client_over(transport)))
    assert (type(error), transport.sent) == (OutcomeUnknownError, 1)


@pytest.mark.parametrize("kind", [Forgetful, Careless])
async def test_a_success_counts_whatever_the_mark_says(kind: type[Forgetful]) -> None:
    transport = kind(Response(status=201, body=record()))
    client = client_over(transport)
    runner = client.runner
    operation = runner.operation(ANY_NUMBER)
    call = runner.engine.begin(operation)
    assert (await call.run()).sip_phone_number == NUMBER
    assert (transport.sent, call.may_have_acted) == (1, True)


async def test_if_the_mark_came_first_an_answered_purchase_would_be_sent_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: the guard is that a status line is asked before the mark."""

    def mark_first(answer: Response | Fault, mark: ConnectionFlag, **known: Any) -> AttemptResult:
        if not mark.connected:
            return AttemptResult(answer, Verdict.NOT_SENT)
        return classify_attempt(answer, mark, **known)

    monkeypatch.setattr(engine_module, "classify_attempt", mark_first)
    transport = Careless(Response(status=500, body=b"{}"))
    await error_of(CALLS["purchase"](client_over(transport)))
    assert transport.sent == 3


async def test_a_double_that_says_it_could_not_connect_is_believed() -> None:
    """`ScriptedTransport` tells: its faults of connecting are sent again, like real ones."""
    transport = ScriptedTransport([fault(FaultKind.CONNECT)] * 3)
    error = await error_of(CALLS["purchase"](client_over(transport)))
    assert (type(error), len(transport.sent)) == (APIConnectionError, 3)

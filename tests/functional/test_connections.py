"""What goes over which connection: only what was asked for comes back, and doubt is avoided.

A server that writes on an idle connection, one that closes it, one that never ends its interim
responses; and a client that is closed while a purchase is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.connector import Connection

from sigmamind_async import APIConnectionError, ConfigurationError, OutcomeUnknownError, SigmaMind
from sigmamind_async import client as client_module
from sigmamind_async.transport import connections as connections_module
from sigmamind_async.transport.connections import Connector
from tests.functional.conftest import Certificates, Run
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Script,
    Treatment,
    always,
    answer,
    breaking_off,
    hang,
    on_reuse,
    response,
)
from tests.functional.support import (
    NUMBER,
    ONCE,
    client_of,
    error_of,
    record,
    record_at,
    run_script,
)
from tests.functional.test_fault_matrix import close_when_begun, reset_when_begun

OURS, STRAY = record(friendlyName="ours"), record(friendlyName="stray")


class OtherSession:
    """A session without `_request`. The test was seen to fail where nothing took its place."""

    KIND = aiohttp.ClientSession

    def __init__(self, **settings: Any) -> None:
        self.held = self.KIND(**settings)

    def __getattr__(self, name: str) -> Any:
        if name == "_request":
            raise AttributeError(name)
        return getattr(self.held, name)


async def test_an_aiohttp_without_the_private_method_is_called_by_the_public_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiohttp, "ClientSession", OtherSession)
    async with FaultServer(always(answer(200, OURS))) as server, client_of(server.url) as client:
        assert (await client.phone_numbers.get(NUMBER)).friendly_name == "ours"


async def test_what_replaces_the_private_method_is_asked_at_any_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As what replays responses in tests does. Looked up once, the server got both requests."""
    asked: list[str] = []

    async def replay(_: object, method: str, url: object, **settings: object) -> None:
        asked.append(method)
        raise aiohttp.ClientConnectionError("nothing was recorded")

    async with FaultServer(always(answer(200, OURS))) as server, client_of(server.url) as client:
        await client.phone_numbers.get(NUMBER)
        monkeypatch.setattr(aiohttp.ClientSession, "_request", replay)
        with pytest.raises(APIConnectionError):
            await client.with_options(deadline=0.2).phone_numbers.get(NUMBER)

    assert "GET" in asked


def unguarded(connector: Connector, connection: Connection, protocol: object) -> None:
    """Stand for `Connector._guarded`, and put no guard before a connection."""


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what takes the guard away: aiohttp alone decides then."""
    return lambda: monkeypatch.setattr(Connector, "_guard", unguarded)


CALLS: dict[str, Callable[[SigmaMind], Coroutine[Any, Any, Any]]] = {
    "purchase": lambda client: client.phone_numbers.create(country_code="US"),
    "read": lambda client: client.phone_numbers.get(NUMBER),
    "update": lambda client: client.phone_numbers.update(NUMBER, friendly_name="ours"),
}


# --- what nobody asked for -------------------------------------------------------------------

STRAYS: dict[str, bytes] = {
    "a second answer": response(201, STRAY),
    "half an answer": response(201, STRAY)[:30],
    "an interim response": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a blank line": b"\r\n",
    "garbage": b"\x00\x01\x02",
}


def after_its_answer(stray: bytes) -> Treatment:
    """Answer, and write *stray* when nothing is asked."""

    async def treat(exchange: Exchange) -> None:
        await answer(200, OURS)(exchange)
        await asyncio.sleep(0.02)
        await exchange.write(stray)

    return treat


def with_its_answer(stray: bytes) -> Treatment:
    async def treat(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.write(response(200, OURS) + stray)

    return treat


async def twice(script: Script, call: str, pause: float) -> tuple[list[str | None], int]:
    """Return the labels that two calls came back with, and how many connections they took."""
    async with FaultServer(script) as server, client_of(server.url, retry=ONCE) as client:
        first = await CALLS[call](client)
        await asyncio.sleep(pause)
        second = await CALLS[call](client)
        return [first.friendly_name, second.friendly_name], server.connections


def only_first(treatment: Treatment) -> Script:
    usual = answer(200, OURS)
    return lambda connection, number: treatment if (connection, number) == (1, 1) else usual


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("call", CALLS)
def test_what_comes_on_an_idle_connection_is_nobodys_answer(
    run: Run[tuple[list[str | None], int]], monkeypatch: pytest.MonkeyPatch, call: str, stray: str
) -> None:
    monkeypatch.setattr(connections_module, "FRESH", 60.0)  # that a purchase takes a new one anyway
    script = only_first(after_its_answer(STRAYS[stray]))
    assert run(twice(script, call, 0.2)) == (["ours", "ours"], 2)


@pytest.mark.parametrize("stray", STRAYS)
def test_nor_is_it_over_tls(
    run: Run[tuple[list[str | None], int]],
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    stray: str,
) -> None:
    monkeypatch.setattr(connections_module, "FRESH", 60.0)

    async def main() -> tuple[list[str | None], int]:
        script = only_first(after_its_answer(STRAYS[stray]))
        async with FaultServer(script, ssl=certificates.good) as server:
            options = {"retry": ONCE, "ssl": certificates.trusting}
            async with client_of(server.url, **options) as client:
                first = await CALLS["purchase"](client)
                await asyncio.sleep(0.2)
                second = await CALLS["purchase"](client)
            await server.all_served()
            return [first.friendly_name, second.friendly_name], server.connections

    assert run(main()) == (["ours", "ours"], 2)


@pytest.mark.parametrize("call", CALLS)
def test_what_comes_with_an_answer_is_not_the_next_one(
    run: Run[tuple[list[str | None], int]], call: str
) -> None:
    script = only_first(with_its_answer(response(201, STRAY)))
    assert run(twice(script, call, 0.0)) == (["ours", "ours"], 2)


@pytest.mark.parametrize("call", CALLS)
def test_what_comes_behind_a_long_answer_is_not_the_next_one(
    run: Run[tuple[list[str | None], int]], call: str
) -> None:
    """Its end gives the connection back before anybody has read it; in pieces, and at once."""
    long = record(friendlyName="ours", more=" " * 300_000)

    async def treat(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.write(response(200, long))
        await exchange.write(response(201, STRAY))

    assert run(twice(only_first(treat), call, 0.0))[0] == ["ours", "ours"]


@pytest.mark.parametrize(
    ("announced", "connections"), [(b"Content-Length: 20", 2), (b"Content-Length: 0", 1)]
)
def test_the_body_of_a_response_without_one_is_not_the_next_response(
    run: Run[int], announced: bytes, connections: int
) -> None:
    """Control: where none is announced, the connection is used again."""

    async def treat(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.write(b"HTTP/1.1 204 No Content\r\n" + announced + b"\r\n\r\n")

    async def main() -> int:
        script = only_first(treat)
        async with FaultServer(script) as server, client_of(server.url, retry=ONCE) as client:
            await client.phone_numbers.delete(NUMBER)
            await client.phone_numbers.create(country_code="US")
            return server.connections

    assert run(main()) == connections


@pytest.mark.parametrize("call", CALLS)
def test_without_the_guard_a_stray_answer_is_believed(
    run: Run[tuple[list[str | None], int]], no_guard: Callable[[], None], call: str
) -> None:
    no_guard()
    script = only_first(after_its_answer(STRAYS["a second answer"]))
    assert run(twice(script, call, 0.2)) == (["ours", "stray"], 1)


@pytest.mark.parametrize("guarded", [True, False], ids=["asked", "not asked"])
def test_what_a_busy_loop_has_not_read_yet_is_asked_for(
    run: Run[list[str | None]], monkeypatch: pytest.MonkeyPatch, *, guarded: bool
) -> None:
    """The loop stands still while the stray answer comes; control: nobody asks the system."""
    if not guarded:
        monkeypatch.setattr(connections_module, "BUSY", 60.0)

    def serve(connection: socket.socket, first: bool) -> None:
        connection.recv(1 << 16)
        connection.sendall(response(200, OURS))
        if first:
            time.sleep(0.05)
            connection.sendall(response(200, STRAY))
        connection.recv(1 << 16)
        connection.sendall(response(200, OURS))

    async def main(url: str) -> list[str | None]:
        async with client_of(url, retry=ONCE) as client:
            first = await client.phone_numbers.get(NUMBER)
            time.sleep(0.5)
            second = await client.phone_numbers.get(NUMBER)
            return [first.friendly_name, second.friendly_name]

    with threaded(serve) as url:
        assert run(main(url)) == ["ours", "ours" if guarded else "stray"]


@contextlib.contextmanager
def threaded(serve: Callable[[socket.socket, bool], None]) -> Iterator[str]:
    """Serve each connection in a separate thread, whatever the loop does."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def one(connection: socket.socket, first: bool) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection, first)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=one, args=(connection, not threads)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in threads:
            thread.join()


# --- a connection that the server may just be closing ----------------------------------------


@attrs.frozen
class Came:
    outcome: str
    connections: int


async def after_a_pause(call: str, treatment: Treatment, pause: float = 0.0) -> Came:
    """Make *call* over what a read, and a *pause*, left; *treatment* meets it on that."""
    async with (
        FaultServer(on_reuse(treatment)) as server,
        client_of(server.url) as client,
    ):
        server.script = lambda connection, number: (
            treatment if (connection, number) == (1, 2) else answer(200, OURS)
        )
        await client.phone_numbers.get(NUMBER)
        await asyncio.sleep(pause)
        try:
            await CALLS[call](client)
        except OutcomeUnknownError:
            return Came("unconfirmed", server.connections)
        return Came("done", server.connections)


@pytest.mark.parametrize("treatment", [close_when_begun, reset_when_begun], ids=["closed", "reset"])
@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "any"])
def test_a_purchase_takes_no_connection_that_was_idle(
    run: Run[Came], monkeypatch: pytest.MonkeyPatch, treatment: Treatment, *, fresh: bool
) -> None:
    """The server closes it just then; control: with any connection the purchase is unconfirmed."""
    monkeypatch.setattr(connections_module, "FRESH", 0.01 if fresh else 60.0)
    came = run(after_a_pause("purchase", treatment, pause=0.3))
    assert came == (Came("done", 2) if fresh else Came("unconfirmed", 1))


@pytest.mark.parametrize("call", ["read", "update"])
def test_what_may_be_repeated_takes_the_idle_one(
    run: Run[Came], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A handshake for each costs more than to send it again now and then."""
    monkeypatch.setattr(connections_module, "FRESH", 0.01)
    assert run(after_a_pause(call, answer(200, OURS), pause=0.1)) == Came("done", 1)


def test_a_purchase_right_behind_another_call_shares_its_connection(
    run: Run[Came], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "FRESH", 60.0)  # however long this machine takes
    assert run(after_a_pause("purchase", answer(200, OURS))) == Came("done", 1)


async def after_one_that_was_closed() -> int:
    """Buy three times, the third right behind the second; return how many connections it took.

    The first connection is closed by the server as soon as it has answered, without a word of it.
    """
    treatments = {1: breaking_off(response(200, OURS))}
    async with (
        FaultServer(lambda connection, _: treatments.get(connection, OWN)) as server,
        client_of(server.url) as client,
    ):
        await client.phone_numbers.create(country_code="US")
        await asyncio.sleep(0.01)
        await client.phone_numbers.create(country_code="US")
        await client.phone_numbers.create(country_code="US")
        await client.phone_numbers.get(NUMBER)  # what may be repeated shares one
        return server.connections


OWN = answer(200, OURS)


@pytest.mark.parametrize(("distrust", "connections"), [(60.0, 3), (0.0, 2)])
def test_a_server_that_has_closed_a_busy_connection_gets_purchases_over_new_ones(
    run: Run[int], monkeypatch: pytest.MonkeyPatch, distrust: float, connections: int
) -> None:
    """Its next close may come with a purchase; control: what it did is forgotten at once."""
    monkeypatch.setattr(connections_module, "DISTRUST", distrust)
    monkeypatch.setattr(connections_module, "FRESH", 60.0)  # however long this machine takes
    assert run(after_one_that_was_closed()) == connections


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "not asked"])
def test_an_end_that_a_busy_loop_has_not_read_yet_costs_no_purchase(
    run: Run[str], monkeypatch: pytest.MonkeyPatch, *, asked: bool
) -> None:
    """The server closes right after its answer; control: nobody asks the system for it."""
    monkeypatch.setattr(connections_module, "FRESH", 60.0)
    if not asked:
        monkeypatch.setattr(connections_module, "_poll_of", lambda _: None)

    def serve(connection: socket.socket, _: bool) -> None:
        connection.recv(1 << 16)
        connection.sendall(response(200, OURS))

    async def main(url: str) -> str:
        async with client_of(url, retry=ONCE) as client:
            await client.phone_numbers.create(country_code="US")
            time.sleep(0.2)
            try:
                await client.phone_numbers.create(country_code="US")
            except OutcomeUnknownError:
                return "unconfirmed"
            return "done"

    with threaded(serve) as url:
        assert run(main(url)) == ("done" if asked else "unconfirmed")


# --- interim responses without end -----------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def pour(connection: socket.socket, first: bool) -> None:
    connection.recv(1 << 16)
    while True:
        connection.sendall(CONTINUE * 10_000)


@pytest.mark.parametrize("head", [CONTINUE, b"HTTP/1.1 103 Early Hints\nLink: </a>\n\n"])
def test_interim_responses_without_end_are_ended(run: Run[Any], head: bytes) -> None:
    """By their number, and long before the attempt's time is up."""

    def pour(connection: socket.socket, first: bool) -> None:
        connection.recv(1 << 16)
        while True:
            connection.sendall(head * 10_000)

    async def main(url: str) -> Any:
        async with client_of(url, deadline=60.0, attempt_timeout=60.0) as client:
            return await error_of(client.phone_numbers.create(country_code="US"))

    with threaded(pour) as url:
        error = run(main(url))
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")
    assert "interim responses" in str(error)
    assert error.elapsed < 30.0


def test_without_the_guard_they_end_with_the_time(
    run: Run[Any], no_guard: Callable[[], None]
) -> None:
    """Some time after it, on uvloop."""
    no_guard()

    async def main(url: str) -> Any:
        async with client_of(url, deadline=0.5) as client:
            return await error_of(client.phone_numbers.create(country_code="US"))

    with threaded(pour) as url:
        error = run(main(url))
    assert "interim responses" not in str(error)
    assert error.elapsed > 0.5


def test_a_few_interim_responses_are_waited_through(run: Run[int]) -> None:
    async def slowly(exchange: Exchange) -> None:
        await exchange.read()
        for _ in range(20):
            await exchange.write(CONTINUE)
            await asyncio.sleep(0.001)
        await exchange.write(response(200, OURS))

    async def main() -> int:
        async with FaultServer(always(slowly)) as server, client_of(server.url) as client:
            for _ in range(5):  # each with a count of its own
                await client.phone_numbers.create(country_code="US")
            return server.methods["POST"]

    assert run(main()) == 5


def test_a_body_may_hold_what_looks_like_heads(run: Run[Any]) -> None:
    """JSON has no line that begins with one: line breaks in its texts are escaped."""
    label = "HTTP/1.1 100 Continue\n" * 500

    async def in_pieces(exchange: Exchange) -> None:
        await exchange.read()
        raw = response(200, record(friendlyName=label))
        for start in range(0, len(raw), 4_000):
            await exchange.write(raw[start : start + 4_000])
            await asyncio.sleep(0)

    async def main() -> Any:
        async with FaultServer(always(in_pieces)) as server, client_of(server.url) as client:
            return await client.phone_numbers.get(NUMBER)

    assert run(main()).friendly_name == label


# --- closing ---------------------------------------------------------------------------------


def slow(seconds: float) -> Treatment:
    async def treat(exchange: Exchange) -> None:
        await exchange.read()
        await asyncio.sleep(seconds)
        await exchange.write(response(201, OURS))

    return treat


@pytest.mark.parametrize("grace", [-1.0, math.nan, "2", True])
def test_a_grace_that_is_no_time_cuts_nothing_off(run: Run[bool], grace: Any) -> None:
    """Whatever else is wrong, the purchase goes on."""

    async def main() -> bool:
        async with FaultServer(always(slow(0.1))) as server, client_of(server.url) as client:
            buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
            await server.arrival.wait()
            with pytest.raises(ConfigurationError, match="grace"):
                await client.close(grace=grace)
            return bool(await buying)

    assert run(main())


@pytest.mark.parametrize("grace", [None, 20.0])
def test_closing_waits_for_a_purchase_under_way(run: Run[bool], grace: float | None) -> None:
    async def main() -> bool:
        async with FaultServer(always(slow(0.2))) as server:
            client = client_of(server.url)
            buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
            await server.arrival.wait()
            await client.close(grace=grace)
            return buying.done() and buying.result().friendly_name == "ours"

    assert run(main())


def test_the_end_of_the_block_waits_for_a_purchase_under_way(run: Run[bool]) -> None:
    async def main() -> bool:
        async with FaultServer(always(slow(0.2))) as server:
            async with client_of(server.url) as client:
                buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
                await server.arrival.wait()
            return buying.done() and buying.result().friendly_name == "ours"

    assert run(main())


def test_a_session_of_the_callers_is_not_closed_under_a_purchase(run: Run[bool]) -> None:
    """The caller closes it, right behind the client's block as a rule."""

    async def main() -> bool:
        async with FaultServer(always(slow(0.2))) as server:
            async with (
                aiohttp.ClientSession() as session,
                client_of(server.url, session=session) as client,
            ):
                buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
                await server.arrival.wait()
            return buying.done() and buying.result().friendly_name == "ours"

    assert run(main())


def test_without_grace_a_purchase_under_way_is_in_doubt(run: Run[None]) -> None:
    async def main() -> None:
        async with FaultServer(always(slow(0.2))) as server:
            client = client_of(server.url)
            buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
            await server.arrival.wait()
            await client.close(grace=0)
            assert isinstance(await error_of(buying), OutcomeUnknownError)

    run(main())


@pytest.mark.parametrize("leaving", ["grace", "error", "cancelled"])
def test_closing_does_not_wait_for_ever(
    run: Run[None], monkeypatch: pytest.MonkeyPatch, leaving: str
) -> None:
    """What never ends is cut off when the grace is over; an error leaves sooner than that."""
    monkeypatch.setattr(client_module, "_GRACE_AFTER_ERROR", 0.05)

    async def block(server: FaultServer, buying: list[asyncio.Task[Any]]) -> None:
        async with client_of(server.url, attempt_timeout=300.0, deadline=300.0) as client:
            buying.append(asyncio.create_task(client.phone_numbers.create(country_code="US")))
            await server.arrival.wait()
            if leaving == "grace":
                await client.close(grace=0.05)
            if leaving == "error":
                raise ZeroDivisionError
            if leaving == "cancelled":
                await asyncio.sleep(3_600)

    async def main() -> None:
        buying: list[asyncio.Task[Any]] = []
        async with FaultServer(always(hang)) as server:
            leaver = asyncio.create_task(block(server, buying))
            await server.arrival.wait()
            await asyncio.sleep(0.01)
            if leaving == "cancelled":
                leaver.cancel()
            await asyncio.wait([leaver], timeout=30.0)
            assert leaver.done()
            assert isinstance(await error_of(buying[0]), OutcomeUnknownError)
        with contextlib.suppress(ZeroDivisionError, asyncio.CancelledError):
            await leaver

    run(main())


def test_a_call_that_is_made_meanwhile_has_a_connection_of_its_own(run: Run[int]) -> None:
    """And one that is made later opens another; each is closed in turn, as warnings would say."""

    async def main() -> int:
        script: Script = lambda connection, _: slow(0.3) if connection == 1 else answer(200, OURS)  # noqa: E731
        async with FaultServer(script) as server:
            client = client_of(server.url)
            buying = asyncio.create_task(client.phone_numbers.create(country_code="US"))
            await server.arrival.wait()
            closing = asyncio.create_task(client.close())
            await asyncio.sleep(0)
            await client.phone_numbers.get(NUMBER)
            assert not closing.done()
            await closing
            await buying
            await client.phone_numbers.get(NUMBER)  # over the second one: it was not closed
            await client.close()
            await client.phone_numbers.get(NUMBER)
            await client.close()
            return server.connections

    assert run(main()) == 3


# --- no descriptor left ----------------------------------------------------------------------

EXHAUSTED = """
import asyncio, logging, os, resource, sys
from sigmamind_async import SigmaMind, SigmaMindError

logging.disable()  # the resolver complains
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
client = SigmaMind("key", base_url=sys.argv[1])
CALLS = {
    "purchase": lambda: client.phone_numbers.create(country_code="US"),
    "read": lambda: client.phone_numbers.get("+14155550100"),
    "release": lambda: client.phone_numbers.delete("+14155550100"),
}

async def main():
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        await CALLS[sys.argv[3]]()
    except SigmaMindError as error:
        print(type(error).__name__, error.committed, type(error.__cause__).__name__)
        print(error)
    for descriptor in held:
        os.close(descriptor)
    await CALLS[sys.argv[3]]()
    await client.close()

if sys.argv[2] == "uvloop":
    import uvloop
    new_event_loop = uvloop.new_event_loop
else:
    new_event_loop = asyncio.new_event_loop
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("call", ["purchase", "read", "release"])
async def test_without_a_descriptor_nothing_is_sent(call: str, loop_kind: str) -> None:
    """Not by the first call of a process either, which has modules to load."""
    async with FaultServer(always(answer(200, OURS))) as server:
        printed = await run_script(EXHAUSTED, server.url, loop_kind, call, strict=False)
    kind, message = printed.splitlines()
    assert kind == "APIConnectionError no OSError"
    assert "Too many open files" in message
    assert message.endswith("nothing was sent")
    assert len(server.received) == 1


A_JOB_THAT_RUNS_OUT = """
import asyncio, logging, os, resource, sys
from collections import Counter
from sigmamind_async import SigmaMind

logging.disable()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

async def main():
    async with SigmaMind("key", base_url=sys.argv[1], max_connections=20) as client:
        numbers = [f"+1415555{n:04}" for n in range(100)]
        await client.phone_numbers.get(numbers[0])
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        job = asyncio.create_task(client.phone_numbers.update_many(numbers, friendly_name="x"))
        await asyncio.sleep(1.0)
        for descriptor in held:
            os.close(descriptor)
        result = await job
        print(dict(Counter(outcome.status for outcome in result.outcomes)))
        print(max(outcome.attempts for outcome in result.outcomes) > 1)

asyncio.run(main())
"""


async def test_a_job_waits_until_there_are_descriptors_again() -> None:
    """Its rows fail where they cannot be repeated before the module for that could be read."""

    async def treat(exchange: Exchange) -> None:
        request = await exchange.read()
        await asyncio.sleep(0.05)  # so that one connection does not do for all
        await exchange.write(response(200, record_at(request.path)))

    async with FaultServer(always(treat)) as server:
        printed = await run_script(A_JOB_THAT_RUNS_OUT, server.url, strict=False)
    assert printed.splitlines() == ["{'done': 100}", "True"]

"""What is raised holds neither the key nor the trunk's password, in any frame or context.

`error_of` looks for both in every error of this suite. Here are the ways to fail that a call with a
password has, the cancelled ones included, and proof that the search would find something.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Mapping

import aiohttp
import pytest

import sigmamind_async.transport as transport_module
import sigmamind_async.transport.aiohttp_transport as sender_module
from sigmamind_async import Gate, SigmaMindError
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.operation import ConnectionFlag, Fault, Response
from sigmamind_async.platforms.sigmamind import ImportPhoneNumber, UpdatePhoneNumber
from sigmamind_async.transport import AiohttpTransport, HttpRequest
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    breaking_off,
    close_when_read,
    hang,
    reset_at_once,
    reset_when_read,
    response,
)
from tests.functional.support import KEY, NUMBER, PASSWORD, client_of, error_of, leaks
from tests.harness.ports import closed_port

VALUES = {
    "import": ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD),
    "update": UpdatePhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD),
}


def echo(status: int) -> Treatment:
    """Answer with the whole request, as some debug pages do."""

    async def treat(exchange: Exchange) -> None:
        request = await exchange.read()
        said = f"{request.headers} {request.body.decode()}".encode()
        await exchange.write(response(status, said))

    return treat


FAULTS: dict[str, Treatment] = {
    "closed": close_when_read,
    "reset": reset_when_read,
    "reset at once": reset_at_once,
    "silent": hang,
    "garbage": breaking_off(b"\x00\x01\r\n\r\n"),
    "cut": breaking_off(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"),
    "unreadable": answer(201, b"<html>"),
    "wrong type": answer(201, b'{"active": "yes"}'),
    "too large": answer(201, b" " * (5 << 20)),
    "moved": answer(307, Location="https://elsewhere.example"),
    "throttled": answer(429, Retry_After="100"),
    **{f"echo of {status}": echo(status) for status in (200, 400, 401, 409, 422, 500)},
}


@pytest.mark.parametrize("call", VALUES)
@pytest.mark.parametrize("name", FAULTS)
async def test_no_error_carries_a_secret(name: str, call: str) -> None:
    """Nor does its copy or its pickle."""
    async with (
        FaultServer(always(FAULTS[name])) as server,
        client_of(server.url, attempt_timeout=0.1) as client,
    ):
        error = await error_of(client.run(VALUES[call]))
    assert isinstance(error, SigmaMindError)
    for twin in (copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert leaks(twin) == []
        assert vars(twin) == vars(error)


async def test_nothing_is_carried_by_a_refused_connection() -> None:
    async with client_of(f"http://127.0.0.1:{closed_port()}") as client:
        await error_of(client.run(VALUES["import"]))


async def test_nothing_is_carried_by_the_methods_of_the_client() -> None:
    """A password that was given as plain text is in no frame of ours."""
    async with FaultServer(always(answer(400))) as server, client_of(server.url) as client:
        numbers = client.phone_numbers
        await error_of(numbers.import_(NUMBER, trunk_password=PASSWORD))
        await error_of(numbers.update(NUMBER, trunk_password=PASSWORD))
        result = await numbers.update_many([NUMBER], trunk_password=PASSWORD)
    (failed,) = result.failed
    assert failed.error is not None
    assert leaks(failed.error) == []


async def test_nothing_is_carried_by_the_gate() -> None:
    gate = Gate(admission=Admission(failures_to_open=1, probe_every=60.0))
    async with (
        FaultServer(always(close_when_read)) as server,
        client_of(server.url, gate=gate) as client,
    ):
        await error_of(client.run(VALUES["import"]))
        error = await error_of(client.run(VALUES["import"]))
    assert type(error).__name__ == "CircuitOpenError"


@pytest.mark.parametrize("turns", [1, 3, 5, 8, 12, 20, 30])
async def test_nothing_is_carried_by_a_cancellation(turns: int) -> None:
    async with FaultServer(always(hang)) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.run(VALUES["import"]))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        assert isinstance(await error_of(task), asyncio.CancelledError)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "as it comes"])
async def test_nothing_is_carried_by_an_interruption(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], *, bare: bool
) -> None:
    """It is raised wherever the signal comes, here as headers are written; control: untouched."""

    def interrupted(status_line: str, headers: Mapping[str, str]) -> bytes:
        raise kind

    if not bare:
        monkeypatch.setattr(sender_module, "_strip", lambda _: None)
    async with FaultServer(always(answer(200))) as server, client_of(server.url) as client:
        await client.phone_numbers.delete(NUMBER)
        monkeypatch.setattr(aiohttp.http_writer, "_serialize_headers", interrupted)
        with pytest.raises(kind) as caught:
            await client.run(VALUES["import"])
        monkeypatch.undo()
    assert (leaks(caught.value) == []) is bare


async def test_nothing_is_carried_by_a_timeout_of_the_caller() -> None:
    """`asyncio.timeout` raises its own error, whose cause is the cancellation."""
    async with FaultServer(always(hang)) as server, client_of(server.url) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await client.run(VALUES["import"])
    cancelled = caught.value.__cause__
    assert isinstance(cancelled, asyncio.CancelledError)
    assert leaks(cancelled) == []


# --- the search finds what is there ----------------------------------------------------------


async def _plain(url: str) -> None:
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}, raise_for_status=True) as session:
        await session.post(url, json={"trunkPassword": PASSWORD})


@pytest.mark.parametrize("treatment", [answer(500), close_when_read, breaking_off(b"\x00\r\n\r\n")])
async def test_an_exception_of_aiohttp_carries_the_key(treatment: Treatment) -> None:
    async with FaultServer(always(treatment)) as server:
        with pytest.raises(aiohttp.ClientError) as caught:
            await _plain(server.url)
    assert leaks(caught.value) != []


async def test_an_exception_that_kept_its_origin_would_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With errors let through as they are raised, the search fails."""

    async def send(
        transport: AiohttpTransport, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        session = transport._own.get()  # noqa: SLF001
        await session.open()
        attempt = session.attempts.begin(outgoing, mark, seconds)
        try:
            await session.request(attempt)
        finally:
            session.attempts.end(attempt)
        raise AssertionError

    monkeypatch.setattr(transport_module.AiohttpTransport, "send", send)
    garbage = breaking_off(b"\x00\x01\r\n\r\n")
    async with FaultServer(always(garbage)) as server, client_of(server.url) as client:
        with pytest.raises(aiohttp.ClientError) as caught:
            await client.run(VALUES["import"])
    assert {"repr", "args"}.issubset(leaks(caught.value))


async def test_a_cancellation_that_kept_its_frames_would_be_found() -> None:
    async with FaultServer(always(hang)) as server:
        task = asyncio.create_task(_plain(server.url))
        await server.arrival.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    assert leaks(caught.value) != []

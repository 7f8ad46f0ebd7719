"""The sandbox as a server: key, paths, limits, closing, refusing, threads."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from multiprocessing import get_context

import aiohttp
import pytest

from sigmamind_async.sandbox import (
    Fault,
    Faults,
    RateLimit,
    Sandbox,
    SandboxThread,
    serve,
)
from sigmamind_async.sandbox.sigmamind import SigmaMindApi
from sigmamind_async.sandbox.tower import Call, Outcome

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]

NUMBERS = "/v1/phone-numbers"
BODY = {"countryCode": "US"}


def port_of(box: Sandbox) -> int:
    return int(box.sigmamind.base_url.rpartition(":")[2])


def status_of(port: int, api_key: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", NUMBERS, headers={"X-API-Key": api_key})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("key", ["", "wrong", "Bearer sandbox"])
@pytest.mark.parametrize("path", [NUMBERS, "/v1/unknown"])
async def test_every_request_needs_the_key(send: Send, key: str, path: str) -> None:
    response = await send("GET", path, headers={"X-API-Key": key})
    assert response.status == 401
    assert (await response.json())["error"] == "Unauthorized"


async def test_the_key_can_be_rotated(box: Sandbox, send: Send) -> None:
    old = {"X-API-Key": box.sigmamind.api_key}
    box.sigmamind.api_key = "sandbox-new"
    assert (await send("GET", NUMBERS, headers=old)).status == 401
    assert (await send("GET", NUMBERS)).status == 200


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/phone-numbers", NUMBERS + "/", "/v1/calls/a/b"])
async def test_an_unknown_path_is_not_found(send: Send, path: str) -> None:
    assert (await send("GET", path)).status == 404


async def test_another_method_is_not_allowed(send: Send) -> None:
    response = await send("PUT", NUMBERS)
    assert (response.status, response.headers["Allow"]) == (405, "POST, GET")


async def test_requests_are_counted(box: Sandbox, send: Send) -> None:
    await send("POST", NUMBERS, json=BODY)
    await send("GET", "/v1/unknown")
    box.script("list", [Fault.STATUS_500_BEFORE_COMMIT])
    await send("GET", NUMBERS)
    requests = box.sigmamind.requests
    assert requests.total == 3
    assert requests.by_operation == {"create": 1, "none": 1, "list": 1}
    assert requests.by_status == {201: 1, 404: 1, 500: 1}


async def test_a_limit_turns_away_without_committing(box: Sandbox, send: Send) -> None:
    box.rate_limit = RateLimit(window=(2, 60.0), headers=True)
    responses = [await send("POST", NUMBERS, json=BODY) for _ in range(5)]
    assert [response.status for response in responses] == [201, 201, 429, 429, 429]
    assert [r.headers["X-RateLimit-Remaining"] for r in responses] == ["1", "0", "0", "0", "0"]
    assert responses[4].headers["Retry-After"] == "60"
    assert box.sigmamind.requests.by_status[429] == 3
    assert len(box.ledger) == 2


async def test_a_limit_can_answer_503_and_be_changed(box: Sandbox, send: Send) -> None:
    box.rate_limit = RateLimit(window=(1, 60.0), status=503, retry_after=None)
    await send("GET", NUMBERS)
    response = await send("GET", NUMBERS)
    assert (response.status, response.headers.get("Retry-After")) == (503, None)
    box.rate_limit = None
    assert (await send("GET", NUMBERS)).status == 200


async def test_latency_is_kept_between_its_bounds(box: Sandbox, send: Send) -> None:
    box.latency = (0.02, 0.03)
    assert all(0.02 <= box.latency_of("get", count) <= 0.03 for count in range(100))
    begun = time.monotonic()
    await send("GET", NUMBERS)
    assert time.monotonic() - begun >= 0.02


async def test_a_refusing_sandbox_has_no_open_port(box: Sandbox, send: Send) -> None:
    """Idle connections end too, so that a pooled one does not slip through."""
    await send("GET", NUMBERS)
    box.refuse(0.1)
    for _ in range(3):
        with pytest.raises(aiohttp.ClientConnectorError):
            await send("GET", NUMBERS)
        await asyncio.sleep(0)
    for _ in range(500):
        await asyncio.sleep(0.01)
        with contextlib.suppress(aiohttp.ClientConnectorError):
            assert (await send("GET", NUMBERS)).status == 200
            return
    pytest.fail("the port stayed closed")


async def test_refusing_again_starts_the_time_anew_and_closing_ends_it(box: Sandbox) -> None:
    port = port_of(box)
    box.refuse(0.0)
    box.refuse(60.0)
    await asyncio.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_closing_is_quick_whatever_hangs() -> None:
    async with Sandbox(faults=Faults(hang=60.0, late=60.0)) as box:
        box.script("create", [Fault.HANG_AFTER_COMMIT, Fault.LATE_COMMIT, Fault.SLOW_BODY])
        url, headers = box.sigmamind.base_url, {"X-API-Key": box.sigmamind.api_key}
        async with aiohttp.ClientSession(url, headers=headers) as session:
            sent = [asyncio.create_task(session.post(NUMBERS, json=BODY)) for _ in range(3)]
            for _ in range(10_000):
                await asyncio.sleep(0)
                if box.sigmamind.requests.by_fault.total() == 3:
                    break
            begun = time.monotonic()
            await box.__aexit__(None, None, None)
            assert time.monotonic() - begun < 1.0
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, aiohttp.ClientResponse):
                result.close()
        assert box.sigmamind.in_flight == 0
        assert len(box.ledger) == 2, "a late commit that was due after the end is not made"


async def test_nothing_is_left_after_closing() -> None:
    before = asyncio.all_tasks()
    async with Sandbox() as box:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(box))
    assert asyncio.all_tasks() == before
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port_of(box))


async def test_a_port_in_use_is_an_error(box: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Sandbox(port=port_of(box)):
            pass


async def test_many_requests_at_once_are_all_committed(box: Sandbox, send: Send) -> None:
    await asyncio.gather(
        *(send("POST", NUMBERS, json={**BODY, "friendlyName": f"o-{n}"}) for n in range(300)),
    )
    assert len(set(box.ledger.owned())) == 300
    assert "FAULT" not in box.ledger.verdict(f"o-{number}" for number in range(300))


async def test_a_failure_of_the_sandbox_itself_is_a_500_without_the_request(
    box: Sandbox,
    send: Send,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(SigmaMindApi):
        def process(self, call: Call) -> Outcome:
            raise RuntimeError("planted")

    box.sigmamind.tower = Failing(1)
    response = await send("POST", NUMBERS, json={**BODY, "friendlyName": "canary"})
    assert response.status == 500
    assert "planted" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nX-API-Key: a\x00b\r\n\r\n"]
)
async def test_a_request_that_is_not_http_is_refused_and_not_logged(
    box: Sandbox,
    caplog: pytest.LogCaptureFixture,
    junk: bytes,
) -> None:
    caplog.set_level(logging.DEBUG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(box))
    writer.write(junk)
    assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert "aiohttp" not in caplog.text


def test_a_thread_serves_those_without_a_loop() -> None:
    with SandboxThread(seed=3) as box:
        assert status_of(port_of(box), box.sigmamind.api_key) == 200
        assert box.sigmamind.requests.total == 1
        box.switches = box.switches
        box.reset()
        assert box.sigmamind.requests.total == 0
    assert "sandbox" not in [thread.name for thread in threading.enumerate()]


def test_a_thread_runs_coroutines_and_refuses() -> None:
    thread = SandboxThread()
    with thread as box:
        thread.run(box.settled())
        box.refuse(30.0)
        with pytest.raises(ConnectionRefusedError):
            status_of(port_of(box), box.sigmamind.api_key)


def test_a_thread_that_cannot_listen_says_so() -> None:
    with (
        SandboxThread() as box,
        pytest.raises(OSError, match="in use"),
        SandboxThread(port=port_of(box)),
    ):
        pass


def test_other_processes_are_served() -> None:
    with SandboxThread() as box, get_context("spawn").Pool(2) as pool:
        arguments = [(port_of(box), box.sigmamind.api_key)] * 4
        assert pool.starmap(status_of, arguments) == [200] * 4
        assert box.sigmamind.requests.total == 4


async def test_serving_lasts_until_cancelled() -> None:
    ready: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(Sandbox(), ready=ready.set_result))
    box = await ready
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(box))
    writer.close()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reader.read() == b""


def test_a_closed_sandbox_refuses_nothing() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Sandbox().refuse(1.0)

"""The sandbox as a server: key, paths, limits, closing, refusing, threads."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from http.client import HTTPConnection
from multiprocessing import get_context
from typing import Literal

import aiohttp
import pytest

from sigmamind_async.sandbox import Fault, Faults, RateLimit, Sandbox, SandboxThread
from sigmamind_async.sandbox.messages import ApiRequest, Outcome
from tests.sandbox.support import DIALNEXA, SIGMAMIND, VERBEX, Send, Vendor, every_vendor

NUMBERS = SIGMAMIND.numbers
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
@pytest.mark.parametrize("path", [None, "/v1/unknown"])
@every_vendor
async def test_every_request_needs_the_key(
    vendor: Vendor,
    send: Send,
    key: str,
    path: str | None,
) -> None:
    response = await send("GET", path or vendor.numbers, headers=vendor.headers(key))
    assert response.status == 401
    assert (await response.json())[vendor.error_message] == "API key is missing or invalid"


async def test_each_platform_has_a_key_of_its_own(box: Sandbox) -> None:
    keys = {endpoint.api_key for endpoint in box.endpoints}
    assert len(keys) == 3
    key_id, _, secret = box.dialnexa.api_key.partition(":")
    assert key_id
    assert secret


@every_vendor
async def test_the_key_can_be_rotated(box: Sandbox, vendor: Vendor, send: Send) -> None:
    old = vendor.headers(vendor.endpoint(box).api_key)
    vendor.endpoint(box).api_key = "sandbox-new"
    assert (await send("GET", vendor.numbers, headers=old)).status == 401
    assert (await send("GET", vendor.numbers)).status == 200


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/phone-numbers", "/v1/calls/a/b", "/v1/x/"])
@every_vendor
async def test_an_unknown_path_is_not_found(vendor: Vendor, send: Send, path: str) -> None:
    response = await send("GET", path)
    assert response.status == 404
    assert (await response.json())[vendor.error_message]


@pytest.mark.parametrize(
    ("vendor", "status", "allow"),
    [(SIGMAMIND, 405, "POST, GET, HEAD"), (VERBEX, 405, "POST, GET"), (DIALNEXA, 404, None)],
    ids=repr,
)
async def test_another_method_is_not_allowed(
    vendor: Vendor,
    send: Send,
    status: int,
    allow: str | None,
) -> None:
    response = await send("PUT", vendor.numbers)
    assert (response.status, response.headers.get("Allow")) == (status, allow)


@pytest.mark.parametrize(
    ("vendor", "status"), [(SIGMAMIND, 200), (VERBEX, 405), (DIALNEXA, 200)], ids=repr
)
async def test_head_is_a_get_without_a_body_where_the_framework_has_it(
    vendor: Vendor, send: Send, status: int
) -> None:
    """Spring and NestJS do; FastAPI does not."""
    got = await send("GET", vendor.numbers)
    response = await send("HEAD", vendor.numbers)

    assert (response.status, await response.read()) == (status, b"")
    if status == 200:
        assert response.headers["Content-Length"] == got.headers["Content-Length"]
    assert (await send("HEAD", f"{vendor.numbers}/unknown")).status in {400, 404, 405}
    assert (await send("HEAD", "/openapi.json")).status == 200


@pytest.mark.parametrize(
    ("scheme", "status"),
    [("bearer ", 200), ("BEARER  ", 200), ("Bearer", 401), ("Basic ", 401), ("", 401)],
)
@pytest.mark.parametrize("vendor", [VERBEX, DIALNEXA], ids=repr)
async def test_the_scheme_of_a_key_is_in_any_case(
    box: Sandbox, vendor: Vendor, send: Send, scheme: str, status: int
) -> None:
    # https://www.rfc-editor.org/rfc/rfc9110#section-11.1
    headers = {"Authorization": scheme + vendor.endpoint(box).api_key}
    assert (await send("GET", vendor.numbers, headers=headers)).status == status


@every_vendor
async def test_requests_are_counted(box: Sandbox, vendor: Vendor, send: Send) -> None:
    operation, path = vendor.purchase
    await send("POST", path, json=vendor.order())
    await send("GET", "/v1/unknown")
    box.script("list", [Fault.STATUS_500_BEFORE_COMMIT], platform=vendor.name)
    await send("GET", vendor.numbers)
    requests = vendor.endpoint(box).requests
    assert requests.total == 3
    assert requests.by_operation == {operation: 1, "none": 1, "list": 1}
    assert requests.by_status == {201: 1, 404: 1, 500: 1}


@every_vendor
async def test_a_limit_turns_away_without_committing(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    box.rate_limit = RateLimit(window=(2, 60.0), headers=True)
    path = vendor.purchase[1]
    responses = [await send("POST", path, json=vendor.order(number)) for number in range(5)]
    assert [response.status for response in responses] == [201, 201, 429, 429, 429]
    assert [r.headers["X-RateLimit-Remaining"] for r in responses] == ["1", "0", "0", "0", "0"]
    assert responses[4].headers["Retry-After"] == "60"
    assert vendor.endpoint(box).requests.by_status[429] == 3
    assert len(box.ledger) == 2


@pytest.mark.parametrize("counts", ["seconds", "epoch"])
@every_vendor
async def test_the_reset_of_a_limit_counts_seconds_or_is_a_time(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
    counts: Literal["seconds", "epoch"],
) -> None:
    box.rate_limit = RateLimit(window=(150, 60.0), headers=True, reset=counts)
    response = await send("GET", vendor.numbers)
    assert response.headers["X-RateLimit-Limit"] == "150"
    begun = 0.0 if counts == "seconds" else time.time()
    assert 50 <= int(response.headers["X-RateLimit-Reset"]) - begun <= 61


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
    box.refuse(60.0)
    for _ in range(3):
        with pytest.raises(aiohttp.ClientConnectorError):
            await send("GET", NUMBERS)
        await asyncio.sleep(0)
    box.refuse(0.01)
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


async def ended(peers: list[socket.socket]) -> None:
    for peer in peers:
        peer.setblocking(False)
        with contextlib.suppress(ConnectionResetError):
            received = asyncio.get_running_loop().sock_recv(peer, 1)
            assert await asyncio.wait_for(received, 5.0) == b""


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("end", ["refuse", "close"])
async def test_a_connection_that_is_being_accepted_is_closed(end: str, turns: int) -> None:
    """Whatever turn of the loop it has come to when the port closes.

    As a control, `Listener._stop` closed the server at once: after two turns the connections were
    lost unclosed, after three they outlived the port, and at once they outlived the sandbox.
    """
    with contextlib.ExitStack() as stack:
        async with Sandbox() as box:
            address = ("127.0.0.1", port_of(box))
            peers = [stack.enter_context(socket.create_connection(address)) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            if end == "refuse":
                box.refuse(60.0)
                await ended(peers)
        await ended(peers)


async def test_closing_is_quick_whatever_hangs() -> None:
    async with Sandbox(faults=Faults(hang=60.0, late=60.0)) as box:
        box.sigmamind.script(
            "create", [Fault.HANG_AFTER_COMMIT, Fault.LATE_COMMIT, Fault.SLOW_BODY]
        )
        url, headers = box.sigmamind.base_url, {"X-API-Key": box.sigmamind.api_key}
        async with aiohttp.ClientSession(url, headers=headers) as session:
            sent = [asyncio.create_task(session.post(NUMBERS, json=BODY)) for _ in range(3)]
            for _ in range(10_000):
                await asyncio.sleep(0)
                if box.sigmamind.requests.by_fault.total() == 3:
                    break
            begun = time.monotonic()
            await box.__aexit__(None, None, None)
            assert time.monotonic() - begun < 30.0
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


async def test_platforms_have_ports_that_follow_each_other(box: Sandbox) -> None:
    first = port_of(box)
    for port in range(first + 10, first + 1_000, 10):
        with contextlib.suppress(OSError):
            async with Sandbox(port=port) as other:
                ports = [int(e.base_url.rpartition(":")[2]) for e in other.endpoints]
            assert ports == [port, port + 1, port + 2]
            return
    pytest.fail("no three ports in a row were free")


def test_a_port_without_two_after_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="from 0 to 65533"):
        Sandbox(port=65_534)


async def test_a_port_in_use_is_an_error(box: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Sandbox(port=port_of(box)):
            pass


@every_vendor
async def test_many_requests_at_once_are_all_committed(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    path = vendor.purchase[1]
    orders = [vendor.order(number, f"o-{number}") for number in range(200)]
    await asyncio.gather(*(send("POST", path, json=order) for order in orders))
    assert len(set(box.ledger.owned(vendor.name))) == 200
    labels = [f"o-{number}" for number in range(200)] if vendor.labels_purchases else []
    assert "FAULT" not in box.ledger.verdict(labels)


@every_vendor
async def test_a_failure_of_the_sandbox_itself_is_a_500_without_the_request(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(call: ApiRequest) -> Outcome:
        raise RuntimeError("planted")

    monkeypatch.setattr(vendor.endpoint(box).backend, "process", fail)
    response = await send("POST", vendor.bring[1], json=vendor.trunk(secret="canary"))
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


async def test_closing_ends_what_is_connected() -> None:
    async with Sandbox() as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(box))
    assert await reader.read() == b""
    writer.close()


def test_a_thread_refuses() -> None:
    with SandboxThread() as box:
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


def test_a_closed_sandbox_refuses_nothing() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Sandbox().refuse(1.0)


def call_late(box: Sandbox, fault: Fault) -> None:
    """Order a number whose answer does not come."""
    box.sigmamind.script("create", [fault])
    connection = HTTPConnection("127.0.0.1", port_of(box), timeout=60)
    headers = {"X-API-Key": box.sigmamind.api_key, "Content-Type": "application/json"}
    connection.request("POST", NUMBERS, b'{"countryCode":"US"}', headers)
    if fault is Fault.LATE_COMMIT:
        with contextlib.suppress(ConnectionError):
            connection.getresponse()
    connection.close()


@pytest.mark.parametrize("fault", [Fault.LATE_COMMIT, Fault.HANG_AFTER_COMMIT])
def test_what_is_on_its_way_is_waited_for_from_any_thread(fault: Fault) -> None:
    """A late commit, and no answer that hangs: this one would for an hour."""
    with SandboxThread(faults=Faults(late=0.2, hang=3600.0)) as box:
        for wait in (box.wait_settled, lambda: asyncio.run(box.settled())):
            before = len(box.ledger)
            call_late(box, fault)
            while box.sigmamind.requests.by_fault[fault.value] == before:
                time.sleep(0.001)
            wait()
            assert len(box.ledger) == before + 1


async def test_only_another_thread_is_waited_for(box: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="await settled"):
        box.wait_settled()
    with pytest.raises(RuntimeError, match="await settled"):
        Sandbox().wait_settled()


async def test_a_sandbox_is_opened_once() -> None:
    async with Sandbox() as box:
        with pytest.raises(RuntimeError, match="opened before"):
            await box.__aenter__()
    with pytest.raises(RuntimeError, match="opened before"):
        await box.__aenter__()
    box.reset()  # and what it holds is still there

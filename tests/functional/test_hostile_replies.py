"""Replies that mean harm: each ends as one of our errors, soon, and in little memory.

A purchase that the API answered 2xx was made, readable or not: `committed` is "yes". A page is not
the API's, and proves nothing: "unknown". Neither is ever "no".
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async import (
    APIConnectionError,
    APITimeoutError,
    OutcomeUnknownError,
    ResponseDecodeError,
    SigmaMindError,
)
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    breaking_off,
    response,
    saying,
    stalling,
)
from tests.functional.support import (
    KEY,
    NUMBER,
    ONCE,
    client_of,
    error_of,
    record,
    run_script,
)

DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "100,000 levels": DEEP,
    "100,000 levels in a field": b'{"more": ' + DEEP + b"}",
    "100,000 levels, open": b'{"a":' * 100_000,
    "5,000 digits": b'{"active": ' + b"9" * 5_000 + b"}",
    "5,000 digits aside": b'{"more": ' + b"9" * 5_000 + b"}",
    "NaN": b'{"more": NaN}',
    "infinity": b'{"more": -Infinity}',
    "1e999": b'{"more": 1e999}',
    "UTF-16": '{"active": true}'.encode("utf-16"),
    "broken UTF-8": b'{"sipPhoneNumber": \xff\xfe}',
    "half a surrogate": b'{"sipPhoneNumber": \\ud800}',
    "wrong type": b'{"sipPhoneNumber": ["+14155550100"]}',
    "list of records": b"[" + record() + b"]",
    "text": b'"fine"',
    "null": b"null",
    "HTML": b"<!doctype html><title>Sign in</title>",
    "two objects": record() + record(),
    "not gzip": b"",
}


def served(name: str) -> Treatment:
    if name == "not gzip":
        return answer(201, record(), Content_Encoding="gzip")
    return answer(201, BODIES[name])


@pytest.mark.parametrize("name", BODIES)
async def test_a_purchase_with_an_unreadable_answer_was_made(name: str) -> None:
    async with FaultServer(always(served(name))) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.create(country_code="US"))
    committed = "unknown" if name == "HTML" else "yes"
    assert (type(error), error.committed, error.status) == (OutcomeUnknownError, committed, 201)
    assert server.methods == {"POST": 1}


@pytest.mark.parametrize("name", BODIES)
async def test_a_look_up_with_an_unreadable_answer_is_an_error(name: str) -> None:
    async with (
        FaultServer(always(served(name))) as server,
        client_of(server.url, retry=ONCE) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.committed) == (ResponseDecodeError, "no")


ODD_FIELDS: dict[str, bytes] = {
    "half a surrogate": rb'"friendlyName": "Desk \ud83d"',
    "broken UTF-8": b'"friendlyName": "Caf\xe9"',
    "a tab": b'"friendlyName": "a\tb"',
    "a number for a label": b'"friendlyName": 415',
    "an object for a label": b'"friendlyName": {"text": "Desk"}',
    "a word for a boolean": b'"active": "yes"',
    "an array for a provider": b'"provider": ["twilio"]',
    "a number for an agent": b'"inboundAgentId": 7.5',
}
"""What one record of an account may hold, and what steers nothing."""


@pytest.mark.parametrize("name", ODD_FIELDS)
async def test_one_odd_record_does_not_hide_the_others(name: str) -> None:
    """The account is read whole, with one request."""
    rows = [b'{"sipPhoneNumber": "+1415555010%d"}' % digit for digit in range(3)]
    rows[1] = rows[1][:-1] + b", " + ODD_FIELDS[name] + b"}"
    page = b'{"data": [' + b", ".join(rows) + b'], "hasNext": false}'
    async with FaultServer(always(answer(200, page))) as server, client_of(server.url) as client:
        found = [each.sip_phone_number async for each in client.phone_numbers.list()]
    assert found == [f"+1415555010{digit}" for digit in range(3)]
    assert server.methods == {"GET": 1}


async def test_a_record_whose_key_cannot_be_read_is_named_after_one_request() -> None:
    """It is no account without that record; and the page would come the same way again."""
    page = b'{"data": [{"sipPhoneNumber": "+14155550100"}, {"sipPhoneNumber": []}]}'
    async with FaultServer(always(answer(200, page))) as server, client_of(server.url) as client:
        with pytest.raises(ResponseDecodeError, match=r"data\[1\].sipPhoneNumber: expected text"):
            await anext(client.phone_numbers.list())
    assert server.methods == {"GET": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b"nothing", DEEP])
async def test_a_deletion_needs_no_body(body: bytes) -> None:
    async with FaultServer(always(answer(200, body))) as server, client_of(server.url) as client:
        await client.phone_numbers.delete(NUMBER)
    assert server.methods == {"DELETE": 1}


async def test_of_duplicate_keys_the_last_counts() -> None:
    body = b'{"sipPhoneNumber": "+14155550100", "active": false, "active": true, "new": 1}'
    async with FaultServer(always(answer(200, body))) as server, client_of(server.url) as client:
        number = await client.phone_numbers.get(NUMBER)
    assert (number.active, number.extra) == (True, {"new": 1})


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"v" * 20_000,
        b"\r\n".join(b"X-%d: v" % index for index in range(500)),
        b"Content-Length: 2\r\nContent-Length: 3",
        b"no colon here",
    ],
    ids=["long", "many", "two lengths", "no colon"],
)
async def test_headers_that_cannot_be_read_leave_a_purchase_in_doubt(head: bytes) -> None:
    """The status line is lost with them: nobody knows."""
    reply = b"HTTP/1.1 201 Created\r\n" + head + b"\r\n\r\n{}"
    async with FaultServer(always(breaking_off(reply))) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed, error.status) == (OutcomeUnknownError, "unknown", None)
    assert server.methods == {"POST": 1}


async def test_no_cookie_is_kept() -> None:
    cookies = b"".join(b"Set-Cookie: c%d=v; Path=/\r\n" % index for index in range(60))
    reply = response(200, record()).replace(b"Content-Length", cookies + b"Content-Length")
    async with FaultServer(always(saying(reply))) as server, client_of(server.url) as client:
        for _ in range(3):
            await client.phone_numbers.get(NUMBER)
    assert not any("cookie" in request.headers for request in server.received)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"Content-Encoding: br", "it is compressed in a way that was not asked for"),
        (b"X-Long: " + b"v" * 20_000, "its headers are longer than allowed"),
        (b"no colon here", "its status line, headers or chunks are not HTTP"),
    ],
    ids=["brotli", "long", "no colon"],
)
async def test_what_is_wrong_with_a_head_is_said(head: bytes, why: str) -> None:
    reply = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n" + head + b"\r\n\r\n{}"
    async with (
        FaultServer(always(breaking_off(reply))) as server,
        client_of(server.url, retry=ONCE) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert f"cannot be read ({why})" in str(error)


async def test_a_header_of_other_bytes_leaves_an_error_that_can_be_written() -> None:
    """Aiohttp hands them over as halves of surrogate pairs, which UTF-8 has no form for."""
    reply = response(302, b"").replace(b"\r\n\r\n", b"\r\nLocation: /caf\xe9\r\n\r\n")
    async with FaultServer(always(saying(reply))) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert "it redirects to /caf\ufffd, which is not followed" in str(error)
    assert str(error).encode()


@pytest.mark.parametrize("status", [400, 500, 201])
async def test_a_message_writes_neither_to_the_terminal_nor_lines_of_the_log(status: int) -> None:
    message = "no\x1b]0;owned\x07 \u202ecredit\r\nERROR forged\u2028line\x9b31m"
    body = json.dumps({"message": message, "friendlyName": "\x1b[2J"}).encode()
    async with FaultServer(always(answer(status, body))) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert "no\ufffd]0;owned\ufffd \ufffdcredit ERROR forged line\ufffd31m" in str(error)


async def test_a_compressed_answer_is_read_in_a_session_that_leaves_them_compressed() -> None:
    reply = answer(201, gzip.compress(record()), Content_Encoding="gzip")
    async with (
        FaultServer(always(reply)) as server,
        aiohttp.ClientSession(auto_decompress=False) as session,
        client_of(server.url, session=session) as client,
    ):
        bought = await client.phone_numbers.create(country_code="US")
    assert bought.sip_phone_number == NUMBER


# --- without end -----------------------------------------------------------------------------

UNENDING = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"


async def pour(exchange: Exchange) -> None:
    """Send blanks until the peer goes."""
    await exchange.read()
    await exchange.write(UNENDING)
    while True:
        await exchange.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


async def drip(exchange: Exchange) -> None:
    """Send one blank after the other, never idle for long."""
    await exchange.read()
    await exchange.write(UNENDING)
    while True:
        await exchange.write(b"1\r\n \r\n")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("treatment", [pour, drip])
@pytest.mark.parametrize("limit", ["attempt_timeout", "deadline"])
async def test_an_answer_without_end_is_ended(treatment: Treatment, limit: str) -> None:
    """By its size or by the time, and the connection with it."""
    async with FaultServer(always(treatment)) as server:
        async with client_of(server.url, **{limit: 0.2}) as client:
            error = await error_of(client.phone_numbers.create(country_code="US"))
        await server.all_served()
    assert (type(error), error.committed, error.status) == (OutcomeUnknownError, "yes", 201)
    assert error.elapsed < 2.0


async def test_a_drip_outlives_a_read_timeout() -> None:
    """Which is why ours is over the whole attempt: between two bytes there is always time."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=0.1)
    async with FaultServer(always(drip)) as server, aiohttp.ClientSession() as session:
        dripping = await session.get(server.url, timeout=timeout)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await dripping.read()
        dripping.close()


# --- in little memory ------------------------------------------------------------------------

MEASURE = f"""
import asyncio, sys
from pathlib import Path
import aiohttp
from sigmamind_async import SigmaMind, SigmaMindError

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

async def ours(url):
    async with SigmaMind({KEY!r}, base_url=url) as client:
        await client.phone_numbers.get({NUMBER!r})
        before = peak()
        try:
            await client.phone_numbers.get({NUMBER!r})
        except SigmaMindError as error:
            print(peak() - before, type(error).__name__)

async def plain(url):
    async with aiohttp.ClientSession() as session:
        await (await session.get(url)).read()
        before = peak()
        await (await session.get(url)).read()
        print(peak() - before, "nothing")

asyncio.run({{"ours": ours, "plain": plain}}[sys.argv[2]](sys.argv[1]))
"""


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """Return 300 MB of blanks, which gzip makes 1.3 MB."""
    press = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(press.compress(b" " * 1_000_000) for _ in range(300)) + press.flush()


async def cost_of_a_bomb(bomb: bytes, whom: str) -> tuple[int, str]:
    """Return the mebibytes that *whom* needed for the bomb, and the error."""
    script = [answer(200, record()), answer(200, bomb, Content_Encoding="gzip")]
    async with FaultServer(lambda _, number: script[min(number, 2) - 1]) as server:
        mebibytes, error = (await run_script(MEASURE, server.url, whom, strict=False)).split()
    return int(mebibytes), error


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")
async def test_a_gzip_bomb_costs_little_memory(bomb: bytes) -> None:
    mebibytes, error = await cost_of_a_bomb(bomb, "ours")
    assert error == "ResponseDecodeError"
    assert mebibytes <= 16


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")
async def test_a_gzip_bomb_costs_a_plain_reader_all_of_it(bomb: bytes) -> None:
    mebibytes, _ = await cost_of_a_bomb(bomb, "plain")
    assert mebibytes > 250


# --- anything at all -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["sipPhoneNumber", "active", "friendlyName", "inboundAgentId", "x"])
BYTES = st.binary() | st.builds(
    lambda value: repr(value).replace("'", '"').replace("True", "true").encode("utf-8", "replace"),
    JSON | st.dictionaries(FIELDS, JSON),
)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_no_body_of_a_2xx_is_too_strange(method: str) -> None:
    """It is read, or is one of our errors; a purchase was made in either case."""
    with asyncio.Runner() as runner:
        said = [b""]

        async def say(exchange: Exchange) -> None:
            await exchange.read()
            await exchange.write(response(201, said[0]))

        async def call() -> SigmaMindError | None:
            async with FaultServer(always(say)) as server, client_of(server.url, retry=ONCE) as one:
                calls = {
                    "POST": lambda: one.phone_numbers.create(country_code="US"),
                    "GET": lambda: one.phone_numbers.get(NUMBER),
                }
                try:
                    await calls[method]()
                except SigmaMindError as error:
                    return error
            return None

        @settings(max_examples=60)
        @given(BYTES)
        def holds(body: bytes) -> None:
            said[0] = body
            error = runner.run(call())
            if error is not None:
                changed = "unknown" if error.not_from_api else "yes"
                assert error.committed == (changed if method == "POST" else "no")

        holds()


@pytest.mark.parametrize("kind", ["length", "chunks"])
async def test_a_read_whose_answer_breaks_off_has_lost_its_connection(kind: str) -> None:
    """It came as HTTP, and its end did not: the error says of whom, and why."""
    heads = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    }
    async with FaultServer(always(breaking_off(heads[kind]))) as server, client_of(server.url) as c:
        error = await error_of(c.phone_numbers.get(NUMBER))
        bought = await error_of(c.phone_numbers.create(country_code="US"))
    assert type(error) is APIConnectionError
    assert isinstance(error.__cause__, ConnectionError)
    assert (type(bought), bought.committed) == (OutcomeUnknownError, "yes")
    for each in (error, bought):
        assert f"127.0.0.1:{server.port} broke (closed in the middle of the response)" in str(each)


async def test_a_read_whose_answer_stalls_names_who_is_waited_for() -> None:
    stalls = stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
    async with (
        FaultServer(always(stalls)) as server,
        client_of(server.url, attempt_timeout=0.2, retry=ONCE) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert type(error) is APITimeoutError
    assert type(error.__cause__) is TimeoutError
    assert f"127.0.0.1:{server.port} in time" in str(error)

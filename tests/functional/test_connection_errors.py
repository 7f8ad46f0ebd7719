"""What a failed connection says: host, port, the system's reason, and what to do.

`error_of` looks for the key and for other exceptions in each of them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl as tls
from typing import Any

import pytest

from sigmamind_async import APIConnectionError, APITimeoutError
from tests.functional.conftest import Certificates
from tests.functional.faultserver import FaultServer, always, answer, response
from tests.functional.support import NUMBER, client_of, error_of, record
from tests.harness.ports import closed_port

WELL = answer(200, record())


async def refused(url: str, **options: Any) -> APIConnectionError:
    """Return how a purchase and a read end that get no connection; both end alike."""
    async with client_of(url, **options) as client:
        read = await error_of(client.phone_numbers.get(NUMBER))
        bought = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(bought), str(bought)) == (type(read), str(read))
    assert (bought.committed, bought.retryable) == ("no", read.retryable)
    assert isinstance(read, APIConnectionError)
    return read


async def test_a_refused_connection_names_host_port_and_reason() -> None:
    port = closed_port()
    error = await refused(f"http://127.0.0.1:{port}")

    assert f"could not connect to 127.0.0.1:{port} (Connection refused)" in str(error)
    assert "nothing was sent" in str(error)
    assert error.retryable
    assert error.attempts == 3
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == errno.ECONNREFUSED


async def test_an_unknown_name_is_named() -> None:
    error = await refused("https://no-such-host.invalid")

    assert "could not connect to no-such-host.invalid:443 (" in str(error)
    assert isinstance(error.__cause__, socket.gaierror)
    assert error.retryable


@pytest.mark.parametrize(
    ("served", "trusted", "words", "advice"),
    [
        ("good", "strange", "unable to get local issuer certificate", "set SSL_CERT_FILE"),
        ("misnamed", "trusting", "IP address mismatch", "which no SSL_CERT_FILE changes"),
    ],
)
async def test_a_certificate_that_is_not_trusted_is_named_and_tried_once(
    served: str, trusted: str, words: str, advice: str, certificates: Certificates
) -> None:
    """Another attempt would end the same. The control is the last line: the pair that fits."""
    context = getattr(certificates, trusted)
    async with FaultServer(always(WELL), ssl=getattr(certificates, served)) as server:
        error = await refused(server.url, ssl=context)
        assert server.received == []
    async with (
        FaultServer(always(WELL), ssl=certificates.good) as server,
        client_of(server.url, ssl=certificates.trusting) as client,
    ):
        await client.phone_numbers.get(NUMBER)

    assert f"could not connect to 127.0.0.1:{server_port(error)} (" in str(error)
    assert f"certificate verify failed: {words}" in str(error)
    assert advice in str(error)
    assert isinstance(error.__cause__, tls.SSLCertVerificationError)
    assert (error.retryable, error.attempts) == (False, 1)


def server_port(error: APIConnectionError) -> str:
    """Return the port that a message names."""
    return str(error).partition("127.0.0.1:")[2].partition(" ")[0]


async def test_a_server_without_tls_is_told_as_what_it_is(certificates: Certificates) -> None:
    def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(f"https://127.0.0.1:{port}", ssl=certificates.trusting)

    assert f"could not connect to 127.0.0.1:{port} (TLS: " in str(error)
    assert isinstance(error.__cause__, tls.SSLError)


async def test_a_connection_that_does_not_come_is_a_timeout() -> None:
    """A queue that is full answers no further connection."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        try:
            error = await refused(f"http://127.0.0.1:{port}", connect_timeout=0.3)
        finally:
            for each in waiting:
                each.close()

    assert isinstance(error, APITimeoutError)
    assert isinstance(error, TimeoutError)
    assert f"no connection to 127.0.0.1:{port} in time" in str(error)
    assert isinstance(error.__cause__, TimeoutError)


@pytest.mark.parametrize("status", [200, 502])
async def test_an_answer_that_is_no_http_names_its_sender(status: int) -> None:
    cut = response(status, b"{", Content_Length="100")[:-10]

    async def treat(exchange: Any) -> None:
        await exchange.read()
        exchange.writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n" if status == 502 else cut)
        await exchange.writer.drain()
        exchange.writer.close()

    async with FaultServer(always(treat)) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.get(NUMBER))

    assert isinstance(error, APIConnectionError)
    assert error.committed == "no"
    assert f"127.0.0.1:{server.port}" in str(error)
    assert "ClientResponseError" not in str(error)

"""An HTTP server whose every misdeed is written down beforehand.

A script says, by the numbers of connection and request, how each request is treated. A treatment is
a coroutine function over an `Exchange`: it reads as much as it likes and answers what it likes. The
server knows which requests it received whole, and so what it would have carried out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Self

import attrs


@attrs.frozen(kw_only=True)
class Received:
    """A request that arrived whole."""

    connection: int
    """1 for the first connection."""
    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


@attrs.define(eq=False)
class Exchange:
    """One request in the hands of its treatment."""

    server: FaultServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int
    number: int
    """1 for the first request of the connection."""

    async def read(self) -> Received:
        """Read the whole request and count it."""
        head = await self.read_head()
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): text for name, _, text in (h.partition(": ") for h in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(
            connection=self.connection, method=method, path=path, headers=headers, body=body
        )
        self.server.received.append(request)
        self.server.arrival.set()
        return request

    async def read_head(self) -> bytes:
        """Read up to the body; a request whose body was left unread does not count."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def write(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def close(self) -> None:
        """End the connection in order."""
        self.writer.close()

    def reset(self) -> None:
        """Tear the connection down: the peer sees "connection reset"."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Treatment = Callable[[Exchange], Awaitable[None]]
Script = Callable[[int, int], Treatment]
"""The treatment of a request, by connection and by request on it, both from 1."""


class FaultServer:
    """Serves on loopback, and keeps what it received."""

    def __init__(self, script: Script, *, ssl: tls.SSLContext | None = None, port: int = 0) -> None:
        """Listen at once, on a free port if none is given; serve while the context lasts."""
        self.received: list[Received] = []
        self.arrival = asyncio.Event()
        """Set when a request has been received."""
        self.connections = 0
        self.script = script
        self._ssl = ssl
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'http' if ssl is None else 'https'}://127.0.0.1:{self.port}"
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def methods(self) -> Counter[str]:
        """How often each method arrived."""
        return Counter(request.method for request in self.received)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self._socket, ssl=self._ssl)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop_listening()
        for task in self._tasks:
            task.cancel()
        await self.all_served()

    def stop_listening(self) -> None:
        """Refuse connections from now on."""
        assert self._server is not None
        self._server.close()

    async def all_served(self) -> None:
        """Wait until every connection has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = self.connections
        number = 0
        try:
            while not writer.is_closing():
                number += 1
                exchange = Exchange(self, reader, writer, connection, number)
                await self.script(connection, number)(exchange)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


# --- scripts ---------------------------------------------------------------------------------


def always(treatment: Treatment) -> Script:
    return lambda connection, number: treatment


def on_reuse(treatment: Treatment) -> Script:
    """Meet the second request of the first connection with *treatment*, all others with 200."""
    return lambda connection, number: treatment if (connection, number) == (1, 2) else OK


def in_turn(*treatments: Treatment) -> Script:
    """Give each request the next treatment, and the last one to all that follow."""

    async def treat(exchange: Exchange) -> None:
        index = min(len(exchange.server.received), len(treatments) - 1)
        await treatments[index](exchange)

    return always(treat)


# --- treatments ------------------------------------------------------------------------------


def response(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    """Return an HTTP response; underscores in the names of *headers* stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(status: int, body: bytes = b"{}", **headers: str) -> Treatment:
    """Read, answer, and keep the connection."""
    return saying(response(status, body, **headers))


def saying(*raw: bytes) -> Treatment:
    """Read, write these bytes, and keep the connection."""

    async def treat(exchange: Exchange) -> None:
        await exchange.read()
        for part in raw:
            await exchange.write(part)

    return treat


def breaking_off(*raw: bytes) -> Treatment:
    """Read, write these bytes, and close."""

    async def treat(exchange: Exchange) -> None:
        await saying(*raw)(exchange)
        exchange.close()

    return treat


def stalling(*raw: bytes) -> Treatment:
    """Read, write these bytes, and then nothing until the peer goes."""

    async def treat(exchange: Exchange) -> None:
        await saying(*raw)(exchange)
        await exchange.reader.read()

    return treat


async def close_at_once(exchange: Exchange) -> None:
    exchange.close()


async def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def close_after_head(exchange: Exchange) -> None:
    await exchange.read_head()
    exchange.close()


async def reset_after_head(exchange: Exchange) -> None:
    await exchange.read_head()
    exchange.reset()


async def close_when_read(exchange: Exchange) -> None:
    await exchange.read()
    exchange.close()


async def reset_when_read(exchange: Exchange) -> None:
    await exchange.read()
    exchange.reset()


async def hang(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.reader.read()


OK = answer(200)

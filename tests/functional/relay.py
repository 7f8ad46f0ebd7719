"""Stands between a journal and its server, and loses of a write what it is told to lose."""

from __future__ import annotations

import asyncio
import enum
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.harness.postgres import Server

_SOCKET = ".s.PGSQL.5432"


class Loss(enum.Enum):
    """What becomes of one write, after which the connection is cut."""

    REQUEST = enum.auto()
    """The server never hears of it."""
    ANSWER = enum.auto()
    """The server has made it, and the writer does not learn so."""
    LATE = enum.auto()
    """The server hears of it when `Relay.deliver` is called."""
    SILENCE = enum.auto()
    """The server never hears of it, and the connection stays."""


class Relay:
    """Passes everything on but the next writes, of which it loses what `losses` says."""

    def __init__(self, server: Server, folder: str) -> None:
        self.losses: list[Loss] = []
        self.refusing = False
        self.between: Callable[[], object] = lambda: None
        """Called when an answer has been lost, before the writer learns that."""
        self._server = server
        self._folder = folder
        self._open: set[asyncio.StreamWriter] = set()
        self._late: list[tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]] = []

    @property
    def dsn(self) -> str:
        return self._server.dsn().replace(str(self._server.folder), self._folder)

    def cut(self) -> None:
        """Break every connection there is, and let none be made."""
        self.refusing = True
        for writer in self._open:
            writer.transport.abort()

    async def deliver(self) -> None:
        """Let the server have what was late, and wait until it is through with it."""
        for request, answers, upstream in self._late:
            upstream.write(request)
            await answers.read(1)
            await _close(upstream)
        self._late.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side, or a loss, ends it."""
        self._open.add(writer)
        if not self.refusing:
            with suppress(ConnectionError):
                await self._relay(reader, writer)
        self._open.discard(writer)
        await _close(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_unix_connection(self._server.folder / _SOCKET)
        passing = asyncio.ensure_future(_pass_on(answers, writer))
        try:
            while request := await reader.read(1 << 16):
                loss = self.losses.pop(0) if b".put(" in request and self.losses else None
                if loss is not None:
                    await _ended(passing)
                    await self._lose(loss, request, reader, answers, upstream)
                    break
                upstream.write(request)
        finally:
            await _ended(passing)
            if upstream not in [kept for *_, kept in self._late]:
                await _close(upstream)

    async def _lose(
        self,
        loss: Loss,
        request: bytes,
        reader: asyncio.StreamReader,
        answers: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        if loss is Loss.LATE:
            self._late.append((request, answers, upstream))
        if loss is Loss.SILENCE:
            await reader.read()
        if loss is Loss.ANSWER:
            upstream.write(request)
            await answers.read(1)
            self.between()


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while answer := await reader.read(1 << 16):
            writer.write(answer)


@asynccontextmanager
async def relay_to(server: Server) -> AsyncIterator[Relay]:
    # Short: the name of a socket has an end.
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        relay = Relay(server, folder)
        served: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.add(asyncio.ensure_future(relay.accept(reader, writer)))

        listening = await asyncio.start_unix_server(accept, Path(folder) / _SOCKET)
        try:
            yield relay
        finally:
            listening.close()
            await asyncio.gather(*served)

"""The listening socket of one endpoint, which can be closed for a while and opened again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

from aiohttp import web

from sigmamind_async.sandbox.endpoint import Endpoint

_BACKLOG = 1024
_SHUTDOWN_SECONDS = 0.05

# aiohttp's own server log quotes malformed headers, keys included.
_SILENT = logging.getLogger("sigmamind_async.sandbox.silent")
_SILENT.disabled = True


class Listener:
    """Serves an endpoint on one port, the same one for as long as it lives."""

    def __init__(self, endpoint: Endpoint, host: str, port: int) -> None:
        """Take the endpoint and where to listen; port 0 picks a free one."""
        self.endpoint = endpoint
        self._host = host
        self._port = port
        # The handler outlives its connection: a platform does not stop halfway through a
        # purchase because the caller hung up.
        self._server = web.Server(
            endpoint.handle,
            handler_cancellation=False,
            access_log=None,
            logger=_SILENT,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._listening: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to listen."""
        await self._runner.setup()
        bound = _bind(self._host, self._port)
        self._port = bound.getsockname()[1]
        self.endpoint.base_url = f"http://{_url_host(self._host)}:{self._port}"
        await self._listen(bound)

    async def close(self) -> None:
        """Stop to listen, end every connection and wait for every handler."""
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
        self._stop()
        self.endpoint.close()
        await self._runner.cleanup()
        # Handlers that lost their connection are not the runner's any more.
        await self.endpoint.settled()

    def refuse(self, seconds: float) -> None:
        """Really refuse connections for so many seconds; idle ones are closed as well."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._stop()
        for connection in self._server.connections:
            if self.endpoint.is_busy(connection):
                connection.close()
            else:
                # close() alone would leave an idle one open, and deaf.
                connection.force_close()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        # Bound but not listening: connections are refused and nobody else gets the port.
        bound = _bind(self._host, self._port)
        try:
            await asyncio.sleep(seconds)
            await self._listen(bound)
        except BaseException:
            bound.close()
            raise

    async def _listen(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, sock=bound, backlog=_BACKLOG)

    def _stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _url_host(host: str) -> str:
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{reachable}]" if ":" in reachable else reachable

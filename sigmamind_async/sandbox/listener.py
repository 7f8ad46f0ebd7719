"""One endpoint on a socket, which can be closed for a while and opened again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Mapping
from typing import Final

import attrs
from aiohttp import web

from sigmamind_async.sandbox.admin import ADMIN_PREFIX, Admin
from sigmamind_async.sandbox.connection import BodyTooLargeError
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.sandbox.messages import Answer

OPENAPI_PATH: Final = "/openapi.json"

_BACKLOG = 1024
_SHUTDOWN_SECONDS = 0.05
_LINGER_ZERO = struct.pack("ii", 1, 0)

# aiohttp's own server log quotes malformed headers, keys included.
_SILENT = logging.getLogger("sigmamind_async.sandbox.silent")
_SILENT.disabled = True


class Listener:
    """Serves an endpoint on one port, the same one for as long as it lives."""

    def __init__(self, endpoint: Endpoint, admin: Admin, host: str, port: int) -> None:
        """Take the endpoint and where to listen; port 0 picks a free one."""
        self.endpoint = endpoint
        self._admin = admin
        self._busy: set[object] = set()
        self._host = host
        self._port = port
        # The handler outlives its connection: a platform does not stop halfway through a
        # purchase because the caller hung up.
        self._server = web.Server(
            self._handle,
            handler_cancellation=False,
            access_log=None,
            logger=_SILENT,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._bound: socket.socket | None = None
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
        await self._accepted()
        await self._runner.cleanup()
        # Handlers that lost their connection are not the runner's any more.
        await self.endpoint.idle()

    def refuse(self, seconds: float) -> None:
        """Really refuse connections for so many seconds; idle ones are closed as well."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._stop()
        self._hang_up()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: the sandbox's own, or one for the platform."""
        path, protocol = request.rel_url.raw_path, request.protocol
        self._busy.add(protocol)
        try:
            if path.startswith(ADMIN_PREFIX):
                return await self._admin.handle(request)
            if path == OPENAPI_PATH and request.method in {"GET", "HEAD"}:
                return _response(Answer(status=200, body=self.endpoint.backend.openapi))
            connection = _SocketConnection(request)
            answer = await self.endpoint.handle(_SocketRequest(request), connection)
            if answer is not None:
                return _response(answer)
            # What has gone out already, or what goes nowhere: the connection is closed.
            return connection.sent or web.Response(status=500)
        finally:
            self._busy.discard(protocol)

    async def _reopen(self, seconds: float) -> None:
        # Bound but not listening: connections are refused and nobody else gets the port.
        bound = _bind(self._host, self._port)
        try:
            await self._accepted()
            self._hang_up()
            await asyncio.sleep(seconds)
            await self._listen(bound)
        except BaseException:
            bound.close()
            raise

    async def _listen(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, sock=bound, backlog=_BACKLOG)
        self._bound = bound

    def _stop(self) -> None:
        """Refuse connections from now on, but let those be served that are accepted already.

        asyncio accepts a connection in one turn of its loop and attaches it in the next; closed in
        between, its server drops the connection without closing it (CPython gh-109564).
        """
        if self._listening is None or self._bound is None:
            return
        loop = asyncio.get_running_loop()
        # On Windows the loop has no readers, and a socket that listens is not shut down.
        with contextlib.suppress(OSError, NotImplementedError):
            loop.remove_reader(self._bound)
            self._bound.shutdown(socket.SHUT_RDWR)
        loop.call_soon(self._listening.close)
        self._listening = None

    @staticmethod
    async def _accepted() -> None:
        """Wait until what was accepted before `_stop` is among the server's connections."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _hang_up(self) -> None:
        """Close the idle connections, and each of the others after the answer it is busy with."""
        for connection in self._server.connections:
            if connection in self._busy:
                connection.close()
            else:
                # close() alone would leave an idle one open, and deaf.
                connection.force_close()


@attrs.frozen
class _SocketRequest:
    """An `Incoming` that aiohttp has parsed."""

    _request: web.BaseRequest

    @property
    def method(self) -> str:
        return self._request.method

    @property
    def origin(self) -> str:
        return f"{self._request.scheme}://{self._request.host}"

    @property
    def path(self) -> str:
        return self._request.rel_url.raw_path

    @property
    def query_string(self) -> str:
        return self._request.rel_url.raw_query_string

    @property
    def query(self) -> Mapping[str, str]:
        return self._request.query

    @property
    def headers(self) -> Mapping[str, str]:
        return self._request.headers

    async def read(self) -> bytes:
        try:
            return await self._request.read()
        except web.HTTPRequestEntityTooLarge:
            raise BodyTooLargeError from None
        except web.RequestPayloadError as error:  # such as gzip that is none
            raise ConnectionError(str(error)) from None


class _SocketConnection:
    """A `Connection` that aiohttp has accepted."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.sent: web.Response | None = None
        self._request = request

    def is_closing(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def reset(self) -> None:
        transport = self._request.transport
        if transport is not None:
            # With a linger time of zero the kernel answers close() with RST in place of FIN.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            transport.abort()

    def close(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()

    def write(self, content: bytes) -> None:
        if self._request.transport is not None:
            self._request.transport.write(content)

    async def answer(self, answer: Answer) -> bool:
        self.sent = _response(answer)
        try:
            await self.sent.prepare(self._request)
            await self.sent.write_eof()
        except ConnectionError:
            return False
        return not self.is_closing()


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return bound


def _url_host(host: str) -> str:
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{reachable}]" if ":" in reachable else reachable

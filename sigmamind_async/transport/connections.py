"""Our parts of aiohttp: connections that are safe to send on, and requests that go out once.

`Connector` sees in `TCPConnector.connect` whether an attempt was given a connection: that agreed
with aiohttp's trace events on every row of a 61-row fault matrix, at a quarter of their cost.
`Guard` watches each connection while it is idle.
"""

from __future__ import annotations

import asyncio
import select
import socket
import weakref
from collections.abc import Callable, Mapping
from http.cookies import BaseCookie, SimpleCookie
from time import monotonic
from typing import Any, ClassVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from sigmamind_async.transport.attempts import Attempt, AttemptTracker
from sigmamind_async.transport.options import AiohttpOptions

FRESH = 0.1
"""Seconds for which a connection may be idle and still carry a request that must not be repeated.
Servers close idle connections without notice, usually after 1 to 75 seconds; a request under way
then may or may not have been carried out."""

DISTRUST = 60.0
"""Seconds for which such a request only goes over a new connection, after a server has closed one
within `FRESH` of its response without announcing it by ``Connection: close``."""

BUSY = 0.1
"""Seconds of idleness up to which a request that may be repeated skips the system call that looks
for unread data: that is a twentieth of the cost of a call."""

MAX_INTERIM_HEADS = 64
"""Most heads of interim responses, such as ``100 Continue``, before the final one."""


class FloodError(aiohttp.ClientError):
    """Interim responses without end."""


class UnsolicitedDataError(aiohttp.ClientError):
    """A server that sent data on a new connection before it got a request."""


class Guard(asyncio.Protocol):
    """Sits between a connection and aiohttp's protocol; passes on what an attempt waits for.

    aiohttp keeps reading while a connection is idle, would take half a response that arrives then
    for the beginning of the next one, and accepts interim responses without end: uvloop delivers
    8 MB of them in one turn of the loop, seconds of parsing that no timeout interrupts.
    """

    def __init__(
        self, protocol: ResponseHandler, transport: asyncio.Transport, connector: Connector
    ) -> None:
        self.protocol = protocol
        self.transport = transport
        self.attempt: Attempt | None = None
        """The attempt that uses the connection; `None` while it is idle."""
        self.last_data_at: float = 0.0
        """When data last arrived, on the monotonic clock."""
        self._pass_on = protocol.data_received
        self._connector = connector
        self._poll = _poll_of(transport)

    def data_received(self, data: bytes) -> None:
        """Pass *data* on to aiohttp; close a connection that is idle."""
        self.last_data_at = monotonic()
        attempt = self.attempt
        if attempt is None:
            self.transport.abort()
            return
        attempt.chunks += 1
        # The head mostly comes with the first piece; only if it does not are others searched.
        if attempt.chunks > 1 and not attempt.has_head:
            attempt.heads += data.count(b"\nHTTP/1.")
            if attempt.heads > MAX_INTERIM_HEADS:
                self.protocol.set_exception(FloodError())
                self.transport.abort()
                return
        self._pass_on(data)

    def end(self, attempt: Attempt) -> None:
        """Take the connection of *attempt*, which has ended, for idle unless another one has it."""
        if self.attempt is attempt:
            self.attempt = None
            # The last of several chunks may have arrived after the end of the response.
            if attempt.is_followed or (attempt.chunks > 1 and self.protocol.should_close):
                self.transport.abort()

    def is_usable(self, *, fresh: bool) -> bool:
        """Return whether the connection may carry another request, a *fresh* one or any."""
        if self.attempt is not None:
            # aiohttp has released it, but the attempt before has not noticed its end yet.
            if self.protocol.should_close:
                return False
            self.attempt = None
        now = monotonic()
        if fresh and (now - self.last_data_at > FRESH or now < self._connector.distrusts_until):
            return False
        if self._poll is None or not self._poll(0):
            return True
        self._note_close()
        return False

    def _note_close(self) -> None:
        """Distrust a server that closes a connection right after a response, unannounced."""
        now = monotonic()
        idle = self.attempt is None and not self.protocol.should_close
        if idle and now - self.last_data_at < FRESH:
            self._connector.distrusts_until = now + DISTRUST

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if exc is not None:
            self._note_close()
        self._connector.guards.pop(self.protocol, None)
        self.protocol.connection_lost(exc)

    def eof_received(self) -> None:  # noqa: D102
        self._note_close()
        self.protocol.eof_received()

    def pause_writing(self) -> None:  # noqa: D102
        self.protocol.pause_writing()

    def resume_writing(self) -> None:  # noqa: D102
        self.protocol.resume_writing()


def _poll_of(transport: asyncio.Transport) -> Callable[[int], list[tuple[int, int]]] | None:
    """Return a poll for data, or an end, that the loop has not read yet."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0 or not hasattr(select, "poll"):
        return None
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLIN)
    return poller.poll


class Connector(aiohttp.TCPConnector):
    """Flags the attempt that gets a connection, and gives out none that has been spoilt."""

    def __init__(self, options: AiohttpOptions, attempts: AttemptTracker) -> None:
        # The task that sends is the one that gets the connection. A context variable costs twice
        # as much.
        self._attempts = attempts.by_task
        # For `current_task`, which would otherwise ask the system for the process id.
        self._own_loop = asyncio.get_running_loop()
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.guards: dict[ResponseHandler, Guard] = {}
        self._headers_given: Mapping[str, str] | None = None
        self._headers: CIMultiDict[str] = CIMultiDict()
        self.distrusts_until: float = 0.0
        """Until when requests that must not be repeated only go over new connections."""
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # as below
            limit=options.max_connections,
            ssl=options.ssl or True,
            socket_factory=self._new_socket,
        )

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> aiohttp.connector.Connection:
        """Return a connection, and flag the running task's attempt as connected."""
        attempt = self._attempts[asyncio.current_task(self._own_loop)]
        request = attempt.request
        fresh = request.fresh
        while True:
            connection = await _connect(self, req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101 - the connection was not released yet
            guard = self.guards.get(protocol)
            if guard is None:
                guard = self._guard(connection, protocol)
                break
            # Inline, because nearly every call of a busy connection ends here.
            busy = not fresh and guard.attempt is None and monotonic() - guard.last_data_at < BUSY
            if busy or guard.is_usable(fresh=fresh):
                break
            connection.close()
        # Not earlier: aiohttp sends headers that a request has before it connects to a proxy.
        if request.headers is not self._headers_given:
            # Copying from a dictionary would lower-case each name for each request.
            self._headers_given, self._headers = request.headers, CIMultiDict(request.headers)
        req.headers.update(self._headers)
        attempt.flag.connected = True
        if guard is not None:
            attempt.on_end, guard.attempt = guard.end, attempt
        return connection

    def _guard(
        self, connection: aiohttp.connector.Connection, protocol: ResponseHandler
    ) -> Guard | None:
        """Put a guard before a new connection; return `None` if it is already lost."""
        if protocol.should_close:
            connection.close()
            raise UnsolicitedDataError
        transport = protocol.transport
        if transport is None:
            return None
        guard = self.guards[protocol] = Guard(protocol, transport, self)
        transport.set_protocol(guard)
        return guard

    def _new_socket(self, address: Any) -> socket.socket:  # noqa: ANN401 - aiohttp's AddrInfoType ends in an untyped tuple
        sock = socket.socket(*address[:3])
        self.sockets.add(sock)
        return sock


_connect = aiohttp.TCPConnector.connect  # `super()` makes an object for every call


# --- parts that cost too much, or send a request twice ---------------------------------------


class BytesBody(aiohttp.Payload):
    """A body that is bytes already.

    aiohttp's own class creates a collection of headers for each body: 4 microseconds.
    """

    # Plain attributes where aiohttp has properties: they are read three times per call.
    headers: ClassVar[CIMultiDict[str]] = CIMultiDict(  # pyright: ignore[reportIncompatibleMethodOverride]
        {"Content-Type": "application/json"}
    )
    """aiohttp requires some; those of the request take precedence."""
    size: int = 0

    def __init__(self, body: bytes) -> None:
        self._bytes = body
        self.size = len(body)  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def autoclose(self) -> bool:
        """True: there is nothing to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: D102
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:  # noqa: D102
        await writer.write(self._bytes)

    async def write_with_length(  # noqa: D102
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        del content_length  # it is `size`
        await writer.write(self._bytes)


class NoCookies(aiohttp.DummyCookieJar):
    """A jar that does not create an empty collection of cookies for each request, either."""

    _empty: ClassVar[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002, D102
        return self._empty


class DroppedError(aiohttp.ClientError):
    """A connection broke. Not one of the classes on which aiohttp sends the request again."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DroppedError(type(error).__name__) from error


NO_RESEND: dict[str, tuple[aiohttp.ClientMiddlewareType, ...]] = {
    "GET": (_send_once,),
    "PUT": (_send_once,),
    "DELETE": (_send_once,),
}
"""The middlewares of the methods that aiohttp would send a second time."""

"""What aiohttp is given to work with, where its own costs too much or does too much.

Whether a connection was handed to an attempt is seen in `TCPConnector.connect`: it agreed with
aiohttp's trace events on every row of a 61-row fault matrix and costs a quarter of them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
import weakref
from http.cookies import BaseCookie, SimpleCookie
from typing import Any, ClassVar, TypeAlias, cast

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.operation import Mark

Marks: TypeAlias = dict["asyncio.Task[Any] | None", Mark]
"""The marks of the attempts under way, by the task that makes them. In a session of ours that is
the task which is handed the connection; a context variable costs twice as much."""


def _verifies(_: object, __: object, context: tls.SSLContext | None) -> None:
    if context is None:
        return
    if context.verify_mode is not tls.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "ssl: the context must verify certificates and host names"
            " (verify_mode=CERT_REQUIRED, check_hostname=True)"
        )


@attrs.frozen(kw_only=True)
class AiohttpOptions:
    """How connections are made."""

    connect_timeout: float = 5.0
    """Seconds for the TCP connection and the TLS handshake together."""
    max_connections: int = 100
    ssl: tls.SSLContext | None = attrs.field(default=None, validator=_verifies)
    proxy: str | None = attrs.field(default=None, repr=False)


class WholeRequest(aiohttp.ClientRequest):
    """Takes the session's headers as they are: nothing is missing, and each request has a copy.

    aiohttp copies them once more, name by name, and looks for each of its own: 2 % of a call.
    """

    def update_headers(self, headers: object) -> None:
        """Name the host; the place for it is there."""
        self.headers = cast("CIMultiDict[str]", headers)
        self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add nothing."""


class BytesBody(aiohttp.Payload):
    """A body that is bytes already.

    aiohttp's own class for that makes a collection of headers for each: 4 microseconds.
    """

    _common: ClassVar[CIMultiDict[str]] = CIMultiDict({"Content-Type": "application/json"})

    def __init__(self, body: bytes) -> None:
        self._bytes = body

    @property
    def headers(self) -> CIMultiDict[str]:
        """Those of every body: aiohttp insists on some, and prefers the request's own."""
        return self._common

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._bytes)

    @property
    def autoclose(self) -> bool:
        """Nothing is held that would have to be closed."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it whole."""
        await writer.write(self._bytes)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write it whole: the length is `size`."""
        del content_length
        await writer.write(self._bytes)


class NoCookies(aiohttp.DummyCookieJar):
    """Neither keeps cookies nor makes an empty collection of them for each request."""

    _none: ClassVar[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002 - aiohttp's
        """Return none."""
        return self._none


class Connector(aiohttp.TCPConnector):
    """Marks the attempt to which it hands a connection, and knows its own sockets."""

    def __init__(self, options: AiohttpOptions) -> None:
        self.marks: Marks = {}
        # Told to `current_task`, which asks the system for the process id where it is not.
        self._here = asyncio.get_running_loop()
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._made = 0
        # Not the transports: those of uvloop's TLS take no weak reference.
        self.protocols: weakref.WeakSet[asyncio.BaseProtocol] = weakref.WeakSet()
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
        """Return a connection, and note that the running task's attempt has one."""
        made = self._made
        connection = await _connect(self, req, traces, timeout)
        mark = self.marks.get(asyncio.current_task(self._here))
        if mark is not None:
            mark.connected = True
        # One from the pool is known from when it was made.
        if self._made != made and connection.protocol is not None:
            self.protocols.add(connection.protocol)
        return connection

    def _new_socket(self, address: Any) -> socket.socket:  # noqa: ANN401 - aiohttp's AddrInfoType ends in an untyped tuple
        made = socket.socket(*address[:3])
        self.sockets.add(made)
        self._made += 1
        return made


_connect = aiohttp.TCPConnector.connect  # `super()` makes an object for every call

ADDED = {
    "Host": "",  # the first, as is usual; each request writes its own
    "Accept-Encoding": aiohttp.ClientRequest.DEFAULT_HEADERS[aiohttp.hdrs.ACCEPT_ENCODING],
}
"""Headers of every request that are for aiohttp to know."""


class DroppedError(aiohttp.ClientError):
    """A connection broke; under this name aiohttp does not send the request again."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DroppedError(type(error).__name__) from error


ONLY_ONCE: dict[str, tuple[aiohttp.ClientMiddlewareType, ...]] = {
    "GET": (_send_once,),
    "PUT": (_send_once,),
    "DELETE": (_send_once,),
}
"""The middlewares of the methods that aiohttp sends a second time."""

"""What aiohttp is given to work with, where its own costs too much or does too much.

Whether a connection was handed to an attempt is seen in `TCPConnector.connect`: it agreed with
aiohttp's trace events on every row of a 61-row fault matrix and costs a quarter of them.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl as tls
import weakref
from collections.abc import Callable, Mapping
from http.cookies import BaseCookie, SimpleCookie
from time import monotonic
from typing import Any, ClassVar, TypeAlias
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.transport.interface import HttpRequest

FRESH = 0.1
"""Seconds for which a connection may be idle before a request that must not be repeated goes over
a new one. Servers close idle connections without asking, after 1 to 75 seconds as is usual; what is
under way then may or may not have been carried out."""

DISTRUST = 60.0
"""Seconds for which such a request goes over a new connection, and over no other, once a server has
closed one so soon after its answer, without a ``Connection: close``: it may do so again."""

BUSY = 0.1
"""Seconds of idleness up to which the system is not asked, for a request that may be repeated,
whether something has come on a connection that the loop has not read yet: that is a twentieth of
the cost of a call."""

MOST_INTERIM = 64
"""Most heads of interim responses, such as ``100 Continue``, before an answer."""


def _verifies(_: object, __: object, context: Any) -> None:  # noqa: ANN401 - looked at here
    if context is None:
        return
    if not isinstance(context, tls.SSLContext):
        raise ConfigurationError("ssl: must be an ssl.SSLContext, or None")
    if context.verify_mode is not tls.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "ssl: the context must verify certificates and host names"
            " (verify_mode=CERT_REQUIRED, check_hostname=True)"
        )


def _is_proxy(_: object, __: object, proxy: str | None) -> None:
    if proxy is not None:
        check_proxy("proxy", proxy)


def check_proxy(name: str, proxy: object) -> None:
    """Refuse what is not the URL of an HTTP proxy; it may hold a password, and is not shown."""
    problem = _proxy_problem(proxy)
    if problem is not None:
        raise ConfigurationError(
            f"{name}: {problem}; it is a URL such as http://proxy.example:3128"
        )


def _proxy_problem(proxy: object) -> str | None:
    if not isinstance(proxy, str):
        return "is not text"
    if not proxy or not proxy.isprintable() or " " in proxy:
        return "holds blanks or control characters" if proxy else "is empty"
    scheme, found, _ = proxy.partition("://")
    if not found:
        return "has no scheme"
    if scheme.lower() not in {"http", "https"}:
        return "is neither http nor https, and no other kind of proxy is supported"
    try:
        url = URL(proxy)
    except ValueError:
        return "is not a URL"
    if not url.raw_host or not is_host(url.raw_host):
        return "has no host, or one that is no host's name"
    if url.port == 0:
        return "has a port that is none"
    if url.path != "/" or url.query_string or url.fragment:
        return "has more than a host and a port (in a password, write / as %2F, # as %23, ? as %3F)"
    return None


def is_host(host: str) -> bool:
    """Return whether *host* can be looked up: labels of 1 to 63 characters, or an address."""
    if ":" in host:
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(0 < len(label) <= 63 for label in labels)


def proxy_of_environment(url: str) -> str | None:
    """Return the proxy that ``HTTPS_PROXY`` and its like name for *url*, if any.

    ``HTTP_PROXY`` is for http, ``ALL_PROXY`` for both. ``NO_PROXY`` lists hosts that are spoken to
    directly, with their subdomains; one with a port counts for that alone, and ``*`` is every
    host. A proxy without a scheme is an http proxy. Raises `ConfigurationError`.
    """
    parts = urlsplit(url)
    known: dict[str, str] = getproxies()
    name = parts.scheme if parts.scheme in known else "all"
    proxy = known.get(name)
    if proxy is None or _is_direct(parts, known.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    check_proxy(f"{name.upper()}_PROXY in the environment", proxy)
    return proxy


def _is_direct(parts: SplitResult, exempt: str) -> bool:
    """Return whether the list of ``NO_PROXY``, or the system's own, names the host."""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    shown = f"[{host}]" if ":" in host else host
    names = (name.strip().lower().removeprefix("*.").lstrip(".") for name in exempt.split(","))
    # Python's own reading knows neither the scheme's port nor a star among other names.
    return bool(proxy_bypass(host)) or any(
        name in {"*", each} or each.endswith(f".{name}")
        for name in names
        if name
        for each in (host, shown, f"{shown}:{port}")
    )


@attrs.frozen(kw_only=True)
class AiohttpOptions:
    """How connections are made."""

    connect_timeout: float = 5.0
    """Seconds for the TCP connection and the TLS handshake together."""
    max_connections: int = 100
    ssl: tls.SSLContext | None = attrs.field(default=None, validator=_verifies)
    proxy: str | None = attrs.field(default=None, repr=False, validator=_is_proxy)
    """URL of an HTTP proxy, with user name and password where it wants them."""


class BytesBody(aiohttp.Payload):
    """A body that is bytes already.

    aiohttp's own class for that makes a collection of headers for each: 4 microseconds.
    """

    # Attributes, where aiohttp has properties: they are asked for three times a call.
    headers: ClassVar[CIMultiDict[str]] = CIMultiDict(  # pyright: ignore[reportIncompatibleMethodOverride]
        {"Content-Type": "application/json"}
    )
    """Those of every body: aiohttp insists on some, and prefers the request's own."""
    size: int = 0
    """Bytes."""

    def __init__(self, body: bytes) -> None:
        self._bytes = body
        self.size = len(body)  # pyright: ignore[reportIncompatibleMethodOverride]

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


class Attempt:
    """What the connector knows of an attempt under way."""

    # Defaults stand on the class, for few attempts set them.
    guard: Guard | None = None
    """The connection that it was handed."""
    answered: bool = False
    """Whether its answer's head has been read."""
    chunks: int = 0
    """How many pieces came."""
    heads: int = 0
    """How many heads came before it was read, but for those of the first piece."""

    def __init__(self, mark: ConnectionFlag, outgoing: HttpRequest) -> None:
        self.mark = mark
        self.outgoing = outgoing


Attempts: TypeAlias = dict["asyncio.Task[Any] | None", Attempt]
"""The attempts under way, by the task that makes them. In a session of ours that is the task which
is handed the connection; a context variable costs twice as much."""


class FloodError(aiohttp.ClientError):
    """Interim responses without end."""


class UnaskedError(aiohttp.ClientError):
    """A new connection on which something came before anything was asked."""


class Guard(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol, and lets through what was asked for.

    aiohttp reads on while a connection is idle, keeps up to half an answer that comes then, and
    takes interim responses without end: uvloop hands over 8 MB of them in one turn of the loop,
    which is seconds of parsing that no time limit interrupts.
    """

    def __init__(
        self,
        protocol: ResponseHandler,
        transport: asyncio.Transport,
        connector: Connector,
    ) -> None:
        self.protocol = protocol
        self.transport = transport
        self.attempt: Attempt | None = None
        """The attempt that uses the connection; `None` while it is idle."""
        self.heard = 0.0
        """When something came last, on the monotonic clock."""
        self._receive = protocol.data_received
        self._connector = connector
        self._poll = _poll_of(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to an attempt."""
        self.heard = monotonic()
        attempt = self.attempt
        if attempt is None:
            self.transport.abort()
            return
        attempt.chunks += 1
        # An answer's head mostly comes with the first piece; until it does, others are searched.
        if attempt.chunks > 1 and not attempt.answered:
            attempt.heads += data.count(b"\nHTTP/1.")
            if attempt.heads > MOST_INTERIM:
                self.protocol.set_exception(FloodError())
                self.transport.abort()
                return
        self._receive(data)

    def may_serve(self, *, fresh: bool) -> bool:
        """Whether a next attempt may have the connection: nothing came that was not asked for."""
        if self.attempt is not None:
            # aiohttp has it back, and the attempt before is about to notice.
            if self.protocol.should_close:
                return False
            self.attempt = None
        now = monotonic()
        if fresh and (now - self.heard > FRESH or now < self._connector.distrusts_until):
            return False
        if self._poll is None or not self._poll(0):
            return True
        self._closed_by_peer()
        return False

    def _closed_by_peer(self) -> None:
        """Note that the other side has ended a connection that it had not said it would end."""
        now = monotonic()
        if self.attempt is None and now - self.heard < FRESH and not self.protocol.should_close:
            self._connector.distrusts_until = now + DISTRUST

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end."""
        if exc is not None:
            self._closed_by_peer()
        self._connector.guards.pop(self.protocol, None)
        self.protocol.connection_lost(exc)

    def eof_received(self) -> None:
        """Pass on that no more will come."""
        self._closed_by_peer()
        self.protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the peer is slow."""
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it has caught up."""
        self.protocol.resume_writing()


def _poll_of(transport: asyncio.Transport) -> Callable[[int], list[tuple[int, int]]] | None:
    """Return what asks the system for bytes, or an end, that the loop has not read yet."""
    held = transport.get_extra_info("socket")
    if held is None or held.fileno() < 0 or not hasattr(select, "poll"):
        return None
    poller = select.poll()
    poller.register(held.fileno(), select.POLLIN)
    return poller.poll


class Connector(aiohttp.TCPConnector):
    """Marks the attempt to which it hands a connection, and hands out none that is spoilt."""

    def __init__(self, options: AiohttpOptions) -> None:
        self.attempts: Attempts = {}
        # Told to `current_task`, which asks the system for the process id where it is not.
        self._here = asyncio.get_running_loop()
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.guards: dict[ResponseHandler, Guard] = {}
        self._given: Mapping[str, str] | None = None
        self._ready: CIMultiDict[str] = CIMultiDict()
        self.distrusts_until = 0.0
        """Until when no connection that was used before serves what must not be repeated."""
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
        attempt = self.attempts[asyncio.current_task(self._here)]
        outgoing = attempt.outgoing
        while True:
            connection = await _connect(self, req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101 - it was not given back yet
            guard = self.guards.get(protocol)
            if guard is None:
                guard = self._guarded(connection, protocol)
                break
            fresh = outgoing.fresh
            # The first is what a busy connection comes to, and no call of its own.
            in_use = not fresh and guard.attempt is None and monotonic() - guard.heard < BUSY
            if in_use or guard.may_serve(fresh=fresh):
                break
            connection.close()
        # Not sooner: what a request has when it connects is near what a proxy is told.
        if outgoing.headers is not self._given:
            # Taken from a dictionary, each name would be put in lower case for each request.
            self._given, self._ready = outgoing.headers, CIMultiDict(outgoing.headers)
        req.headers.update(self._ready)
        attempt.mark.connected = True
        if guard is not None:
            attempt.guard, guard.attempt = guard, attempt
        return connection

    def _guarded(
        self, connection: aiohttp.connector.Connection, protocol: ResponseHandler
    ) -> Guard | None:
        """Put a guard before a new connection; return `None` for one that was lost already."""
        if protocol.should_close:
            connection.close()
            raise UnaskedError
        transport = protocol.transport
        if transport is None:
            return None
        guard = self.guards[protocol] = Guard(protocol, transport, self)
        transport.set_protocol(guard)
        return guard

    def _new_socket(self, address: Any) -> socket.socket:  # noqa: ANN401 - aiohttp's AddrInfoType ends in an untyped tuple
        made = socket.socket(*address[:3])
        self.sockets.add(made)
        return made


_connect = aiohttp.TCPConnector.connect  # `super()` makes an object for every call


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

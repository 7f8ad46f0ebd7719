"""Bytes out, bytes in: the only module that speaks to the aiohttp client.

A transport answers with a `Response` or a `Fault` and raises nothing but cancellation, so no
exception of aiohttp, with the request's headers in its arguments and in its frames' locals, ever
reaches a caller. Four habits of aiohttp are kept away from money here:

- It sends GET, PUT and DELETE a second time when a connection drops. A client middleware renames
  the two exceptions it does that on.
- It follows redirects with the ``X-API-Key`` header, and with the body. None is followed.
- It reads bodies of any size. Ours are counted after decompression and cut.
- Its sessions belong to one event loop. There is one for each loop and process, closed when its
  loop shuts down, forgotten without I/O when the loop is already gone.

The whole attempt has one time limit, kept by an `Alarm`; of aiohttp's own limits only that for
connecting is set.

Whether a connection was handed to an attempt is seen in `TCPConnector.connect`: it agreed with
aiohttp's trace events on every row of a 61-row fault matrix and costs a quarter of them. A session
that the caller brings has a connector of its own; there the trace events serve.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import socket
import ssl as tls
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping
from http.cookies import BaseCookie, SimpleCookie
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, TypeAlias, cast

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from sigmamind_async import static
from sigmamind_async.alarm import Alarm
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.loops import PerLoop
from sigmamind_async.operation import Fault, FaultKind, Mark, Response

Session: TypeAlias = aiohttp.ClientSession
"""A session that a caller brings along."""


@static.frozen
class Outgoing:
    """One request as bytes, addressed and authorized."""

    method: str
    url: str
    """Absolute and percent-encoded."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    max_bytes: int
    body: bytes | None = attrs.field(default=None, repr=False)


class Transport(Protocol):
    """Carries one request to a platform and one answer back."""

    async def send(self, outgoing: Outgoing, mark: Mark, seconds: float) -> Response | Fault:
        """Return what came back within *seconds*.

        Sets ``mark.connected`` before the first byte can leave. Raises nothing but
        `asyncio.CancelledError`; the mark then tells whether the request may have gone out.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; it may be used again afterwards."""
        ...


_attempt: contextvars.ContextVar[Mark | None] = contextvars.ContextVar("attempt", default=None)
"""The attempt that a session of the caller's makes: it may make it in a task of its own."""

Marks: TypeAlias = dict["asyncio.Task[Any] | None", Mark]
"""The marks of the attempts under way, by the task that makes them. In a session of ours that is
the task which is handed the connection; a context variable costs twice as much."""


class _Request(aiohttp.ClientRequest):
    """Takes the session's headers as they are: nothing is missing, and each request has a copy.

    aiohttp copies them once more, name by name, and looks for each of its own: 2 % of a call.
    """

    def update_headers(self, headers: object) -> None:
        self.headers = cast("CIMultiDict[str]", headers)
        self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add nothing."""


class _Body(aiohttp.Payload):
    """A body that is bytes already.

    aiohttp's own class for that makes a collection of headers for each: 4 microseconds.
    """

    _common: ClassVar[CIMultiDict[str]] = CIMultiDict({"Content-Type": "application/json"})

    def __init__(self, body: bytes) -> None:
        self._bytes = body

    @property
    def headers(self) -> CIMultiDict[str]:
        return self._common  # may not be empty; those of the request win

    @property
    def size(self) -> int:
        return len(self._bytes)

    @property
    def autoclose(self) -> bool:
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await writer.write(self._bytes)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        del content_length  # it is `size`
        await writer.write(self._bytes)


class _NoCookies(aiohttp.DummyCookieJar):
    """Neither keeps cookies nor makes an empty collection of them for each request."""

    _none: ClassVar[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002 - aiohttp's
        return self._none


class _Connector(aiohttp.TCPConnector):
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


_NOT_OURS = {
    "Host": "",  # the first, as is usual; each request writes its own
    "Accept-Encoding": aiohttp.ClientRequest.DEFAULT_HEADERS[aiohttp.hdrs.ACCEPT_ENCODING],
}
"""Headers of every request that are for aiohttp to know."""

_connect = aiohttp.TCPConnector.connect  # `super()` makes an object for every call


class _TooLargeError(Exception):
    """An answer's body went past its cap."""


class _DroppedError(aiohttp.ClientError):
    """A connection broke; under this name aiohttp does not send the request again."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _DroppedError(type(error).__name__) from error


_ONLY_ONCE: dict[str, tuple[aiohttp.ClientMiddlewareType, ...]] = {
    "GET": (_send_once,),
    "PUT": (_send_once,),
    "DELETE": (_send_once,),
}
"""The middlewares of the methods that aiohttp sends a second time."""


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


class AiohttpTransport:
    """The real `Transport`. Needs neither a loop nor a network to be made."""

    def __init__(
        self, options: AiohttpOptions | None = None, session: aiohttp.ClientSession | None = None
    ) -> None:
        """Use *session* if one is given, and leave it open; else open one in each loop."""
        options = options or AiohttpOptions()
        self._own = PerLoop(lambda: _OwnSession(options, self._own), _OwnSession.forget)
        self._theirs = None if session is None else _TheirSession(options, session)

    async def send(self, outgoing: Outgoing, mark: Mark, seconds: float) -> Response | Fault:
        """Send *outgoing* once, within *seconds* for connecting, sending and reading together."""
        answer: aiohttp.ClientResponse | None = None
        session = self._theirs or self._own.get()
        alarm = session.alarm
        limit = alarm.start(seconds)
        marks, task = session.marks, limit.task
        marks[task] = mark
        try:
            if not session.is_open:
                await session.open()
            answer = await session.request(outgoing)
            stream, most = answer.content, outgoing.max_bytes
            # What came whole with its head, as short bodies do, is read without waiting.
            body = stream.read_nowait() if stream.is_eof() else await _read(stream, most)
            if len(body) > most:
                raise _TooLargeError  # noqa: TRY301 - made a value of below, like every fault
            return Response(answer.status, answer.headers, body)
        except asyncio.CancelledError as cancelled:
            if not limit.is_why():
                # The frames below hold headers and body; they end here.
                cancelled.__traceback__ = None
                raise
            kind, cause = _explained(TimeoutError(), connected=mark.connected)
        except Exception as error:  # noqa: BLE001 - every one becomes a value
            kind, cause = _explained(error, connected=mark.connected)
        finally:
            alarm.stop(limit)
            marks.pop(task, None)
            if answer is not None and not answer.closed:
                # Gives the connection back after a whole answer, closes it after half of one.
                answer.release()
        if answer is not None:
            return Response(status=answer.status, headers=answer.headers, cut=kind)
        return Fault(kind=kind, detail=f"{kind.value} ({cause})")

    async def aclose(self) -> None:
        """Close the running loop's session, if this transport opened it."""
        opened = self._own.pop()
        if opened is not None:
            await opened.aclose()


def _timeout(options: AiohttpOptions) -> aiohttp.ClientTimeout:
    """Leave all but the connecting to the alarm."""
    return aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout)


class _TheirSession:
    """A session that the caller brought, with whatever settings: ours are said in each request."""

    is_open = True

    def __init__(self, options: AiohttpOptions, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._timeout = _timeout(options)
        self._alarms = PerLoop(Alarm)
        self._session = session
        self.marks: Marks = {}
        session.trace_configs.append(_marking_trace())

    @property
    def alarm(self) -> Alarm:
        return self._alarms.get()

    async def open(self) -> None:
        """Nothing: it is open."""

    async def request(self, outgoing: Outgoing) -> aiohttp.ClientResponse:
        token = _attempt.set(self.marks[asyncio.current_task()])
        try:
            return await self._session.request(
                outgoing.method,
                URL(outgoing.url, encoded=True),
                data=outgoing.body,
                headers=outgoing.headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
                proxy=self._options.proxy,
                ssl=self._options.ssl or True,
                middlewares=_ONLY_ONCE.get(outgoing.method, ()),
            )
        finally:
            _attempt.reset(token)


class _OwnSession:
    """One session, closed in the last moments of its loop.

    `asyncio.run` and every runner like it finalizes the async generators of a loop before closing
    it. One that waits with an open session in its hands is thereby told when to close it.
    """

    def __init__(self, options: AiohttpOptions, registry: PerLoop[_OwnSession]) -> None:
        self._options = options
        self._registry = registry
        self.alarm = Alarm()
        self.marks: Marks = {}
        self.is_open = False
        self._headers: Mapping[str, str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connector: _Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._life: AsyncGenerator[aiohttp.ClientSession, None] | None = None

    async def open(self) -> None:
        self._life = self._live()
        self._session = await anext(self._life)

    def request(self, outgoing: Outgoing) -> Awaitable[aiohttp.ClientResponse]:
        """Return the request, to be awaited before another is asked for."""
        assert self._session is not None  # noqa: S101 - whoever asks has opened it
        if outgoing.headers is not self._headers:
            # The session's own headers are copied at once. Those of a request are merged with
            # them name by name, twice, for 2 microseconds; they change with the key alone.
            self._session.headers.clear()
            self._session.headers.update(_NOT_OURS)
            self._session.headers.update(outgoing.headers)
            self._headers = outgoing.headers
        method, url = outgoing.method, URL(outgoing.url, encoded=True)
        body = None if outgoing.body is None else _Body(outgoing.body)
        once = _ONLY_ONCE.get(method)
        if once is None:
            return self._session.request(method, url, data=body, allow_redirects=False)
        return self._session.request(
            method, url, data=body, allow_redirects=False, middlewares=once
        )

    async def aclose(self) -> None:
        if self._life is not None:
            await self._life.aclose()

    async def _live(self) -> AsyncGenerator[aiohttp.ClientSession, None]:
        self._loop = asyncio.get_running_loop()
        self._connector = connector = _Connector(self._options)
        connector.marks = self.marks
        session = aiohttp.ClientSession(
            connector=connector,
            request_class=_Request,
            cookie_jar=_NoCookies(),
            proxy=self._options.proxy,
            timeout=_timeout(self._options),
            trust_env=False,
        )
        self.is_open = True
        _OPEN.add(self)
        try:
            yield session
        finally:
            self.is_open = False
            _OPEN.discard(self)
            self._registry.discard(self._loop)
            await session.close()

    def forget(self) -> None:
        """Let go of a session whose loop is closed, or runs in the process this one came from.

        Its descriptors are closed here, which the peer and a parent process do not notice. The
        objects around them are kept: each of them, when finalized, would warn or call its loop.
        """
        if self._session is None or self._connector is None:
            return
        connector, self._connector = self._connector, None
        for held in connector.sockets:
            held.close()
        self._session.detach()
        _keep_for_good((self._life, connector, list(connector.protocols)))
        if self._loop is not None and self._loop.is_closed():
            _run_without_loop(connector.close())


def _run_without_loop(closing: Coroutine[None, None, None]) -> None:
    """Close the connector of a dead loop, where nobody answers, for what its resolver holds."""
    with contextlib.suppress(StopIteration, RuntimeError):
        while True:
            closing.send(None)


_FORGOTTEN: list[object] = []
_OPEN: weakref.WeakSet[_OwnSession] = weakref.WeakSet()


def _keep_for_good(held: object) -> None:
    """Keep *held* from being finalized, at the interpreter's end as well."""
    _FORGOTTEN.append(held)
    if sys.implementation.name == "cpython":
        import ctypes  # slow to import, and needed after an accident only

        # One reference more than there are holders: the list goes with the module.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


@atexit.register
def _forget_all() -> None:
    """Let go of the sessions of loops that were never shut down."""
    for session in list(_OPEN):
        session.forget()


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes:
    """Return the body; raise `_TooLargeError` at *most* bytes, counted after decompression."""
    chunks: list[bytes] = []
    size = 0
    while not stream.at_eof():
        chunk = await stream.readany()
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise _TooLargeError
    return b"".join(chunks)


def _explained(error: Exception, *, connected: bool) -> tuple[FaultKind, str]:
    """Return what *error* means, and its cause in words that hold nothing of the request."""
    cause = str(error) if isinstance(error, _DroppedError) else type(error).__name__
    return _kind(error, connected=connected), cause


def _kind(error: Exception, *, connected: bool) -> FaultKind:
    if isinstance(error, _TooLargeError):
        return FaultKind.TOO_LARGE
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT if connected else FaultKind.CONNECT_TIMEOUT
    if not connected:
        return FaultKind.CONNECT
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientPayloadError)):
        return FaultKind.UNPARSABLE
    return FaultKind.DROPPED


def _marking_trace() -> aiohttp.TraceConfig:
    """Return the trace that marks attempts in a session whose connector is not ours."""

    async def connected(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object
    ) -> None:
        mark = _attempt.get()
        if mark is not None:
            mark.connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    trace.freeze()
    return trace

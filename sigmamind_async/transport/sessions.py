"""aiohttp sessions: one of ours per event loop, or the caller's.

Our sessions have our connector, which knows what each attempt was given. In a caller's session
aiohttp's trace events show whether an attempt got a connection. One that passes the request to yet
another session, or answers from a cache, runs none of our trace events, so this stays unknown.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import TypeAlias

import aiohttp
from yarl import URL

from sigmamind_async.per_loop import PerLoop
from sigmamind_async.transport.attempts import Attempt, AttemptTracker
from sigmamind_async.transport.connections import (
    NO_RESEND,
    BytesBody,
    Connector,
    NoCookies,
)
from sigmamind_async.transport.options import AiohttpOptions

Session: TypeAlias = aiohttp.ClientSession
"""A session that a caller brings along."""


def _client_timeout(options: AiohttpOptions) -> aiohttp.ClientTimeout:
    """Leave all timeouts but that for connecting to the `AttemptTracker`."""
    return aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout)


# --- the caller's ----------------------------------------------------------------------------


_traced: contextvars.ContextVar[Attempt | None] = contextvars.ContextVar("traced", default=None)
"""The attempt under way; a context variable, because the session may send it in another task."""


class CallerSession:
    """The caller's session; each request overrides its settings with ours."""

    is_open = True

    def __init__(self, options: AiohttpOptions, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._timeout = _client_timeout(options)
        self._trackers = PerLoop(AttemptTracker)
        self._session = session
        traces = getattr(session, "trace_configs", None)  # a test double may have none
        if traces is not None and _TRACE not in traces:
            traces.append(_TRACE)

    @property
    def attempts(self) -> AttemptTracker:
        """The attempts under way in the running loop."""
        return self._trackers.get()

    async def open(self) -> None:
        """Do nothing: the caller has opened it."""

    async def request(self, attempt: Attempt) -> aiohttp.ClientResponse:
        """Send the request of *attempt* and return the response, once its head has been read."""
        request = attempt.request
        closed = getattr(self._session, "closed", False)  # a test double may have none
        token = _traced.set(attempt)
        try:
            return await self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
                proxy=self._options.proxy_url,
                ssl=self._options.ssl or True,
                auto_decompress=True,
                middlewares=NO_RESEND.get(request.method, ()),
            )
        except BaseException as error:
            # If the trace saw another error, the session has done more than it shows.
            seen = closed or attempt.failure is error
            attempt.flag.connected = not (seen and attempt.unsent)
            raise
        finally:
            _traced.reset(token)


_ErrorParams: TypeAlias = aiohttp.TraceRequestExceptionParams


def _flagging_trace() -> aiohttp.TraceConfig:
    """Return the trace that flags attempts in a session whose connector is not ours."""

    def on(change: Callable[[Attempt, _ErrorParams], None]) -> Callable[..., Awaitable[None]]:
        async def on_event(_session: object, _context: object, params: _ErrorParams) -> None:
            attempt = _traced.get()
            if attempt is not None:
                change(attempt, params)

        return on_event

    def started(attempt: Attempt, _: object) -> None:
        attempt.flag.connected = not attempt.unsent

    def connected(attempt: Attempt, _: object) -> None:
        attempt.flag.connected, attempt.unsent = True, False

    def failed(attempt: Attempt, params: _ErrorParams) -> None:
        attempt.flag.connected, attempt.failure = True, params.exception

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(on(started))
    trace.on_connection_create_end.append(on(connected))
    trace.on_connection_reuseconn.append(on(connected))
    # A connector that has its connections made elsewhere runs neither of these two.
    trace.on_request_headers_sent.append(on(connected))
    trace.on_request_exception.append(on(failed))
    trace.freeze()
    return trace


_TRACE = _flagging_trace()
"""Added once to each session, however many clients share it."""


# --- ours ------------------------------------------------------------------------------------


class LoopSession:
    """Our session of one event loop, closed in the last moments of that loop.

    `asyncio.run` and every runner like it finalize the async generators of a loop before they close
    it. A generator that is suspended with the session open therefore learns when to close it.
    """

    def __init__(self, options: AiohttpOptions, registry: PerLoop[LoopSession]) -> None:
        self.attempts: AttemptTracker = AttemptTracker()
        self.is_open: bool = False
        self._options = options
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._connector: Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lifetime: AsyncGenerator[aiohttp.ClientSession, None] | None = None

    async def open(self) -> None:
        """Open aiohttp's session; the running loop will close it."""
        self._lifetime = self._live()
        self._session = await anext(self._lifetime)

    def request(self, attempt: Attempt) -> Awaitable[aiohttp.ClientResponse]:
        """Send the request of *attempt*, once awaited, and return the response with its head."""
        assert self._session is not None  # noqa: S101 - it has been opened
        # What `request` wraps for ``async with`` by a call of a generic alias: 10,000 instructions,
        # 2 % of a call. A later aiohttp may have no such method, and what replays responses in
        # tests replaces it at any time.
        send: Callable[..., Awaitable[aiohttp.ClientResponse]]
        send = getattr(self._session, "_request", self._session.request)
        request = attempt.request
        method, url = request.method, URL(request.url, encoded=True)
        body = None if request.body is None else BytesBody(request.body)
        # No headers: the connector adds them, because those given here would reach a proxy, too.
        middlewares = NO_RESEND.get(method)
        if middlewares is None:
            return send(method, url, data=body, allow_redirects=False)
        return send(method, url, data=body, allow_redirects=False, middlewares=middlewares)

    async def aclose(self, grace: float) -> None:
        """Close it once the attempts under way have ended, after *grace* seconds at the latest."""
        if self._lifetime is None:
            return
        try:
            await self.attempts.drain(grace)
        finally:
            await self._lifetime.aclose()

    async def _live(self) -> AsyncGenerator[aiohttp.ClientSession, None]:
        self._connector = connector = Connector(self._options, self.attempts)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=NoCookies(),
            proxy=self._options.proxy_url,
            timeout=_client_timeout(self._options),
            trust_env=False,
        )
        self.is_open = True
        _OPEN.add(self)
        try:
            yield session
        finally:
            self.is_open = False
            _OPEN.discard(self)
            self._registry.discard(self._loop, self)
            await session.close()

    def abandon(self) -> None:
        """Drop a session whose loop is closed, or belongs to the parent process.

        Closing its descriptors here disturbs neither the peer nor a parent process. The objects
        around them are leaked: each of them, if finalized, would warn or call its loop.
        """
        if self._session is None or self._connector is None:
            return
        connector, self._connector = self._connector, None
        for sock in connector.sockets:
            sock.close()
        self._session.detach()
        _leak((self._lifetime, connector, list(connector.guards)))
        if self._loop.is_closed():
            _run_without_loop(connector.close())


def _run_without_loop(closing: Coroutine[None, None, None]) -> None:
    """Run *closing* up to where it needs a loop, to free what the resolver holds."""
    with contextlib.suppress(StopIteration, RuntimeError):
        while True:
            closing.send(None)


_LEAKED: list[object] = []
_OPEN: weakref.WeakSet[LoopSession] = weakref.WeakSet()


def _leak(held: object) -> None:
    """Keep *held* from ever being finalized, even when the interpreter exits."""
    _LEAKED.append(held)
    if sys.implementation.name == "cpython":
        import ctypes  # slow to import, and rarely needed

        # The list is cleared at exit; one reference more than it holds is never released.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


@atexit.register
def _abandon_open() -> None:
    """Abandon the sessions of loops that were never shut down."""
    for session in list(_OPEN):
        session.abandon()

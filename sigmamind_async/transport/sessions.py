"""aiohttp's sessions: one of our own for each event loop, or the one that a caller brought.

A session that the caller brings has a connector of its own; there aiohttp's trace events tell
whether a connection was handed to an attempt. One that hands the request on to another session, or
answers from a cache, runs no trace events of ours and so cannot tell.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from types import SimpleNamespace
from typing import Protocol, TypeAlias

import aiohttp
import attrs
from yarl import URL

from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.transport.aiohttp_hooks import (
    ONLY_ONCE,
    AiohttpOptions,
    Attempts,
    BytesBody,
    Connector,
    NoCookies,
)
from sigmamind_async.transport.interface import HttpRequest
from sigmamind_async.transport.timeouts import TimeoutTimer

Session: TypeAlias = aiohttp.ClientSession
"""A session that a caller brings along."""


@attrs.define
class _Showing:
    """What a session of the caller's has shown of one attempt."""

    mark: ConnectionFlag
    unsent: bool = True
    """Whether every request that the trace saw has ended before it was given a connection."""
    failure: BaseException | None = None
    """What ended the latest of them; the session may go on elsewhere."""


_attempt: contextvars.ContextVar[_Showing | None] = contextvars.ContextVar("attempt", default=None)
"""The attempt under way in a caller's session, which may make it in another task."""


def _timeout(options: AiohttpOptions) -> aiohttp.ClientTimeout:
    """Leave all but the connecting to the alarm."""
    return aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout)


class _Busy(Protocol):
    attempts: Attempts
    drained: asyncio.Event | None


async def drain(session: _Busy, grace: float) -> None:
    """Wait until no attempt is under way in *session*, for *grace* seconds at most."""
    if not session.attempts or grace <= 0:
        return
    session.drained = asyncio.Event()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await session.drained.wait()
    finally:
        session.drained = None


class TheirSession:
    """A session that the caller brought; each request overrides its settings with ours."""

    is_open = True

    def __init__(self, options: AiohttpOptions, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._timeout = _timeout(options)
        self._alarms = PerLoop(TimeoutTimer)
        self.drained: asyncio.Event | None = None
        self._session = session
        self.attempts: Attempts = {}
        traces = getattr(session, "trace_configs", None)  # a double may have none
        if traces is not None and _TRACE not in traces:
            traces.append(_TRACE)

    @property
    def alarm(self) -> TimeoutTimer:
        """The time limits of the running loop."""
        return self._alarms.get()

    async def open(self) -> None:
        """Nothing: it is open."""

    async def request(self, outgoing: HttpRequest) -> aiohttp.ClientResponse:
        """Return the answer's head, the body being still to be read."""
        attempt = _Showing(self.attempts[asyncio.current_task()].mark)
        closed = getattr(self._session, "closed", False)  # a double may have none
        token = _attempt.set(attempt)
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
                middlewares=ONLY_ONCE.get(outgoing.method, ()),
            )
        except BaseException as error:
            # At another end than the trace saw, the session has done more than it shows.
            shown = closed or attempt.failure is error
            attempt.mark.connected = not (shown and attempt.unsent)
            raise
        finally:
            _attempt.reset(token)


class OwnSession:
    """One session, closed in the last moments of its loop.

    `asyncio.run` and every runner like it finalizes the async generators of a loop before closing
    it. One that waits with an open session in its hands is thereby told when to close it.
    """

    def __init__(self, options: AiohttpOptions, registry: PerLoop[OwnSession]) -> None:
        self._options = options
        self._registry = registry
        self.alarm = TimeoutTimer()
        self.attempts: Attempts = {}
        self.is_open = False
        self.drained: asyncio.Event | None = None
        """Set when no attempt is under way any more; there while that is waited for."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connector: Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._life: AsyncGenerator[aiohttp.ClientSession, None] | None = None

    async def open(self) -> None:
        """Open aiohttp's session; the running loop will close it."""
        self._life = self._live()
        self._session = await anext(self._life)

    def request(self, outgoing: HttpRequest) -> Awaitable[aiohttp.ClientResponse]:
        """Return the request, to be awaited before another is asked for."""
        assert self._session is not None  # noqa: S101 - whoever asks has opened it
        method, url = outgoing.method, URL(outgoing.url, encoded=True)
        body = None if outgoing.body is None else BytesBody(outgoing.body)
        once = ONLY_ONCE.get(method)
        # The headers come with the connection: what a session, or a request, has before is near
        # what a proxy is told.
        if once is None:
            return self._session.request(method, url, data=body, allow_redirects=False)
        return self._session.request(
            method, url, data=body, allow_redirects=False, middlewares=once
        )

    async def aclose(self, grace: float) -> None:
        """Close it once the attempts under way have ended, and in *grace* seconds at the latest."""
        if self._life is None:
            return
        try:
            await drain(self, grace)
        finally:
            await self._life.aclose()

    async def _live(self) -> AsyncGenerator[aiohttp.ClientSession, None]:
        self._loop = asyncio.get_running_loop()
        self._connector = connector = Connector(self._options)
        connector.attempts = self.attempts
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=NoCookies(),
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
            self._registry.discard(self._loop, self)
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
        _keep_for_good((self._life, connector, list(connector.guards)))
        if self._loop is not None and self._loop.is_closed():
            _run_without_loop(connector.close())


def _run_without_loop(closing: Coroutine[None, None, None]) -> None:
    """Close the connector of a dead loop, where nobody answers, for what its resolver holds."""
    with contextlib.suppress(StopIteration, RuntimeError):
        while True:
            closing.send(None)


_FORGOTTEN: list[object] = []
_OPEN: weakref.WeakSet[OwnSession] = weakref.WeakSet()


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


def _marking_trace() -> aiohttp.TraceConfig:
    """Return the trace that marks attempts in a session whose connector is not ours."""

    async def began(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object
    ) -> None:
        attempt = _attempt.get()
        if attempt is not None:
            attempt.mark.connected = not attempt.unsent

    async def connected(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object
    ) -> None:
        attempt = _attempt.get()
        if attempt is not None:
            attempt.mark.connected, attempt.unsent = True, False

    async def failed(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        attempt = _attempt.get()
        if attempt is not None:
            attempt.mark.connected, attempt.failure = True, params.exception

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(began)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    # A connector that makes its connections elsewhere runs neither of these two.
    trace.on_request_headers_sent.append(connected)
    trace.on_request_exception.append(failed)
    trace.freeze()
    return trace


_TRACE = _marking_trace()
"""Added once to each session, however many clients share it."""

"""Connections to one database, and the thread that owns them.

A connection belongs to one event loop, but a journal is used from several, some of which end early
or are kept busy. So the connections have a loop of their own, in a thread of their own. If a caller
is cancelled, its work is done all the same, and no connection is left in the middle of a statement.

Work is one statement or one transaction on one connection. If the connection breaks, it is unknown
whether the work was done. It is then repeated on another connection until its time is up, so every
unit of work must be idempotent.

This is not psycopg's own pool: that one reports that time is up rather than why the server cannot
be reached, and after a restart of the server it pauses longer than an operation's lease allows.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import psycopg

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.postgres.dsn import warn_if_slow
from sigmamind_async.provisioning.journal.postgres.errors import (
    QueryTimeout,
    explain_error,
    is_passing,
    is_uncertain,
)
from sigmamind_async.provisioning.journal.thread import ENDED, JournalThread, ThreadCall, answer

T = TypeVar("T")
Connection: TypeAlias = psycopg.AsyncConnection
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

PAUSES: Final = (0.02, 0.5)
"""Seconds between two attempts to reach the server: the first pause doubles up to the last."""

IDLE: Final = 30.0
"""Seconds after which an unused connection is closed."""
CANCELLING: Final = 0.5
"""Seconds in which a healthy server ends a statement that is cancelled."""
LATE: Final = (
    "no answer came in time; nothing was stored. Another program may keep its rows or tables"
    " locked.\nEnd that program's transaction, and call again."
)

_UNKNOWN: Final = "\nWhat was being written may be stored or not: read it before relying on either."


@attrs.define(eq=False)
class _ConnectionCall(ThreadCall):
    work: Work[Any]
    writes: bool
    timeout: float
    """Seconds for it, from when it has a connection to itself."""
    retry_connect: bool
    """True to try again if the server cannot be reached."""


class ConnectionThread(JournalThread):
    """The thread.

    Args:
        name: Begins the message of each error.
        connect: Opens a connection.
        max_connections: Connections at the same time.
        timeout: Seconds for one piece of work.
        redact: Removes secrets from a message.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[Connection]],
        *,
        max_connections: int,
        timeout: float,
        redact: Callable[[str], str],
    ) -> None:
        super().__init__(name, "PostgresJournal")
        self._connect = connect
        self._timeout = timeout
        self._redact = redact
        self._idle: list[tuple[Connection, float]] = []
        """Each with the time since when it is idle, the longest first."""
        self._closing: asyncio.TimerHandle | None = None
        self._slots = asyncio.Semaphore(max_connections)
        self._end = asyncio.Event()
        # psycopg cannot use the default loop of Windows; this one exists everywhere.
        self._loop = asyncio.SelectorEventLoop()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the thread; no connection is opened yet."""
        self._thread.start()

    def submit(
        self,
        work: Work[T],
        *,
        writes: bool = False,
        timeout: float | None = None,
        retry_connect: bool = True,
    ) -> asyncio.Future[T]:
        """Return the future result of *work* on a connection, set once it is committed.

        If the future is cancelled, the work is done all the same. It raises `JournalError` if the
        work was not done, or may not have been.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        seconds = self._timeout if timeout is None else timeout
        call = _ConnectionCall(future, work, writes, seconds, retry_connect)
        self._require_own_process()
        with self._lock:
            self._require_open()
            self._loop.call_soon_threadsafe(self._begin, call)
        return future

    def _finish(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            with self._lock:
                self._closed = self._closed or ENDED

    async def _serve(self) -> None:
        await self._end.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._close_idle()

    def _begin(self, call: _ConnectionCall) -> None:
        self._spawn(self._answer(call))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: _ConnectionCall) -> None:
        try:
            with warn_if_slow(self._name):
                async with self._slots:
                    problem = await self._carry_out(call)
            call.problem = self._redact(problem)
        finally:
            answer(self._name, [call])

    async def _carry_out(self, call: _ConnectionCall) -> str:
        """Do the work of *call*. Return why that failed; empty if it did not."""
        until = time.monotonic() + call.timeout
        pause, longest = PAUSES
        uncertain = False
        while True:
            connection: Connection | None = None
            try:
                connection = await self._get_connection(until)
                call.result = await self._use(call.work, connection, until)
            except Exception as error:  # noqa: BLE001 - no error may pass for a success
                connected = connection is not None
                problem = explain_error(error, connected=connected)
                uncertain = uncertain or (connected and call.writes and is_uncertain(error))
                again = call.retry_connect and is_passing(error)
            else:
                return ""
            if not again or time.monotonic() + pause >= until:
                return problem + (_UNKNOWN if uncertain else "")
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _get_connection(self, until: float) -> Connection:
        if self._idle:
            return self._idle.pop()[0]
        async with asyncio.timeout(until - time.monotonic()):
            return await self._connect()

    async def _use(self, work: Work[T], connection: Connection, until: float) -> T:
        try:
            result = await _finish_in_time(work, connection, until - time.monotonic())
        except BaseException as error:
            await connection.close()
            if isinstance(error, psycopg.OperationalError):
                # The others are as old or older: a restart of the server has broken them all.
                await self._close_idle()
            raise
        self._idle.append((connection, time.monotonic()))
        if self._closing is None:
            self._closing = self._loop.call_later(IDLE, self._close_unused)
        return result

    def _close_unused(self) -> None:
        """Close the connections that have been idle for long; look again while there are others.

        A server or a pooler has few connections, and this process may be one of many.
        """
        now = time.monotonic()
        while self._idle and now - self._idle[0][1] >= IDLE:
            self._spawn(self._idle.pop(0)[0].close())
        self._closing = None
        if self._idle:
            seconds = IDLE - (now - self._idle[0][1])
            self._closing = self._loop.call_later(seconds, self._close_unused)

    async def _close_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            await connection.close()


async def _finish_in_time(work: Work[T], connection: Connection, seconds: float) -> T:
    """Return what *work* returns; raise `QueryTimeout` if it takes longer."""
    task = asyncio.ensure_future(work(connection))
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        await _break_off(connection, task)
        if isinstance(task.exception(), psycopg.errors.QueryCanceled):
            raise JournalError(LATE)
        if task.exception() is not None:
            raise QueryTimeout
    return task.result()


async def _break_off(connection: Connection, task: asyncio.Future[Any]) -> None:
    """Have the server cancel a statement; shut the connection down if the server does not answer.

    A server that waits for a lock does not notice that its client is gone: each call would leave a
    connection behind, until the server has no more of them.
    """
    with suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CANCELLING)
        await asyncio.wait({task}, timeout=CANCELLING)
    if not task.done():
        _shutdown(connection)
        await asyncio.wait({task})


def _shutdown(connection: Connection) -> None:
    """Wake the task that waits at the connection, which still has to be closed."""
    with (
        suppress(OSError, psycopg.Error),
        # Whatever the real family is, shutting down works.
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as duplicate,
    ):
        duplicate.shutdown(socket.SHUT_RDWR)

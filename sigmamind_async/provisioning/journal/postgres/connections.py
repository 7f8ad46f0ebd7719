"""Connections to one database, and the thread that owns them.

A connection belongs to one event loop, while a journal is used from several, some of which end
early or are kept busy by something else. So the connections have a loop of their own, in a thread
of their own. Whoever is cancelled while he waits learns nothing of it; the work is done all the
same, and no connection is left in the middle of a statement.

Work is carried out on one connection, in one statement or one transaction. Where the connection
breaks, nobody knows whether that was done. The work is then repeated on another one, for as long as
patience lasts, so all work given to this must leave the database the same done twice as done once.

Not psycopg's own pool: whoever waits for one of its connections is told that time is up, and not
what keeps the server from being reached; and after a restart of the server it makes pauses that
are longer than an operation's lease allows.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import psycopg

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.postgres.dsn import warn_if_slow
from sigmamind_async.provisioning.journal.postgres.errors import (
    QueryTimeout,
    explain,
    is_passing,
    is_uncertain,
)

T = TypeVar("T")
Connection: TypeAlias = psycopg.AsyncConnection
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

PAUSES: Final = (0.02, 0.5)
"""Seconds between two attempts to reach the server: the first pause doubles up to the last."""

IDLE: Final = 30.0
"""Seconds after which a connection that nobody needs is given back."""
CANCELLING: Final = 0.5
"""Seconds in which a server that is well ends a statement that it is asked to end."""
LATE: Final = (
    "no answer came in time; nothing was stored. Another program may keep its rows or tables"
    " locked.\nEnd that program's transaction, and call again."
)

_ENDED: Final = "the thread that writes it has ended.\nOpen the journal again."
_CLOSED: Final = "is closed.\nUse it inside of `async with`."
_FORKED: Final = (
    "was opened before this process was forked.\nMake a new PostgresJournal in each process."
)
_UNKNOWN: Final = "\nWhat was being written may be stored or not: read it before relying on either."


@attrs.frozen(eq=False)
class _Call:
    """One thing to do, and who waits for it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    writes: bool
    patience: float
    """Seconds for it, once it has its turn."""
    persistent: bool
    """Whether to try again where the server cannot be reached."""

    def tell(self, name: str, result: object, problem: str) -> None:
        """Answer from the thread, unless nobody is there to hear it."""
        with suppress(RuntimeError):  # the loop is closed
            self.future.get_loop().call_soon_threadsafe(self._settle, name, result, problem)

    def _settle(self, name: str, result: object, problem: str) -> None:
        if self.future.done():
            return
        if problem:
            self.future.set_exception(JournalError(f"{name}: {problem}"))
        else:
            self.future.set_result(result)


class ConnectionThread:
    """The thread, from `start` to `stop`; it is not started twice.

    Args:
        name: Begins the message of each error.
        connect: Makes one more connection.
        most: Connections at the same time.
        patience: Seconds for one piece of work.
        scrub: Takes secrets out of a message.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[Connection]],
        *,
        most: int,
        patience: float,
        scrub: Callable[[str], str],
    ) -> None:
        """Nothing happens yet."""
        self._name = name
        self._connect = connect
        self._patience = patience
        self._scrub = scrub
        self._idle: list[tuple[Connection, float]] = []
        """Each with the time since when it is; those that are longer come first."""
        self._alarm: asyncio.TimerHandle | None = None
        self._turns = asyncio.Semaphore(most)
        self._end = asyncio.Event()
        # Windows has loops that psycopg cannot use; this kind there is everywhere.
        self._loop = asyncio.SelectorEventLoop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        # Nothing may be given to the loop behind its end.
        self._door = threading.Lock()
        self._closed = ""
        self._pid = os.getpid()

    def start(self) -> None:
        """Start the thread; no connection is made yet."""
        self._thread.start()

    async def carry_out(
        self,
        work: Work[T],
        *,
        writes: bool = False,
        patience: float | None = None,
        persistent: bool = True,
    ) -> T:
        """Return what *work* returns on a connection, once it is committed.

        Whoever is cancelled meanwhile learns nothing of it; the work is done all the same. Raises
        `JournalError` when it was not done, or may not have been.
        """
        return await self.begin(work, writes=writes, patience=patience, persistent=persistent)

    def begin(
        self,
        work: Work[T],
        *,
        writes: bool = False,
        patience: float | None = None,
        persistent: bool = True,
    ) -> asyncio.Future[T]:
        """Return what `carry_out` waits for, for whoever is no task."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        seconds = self._patience if patience is None else patience
        self._submit(_Call(work, future, writes, seconds, persistent))
        return future

    async def stop(self) -> None:
        """Carry out what was asked for, and close all connections."""
        if os.getpid() != self._pid:  # a fork: the thread is in the other process
            return
        with self._door:
            if not self._closed:
                self._closed = _CLOSED
                self._loop.call_soon_threadsafe(self._end.set)
        await asyncio.to_thread(self._thread.join)

    def _submit(self, call: _Call) -> None:
        if os.getpid() != self._pid:
            raise JournalError(f"{self._name}: {_FORKED}")
        with self._door:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._begin, call)
                return
        raise JournalError(f"{self._name}: {self._closed}")

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            with self._door:
                self._closed = self._closed or _ENDED

    async def _serve(self) -> None:
        await self._end.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._forsake_idle()

    def _begin(self, call: _Call) -> None:
        task = self._loop.create_task(self._answer(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: _Call) -> None:
        result, problem = None, _ENDED
        try:
            with warn_if_slow(self._name):
                async with self._turns:
                    result, problem = await self._carried_out(call)
        finally:
            call.tell(self._name, result, self._scrub(problem))

    async def _carried_out(self, call: _Call) -> tuple[object, str]:
        """Return what the work has returned, and why it could not be done, if so."""
        until = time.monotonic() + call.patience
        pause, longest = PAUSES
        uncertain = False
        while True:
            connection: Connection | None = None
            try:
                connection = await self._connected(until)
                return await self._done(call.work, connection, until), ""
            except Exception as error:  # noqa: BLE001 - nobody may take it for a success
                connected = connection is not None
                problem = explain(error, connected=connected)
                uncertain = uncertain or (connected and call.writes and is_uncertain(error))
                again = call.persistent and is_passing(error)
            if not again or time.monotonic() + pause >= until:
                return None, problem + (_UNKNOWN if uncertain else "")
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _connected(self, until: float) -> Connection:
        if self._idle:
            return self._idle.pop()[0]
        async with asyncio.timeout(until - time.monotonic()):
            return await self._connect()

    async def _done(self, work: Work[T], connection: Connection, until: float) -> T:
        try:
            result = await _in_time(work, connection, until - time.monotonic())
        except BaseException as error:
            await connection.close()
            if isinstance(error, psycopg.OperationalError):
                # The others are as old or older: a restart of the server has broken them all.
                await self._forsake_idle()
            raise
        self._idle.append((connection, time.monotonic()))
        if self._alarm is None:
            self._alarm = self._loop.call_later(IDLE, self._give_back)
        return result

    def _give_back(self) -> None:
        """Close the connections that were not needed for long, and look again while there are any.

        A server, or a pooler, has few of them, and this process may be one of many.
        """
        now = time.monotonic()
        while self._idle and now - self._idle[0][1] >= IDLE:
            connection, _ = self._idle.pop(0)
            task = self._loop.create_task(connection.close())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._alarm = None
        if self._idle:
            seconds = IDLE - (now - self._idle[0][1])
            self._alarm = self._loop.call_later(seconds, self._give_back)

    async def _forsake_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            await connection.close()


async def _in_time(work: Work[T], connection: Connection, seconds: float) -> T:
    """Return what *work* returns; raise `QueryTimeout` where that takes longer."""
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
    """Have the server end a statement, and end the connection where the server does not answer.

    A server that waits for a lock would not see that nobody waits for it any more: each call would
    leave one of its connections behind, until it has no more of them.
    """
    with suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CANCELLING)
        await asyncio.wait({task}, timeout=CANCELLING)
    if not task.done():
        _shutdown(connection)
        await asyncio.wait({task})


def _shutdown(connection: Connection) -> None:
    """End the connection, of whatever family, for who waits at it; it still has to be closed."""
    with (
        suppress(OSError, psycopg.Error),
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)

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
import re
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import psycopg

from sigmamind_async.errors import JournalError
from sigmamind_async.per_loop import fork_count
from sigmamind_async.provisioning.journal.postgres.dsn import warn_if_slow
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
        if fork_count() != self._forks:
            raise self._refusal()
        with self._lock:
            if self._closed:
                raise self._refusal()
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


# --- what is wrong, and what to do, in words for a person -------------------------------------
#
# The server names what it refuses by five characters:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# Without a connection there are only libpq's own words.

_CHANGED: Final = (
    "its tables were changed or removed while it was open.\n"
    "Find out what did that; after an upgrade of the package, restart this process."
)

_SERVER_ERRORS: Final = {
    "25006": (
        "the server accepts no writes: it is a standby, or set to be read-only.\n"
        "Name the primary; target_session_attrs=read-write finds it among several hosts."
    ),
    "3F000": _CHANGED,
    "42703": _CHANGED,
    "42804": _CHANGED,
    "42846": _CHANGED,
    "42883": _CHANGED,
    "42P01": _CHANGED,
    "53100": (
        "the server's disk is full; nothing was stored.\nFree some space there, and call again."
    ),
    "53300": (
        "the server accepts no more connections.\n"
        "Raise its max_connections, or open this journal with fewer connections in each process."
    ),
    "55P03": (
        "another program keeps its rows or tables locked.\n"
        "End that program's transaction, and call again."
    ),
    "57014": (
        "the server cancelled the statement, by a time limit or at another session's request.\n"
        "Check statement_timeout of this user and database, and call again."
    ),
}

_ADVICE: Final = {
    # The first that fits counts: a missing file of certificates "does not exist" either.
    "root certificate|certificate verify failed": (
        "Set sslrootcert to the file of the authority that signed the server's certificate;"
        " sslrootcert=system trusts those of the system."
    ),
    "does not match host name": (
        "Name the server as its certificate does; hostaddr gives its address beside that."
    ),
    "definition of service": "Check ~/.pg_service.conf, or the file that PGSERVICEFILE names.",
    "certificate file|private key file": (
        "Check sslcert and sslkey, and whether this user may read the files."
    ),
    "does not exist": "Make the user and the database first, or name others.",
    "authentication failed": "Check user and password; ~/.pgpass and PGPASSWORD are used too.",
    "no password supplied": "Give the password: in the DSN, in PGPASSWORD or in ~/.pgpass.",
    "pg_hba.conf": "Have the server allow this user to connect from here, in its pg_hba.conf.",
    "permission denied for database": "Grant the user CONNECT on the database.",
    "too many clients|remaining connection slots": (
        "Raise the server's max_connections, or open fewer connections."
    ),
    "could not translate host name": "Check the host's name.",
}
"""What to do, by libpq's words as a pattern."""
_REACH: Final = "Check that the server runs there and can be reached from here, and call again."

_BROKEN: Final = ("08", "57P")
"""The connection ended, or the server does."""
_PASSING: Final = frozenset({"40001", "40P01", "53300"})
"""The server undid the statement because of another one, or is full at the moment."""


class QueryTimeout(psycopg.OperationalError):
    """No answer came in time."""


def is_passing(error: Exception) -> bool:
    """Return whether the same statement may succeed a moment later."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, QueryTimeout):
        return False
    return is_uncertain(error) or error.sqlstate in _PASSING


def is_uncertain(error: Exception) -> bool:
    """Return whether a statement that failed with *error* may have been carried out."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_BROKEN)


def explain_error(error: BaseException, *, connected: bool) -> str:
    """Return what is wrong and, in a second line, what to do.

    Args:
        error: The exception.
        connected: True if there was a connection.
    """
    match error:
        case JournalError():
            return error.message
        case UnicodeEncodeError():
            # Nothing has been sent.
            return f"{error.object!r} holds a lone surrogate, which UTF-8 cannot write"
        case psycopg.Error() if error.sqlstate is not None:
            return _explain_refusal(error, error.sqlstate)
        case psycopg.DataError():
            return "a key holds a NUL character, which PostgreSQL cannot store"
        case psycopg.OperationalError() | TimeoutError():
            return _explain_connection(error, connected=connected)
        case _:
            return (
                f"cannot be used: {type(error).__name__}: {error}.\n"
                "Look the error up, and open the journal again."
            )


def _explain_refusal(error: psycopg.Error, code: str) -> str:
    reason = error.diag.message_primary or "no reason given"
    if code == "42501" and "for database" in reason:
        return (
            f"this user may not make the journal's schema: {reason}.\n"
            f"Have the owner run GRANT CREATE ON DATABASE {reason.rsplit(maxsplit=1)[-1]} TO this"
            " user, or open the journal once as a user that may."
        )
    if code == "42501":
        return (
            f"this user does not have the right to do that: {reason}.\n"
            "Have the schema's owner grant it, or let that user open the journal."
        )
    return _SERVER_ERRORS.get(code) or (
        f"the server refuses: {reason} ({code}).\nLook the error up, and call again."
    )


def _explain_connection(error: BaseException, *, connected: bool) -> str:
    if isinstance(error, (QueryTimeout, TimeoutError)):
        reason = "no answer came in time"
    else:
        # Further lines repeat the same for each address that was tried.
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        reason = reason.rsplit("failed: ", maxsplit=1)[-1].removeprefix("FATAL:").strip()
    fitting = (advice for words, advice in _ADVICE.items() if re.search(words, str(error)))
    problem = "the connection was lost" if connected else "cannot be reached"
    return f"{problem}: {reason}.\n{next(fitting, _REACH)}"

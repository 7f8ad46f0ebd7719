"""A journal in a PostgreSQL database, for all workers of all machines that reach it.

A write is one statement (see `schema`), committed before it returns. If a connection breaks, the
answer is lost; the write is then repeated under the same id, which finds out whether it was stored,
so a row is reported as stored only when it is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, Final, TypeVar
from uuid import uuid4

import attrs

from sigmamind_async.provisioning.journal.postgres.connections import (
    Connection,
    ConnectionThread,
    Work,
)
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
from sigmamind_async.provisioning.journal.postgres.schema import NOW, PUT, migrate, with_schema
from sigmamind_async.provisioning.journal.protocol import PutResult, documented
from sigmamind_async.provisioning.journal.sql import POSTGRES, SqlJournal, Statements, to_columns
from sigmamind_async.provisioning.row import Row
from sigmamind_async.values import Secret, as_secret, check_count, check_seconds

T = TypeVar("T")

OPENING: Final = 60.0
"""Seconds for bringing earlier tables up to date."""
CLOCK_STALE: Final = 60.0
"""Seconds for which a reply is relied on: clocks drift apart by a few milliseconds meanwhile."""

_CLOCK: Final = f"SELECT {NOW}"
_PUT: Final = f"{PUT}, {NOW}"
_HEAD: Final = (
    "SELECT journal_id, incarnation <> {schema}.incarnation(),"  # noqa: S608 - all of it is ours
    f" (SELECT max(updated_at) FROM {{schema}}.operations), {NOW} FROM {{schema}}.journal"
)
_OPENED: Final = "UPDATE {schema}.journal SET openings = openings + 1"


@documented
class PostgresJournal(SqlJournal):
    """A `Journal` in a schema of a PostgreSQL database, version 14 or later.

        async with PostgresJournal("postgresql://user@db.example/orders") as journal: ...

    Any number of processes on any number of machines may have it open, and in each of them any
    number of tasks, threads and event loops may use it. Each process opens its own: a journal that
    was opened before a fork refuses to be used after it. The first process to open it makes the
    schema, and the first with a later version of this package brings it up to date; an earlier
    version refuses to open it then. A user who may not create schemas needs one made by another.

    A row that a process was sending when it ended is left to its lease. Leases, and all other times
    in the rows, are by the clock of the database (see `now`), so the workers' clocks do not matter.

    Every method raises `JournalError` if the journal is not open or the database does not carry
    the call out; the journal stays usable, and a call that failed can be repeated once the cause
    is gone. A write that failed has been stored only if the message says that it may have been.

    Args:
        dsn: The database, as ``postgresql://user:password@host:port/name`` or as
            ``host=... dbname=...``. What it leaves out comes from libpq's environment variables and
            password file.
        schema: Name of the schema: lower-case letters, digits and underscores.
        connections: Most connections of this process at the same time.
        timeout: Seconds for one call once it has a connection to itself; within them a connection
            that breaks is opened again.
        read_only: Read while others write: makes no schema, and refuses every write.
        monotonic: The clock between two looks at that of the database.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    _statements: ClassVar[Statements] = POSTGRES

    def __init__(
        self,
        dsn: str | Secret = "",
        *,
        schema: str = "sigmamind",
        connections: int = 8,
        timeout: float = 5.0,
        read_only: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        dsn = as_secret(dsn)
        check_count("connections", connections)
        check_seconds("timeout", timeout)
        self._target = parse_dsn(dsn, schema)
        super().__init__(self._target.name, read_only=read_only)
        self._max_connections = connections
        self._timeout = timeout
        self.clock: DatabaseClock = DatabaseClock(monotonic)
        """What is known of the database's clock; work given to `run` may teach it more."""
        self._thread: ConnectionThread | None = None

    # --- opening and closing -----------------------------------------------------------------

    async def open(self) -> None:
        """Make or open the schema, and prove that it can be written to."""
        self._require_closed(self._thread)
        self._thread = thread = ConnectionThread(
            self._name,
            self._target.connect,
            max_connections=self._max_connections,
            timeout=self._timeout,
            redact=self._target.redact,
        )
        thread.start()
        try:
            # Opening fails at once rather than waiting for a server that may come up.
            await thread.submit(self._begin, timeout=OPENING, retry_connect=False)
        except BaseException:
            self._thread = None
            await thread.stop()
            raise

    async def close(self) -> None:
        """Finish what was requested, and disconnect; may be called any number of times."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.stop()

    async def _begin(self, connection: Connection) -> None:
        await migrate(connection, self._target.schema, read_only=self._read_only)
        if not self._read_only:
            # A full disk, or a missing right, shows now and not after a purchase.
            await connection.execute(self.sql(_OPENED))
        [(journal_id, moved, latest)] = await self._fetch_timed(connection, _HEAD)
        self._journal_id, self._latest = journal_id, max(self._latest, latest or 0.0)
        # The database is not the one that the journal was made in, as after a restore.
        self._may_be_a_copy = bool(moved)

    # --- rows --------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch.

        It is accurate to half the time that the server takes to answer, and checked with each
        write, and once a minute if there are only reads. Keep that clock itself right: if it is
        set, leases that run end early or late by as much.
        """
        self._require_opened()
        return self.clock.now()

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row* unless a rule forbids it; see `Journal.put`.

        A write that need not be durable has been made when this returns, and is lost only if the
        server itself fails within a second. Also raises `JournalError` for a row with what cannot
        be written: a lone surrogate or a NUL in one of its keys, or a value without a JSON form.
        """
        values = (*to_columns(row), uuid4(), max_purchases, durable)

        async def work(connection: Connection) -> str:
            [(verdict,)] = await self._fetch_timed(connection, _PUT, *values)
            return str(verdict)

        thread = self._thread_to_write()
        result = PutResult[(await thread.submit(work, writes=True)).upper()]
        if result is PutResult.STORED:
            self._latest = max(self._latest, row.updated_at)
        return result

    # --- other tables of the schema ----------------------------------------------------------

    def sql(self, text: str) -> bytes:
        """Return the statement *text*, in which ``{schema}`` stands for the journal's schema."""
        return with_schema(text, self._target.schema)

    def run(self, work: Work[T], *, timeout: float | None = None) -> asyncio.Future[T]:
        """Run *work* on one of the journal's connections, for tables that are not the journal's.

        It is repeated if the connection breaks, so it must be idempotent. *timeout* is in seconds,
        the journal's own by default. Raises `JournalError` at once if the journal is not open for
        writing; the future raises it if the work was not done, or may not have been.
        """
        return self._thread_to_write().submit(work, timeout=timeout)

    # --- to the thread -----------------------------------------------------------------------

    async def _query(
        self, statement: str, values: Sequence[object], convert: Callable[[list[Any]], T]
    ) -> T:
        async def work(connection: Connection) -> T:
            if self.clock.is_stale:
                await self._fetch_timed(connection, _CLOCK)
            cursor = await connection.execute(self.sql(statement), values or None)
            return convert(await cursor.fetchall())

        return await self._open_thread().submit(work)

    async def _execute(
        self,
        statement: str,
        *values: object,
        durable: bool = True,  # noqa: ARG002 - one setting serves all statements
    ) -> None:
        await self._thread_to_write().submit(
            lambda connection: connection.execute(self.sql(statement), values), writes=True
        )

    async def _fetch_timed(
        self, connection: Connection, statement: str, *values: object
    ) -> list[Any]:
        """Return the rows found without their last column, the time, which the clock learns."""
        asked = self.clock.monotonic()
        cursor = await connection.execute(self.sql(statement), values or None)
        rows = await cursor.fetchall()
        self.clock.learn(asked, rows[0][-1], self.clock.monotonic())
        return [row[:-1] for row in rows]

    @staticmethod
    def _as_value(texts: Collection[str]) -> list[str]:
        # The database holds no NUL and no surrogate, so these texts are in no row.
        return [text for text in texts if _can_be_stored(text)]

    def _thread_to_write(self) -> ConnectionThread:
        thread = self._open_thread()
        self._require_writable()
        return thread

    def _open_thread(self) -> ConnectionThread:
        if self._thread is None:
            raise self._not_open()
        return self._thread


def _can_be_stored(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@attrs.define(eq=False)
class DatabaseClock:
    """Seconds since the epoch, by the clock of the database.

    Workers on many machines judge one another's leases, so they go by one clock. Each knows it from
    replies: a reply between two times here bounds the difference between the clocks. The difference
    that is known is kept as long as it agrees with the bounds, and otherwise moved as little as
    needed. So a slow reply, with wide bounds, moves nothing, while a clock that drifts is followed.

    Between replies the process's own monotonic clock is used. On a machine that sleeps it may stop,
    and this clock is then slow until the next reply: a lease is found to last longer than it does.
    """

    monotonic: Callable[[], float] = time.monotonic
    _offset: float | None = None
    _learned_at: float = -math.inf

    def now(self) -> float:
        """Return the time there; the monotonic one as long as nothing is known."""
        return self.monotonic() + (self._offset or 0.0)

    @property
    def is_stale(self) -> bool:
        """True if the last reply is too old."""
        return self.monotonic() - self._learned_at > CLOCK_STALE

    def learn(self, asked: float, shown: float, answered: float) -> None:
        """Record that the clock there showed *shown* between two times of `monotonic` here."""
        lowest, highest = shown - answered, shown - asked
        if self._offset is None:
            self._offset = (lowest + highest) / 2
        else:
            self._offset = min(max(self._offset, lowest), highest)
        self._learned_at = answered

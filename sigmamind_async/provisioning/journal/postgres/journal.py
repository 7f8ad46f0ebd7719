"""A journal in a PostgreSQL database, for all workers of all machines that reach it.

A write is one statement (see `tables`), committed before it returns. A connection that breaks takes
the answer with it; the write is then made again under the same id, which finds out whether it is
there, so that a row is called stored only when it is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

from sigmamind_async.errors import ConfigurationError, JournalError
from sigmamind_async.provisioning.journal.columns import COLUMNS, from_columns, to_columns
from sigmamind_async.provisioning.journal.postgres.clock import DatabaseClock
from sigmamind_async.provisioning.journal.postgres.connections import (
    Connection,
    ConnectionThread,
    Work,
)
from sigmamind_async.provisioning.journal.postgres.dsn import target_of
from sigmamind_async.provisioning.journal.postgres.rates import CUT, HASTE, TAKE, News, Told, taken
from sigmamind_async.provisioning.journal.postgres.schema import prepare, rendered
from sigmamind_async.provisioning.journal.protocol import Counts, PutResult
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import Secret, as_secret

T = TypeVar("T")

OPENING: Final = 60.0
"""Seconds for bringing older tables up to date."""

NAMES: Final = ", ".join(COLUMNS)
ROWS: Final = f"SELECT {NAMES} FROM {{schema}}.operations WHERE account = %s"  # noqa: S608 - all of it is ours
_ONE: Final = f"{ROWS} AND op_id = %s"
_IN_STATES: Final = f"{ROWS} AND state = ANY(%s) ORDER BY place"
_WITH_TOKENS: Final = f"{ROWS} AND token = ANY(%s) ORDER BY place"
# The conditions of the indexes are written out, or the server would not use them.
_WITH_KEY: Final = (
    f"{ROWS} AND key = %s AND key <> ''"
    " AND (state IN ('sending', 'unconfirmed') OR unconfirmed_since > %s)"
    " ORDER BY place"
)
_TAGGED: Final = f"{ROWS} AND state = 'done' AND tagged AND updated_at < %s ORDER BY place"

TIME: Final = "extract(epoch FROM clock_timestamp())::double precision"
_CLOCK: Final = f"SELECT {TIME}"
PUT: Final = (
    f"SELECT {{schema}}.put(ROW({', '.join(['%s'] * (len(COLUMNS) + 1))}, NULL)"
    f"::{{schema}}.operations, %s, %s), {TIME}"
)
_STATES: Final = "SELECT state, count(*) FROM {schema}.operations WHERE account = %s GROUP BY state"
_BOUGHT: Final = "SELECT purchase_count FROM {schema}.accounts WHERE account = %s"
_HEAD: Final = (
    "SELECT journal_id, incarnation <> {schema}.incarnation(),"  # noqa: S608 - likewise
    f" (SELECT max(updated_at) FROM {{schema}}.operations), {TIME} FROM {{schema}}.journal"
)
_OPENED: Final = "UPDATE {schema}.journal SET openings = openings + 1"
_NOTES: Final = "SELECT name, text FROM {schema}.notes"
_NOTE: Final = (
    "INSERT INTO {schema}.notes (name, text) VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET text = excluded.text"
)
_FORGET: Final = "DELETE FROM {schema}.notes WHERE name = %s"
_SEALS: Final = "SELECT seal FROM {schema}.seals WHERE account = %s"
_SEAL: Final = "INSERT INTO {schema}.seals (account, seal) VALUES (%s, %s) ON CONFLICT DO NOTHING"


class PostgresJournal:
    """A `Journal` in a schema of a PostgreSQL database, version 14 or later.

        async with PostgresJournal("postgresql://user@db.example/orders") as journal: ...

    Any number of processes of any number of machines may have it open, and in each of them any
    number of tasks, threads and event loops may use it. Each process opens its own: what was opened
    before a fork refuses to be used after it. The first to open it makes the schema, and the first
    of a later version of this package brings it up to date; an earlier version refuses to open
    what a later one has made. A user who may not create schemas needs one that is made for him.

    What is being sent when a process ends is left to its lease. Leases, and all other times in the
    rows, are by the clock of the database (see `now`), so the clocks of the workers do not matter.

    Every method raises `JournalError` when the journal is not open or the database does not do what
    is asked; it stays usable, and what failed can be called again once the cause is gone. A write
    that ended so has been stored only where the message says that it may have been.

    Args:
        dsn: Where the database is, as ``postgresql://user:password@host:port/name`` or as
            ``host=... dbname=...``. What it leaves out is taken from the environment variables and
            password file of libpq.
        schema: Name of the schema: lower-case letters, digits and underscores.
        connections: Most connections of this process at the same time.
        timeout: Seconds for one call once it has a connection to itself, in which a connection that
            breaks is made again.
        read_only: Look on while others write: makes no schema, and refuses every write.
        monotonic: The clock between two looks at that of the database.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

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
        """Nothing is opened yet."""
        dsn = as_secret(dsn)
        _check(connections, timeout)
        self._target = target_of(dsn, schema)
        self._connections = connections
        self._timeout = timeout
        self._read_only = read_only
        self._clock = DatabaseClock(monotonic)
        self._sql = partial(rendered, schema=schema)
        self._lines: ConnectionThread | None = None
        self._journal_id = ""
        self._latest = 0.0
        self._may_be_a_copy = True

    # --- opening and closing -----------------------------------------------------------------

    async def open(self) -> None:
        """Make or open the schema, and prove that it can be written to."""
        if self._lines is not None:
            raise self._error("is open already.\nUse one journal for all tasks, or close it first.")
        self._lines = lines = ConnectionThread(
            self._target.name,
            self._target.connect,
            most=self._connections,
            patience=self._timeout,
            scrub=self._target.scrubbed,
        )
        lines.start()
        try:
            # Whoever opens it waits for an answer, and not for a server that may come up.
            await lines.carry_out(self._begin, patience=OPENING, persistent=False)
        except BaseException:
            self._lines = None
            await lines.stop()
            raise

    async def close(self) -> None:
        """Finish what was asked for, and hang up; to be called any number of times."""
        lines, self._lines = self._lines, None
        if lines is not None:
            await lines.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _begin(self, connection: Connection) -> None:
        await prepare(connection, self._target.schema, read_only=self._read_only)
        if not self._read_only:
            # A full disk, or a missing right, shows now and not after a purchase.
            await connection.execute(self._sql(_OPENED))
        asked = self._clock.monotonic()
        [(journal_id, moved, latest, told)] = await _rows(connection, self._sql(_HEAD))
        self._clock.learn(asked, told, self._clock.monotonic())
        self._journal_id, self._latest = journal_id, max(self._latest, latest or 0.0)
        self._may_be_a_copy = bool(moved)

    # --- rows --------------------------------------------------------------------------------

    @property
    def journal_id(self) -> str:
        """A random text, made with the journal; not secret. Known once it has been opened."""
        if not self._journal_id:
            raise self._not_open()
        return self._journal_id

    @property
    def may_be_a_copy(self) -> bool:
        """Whether the database is not the one that it was made in, as after a restore."""
        if not self._journal_id:
            raise self._not_open()
        return self._may_be_a_copy

    @property
    def latest(self) -> float:
        """The time of the latest write, by this process or, before this was opened, by any.

        What others write meanwhile is not in it: they go by the same clock.
        """
        if not self._journal_id:
            raise self._not_open()
        return self._latest

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch.

        It is known to within half the time that the server takes to answer, and looked at with
        each write, and once a minute where only reads are made. Keep that clock itself right: when
        it is set, leases that run end early or late by as much.
        """
        if not self._journal_id:
            raise self._not_open()
        return self._clock.now()

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of an operation."""
        rows = await self._found(_ONE, account, op_id)
        return rows[0] if rows else None

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row*, if nothing speaks against it; see `Journal.put`.

        A write that need not be durable is made when this returns, and lost only where the server
        itself fails within a second. Raises `JournalError` for a row that holds what cannot be
        written too: a lone surrogate or a NUL in one of its keys, or a value without a JSON form.
        """
        values = (*to_columns(row), uuid4(), max_purchases, durable)
        verdict = await self._write(partial(self._put, values))
        written = PutResult[verdict.upper()]
        if written is PutResult.STORED:
            self._latest = max(self._latest, row.updated_at)
        return written

    async def _put(self, values: tuple[object, ...], connection: Connection) -> str:
        asked = self._clock.monotonic()
        [(verdict, told)] = await _rows(connection, self._sql(PUT), *values)
        self._clock.learn(asked, told, self._clock.monotonic())
        return str(verdict)

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        """Return all rows in one of *states*, oldest first."""
        return await self._found(_IN_STATES, account, [state.value for state in states])

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        """Return the rows that have one of *tokens*, oldest first."""
        return await self._found(_WITH_TOKENS, account, [*filter(_can_be_written, tokens)])

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        """Return the rows of a number that are unsettled, or whose doubt began after *since*."""
        return await self._found(_WITH_KEY, account, key, since)

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        """Return the done rows whose label still carries a tag, and that were settled *before*."""
        return await self._found(_TAGGED, account, before)

    async def counts(self, account: str) -> Counts:
        """Return how many rows are in which state."""

        async def work(connection: Connection) -> Counts:
            states = await _rows(connection, self._sql(_STATES), account)
            bought = await _rows(connection, self._sql(_BOUGHT), account)
            return Counts(
                {State(state): count for state, count in states}, bought[0][0] if bought else 0
            )

        return await self._read(work)

    # --- notes and seals ---------------------------------------------------------------------

    async def notes(self) -> dict[str, str]:
        """Return what was noted, by name."""
        return dict(await self._read(lambda connection: _rows(connection, self._sql(_NOTES))))

    async def note(self, name: str, text: str | None) -> None:
        """Keep *text* under *name*, or nothing any more."""
        if text is None:
            await self._execute(_FORGET, name)
        else:
            await self._execute(_NOTE, name, text)

    async def seals(self, account: str) -> frozenset[str]:
        """Return the seals of the API keys that the account was used with."""
        found = await self._read(lambda connection: _rows(connection, self._sql(_SEALS), account))
        return frozenset(seal for (seal,) in found)

    async def add_seal(self, account: str, seal: str) -> None:
        """Remember the seal of one more API key."""
        await self._execute(_SEAL, account, seal)

    # --- the account's rate ------------------------------------------------------------------

    def take(self, account: str, news: News) -> asyncio.Future[Told]:
        """Tell *news* about the account's rate, and ask for requests that may go; see `rate`.

        The answer comes within a second, or is a `JournalError`, unless all connections are busy.
        Raises `JournalError` at once where the journal cannot be written to.
        """
        queries = self._sql(TAKE), self._sql(CUT)
        work = partial(taken, self._clock, queries, account, news)
        return self._open_to_write().begin(work, patience=HASTE)

    # --- to the thread -----------------------------------------------------------------------

    async def _found(self, query: str, *values: object) -> list[Row]:
        async def work(connection: Connection) -> list[Row]:
            found = await _rows(connection, self._sql(query), *values)
            return [from_columns(columns) for columns in found]

        return await self._read(work)

    async def _execute(self, statement: str, *values: object) -> None:
        await self._write(lambda connection: connection.execute(self._sql(statement), values))

    async def _read(self, work: Work[T]) -> T:
        async def on_time(connection: Connection) -> T:
            if self._clock.is_stale:
                asked = self._clock.monotonic()
                [(told,)] = await _rows(connection, _CLOCK.encode())
                self._clock.learn(asked, told, self._clock.monotonic())
            return await work(connection)

        return await self._open_lines().carry_out(on_time)

    async def _write(self, work: Work[T]) -> T:
        return await self._open_to_write().carry_out(work, writes=True)

    def _open_to_write(self) -> ConnectionThread:
        lines = self._open_lines()
        if self._read_only:
            raise self._error("was opened with read_only=True.\nOpen it without to write to it.")
        return lines

    def _open_lines(self) -> ConnectionThread:
        if self._lines is None:
            raise self._not_open()
        return self._lines

    def _not_open(self) -> JournalError:
        return self._error("is not open.\nUse it inside of `async with`.")

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"{self._target.name}: {problem}")


async def _rows(connection: Connection, query: bytes, *values: object) -> list[Any]:
    cursor = await connection.execute(query, values or None)
    return await cursor.fetchall()


def _can_be_written(text: str) -> bool:
    """Return whether the database can hold *text*, so that it may be looked for there."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _check(connections: object, timeout: object) -> None:
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        raise ConfigurationError("connections: must be a whole number from 1")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ConfigurationError("timeout: must be a number of seconds")
    if not 0 < timeout < math.inf:
        raise ConfigurationError("timeout: must be more than 0 seconds, and finite")

"""A journal in one SQLite file, for all tasks of a process or all processes of a machine.

Every write is on the disk before it returns: a write-ahead log with ``synchronous=FULL``. Writes
that come at the same time share one commit (see `writer`), so the disk is waited for once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.events import OwnerLost
from sigmamind_async.provisioning.journal.columns import COLUMNS, Values, from_columns, to_columns
from sigmamind_async.provisioning.journal.protocol import Counts, PutResult
from sigmamind_async.provisioning.journal.sqlite.file import JournalFile
from sigmamind_async.provisioning.journal.sqlite.reader import DirectReader
from sigmamind_async.provisioning.journal.sqlite.writer import Writer
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.provisioning.transitions import Policy, advance

T = TypeVar("T")

_NAMES: Final = ", ".join(COLUMNS)
_ROWS: Final = f"SELECT {_NAMES} FROM operations WHERE account = ?"  # noqa: S608 - all of it is ours

_ONE: Final = f"{_ROWS} AND op_id = ?"
_LIST: Final = "(SELECT value FROM json_each(?)) ORDER BY rowid"
_IN_STATES: Final = f"{_ROWS} AND state IN {_LIST}"
_WITH_TOKENS: Final = f"{_ROWS} AND token IN {_LIST}"
# The conditions of the indexes are written out, or SQLite would not use them.
_WITH_KEY: Final = (
    f"{_ROWS} AND key = ? AND key != ''"
    " AND (state IN ('sending', 'unconfirmed') OR unconfirmed_since > ?)"
    " ORDER BY rowid"
)
_TAGGED: Final = f"{_ROWS} AND state = 'done' AND tagged AND updated_at < ? ORDER BY rowid"
_SENDING: Final = f"SELECT {_NAMES} FROM operations WHERE state = 'sending'"  # noqa: S608 - likewise

_STORED: Final = "SELECT version, purchase_count FROM operations WHERE account = ? AND op_id = ?"
_WRITE: Final = (
    f"INSERT INTO operations ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - likewise
    " ON CONFLICT (account, op_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
)
_KEY_TAKEN: Final = (
    "SELECT 1 FROM operations WHERE account = ? AND key = ? AND key != '' AND op_id != ?"
    " AND state IN ('sending', 'unconfirmed')"
)
_COUNT: Final = (
    "INSERT INTO accounts (account, purchase_count, latest) VALUES (?, ?, ?) ON CONFLICT (account)"
    " DO UPDATE SET purchase_count = purchase_count + excluded.purchase_count,"
    " latest = max(latest, excluded.latest)"
)
_BOUGHT: Final = "SELECT purchase_count FROM accounts WHERE account = ?"
_STATES: Final = "SELECT state, count(*) FROM operations WHERE account = ? GROUP BY state"
_NOTE: Final = "INSERT OR REPLACE INTO notes (name, text) VALUES (?, ?)"
_FORGET: Final = "DELETE FROM notes WHERE name = ?"
_HEAD: Final = "SELECT journal_id, openings, (SELECT max(latest) FROM accounts) FROM journal"


class SqliteJournal:
    """A `Journal` in a file.

        async with SqliteJournal("orders.db") as journal: ...

    The file and the ones that SQLite puts beside it can be read by their owner only. One process
    has the journal at a time, which ``orders.db-lock`` tells to others; what an earlier one was
    sending when it ended is put in doubt at opening. Any number of tasks, threads and event loops
    of a process may use one journal. Every method raises `JournalError` when the journal is not
    open, or the disk or the file does not allow what is asked; it stays usable, and what failed can
    be called again once the cause is gone.

    Args:
        path: The file; its folder must exist, on a disk of this machine.
        shared: Let several processes of one machine write to it, all of which say so. Rows in
            state ``SENDING`` are left to the leases then. On Windows they are kept apart by
            SQLite's own locks alone.
        read_only: Look on while another process writes: takes no lock, makes no journal, and
            refuses every write.
        restored: Open what is older than it is known to have been, a copy that was put back for
            instance, which is a `JournalError` otherwise.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shared: bool = False,
        read_only: bool = False,
        restored: bool = False,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is opened yet."""
        self._path = Path(path)
        self._shared = shared
        self._read_only = read_only
        self._wall_clock = wall_clock
        self._file = JournalFile(self._path, shared=shared, read_only=read_only, restored=restored)
        self._writer: Writer | None = None
        self._glance: DirectReader | None = None
        self._journal_id = ""
        self._latest = 0.0
        self._may_be_a_copy = True

    # --- opening and closing -----------------------------------------------------------------

    async def open(self) -> None:
        """Make or open the file, and prove that it can be written to."""
        if self._writer is not None:
            raise self._error("is open already.\nUse one journal for all tasks, or close it first.")
        self._writer = writer = Writer(str(self._path), self._file)
        try:
            await writer.start()
            self._journal_id, openings, self._latest = await writer.carry_out(
                self._begin, writes=not self._read_only
            )
            self._may_be_a_copy = openings != 1
        except BaseException:
            self._writer = None
            await writer.stop()
            raise
        if not self._read_only:
            self._glance = DirectReader(self._file.second)

    async def close(self) -> None:
        """Finish what was asked for, and close the file; to be called any number of times."""
        glance, self._glance = self._glance, None
        if glance is not None:
            glance.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()

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

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the journal as it is now into a new file that only its owner can read.

        Writes go on meanwhile. The copy is a journal like this one, with the same id. Raises
        `JournalError` where *path* exists, or the copy cannot be written.
        """
        await self._read(lambda _: None)
        problem = await asyncio.to_thread(self._copied, Path(path))
        if problem:
            raise self._error(f"cannot be copied to {path}: {problem}")

    def _copied(self, path: Path) -> str:
        """Copy, and return why that failed, if so."""
        try:
            self._file.copy(path.absolute())
        except FileExistsError:
            return "exists already, and was left as it is.\nName a new file."
        except Exception as error:  # noqa: BLE001 - told as a JournalError
            return self._file.explain(error)
        return ""

    def _begin(self, database: sqlite3.Connection) -> tuple[str, int, float]:
        """Return id, count of openings and latest time."""
        journal_id, openings, latest = database.execute(_HEAD).fetchone()
        if not (self._read_only or self._shared):
            # The clock may have been set back; the doubt must not begin before its attempt.
            latest = self._abandon(database, max(self._wall_clock(), latest or 0.0)) or latest
        return journal_id, openings, latest or 0.0

    def _abandon(self, database: sqlite3.Connection, now: float) -> float | None:
        """Put in doubt whatever is being sent; return *now* if there was something.

        The lock is ours alone, so whoever was sending it is gone.
        """
        rows = _read_all(database.execute(_SENDING).fetchall())
        for row in rows:
            moved = advance(row, OwnerLost(), now, Policy()).row
            _put(database, moved, to_columns(moved), None)
        return now if rows else None

    # --- rows --------------------------------------------------------------------------------

    @property
    def journal_id(self) -> str:
        """A random text, made with the journal; not secret. Known once it has been opened."""
        if not self._journal_id:
            raise self._not_open()
        return self._journal_id

    @property
    def may_be_a_copy(self) -> bool:
        """Whether it may be older than it was: always, unless it was made when it was opened."""
        if not self._journal_id:
            raise self._not_open()
        return self._may_be_a_copy

    @property
    def latest(self) -> float:
        """The time of the latest write, of whoever wrote before this process or in it."""
        if not self._journal_id:
            raise self._not_open()
        return self._latest

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of an operation."""
        glance, found = self._glance, None
        # Where many ask at once they share the hand-over, and the loop has better things to do.
        if glance is not None and self._open_writer().is_idle:
            found = glance.row(_ONE, account, op_id)
        if found is not None:
            return from_columns(found[0]) if found else None
        rows = await self._rows(_ONE, account, op_id)
        return rows[0] if rows else None

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row*, if nothing speaks against it; see `Journal.put`.

        Raises `JournalError` for a row that holds what cannot be written too: a lone surrogate in
        one of its keys, or a value without a JSON form.
        """
        columns = to_columns(row)

        def work(database: sqlite3.Connection) -> PutResult:
            written = _put(database, row, columns, max_purchases)
            if written is PutResult.STORED:
                # Should the commit fail yet, then this is late by one write, and harmless.
                self._latest = max(self._latest, row.updated_at)
            return written

        if self._glance is None:
            return await self._write(work)
        over = self._glance.unwritten(row.account, row.op_id)
        if durable:
            return await self._write(work, over)
        self._open_writer().post(work, over)
        return PutResult.STORED

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        """Return all rows in one of *states*, oldest first."""
        return await self._rows(_IN_STATES, account, _listed(state.value for state in states))

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        """Return the rows that have one of *tokens*, oldest first."""
        return await self._rows(_WITH_TOKENS, account, _listed(tokens))

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        """Return the rows of a number that are unsettled, or whose doubt began after *since*."""
        return await self._rows(_WITH_KEY, account, key, since)

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        """Return the done rows whose label still carries a tag, and that were settled *before*."""
        return await self._rows(_TAGGED, account, before)

    async def counts(self, account: str) -> Counts:
        """Return how many rows are in which state."""

        def work(database: sqlite3.Connection) -> Counts:
            states = database.execute(_STATES, (account,)).fetchall()
            return Counts(
                {State(state): count for state, count in states}, _bought(database, account)
            )

        return await self._read(work)

    # --- notes and seals ---------------------------------------------------------------------

    async def last_applied(self) -> dict[str, str]:
        """Return the last applied state of each row of a fleet, by row id."""
        query = "SELECT name, text FROM notes"
        return dict(await self._read(lambda database: database.execute(query).fetchall()))

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        """Store the last applied state of a fleet's row, or remove it."""
        statement = _FORGET if text is None else _NOTE
        values = (row_id,) if text is None else (row_id, text)
        self._writable().post(lambda database: database.execute(statement, values).close())

    async def seals(self, account: str) -> frozenset[str]:
        """Return the seals of the API keys that the account was used with."""
        query = "SELECT seal FROM seals WHERE account = ?"
        found = await self._read(lambda database: database.execute(query, (account,)).fetchall())
        return frozenset(seal for (seal,) in found)

    async def add_seal(self, account: str, seal: str) -> None:
        """Remember the seal of one more API key."""
        statement = "INSERT OR IGNORE INTO seals (account, seal) VALUES (?, ?)"
        await self._write(lambda database: database.execute(statement, (account, seal)).close())

    # --- to the thread -----------------------------------------------------------------------

    async def _rows(self, query: str, *values: object) -> list[Row]:
        return await self._read(
            lambda database: _read_all(database.execute(query, values).fetchall())
        )

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._open_writer().carry_out(work)

    async def _write(
        self, work: Callable[[sqlite3.Connection], T], over: Callable[[], None] | None = None
    ) -> T:
        return await self._writable().carry_out(work, writes=True, over=over)

    def _writable(self) -> Writer:
        writer = self._open_writer()
        if self._read_only:
            raise self._error("was opened with read_only=True.\nOpen it without to write to it.")
        return writer

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise self._not_open()
        return self._writer

    def _not_open(self) -> JournalError:
        return self._error("is not open.\nUse it inside of `async with`.")

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"{self._path}: {problem}")


def _put(
    database: sqlite3.Connection, row: Row, columns: Values, max_purchases: int | None
) -> PutResult:
    """Write one row in the transaction that is open, or nothing of it."""
    stored = database.execute(_STORED, (row.account, row.op_id)).fetchone()
    version, bought = stored or (0, 0)
    if row.version != version + 1:
        return PutResult.STALE
    more = row.purchase_count - bought
    spent = max_purchases is not None and _bought(database, row.account) + more > max_purchases
    if more > 0 and spent:
        return PutResult.KEY_IN_USE if _is_taken(database, row) else PutResult.LIMIT_REACHED
    try:
        database.execute(_WRITE, columns)
    except sqlite3.IntegrityError as error:
        # It undoes its own statement and nothing else: the transaction goes on without a savepoint.
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        return PutResult.KEY_IN_USE
    database.execute(_COUNT, (row.account, more, row.updated_at))
    return PutResult.STORED


def _is_taken(database: sqlite3.Connection, row: Row) -> bool:
    """Return whether another unsettled operation has the key that *row* needs."""
    found = database.execute(_KEY_TAKEN, (row.account, row.key, row.op_id)).fetchone()
    return row.state in UNSETTLED and found is not None


def _bought(database: sqlite3.Connection, account: str) -> int:
    found = database.execute(_BOUGHT, (account,)).fetchone()
    return int(found[0]) if found else 0


def _read_all(found: Iterable[Values]) -> list[Row]:
    return [from_columns(values) for values in found]


def _listed(texts: Iterable[str]) -> str:
    """Return *texts* as one value for ``json_each``: a statement has a limit of values."""
    return json.dumps(list(texts))

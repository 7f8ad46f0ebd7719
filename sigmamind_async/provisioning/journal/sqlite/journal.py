"""A journal in one SQLite file, for all tasks of a process or all processes of a machine.

Every write is on the disk before it returns: a write-ahead log with ``synchronous=FULL``. Writes
that arrive together share one commit (see `writer`), and so one wait for the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.per_loop import fork_count
from sigmamind_async.provisioning.journal.protocol import PutResult, check_put, documented
from sigmamind_async.provisioning.journal.sql import (
    COLUMNS,
    HAS_KEY,
    IS_UNSETTLED,
    MAY_BE_UNSETTLED,
    NAMES,
    SQLITE,
    UPDATES,
    SqlJournal,
    Statements,
    Values,
    from_columns,
    read_rows,
    to_columns,
)
from sigmamind_async.provisioning.journal.sqlite.explanation import explain_error
from sigmamind_async.provisioning.journal.sqlite.file import JournalFile
from sigmamind_async.provisioning.journal.sqlite.writer import Writer
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import check_flag

# ruff: noqa: S608 - every part of a statement is a constant of ours

T = TypeVar("T")

_SENDING: Final = (
    f"SELECT {NAMES} FROM operations WHERE {MAY_BE_UNSETTLED} AND state = '{State.SENDING.value}'"
)
_STORED: Final = "SELECT version, purchase_count FROM operations WHERE account = ? AND op_id = ?"
_KEY_IN_USE: Final = (
    f"SELECT 1 FROM operations WHERE account = ? AND key = ? AND {HAS_KEY} AND op_id <> ?"
    f" AND {IS_UNSETTLED}"
)
_PURCHASES: Final = "SELECT purchase_count FROM accounts WHERE account = ?"
_WRITE: Final = (
    f"INSERT INTO operations ({NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT (account, op_id) DO UPDATE SET {UPDATES}"
)
_COUNT: Final = (
    "INSERT INTO accounts (account, purchase_count, latest) VALUES (?, ?, ?) ON CONFLICT (account)"
    " DO UPDATE SET purchase_count = purchase_count + excluded.purchase_count,"
    " latest = max(latest, excluded.latest)"
)
_HEAD: Final = "SELECT journal_id, openings, (SELECT max(latest) FROM accounts) FROM journal"


@documented
class SqliteJournal(SqlJournal):
    """A `Journal` in a file.

        async with SqliteJournal("orders.db") as journal: ...

    Only their owner can read the file and the ones that SQLite puts beside it. One process has the
    journal open at a time, which ``orders.db-lock`` shows to others; a row that an earlier one was
    sending when it ended becomes unconfirmed at opening. Any number of tasks, threads and event
    loops of a process may use one journal. Every method raises `JournalError` if the journal is not
    open, or the disk or the file does not allow the call; the journal stays usable, and a call that
    failed can be repeated once the cause is gone.

    Args:
        path: The file; its folder must exist, on a disk of this machine.
        shared: Let several processes of one machine write to it, all of which must set this. Rows
            in state ``SENDING`` are then left to their leases. On Windows only SQLite's own locks
            keep the processes apart.
        read_only: Read while another process writes: takes no lock, makes no journal, and refuses
            every write.
        restored: Open a journal that is known to be older than it was, a copy that was put back for
            instance. Without this it is a `JournalError`.
        wall_clock: Seconds since the epoch.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    _statements: ClassVar[Statements] = SQLITE

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shared: bool = False,
        read_only: bool = False,
        restored: bool = False,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ConfigurationError(f"path: must be text or a path, not {type(path).__name__}")
        if "\0" in str(path):
            raise ConfigurationError("path: contains a zero byte")
        check_flag("shared", shared)
        check_flag("restored", restored)
        path = Path(path)
        super().__init__(str(path), read_only=read_only)
        self._shared = shared
        self._wall_clock = wall_clock
        self._file = JournalFile(path, shared=shared, read_only=read_only, restored=restored)
        self._writer: Writer | None = None
        self._reader: DirectReader | None = None

    # --- opening and closing -----------------------------------------------------------------

    async def open(self) -> None:
        """Make or open the file, and prove that it can be written to."""
        self._require_closed(self._writer)
        self._writer = writer = Writer(self._name, self._file)
        try:
            await writer.start()
            self._journal_id, openings, self._latest = await writer.run(
                self._begin, writes=not self._read_only
            )
            # Any file may be an old copy, unless it was made just now.
            self._may_be_a_copy = openings != 1
        except BaseException:
            self._writer = None
            await writer.stop()
            raise
        if not self._read_only:
            self._reader = DirectReader(self._file.open_reader)

    async def close(self) -> None:
        """Finish what was requested, and close the file; may be called any number of times."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the journal as it is now into a new file that only its owner can read.

        Writes go on meanwhile. The copy is a journal like this one, with the same id. Raises
        `JournalError` if *path* exists, or the copy cannot be written.
        """
        await self._open_writer().run(lambda _: None)
        problem = await asyncio.to_thread(self._copy, Path(path))
        if problem:
            raise self._error(f"cannot be copied to {path}: {problem}")

    def _copy(self, path: Path) -> str:
        """Copy the file. Return why that failed; empty if it did not."""
        try:
            self._file.copy(path.absolute())
        except FileExistsError:
            return "exists already, and was left as it is.\nName a new file."
        except Exception as error:  # noqa: BLE001 - raised as a JournalError
            return explain_error(error)
        return ""

    def _begin(self, database: sqlite3.Connection) -> tuple[str, int, float]:
        """Return id, number of openings and time of the latest write."""
        journal_id, openings, latest = database.execute(_HEAD).fetchone()
        if not (self._read_only or self._shared):
            # The clock may have been set back; a row must not be unconfirmed before it was sent.
            now = max(self._wall_clock(), latest or 0.0)
            # The lock is ours alone, so the processes that were sending these are gone.
            if rows := read_rows(database.execute(_SENDING).fetchall()):
                latest = now
                _mark_unconfirmed(database, rows, now)
        return journal_id, openings, latest or 0.0

    # --- rows --------------------------------------------------------------------------------

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of the operation *op_id*; `None` if there is none."""
        reader, writer, found = self._reader, self._writer, None
        # If the thread is busy, it answers all waiting reads in one go, which costs the loop less.
        if reader is not None and writer is not None and writer.is_idle:
            found = reader.read(SQLITE.get, account, op_id)
        if found is None:
            return await super().get(account, op_id)
        return from_columns(found[0]) if found else None

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row* unless a rule forbids it; see `Journal.put`.

        Also raises `JournalError` for a row with what cannot be written: a lone surrogate in one of
        its keys, or a value without a JSON form.
        """
        columns = to_columns(row)

        def work(database: sqlite3.Connection) -> PutResult:
            result = _put(database, row, columns, max_purchases)
            if result is PutResult.STORED:
                # If the commit fails after this, it is one write ahead, which is harmless.
                self._latest = max(self._latest, row.updated_at)
            return result

        writer = self._writer
        if writer is None or self._read_only:
            writer = self._writer_to_write()  # raises, and says why
        on_done = self._reader.hold_reads(row.account, row.op_id) if self._reader else None
        if durable:
            return await writer.run(work, writes=True, on_done=on_done)
        writer.write_behind(work, on_done)
        return PutResult.STORED

    # --- to the thread -----------------------------------------------------------------------

    async def _query(
        self, statement: str, values: Sequence[object], convert: Callable[[list[Any]], T]
    ) -> T:
        return await self._open_writer().run(
            lambda database: convert(database.execute(statement, values).fetchall())
        )

    async def _execute(self, statement: str, *values: object, durable: bool = True) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute(statement, values).close()

        writer = self._writer_to_write()
        if durable:
            await writer.run(work, writes=True)
        else:
            writer.write_behind(work)

    @staticmethod
    def _as_value(texts: Collection[str]) -> str:
        return json.dumps(list(texts))

    def _writer_to_write(self) -> Writer:
        writer = self._open_writer()
        self._require_writable()
        return writer

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise self._not_open()
        return self._writer


def _mark_unconfirmed(database: sqlite3.Connection, rows: Iterable[Row], now: float) -> None:
    # Only a process that was killed leaves such rows; reading a journal does not pay for these.
    from sigmamind_async.provisioning.events import OwnerLost
    from sigmamind_async.provisioning.transitions import Policy, advance

    for row in rows:
        moved = advance(row, OwnerLost(), now, Policy()).row
        _put(database, moved, to_columns(moved), None)


def _put(
    database: sqlite3.Connection, row: Row, columns: Values, max_purchases: int | None
) -> PutResult:
    """Write one row in the transaction that is open, or nothing of it."""
    stored = database.execute(_STORED, (row.account, row.op_id)).fetchone() or (0, 0)

    def is_key_in_use() -> bool:
        same_key = (row.account, row.key, row.op_id)
        return database.execute(_KEY_IN_USE, same_key).fetchone() is not None

    def count_purchases() -> int:
        found = database.execute(_PURCHASES, (row.account,)).fetchone()
        return int(found[0]) if found else 0

    refusal = check_put(
        row, stored, max_purchases, is_key_in_use=is_key_in_use, count_purchases=count_purchases
    )
    if refusal is not None:
        return refusal
    database.execute(_WRITE, columns)
    more = row.purchase_count - stored[1]
    database.execute(_COUNT, (row.account, more, row.updated_at))
    return PutResult.STORED


class DirectReader:
    """Reads one row in the caller's own thread.

    Reading a row by its key takes 15 microseconds, and a call to the writer's thread 100. This
    connection, opened when needed, does not see writes that are still in the queue. A row with such
    a write is left to the writer, which works in order; so is any read that does not succeed at
    once, because the writer can explain the error.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._database: sqlite3.Connection | None = None
        # Two threads may share the journal, but not the connection.
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._queued_writes: Counter[tuple[str, str]] = Counter()
        self._closed = False
        self._forks = fork_count()

    def hold_reads(self, account: str, op_id: str) -> Callable[[], None]:
        """Send reads of this row to the writer until the returned callback is called.

        The callback may be called from any thread.
        """
        key = account, op_id
        with self._counting:
            self._queued_writes[key] += 1
        return partial(self._release_reads, key)

    def _release_reads(self, key: tuple[str, str]) -> None:
        with self._counting:
            self._queued_writes[key] -= 1
            if not self._queued_writes[key]:
                del self._queued_writes[key]

    def read(self, query: str, account: str, op_id: str) -> Sequence[Values] | None:
        """Return what *query* finds of one row; `None` if the writer must read it."""
        if (account, op_id) in self._queued_writes or fork_count() != self._forks:
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._database is None and not self._closed:
                self._database = self._connect()
            if self._database is None:
                return None
            return self._database.execute(query, (account, op_id)).fetchall()
        except (sqlite3.Error, OSError, UnicodeError):
            return None
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; from now on the writer must read."""
        with self._lock:
            self._closed = True
            database, self._database = self._database, None
        if database is not None and fork_count() == self._forks:
            with suppress(sqlite3.Error):
                database.close()

"""Reads one row in the caller's own thread, where a call to the writer's would cost too much.

Reading a row by its key takes 15 microseconds, and a call to another thread 100. So rows are read
on a second connection, which does not see writes that are still in the queue. A row with such a
write is left to the writer, which works in order; so is any read that does not succeed at once,
because the writer can explain the error.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from sigmamind_async.provisioning.journal.columns import Values


class DirectReader:
    """Reads rows that have no write in the queue, on a connection that it opens when needed."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._database: sqlite3.Connection | None = None
        # Two threads may share the journal, but not the connection.
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._queued_writes: Counter[tuple[str, str]] = Counter()
        self._closed = False
        self._pid = os.getpid()

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
        if (account, op_id) in self._queued_writes or os.getpid() != self._pid:
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
        if database is not None and os.getpid() == self._pid:
            with suppress(sqlite3.Error):
                database.close()

"""A look at one row from the caller's own thread, where going through the writer's costs too much.

Reading a row by its key takes 15 microseconds, and handing that to another thread and back 100: so
it is read where it is asked for, on a connection beside the writer's. That one does not see what is
still to be written. A row with a write on its way is therefore left to the writer, which does one
thing after the other; and so is whatever does not succeed at once, which it can explain.
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
    """Reads rows that nobody is writing."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Nothing is opened yet."""
        self._connect = connect
        self._database: sqlite3.Connection | None = None
        # Held while it reads: two threads may share the journal, but not the connection.
        self._door = threading.Lock()
        self._counting = threading.Lock()
        self._unwritten: Counter[tuple[str, str]] = Counter()
        self._closed = False
        self._pid = os.getpid()

    def unwritten(self, account: str, op_id: str) -> Callable[[], None]:
        """Leave a row to the writer until what this returns is called, in whatever thread."""
        key = account, op_id
        with self._counting:
            self._unwritten[key] += 1
        return partial(self._written, key)

    def _written(self, key: tuple[str, str]) -> None:
        with self._counting:
            self._unwritten[key] -= 1
            if not self._unwritten[key]:
                del self._unwritten[key]

    def row(self, query: str, account: str, op_id: str) -> Sequence[Values] | None:
        """Return what *query* finds of one row; `None` where the writer has to be asked."""
        if (account, op_id) in self._unwritten or os.getpid() != self._pid:
            return None
        if not self._door.acquire(blocking=False):
            return None
        try:
            database = self._opened()
            if database is None:
                return None
            return database.execute(query, (account, op_id)).fetchall()
        except (sqlite3.Error, OSError, UnicodeError):
            return None
        finally:
            self._door.release()

    def _opened(self) -> sqlite3.Connection | None:
        if self._database is None and not self._closed:
            self._database = self._connect()
        return self._database

    def close(self) -> None:
        """Close the connection; from now on the writer is to be asked."""
        with self._door:
            self._closed = True
            database, self._database = self._database, None
        if database is not None and os.getpid() == self._pid:
            with suppress(sqlite3.Error):
                database.close()

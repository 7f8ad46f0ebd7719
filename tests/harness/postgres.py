"""The PostgreSQL server of the tests."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.sandbox import PostgresServer, PostgresServerError

PASSWORD: Final = "canary-password-77c0d4"
"""Of every user; the one that errors are searched for."""
_SETTINGS: Final = {
    "max_connections": 120,
    "logging_collector": "off",
    # What need not be durable when it is written stays in memory for so long.
    "wal_writer_delay": "10s",
}


class Server(PostgresServer):
    """The server of the tests, which can be asked anything."""

    def __init__(self) -> None:
        super().__init__(settings=_SETTINGS, password=PASSWORD)

    def own(self, path: Path) -> None:
        """Give *path* to whoever runs the server."""
        self._own(path)

    def become_standby(self) -> None:
        """Start anew as one that waits for a primary, and takes no writes."""
        self.stop("fast")
        signal = self._data / "standby.signal"
        signal.touch()
        self.own(signal)
        self.start()

    def journal(self, folder: Path, **options: Any) -> PostgresJournal:
        """Return the journal that belongs to *folder*."""
        return PostgresJournal(self.dsn(), schema=schema_of(folder), **options)

    def connected(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of the superuser."""
        return psycopg.connect(self.dsn(database=database), autocommit=True)

    def asked(self, statement: str, *, database: str = "postgres") -> list[Any]:
        """Return what a statement returns to the superuser."""
        with self.connected(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def holds(self, text: str) -> bool:
        """Return whether *text* stands in any file of the server, its log of changes included."""
        self.asked("CHECKPOINT")
        files = (path for path in self._data.rglob("*") if path.is_file())
        return any(text.encode() in path.read_bytes() for path in files)

    def empty(self, folder: Path) -> None:
        """Take all operations from the journal of *folder*; a new one has two dozen files."""
        for table in ("operations", "accounts"):
            self.asked(f'DELETE FROM "{schema_of(folder)}".{table}')

    def dumped(self, folder: Path) -> str:
        """Return all that the journal of *folder* holds, as text."""
        schema = schema_of(folder)
        tables = self.asked(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        rows = [self.asked(f'SELECT t::text FROM "{schema}"."{name}" AS t') for (name,) in tables]
        assert len(rows) == 7
        return "\n".join(text for table in rows for (text,) in table)


def schema_of(folder: Path) -> str:
    """Return a name that no other folder has."""
    return "j" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


@contextmanager
def running() -> Generator[Server]:
    """Run a server of its own; skip where there is none."""
    try:
        server = Server()
    except PostgresServerError as error:
        pytest.skip(str(error))
    with server:
        yield server

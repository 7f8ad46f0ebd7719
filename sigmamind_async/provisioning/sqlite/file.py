"""The file of a SQLite journal: made for its owner alone, proven to be ours, whole and writable.

Everything here blocks, and is called in the journal's own thread. SQLite's locks on a file are lost
when this process closes any descriptor of it, so the file is never opened here by other means than
SQLite, but for the one time when it is made.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.sqlite.lockfile import LockFile

APPLICATION_ID: Final = 0x534D4A4C
"""Tells a journal from every other SQLite file: ``SMJL``."""
VERSION: Final = 2
"""Version of `SCHEMA`; whoever changes that counts it up and migrates what is older.

Whoever adds a field to `Row` counts it up too: a row with it cannot be read without it.
"""
BUSY: Final = 5.0
"""Seconds to wait while another process writes."""

SCHEMA: Final = (
    """
    CREATE TABLE journal (
        journal_id TEXT NOT NULL,
        openings INTEGER NOT NULL
    )
    """,
    "INSERT INTO journal VALUES (lower(hex(randomblob(16))), 0)",
    """
    CREATE TABLE accounts (
        account TEXT PRIMARY KEY,
        bought INTEGER NOT NULL,
        latest REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE seals (
        account TEXT NOT NULL,
        seal TEXT NOT NULL,
        PRIMARY KEY (account, seal)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE notes (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    # Not without rowid: those tell which rows are older.
    """
    CREATE TABLE operations (
        account TEXT NOT NULL,
        op_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        key TEXT NOT NULL,
        token TEXT NOT NULL,
        fence INTEGER NOT NULL,
        doubt_since REAL NOT NULL,
        lease_until REAL NOT NULL,
        sent_at REAL NOT NULL,
        listed_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        tagged INTEGER NOT NULL,
        bought INTEGER NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (account, op_id)
    )
    """,
    "CREATE INDEX by_state ON operations (account, state)",
    "CREATE INDEX by_token ON operations (account, token)",
    "CREATE INDEX by_key ON operations (account, key) WHERE key != ''",
    "CREATE INDEX by_tag ON operations (account, updated_at) WHERE state = 'done' AND tagged",
    # The only unique index: its violation, and no other, means that the key is taken.
    """
    CREATE UNIQUE INDEX one_unsettled ON operations (account, key)
    WHERE key != '' AND state IN ('sending', 'ambiguous', 'committed')
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    # Only macOS knows it: there a plain fsync ends in the disk's own cache.
    "PRAGMA fullfsync = ON",
    "PRAGMA trusted_schema = OFF",
)

_NO_RIGHT: Final = (
    "the file or its folder cannot be written by this user, or the disk is mounted read-only.\n"
    "Give the user the right to write to both, or name another folder."
)
_FULL: Final = "the disk is full; nothing was stored.\nFree some space, and call again."
_DAMAGED: Final = (
    "the file is damaged.\n"
    "Put it aside, restore the latest backup, and compare that with the platform's own list."
)
_NOT_OURS: Final = "is a file of another application, and was left as it is.\nName another file."

_OF_SQLITE: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_IOERR: (
        "the disk refuses to read or write; count what was being written as not stored.\n"
        "Look at free space, quota, file size limit and the disk itself, and call again."
    ),
    sqlite3.SQLITE_READONLY: _NO_RIGHT,
    sqlite3.SQLITE_PERM: _NO_RIGHT,
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened.\nLook whether this user may read the file, and write to its folder."
    ),
    sqlite3.SQLITE_BUSY: (
        "another program keeps the file locked.\n"
        "Close it there, a database browser for instance, and call again."
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: "is no journal: not a SQLite file, or damaged.\nName another file.",
}

_OF_SYSTEM: Final = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ENOENT: "there is no such folder.\nMake it first, or name another.",
    errno.ENOTDIR: "a part of the path is a file, not a folder.\nName another path.",
}


class JournalFile:
    """A `writer.Store`: the file, its lock and the connection to it."""

    def __init__(self, path: str | os.PathLike[str], *, shared: bool, read_only: bool) -> None:
        """Nothing happens yet."""
        self._given = Path(path)
        self._path = self._given
        self._shared = shared
        self._read_only = read_only
        self._lock: LockFile | None = None
        self._identity = (0, 0)

    def open(self) -> sqlite3.Connection:
        """Return a connection to a journal that is whole; make it where there is none.

        Raises `JournalError`, `OSError` or `sqlite3.Error`, for `explain`.
        """
        # One file has one lock, whatever links lead to it.
        self._path = self._given.resolve()
        self._check_path()
        return self._open_to_read() if self._read_only else self._open_to_write()

    def close(self, database: sqlite3.Connection) -> None:
        """Close the connection, then let others in."""
        database.close()
        self._release()

    def begin(self, database: sqlite3.Connection) -> None:
        """Begin a transaction that writes, in the file that still has this name."""
        if self._found() != self._identity:
            # What is written to a file without a name is gone with this process.
            raise JournalError(
                "the file was removed or replaced while it was open.\n"
                "Stop, put it back, and find out who does that."
            )
        database.execute("BEGIN IMMEDIATE")

    def explain(self, error: BaseException) -> str:
        """Return what is wrong and what to do, in words for a person."""
        match error:
            case JournalError():
                return error.message
            case sqlite3.Error():
                # The upper bits tell the same more exactly; an error of the module has no code.
                code = getattr(error, "sqlite_errorcode", 0)
                known = _OF_SQLITE.get(code) or _OF_SQLITE.get(code & 0xFF)
                return known or (
                    f"SQLite cannot use it: {error}.\n"
                    "Look the words up, and open the journal again."
                )
            case OSError():
                reason = error.strerror or type(error).__name__
                return _OF_SYSTEM.get(
                    error.errno or 0, f"cannot be used: {reason}.\nName another file or folder."
                )
            case _:
                return (
                    f"cannot be used: {type(error).__name__}: {error}.\n"
                    "Count what was being written as not stored, and open the journal again."
                )

    def second(self) -> sqlite3.Connection:
        """Return a connection to read with beside the thread's, from any thread, one at a time.

        It waits for nobody: who finds the file locked asks the thread.
        """
        database = _connect(self._path, "ro", timeout=0.0, check_same_thread=False)
        database.execute("PRAGMA trusted_schema = OFF")
        return database

    def copy(self, target: Path) -> None:
        """Copy the journal as it is now into a new file."""
        _make(target)
        try:
            with closing(_connect(self._path, "ro")) as source, closing(_connect(target)) as copy:
                source.backup(copy)
        except BaseException:
            target.unlink()
            raise

    # --- opening -----------------------------------------------------------------------------

    def _check_path(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is None:
            if self._read_only:
                raise JournalError("there is no such file.\nName the journal that a job has made.")
        elif not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            raise JournalError(f"is {what}.\nName a file.")

    def _open_to_write(self) -> sqlite3.Connection:
        self._lock = LockFile(self._path.with_name(self._path.name + "-lock"))
        try:
            self._lock.acquire(shared=self._shared)
            if not self._path.exists():
                _make(self._path)
            self._tighten()
            database = self._prepared(_connect(self._path))
            try:
                if self._shared:
                    self._lock.share()
            except BaseException:
                database.close()
                raise
        except BaseException:
            self._release()
            raise
        return database

    def _tighten(self) -> None:
        """Take from others the right to read: SQLite gives its two side files the same mode."""
        for suffix in ("", "-wal", "-shm"):
            path = self._path.with_name(self._path.name + suffix)
            if path.exists() and path.stat().st_mode & 0o077:
                path.chmod(0o600)

    def _prepared(self, database: sqlite3.Connection) -> sqlite3.Connection:
        try:
            new = _is_new(database)
            if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise JournalError(  # noqa: TRY301 - one place closes the connection
                    "the folder is on a disk that cannot be shared in memory, a network disk for "
                    "instance.\nName a folder on a disk of this machine."
                )
            for setting in _SETTINGS:
                database.execute(setting)
            self._identity = self._found()
            if new:
                self._fill(database)
            _check(database)
        except BaseException:
            database.close()
            raise
        return database

    def _fill(self, database: sqlite3.Connection) -> None:
        self.begin(database)
        # A crash leaves an empty file, which is a new one: the commit makes all of it at once.
        for statement in SCHEMA:
            database.execute(statement)
        database.execute("COMMIT")

    def _open_to_read(self) -> sqlite3.Connection:
        try:
            return _looked_at(_connect(self._path, "ro"))
        except sqlite3.OperationalError as error:
            # A journal that nobody has open, in a folder where SQLite may not put its side files.
            barred = error.sqlite_errorcode & 0xFF in {
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            }
            if not barred or self._path.with_name(self._path.name + "-wal").exists():
                raise
        return _looked_at(_connect(self._path, "ro&immutable=1"))

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _found(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: half the time of a Path's
        except FileNotFoundError:
            return (0, 0)
        return found.st_dev, found.st_ino


def _make(path: Path) -> None:
    """Make an empty file that only its owner can read; raise `FileExistsError` if there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    # The mask of the process may have taken rights from the owner too.
    path.chmod(0o600)


def _connect(
    path: Path, mode: str = "rw", *, timeout: float = BUSY, check_same_thread: bool = True
) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=check_same_thread,
    )


def _looked_at(database: sqlite3.Connection) -> sqlite3.Connection:
    try:
        if _is_new(database):
            raise JournalError("is empty.\nName the journal that a job has made.")  # noqa: TRY301 - as in _prepared
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def _is_new(database: sqlite3.Connection) -> bool:
    """Return whether it is empty; raise `JournalError` where it is something else than ours."""
    ((application,),) = database.execute("PRAGMA application_id")
    ((version,),) = database.execute("PRAGMA user_version")
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
    if not (application or version or tables):
        return True
    if application != APPLICATION_ID:
        raise JournalError(_NOT_OURS)
    if version != VERSION:
        raise JournalError(
            f"was made by another version of sigmamind-async (schema {version}, here {VERSION}).\n"
            "Upgrade the package to the version that made it, or a later one."
        )
    return False


def _check(database: sqlite3.Connection) -> None:
    ((verdict,),) = database.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise JournalError(_DAMAGED)

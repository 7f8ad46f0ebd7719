"""The file of a SQLite journal: made for its owner alone, and opened only if it is ours and whole.

SQLite opens a file without its log (-wal), or an old copy of the file, as if nothing were missing;
what has been bought since would be bought again. So a journal is first compared with two witnesses:
the count of commits in the lock file (see `lockfile`), and a mark in the file itself, set at
opening and removed at closing, that a log must be beside it. Until then nothing is changed, and
only read-only connections are used: another one would, when closed, write the log that it finds
into the file that it finds. SQLite's locks on a file are lost when this process closes any
descriptor of it, so only SQLite opens the file, except to make it and in `inode_lock`, which takes
care of that.

Its pages are checked when it is opened, unless the last process closed it in order and no byte was
written to it since: of a million rows that would take half a second each time.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sqlite.inode_lock import (
    Announcement,
    InodeLock,
    require_one_name,
    require_own_disk,
)
from sigmamind_async.provisioning.journal.sqlite.lockfile import (
    Evidence,
    LockFile,
    evidence_at,
    identify_file,
)
from sigmamind_async.provisioning.journal.sqlite.schema import (
    SETTINGS,
    is_journal,
    make_tables,
    require_intact,
)

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait while another process writes."""

_HEAD: Final = "SELECT journal_id, commits, openings, open FROM journal"
_COUNT_COMMIT: Final = "UPDATE journal SET commits = commits + 1"


class JournalFile:
    """The file, its locks, and the connections to it. Everything here blocks."""

    def __init__(self, path: Path, *, shared: bool, read_only: bool, restored: bool) -> None:
        self._given = self._path = path
        self._shared = shared
        self._read_only = read_only
        self._restored = restored
        self._lock: LockFile | None = None
        self._inode = InodeLock()
        self._announcement = Announcement()
        self._identity = (0, 0)
        self._commits = 0
        self._is_checked = False
        """True if the file is known to be intact without looking at its pages."""
        self.is_suspect: bool = False
        """True if an error has shown in it, so that the next process must check it."""

    def open(self) -> sqlite3.Connection:
        """Return a connection to a journal that is whole; make it if there is none.

        Raises `JournalError`, `OSError` or `sqlite3.Error`.
        """
        # One file has one lock, whatever symbolic links lead to it.
        # Unlike `resolve`, it raises no error where links form a loop: opening the file does.
        self._path = Path(os.path.realpath(self._given))
        self._check_path()
        return self._open_to_read() if self._read_only else self._open_to_write()

    def close(self, database: sqlite3.Connection) -> None:
        """Close the connection, then let others in."""
        is_closed = False
        try:
            with suppress(sqlite3.Error, OSError, JournalError):
                is_closed = self._mark_closed(database)
        finally:
            database.close()
            with suppress(OSError):
                # Another connection may have kept some of it in the log.
                in_file = is_closed and not self._beside("-wal").exists()
                if in_file and self._lock is not None and not self.is_suspect:
                    self._lock.record_closed(self._path)
            self._release()

    def begin(self, database: sqlite3.Connection) -> None:
        """Begin a transaction that writes, and count it, if the file still has this name."""
        if self._find() != self._identity:
            # What is written to a file without a name is gone with this process.
            raise JournalError(
                "the file was removed or replaced while it was open.\n"
                "Stop, put it back, and find out what removed it."
            )
        if self._lock is not None:
            self._lock.check()
        database.execute("BEGIN IMMEDIATE")
        self._count_commit(database)

    def record_commit(self) -> None:
        """Record in the lock file that the transaction is on the disk."""
        if self._lock is not None:
            with suppress(OSError):  # the journal is whole, and the count may lag
                self._lock.record_commits(self._commits)

    def open_reader(self) -> sqlite3.Connection:
        """Return another connection to read with, from any thread, one at a time.

        It does not wait: a read that finds the file locked fails.
        """
        database = _connect(self._path, "ro", timeout=0.0, check_same_thread=False)
        database.execute("PRAGMA trusted_schema = OFF")
        return database

    def copy(self, target: Path) -> None:
        """Copy the journal as it is now into a new file."""
        _make_file(target)
        try:
            with closing(_connect(self._path, "ro")) as source, closing(_connect(target)) as copy:
                source.backup(copy)
                copy.execute("UPDATE journal SET open = 0")  # no process has the copy open
        except BaseException:
            target.unlink()
            raise

    # --- opening -----------------------------------------------------------------------------

    def _check_path(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            if self._read_only:
                _require_new(evidence_at(self._beside("-lock")))
                raise JournalError(
                    "there is no such file.\nName the journal that a job has made."
                ) from None
            return
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise JournalError(f"is {what}.\nName a file.")
        require_one_name(self._path)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _open_to_write(self) -> sqlite3.Connection:
        self._lock = lock = LockFile(self._beside("-lock"))
        try:
            lock.acquire(shared=self._shared)
            if not self._path.exists():
                _require_new(lock.evidence)
                _make_file(self._path)
            require_own_disk(self._path, shared=self._shared)
            self._inode.acquire(self._path, shared=self._shared)
            self._is_checked = lock.closed == identify_file(self._path)
            self._restrict_permissions()
            self._require_whole(lock.evidence)
            return self._prepare(_connect(self._path), lock)
        except BaseException:
            self._release()
            raise

    def _restrict_permissions(self) -> None:
        """Let only the owner read the file: SQLite gives its two side files the same mode."""
        for suffix in ("", "-wal", "-shm"):
            path = self._beside(suffix)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(mode):
                raise JournalError(
                    f"{path.name} beside it is not a regular file, and was left as it is.\n"
                    "Find out what put it there, and remove it."
                )
            if mode & 0o077:
                path.chmod(0o600)

    def _prepare(self, database: sqlite3.Connection, lock: LockFile) -> sqlite3.Connection:
        try:
            known = is_journal(database)
            if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise JournalError(  # noqa: TRY301 - one place closes the connection
                    "the folder is on a disk that cannot be shared in memory, a network disk for "
                    "instance.\nName a folder on a disk of this machine."
                )
            for setting in SETTINGS:
                database.execute(setting)
            self._identity = self._find()
            if not known:
                make_tables(database)
            if not self._is_checked:
                require_intact(database)
            self._announcement.make(database.execute(_HEAD).fetchone()[0], self._path)
            self._mark_open(database, lock)
            if self._shared:
                lock.share()
        except BaseException:
            database.close()
            raise
        return database

    def _mark_open(self, database: sqlite3.Connection, lock: LockFile) -> None:
        """Mark the file itself, so that it shows even without its log that there is one."""
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"{_COUNT_COMMIT}, openings = openings + 1, open = 1")
        # Read before the checkpoint: the mark of a process that opens it after may be in the log.
        journal_id, self._commits, openings, _ = database.execute(_HEAD).fetchone()
        database.execute("COMMIT")
        # Other sharers may be reading or writing, and are not waited for.
        kind = "PASSIVE" if self._shared else "TRUNCATE"
        busy, logged, moved = database.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
        if busy or logged != moved:
            openings = 0 if lock.evidence is None else lock.evidence.openings
        lock.record(Evidence(journal_id=journal_id, commits=self._commits, openings=openings))

    def _mark_closed(self, database: sqlite3.Connection) -> bool:
        """Mark that the file needs no log; return False if another process has it open."""
        lock = self._lock
        if lock is None or self._find() != self._identity or not lock.try_own():
            return False
        lock.check()
        database.execute("PRAGMA busy_timeout = 0")
        database.execute("BEGIN IMMEDIATE")
        self._count_commit(database)
        database.execute("UPDATE journal SET open = 0")
        database.execute("COMMIT")
        self.record_commit()
        return True

    def _count_commit(self, database: sqlite3.Connection) -> None:
        database.execute(_COUNT_COMMIT)
        ((self._commits,),) = database.execute("SELECT commits FROM journal")

    def _open_to_read(self) -> sqlite3.Connection:
        # Before the journal is read: a process that has it open goes on meanwhile.
        evidence = evidence_at(self._beside("-lock"))
        if evidence is not None:
            self._is_checked = evidence.closed == identify_file(self._path)
        self._require_whole(evidence)
        try:
            return self._require_journal(_connect(self._path, "ro"))
        except sqlite3.OperationalError as error:
            # A journal that no process has open, in a folder that takes no side files of SQLite.
            barred = error.sqlite_errorcode & 0xFF in _BARRED
            if not barred or self._beside("-wal").exists():
                raise
        return self._require_journal(_connect(self._path, "ro&immutable=1"))

    def _require_journal(self, database: sqlite3.Connection) -> sqlite3.Connection:
        try:
            if not is_journal(database):
                raise JournalError("is empty.\nName the journal that a job has made.")  # noqa: TRY301 - as in _prepare
            if not self._is_checked:
                require_intact(database)
        except BaseException:
            database.close()
            raise
        return database

    def _release(self) -> None:
        self._announcement.end()
        self._inode.release()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _find(self) -> tuple[int, int]:
        """Return device and inode of the file that has the name now."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: half a Path's time
        except FileNotFoundError:
            return (0, 0)
        return found.st_dev, found.st_ino

    # --- is it whole? ------------------------------------------------------------------------

    def _require_whole(self, evidence: Evidence | None) -> None:
        """Raise `JournalError` unless the journal holds all that it is known to have held."""
        if self._path.stat().st_size == 0:
            return _require_new(evidence)
        if self._restored:
            return None
        log = self._beside("-wal")
        has_log = log.exists() and log.stat().st_size > 0
        whole = _read_head(self._path, "ro")
        # Without the log, which may belong to another file.
        alone = _read_head(self._path, "ro&immutable=1") or whole
        if alone is None:
            return None  # another version or application, which is reported later
        loss = _find_loss(evidence, alone, whole or alone, has_log=has_log)
        if loss:
            raise JournalError(
                f"{loss}\nPut the latest file and log back together, or open this with"
                " restored=True: purchases are then looked for in the account first."
            )
        return None


@attrs.frozen
class _Head:
    """The journal's own record of itself."""

    journal_id: str
    commits: int
    openings: int
    open: int
    """1 if it was opened and not closed since: later writes may be in the log alone."""


_BARRED: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
# The first one: without the table or its columns.
_UNREADABLE: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, *_BARRED}


def _read_head(path: Path, mode: str) -> _Head | None:
    """Return what the file records; `None` if it is not a journal of this version."""
    try:
        with closing(_connect(path, mode)) as database:
            return _Head(*database.execute(_HEAD).fetchone())
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _UNREADABLE:
            raise
    return None


def _find_loss(evidence: Evidence | None, alone: _Head, whole: _Head, *, has_log: bool) -> str:
    """Return what the journal has lost; empty if nothing.

    Args:
        evidence: What the lock file records of it.
        alone: What the file holds without its log.
        whole: What it holds with the log.
        has_log: True if there is one.
    """
    if evidence is None:
        if alone.open and not has_log:
            return "its log (-wal) is missing: it was not closed, and it has the latest purchases."
    elif whole.journal_id != evidence.journal_id:
        return "is not the journal that was here."
    elif alone.openings < evidence.openings or whole.commits < evidence.commits:
        return (
            f"holds only {whole.commits} of {evidence.commits} transactions: its log"
            " (-wal) is missing, or an old copy was put back."
        )
    return ""


def _require_new(evidence: Evidence | None) -> None:
    """Raise `JournalError` if there is no file, or an empty one, where there was a journal."""
    if evidence is not None:
        raise JournalError(
            f"is gone or empty, and its lock file records a journal with {evidence.commits}"
            " transactions.\nPut it back. To start from nothing, and buy all of it again,"
            " remove the lock file too."
        )


def was_made(path: Path) -> bool:
    """Return whether there is a journal at *path*, or was one that its lock file records."""
    return path.exists() or evidence_at(path.with_name(f"{path.name}-lock")) is not None


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner can read; raise `FileExistsError` if there is one."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # The process's umask may have taken rights from the owner too.
    path.chmod(0o600)


def _connect(
    path: Path, mode: str = "rw", *, timeout: float = BUSY_TIMEOUT, check_same_thread: bool = True
) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=check_same_thread,
    )

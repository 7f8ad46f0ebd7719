"""The file of a SQLite journal: made for its owner alone, proven to be ours, whole and writable.

Everything here blocks, and is called in the journal's own thread. SQLite's locks on a file are lost
when this process closes any descriptor of it, so the file is opened here by other means than SQLite
only when it is made, and in `inode`, which sees to that.

SQLite reads a file without its log, and an older file in place of a newer one, as if nothing were
missing, and what was bought since would be bought again. So a journal is only opened once it has
been compared with what is known of it elsewhere: the lock file's count of commits (see `lockfile`),
and a mark in the file itself, put there at opening and taken away at closing, without which a log
must be beside it.
"""

from __future__ import annotations

import errno
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
from sigmamind_async.provisioning.journal.sqlite.lockfile import Evidence, LockFile, evidence_at

APPLICATION_ID: Final = 0x534D4A4C
"""Tells a journal from every other SQLite file: ``SMJL``."""
VERSION: Final = 4
"""Version of `SCHEMA`; whoever changes that counts it up; another version is refused.

Whoever adds a field to `Row` counts it up too: a row with it cannot be read without it.
"""
BUSY: Final = 5.0
"""Seconds to wait while another process writes."""

SCHEMA: Final = (
    """
    CREATE TABLE journal (
        journal_id TEXT NOT NULL,
        openings INTEGER NOT NULL,
        commits INTEGER NOT NULL DEFAULT 0,
        open INTEGER NOT NULL DEFAULT 0
    )
    """,
    "INSERT INTO journal VALUES (lower(hex(randomblob(16))), 0, 0, 0)",
    """
    CREATE TABLE accounts (
        account TEXT PRIMARY KEY,
        purchase_count INTEGER NOT NULL,
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
        version INTEGER NOT NULL,
        unconfirmed_since REAL NOT NULL,
        lease_until REAL NOT NULL,
        sent_at REAL NOT NULL,
        listed_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        tagged INTEGER NOT NULL,
        purchase_count INTEGER NOT NULL,
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
    WHERE key != '' AND state IN ('sending', 'unconfirmed')
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_HEAD: Final = "SELECT journal_id, commits, openings, open FROM journal"
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
_INSTEAD: Final = (
    "\nPut the latest file and log back together, or open this with restored=True: purchases are"
    " then looked for in the account first."
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

    def __init__(
        self, path: str | os.PathLike[str], *, shared: bool, read_only: bool, restored: bool
    ) -> None:
        """Nothing happens yet."""
        self._given = Path(path)
        self._path = self._given
        self._shared = shared
        self._read_only = read_only
        self._restored = restored
        self._lock: LockFile | None = None
        self._inode = InodeLock()
        self._announcement = Announcement()
        self._identity = (0, 0)
        self._evidence: Evidence | None = None

    def open(self) -> sqlite3.Connection:
        """Return a connection to a journal that is whole; make it where there is none.

        Raises `JournalError`, `OSError` or `sqlite3.Error`, for `explain`.
        """
        # One file has one lock, whatever symbolic links lead to it.
        self._path = self._given.resolve()
        self._check_path()
        return self._open_to_read() if self._read_only else self._open_to_write()

    def close(self, database: sqlite3.Connection) -> None:
        """Close the connection, then let others in."""
        try:
            with suppress(sqlite3.Error, OSError, JournalError):
                self._mark_closed(database)
        finally:
            database.close()
            self._release()

    def begin(self, database: sqlite3.Connection) -> None:
        """Begin a transaction that writes, in the file that still has this name, and count it."""
        if self._found() != self._identity:
            # What is written to a file without a name is gone with this process.
            raise JournalError(
                "the file was removed or replaced while it was open.\n"
                "Stop, put it back, and find out who does that."
            )
        if self._lock is not None:
            self._lock.check()
        database.execute("BEGIN IMMEDIATE")
        self._count(database)

    def committed(self) -> None:
        """Write down outside of the journal that the transaction is on the disk."""
        if self._lock is None or self._evidence is None:
            return
        with suppress(OSError):  # it is stored, and the count may be behind
            self._lock.record(self._evidence)

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
                copy.execute("UPDATE journal SET open = 0")  # nobody has the copy open
        except BaseException:
            target.unlink()
            raise

    # --- opening -----------------------------------------------------------------------------

    def _check_path(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            if self._read_only:
                _require_none_before(evidence_at(self._beside("-lock")))
                raise JournalError(
                    "there is no such file.\nName the journal that a job has made."
                ) from None
            return
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            raise JournalError(f"is {what}.\nName a file.")
        require_one_name(self._path)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _open_to_write(self) -> sqlite3.Connection:
        self._lock = lock = LockFile(self._beside("-lock"))
        try:
            lock.acquire(shared=self._shared)
            if not self._path.exists():
                _require_none_before(lock.evidence)
                _make(self._path)
            require_own_disk(self._path, shared=self._shared)
            self._inode.acquire(self._path, shared=self._shared)
            self._tighten()
            self._verify(lock.evidence)
            database = self._prepared(_connect(self._path), lock)
            try:
                if self._shared:
                    lock.share()
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
            path = self._beside(suffix)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(mode):
                raise JournalError(
                    f"{path.name} beside it is no ordinary file, and was left as it is.\n"
                    "Find out who put it there, and remove it."
                )
            if mode & 0o077:
                path.chmod(0o600)

    def _prepared(self, database: sqlite3.Connection, lock: LockFile) -> sqlite3.Connection:
        try:
            version = _version(database)
            if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise JournalError(  # noqa: TRY301 - one place closes the connection
                    "the folder is on a disk that cannot be shared in memory, a network disk for "
                    "instance.\nName a folder on a disk of this machine."
                )
            for setting in _SETTINGS:
                database.execute(setting)
            self._identity = self._found()
            if not version:
                # A crash leaves what was there before: the commit makes all of it at once.
                _transact(database, *SCHEMA)
            _check(database)
            self._announcement.make(database.execute(_HEAD).fetchone()[0], self._path)
            self._mark_open(database, lock)
        except BaseException:
            database.close()
            raise
        return database

    def _mark_open(self, database: sqlite3.Connection, lock: LockFile) -> None:
        """Have the file show, even without its log, that there is one."""
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "UPDATE journal SET openings = openings + 1, commits = commits + 1, open = 1"
        )
        # Read here: what another process opens after that may still be in the log alone.
        journal_id, commits, openings, _ = database.execute(_HEAD).fetchone()
        database.execute("COMMIT")
        # Whoever shares it may be reading or writing, and is not waited for.
        kind = "PASSIVE" if self._shared else "TRUNCATE"
        busy, logged, moved = database.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
        if busy or logged != moved:
            openings = 0 if lock.evidence is None else lock.evidence.openings
        self._evidence = Evidence(journal_id=journal_id, commits=commits, openings=openings)
        lock.record(self._evidence)
        lock.sync()

    def _mark_closed(self, database: sqlite3.Connection) -> None:
        """Have the file show that it needs no log, once nobody else has it open."""
        lock = self._lock
        if lock is None or self._found() != self._identity or not lock.alone():
            return
        lock.check()
        database.execute("PRAGMA busy_timeout = 0")
        database.execute("BEGIN IMMEDIATE")
        self._count(database)
        database.execute("UPDATE journal SET open = 0")
        database.execute("COMMIT")
        self.committed()

    def _count(self, database: sqlite3.Connection) -> None:
        database.execute("UPDATE journal SET commits = commits + 1")
        if self._evidence is not None:
            ((commits,),) = database.execute("SELECT commits FROM journal")
            self._evidence = attrs.evolve(self._evidence, commits=commits)

    # --- is it the journal that it was? ------------------------------------------------------

    def _verify(self, evidence: Evidence | None) -> None:
        """Raise `JournalError` unless the journal holds what it is known to have held.

        Nothing is changed: a connection that may write would, when it is closed, write the log
        that it finds to the file that it finds, and remove it.
        """
        if self._path.stat().st_size == 0:
            return _require_none_before(evidence)
        if self._restored:
            return None
        log = self._beside("-wal")
        has_log = log.exists() and log.stat().st_size > 0
        held = _head(self._path, "ro")
        # Not through the log, which may be of another file than this one.
        shown = _head(self._path, "ro&immutable=1") or held
        if shown is None:
            return None  # an older one, or a foreign one: whoever reads on says so
        loss = _loss(evidence, shown, held or shown, has_log=has_log)
        if loss:
            raise JournalError(loss)
        return None

    def _open_to_read(self) -> sqlite3.Connection:
        # Before the journal is read: whoever has it open goes on meanwhile.
        self._verify(evidence_at(self._beside("-lock")))
        try:
            return _looked_at(_connect(self._path, "ro"))
        except sqlite3.OperationalError as error:
            # A journal that nobody has open, in a folder where SQLite may not put its side files.
            barred = error.sqlite_errorcode & 0xFF in {
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            }
            if not barred or self._beside("-wal").exists():
                raise
        return _looked_at(_connect(self._path, "ro&immutable=1"))

    def _release(self) -> None:
        self._announcement.end()
        self._inode.release()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _found(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: half the time of a Path's
        except FileNotFoundError:
            return (0, 0)
        return found.st_dev, found.st_ino


def was_made(path: Path) -> bool:
    """Return whether there is a journal at *path*, or was one that its lock file knows of."""
    return path.exists() or evidence_at(path.with_name(f"{path.name}-lock")) is not None


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
        if not _version(database):
            raise JournalError("is empty.\nName the journal that a job has made.")  # noqa: TRY301 - as in _prepared
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def _transact(database: sqlite3.Connection, *statements: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            database.execute(statement)
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def _version(database: sqlite3.Connection) -> int:
    """Return the version of its tables, or 0 for an empty file.

    Raises `JournalError` where it is another, or something else than ours.
    """
    ((application,),) = database.execute("PRAGMA application_id")
    ((version,),) = database.execute("PRAGMA user_version")
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
    if not (application or version or tables):
        return 0
    if application != APPLICATION_ID:
        raise JournalError(_NOT_OURS)
    if version > VERSION:
        raise JournalError(
            f"was made by another version of sigmamind-async (schema {version}, here {VERSION}).\n"
            "Upgrade the package to the version that made it, or a later one."
        )
    if version < VERSION:
        raise JournalError(
            f"was made by an earlier version of sigmamind-async (schema {version}, here {VERSION})."
            "\nFinish its operations with the version that made it, or name another journal."
        )
    return int(version)


# --- is it the journal that it was? --------------------------------------------------------------


@attrs.frozen
class _Head:
    """What a journal says of itself."""

    journal_id: str
    commits: int
    openings: int
    open: int
    """1 where it was opened and not closed since: what was written then may be in the log alone."""


def _head(path: Path, mode: str) -> _Head | None:
    """Return what the file says; `None` for one that is no journal of this version."""
    try:
        with closing(_connect(path, mode)) as database:
            return _Head(*database.execute(_HEAD).fetchone())
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_JOURNAL:
            raise
    return None


_NO_JOURNAL: Final = {
    sqlite3.SQLITE_ERROR,  # without the table or its columns
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}


def _loss(evidence: Evidence | None, shown: _Head, held: _Head, *, has_log: bool) -> str:
    """Return what the journal has lost, and what to do; nothing where it is whole.

    Args:
        evidence: What the lock file knows of it.
        shown: What the file says without its log.
        held: What it says with that.
        has_log: Whether there is one.
    """
    if evidence is None:
        lost = shown.open and not has_log
        problem = "its log (-wal) is missing: it was not closed, and what was bought last is there."
    elif held.journal_id != evidence.journal_id:
        lost, problem = True, "is another journal than the one that was here."
    else:
        lost = shown.openings < evidence.openings or held.commits < evidence.commits
        problem = (
            f"went back in time, to {held.commits} of {evidence.commits} transactions: its log"
            " (-wal) is missing, or an old copy was put back."
        )
    return problem + _INSTEAD if lost else ""


def _require_none_before(evidence: Evidence | None) -> None:
    """Raise `JournalError` for an empty file in the place of a journal."""
    if evidence is not None:
        raise JournalError(
            f"is gone or empty, and its lock file knows of a journal with {evidence.commits}"
            " transactions.\nPut that back; to begin with nothing, and buy all of it again,"
            " remove the lock file too."
        )


def _check(database: sqlite3.Connection) -> None:
    ((verdict,),) = database.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise JournalError(_DAMAGED)

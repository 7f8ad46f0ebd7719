"""What is wrong with a journal's file, and what to do about it, in words for a person."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sqlite.schema import DAMAGED

_NO_RIGHT: Final = (
    "the file or its folder cannot be written by this user, or the disk is mounted read-only.\n"
    "Give the user the right to write to both, or name another folder."
)
_FULL: Final = "the disk is full; nothing was stored.\nFree some space, and call again."

_SQLITE_ERRORS: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_IOERR: (
        "the disk refuses to read or write; assume that the pending write was not stored.\n"
        "Check free space, quota, file size limit and the disk itself, and call again."
    ),
    sqlite3.SQLITE_READONLY: _NO_RIGHT,
    sqlite3.SQLITE_PERM: _NO_RIGHT,
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened.\nCheck whether this user may read the file, and write to its folder."
    ),
    sqlite3.SQLITE_BUSY: (
        "another program keeps the file locked.\n"
        "Close it there, in a database browser for instance, and call again."
    ),
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: (
        "is not a journal: it is not a SQLite file, or is damaged.\nName another file."
    ),
}

_SYSTEM_ERRORS: Final = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ENOENT: "there is no such folder.\nMake it first, or name another.",
    errno.ENOTDIR: "a part of the path is a file, not a folder.\nName another path.",
}


def explain_error(error: BaseException) -> str:
    """Return what is wrong and, in a second line, what to do."""
    match error:
        case JournalError():
            return error.message
        case sqlite3.Error():
            # The upper bits are details; an error of the module itself has no code.
            code = getattr(error, "sqlite_errorcode", 0)
            known = _SQLITE_ERRORS.get(code) or _SQLITE_ERRORS.get(code & 0xFF)
            return known or (
                f"SQLite cannot use it: {error}.\nLook the error up, and open the journal again."
            )
        case OSError():
            reason = error.strerror or type(error).__name__
            return _SYSTEM_ERRORS.get(
                error.errno or 0, f"cannot be used: {reason}.\nName another file or folder."
            )
        case _:
            return (
                f"cannot be used: {type(error).__name__}: {error}.\n"
                "Assume that the pending write was not stored, and open the journal again."
            )

"""The tables of a SQLite journal, and the checks that a file holds them."""

from __future__ import annotations

import sqlite3
from typing import Final

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sql import (
    COLUMNS,
    HAS_KEY,
    HAS_TAG,
    IS_UNSETTLED,
    MAY_BE_UNSETTLED,
)

APPLICATION_ID: Final = 0x534D4A4C
"""Marks an SQLite file as a journal: ``SMJL``."""
VERSION: Final = 5
"""Version of `SCHEMA`. Increase it with any change of that or of a row's fields.

A journal of another version is refused: its rows could not be read.
"""

_TYPES: Final = {str: "TEXT", int: "INTEGER", float: "REAL", bool: "INTEGER"}
_COLUMNS: Final = ", ".join(f"{name} {_TYPES[kind]} NOT NULL" for name, kind in COLUMNS.items())

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
    CREATE TABLE key_fingerprints (
        account TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (account, fingerprint)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL)
    WITHOUT ROWID
    """,
    "CREATE TABLE last_applied (row_id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
    # With a rowid, which orders the rows by age.
    f"CREATE TABLE operations ({_COLUMNS}, PRIMARY KEY (account, op_id))",
    "CREATE INDEX by_state ON operations (account, state)",
    f"CREATE INDEX by_unsettled ON operations (account) WHERE {MAY_BE_UNSETTLED}",
    "CREATE INDEX by_token ON operations (account, token)",
    f"CREATE INDEX by_key ON operations (account, key) WHERE {HAS_KEY}",
    f"CREATE INDEX by_tag ON operations (account, updated_at) WHERE {HAS_TAG}",
    # A second guard behind `check_put`, for a program that writes without it.
    f"""
    CREATE UNIQUE INDEX one_unsettled ON operations (account, key)
    WHERE {HAS_KEY} AND {IS_UNSETTLED}
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    # Only macOS knows it: there a plain fsync stops at the disk's own cache.
    "PRAGMA fullfsync = ON",
    "PRAGMA trusted_schema = OFF",
    # Pages of the log, 32 MiB, until it is written into the file. Each time the same pages of the
    # indexes are written: with the default of 1,000 that is 2.8 times as much for a job of 100,000.
    "PRAGMA wal_autocheckpoint = 8000",
)

DAMAGED: Final = (
    "the file is damaged.\n"
    "Put it aside, restore the latest backup, and compare that with the platform's own list."
)


def is_journal(database: sqlite3.Connection) -> bool:
    """Return whether the file has the tables of this version; False if it is empty.

    Raises `JournalError` for another application's file, and for a journal of another version.
    """
    ((application,),) = database.execute("PRAGMA application_id")
    ((version,),) = database.execute("PRAGMA user_version")
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
    if not (application or version or tables):
        return False
    if application != APPLICATION_ID:
        raise JournalError(
            "is a file of another application, and was left as it is.\nName another file."
        )
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
    return True


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables, all at once: a crash leaves an empty file."""
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in SCHEMA:
            database.execute(statement)
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def require_intact(database: sqlite3.Connection) -> None:
    """Raise `JournalError` for a damaged file, even if the damage is in a part not yet used."""
    ((verdict,),) = database.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise JournalError(DAMAGED)

"""A journal in PostgreSQL: how it is named, and what must not be shown of it.

A DSN may hold a password, and every user of a machine can read its command lines. So the option
takes a reference as well, as the secrets of rows do: ``env:NAME`` or ``file:PATH``; alone it is
`POSTGRES_DEFAULT`. Messages name the database without user and password.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import attrs

from sigmamind_async.cli.command_line import (
    POSTGRES_DEFAULT,
    POSTGRES_OPTION,
    POSTGRES_VARIABLE,
    platform_words,
)
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret

if TYPE_CHECKING:  # they need an extra
    from sigmamind_async.provisioning.journal.postgres import PostgresJournal
    from sigmamind_async.workers import Queue

_OPEN: Final = frozenset({"host", "hostaddr", "port", "dbname", "user", "service", "sslmode"})
"""Parts of a DSN that may be shown."""


@attrs.frozen
class Database:
    """A journal in PostgreSQL; see `JournalLocation`."""

    dsn: Secret
    name: str
    """What messages call it; without user and password."""
    words: tuple[str, ...]
    """The option that names it in further commands."""

    @property
    def sender(self) -> str:
        """Who sends what is to be sent."""
        return "a worker"

    def exists(self) -> bool:
        """Return whether there may be a journal: only a look at the database tells."""
        return True

    def opened(self, *, read_only: bool = False) -> PostgresJournal:
        """Return the journal, to be entered."""
        from sigmamind_async.provisioning.journal.postgres import PostgresJournal

        return PostgresJournal(self.dsn, read_only=read_only)

    def command(self, name: str, platform: str | None, *words: str) -> str:
        """Return the command line *name* about this journal, and about one *platform* in it."""
        return shlex.join(["sigmamind", name, *self.words, *platform_words(platform), *words])

    def queue(self) -> Queue:
        """Return where operations wait for the workers."""
        from sigmamind_async.workers import Queue

        return Queue(self.dsn)


def database_of(given: str | None) -> Database | None:
    """Return the database that ``--postgres`` names; `None` where it was not given."""
    return None if given is None else _database(given)


def database_or_default(given: str | None) -> Database:
    """Return the database that ``--postgres`` names, or the one of `POSTGRES_DEFAULT`."""
    return _database(POSTGRES_DEFAULT if given is None else given)


def _database(given: str) -> Database:
    dsn, words = _read_dsn(given)
    try:
        from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
    except ImportError as error:
        raise missing(error) from None
    return Database(dsn, parse_dsn(dsn, "sigmamind").name, words)


def _read_dsn(given: str) -> tuple[Secret, tuple[str, ...]]:
    """Return the DSN, and the option that names it in further commands."""
    kind, colon, _ = given.partition(":")
    if not colon or kind not in {"env", "file"}:
        return Secret(given), (POSTGRES_OPTION, given if _may_be_shown(given) else "DSN")
    try:
        dsn = SecretResolver().resolve(given)
    except SecretReferenceError as error:
        raise CommandError(_secret_problem(given, error)) from None
    return dsn, (POSTGRES_OPTION,) if given == POSTGRES_DEFAULT else (POSTGRES_OPTION, given)


def _secret_problem(given: str, error: SecretReferenceError) -> str:
    if given == POSTGRES_DEFAULT:
        return f"name a database: give {POSTGRES_OPTION} DSN, or set {POSTGRES_VARIABLE}"
    return f"{POSTGRES_OPTION} {error}"


def _may_be_shown(dsn: str) -> bool:
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise missing(error) from None
    try:
        parts: dict[str, Any] = conninfo_to_dict(dsn)
    except (Error, UnicodeError):
        return False
    return parts.keys() <= _OPEN


def missing(error: ImportError) -> CommandError:
    """Return the error for a missing extra; raise *error* where something else is missing."""
    if (error.name or "psycopg").partition(".")[0] not in {"psycopg", "procrastinate"}:
        raise error
    return CommandError(
        f"{POSTGRES_OPTION} needs psycopg and procrastinate, which come with the extra:"
        ' pip install "sigmamind-async[cli,postgres]"'
    )

"""The database in which workers have their journal: how it is named, and what it must not show.

A DSN may hold a password, and what a command line holds is shown to everybody on the machine. So it
can be said where it is to be found, as the secrets of rows can: ``env:NAME`` or ``file:PATH``; and
``--postgres`` alone says `DEFAULT`. What is printed names the database without user and password.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.dsn import DEFAULT, OPTION, VARIABLE
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret

if TYPE_CHECKING:  # they need an extra
    from sigmamind_async.provisioning.journal.postgres import PostgresJournal
    from sigmamind_async.workers import Queue

_OPEN: Final = frozenset({"host", "hostaddr", "port", "dbname", "user", "service", "sslmode"})
"""Parts of a DSN that may be shown."""

Postgres = Annotated[
    str | None,
    Parameter(
        name=OPTION,
        help="The journal is in this PostgreSQL database, that of the workers: a DSN, env:NAME or"
        f" file:PATH; {OPTION} alone is {DEFAULT}.",
    ),
]


@attrs.frozen
class Database:
    """A journal in PostgreSQL, as the place of one; see `journals.Place`."""

    dsn: Secret
    name: str
    """What messages call it; without user and password."""
    said: tuple[str, ...]
    """How further commands are told of it."""

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
        whose = () if platform in {None, DEFAULT} else ("--platform", str(platform))
        return shlex.join(("sigmamind", name, *self.said, *whose, *words))

    def queue(self) -> Queue:
        """Return where operations wait for the workers."""
        from sigmamind_async.workers import Queue

        return Queue(self.dsn)


def database_of(said: str | None) -> Database | None:
    """Return the database that ``--postgres`` named, `None` where it was not given."""
    return None if said is None else _database(said)


def database_or_default(said: str | None) -> Database:
    """Do as `database_of` does, and take `DEFAULT` where nothing was given."""
    return _database(DEFAULT if said is None else said)


def _database(said: str) -> Database:
    dsn, words = _read_dsn(said)
    try:
        from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
    except ImportError as error:
        raise missing(error) from None
    return Database(dsn, parse_dsn(dsn, "sigmamind").name, words)


def _read_dsn(said: str) -> tuple[Secret, tuple[str, ...]]:
    """Return the DSN, and how it is said again."""
    kind, colon, _ = said.partition(":")
    if not colon or kind not in {"env", "file"}:
        return Secret(said), (OPTION, said if _may_be_shown(said) else "DSN")
    try:
        dsn = SecretResolver().resolve(said)
    except SecretReferenceError as error:
        raise CommandError(_secret_problem(said, error)) from None
    return dsn, (OPTION,) if said == DEFAULT else (OPTION, said)


def _secret_problem(said: str, error: SecretReferenceError) -> str:
    if said == DEFAULT:
        return f"no database is named: give {OPTION} DSN, or set {VARIABLE}"
    return f"{OPTION} {error}"


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
    """Return what is told where the extra is not installed."""
    if (error.name or "psycopg").partition(".")[0] not in {"psycopg", "procrastinate"}:
        raise error
    return CommandError(
        f"{OPTION} needs psycopg and procrastinate, which come with the extra:"
        ' pip install "sigmamind-async[cli,postgres]"'
    )

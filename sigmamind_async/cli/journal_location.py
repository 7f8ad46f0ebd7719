"""Where the journal of a command is: beside the file of rows, or in a database.

`status` reads a journal without a platform, so nothing here imports one. A DSN may hold a password,
and every user of a machine can read its command lines: so ``--postgres`` takes a reference as well,
as the secrets of rows do, and messages name the database without user and password.
"""

from __future__ import annotations

import shlex
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.options import (
    POSTGRES_DEFAULT,
    POSTGRES_OPTION,
    POSTGRES_VARIABLE,
    JournalOptions,
    account_words,
)

if TYPE_CHECKING:
    from sigmamind_async.provisioning.journal.postgres import PostgresJournal
    from sigmamind_async.provisioning.journal.protocol import Journal
    from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
    from sigmamind_async.values import Secret
    from sigmamind_async.workers import Queue

SUFFIX: Final = ".journal.db"
STDIN: Final = "./-"
"""How the FILE ``-`` arrives in a command: as ``-`` it would be an option without a name."""
SQLITE_HEADER: Final = b"SQLite format 3\0"
"""What every journal begins with, and no file of rows."""
_OPEN: Final = frozenset({"host", "hostaddr", "port", "dbname", "user", "service", "sslmode"})
"""Parts of a DSN that may be shown."""


@attrs.frozen
class FileJournal:
    """A journal in a file, beside a file of rows."""

    file: str
    """FILE as it was given."""
    path: Path
    chosen: Path | None = None
    """What ``--journal`` named, if anything."""

    sender: ClassVar[str] = "the next apply"
    """Who sends what is to be sent."""

    @classmethod
    def beside(cls, file: str, chosen: Path | None) -> FileJournal:
        """Return where the rows of *file* are recorded."""
        if chosen is not None:
            # Of rows from stdin nothing is left but the journal.
            return cls(str(chosen), chosen) if file == STDIN else cls(file, chosen, chosen)
        if Path(file).is_dir():
            what = f"{file}: is a folder" if file else "FILE is empty"  # as of an unset variable
            raise CommandError(f"{what}; name a file")
        # /dev/stdin may be a regular file; a journal beside it would be in /dev.
        is_device = Path(file).absolute().parts[1:2] in {("dev",), ("proc",)}
        if file == STDIN or is_device or (Path(file).exists() and not Path(file).is_file()):
            raise CommandError(
                "rows from a pipe need --journal FILE, where a later run finds what was done"
            )
        return cls(file, Path(f"{file}{SUFFIX}"))

    @classmethod
    def of(cls, file: str, chosen: Path | None) -> FileJournal:
        """Return where the journal is that *file* is, or has; raise where there is none yet."""
        place = cls(file, Path(file)) if _is_journal(file, chosen) else cls.beside(file, chosen)
        if not place.exists():
            raise CommandError(
                f"there is no journal {place.path}: nothing has been applied from"
                f" {file.removesuffix(SUFFIX)} yet, or --journal names another one"
            )
        return place

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def exists(self) -> bool:
        """Return whether the file is there, or was, which opening it says."""
        from sigmamind_async.provisioning.journal.sqlite.file import was_made

        return was_made(self.path)

    def opened(self, *, read_only: bool = False) -> SqliteJournal:
        """Return the journal, to be entered."""
        from sigmamind_async.provisioning.journal.sqlite import SqliteJournal

        return SqliteJournal(self.path, read_only=read_only)

    def command(self, name: str, platform: str | None, *words: str) -> str:
        """Return the command line *name* about this journal, and about one *platform* in it."""
        journal = () if self.chosen is None else ("--journal", str(self.chosen))
        return shlex.join(
            ["sigmamind", name, self.file, *journal, *account_words(platform), *words]
        )


@attrs.frozen
class Database:
    """A journal in PostgreSQL; its names are those of `FileJournal`."""

    dsn: Secret
    name: str
    words: tuple[str, ...]
    """The option that names it in further commands."""

    chosen: ClassVar[None] = None
    sender: ClassVar[str] = "a worker"

    def exists(self) -> bool:
        """Return whether there may be a journal: only a look at the database tells."""
        return True

    def opened(self, *, read_only: bool = False) -> PostgresJournal:
        """Return the journal, to be entered."""
        from sigmamind_async.provisioning.journal.postgres import PostgresJournal

        return PostgresJournal(self.dsn, read_only=read_only)

    def command(self, name: str, platform: str | None, *words: str) -> str:
        """Return the command line *name* about this journal, and about one *platform* in it."""
        return shlex.join(["sigmamind", name, *self.words, *account_words(platform), *words])

    def queue(self) -> Queue:
        """Return where operations wait for the workers."""
        from sigmamind_async.workers import Queue

        return Queue(self.dsn)


JournalLocation: TypeAlias = FileJournal | Database


def journal_for(file: str, options: JournalOptions) -> JournalLocation:
    """Return where the rows of *file* are recorded."""
    _check_options(file, options)
    if options.postgres is not None:
        return database_of(options.postgres)
    return FileJournal.beside(file, options.journal)


def find_journal(file: str | None, options: JournalOptions) -> JournalLocation:
    """Return the journal that *file* is, or has, or the database that it is in."""
    _check_options(file or "", options)
    if options.postgres is None and file is None:
        raise CommandError(f"name the FILE that was applied, or {POSTGRES_OPTION} DSN")
    if options.postgres is None:
        return FileJournal.of(str(file), options.journal)
    if file is not None:
        raise CommandError(
            f"{POSTGRES_OPTION} is about all that is in the database: leave {file} out"
        )
    return database_of(options.postgres)


def _check_options(file: str, options: JournalOptions) -> None:
    if file.startswith(("postgresql:", "postgres:")):
        raise CommandError(f"FILE is a database: name that with {POSTGRES_OPTION}")  # a password?
    if options.journal is not None and options.postgres is not None:
        raise CommandError(
            f"--journal and {POSTGRES_OPTION} exclude each other: there is one journal"
        )


def _is_journal(file: str, chosen: Path | None) -> bool:
    if chosen is not None:
        return False
    if not Path(file).is_file():
        return file.endswith(SUFFIX) and not Path(file).exists()
    with Path(file).open("rb") as opened:
        return opened.read(len(SQLITE_HEADER)) == SQLITE_HEADER


async def open_to_read(place: JournalLocation, stack: AsyncExitStack) -> Journal:
    """Return the journal at *place*, open until *stack* is closed, or an empty one."""
    if not place.exists():
        from sigmamind_async.provisioning.journal.memory import MemoryJournal

        return MemoryJournal()
    return await stack.enter_async_context(place.opened(read_only=True))


# ---------------------------------------------------------------- databases


def database_of(given: str) -> Database:
    """Return the database that the option ``--postgres`` names with *given*."""
    dsn, words = _read_dsn(given)
    try:
        from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
    except ImportError as error:
        raise missing(error) from None
    return Database(dsn, parse_dsn(dsn, "sigmamind").name, words)


def _read_dsn(given: str) -> tuple[Secret, tuple[str, ...]]:
    """Return the DSN, and the option that names it in further commands."""
    from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
    from sigmamind_async.values import Secret

    kind, colon, _ = given.partition(":")
    if not colon or kind not in {"env", "file"}:
        return Secret(given), (POSTGRES_OPTION, given if _may_be_shown(given) else "DSN")
    is_default = given == POSTGRES_DEFAULT
    try:
        dsn = SecretResolver().resolve(given)
    except SecretReferenceError as error:
        raise CommandError(
            f"name a database: give {POSTGRES_OPTION} DSN, or set {POSTGRES_VARIABLE}"
            if is_default
            else f"{POSTGRES_OPTION} {error}"
        ) from None
    return dsn, (POSTGRES_OPTION,) if is_default else (POSTGRES_OPTION, given)


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


def missing(error: ImportError, option: str = POSTGRES_OPTION) -> CommandError:
    """Return the error for a missing extra; raise *error* where something else is missing.

    *option* is what needs it.
    """
    if (error.name or "psycopg").partition(".")[0] not in {"psycopg", "procrastinate"}:
        raise error
    return CommandError(
        f"{option} needs psycopg and procrastinate, which come with the extra:"
        ' pip install "sigmamind-async[cli,postgres]"'
    )

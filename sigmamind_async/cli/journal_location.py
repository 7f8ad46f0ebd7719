"""Where the journal of a command is: beside the file of rows, or in a database.

`status` reads a journal without a platform, so nothing here imports one.
"""

from __future__ import annotations

import shlex
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from sigmamind_async.cli.command_line import POSTGRES_OPTION, platform_words
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.options import JournalOptions

if TYPE_CHECKING:
    from sigmamind_async.provisioning.journal.protocol import Journal
    from sigmamind_async.provisioning.journal.sqlite import SqliteJournal

SUFFIX: Final = ".journal.db"
STDIN: Final = "./-"
"""How the FILE ``-`` arrives in a command: as ``-`` it would be an option without a name."""
EXCLUSIVE: Final = f"--journal and {POSTGRES_OPTION} exclude each other: there is one journal"

SQLITE_HEADER: Final = b"SQLite format 3\0"
"""What every journal begins with, and no file of rows."""


class JournalLocation(Protocol):
    """Where the journal of a command is, and the commands about it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def sender(self) -> str:
        """Who sends what is to be sent."""
        ...

    def exists(self) -> bool:
        """Return whether there may be a journal."""
        ...

    def opened(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Journal]:
        """Return the journal, to be entered."""
        ...

    def command(self, name: str, platform: str | None, *words: str) -> str:
        """Return the command line *name* about this journal, and about one *platform* in it."""
        ...


@attrs.frozen
class FileJournal:
    """A journal in a file, beside a file of rows."""

    file: str
    """FILE as it was given."""
    path: Path
    chosen: Path | None = None
    """What ``--journal`` named, if anything."""

    @classmethod
    def beside(cls, file: str, chosen: Path | None) -> FileJournal:
        """Return where the rows of *file* are recorded."""
        if chosen is not None:
            # Of rows from stdin nothing is left but the journal.
            return cls(str(chosen), chosen) if file == STDIN else cls(file, chosen, chosen)
        if Path(file).is_dir():
            raise CommandError(f"{file}: is a folder; name a file")
        # /dev/stdin may be a regular file; a journal beside it would be in /dev.
        is_device = Path(file).absolute().parts[1:2] in {("dev",), ("proc",)}
        if file == STDIN or is_device or (Path(file).exists() and not Path(file).is_file()):
            raise CommandError(
                "rows that can be read only once need --journal FILE, to be resumed from"
            )
        return cls(file, Path(f"{file}{SUFFIX}"))

    @classmethod
    def of(cls, file: str, chosen: Path | None) -> FileJournal:
        """Return where the journal is that *file* is, or has; raise where there is none yet."""
        place = cls(file, Path(file)) if _is_journal(file, chosen) else cls.beside(file, chosen)
        if not place.exists():
            raise CommandError(
                f"there is no journal {place.path}: nothing has been applied from {file} yet,"
                " or --journal names another one"
            )
        return place

    @property
    def name(self) -> str:
        """The name of the file."""
        return str(self.path)

    @property
    def sender(self) -> str:
        """Who sends what is to be sent."""
        return "the next apply"

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
            ["sigmamind", name, self.file, *journal, *platform_words(platform), *words]
        )


def journal_for(file: str, options: JournalOptions) -> JournalLocation:
    """Return where the rows of *file* are recorded."""
    _check_options(file, options)
    return _database(options) or FileJournal.beside(file, options.journal)


def find_journal(file: str | None, options: JournalOptions) -> JournalLocation:
    """Return the journal that *file* is, or has, or the database that it is in."""
    _check_options(file or "", options)
    database = _database(options)
    if database is not None:
        if file is not None:
            raise CommandError(
                f"{POSTGRES_OPTION} is about all that is in the database: leave {file} out"
            )
        return database
    if file is None:
        raise CommandError(f"name the FILE that was applied, or {POSTGRES_OPTION} DSN")
    return FileJournal.of(file, options.journal)


def _database(options: JournalOptions) -> JournalLocation | None:
    if options.postgres is None:
        return None
    from sigmamind_async.cli.database import database_of

    return database_of(options.postgres)


def _check_options(file: str, options: JournalOptions) -> None:
    if file.startswith(("postgresql:", "postgres:")):
        raise CommandError(f"FILE is a database: name that with {POSTGRES_OPTION}")  # a password?
    if options.journal is not None and options.postgres is not None:
        raise CommandError(EXCLUSIVE)


def _is_journal(file: str, chosen: Path | None) -> bool:
    if chosen is not None or not Path(file).is_file():
        return False
    with Path(file).open("rb") as opened:
        return opened.read(len(SQLITE_HEADER)) == SQLITE_HEADER


async def accept_restored(place: JournalLocation) -> None:
    """Take the journal for the one that it was, although it is older than that."""
    from sigmamind_async.provisioning.journal.sqlite import SqliteJournal

    if not isinstance(place, FileJournal):
        raise CommandError("--restored is about a journal in a file: a database needs no leave")
    async with SqliteJournal(place.path, restored=True):
        pass  # what it holds from now on is what is known of it


async def open_to_read(place: JournalLocation, stack: AsyncExitStack) -> Journal:
    """Return the journal at *place*, open until *stack* is closed, or an empty one."""
    if not place.exists():
        from sigmamind_async.provisioning.journal.memory import MemoryJournal

        return MemoryJournal()
    return await stack.enter_async_context(place.opened(read_only=True))

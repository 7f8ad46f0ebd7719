"""The journal beside a file of rows: where it is, and the words that commands share about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, Protocol

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.database import Database
from sigmamind_async.cli.dsn import OPTION
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.source import STDIN
from sigmamind_async.cli.vendors import DEFAULT, AnyClient
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.journal.sqlite.file import was_made
from sigmamind_async.provisioning.provisioner import Provisioner

SUFFIX: Final = ".journal.db"
EXCLUSIVE: Final = f"--journal and {OPTION} exclude each other: there is one journal"

JournalFile = Annotated[
    Path | None,
    Parameter(name="--journal", help="The journal; FILE.journal.db where nothing is said."),
]
SettleTime = Annotated[
    float,
    Parameter(
        validator=Number(gte=0),
        help="Seconds for which an unanswered purchase may still turn up.",
    ),
]
RetryUnconfirmed = Annotated[
    bool, Parameter(help="Let a purchase that has not turned up by then be sent again.")
]
ReleaseDuplicates = Annotated[bool, Parameter(help="Release duplicates, permanently; needs --yes.")]
AcceptKey = Annotated[
    bool, Parameter(help="The API key is a new one of the account that the journal is about.")
]

_HEAD = b"SQLite format 3\0"
"""What every journal begins with, and no file of rows."""


class Place(Protocol):
    """Where the journal of a command is, and how further commands are led there."""

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
class FilePlace:
    """A journal in a file, beside a file of rows."""

    file: str
    """FILE as it was given."""
    path: Path
    chosen: Path | None = None
    """What ``--journal`` said, if anything."""

    @classmethod
    def beside(cls, file: str, chosen: Path | None) -> FilePlace:
        """Return where the rows of *file* are written down."""
        if chosen is not None:
            # Of rows from stdin nothing is left but the journal.
            return cls(str(chosen), chosen) if file == STDIN else cls(file, chosen, chosen)
        if Path(file).is_dir():
            raise CommandError(f"{file}: is a folder; name a file")
        if file == STDIN or (Path(file).exists() and not Path(file).is_file()):
            raise CommandError(
                "rows that can be read only once need --journal FILE, to be resumed from"
            )
        return cls(file, Path(f"{file}{SUFFIX}"))

    @classmethod
    def of(cls, file: str, chosen: Path | None) -> FilePlace:
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
        return was_made(self.path)

    def opened(self, *, read_only: bool = False) -> SqliteJournal:
        """Return the journal, to be entered."""
        return SqliteJournal(self.path, read_only=read_only)

    def command(self, name: str, platform: str | None, *words: str) -> str:
        """Return the command line *name* about this journal, and about one *platform* in it."""
        journal = () if self.chosen is None else ("--journal", str(self.chosen))
        whose = () if platform in {None, DEFAULT} else ("--platform", str(platform))
        said: Sequence[str] = ("sigmamind", name, self.file, *journal, *whose, *words)
        return shlex.join(said)


def place_beside(file: str, chosen: Path | None, database: Database | None) -> Place:
    """Return where the rows of *file* are written down."""
    _check_options(file, chosen, database)
    return database or FilePlace.beside(file, chosen)


def place_of(file: str | None, chosen: Path | None, database: Database | None) -> Place:
    """Return where the journal is that *file* is, or has, or the *database* that it is in."""
    if database is None:
        if file is None:
            raise CommandError(f"name the FILE that was applied, or {OPTION} DSN")
        _check_options(file, chosen, database)
        return FilePlace.of(file, chosen)
    if file is not None:
        raise CommandError(f"{OPTION} is about all that is in the database: leave {file} out")
    _check_options("", chosen, database)
    return database


def _check_options(file: str, chosen: Path | None, database: Database | None) -> None:
    if file.startswith(("postgresql:", "postgres:")):
        raise CommandError(f"FILE is a database: name that with {OPTION}")  # may hold a password
    if chosen is not None and database is not None:
        raise CommandError(EXCLUSIVE)


def _is_journal(file: str, chosen: Path | None) -> bool:
    if chosen is not None or not Path(file).is_file():
        return False
    with Path(file).open("rb") as opened:
        return opened.read(len(_HEAD)) == _HEAD


@attrs.frozen(kw_only=True)
class Policy:
    """What may be done about an account without asking again."""

    settle_time: float
    retry_unconfirmed: bool
    release_duplicates: bool
    accept_key: bool
    max_purchases: int | None = None

    def provisioner(self, client: AnyClient, journal: Journal) -> Provisioner:
        """Return who does it."""
        return Provisioner(
            client,
            journal,
            settle_time=self.settle_time,
            retry_unconfirmed=self.retry_unconfirmed,
            release_duplicates=self.release_duplicates,
            max_purchases=self.max_purchases,
        )


async def accept_restored(place: Place) -> None:
    """Take the journal for the one that it was, although it is older than that."""
    if not isinstance(place, FilePlace):
        raise CommandError("--restored is about a journal in a file: a database needs no leave")
    async with SqliteJournal(place.path, restored=True):
        pass  # what it holds from now on is what is known of it


async def look_after_earlier_runs(provisioner: Provisioner) -> None:
    """Settle what they left unconfirmed; raise `JournalError` for a journal of another account."""
    try:
        await provisioner.reconcile()
    except JournalError:
        raise
    except SigmaMindError:
        return  # the rows will tell, and what is unconfirmed is looked for at their end again


async def looked_into(place: Place, stack: AsyncExitStack) -> Journal:
    """Return the journal at *place* to be read until *stack* is closed, or an empty one."""
    if not place.exists():
        return MemoryJournal()
    return await stack.enter_async_context(place.opened(read_only=True))


async def bought_by(journal: Journal, accounts: Iterable[str], before: int) -> int:
    """Return how many numbers *journal* counts as bought; *before* where it cannot be read."""
    try:
        return sum([(await journal.counts(account)).purchase_count for account in accounts])
    except JournalError:
        return before  # what ended the job is told; this is for its page alone

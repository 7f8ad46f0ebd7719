"""Finds what another journal has bought already, so that a copy of a fleet does not buy it again.

A journal is found by the name of its file. A copy of the file, its rows saved as another format, or
a journal that was renamed, would begin with an empty journal and buy every number a second time.
So before a purchase three places are asked: the journals in the same folder, whatever they are
called; those that this user has bought with before, wherever they are; and, for a new journal, the
tags in the labels of the account, which tell the numbers of one journal from those of another.
``--journal`` says which one is meant, and ends the question.

Two runs that begin at the same moment find nothing in each other's journal. So each one announces
the rows that it buys for in a file beside its journal before it looks, one run after the other.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Final

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.fleet_input import FleetInput, new_file
from sigmamind_async.cli.journal_location import SQLITE_HEADER, SUFFIX, FileJournal, JournalLocation
from sigmamind_async.cli.output.text import ids_text
from sigmamind_async.errors import JournalError
from sigmamind_async.fleet import Action, FleetState, Plan, find_purchases
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.journal.sqlite.lockfile import lock

MOST_JOURNALS: Final = 200
MOST_REMEMBERED: Final = 1000
"""Journals of one user that the list keeps."""
ANNOUNCEMENT: Final = "-buying"
"""After the name of a journal: the rows that a run is buying for."""
_PATIENCE: Final = 10.0
"""Seconds to wait for another run to announce its rows, which takes it milliseconds."""
_BESIDE: Final = ("-wal", "-shm", "-lock", ANNOUNCEMENT)
"""What SQLite and a journal put beside the file."""


async def check_other_journals(
    given: FleetInput, plan: Plan, state: FleetState, journal: Journal
) -> None:
    """Raise `CommandError` where *plan* would buy what another journal has bought.

    With ``--journal`` nothing is looked for: the caller has said which journal is meant.
    """
    place = given.place
    if place.chosen is not None:
        return
    for path in islice(_journals(given), MOST_JOURNALS):
        with suppress(JournalError, OSError):  # it is no journal, or of another version
            async with SqliteJournal(path, read_only=True) as other:
                if found := await find_purchases(plan, state, other):
                    raise CommandError(_journal_text(given, path, found))
    if isinstance(place, FileJournal) and (found := await _bought_elsewhere(plan, state, journal)):
        raise CommandError(
            f"{given.name} has no journal yet, and the account has numbers with the labels of"
            f" its rows that another journal has bought: {ids_text(found)}. If this fleet has"
            f" bought them, name its journal with --journal; to buy other numbers, add"
            f" --journal {quote(place.name)}; nothing was sent"
        )


@contextmanager
def announce_purchases(
    given: FleetInput, rows: Mapping[str, frozenset[str]], accounts: Mapping[str, str]
) -> Generator[None]:
    """Keep other runs from buying for the same rows until the block ends.

    Args:
        given: The fleet.
        rows: By id, what tells each row that is bought for from others (`purchase_identities`).
        accounts: By platform, what tells the account from others.

    Raises:
        CommandError: Another run is buying for one of *rows*.
    """
    place = given.place
    # Databases are remembered too: applied without one, the file would start a new journal.
    path = place.path if isinstance(place, FileJournal) else Path(f"{given.name}{SUFFIX}")
    with ExitStack() as stack:
        with suppress(OSError):
            state_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(state_folder(), path.parent):
            _remember(path)
            digests = {name: _digests(each, accounts) for name, each in rows.items()}
            if place.chosen is None:
                _check_announcements(given, digests)
            if isinstance(place, FileJournal):
                stack.enter_context(_announced(path, digests))
        yield


def _digests(identities: frozenset[str], accounts: Mapping[str, str]) -> frozenset[str]:
    texts = (f"{accounts[each.partition(' ')[0]]} {each}" for each in identities)
    return frozenset(hashlib.sha256(text.encode()).hexdigest() for text in texts)


def _check_announcements(given: FleetInput, digests: Mapping[str, frozenset[str]]) -> None:
    folders = {Path(given.name).parent}
    if isinstance(given.place, FileJournal):
        folders.add(given.place.path.parent)
    found = [each for folder in folders for each in _files_in(folder)]
    known = [Path(f"{each}{ANNOUNCEMENT}") for each in known_journals()]
    for path in dict.fromkeys((*found, *known)):
        if path.name.endswith(ANNOUNCEMENT) and (announced := _live_announcement(path)):
            ids = [name for name, each in digests.items() if not each.isdisjoint(announced)]
            if ids:
                journal = str(path).removesuffix(ANNOUNCEMENT)
                raise CommandError(
                    f"another run, with the journal {journal}, is buying for these rows of"
                    f" {given.name}: {ids_text(ids)}; run the command again when it has ended;"
                    " nothing was sent"
                )


def _live_announcement(path: Path) -> frozenset[str]:
    """Return what a run has announced at *path*; nothing if that run has ended."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return frozenset()
        with path.open("r+b") as stream:
            is_live = not lock(stream.fileno(), shared=False)
            return frozenset(stream.read().decode().split()) if is_live else frozenset()
    except (OSError, UnicodeError):
        return frozenset()


@contextmanager
def _announced(journal: Path, digests: Mapping[str, frozenset[str]]) -> Generator[None]:
    """Have the announcement of *journal* there, locked, until the block ends."""
    path = Path(f"{journal}{ANNOUNCEMENT}")
    # Never through a link: what it leads to would be written over.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            lock(stream.fileno(), shared=False)
            stream.write("\n".join(sorted(frozenset[str]().union(*digests.values()))).encode())
            stream.flush()
            yield
    finally:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _locked(*folders: Path) -> Generator[None]:
    """Lock *folders* until the block ends: those that can be locked."""
    end = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        for folder in folders:
            with suppress(OSError):  # it is not there, or the system locks no folders
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                while not lock(descriptor, shared=False):
                    if time.monotonic() > end:
                        raise CommandError(f"{folder} is locked by another run; nothing was sent")
                    time.sleep(0.01)
        yield


def is_gone(place: JournalLocation) -> bool:
    """Return whether numbers were bought with a journal that was at *place*."""
    if not isinstance(place, FileJournal) or place.exists():
        return False
    return place.path.absolute() in known_journals()


def _journals(given: FleetInput) -> Iterator[Path]:
    """Yield the files that may be other journals, once each."""
    place = given.place
    if not isinstance(place, FileJournal):
        # Rows that were applied before their journal was in a database.
        yield from filter(_may_be_journal, [Path(f"{given.name}{SUFFIX}")])
        return
    seen = {_identity(place.path)}
    folders = dict.fromkeys([place.path.parent, Path(place.file).parent])
    beside = (path for folder in folders for path in _files_in(folder))
    for path in (*beside, *known_journals()):
        if (identity := _identity(path)) not in seen and _may_be_journal(path):
            seen.add(identity)
            yield path


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # a folder may be open for its files, and not for a listing
        return []


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _may_be_journal(path: Path) -> bool:
    """Return whether *path* may be a journal, and not a file beside one."""
    try:
        if not path.is_file() or path.name.endswith(_BESIDE):
            return False
        with path.open("rb") as stream:
            return stream.read(len(SQLITE_HEADER)) in {SQLITE_HEADER, b""}
    except OSError:
        return False


# ---------------------------------------------------------------- in the account


async def _bought_elsewhere(plan: Plan, state: FleetState, journal: Journal) -> list[str]:
    """Return the rows whose label is on a number that another journal has bought.

    Only for a new journal: one that has bought before knows its own numbers, and a label may be on
    many.
    """
    found: list[str] = []
    for platform in sorted({step.platform for step in plan.steps}):
        if (await journal.counts(platform)).rows:
            continue
        numbers = state.numbers.get(platform, {}).values()
        labels = {
            number.shown.get("label"): number.phone_number for number in numbers if number.token
        }
        for step in plan.steps:
            label = str(plan.rows[step.id].fields.get("label") or "")
            buys = step.platform == platform and step.writes and step.action is Action.PURCHASE
            if buys and label and label in labels:
                found.append(f"{step.id} ({labels[label]})")
    return found


# ---------------------------------------------------------------- journals of this user


def state_folder() -> Path:
    """Return where the list is kept; a name that is nowhere for a user without a home."""
    with suppress(RuntimeError):
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home, "sigmamind")
    return Path(os.devnull)


def known_journals() -> list[Path]:
    """Return the journals that this user has bought with, the latest first."""
    try:
        lines = (state_folder() / "journals").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return []
    return [Path(line) for line in dict.fromkeys(reversed(lines)) if line]


def _remember(journal: Path) -> None:
    """Add *journal* to the journals of this user, if that can be written; prune a long list."""
    journal, known, file = journal.absolute(), known_journals(), state_folder() / "journals"
    if journal in known or not str(journal).isprintable():
        return
    with suppress(OSError, UnicodeError):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as to:
            to.write(f"{journal}\n")
        if len(known) >= MOST_REMEMBERED:
            # Those that are gone with their folder go first, then the oldest.
            kept = sorted([journal, *known], key=lambda each: not each.parent.exists())
            with new_file(file, 0o600) as stream:
                lines = [f"{each}\n" for each in reversed(kept[:MOST_REMEMBERED])]
                stream.write("".join(lines).encode())


def _journal_text(given: FleetInput, path: Path, found: Sequence[str]) -> str:
    place = given.place
    bought = f"{path} has bought numbers for these rows of {given.name} already: {ids_text(found)}"
    if not isinstance(place, FileJournal):
        return (
            f"{bought}. To continue with it, leave --postgres out; to buy others, rename"
            f" {given.name}; nothing was sent"
        )
    return (
        f"{bought}. To continue with that journal, add --journal {quote(str(path))}; to buy other"
        f" numbers, add --journal {quote(place.name)}; nothing was sent"
    )

"""Finds what another journal has bought already, so that a copy of a fleet does not buy it again.

A journal is found by the name of its file. A copy of the file, its rows saved as another format, or
a journal that was renamed, would begin with an empty journal and buy every number a second time.
So before a purchase three places are asked: the journals in the same folder, whatever they are
called; those that this user has bought with before, wherever they are; and, for a new journal, the
tags in the labels of the account, which tell the numbers of one journal from those of another.
``--journal`` says which one is meant, and ends the question.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Final

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.fleet_input import FleetInput
from sigmamind_async.cli.journal_location import SQLITE_HEADER, SUFFIX, FileJournal, JournalLocation
from sigmamind_async.cli.output.text import ids_text
from sigmamind_async.errors import JournalError
from sigmamind_async.fleet import Action, FleetState, Plan, find_purchases
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal

MOST_JOURNALS: Final = 200
_BESIDE: Final = ("-wal", "-shm", "-lock")
"""What SQLite and a journal put beside the file."""


async def check_other_journals(
    given: FleetInput, plan: Plan, state: FleetState, journal: Journal
) -> None:
    """Raise `CommandError` where *plan* would buy what another journal has bought.

    With ``--journal`` nothing is looked for: the caller has said which journal is meant.
    """
    place = given.place
    if is_chosen(place):
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


def is_chosen(place: JournalLocation) -> bool:
    """Return whether ``--journal`` has named *place*."""
    return isinstance(place, FileJournal) and place.chosen is not None


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


def _known_file() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "sigmamind", "journals")


def known_journals() -> list[Path]:
    """Return the journals that this user has bought with, the latest first."""
    try:
        lines = _known_file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError, RuntimeError):  # or there is no home
        return []
    return [Path(line) for line in dict.fromkeys(reversed(lines)) if line]


def remember_journal(path: Path) -> None:
    """Add *path* to the journals of this user, as far as that can be written."""
    text = str(path.absolute())
    with suppress(OSError, UnicodeError, RuntimeError):
        if text.isprintable() and Path(text) not in known_journals():
            file = _known_file()
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as to:
                to.write(f"{text}\n")


def _journal_text(given: FleetInput, path: Path, found: Sequence[str]) -> str:
    place = given.place
    bought = f"{path} has bought numbers for these rows of {given.name} already: {ids_text(found)}"
    if not isinstance(place, FileJournal):
        return (
            f"{bought}. To go on with it, leave --postgres out; to buy others, rename {given.name};"
            " nothing was sent"
        )
    return (
        f"{bought}. To go on with that journal, add --journal {quote(str(path))}; to buy other"
        f" numbers, add --journal {quote(place.name)}; nothing was sent"
    )

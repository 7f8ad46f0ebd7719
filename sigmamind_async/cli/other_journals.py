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
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.fleet_input import FleetInput
from sigmamind_async.cli.journal_location import SQLITE_HEADER, SUFFIX, FileJournal
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.errors import JournalError
from sigmamind_async.fleet import Action, Fleet, FleetRow, FleetState, LastApplied, Plan, Step
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.provisioning.fingerprint import key_fingerprint
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.values import Secret

MOST_NAMED: Final = 5
"""Purchases that the message names: one is enough to stop the job."""
MOST_JOURNALS: Final = 200
_BESIDE: Final = ("-wal", "-shm", "-lock")
"""What SQLite and a journal put beside the file."""


@attrs.frozen
class EarlierPurchase:
    """A number that a row would buy again."""

    row_id: str
    phone_number: str
    """Empty where it is not known yet."""

    def __str__(self) -> str:
        return f"{self.row_id} ({self.phone_number or 'unconfirmed'})"


async def check_other_journals(
    given: FleetInput, plan: Plan, state: FleetState, journal: Journal
) -> None:
    """Raise `CommandError` where *plan* would buy what another journal has bought.

    Where ``--journal`` names the journal, nothing is asked.
    """
    place = given.place
    if isinstance(place, FileJournal) and place.chosen is not None:
        return
    steps = [step async for step in _new_purchases(plan, journal)]
    if not steps:
        return
    for path in islice(_journals(given), MOST_JOURNALS):
        found = await _bought_by(path, steps, plan.rows, state, journal.journal_id)
        if found:
            raise CommandError(_journal_text(given, path, found))
    if isinstance(place, FileJournal):
        if found := await _bought_elsewhere(steps, plan.rows, state, journal):
            raise CommandError(_labels_text(given, place, found))
        remember_journal(place.path)


async def _new_purchases(plan: Plan, journal: Journal) -> AsyncIterator[Step]:
    for step in plan.steps:
        if step.writes and step.action is Action.PURCHASE:
            stored = await journal.get(step.platform, step.op_id)
            if stored is None or not stored.purchase_count:
                yield step


# ---------------------------------------------------------------- in other journals


async def _bought_by(
    path: Path,
    steps: Sequence[Step],
    rows: Mapping[str, FleetRow],
    state: FleetState,
    own_id: str,
) -> list[EarlierPurchase]:
    """Return what the journal at *path* has bought of *steps*, as far as the account has it."""
    found: list[EarlierPurchase] = []
    with suppress(JournalError, OSError):  # it is no journal, or of another version
        async with SqliteJournal(path, read_only=True) as other:
            if other.journal_id == own_id or not await _has_bought(other, steps):
                return []
            notes = (await other.last_applied()).items()
            applied = {row_id: LastApplied.load(row_id, text) for row_id, text in notes}
            index = StateIndex(
                Fleet(rows=[]), FleetState(numbers=state.numbers, last_applied=applied)
            )
            for step in steps:
                number = await _number_of(step, rows[step.id], other, index)
                if number is not None:
                    found.append(EarlierPurchase(step.id, number))
                if len(found) == MOST_NAMED:
                    break
    return found


async def _has_bought(other: Journal, steps: Sequence[Step]) -> bool:
    platforms = {step.platform for step in steps}
    return any([(await other.counts(platform)).purchase_count for platform in platforms])


async def _number_of(step: Step, row: FleetRow, other: Journal, index: StateIndex) -> str | None:
    """Return the number that *other* has bought for *row*; `None` for none."""
    records = index.state.numbers.get(step.platform, {})
    note = index.state.last_applied.get(row.id)
    if note is not None and note.record in records and note.source == "purchase":
        return note.phone_number
    stored = await other.get(step.platform, step.op_id)
    if stored is not None and stored.purchase_count:
        is_there = stored.record in records
        if is_there or (not stored.record and await _has_key(other, step.platform)):
            return stored.phone_number
    # Of the same row under another id only a label tells.
    twin = index.removed_purchase(row, alike=True) if row.fields.get("label") else None
    return None if twin is None else twin.phone_number


async def _has_key(other: Journal, platform: str) -> bool:
    """Return whether *other* is about the account of the key in the environment."""
    key = Secret(os.environ.get(PLATFORMS[platform].key_variable, ""))
    return key_fingerprint(other.journal_id, key) in await other.key_fingerprints(platform)


def _journals(given: FleetInput) -> Iterator[Path]:
    """Yield the files that may be other journals, once each."""
    place = given.place
    if not isinstance(place, FileJournal):
        # Rows that were applied before their journal was in a database.
        yield from filter(_may_be_journal, [Path(f"{given.name}{SUFFIX}")])
        return
    seen = {_identity(place.path)}
    folders = dict.fromkeys([place.path.parent, Path(place.file).parent])
    beside = (path for folder in folders for path in sorted(folder.iterdir()))
    for path in (*beside, *known_journals()):
        if (identity := _identity(path)) not in seen and _may_be_journal(path):
            seen.add(identity)
            yield path


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


async def _bought_elsewhere(
    steps: Sequence[Step], rows: Mapping[str, FleetRow], state: FleetState, journal: Journal
) -> list[EarlierPurchase]:
    """Return the rows whose label is on a number that another journal has bought.

    Only for a new journal: one that has bought before has its own numbers, and a label may be on
    many.
    """
    found: list[EarlierPurchase] = []
    for platform in {step.platform for step in steps}:
        if (await journal.counts(platform)).rows:
            continue
        labels = {
            number.shown.get("label"): number
            for number in state.numbers.get(platform, {}).values()
            if number.token and number.shown.get("label")
        }
        for step in steps:
            number = labels.get(str(rows[step.id].fields.get("label") or ""))
            if step.platform == platform and number is not None:
                found.append(EarlierPurchase(step.id, number.phone_number))
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


# ---------------------------------------------------------------- messages


def _journal_text(given: FleetInput, path: Path, found: Sequence[EarlierPurchase]) -> str:
    place = given.place
    bought = f"{path} has bought numbers for these rows of {given.name}: {_some(found)}"
    if not isinstance(place, FileJournal):
        return (
            f"{bought}. To go on with it, leave --postgres out; to buy others, rename {given.name};"
            " nothing was sent"
        )
    return (
        f"{bought}. To go on with that journal, add --journal {_quoted(path)}; to buy other"
        f" numbers, add --journal {_quoted(place.path)}; nothing was sent"
    )


def _labels_text(given: FleetInput, place: FileJournal, found: Sequence[EarlierPurchase]) -> str:
    return (
        f"{given.name} has no journal yet, and the account has numbers with the labels of its rows"
        f" that another journal has bought: {_some(found)}. If this fleet has bought them, name its"
        f" journal with --journal; to buy other numbers, add --journal {_quoted(place.path)};"
        " nothing was sent"
    )


def _some(found: Sequence[EarlierPurchase]) -> str:
    more = " and more" if len(found) >= MOST_NAMED else ""
    return ", ".join(map(str, found[:MOST_NAMED])) + more


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))

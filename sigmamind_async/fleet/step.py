"""What differs between a row and its number, what a plan does about it, and what is noted. Pure.

Three states are compared field by field: what the row asks for, what was applied last, and what the
account shows.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from sigmamind_async.fleet.spec import SECRETS, Cell, FleetRow
from sigmamind_async.fleet.state import INLINE_SECRET, LastApplied, normalize_cell
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber, VendorSchema


class Action(enum.Enum):
    """What is done about a row; in the order in which plans show it."""

    PURCHASE = "purchase"
    """Buy the number, and write afterwards what the purchase does not take."""
    MOVE = "move"
    """Import the number on the row's platform, then release it on the one where it was."""
    RELEASE = "release"
    """Release the number, permanently."""
    IMPORT = "import"
    ADOPT = "adopt"
    """Link a number of the account to the row, and write what differs."""
    UPDATE = "update"
    """Write exactly what differs."""
    DRIFTED = "drifted"
    """Leave what was changed elsewhere since it was applied."""
    UNCHANGED = "unchanged"


CREATES: Final = frozenset({Action.PURCHASE, Action.MOVE, Action.IMPORT})
"""Actions that create a number."""
WRITES: Final = CREATES | {Action.RELEASE, Action.ADOPT, Action.UPDATE}
"""Actions that may send requests."""


@attrs.frozen
class Change:
    """One *field*, by its name in a fleet, that gets another value."""

    field: str
    before: str | int | None
    """The value that the account shows; `None` also where it does not show the field."""
    after: str | int | None
    """The value in the row; the reference of a secret."""
    drifted: bool = False
    """True if *before* is not what was applied last."""


@attrs.frozen(kw_only=True)
class Step:
    """What is done about one row: an `action`, and the `changes` that it writes.

    `id` and `platform` are those of the row; `remarks` are sentences for people.
    """

    id: str
    platform: str
    action: Action
    sequence: int = 0
    """Part of the ids of the step's operations; a later step of the row has a higher one."""
    op_id: str = ""
    """The operation that creates the number; empty if none does."""
    phone_number: str = ""
    """Empty if the platform picks it."""
    record: str = ""
    """Key of the number, once it is in the account."""
    changes: tuple[Change, ...] = ()
    kept_drift: tuple[Change, ...] = ()
    """What was changed elsewhere and stays so."""
    renamed_from: str = ""
    """Id of a row, no longer in the fleet, under which the journal has the number."""
    moves_from: RemoteNumber | None = None
    """The number on the platform where it is released in the end, see `Action.MOVE`."""
    blocked: str = ""
    """Why it is not carried out although the row asks for it."""
    remarks: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """True if carrying it out sends anything."""
        if self.blocked:
            return False
        return bool(self.changes) if self.action is Action.ADOPT else self.action in WRITES


# --- what differs --------------------------------------------------------------------------


def find_changes(
    row: FleetRow,
    vendor: VendorSchema,
    found: RemoteNumber,
    applied: LastApplied | None,
    *,
    rewrite_secrets: bool = False,
) -> Iterator[Change]:
    """Yield what an update must write so that the number is as *row* asks.

    A field that the account shows is compared with that; one that it does not show, such as a
    password, with what was applied last. A platform may show a value in its own spelling: as long
    as it still shows what it showed after the last update, nothing has changed.
    """
    memory: Mapping[str, str | int | None] = {} if applied is None else applied.fields
    for name, cell in row.fields.items():
        if name not in vendor.update.takes:
            continue
        after = normalize_cell(cell)
        is_known = name in memory
        if name not in found.shown:
            again = rewrite_secrets and name in SECRETS
            same = memory[name] == after if is_known else after is None
            if again or not same:
                yield Change(name, memory.get(name), after)
            continue
        shown = found.shown[name]
        if shown == after:
            continue
        expected = applied.shown.get(name, memory[name]) if applied and is_known else shown
        if is_known and shown == expected and after == memory[name]:
            continue
        yield Change(name, shown, after, drifted=is_known and shown != expected)


def find_fixed_changes(
    row: FleetRow, vendor: VendorSchema, applied: LastApplied | None
) -> Iterator[str]:
    """Yield the fields that *row* changes although only the creation of a number takes them."""
    if applied is None:
        return
    for name, cell in row.fields.items():
        if name == "phone_number" or name in vendor.update.takes:
            continue
        if name not in applied.fields and (name in SECRETS or applied.source != row.source.value):
            continue  # it is not known what was written, if anything was
        before, after = applied.fields.get(name), normalize_cell(cell)
        # An inline secret is not remembered, so there is nothing to compare with.
        if before != after and INLINE_SECRET not in {before, after}:
            yield name


# --- notes -----------------------------------------------------------------------------------


def note_creation(
    row: FleetRow, fields: Mapping[str, Cell], sequence: int, found: RemoteNumber | None = None
) -> LastApplied:
    """Return the note that *row* is about *found*, which was created with *fields*.

    Without *found*, the number is only requested, and the note is written before the request is
    sent: if the row is then renamed, or given another platform, the next plan knows of the number.
    """
    return LastApplied(
        platform=row.platform,
        record="" if found is None else found.record,
        phone_number="" if found is None else found.phone_number,
        source=row.source.value,
        sequence=sequence - (found is None),
        fields={name: normalize_cell(cell) for name, cell in fields.items()},
    )


def remaining_changes(
    row: FleetRow, found: RemoteNumber, applied: LastApplied
) -> tuple[Change, ...]:
    """Return what is left to write to a number that was just created.

    That is what its request did not take, and what the platform shows with another value.
    """
    changes = find_changes(row, VENDORS[found.platform], found, applied)
    return tuple(attrs.evolve(change, drifted=False) for change in changes)


def after_sync(
    row: FleetRow,
    found: RemoteNumber,
    before: LastApplied | None,
    sequence: int,
    kept_drift: Sequence[Change] = (),
) -> LastApplied:
    """Return the note about a number that is as *row* asks, except for *kept_drift*."""
    if before is not None and before.platform != found.platform:
        before = None  # what was written on another platform was never written here
    memory: Mapping[str, str | int | None] = {} if before is None else before.fields
    shown: Mapping[str, str | None] = {} if before is None else before.shown
    takes = VENDORS[found.platform].update.takes
    kept = {change.field for change in kept_drift}
    # An update's fields are forgotten once the row no longer has them: they may be changed
    # elsewhere, and are written again when the row has them again.
    fields = {
        **{name: normalize_cell(cell) for name, cell in row.fields.items()},
        **{name: cell for name, cell in memory.items() if name not in takes},
        **{name: memory[name] for name in kept},
    }
    return LastApplied(
        platform=found.platform,
        record=found.record,
        phone_number=found.phone_number,
        source=row.source.value if before is None else before.source,
        sequence=sequence,
        fields=fields,
        shown={
            **{name: cell for name, cell in shown.items() if name in kept},
            **{
                name: cell
                for name, cell in found.shown.items()
                if name in fields and name not in kept and fields[name] != cell
            },
        },
    )


def after_release(row: FleetRow, platform: str, sequence: int) -> LastApplied:
    """Return the note about a row whose number was released on *platform*."""
    return LastApplied(platform=platform, source=row.source.value, sequence=sequence)


def merge_shown(before: RemoteNumber | None, now: RemoteNumber) -> RemoteNumber:
    """Return *now* with the fields that only *before* has: listings show more than responses."""
    if before is None:
        return now
    return attrs.evolve(now, shown={**before.shown, **now.shown})

"""What is noted of a row once a request has been answered, and what is left to write. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from sigmamind_async.fleet.diff import find_changes
from sigmamind_async.fleet.spec import Cell, FleetRow
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.fleet.vendors import VENDORS


def before_create(row: FleetRow, fields: Mapping[str, Cell], sequence: int) -> LastApplied:
    """Return the note that the number of *row* is requested, before the request is sent.

    If the row is then renamed, or given another platform, the next plan knows of the number.
    """
    return LastApplied(
        platform=row.platform,
        record="",
        phone_number="",
        source=row.source.value,
        sequence=sequence - 1,
        fields={name: normalize_cell(cell) for name, cell in fields.items()},
    )


def after_create(
    row: FleetRow, found: RemoteNumber, fields: Mapping[str, Cell], sequence: int
) -> LastApplied:
    """Return the note about a number that was created with *fields*."""
    return LastApplied(
        platform=found.platform,
        record=found.record,
        phone_number=found.phone_number,
        source=row.source.value,
        sequence=sequence,
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
    return LastApplied(
        platform=platform,
        record="",
        phone_number="",
        source=row.source.value,
        sequence=sequence,
    )


def merge_shown(before: RemoteNumber | None, now: RemoteNumber) -> RemoteNumber:
    """Return *now* with the fields that only *before* has: listings show more than responses."""
    if before is None:
        return now
    return attrs.evolve(now, shown={**before.shown, **now.shown})

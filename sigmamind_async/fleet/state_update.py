"""What is remembered of a row once a request has been answered, and what is left to write. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from sigmamind_async.fleet.diff import find_changes
from sigmamind_async.fleet.spec import Cell, FleetRow
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.fleet.vendors import VENDORS


def after_create(
    row: FleetRow, found: RemoteNumber, written: Mapping[str, Cell], sequence: int
) -> LastApplied:
    """Return what is remembered of a number that has just come, with *written* said about it."""
    return LastApplied(
        platform=found.platform,
        record=found.record,
        phone_number=found.phone_number,
        source=row.source.value,
        sequence=sequence,
        fields={name: normalize_cell(cell) for name, cell in written.items()},
    )


def remaining_changes(
    row: FleetRow, found: RemoteNumber, applied: LastApplied
) -> tuple[Change, ...]:
    """Return what is still to be written to a number that has just come.

    That is what its request did not take, and what the platform shows otherwise than it was told.
    """
    changes = find_changes(row, VENDORS[found.platform], found, applied)
    return tuple(attrs.evolve(change, drifted=False) for change in changes)


def after_sync(
    row: FleetRow,
    found: RemoteNumber,
    before: LastApplied | None,
    sequence: int,
    kept: Sequence[Change] = (),
) -> LastApplied:
    """Return what is remembered of a number that is as *row* says, but for what was *kept*."""
    if before is not None and before.platform != found.platform:
        before = None  # what was said on another platform was never said here
    memory: Mapping[str, str | int | None] = {} if before is None else before.fields
    shown: Mapping[str, str | None] = {} if before is None else before.shown
    takes = VENDORS[found.platform].update.takes
    left = {change.field for change in kept}
    # Of what a row no longer says, an update's fields are forgotten: others may change them by
    # now, and when the row says one again, it is written again.
    fields = {
        **{name: normalize_cell(cell) for name, cell in row.fields.items()},
        **{name: cell for name, cell in memory.items() if name not in takes},
        **{name: memory[name] for name in left},
    }
    return LastApplied(
        platform=found.platform,
        record=found.record,
        phone_number=found.phone_number,
        source=row.source.value if before is None else before.source,
        sequence=sequence,
        fields=fields,
        shown={
            **{name: cell for name, cell in shown.items() if name in left},
            **{
                name: cell
                for name, cell in found.shown.items()
                if name in fields and name not in left and fields[name] != cell
            },
        },
    )


def after_release(row: FleetRow, found: RemoteNumber, sequence: int) -> LastApplied:
    """Return what is remembered of a row whose number was released."""
    return LastApplied(
        platform=found.platform,
        record="",
        phone_number="",
        source=row.source.value,
        sequence=sequence,
    )


def merge_shown(before: RemoteNumber | None, now: RemoteNumber) -> RemoteNumber:
    """Return *now* with what only *before* told: answers to changes are shorter than listings."""
    if before is None:
        return now
    return attrs.evolve(now, shown={**before.shown, **now.shown})

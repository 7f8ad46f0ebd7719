"""What differs between a row and its number: wanted, last applied, found, by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sigmamind_async.fleet.spec import SECRETS, FleetRow
from sigmamind_async.fleet.state import INLINE_SECRET, LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change
from sigmamind_async.fleet.vendor_schema import RemoteNumber, VendorSchema


def find_changes(
    row: FleetRow,
    capability: VendorSchema,
    found: RemoteNumber,
    applied: LastApplied | None,
    *,
    rewrite_secrets: bool = False,
) -> Iterator[Change]:
    """Yield what an update must write so that the number is as *row* says.

    What the account shows is compared with that; what it does not show, a password for instance,
    with what was applied last. A platform may show what it was told in a spelling of its own: where
    it still shows what it did then, nothing has changed.
    """
    memory: Mapping[str, str | int | None] = {} if applied is None else applied.fields
    for name, cell in row.fields.items():
        if name not in capability.update.takes:
            continue
        wanted = normalize_cell(cell)
        known = name in memory
        if name not in found.shown:
            again = rewrite_secrets and name in SECRETS
            same = memory[name] == wanted if known else wanted is None
            if again or not same:
                yield Change(name, memory.get(name), wanted)
            continue
        shown = found.shown[name]
        if shown == wanted:
            continue
        expected = applied.shown.get(name, memory[name]) if applied and known else shown
        if known and shown == expected and wanted == memory[name]:
            continue
        yield Change(name, shown, wanted, drifted=known and shown != expected)


def find_fixed_changes(
    row: FleetRow, capability: VendorSchema, applied: LastApplied | None
) -> Iterator[str]:
    """Yield what *row* now says otherwise although it counts only when a number comes."""
    if applied is None:
        return
    for name, cell in row.fields.items():
        if name == "phone_number" or name in capability.update.takes:
            continue
        if name not in applied.fields and (name in SECRETS or applied.source != row.source.value):
            continue  # nothing is known of what was said, if anything was
        before, wanted = applied.fields.get(name), normalize_cell(cell)
        # Of a secret in the open nothing is known to compare with.
        if before != wanted and INLINE_SECRET not in {before, wanted}:
            yield name

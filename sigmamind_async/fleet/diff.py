"""What differs between a row and its number, field by field: row, last applied, account. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sigmamind_async.fleet.spec import SECRETS, FleetRow
from sigmamind_async.fleet.state import INLINE_SECRET, LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change
from sigmamind_async.fleet.vendor_schema import RemoteNumber, VendorSchema


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

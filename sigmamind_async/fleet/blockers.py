"""What keeps a row from being planned, as a sentence that says what to do. Pure.

Each function returns an empty text if nothing does.
"""

from __future__ import annotations

from typing import Final

from sigmamind_async.fleet.spec import FleetRow, Source
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.state_index import RemovedPurchase, StateIndex
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.provisioning.row import Row

RELEASE_NOT_ALLOWED: Final = "releasing a number is permanent, and needs --allow-release"
NEEDS_DECISION: Final = "needs a decision; sigmamind status shows the ways to decide"
ABANDONED: Final = "an operator abandoned it; to get a number after all, give the row a new id"


# --- numbers ---------------------------------------------------------------------------------


def ambiguous_number(
    row: FleetRow, found: RemoteNumber, applied: LastApplied | None, index: StateIndex
) -> str:
    """Return why *found* may not be the number that *row* means."""
    conflict = index.other_owner(row, found, listed=True)
    if conflict is not None:
        return f"{found.phone_number} belongs to the row {conflict}"
    is_known = applied is not None and applied.record == found.record
    if not is_known and (found.platform, found.phone_number) in index.ambiguous:
        return f"the account has {found.phone_number} more than once; keep only one of them"
    return ""


def number_conflict(row: FleetRow, phone_number: str, index: StateIndex) -> str:
    """Return why *row* may not create *phone_number*, which the account does not have."""
    other = index.row_with_number(row, phone_number) if phone_number else None
    return "" if other is None else f"{phone_number} belongs to the row {other}"


def repeated_purchase(removed: RemovedPurchase | None, *, allow_unlisted: bool) -> str:
    """Return why a purchase may repeat that of a row which the fleet does not list."""
    if removed is None:
        return ""
    row_id, number = removed.row_id, removed.phone_number
    ways = ["give this row another id and label"] if removed.is_alike else []
    ways += ["pass --allow-unlisted"] if removed.is_own and not allow_unlisted else []
    otherwise = " and ".join(ways)
    if not number:
        return (
            f"would buy a number while a purchase for the row {row_id}, which this fleet does"
            f" not list, is unconfirmed: put {row_id} back until it is settled, or {otherwise}"
        )
    return (
        f"would buy another number although {number} was bought for the row {row_id}, which"
        f" this fleet does not list: if this is that row, change its id back to {row_id} or add"
        f" phone_number {number}; if not, put {row_id} back (with state absent to release"
        f" {number}), or {otherwise}"
    )


# --- operations that an earlier run began ----------------------------------------------------


def pending_mismatch(row: FleetRow, stored: Row | None) -> str:
    """Return why *stored*, the operation under way for *row*, cannot continue.

    It continues as it was requested. That must still be what the row asks for, above all where it
    costs money.
    """
    if stored is None or row.source is Source.EXISTING:
        return ""
    number = stored.key if stored.key.startswith("+") else ""
    began = f"an earlier run began to {_verb(stored)} {number or 'a number'}"
    platform = stored.account.partition(":")[0]
    if platform != row.platform or stored.kind.costs is not (row.source is Source.PURCHASE):
        why = "which is unconfirmed: change the row back until that is settled"
        return f"{began} on {platform}, {why}"
    if row.phone_number not in {"", number}:
        return f"{began}, which is unconfirmed: add another row for {row.phone_number}"
    return ""


def _verb(stored: Row) -> str:
    return "buy" if stored.kind.costs else "import"


# --- releases and moves ----------------------------------------------------------------------


def release_conflict(
    row: FleetRow, found: RemoteNumber | None, applied: LastApplied | None, index: StateIndex
) -> str:
    """Return why the number of *row* can neither be released nor count as absent."""
    stored = index.under_way(row)
    if stored is not None:
        return (
            f"an earlier run began to {_verb(stored)} its number, which is unconfirmed: keep the"
            " row present until that is settled"
        )
    number = row.phone_number if found is None else found.phone_number
    claimed_by = index.claims.get((row.platform, number))
    if claimed_by is not None:
        return f"the row {claimed_by} keeps {number}; remove one of the two rows"
    if applied is not None and applied.platform != row.platform:
        return (
            f"{applied.phone_number} is on {applied.platform}: set platform to that to release it"
            " there"
        )
    if found is None:
        pending = index.state.pending.get(row.id)
        return NEEDS_DECISION if pending is not None and pending.needs_decision else ""
    if applied is not None and applied.record != found.record and not row.phone_number:
        return (
            f"{found.phone_number} was added again outside this fleet: name it in the row to"
            " release it"
        )
    # The row's own record is not the only one that the number which it names may mean.
    named = None if row.phone_number else applied
    return ambiguous_number(row, found, named, index)


def move_conflict(
    row: FleetRow, here: RemoteNumber | None, there: RemoteNumber, index: StateIndex
) -> str:
    """Return why *row* may not move a number that is *there*, and perhaps *here* already."""
    conflict = (
        number_conflict(row, there.phone_number, index)
        if here is None
        else ambiguous_number(row, here, None, index)
    )
    if conflict:
        return conflict
    other = index.other_owner(row, there, listed=True)
    if other is not None:
        return f"{there.phone_number} belongs to the row {other}"
    claimed_by = index.claims.get((there.platform, there.phone_number))
    if claimed_by is not None:
        return f"the row {claimed_by} keeps {there.phone_number} on {there.platform}"
    return ""


def move_refusal(row: FleetRow, applied: LastApplied, *, allow_release: bool) -> str:
    """Return why the number of *row* stays on its platform."""
    where = f"from {applied.platform} to {row.platform}"
    if applied.source == "purchase":
        return (
            f"{applied.phone_number} was bought on {applied.platform}, and would be released there"
            " permanently: a number that was bought cannot move"
        )
    if row.source is not Source.IMPORT or row.phone_number != applied.phone_number:
        return (
            f"moving {applied.phone_number} {where} needs source import and its phone_number, to"
            " import it there first"
        )
    if not allow_release:
        return f"moving {applied.phone_number} {where} releases it there: {RELEASE_NOT_ALLOWED}"
    return ""

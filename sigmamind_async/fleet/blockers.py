"""Why nothing is done about a row, in words that say what to do. Pure.

Each function returns an empty text where nothing is in the way.
"""

from __future__ import annotations

from typing import Final

from sigmamind_async.fleet.spec import FleetRow, Source
from sigmamind_async.fleet.state import LastApplied, PendingOperation
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.provisioning.row import Row, State

RELEASE_NOT_ALLOWED: Final = "releasing a number is permanent, and needs --allow-release"


# --- numbers ---------------------------------------------------------------------------------


def number_mismatch(row: FleetRow, applied: LastApplied | None) -> str:
    """Return why *row* cannot name the number that it does."""
    if applied is None or row.phone_number in {"", applied.phone_number}:
        return ""
    return f"the row stands for {applied.phone_number}; {row.phone_number} needs a row of its own"


def ambiguous_number(
    row: FleetRow, found: RemoteNumber, applied: LastApplied | None, register: StateIndex
) -> str:
    """Return why *found* may not be what *row* means."""
    rival = register.conflicting_row(row, found)
    if rival is not None:
        return f"{found.phone_number} belongs to the row {rival}"
    known = applied is not None and applied.record == found.record
    if not known and register.is_ambiguous(found):
        return f"the account has {found.phone_number} more than once; which one is meant is unknown"
    return ""


def number_conflict(row: FleetRow, phone_number: str, register: StateIndex) -> str:
    """Return why *phone_number*, which the account does not have, is not for *row* to bring."""
    other = register.row_with_number(row, phone_number) if phone_number else None
    return "" if other is None else f"{phone_number} belongs to the row {other}"


def missing_number(applied: LastApplied) -> str:
    """Return why a number that is gone is not replaced."""
    return (
        f"{applied.phone_number} is no longer in the account; take the row out, or give it a"
        " new id to let it bring another number"
    )


# --- operations that an earlier run began ----------------------------------------------------


def pending_mismatch(row: FleetRow, begun: PendingOperation | None) -> str:
    """Return why what is under way for *row* cannot go on.

    It goes on as it was asked for: that must still be what the row wants, money above all.
    """
    stored = _under_way(begun)
    if begun is None or stored is None or row.source is Source.EXISTING:
        return ""
    number = stored.key if stored.key.startswith("+") else ""
    began = f"an earlier run began to {_verb(stored)} {number or 'a number'}"
    if begun.platform != row.platform or stored.kind.costs is not (row.source is Source.PURCHASE):
        return (
            f"{began} on {begun.platform}, and what came of it is not known yet: put the row back"
            " as it was until it is"
        )
    if row.phone_number not in {"", number}:
        return (
            f"{began}, and what came of it is not known yet: {row.phone_number} needs a row of its"
            " own"
        )
    return ""


def pending_decision(begun: PendingOperation | None) -> str:
    """Return why what was begun does not go on by itself."""
    if begun is None or begun.row is None or not begun.needs_operator:
        return ""
    if begun.row.state is State.ABANDONED:
        return f"{begun.row.op_id!r} was abandoned: give the row a new id to let it begin anew"
    return f"{begun.row.op_id!r} needs a decision about what it brought"


def _under_way(begun: PendingOperation | None) -> Row | None:
    return begun.row if begun is not None and begun.is_under_way else None


def _verb(stored: Row) -> str:
    return "buy" if stored.kind.costs else "import"


# --- numbers that go -------------------------------------------------------------------------


def release_conflict(
    row: FleetRow, found: RemoteNumber | None, applied: LastApplied | None, register: StateIndex
) -> str:
    """Return why the number of *row* can neither be released nor count as gone."""
    stored = _under_way(register.pending(row))
    if stored is not None:
        return (
            f"an earlier run began to {_verb(stored)} its number, and what came of it is not known"
            " yet: let the row be present until it is"
        )
    number = row.phone_number if found is None else found.phone_number
    wanted_by = register.claiming_row(row.platform, number)
    if wanted_by is not None:
        return f"{number} is wanted by the row {wanted_by}"
    if applied is not None and applied.platform != row.platform:
        return f"{applied.phone_number} is on {applied.platform}: say that to release it there"
    if found is None:
        return _not_gone(register.pending(row))
    if applied is not None and applied.record != found.record and not row.phone_number:
        return (
            f"{found.phone_number} was brought back by somebody else: name it in the row to release"
            " it again"
        )
    # The row's own record is not the only one that a number in it may mean.
    named = None if row.phone_number else applied
    return ambiguous_number(row, found, named, register)


def _not_gone(begun: PendingOperation | None) -> str:
    abandoned = begun is not None and begun.row is not None and begun.row.state is State.ABANDONED
    return "" if abandoned else pending_decision(begun)


def move_conflict(
    row: FleetRow, here: RemoteNumber | None, there: RemoteNumber, register: StateIndex
) -> str:
    """Return why a number that is *there* and perhaps *here* already is not for *row* to move."""
    refusal = (
        number_conflict(row, there.phone_number, register)
        if here is None
        else ambiguous_number(row, here, None, register)
    )
    if refusal:
        return refusal
    rival = register.conflicting_row(row, there)
    if rival is not None:
        return f"{there.phone_number} belongs to the row {rival}"
    wanted_by = register.claiming_row(there.platform, there.phone_number)
    if wanted_by is not None:
        return f"{there.phone_number} is wanted on {there.platform} by the row {wanted_by}"
    return ""


def move_refusal(row: FleetRow, applied: LastApplied, *, allow_release: bool) -> str:
    """Return why the number of *row* stays on the platform that it is on."""
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

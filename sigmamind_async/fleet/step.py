"""What a plan does about one row, as a value that can be shown, saved and compared."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from sigmamind_async.fleet.vendor_schema import RemoteNumber


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


WRITES: Final = frozenset(
    {Action.PURCHASE, Action.MOVE, Action.RELEASE, Action.IMPORT, Action.ADOPT, Action.UPDATE}
)
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


def creation_id(row_id: str, sequence: int) -> str:
    """Return the id of the operation that creates the number of a row."""
    return f"{row_id} #{sequence}"

"""What a plan does about one row, as a value that can be shown, saved and compared."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from sigmamind_async.fleet.vendor_schema import RemoteNumber


class Action(enum.Enum):
    """What is done about a row; in the order in which a person wants to read it."""

    PURCHASE = "purchase"
    """Buy the number, and write behind it what the purchase does not take."""
    MOVE = "move"
    """Import the number on the row's platform, then release it on the one it was on."""
    RELEASE = "release"
    """Release the number, permanently."""
    IMPORT = "import"
    ADOPT = "adopt"
    """Take a number of the account for this row's, and write what differs."""
    UPDATE = "update"
    """Write exactly what differs."""
    DRIFTED = "drifted"
    """Somebody else changed what was applied; it is left as it is."""
    UNCHANGED = "unchanged"


WRITES = frozenset(
    {Action.PURCHASE, Action.MOVE, Action.RELEASE, Action.IMPORT, Action.ADOPT, Action.UPDATE}
)
"""Actions that may send requests."""


@attrs.frozen
class Change:
    """One field that is to become something else."""

    field: str
    before: str | int | None
    """What the account shows; `None` also where it shows nothing of the field."""
    after: str | int | None
    """What the row wants; of a secret its reference."""
    drifted: bool = False
    """Whether *before* is not what was applied last."""


@attrs.frozen(kw_only=True)
class Step:
    """What is done about one row."""

    id: str
    platform: str
    action: Action
    sequence: int = 0
    """Part of the ids of the step's operations; a later step of the row has a higher one."""
    op_id: str = ""
    """Operation that brings the number, where one has been begun or is to be."""
    phone_number: str = ""
    """Empty where the platform picks one."""
    record: str = ""
    """Key of the number, once it is in the account."""
    changes: tuple[Change, ...] = ()
    kept_drift: tuple[Change, ...] = ()
    """What somebody else has changed and is left so."""
    renamed_from: str = ""
    """Id of the row, no longer in the fleet, that the journal has the number under."""
    moves_from: RemoteNumber | None = None
    """The number on the platform where it is released in the end, see `Action.MOVE`."""
    blocked: str = ""
    """Why it is not carried out, although the row asks for it."""
    remarks: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether carrying it out sends anything."""
        if self.blocked:
            return False
        return bool(self.changes) if self.action is Action.ADOPT else self.action in WRITES

    def dump(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = attrs.asdict(self)
        return {**fields, "action": self.action.value}

    @classmethod
    def load(cls, said: dict[str, Any]) -> Step:
        """Return what `dump` was given."""
        moves_from = said.pop("moves_from")
        return cls(
            action=Action(said.pop("action")),
            changes=tuple(Change(**change) for change in said.pop("changes")),
            kept_drift=tuple(Change(**change) for change in said.pop("kept_drift")),
            moves_from=None if moves_from is None else RemoteNumber(**moves_from),
            remarks=tuple(said.pop("remarks")),
            **said,
        )


def creation_id(row_id: str, sequence: int) -> str:
    """Return the id of the operation that brings the number of a row."""
    return f"{row_id} #{sequence}"

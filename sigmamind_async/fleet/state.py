"""The state of a fleet's numbers: what was applied to each, and what the accounts show now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import attrs
import orjson

from sigmamind_async.errors import JournalError
from sigmamind_async.fleet.spec import Cell
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State
from sigmamind_async.values import Secret

INLINE_SECRET: Final = "***"  # noqa: S105 - stands for one
"""In a note, in place of a secret that was in the row itself."""


@attrs.frozen(kw_only=True)
class LastApplied:
    """The journal's note about a row: its `platform`, its number, and what was written to it."""

    platform: str
    record: str = ""
    """Empty before the number is created, and after it was released."""
    phone_number: str = ""
    """E.164; empty before the number is created."""
    source: str
    """Where the number came from: ``purchase``, ``import`` or ``existing``."""
    sequence: int
    """Counts the row's requests, so that each has its own id."""
    fields: Mapping[str, str | int | None] = attrs.field(
        hash=False, factory=dict[str, "str | int | None"]
    )
    """What was written last, by field; references of secrets."""
    shown: Mapping[str, str | None] = attrs.field(hash=False, factory=dict[str, "str | None"])
    """What the platform showed afterwards, where that is another value."""
    origin: str = ""
    """Of the fleet that listed the row last; empty if that is not known."""

    def dump(self) -> str:
        """Return it as JSON."""
        return orjson.dumps(attrs.asdict(self, recurse=False), default=dict).decode()

    @classmethod
    def load(cls, row_id: str, text: str) -> LastApplied:
        """Return the note about the row *row_id* that `dump` wrote as *text*.

        Raises `JournalError` for anything else.
        """
        try:
            return cls(**orjson.loads(text))
        except (ValueError, TypeError):
            pass
        raise JournalError(f"the journal's note about {row_id!r} cannot be read by this version")


def normalize_cell(cell: Cell) -> str | int | None:
    """Return *cell* as it is remembered: an inline secret as `INLINE_SECRET`, no text as `None`.

    Platforms show both an empty text and null as nothing.
    """
    if isinstance(cell, Secret):
        return INLINE_SECRET
    return None if cell == "" else cell


@attrs.frozen(kw_only=True)
class PendingOperation:
    """An operation that creates the number of a row, and that no note knows yet."""

    sequence: int
    row: Row | None = None
    """The journal's; `None` if the operation never began."""

    @property
    def platform(self) -> str:
        """Where it creates the number; empty if it never began."""
        return "" if self.row is None else self.row.account.partition(":")[0]

    @property
    def completed(self) -> Row | None:
        """The journal's row, if the operation is over and has created a number."""
        is_over = self._state in {State.DONE, State.DUPLICATE}
        return self.row if is_over and self.row and self.row.record else None

    @property
    def is_under_way(self) -> bool:
        """True if it may still create a number, and continues when it is run again."""
        if self.row is not None and self._state is State.PLANNED:
            return self.row.unconfirmed_since > 0.0
        return self._state in UNSETTLED

    @property
    def needs_decision(self) -> bool:
        """True if it does not continue before an operator has decided."""
        return self.completed is None and self._state in NEED_DECISION

    @property
    def is_abandoned(self) -> bool:
        """True if an operator decided that it does not continue."""
        return self._state is State.ABANDONED

    @property
    def _state(self) -> State | None:
        return None if self.row is None else self.row.state


@attrs.frozen(kw_only=True)
class FleetState:
    """All that a plan is made against."""

    numbers: Mapping[str, Mapping[str, RemoteNumber]] = attrs.field(hash=False)
    """What the accounts show, by platform and record."""
    last_applied: Mapping[str, LastApplied] = attrs.field(
        hash=False, factory=dict[str, LastApplied]
    )
    """By id of the row."""
    pending: Mapping[str, PendingOperation] = attrs.field(
        hash=False, factory=dict[str, PendingOperation]
    )
    """By id of the row; for rows whose number is not noted, or not in the account."""
    agents: Mapping[str, frozenset[str]] = attrs.field(
        hash=False, factory=dict[str, "frozenset[str]"]
    )
    """Those of the fleet's agents that exist, by platform; platforms that report agents only."""
    listed_at: float = attrs.field(default=math.inf, eq=False)
    """When the accounts began to be listed, in seconds since the epoch: *numbers* may lack what was
    bought since."""

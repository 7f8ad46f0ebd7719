"""What is known of a fleet's numbers: what was applied to each, and what the accounts show now."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import orjson

from sigmamind_async.errors import JournalError
from sigmamind_async.fleet.spec import Cell
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.provisioning.row import (
    NEED_DECISION,
    UNSETTLED,
    Row,
    State,
)
from sigmamind_async.values import Secret

INLINE_SECRET = "***"  # noqa: S105 - stands for one
"""Is remembered of a secret that stood in the row itself."""

_OVER = frozenset({State.DONE, State.DUPLICATE})
_NEED_AN_OPERATOR = NEED_DECISION | {State.ABANDONED}


@attrs.frozen(kw_only=True)
class LastApplied:
    """What the journal remembers of a row: the number it stands for, and what was written to it."""

    platform: str
    record: str
    """Empty before the number has come, and after it was released."""
    phone_number: str
    source: str
    """How the number came: ``purchase``, ``import`` or ``existing``."""
    sequence: int
    """Counts the row's requests, so that each has an id of its own."""
    fields: Mapping[str, str | int | None] = attrs.field(
        hash=False, factory=dict[str, "str | int | None"]
    )
    """What was written last, by field; of secrets the reference."""
    shown: Mapping[str, str | None] = attrs.field(hash=False, factory=dict[str, "str | None"])
    """What the platform showed after that, where it was something else."""

    def dump(self) -> str:
        """Return it as a note."""
        return orjson.dumps(attrs.asdict(self, recurse=False), default=dict).decode()

    @classmethod
    def load(cls, row_id: str, text: str) -> LastApplied:
        """Return what `dump` was given; raises `JournalError` for anything else."""
        try:
            return cls(**orjson.loads(text))
        except (ValueError, TypeError):
            pass
        raise JournalError(f"the journal's note about {row_id!r} cannot be read by this version")


def normalize_cell(cell: Cell) -> str | int | None:
    """Return what is remembered of *cell*; of a secret in the open, that it was there.

    An empty text is remembered as null: platforms show either one as nothing.
    """
    if isinstance(cell, Secret):
        return INLINE_SECRET
    return None if cell == "" else cell


@attrs.frozen(kw_only=True)
class PendingOperation:
    """An operation that brings the number of a row, and that no note tells of yet."""

    sequence: int
    row: Row | None = None
    """The journal's; `None` where the operation was never begun."""

    @property
    def platform(self) -> str:
        """Where it brings the number; empty where it was never begun."""
        return "" if self.row is None else self.row.account.partition(":")[0]

    @property
    def completed(self) -> Row | None:
        """The journal's row, if the operation is over and has brought a number."""
        row = self.row
        return row if row is not None and row.state in _OVER and row.record else None

    @property
    def is_under_way(self) -> bool:
        """Whether it may still bring a number, and does so when it is asked for again."""
        row = self.row
        unconfirmed = row is not None and row.state is State.PLANNED and row.unconfirmed_since > 0.0
        return unconfirmed or (row is not None and row.state in UNSETTLED)

    @property
    def needs_operator(self) -> bool:
        """Whether it needs a decision before it goes on."""
        row = self.row
        return row is not None and self.completed is None and row.state in _NEED_AN_OPERATOR


@attrs.frozen(kw_only=True)
class FleetState:
    """All that a plan is made against."""

    numbers: Mapping[str, Mapping[str, RemoteNumber]] = attrs.field(hash=False)
    """By platform and record."""
    last_applied: Mapping[str, LastApplied] = attrs.field(
        hash=False, factory=dict[str, LastApplied]
    )
    """By id of the row."""
    pending: Mapping[str, PendingOperation] = attrs.field(
        hash=False, factory=dict[str, PendingOperation]
    )
    """By id of the row; for rows without a number of their own in the journal."""
    agents: Mapping[str, frozenset[str]] = attrs.field(
        hash=False, factory=dict[str, "frozenset[str]"]
    )
    """The agents of a platform, where it tells."""

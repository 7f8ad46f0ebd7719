"""The state of an account's operations, for an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import attrs

from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State


@attrs.frozen(kw_only=True)
class Status:
    """The state of the operations of one account."""

    account: str
    counts: Mapping[State, int] = attrs.field(hash=False)
    """Operations by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""
    unconfirmed: Sequence[Row] = attrs.field(hash=False)
    """Operations that are being sent, or went unanswered: the next run, or
    `Provisioner.reconcile`, settles them."""
    need_decision: Sequence[Row] = attrs.field(hash=False)
    """Operations that only an operator can settle."""
    settle_time: float
    """Seconds during which "not in the account" proves nothing."""

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.counts.values())

    @property
    def is_settled(self) -> bool:
        """True if nothing is unconfirmed and nothing needs a decision."""
        return not self.unconfirmed and not self.need_decision

    @classmethod
    async def of(cls, journal: Journal, account: str, settle_time: float) -> Self:
        """Return the state of the operations of *account* in *journal*."""
        counts = await journal.counts(account)
        return cls(
            account=account,
            counts=counts.rows,
            purchase_count=counts.purchase_count,
            unconfirmed=await open_rows(journal, account),
            need_decision=await journal.in_states(account, NEED_DECISION),
            settle_time=settle_time,
        )


async def open_rows(journal: Journal, account: str) -> list[Row]:
    """Return the rows of *account* that a listing may still change."""
    rows = await journal.in_states(account, UNSETTLED | {State.PLANNED})
    return [row for row in rows if row.is_open]

"""What all operations of one account share: its client, its journal, its clock and its listings."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sigmamind_async.client import Runner
from sigmamind_async.operation import Verdict
from sigmamind_async.per_loop import KeyedLock
from sigmamind_async.provisioning.adapter import Adapter
from sigmamind_async.provisioning.events import AttemptEnded, Event
from sigmamind_async.provisioning.journal.protocol import CommonClock, Journal, PutResult
from sigmamind_async.provisioning.listing import ListingCache
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import (
    IllegalTransitionError,
    Policy,
    Transition,
    advance,
)

POLL_BACKOFF = (0.2, 5.0)
"""Seconds between two reads of the journal or the account: the first pause, which doubles up to
the second."""
LEASE_MARGIN = 5.0
"""Seconds in which an owner must record that an attempt begins, and how it ended."""


def steady_clock(monotonic: Callable[[], float], wall: Callable[[], float]) -> Callable[[], float]:
    """Return a wall clock that no adjustment of the system's clock can move in this process."""
    origin = wall() - monotonic()
    return lambda: origin + monotonic()


def clock_for(journal: Journal, own: Callable[[], float]) -> Callable[[], float]:
    """Return the clock that all writers of *journal* share, or else this process's *own*."""
    return journal.now if isinstance(journal, CommonClock) else own


@attrs.define(kw_only=True, eq=False)
class AccountContext:
    """One account, and the rows that the journal holds of it."""

    runner: Runner
    adapter: Adapter
    journal: Journal
    account: str
    """Name of the account in the journal."""
    policy: Policy
    now: Callable[[], float]
    """Seconds since the epoch, by the clock that all writers of the journal share."""
    listings: ListingCache
    locks: KeyedLock = attrs.field(factory=KeyedLock)
    max_purchases: int | None = None
    is_checked: bool = False
    """True if the journal is known to belong to the account."""

    @property
    def lease(self) -> float:
        """Seconds after which a sender that has written nothing counts as gone."""
        return self.runner.engine.limits.attempt_timeout + LEASE_MARGIN

    @property
    def deadline(self) -> float:
        """Seconds that one operation may take, until its outcome is known."""
        return self.runner.engine.limits.deadline

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await self.runner.engine.sleep(seconds)

    async def get(self, op_id: str) -> Row | None:
        """Return the stored row of an operation."""
        return await self.journal.get(self.account, op_id)

    async def read(self, op_id: str) -> Row:
        """Return the stored row of an operation; raise `JournalError` if there is none."""
        row = await self.get(op_id)
        if row is None:
            raise journal_error(op_id, f"the journal holds no such operation of {self.account}")
        return row

    async def apply(self, row: Row, event: Event) -> Transition | None:
        """Store what *event* makes of *row*; return `None` if another writer was faster."""
        now = self.now()
        try:
            transition = advance(row, event, now, self.policy)
        except IllegalTransitionError:
            return None
        if transition.row.version == row.version:
            return transition
        # Within its lease no other process writes the row, so this write cannot be refused. If it
        # is lost, the next run finds in a listing what the answer brought.
        confirmed = isinstance(event, AttemptEnded) and event.verdict is Verdict.CONFIRMED
        durable = not confirmed or now >= row.lease_until
        result = await self.journal.put(transition.row, durable=durable)
        return transition if result is PutResult.STORED else None

    async def apply_or_read(self, row: Row, event: Event) -> Row:
        """Store what *event* makes of *row*; return the stored row if another writer was faster."""
        transition = await self.apply(row, event)
        return await self.read(row.op_id) if transition is None else transition.row

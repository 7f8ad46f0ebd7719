"""The journal of one account, and the only way a row of it moves."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from sigmamind_async.provisioning.journal.protocol import CommonClock, Journal, PutResult
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.provisioning.transitions import (
    Confirmed,
    Event,
    IllegalMoveError,
    Move,
    Policy,
    advance,
)


def steady_clock(
    monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
) -> Callable[[], float]:
    """Return wall-clock seconds that a change of the clock cannot move while the process runs."""
    origin = wall() - monotonic()
    return lambda: origin + monotonic()


def clock_for(journal: Journal, own: Callable[[], float]) -> Callable[[], float]:
    """Return the clock that all writers of *journal* share, or else this process's *own*."""
    return journal.now if isinstance(journal, CommonClock) else own


@attrs.frozen
class AccountJournal:
    """Rows of one account."""

    journal: Journal
    account: str
    policy: Policy
    now: Callable[[], float]

    async def get(self, op_id: str) -> Row | None:
        """Return the row of an operation."""
        return await self.journal.get(self.account, op_id)

    async def read(self, op_id: str) -> Row:
        """Return the row of an operation that has one."""
        row = await self.get(op_id)
        if row is None:
            raise journal_error(op_id, f"the journal holds no such operation of {self.account}")
        return row

    async def open_rows(self) -> list[Row]:
        """Return the rows about which a listing may still tell something new."""
        states = UNSETTLED | {State.PLANNED}
        rows = await self.journal.in_states(self.account, states)
        return [row for row in rows if row.is_open]

    async def move(self, row: Row, event: Event) -> Move | None:
        """Write down what *event* makes of *row*; `None` where somebody else has moved it."""
        try:
            move = advance(row, event, self.now(), self.policy)
        except IllegalMoveError:
            return None
        if move.row.version == row.version:
            return move
        # Nobody may touch the row before its lease ends, so this write cannot be refused. Should it
        # be lost, the next run finds by a listing what the answer brought.
        durable = not isinstance(event, Confirmed) or self.now() >= row.lease_until
        written = await self.journal.put(move.row, durable=durable)
        return move if written is PutResult.STORED else None

"""The write that precedes every request: without it nothing leaves."""

from __future__ import annotations

from uuid import uuid4

from sigmamind_async.errors import JournalError, SigmaMindError, SpendLimitError
from sigmamind_async.provisioning.desk import Desk
from sigmamind_async.provisioning.journal import Written
from sigmamind_async.provisioning.machine import Claimed, IllegalMoveError, advance
from sigmamind_async.provisioning.row import Row


class Withheld(Exception):  # noqa: N818 - a decision, no error; never leaves this package
    """A request was about to leave, and may not."""

    def __init__(self, error: SigmaMindError | None = None) -> None:
        """Give the *error* that says why; without one the row has to be read again."""
        super().__init__()
        self.error = error


class Claim:
    """Takes a row for one attempt, anew before each request of it.

    Each claim has an owner of its own, so that no other attempt can be taken for this one.
    """

    def __init__(self, desk: Desk, row: Row) -> None:
        """Begin with *row* as it was read; nothing is written yet."""
        self.row = row
        self.sent = False
        """Whether the row says, or may say, that something was sent."""
        self._desk = desk
        self._owner = uuid4().hex

    async def __call__(self) -> None:
        """Write the row down as being sent; raise `Withheld` where that cannot be."""
        books = self._desk.books
        event = Claimed(owner=self._owner, lease=self._desk.lease)
        before = self.row, self.sent
        try:
            claimed = advance(self.row, event, books.now(), books.policy).row
            # Should this be cancelled, the write may have been made.
            self.row, self.sent = claimed, True
            written = await books.journal.put(claimed, max_purchases=self._desk.max_purchases)
        except JournalError as error:
            refusal: SigmaMindError | None = error.with_traceback(None)
        except IllegalMoveError:
            refusal = None
        else:
            if written is Written.STORED:
                return
            refusal = self._too_many() if written is Written.SPENT else None
        self.row, self.sent = before
        raise Withheld(refusal)

    def _too_many(self) -> SpendLimitError:
        most = self._desk.max_purchases
        return SpendLimitError(
            f"{self.row.op_id}: not sent, it would be one purchase more than the {most} that"
            " are allowed for this journal; max_purchases sets the limit"
        )

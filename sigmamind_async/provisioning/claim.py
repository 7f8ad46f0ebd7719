"""The write that precedes every request: without it nothing leaves."""

from __future__ import annotations

from contextlib import suppress

from sigmamind_async.errors import JournalError, SigmaMindError, SpendLimitError
from sigmamind_async.per_loop import InTime
from sigmamind_async.provisioning.context import LEASE_MARGIN, AccountContext
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import Claimed, IllegalMoveError, RateLimited, advance


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

    def __init__(self, desk: AccountContext, row: Row, in_time: InTime | None = None) -> None:
        """Begin with *row* as it was read; nothing is written yet.

        Where there is a deadline, *in_time* holds each write to it.
        """
        self.row = row
        self.late = False
        """Whether the row may be written after this has given up on it."""
        self._in_time = in_time
        self.sent = False
        """Whether the row says, or may say, that something was sent."""
        self._desk = desk
        self._owner = desk.new_owner()

    async def __call__(self) -> None:
        """Write the row down as being sent; raise `Withheld` where that cannot be."""
        books = self._desk.books
        event = Claimed(owner=self._owner, lease=self._desk.lease)
        before = self.row, self.sent
        try:
            claimed = advance(self.row, event, books.now(), books.policy).row
            # Should this be cancelled, or come too late, the write may yet be made.
            self.row, self.sent, self.late = claimed, True, True
            put = self._put(claimed)
            written = await (put if self._in_time is None else self._in_time(put))
        except JournalError as error:
            refusal: SigmaMindError | None = error.with_traceback(None)
            if self.late:
                raise Withheld(refusal) from None
        except IllegalMoveError:
            refusal = None
        else:
            if written is PutResult.STORED:
                return self._check_lateness(claimed)
            refusal = self._too_many() if written is PutResult.SPENT else None
        self.row, self.sent = before
        raise Withheld(refusal)

    async def _put(self, claimed: Row) -> PutResult:
        journal, most = self._desk.books.journal, self._desk.max_purchases
        try:
            written = await journal.put(claimed, max_purchases=most)
        except JournalError:
            self.late = False
            raise
        self.late = False
        return written

    async def rest(self) -> None:
        """Write down that nothing is under way until the next call of this.

        Whoever finds the row meanwhile need not take it for doubtful, should this process end.
        """
        books = self._desk.books
        with suppress(JournalError, IllegalMoveError):
            resting = advance(self.row, RateLimited(), books.now(), books.policy).row
            put = books.journal.put(resting)
            written = await (put if self._in_time is None else self._in_time(put))
            if written is PutResult.STORED:
                self.row = resting

    def _check_lateness(self, claimed: Row) -> None:
        """Raise `Withheld` where the write took so long that the lease may end before the answer.

        Somebody else would take the attempt for abandoned while it is under way.
        """
        late = self._desk.books.now() - claimed.sent_at
        if late > LEASE_MARGIN:
            error = journal_error(
                claimed.op_id, f"not sent, because the journal took {late:.0f} s to write it down"
            )
            error.retryable = True
            raise Withheld(error)

    def _too_many(self) -> SpendLimitError:
        most = self._desk.max_purchases
        return SpendLimitError(
            f"{self.row.op_id}: not sent, it would be one purchase more than the {most} that"
            " are allowed for this journal; max_purchases sets the limit"
        )

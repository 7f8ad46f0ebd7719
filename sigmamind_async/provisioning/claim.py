"""The write that precedes every request: without it nothing leaves."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import Final
from uuid import uuid4

from sigmamind_async.errors import JournalError, SigmaMindError, SpendLimitError
from sigmamind_async.provisioning.context import LEASE_MARGIN, AccountContext
from sigmamind_async.provisioning.events import Claimed, RateLimited
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import IllegalTransitionError, advance
from sigmamind_async.provisioning.turns import InTime

_PROCESS: Final = uuid4().hex
_CLAIMS: Final = itertools.count()


class SendAborted(Exception):  # noqa: N818 - a decision, no error; never leaves this package
    """A request was about to leave, and may not."""

    def __init__(self, error: SigmaMindError | None = None) -> None:
        """Give the *error* that says why; without one the row has to be read again."""
        super().__init__()
        self.error = error


class Claim:
    """Takes a row for one attempt, anew before each request of it.

    Each claim has an owner of its own, so that no other attempt can be taken for this one.
    """

    def __init__(self, context: AccountContext, row: Row, in_time: InTime | None = None) -> None:
        """Begin with *row* as it was read; nothing is written yet.

        Where there is a deadline, *in_time* holds each write to it.
        """
        self.row = row
        self.late = False
        """Whether the row may be written after this has given up on it."""
        self._in_time = in_time
        self.sent = False
        """Whether the row says, or may say, that something was sent."""
        self._context = context
        self._owner = f"{_PROCESS}.{os.getpid()}.{next(_CLAIMS)}"

    async def __call__(self) -> None:
        """Write the row down as being sent; raise `SendAborted` where that cannot be."""
        context = self._context
        event = Claimed(owner=self._owner, lease=self._context.lease)
        before = self.row, self.sent
        try:
            claimed = advance(self.row, event, context.now(), context.policy).row
            # Should this be cancelled, or come too late, the write may yet be made.
            self.row, self.sent, self.late = claimed, True, True
            put = self._put(claimed)
            written = await (put if self._in_time is None else self._in_time(put))
        except JournalError as error:
            refusal: SigmaMindError | None = error.with_traceback(None)
            if self.late:
                raise SendAborted(refusal) from None
        except IllegalTransitionError:
            refusal = None
        else:
            if written is PutResult.STORED:
                return self._check_lateness(claimed)
            refusal = self._too_many() if written is PutResult.LIMIT_REACHED else None
        self.row, self.sent = before
        raise SendAborted(refusal)

    async def _put(self, claimed: Row) -> PutResult:
        journal, most = self._context.journal, self._context.max_purchases
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
        context = self._context
        with suppress(JournalError, IllegalTransitionError):
            resting = advance(self.row, RateLimited(), context.now(), context.policy).row
            put = context.journal.put(resting)
            written = await (put if self._in_time is None else self._in_time(put))
            if written is PutResult.STORED:
                self.row = resting

    def _check_lateness(self, claimed: Row) -> None:
        """Raise `SendAborted` if the write took so long that the lease may end before the answer.

        Another process would then take the attempt for abandoned while it is under way.
        """
        late = self._context.now() - claimed.sent_at
        if late > LEASE_MARGIN:
            error = journal_error(
                claimed.op_id, f"not sent, because the journal took {late:.0f} s to write it down"
            )
            error.retryable = True
            raise SendAborted(error)

    def _too_many(self) -> SpendLimitError:
        most = self._context.max_purchases
        return SpendLimitError(
            f"{self.row.op_id}: not sent, it would be one purchase more than the {most} that"
            " are allowed for this journal; max_purchases sets the limit"
        )

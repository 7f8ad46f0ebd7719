"""The write that precedes every request: without it nothing is sent."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4

from sigmamind_async.errors import JournalError, SigmaMindError, SpendLimitError
from sigmamind_async.provisioning.context import LEASE_MARGIN, AccountContext
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import Claimed, IllegalMoveError, RateLimited, advance

_PROCESS: Final = uuid4().hex
_CLAIMS: Final = itertools.count()


class SendAborted(Exception):  # noqa: N818 - a decision, no error; never leaves this package
    """A request was about to be sent, and must not be."""

    def __init__(self, error: SigmaMindError | None = None) -> None:
        """Give the *error* that says why; without one the stored row has to be read again."""
        super().__init__()
        self.error = error


class Claim:
    """Takes a row for one attempt, anew before each request of it.

    Each claim has an owner of its own, so no other attempt can be mistaken for this one.
    """

    def __init__(
        self,
        context: AccountContext,
        row: Row,
        in_time: Callable[[Awaitable[PutResult]], Awaitable[PutResult]],
    ) -> None:
        """Begin with *row* as it was read; *in_time* holds each write to the deadline."""
        self.row = row
        self.sent = False
        """Whether the stored row says, or may say, that something was sent."""
        self.late = False
        """Whether the journal may still store the row, although this has stopped waiting."""
        self._context = context
        self._in_time = in_time
        # A fork has the same counter, but another process id.
        self._owner = f"{_PROCESS}.{os.getpid()}.{next(_CLAIMS)}"

    async def __call__(self) -> None:
        """Store the row as being sent; raise `SendAborted` if that cannot be done."""
        context, before = self._context, (self.row, self.sent)
        clock = context.runner.engine.clock
        began = clock()
        event = Claimed(owner=self._owner, lease=context.lease)
        result, refusal = None, None
        try:
            claimed = advance(self.row, event, context.now(), context.policy).row
            # Known before the write: if that is cancelled, or comes too late, it may yet be made.
            self.row, self.sent = claimed, True
            result = await self._in_time(self._put(claimed))
        except JournalError as error:
            refusal = error.with_traceback(None)
        except IllegalMoveError:
            pass
        if result is PutResult.STORED:
            self._require_time_left(clock() - began)
            return
        if not self.late:
            self.row, self.sent = before
        raise SendAborted(self._limit_error() if result is PutResult.SPENT else refusal)

    async def _put(self, claimed: Row) -> PutResult:
        context = self._context
        try:
            return await context.journal.put(claimed, max_purchases=context.max_purchases)
        except asyncio.CancelledError:
            self.late = True
            raise

    async def rest(self) -> None:
        """Record that nothing is under way until the next request.

        If this process ends meanwhile, the row then need not be taken for unconfirmed.
        """
        context = self._context
        with suppress(JournalError, IllegalMoveError):
            resting = advance(self.row, RateLimited(), context.now(), context.policy).row
            if await self._in_time(context.journal.put(resting)) is PutResult.STORED:
                self.row = resting

    def _require_time_left(self, seconds: float) -> None:
        """Raise `SendAborted` if the write took so long that the lease may end before the answer.

        Another process would then take the attempt for abandoned while it is under way.
        """
        if seconds > LEASE_MARGIN:
            error = journal_error(
                self.row.op_id,
                f"not sent, because the journal took {seconds:.0f} s to write it down",
            )
            error.retryable = True
            raise SendAborted(error)

    def _limit_error(self) -> SpendLimitError:
        most = self._context.max_purchases
        return SpendLimitError(
            f"{self.row.op_id}: not sent, it would be one purchase more than the {most} that"
            " are allowed for this journal; max_purchases sets the limit"
        )

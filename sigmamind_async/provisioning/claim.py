"""The write that precedes every request: without it nothing is sent."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import suppress
from typing import Final
from uuid import uuid4

from sigmamind_async.errors import JournalError, SigmaMindError, SpendLimitError
from sigmamind_async.provisioning.context import LEASE_MARGIN, AccountContext
from sigmamind_async.provisioning.events import Claimed, Paused
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import IllegalTransitionError, advance

_PROCESS: Final = uuid4().hex
_CLAIMS: Final = itertools.count()


class SendAborted(Exception):  # noqa: N818 - a decision, no error; never leaves this package
    """A request was about to be sent, and must not be."""

    def __init__(self, error: SigmaMindError | None = None) -> None:
        """Give the *error* that explains it; without one the stored row has to be read again."""
        super().__init__()
        self.error = error


class Claim:
    """Takes a row for one attempt, again before each of its requests.

    Each claim has its own owner, so no other attempt can be mistaken for this one.
    """

    def __init__(self, context: AccountContext, row: Row, ends_at: float | None) -> None:
        """Begin with *row* as it was read; *ends_at* is the deadline, by the engine's clock.

        A row of a job has none.
        """
        self.row: Row = row
        self.is_stored = False
        """True if the stored row says, or may say, that something was sent."""
        self.late: bool = False
        """True if the journal may still store the row, although this has stopped waiting."""
        self._context = context
        self._ends_at = ends_at
        # A fork has the same counter, but another process id.
        self._owner = f"{_PROCESS}.{os.getpid()}.{next(_CLAIMS)}"

    async def __call__(self) -> None:
        """Store the row as being sent; raise `SendAborted` if that cannot be done."""
        context, before = self._context, (self.row, self.is_stored)
        clock = context.runner.engine.clock
        began = clock()
        event = Claimed(owner=self._owner, lease=context.lease)
        try:
            claimed = advance(self.row, event, context.now(), context.policy).row
        except IllegalTransitionError:
            raise SendAborted from None
        result, refusal = None, None
        # Known before the write: if that is cancelled, or comes too late, it may yet be made.
        self.row, self.is_stored, self.late = claimed, True, True
        try:
            async with asyncio.timeout(None if self._ends_at is None else self._ends_at - began):
                result = await context.journal.put(claimed, max_purchases=context.max_purchases)
        except TimeoutError:
            raise SendAborted(deadline_error(context, claimed.op_id)) from None
        except JournalError as error:
            refusal = error.with_traceback(None)
        self.late = False
        if result is PutResult.STORED:
            seconds = clock() - began
            if seconds > LEASE_MARGIN:
                # The lease may end before the answer comes. Another process would then take the
                # attempt for abandoned while it is under way.
                raise SendAborted(self._slow_journal_error(seconds))
            return
        self.row, self.is_stored = before
        raise SendAborted(self._limit_error() if result is PutResult.LIMIT_REACHED else refusal)

    async def mark_paused(self) -> None:
        """Record that nothing is under way until the next request.

        If this process ends meanwhile, the row then need not become unconfirmed.
        """
        context = self._context
        left = None if self._ends_at is None else self._ends_at - context.runner.engine.clock()
        with suppress(JournalError, IllegalTransitionError, TimeoutError):
            waiting = advance(self.row, Paused(), context.now(), context.policy).row
            async with asyncio.timeout(left):
                result = await context.journal.put(waiting)
            if result is PutResult.STORED:
                self.row = waiting

    def _slow_journal_error(self, seconds: float) -> JournalError:
        error = journal_error(
            self.row.op_id, f"not sent, because the journal took {seconds:.0f} s to store it"
        )
        error.retryable = True
        return error

    def _limit_error(self) -> SpendLimitError:
        most = self._context.max_purchases
        return SpendLimitError(
            f"{self.row.op_id}: not sent, it would be one purchase more than the {most} that"
            " are allowed for this journal; max_purchases sets the limit"
        )


def deadline_error(context: AccountContext, op_id: str) -> JournalError:
    """Return the error for an operation that was not sent before its deadline."""
    error = journal_error(
        op_id,
        f"not sent, because the deadline of {context.deadline:g} s passed before the journal"
        " answered or the account was read; another program may keep the journal locked",
    )
    error.retryable = True
    return error

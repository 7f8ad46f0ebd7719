"""When an operation may change its number: no other one may still do so."""

from __future__ import annotations

from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.provisioning.context import POLL_BACKOFF, AccountContext
from sigmamind_async.provisioning.messages import number_in_use
from sigmamind_async.provisioning.reconcile import expire_lease, reconcile_with_new_listing
from sigmamind_async.provisioning.row import UNSETTLED, Kind, Row, State


class Conflicts:
    """Keeps the operations of one account from changing the same number at the same time."""

    def __init__(self, context: AccountContext) -> None:
        self._context = context
        self._reserved: set[str] = set()

    async def wait_until_free(self, row: Row, seconds: float) -> None:
        """Wait until no other operation can still change the number of *row*.

        Raises a retryable `JournalError` after so many *seconds*.
        """
        context, clock = self._context, self._context.runner.engine.clock
        until = clock() + seconds
        pause, longest = POLL_BACKOFF
        while True:
            others = [other for other in await self._others(row) if await self._blocks(row, other)]
            if not others:
                return
            if clock() + pause >= until:
                raise number_in_use(row, others[0], context.policy.settle_time)
            await context.sleep(pause)
            pause = min(2 * pause, longest)

    async def _others(self, row: Row) -> list[Row]:
        context = self._context
        since = context.now() - context.policy.settle_time
        rows = await context.journal.with_key(row.account, row.key, since)
        return [other for other in rows if other.op_id != row.op_id]

    async def _blocks(self, row: Row, other: Row) -> bool:
        """Return whether *other* may still change the number, after trying to settle it."""
        context = self._context
        other = await expire_lease(context, other)
        if other.state is State.UNCONFIRMED:
            try:
                other = await reconcile_with_new_listing(context, other)
            except JournalError:
                raise
            except SigmaMindError:
                return True  # the account cannot be read now
        if other.state in UNSETTLED:
            return True
        late = other.unconfirmed_since + context.policy.settle_time > context.now()
        # A late purchase finds its number owned, unless the number has been released meanwhile.
        comes_back = other.kind.repeatable or other.repairs > 0
        return late and (comes_back or row.kind is Kind.RELEASE)

    async def reserve_number(self, number: str) -> bool:
        """Reserve *number* for one purchase; return whether no operation in any process wants it.

        The platform offers a number until it is sold. So an unconfirmed purchase of it may still
        succeed, and a second operation would take the result for its own.
        """
        if number in self._reserved:
            return False
        self._reserved.add(number)
        free = False
        try:
            free = not await self._context.journal.with_key(self._context.account, number, 0.0)
        finally:
            if not free:
                self._reserved.discard(number)
        return free

    def cancel_reservation(self, number: str) -> None:
        """Let another operation reserve a number for which nothing was sent."""
        self._reserved.discard(number)

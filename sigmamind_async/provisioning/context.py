"""What all operations of one account share while they run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Iterator
from uuid import uuid4

import attrs

from sigmamind_async.client import Client
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.per_loop import KeyedLock
from sigmamind_async.provisioning.account_journal import AccountJournal
from sigmamind_async.provisioning.adapter import Adapter, Intent, Value
from sigmamind_async.provisioning.fingerprint import new_row, secret_digest
from sigmamind_async.provisioning.listing import Listing, ListingCache
from sigmamind_async.provisioning.messages import number_in_use, record_without_key
from sigmamind_async.provisioning.reconcile import Reconciler
from sigmamind_async.provisioning.row import UNSETTLED, Kind, Row, State
from sigmamind_async.provisioning.transitions import OwnerLost

PAUSES = (0.2, 5.0)
"""Seconds between two looks at the journal or the account: the first pause doubles up to the
last."""
LEASE_MARGIN = 5.0
"""Seconds that an owner has to write down that an attempt begins, and how it ended."""


@attrs.frozen(kw_only=True, eq=False)
class AccountContext:
    """One account: its client, its books, and who waits for whom."""

    client: Client
    adapter: Adapter
    books: AccountJournal
    census: ListingCache
    settler: Reconciler
    max_purchases: int | None
    ready: Callable[[], Awaitable[None]]
    """Awaited before the first row is touched; raises `JournalError` where the journal belongs to
    another account."""
    locks: KeyedLock = attrs.field(factory=KeyedLock)
    picked: set[str] = attrs.field(factory=set[str])
    """Numbers that were chosen to be bought, so that no two operations choose the same; all that
    were sent for stay here, since a search may go on offering them."""
    _name: str = attrs.field(factory=lambda: uuid4().hex)
    _claims: Iterator[int] = attrs.field(factory=itertools.count)

    def new_owner(self) -> str:
        """Return a name that nobody else has: no other claim, provisioner or forked process."""
        return f"{self._name}.{os.getpid()}.{next(self._claims)}"

    @property
    def lease(self) -> float:
        """Seconds after which a sender that wrote nothing is taken for gone."""
        return self.client.runner.engine.limits.attempt_timeout + LEASE_MARGIN

    @property
    def patience(self) -> float:
        """Seconds that one operation may take, from sending to being settled."""
        return self.client.runner.engine.limits.deadline

    async def planned(self, op_id: str, value: Value, intent: Intent) -> Row:
        """Return the row of an operation that nobody has begun."""
        journal_id = self.books.journal.journal_id
        row = new_row(
            op_id,
            value,
            kind=intent.kind,
            key=intent.key,
            journal_id=journal_id,
            account=self.books.account,
        )
        if not row.secret_fields:
            return row
        key = await self.client.runner.engine.credentials.key()
        return attrs.evolve(row, secret_digest=secret_digest(journal_id, key, value))

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await self.client.runner.engine.sleep(seconds)

    async def look(self, row: Row, value: Value | None = None) -> Row:
        """Return *row* after a listing that it has not been compared with."""
        listing = await self.census.after(max(row.unconfirmed_since, row.listed_at))
        return await self.settler.settle(row, listing, value)

    async def settled(self, row: Row, listing: Listing, value: Value | None = None) -> Row:
        """Return *row* after *listing*, whoever left it as it is."""
        if row.state is State.SENDING and self.books.now() >= row.lease_until:
            move = await self.books.move(row, OwnerLost())
            row = row if move is None else move.row
        sending = row.state is State.SENDING
        return row if sending or not row.is_open else await self.settler.settle(row, listing, value)

    async def pick(self, number: str) -> bool:
        """Choose *number* to be bought; return whether no other operation has, in any process.

        A purchase that is in doubt may still come, and its number is on offer until then: two
        operations would each take it for theirs.
        """
        if number in self.picked:
            return False
        self.picked.add(number)
        free = False
        try:
            free = not await self.books.journal.with_key(self.books.account, number, 0.0)
        finally:
            if not free:
                self.picked.discard(number)
        return free

    def unpick(self, number: str) -> None:
        """Let a number be chosen again that was not sent for."""
        self.picked.discard(number)

    async def bought_before(self, row: Row, value: Value) -> Row:
        """Return *row* after a look whether the account owns a number that carries its tag.

        A journal that is an old copy of itself, restored with the whole machine for instance, looks
        as it did then. The account does not: so one listing is read before the first purchase.
        """
        found = (await self.census.after(0.0)).tagged.get(row.token, ())
        if not all(owned.record for _, owned in found):
            raise record_without_key(row)
        return await self.settler.settle(row, await self.census.after(0.0), value) if found else row

    async def free(self, row: Row, until: float) -> None:
        """Wait until no other operation can still change the number of *row*.

        Raises a retryable `JournalError` at *until*.
        """
        pause, longest = PAUSES
        while row.key:
            others = [other for other in await self._others(row) if await self._blocks(row, other)]
            if not others:
                return
            if self.books.now() + pause >= until:
                raise number_in_use(row, others[0], self.books.policy.settle_time)
            await self.sleep(pause)
            pause = min(2 * pause, longest)

    async def _others(self, row: Row) -> list[Row]:
        since = self.books.now() - self.books.policy.settle_time
        rows = await self.books.journal.with_key(row.account, row.key, since)
        return [other for other in rows if other.op_id != row.op_id]

    async def _blocks(self, row: Row, other: Row) -> bool:
        """Return whether *other* may still change its number, after trying to settle it."""
        if other.state is State.SENDING and self.books.now() >= other.lease_until:
            move = await self.books.move(other, OwnerLost())
            other = other if move is None else move.row
        if other.state is State.UNCONFIRMED:
            try:
                other = await self.look(other)
            except JournalError:
                raise
            except SigmaMindError:
                return True  # the platform cannot be read now
        if other.state in UNSETTLED:
            return True
        late = other.unconfirmed_since + self.books.policy.settle_time > self.books.now()
        # A purchase that comes late finds its number owned, unless it has been released meanwhile.
        comes_back = other.kind.repeatable or other.repairs > 0
        return late and (comes_back or row.kind is Kind.RELEASE)

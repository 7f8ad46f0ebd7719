"""What all operations of one account share: its client, its journal, its clock and its listings."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable
from logging import INFO

import attrs

from sigmamind_async.client import Runner
from sigmamind_async.errors import JournalError
from sigmamind_async.events import Observer, is_logged, notify
from sigmamind_async.operation import Verdict
from sigmamind_async.per_loop import KeyedLock, PerLoop
from sigmamind_async.provisioning.adapter import Adapter, OwnedNumber
from sigmamind_async.provisioning.events import (
    AdoptApproved,
    AttemptEnded,
    Event,
    Listed,
    RepairDone,
)
from sigmamind_async.provisioning.fingerprint import key_fingerprint
from sigmamind_async.provisioning.journal.protocol import Journal, PutResult
from sigmamind_async.provisioning.messages import change_of, journal_error
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.provisioning.tags import find_tag
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
CLOCK_TOLERANCE = 60.0
"""Seconds that the clock may be behind the journal's latest entry."""

_OWNS_NUMBERS = frozenset({State.DONE, State.DUPLICATE})
_DID_NOTHING = frozenset({State.PLANNED, State.FAILED})


def steady_clock(monotonic: Callable[[], float], wall: Callable[[], float]) -> Callable[[], float]:
    """Return a wall clock that no adjustment of the system's clock can move in this process."""
    origin = wall() - monotonic()
    return lambda: origin + monotonic()


@attrs.frozen(eq=False)
class Listing:
    """All numbers of an account, as one reading of all pages showed them."""

    began: float
    """When the reading began."""
    numbers: dict[str, OwnedNumber]
    """By phone number."""
    records: dict[str, OwnedNumber]
    """By key of later calls."""
    tagged: dict[str, list[tuple[int, OwnedNumber]]]
    """By token of the tag in the label, each with the attempt that the tag names."""


class ListingCache:
    """Reads the account for all callers, one reading at a time.

    A listing for each unconfirmed operation would break a platform that is already in trouble: a
    thousand of them were seen to push its latency past the settle time. So operations share a
    listing that began late enough for all of them.
    """

    def __init__(self, adapter: Adapter, client: object, now: Callable[[], float]) -> None:
        self._adapter = adapter
        self._client = client
        self._now = now
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)
        self._latest: Listing | None = None

    async def newer_than(self, moment: float) -> Listing:
        """Return a listing that began after *moment*; raises what the calls raise.

        A caller that comes during a reading waits for its end, and for the next one if the reading
        began too early.
        """
        while True:
            if self._latest is not None and self._latest.began > moment:
                return self._latest
            async with self._locks.get():
                if self._latest is None or self._latest.began <= moment:
                    # Later than *moment* even if the clock has not moved since.
                    began = max(self._now(), math.nextafter(moment, math.inf))
                    # One at a time in memory: of a large account it takes a kibibyte for a number.
                    self._latest = None
                    self._latest = await self._read(began)

    async def _read(self, began: float) -> Listing:
        listing = Listing(began, {}, {}, defaultdict(list))
        async for record in self._adapter.list_numbers(self._client):
            owned = self._adapter.owned(record)
            if owned.record in listing.records:
                continue  # pages shift while numbers appear
            if owned.record:
                listing.records[owned.record] = owned
            listing.numbers[owned.phone_number] = owned
            found = find_tag(owned.label)
            if found is not None:
                token, attempt = found
                listing.tagged[token].append((attempt, owned))
        return listing


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
    lease: float
    """Seconds after which a sender that has written nothing counts as lost."""
    max_purchases: int | None = None
    observer: Observer | None = None
    """Told of each new state of an operation."""
    journal_id: str = ""
    """Id of the journal, once that is known to belong to the account."""

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
        if result is not PutResult.STORED:
            return None
        if transition.row.state is not row.state and (self.observer or is_logged(INFO)):
            found = isinstance(event, Listed | RepairDone | AdoptApproved)
            notify(self.observer, change_of(transition.row, row.state.value, found=found))
        return transition

    async def apply_or_read(self, row: Row, event: Event) -> Row:
        """Store what *event* makes of *row*; return the stored row if another writer was faster."""
        transition = await self.apply(row, event)
        return await self.read(row.op_id) if transition is None else transition.row


# --- whether the journal belongs to the account; checked before the first operation ----------
#
# A job repeated with another account's key would not find what it bought, and would buy it again.
# So the journal stores a fingerprint of each API key that was used with it. An unknown key is
# either new for the same account, or another account's. It is the same account if that owns a
# number which the journal bought or imported there.


async def check_once(context: AccountContext) -> None:
    """Raise `JournalError` if the journal does not fit the clock or the account.

    Once it fits, it is not checked again.
    """
    if context.journal_id:
        return
    async with context.locks.hold("account"):
        if not context.journal_id:
            _check_clock(context)
            await _check_account(context)
            context.journal_id = context.journal.journal_id


def _check_clock(context: AccountContext) -> None:
    # With a clock set back, an unanswered request would be taken for lost too late or too early.
    behind = context.journal.latest - context.now()
    if behind > CLOCK_TOLERANCE:
        latest = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(context.journal.latest))
        raise JournalError(
            f"the clock is {_format_delay(behind)} behind the latest entry of the journal"
            f" ({latest}): set the clock right. Nothing has been sent."
        )


def _format_delay(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


async def _check_account(context: AccountContext) -> None:
    known = await context.journal.key_fingerprints(context.account)
    if await _fingerprint(context) in known:
        return
    if known and not await _owns_a_number_of_the_journal(context):
        raise JournalError(
            f"the journal was made with another API key for {context.account}, and this account"
            " owns none of its numbers: use that key, or another journal; if it is the same account"
            " with a new key, confirm that with accept_key(). Nothing has been sent."
        )
    await accept_key(context)


async def accept_key(context: AccountContext) -> None:
    """Remember the client's API key as one of the account's."""
    await context.journal.add_key_fingerprint(context.account, await _fingerprint(context))


async def _fingerprint(context: AccountContext) -> str:
    return key_fingerprint(
        context.journal.journal_id, await context.runner.engine.credentials.key()
    )


async def _owns_a_number_of_the_journal(context: AccountContext) -> bool:
    journal, account = context.journal, context.account
    listing: Listing | None = None
    # Usually one of the first is enough, so not all are read at once.
    rows = await journal.next_rows(account, _OWNS_NUMBERS, "")
    while rows:
        numbers = {row.phone_number for row in rows if row.phone_number}
        if numbers:
            listing = listing or await context.listings.newer_than(context.now())
            if not numbers.isdisjoint(listing.numbers):
                return True
        rows = await journal.next_rows(account, _OWNS_NUMBERS, rows[-1].op_id)
    if listing is not None:
        return False
    # No number to recognize the account by, which matters only if an attempt may have acted.
    counts = await journal.counts(account)
    return counts.rows.keys() <= _DID_NOTHING and not await journal.unsettled(account)

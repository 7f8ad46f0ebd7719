"""The contract of a journal: what it stores, the rules of a write, and an account's status."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol, Self, TypeVar, runtime_checkable

import attrs

from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State

SHOWN: Final = UNSETTLED | NEED_DECISION | {State.PLANNED}
"""States of the rows that a `Status` may list."""


CHUNK: Final = 500
"""Most rows that `Journal.next_rows` returns."""


class PutResult(enum.Enum):
    """What became of a write."""

    STORED = enum.auto()
    STALE = enum.auto()
    """The row has been written by another task or process: read it again."""
    KEY_IN_USE = enum.auto()
    """Another operation on the same number is not settled."""
    LIMIT_REACHED = enum.auto()
    """The row would exceed the allowed number of purchases."""


@attrs.frozen
class Counts:
    """What a journal holds of one account."""

    rows: Mapping[State, int] = attrs.field(hash=False)
    """Rows by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""


class Journal(Protocol):
    """Keeps rows so that they outlive the process.

    In its methods *account* is the account's name, such as ``sigmamind:production``, *op_id* the
    caller's key of an operation, and each time is in seconds since the epoch.

    A write that has returned survives the end of the process and of the machine, except with
    ``durable=False``. Readers in the same process see every write, durable or not. Every method
    raises `JournalError`, and nothing else, if the journal cannot be used.
    """

    @property
    def journal_id(self) -> str:
        """A random text, made with the journal; not secret. Known once it has been opened."""
        ...

    @property
    def may_be_a_copy(self) -> bool:
        """True if it may hold less than it once did, as a restored copy of itself.

        The account is then listed before the first purchase.
        """
        ...

    @property
    def latest(self) -> float:
        """The time of the latest write; 0.0 for a new journal.

        By any process before this one opened the journal, and by this one since.
        """
        ...

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of the operation *op_id*; `None` if there is none."""
        ...

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row* if its `version` is one more than the stored one; 1 for a new row.

        In the same transaction, a row that becomes unsettled is refused while another unsettled row
        has its `key`, and one that adds to the purchases is refused beyond *max_purchases*.

        With ``durable=False`` it may return STORED before the write is on disk, and a later failure
        goes unreported. Use it only for facts that the row's owner can rediscover.
        """
        ...

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        """Return all rows in one of *states*, oldest first."""
        ...

    async def unsettled(self, account: str) -> list[Row]:
        """Return the rows that are being sent, went unanswered or need a decision, oldest first.

        Among those are planned ones with an earlier attempt that went unanswered. There are few of
        them all; of the other planned rows there may be a million.
        """
        ...

    async def next_rows(self, account: str, states: Collection[State], after: str) -> list[Row]:
        """Return the `CHUNK` rows in one of *states* whose op_ids follow *after*, by op_id."""
        ...

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        """Return the rows that have one of *tokens*."""
        ...

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        """Return the rows of the number *key* that are unsettled, or unconfirmed after *since*."""
        ...

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        """Return the done rows whose label still has a tag, and that were done *before*."""
        ...

    async def counts(self, account: str) -> Counts:
        """Return the number of rows in each state, and of purchases."""
        ...

    async def last_applied(self) -> dict[str, str]:
        """Return the note about each row of a fleet, a `LastApplied` as text, by row id."""
        ...

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        """Store *text* as the note about the row *row_id* of a fleet; with `None`, remove it.

        It need not be durable.
        """
        ...

    async def key_fingerprints(self, account: str) -> frozenset[str]:
        """Return the fingerprints of the API keys that the account was used with."""
        ...

    async def add_key_fingerprint(self, account: str, fingerprint: str) -> None:
        """Store the *fingerprint* of another API key; it cannot be turned back into the key."""
        ...

    async def acquire_lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Let *holder* have the lease *name* from *now* until *until*, in seconds since the epoch.

        Return False, and change nothing, if another holder has it *now*. The same holder renews it
        with this, or ends it with an *until* that is past.
        """
        ...


C = TypeVar("C", bound=type)


def documented(cls: C) -> C:
    """Give the methods of a journal that have no docstring that of the same method here."""
    for name, method in vars(cls).items():
        if inspect.isfunction(method) and not method.__doc__ and not name.startswith("_"):
            method.__doc__ = inspect.getdoc(getattr(Journal, name, None))
    return cls


@runtime_checkable
class CommonClock(Protocol):
    """What a journal also has if its writers are on machines whose clocks may differ.

    A provisioner then takes every time from here, because each judges the leases of the others.
    """

    def now(self) -> float:
        """Return seconds since the epoch, by the one clock of all writers of the journal."""
        ...


def clock_for(journal: Journal, own: Callable[[], float]) -> Callable[[], float]:
    """Return the clock that all writers of *journal* share, or else this process's *own*."""
    return journal.now if isinstance(journal, CommonClock) else own


def check_put(
    row: Row,
    stored: tuple[int, int],
    max_purchases: int | None,
    *,
    is_key_in_use: Callable[[], bool],
    count_purchases: Callable[[], int],
) -> PutResult | None:
    """Return why *row* may not be written, or `None`. These are the rules of `Journal.put`.

    The function ``put`` of a PostgreSQL journal has the same ones in SQL (see `postgres.schema`):
    there a write is one statement, and a test holds the two to the same answers.

    Args:
        row: The row to write.
        stored: Version and purchases of the stored row; 0 and 0 without one.
        max_purchases: The most purchases of the account.
        is_key_in_use: Looks for another unsettled row with the same key. Called only if needed.
        count_purchases: Counts those of the account so far. Called only if needed.
    """
    version, bought = stored
    if row.version != version + 1:
        return PutResult.STALE
    if row.key and row.state in UNSETTLED and is_key_in_use():
        return PutResult.KEY_IN_USE
    more = row.purchase_count - bought
    if max_purchases is not None and more > 0 and count_purchases() + more > max_purchases:
        return PutResult.LIMIT_REACHED
    return None


@attrs.frozen(kw_only=True)
class Status:
    """The state of the operations of one `account`, by its name in the journal."""

    account: str
    counts: Mapping[State, int] = attrs.field(hash=False)
    """Operations by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""
    unconfirmed: Sequence[Row] = attrs.field(hash=False)
    """Operations that are being sent, or went unanswered: the next run, or
    `Provisioner.reconcile`, settles them."""
    need_decision: Sequence[Row] = attrs.field(hash=False)
    """Operations that only an operator can settle."""
    settle_time: float
    """Seconds during which "not in the account" proves nothing."""

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.counts.values())

    @property
    def is_settled(self) -> bool:
        """True if nothing is unconfirmed and nothing needs a decision."""
        return not self.unconfirmed and not self.need_decision

    @classmethod
    async def of(cls, journal: Journal, account: str, settle_time: float) -> Self:
        """Return the state of the operations of *account* in *journal*, with its *settle_time*."""
        counts = await journal.counts(account)
        return cls.from_rows(account, counts, await journal.unsettled(account), settle_time)

    @classmethod
    def from_rows(
        cls, account: str, counts: Counts, rows: Iterable[Row], settle_time: float
    ) -> Self:
        """Return the state of *account*, which has *counts*, and the unsettled ones of *rows*.

        *settle_time*, in seconds, is kept in it.
        """
        rows = list(rows)
        return cls(
            account=account,
            counts=counts.rows,
            purchase_count=counts.purchase_count,
            unconfirmed=[row for row in rows if row.is_open],
            need_decision=[row for row in rows if row.state in NEED_DECISION],
            settle_time=settle_time,
        )

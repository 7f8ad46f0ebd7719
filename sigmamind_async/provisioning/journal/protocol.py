"""What a provisioner needs of a journal, and the one that lives in memory."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self, runtime_checkable
from uuid import uuid4

import attrs

from sigmamind_async.provisioning.row import UNSETTLED, Row, State


class PutResult(enum.Enum):
    """What became of a write."""

    STORED = enum.auto()
    STALE = enum.auto()
    """Somebody else has written the row meanwhile: read it again."""
    BUSY = enum.auto()
    """Another operation on the same number is not settled."""
    SPENT = enum.auto()
    """The row would go past the allowed number of purchases."""


@attrs.frozen
class Counts:
    """What a journal holds of one account."""

    rows: Mapping[State, int] = attrs.field(hash=False)
    """Rows by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""


class Journal(Protocol):
    """Keeps rows so that they outlive the process.

    A write that has returned survives the end of the process and of the machine, unless it need
    not be durable. Whoever reads in the same process sees every write, durable or not. Every method
    raises `JournalError`, and nothing else, when the journal cannot be used.
    """

    @property
    def journal_id(self) -> str:
        """A random text, made with the journal; not secret."""
        ...

    @property
    def may_be_a_copy(self) -> bool:
        """Whether it may hold less than it once did, being a copy of itself that was put back.

        The account is then looked at before the first purchase.
        """
        ...

    @property
    def latest(self) -> float:
        """The time of the latest write, of whoever wrote; 0.0 for a new journal."""
        ...

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of an operation."""
        ...

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        """Write *row* if its `version` is one more than the stored one; 1 for a new row.

        A write that need not be *durable* may return, as stored, before it is made, and nobody is
        told should that fail. It is for what can be found out again, by who has the row to himself.

        In the same transaction a row that becomes unsettled is refused while another unsettled one
        has its `key`, and one that adds to what is bought is refused past *max_purchases*.
        """
        ...

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        """Return all rows in one of *states*, oldest first."""
        ...

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        """Return the rows that have one of *tokens*."""
        ...

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        """Return the rows of a number that are unsettled, or whose doubt began after *since*."""
        ...

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        """Return the done rows whose label still carries a tag, and that were settled *before*."""
        ...

    async def counts(self, account: str) -> Counts:
        """Return how many rows are in which state."""
        ...

    async def notes(self) -> dict[str, str]:
        """Return what was noted, by name."""
        ...

    async def note(self, name: str, text: str | None) -> None:
        """Keep *text* under *name*, or nothing any more; need not be durable when it returns.

        Notes are for whoever has something to remember beside the operations.
        """
        ...

    async def seals(self, account: str) -> frozenset[str]:
        """Return the seals of the API keys that the account was used with."""
        ...

    async def add_seal(self, account: str, seal: str) -> None:
        """Remember the seal of one more API key."""
        ...


@runtime_checkable
class CommonClock(Protocol):
    """What a journal offers besides where its writers are on machines whose clocks may differ.

    A provisioner then takes every time from here: each judges leases that others have begun.
    """

    def now(self) -> float:
        """Return seconds since the epoch, by the one clock of all who write to the journal."""
        ...


class MemoryJournal:
    """A journal for tests and for jobs that may forget: it ends with the process.

    It keeps every promise of `Journal` but the one it is for.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.journal_id = uuid4().hex
        self.may_be_a_copy = False
        self.latest = 0.0
        self._rows: dict[tuple[str, str], Row] = {}
        self._seals: dict[str, frozenset[str]] = {}
        self._notes: dict[str, str] = {}

    async def get(self, account: str, op_id: str) -> Row | None:
        """Return the row of an operation."""
        return self._rows.get((account, op_id))

    async def put(
        self,
        row: Row,
        *,
        max_purchases: int | None = None,
        durable: bool = True,  # noqa: ARG002 - nothing is
    ) -> PutResult:
        """Write *row*, if nothing speaks against it; see `Journal.put`."""
        stored = self._rows.get((row.account, row.op_id))
        refusal = refused(row, stored, self._rows.values(), max_purchases)
        if refusal is not None:
            return refusal
        self._rows[row.account, row.op_id] = row
        self.latest = max(self.latest, row.updated_at)
        return PutResult.STORED

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        """Return all rows in one of *states*, oldest first."""
        return [row for row in self._of(account) if row.state in states]

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        """Return the rows that have one of *tokens*."""
        return [row for row in self._of(account) if row.token in tokens]

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        """Return the rows of a number that are unsettled, or whose doubt began after *since*."""
        return [
            row
            for row in self._of(account)
            if key and row.key == key and (row.state in UNSETTLED or row.unconfirmed_since > since)
        ]

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        """Return the done rows whose label still carries a tag, and that were settled *before*."""
        return [
            row
            for row in self._of(account)
            if row.state is State.DONE and row.tagged and row.updated_at < before
        ]

    async def counts(self, account: str) -> Counts:
        """Return how many rows are in which state."""
        rows = list(self._of(account))
        return Counts(Counter(row.state for row in rows), sum(row.purchase_count for row in rows))

    async def notes(self) -> dict[str, str]:
        """Return what was noted, by name."""
        return dict(self._notes)

    async def note(self, name: str, text: str | None) -> None:
        """Keep *text* under *name*, or nothing any more."""
        if text is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = text

    async def seals(self, account: str) -> frozenset[str]:
        """Return the seals of the API keys that the account was used with."""
        return self._seals.get(account, frozenset())

    async def add_seal(self, account: str, seal: str) -> None:
        """Remember the seal of one more API key."""
        self._seals[account] = self._seals.get(account, frozenset()) | {seal}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def _of(self, account: str) -> Iterable[Row]:
        return [row for (owner, _), row in self._rows.items() if owner == account]


def refused(
    row: Row, stored: Row | None, rows: Collection[Row], max_purchases: int | None
) -> PutResult | None:
    """Return why *row* may not replace *stored* among *rows*, if so."""
    if row.version != (0 if stored is None else stored.version) + 1:
        return PutResult.STALE

    def others() -> Iterator[Row]:
        # Gone through only where it matters: for every write it would make a long job slow.
        return (
            other for other in rows if other.account == row.account and other.op_id != row.op_id
        )

    unsettled = row.key and row.state in UNSETTLED
    if unsettled and any(other.key == row.key and other.state in UNSETTLED for other in others()):
        return PutResult.BUSY
    more = row.purchase_count > (0 if stored is None else stored.purchase_count)
    if max_purchases is not None and more:
        bought = row.purchase_count + sum(other.purchase_count for other in others())
        if bought > max_purchases:
            return PutResult.SPENT
    return None

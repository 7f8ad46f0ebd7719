"""A journal in memory."""

# ruff: noqa: D102 - `Journal` documents the methods

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from types import TracebackType
from typing import Self
from uuid import uuid4

from sigmamind_async.provisioning.journal.protocol import (
    CHUNK,
    Counts,
    PutResult,
    check_put,
    documented,
)
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State


@documented
class MemoryJournal:
    """A journal for tests, and for jobs that may forget: it ends with the process.

    It keeps every promise but durability; see `Journal`.
    """

    def __init__(self) -> None:
        self.journal_id: str = uuid4().hex
        self.may_be_a_copy = False
        self.latest: float = 0.0
        self._rows: dict[tuple[str, str], Row] = {}
        self._fingerprints: dict[str, frozenset[str]] = {}
        self._applied: dict[str, str] = {}
        self._leases: dict[str, tuple[str, float]] = {}

    async def get(self, account: str, op_id: str) -> Row | None:
        return self._rows.get((account, op_id))

    async def put(
        self,
        row: Row,
        *,
        max_purchases: int | None = None,
        durable: bool = True,  # noqa: ARG002 - nothing is
    ) -> PutResult:
        stored = self._rows.get((row.account, row.op_id))
        refusal = check_put(
            row,
            (stored.version, stored.purchase_count) if stored else (0, 0),
            max_purchases,
            is_key_in_use=lambda: any(
                other.key == row.key and other.state in UNSETTLED and other.op_id != row.op_id
                for other in self._of(row.account)
            ),
            count_purchases=lambda: sum(other.purchase_count for other in self._of(row.account)),
        )
        if refusal is not None:
            return refusal
        self._rows[row.account, row.op_id] = row
        self.latest = max(self.latest, row.updated_at)
        return PutResult.STORED

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        return [row for row in self._of(account) if row.state in states]

    async def unsettled(self, account: str) -> list[Row]:
        return [
            row
            for row in self._of(account)
            if row.state in UNSETTLED | NEED_DECISION
            or (row.state is State.PLANNED and row.unconfirmed_since > 0)
        ]

    async def next_rows(self, account: str, states: Collection[State], after: str) -> list[Row]:
        rows = [row for row in self._of(account) if row.state in states and row.op_id > after]
        return sorted(rows, key=lambda row: row.op_id)[:CHUNK]

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        return [row for row in self._of(account) if row.token in tokens]

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        return [
            row
            for row in self._of(account)
            if key and row.key == key and (row.state in UNSETTLED or row.unconfirmed_since > since)
        ]

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        return [
            row
            for row in self._of(account)
            if row.state is State.DONE and row.tagged and row.updated_at < before
        ]

    async def counts(self, account: str) -> Counts:
        rows = self._of(account)
        return Counts(Counter(row.state for row in rows), sum(row.purchase_count for row in rows))

    async def last_applied(self) -> dict[str, str]:
        return dict(self._applied)

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        if text is None:
            self._applied.pop(row_id, None)
        else:
            self._applied[row_id] = text

    async def key_fingerprints(self, account: str) -> frozenset[str]:
        return self._fingerprints.get(account, frozenset())

    async def add_key_fingerprint(self, account: str, fingerprint: str) -> None:
        self._fingerprints[account] = self._fingerprints.get(account, frozenset()) | {fingerprint}

    async def acquire_lease(self, name: str, holder: str, now: float, until: float) -> bool:
        owner, end = self._leases.get(name, (holder, 0.0))
        is_free = owner == holder or end <= now
        if is_free:
            self._leases[name] = holder, until
        return is_free

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def _of(self, account: str) -> list[Row]:
        return [row for (owner, _), row in self._rows.items() if owner == account]

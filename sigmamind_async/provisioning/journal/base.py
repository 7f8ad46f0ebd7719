"""What journals in databases share: everything but the thread, the file and the write of a row."""

# ruff: noqa: D102 - `Journal` documents the methods

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.columns import from_columns
from sigmamind_async.provisioning.journal.protocol import Counts, Journal
from sigmamind_async.provisioning.journal.sql import Statements
from sigmamind_async.provisioning.row import Row, State

T = TypeVar("T")


class SqlJournal(Journal):
    """A `Journal` in tables. Its *name* begins the message of each error."""

    _statements: ClassVar[Statements]

    def __init__(self, name: str, *, read_only: bool) -> None:
        self._name = name
        self._read_only = read_only
        self._journal_id = ""
        self._latest = 0.0
        self._may_be_a_copy = True

    @abstractmethod
    async def open(self) -> None:
        """Make or open the journal, and prove that it can be written to."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was requested, and close it; may be called any number of times."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def journal_id(self) -> str:
        if not self._journal_id:
            raise self._not_open()
        return self._journal_id

    @property
    def may_be_a_copy(self) -> bool:
        if not self._journal_id:
            raise self._not_open()
        return self._may_be_a_copy

    @property
    def latest(self) -> float:
        self._require_opened()
        return self._latest

    async def get(self, account: str, op_id: str) -> Row | None:
        rows = await self._rows(self._statements.get, account, op_id)
        return rows[0] if rows else None

    async def in_states(self, account: str, states: Collection[State]) -> list[Row]:
        words = self._as_value([state.value for state in states])
        return await self._rows(self._statements.in_states, account, words)

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        return await self._rows(self._statements.with_tokens, account, self._as_value(tokens))

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        return await self._rows(self._statements.with_key, account, key, since)

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        return await self._rows(self._statements.tagged_before, account, before)

    async def counts(self, account: str) -> Counts:
        found = await self._query(self._statements.counts, [account], list)
        purchases = found[0][2] if found else None
        return Counts({State(state): count for state, count, _ in found}, purchases or 0)

    async def last_applied(self) -> dict[str, str]:
        return await self._query(self._statements.last_applied, [], dict)

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        if text is None:
            await self._execute(self._statements.remove_applied, row_id, durable=False)
        else:
            await self._execute(self._statements.set_applied, row_id, text, durable=False)

    async def key_fingerprints(self, account: str) -> frozenset[str]:
        found = await self._query(self._statements.key_fingerprints, [account], list)
        return frozenset(text for (text,) in found)

    async def add_key_fingerprint(self, account: str, fingerprint: str) -> None:
        await self._execute(self._statements.add_key_fingerprint, account, fingerprint)

    # --- for the subclass --------------------------------------------------------------------

    @abstractmethod
    async def _query(
        self, statement: str, values: Sequence[object], convert: Callable[[list[Any]], T]
    ) -> T:
        """Return what *convert* makes of the rows found, in the journal's own thread."""

    @abstractmethod
    async def _execute(self, statement: str, *values: object, durable: bool = True) -> None:
        """Run a statement that writes; see `Journal.put` for *durable*."""

    @staticmethod
    @abstractmethod
    def _as_value(texts: Collection[str]) -> object:
        """Return *texts* as one value of a statement."""

    async def _rows(self, statement: str, *values: object) -> list[Row]:
        return await self._query(statement, values, read_rows)

    def _require_writable(self) -> None:
        if self._read_only:
            raise self._error("was opened with read_only=True.\nOpen it without to write to it.")

    def _require_closed(self, thread: object) -> None:
        if thread is not None:
            raise self._error("is open already.\nUse one journal for all tasks, or close it first.")

    def _require_opened(self) -> None:
        if not self._journal_id:
            raise self._not_open()

    def _not_open(self) -> JournalError:
        return self._error("is not open.\nUse it inside `async with`.")

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"{self._name}: {problem}")


def read_rows(found: list[Any]) -> list[Row]:
    """Return the rows of a query for all `COLUMNS`."""
    return [from_columns(values) for values in found]

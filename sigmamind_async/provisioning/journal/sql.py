"""What journals in databases share: a row as columns, the statements, and the class that runs them.

Fields that are queried have columns of their own, and so have the times. The others are one JSON
text, so that a new field of `Row` changes no table.
"""

# ruff: noqa: S608, D102 - a statement is made of constants; `Journal` documents the methods

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

import attrs
import orjson

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import CHUNK, Counts, Journal, documented
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Kind, Row, State, Step
from sigmamind_async.values import check_flag

T = TypeVar("T")

# --- a row as columns ------------------------------------------------------------------------

Values: TypeAlias = tuple[
    str, str, str, str, str, str, int, float, float, float, float, float, bool, int, str
]
"""One value for each of `COLUMNS`."""

COLUMNS: Final = {
    "account": str,
    "op_id": str,
    "kind": str,
    "state": str,
    "key": str,
    "token": str,
    "version": int,
    "unconfirmed_since": float,
    "lease_until": float,
    "sent_at": float,
    "listed_at": float,
    "updated_at": float,
    "tagged": bool,
    "purchase_count": int,
    "detail": str,
}
"""The columns of an operation, in their order; the first two are its key."""

_DETAIL: Final = tuple(
    field.name for field in attrs.fields(Row) if field.name not in {*COLUMNS, "history"}
)
_get_detail: Final = attrgetter(*_DETAIL)
_get_step: Final = attrgetter("at", "text")

_STDLIB_MARK: Final = " "
"""Begins a text that orjson cannot read back: it has lone surrogates or long integers."""


def to_columns(row: Row) -> Values:
    """Return *row* as a value for each of `COLUMNS`.

    Raises `JournalError` for a value without a JSON form.
    """
    detail: dict[str, Any] = dict(zip(_DETAIL, _get_detail(row), strict=True))
    detail["history"] = list(map(_get_step, row.history))
    try:
        text = orjson.dumps(detail, default=dict).decode()
    except TypeError:
        text = ""
    return (
        row.account,
        row.op_id,
        row.kind.value,
        row.state.value,
        row.key,
        row.token,
        row.version,
        row.unconfirmed_since,
        row.lease_until,
        row.sent_at,
        row.listed_at,
        row.updated_at,
        row.tagged,
        row.purchase_count,
        text or _dump_with_stdlib(row.op_id, detail),
    )


def from_columns(values: Values) -> Row:
    """Return the row that `to_columns` was given, with plain JSON in its mappings.

    Raises `JournalError` for values that `to_columns` has not written.
    """
    try:
        return _parse_row(values)
    except (ValueError, TypeError, KeyError):
        pass
    raise JournalError(
        f"the row of {values[1]!r} cannot be read: it was changed by another program.\n"
        "Restore it from a backup."
    )


def _dump_with_stdlib(op_id: str, detail: dict[str, Any]) -> str:
    # A lone surrogate in the text of an error must not keep a purchase from being written down.
    try:
        return _STDLIB_MARK + json.dumps(detail, default=dict)
    except (TypeError, ValueError):
        pass
    raise JournalError(f"{op_id!r}: a value of the request or its result has no JSON form")


def _parse_row(values: Values) -> Row:
    text = values[14]
    detail = json.loads(text) if text.startswith(_STDLIB_MARK) else orjson.loads(text)
    return Row(
        account=values[0],
        op_id=values[1],
        kind=Kind(values[2]),
        state=State(values[3]),
        key=values[4],
        token=values[5],
        version=values[6],
        unconfirmed_since=values[7],
        lease_until=values[8],
        sent_at=values[9],
        listed_at=values[10],
        updated_at=values[11],
        tagged=bool(values[12]),
        secret_fields=tuple(detail.pop("secret_fields")),
        duplicates=tuple(detail.pop("duplicates")),
        released=tuple(detail.pop("released")),
        history=tuple(Step(at, text) for at, text in detail.pop("history")),
        **detail,
    )


# --- statements ------------------------------------------------------------------------------

NAMES: Final = ", ".join(COLUMNS)
UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in list(COLUMNS)[2:])
"""Sets all columns but the key, where a row is there already."""


def quote_states(states: Collection[State]) -> str:
    """Return *states* as the list of an ``IN``."""
    words = sorted(f"'{state.value}'" for state in states)
    return f"({', '.join(words)})"


# A database uses a partial index only for a query that repeats the index's condition.
HAS_KEY: Final = "key <> ''"
IS_UNSETTLED: Final = f"state IN {quote_states(UNSETTLED)}"
MAY_BE_UNSETTLED: Final = (
    f"(state IN {quote_states(UNSETTLED | NEED_DECISION)}"
    f" OR state = '{State.PLANNED.value}' AND unconfirmed_since > 0)"
)
HAS_TAG: Final = f"state = '{State.DONE.value}' AND tagged"


class Statements:
    """The statements, in the spelling of one database.

    Args:
        schema: What comes before the name of a table.
        mark: Stands for a value.
        any_of: What follows a column that must have one of several texts, given as one value.
        age: The column that orders rows by age.
    """

    def __init__(self, *, schema: str, mark: str, any_of: str, age: str) -> None:
        self.rows: str = f"SELECT {NAMES} FROM {schema}operations WHERE account = {mark}"
        self.get: str = f"{self.rows} AND op_id = {mark}"
        self.in_states: str = f"{self.rows} AND state {any_of} ORDER BY {age}"
        self.unsettled: str = f"{self.rows} AND {MAY_BE_UNSETTLED} ORDER BY {age}"
        self.next_rows: str = (
            f"{self.rows} AND op_id > {mark} AND state {any_of} ORDER BY op_id LIMIT {CHUNK}"
        )
        self.with_tokens: str = f"{self.rows} AND token {any_of} ORDER BY {age}"
        self.with_key: str = (
            f"{self.rows} AND key = {mark} AND {HAS_KEY}"
            f" AND ({IS_UNSETTLED} OR unconfirmed_since > {mark}) ORDER BY {age}"
        )
        self.tagged_before: str = (
            f"{self.rows} AND {HAS_TAG} AND updated_at < {mark} ORDER BY {age}"
        )
        self.counts: str = (
            "SELECT state, count(*), (SELECT sum(purchase_count)"
            f" FROM {schema}accounts AS a WHERE a.account = o.account)"
            f" FROM {schema}operations AS o WHERE account = {mark} GROUP BY account, state"
        )
        self.last_applied: str = f"SELECT row_id, text FROM {schema}last_applied"
        self.set_applied: str = (
            f"INSERT INTO {schema}last_applied (row_id, text) VALUES ({mark}, {mark})"
            " ON CONFLICT (row_id) DO UPDATE SET text = excluded.text"
        )
        self.remove_applied: str = f"DELETE FROM {schema}last_applied WHERE row_id = {mark}"
        self.acquire_lease: str = (
            f"INSERT INTO {schema}leases AS held (name, holder, until)"
            f" VALUES ({mark}, {mark}, {mark}) ON CONFLICT (name)"
            " DO UPDATE SET holder = excluded.holder, until = excluded.until"
            f" WHERE held.holder = excluded.holder OR held.until <= {mark}"
        )
        self.lease_holder: str = f"SELECT holder FROM {schema}leases WHERE name = {mark}"
        self.key_fingerprints: str = (
            f"SELECT fingerprint FROM {schema}key_fingerprints WHERE account = {mark}"
        )
        self.add_key_fingerprint: str = (
            f"INSERT INTO {schema}key_fingerprints (account, fingerprint) VALUES ({mark}, {mark})"
            " ON CONFLICT DO NOTHING"
        )


SQLITE: Final = Statements(
    schema="",
    mark="?",
    # A statement has a limit of values, so a list is one value.
    any_of="IN (SELECT value FROM json_each(?))",
    age="rowid",
)
POSTGRES: Final = Statements(schema="{schema}.", mark="%s", any_of="= ANY(%s)", age="place")


@documented
class SqlJournal(Journal):
    """A `Journal` in tables: all but its thread, and the write of a row.

    Its *name* begins the message of each error.
    """

    _statements: ClassVar[Statements]

    def __init__(self, name: str, *, read_only: bool) -> None:
        check_flag("read_only", read_only)
        self._name = name
        self._read_only = read_only
        self._journal_id = ""
        self._latest = 0.0
        self._may_be_a_copy = True  # unless opening it proves otherwise

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
        self._require_opened()
        return self._journal_id

    @property
    def may_be_a_copy(self) -> bool:
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

    async def unsettled(self, account: str) -> list[Row]:
        return await self._rows(self._statements.unsettled, account)

    async def next_rows(self, account: str, states: Collection[State], after: str) -> list[Row]:
        words = self._as_value([state.value for state in states])
        return await self._rows(self._statements.next_rows, account, after, words)

    async def with_tokens(self, account: str, tokens: Collection[str]) -> list[Row]:
        return await self._rows(self._statements.with_tokens, account, self._as_value(tokens))

    async def with_key(self, account: str, key: str, since: float) -> list[Row]:
        return await self._rows(self._statements.with_key, account, key, since)

    async def tagged_before(self, account: str, before: float) -> list[Row]:
        return await self._rows(self._statements.tagged_before, account, before)

    async def counts(self, account: str) -> Counts:
        return await self._query(self._statements.counts, [account], read_counts)

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

    async def acquire_lease(self, name: str, holder: str, now: float, until: float) -> bool:
        await self._execute(self._statements.acquire_lease, name, holder, until, now)
        return await self._query(self._statements.lease_holder, [name], list) == [(holder,)]

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
        return self._error("is not open.\nUse it inside `async with` (if blocking, `with`).")

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"{self._name}: {problem}")


def read_rows(found: list[Any]) -> list[Row]:
    """Return the rows of a query for all `COLUMNS`."""
    return [from_columns(values) for values in found]


def read_counts(found: list[Any]) -> Counts:
    """Return the result of the query for `Statements.counts`."""
    purchases = found[0][2] if found else None
    return Counts({State(state): count for state, count, _ in found}, int(purchases or 0))

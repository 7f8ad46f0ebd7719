"""Rows written within somebody else's transaction, before anything is sent.

Whoever sells a number enters the order and plans the purchase in one transaction, so that neither
is ever there without the other. It runs on the caller's connection, with the settings of the
caller, who may go on with it: none of them is changed, and no lock is held that a worker waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

import attrs
import psycopg
from psycopg.rows import tuple_row

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.columns import from_columns, to_columns
from sigmamind_async.provisioning.journal.postgres.schema import MIGRATIONS, NOW, PUT, with_schema
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sql import NAMES, POSTGRES
from sigmamind_async.provisioning.row import Row

_HEAD: Final = f"SELECT journal_id, version, {NOW} FROM {{schema}}.journal"  # noqa: S608 - all of it is ours
_TYPES: Final = (*["text"] * 6, "bigint", *["double precision"] * 5, "boolean", "bigint", "text")
"""Of the columns, in their order."""
_ARRAYS: Final = ", ".join(f"%s::{kind}[]" for kind in _TYPES)
_INSERT: Final = (
    f"INSERT INTO {{schema}}.operations ({NAMES}, write_id)"  # noqa: S608 - likewise
    f" SELECT made.*, gen_random_uuid() FROM unnest({_ARRAYS}) AS made"
    " ON CONFLICT (account, op_id) DO NOTHING RETURNING op_id"
)
_THESE: Final = f"{POSTGRES.rows} AND op_id = ANY(%s)"
_SETTINGS: Final = "SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')"
_RESTORE: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('synchronous_commit', %s, true)"
)


@attrs.frozen
class JournalHead:
    """What a transaction has to know of the journal that it writes to."""

    journal_id: str
    now: float
    """Seconds since the epoch, by the clock of the database."""


@attrs.frozen
class JournalTransaction:
    """The operations of a journal, within one transaction of somebody's connection.

    Every method raises `psycopg.Error`, after which that transaction can only be rolled back.
    """

    connection: psycopg.AsyncConnection[Any]
    schema: str

    async def head(self) -> JournalHead:
        """Return whose journal it is, and when; raise `JournalError` for one of another version."""
        [(journal_id, version, now)] = await self.ask(_HEAD)
        if version != len(MIGRATIONS):
            raise JournalError(
                f"the journal is of another version of sigmamind-async"
                f" (schema version {version}, here {len(MIGRATIONS)}).\nUse one version everywhere."
            )
        return JournalHead(journal_id, now)

    async def insert(self, rows: Sequence[Row]) -> set[str]:
        """Write *rows* of one account that are not there yet; return the ids of those."""
        columns = zip(*map(to_columns, rows), strict=True)
        return {op_id for (op_id,) in await self.ask(_INSERT, *map(list, columns))}

    async def stored(self, account: str, op_ids: Iterable[str]) -> dict[str, Row]:
        """Return the rows of *op_ids* that are there."""
        rows = [from_columns(found) for found in await self.ask(_THESE, account, list(op_ids))]
        return {row.op_id: row for row in rows}

    async def put(self, row: Row) -> PutResult:
        """Write *row* over the one that it follows."""
        [before] = await self.ask(_SETTINGS)
        values = (*to_columns(row), uuid4(), None, True)
        [(verdict,)] = await self.ask(PUT, *values)
        # It has set them for the rest of the transaction, which is the caller's.
        await self.ask(_RESTORE, *before)
        return PutResult[verdict.upper()]

    async def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query about the schema's tables returns."""
        # The rows of the caller's connection may be dictionaries.
        async with self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(with_schema(query, self.schema), values or None)
            return await cursor.fetchall()

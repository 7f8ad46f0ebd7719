"""Rows written within another transaction, before anything is sent.

A shop that sells a number stores the order and plans the purchase in one transaction, so that there
is never one without the other. This runs on the caller's connection, with the caller's settings,
and the caller may go on with the transaction: so no setting is changed, and no lock is held that a
worker waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

import attrs
import psycopg
from psycopg.rows import tuple_row

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.postgres.schema import MIGRATIONS, NOW, PUT, with_schema
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sql import (
    COLUMNS,
    NAMES,
    POSTGRES,
    from_columns,
    to_columns,
)
from sigmamind_async.provisioning.row import Row

_HEAD: Final = f"SELECT journal_id, version, {NOW} FROM {{schema}}.journal"  # noqa: S608 - all of it is ours
_TYPES: Final = {str: "text", int: "bigint", float: "double precision", bool: "boolean"}
_ARRAYS: Final = ", ".join(f"%s::{_TYPES[kind]}[]" for kind in COLUMNS.values())
_INSERT: Final = (
    f"INSERT INTO {{schema}}.operations ({NAMES}, write_id)"  # noqa: S608 - all of it is ours
    f" SELECT made.*, gen_random_uuid() FROM unnest({_ARRAYS}) AS made"
    " ON CONFLICT (account, op_id) DO NOTHING RETURNING op_id"
)
_ROWS_OF: Final = f"{POSTGRES.rows} AND op_id = ANY(%s)"
_SETTINGS: Final = "SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')"
_RESTORE: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('synchronous_commit', %s, true)"
)


@attrs.frozen
class JournalHead:
    """What a transaction must know of the journal that it writes to."""

    journal_id: str
    now: float
    """Seconds since the epoch, by the clock of the database."""


@attrs.frozen
class JournalTransaction:
    """The operations of a journal, within a transaction of the caller's connection.

    Every method may raise `psycopg.Error`; that transaction can then only be rolled back.
    """

    connection: psycopg.AsyncConnection[Any]
    schema: str

    async def head(self) -> JournalHead:
        """Return id and time of the journal; raise `JournalError` for one of another version."""
        [(journal_id, version, now)] = await self.fetch(_HEAD)
        if version != len(MIGRATIONS):
            raise JournalError(
                f"the journal is of another version of sigmamind-async"
                f" (schema version {version}, here {len(MIGRATIONS)}).\nUse one version everywhere."
            )
        return JournalHead(journal_id, now)

    async def insert(self, rows: Sequence[Row]) -> set[str]:
        """Write those of *rows*, all of one account, that are not there yet; return their ids."""
        columns = zip(*map(to_columns, rows), strict=True)
        return {op_id for (op_id,) in await self.fetch(_INSERT, *map(list, columns))}

    async def rows_of(self, account: str, op_ids: Iterable[str]) -> dict[str, Row]:
        """Return the rows of *op_ids* that exist."""
        rows = [from_columns(found) for found in await self.fetch(_ROWS_OF, account, list(op_ids))]
        return {row.op_id: row for row in rows}

    async def put(self, row: Row) -> PutResult:
        """Write *row* in place of the version before it."""
        [before] = await self.fetch(_SETTINGS)
        values = (*to_columns(row), uuid4(), None, True)
        [(verdict,)] = await self.fetch(PUT, *values)
        # The function has set them for the rest of the transaction, which is the caller's.
        await self.fetch(_RESTORE, *before)
        return PutResult[verdict.upper()]

    async def fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows that a query about the schema's tables finds."""
        # The rows of the caller's connection may be dictionaries.
        async with self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(with_schema(query, self.schema), values or None)
            return await cursor.fetchall()

"""Writing operations and their jobs, in one transaction, before anything is sent.

A shop that sells a number stores the order and plans the purchase in one transaction, so that there
is never one without the other. This runs on the caller's connection, with the caller's settings,
and the caller may go on with the transaction: so no setting is changed, and no lock is held that a
worker waits for.

A job names its operation and nothing else. The request is in the operation's row of the journal,
where it is compared with any later request under the same id, so queue and journal cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import attrs
import psycopg
from procrastinate.jobs import Job
from psycopg.rows import tuple_row

from sigmamind_async.errors import ConfigurationError, JournalError
from sigmamind_async.provisioning.events import RetryApproved
from sigmamind_async.provisioning.journal.postgres.schema import MIGRATIONS, NOW, PUT, with_schema
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sql import (
    COLUMNS,
    NAMES,
    POSTGRES,
    from_columns,
    to_columns,
)
from sigmamind_async.provisioning.messages import journal_error, request_mismatch
from sigmamind_async.provisioning.row import UNSETTLED, Row, State, Step
from sigmamind_async.provisioning.transitions import Policy, advance

NAMESPACE: Final = "sigmamind"
"""Prefix of the name of every task."""
PROVISION: Final = "provision"
_TASK: Final = f"{NAMESPACE}:{PROVISION}"
UPKEEP_PRIORITY: Final = 10
"""Of jobs that must not wait behind ten thousand others."""
MAX_ACCOUNT_NAME: Final = 100
"""Characters; the name is part of a queue's name, whose length is limited."""

RUNNABLE: Final = UNSETTLED | {State.PLANNED}
"""States from which a worker gets an operation further."""
# Two halves, one for each index. The first looks each lock up: asked for all of them at once, a
# server whose statistics are not up to date reads all waiting jobs instead.
_EXISTING_JOBS: Final = (
    "SELECT wanted.lock FROM unnest(%b::text[]) AS wanted (lock), LATERAL ("
    "SELECT FROM procrastinate_jobs AS j"
    " WHERE j.queueing_lock = wanted.lock AND j.status = 'todo' LIMIT 1) AS found"
    " UNION ALL SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(%b::text[]) AND status = 'doing'"
)
_HEAD: Final = f"SELECT journal_id, version, {NOW} FROM {{schema}}.journal"  # noqa: S608 - all of it is ours
_TYPES: Final = {str: "text", int: "bigint", float: "double precision", bool: "boolean"}
# In the binary form: in a text, every quote of a thousand JSON texts would be escaped.
_ARRAYS: Final = ", ".join(f"%b::{_TYPES[kind]}[]" for kind in COLUMNS.values())
_INSERT: Final = (
    f"INSERT INTO {{schema}}.operations ({NAMES}, write_id)"  # noqa: S608 - all of it is ours
    f" SELECT made.*, gen_random_uuid() FROM unnest({_ARRAYS}) AS made"
    " ON CONFLICT (account, op_id) DO NOTHING RETURNING op_id"
)
# Jobs are made where they are stored, by procrastinate's function: what differs is two texts each.
_DEFER: Final = """
SELECT procrastinate_defer_jobs_v1(array_agg(
    ROW(%s, %s, 0, %s || nullif(made.key, ''), %s || made.op_id,
        jsonb_build_object('account', %s::text, 'op_id', made.op_id), NULL
    )::procrastinate_job_to_defer_v1 ORDER BY made.place
))
FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS made (op_id, key, place)
"""
_ROWS_OF: Final = f"{POSTGRES.rows} AND op_id = ANY(%s)"
_PROGRESS: Final = (
    "SELECT account, op_id, version, state FROM {schema}.operations"
    " WHERE account = ANY(%s) AND op_id = ANY(%s)"
)
_SETTINGS: Final = "SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')"
_RESTORE: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('synchronous_commit', %s, true)"
)


def check_account_name(account: str) -> None:
    """Raise `ConfigurationError` for a name that cannot be part of a queue's name."""
    if not account.isprintable() or len(account) > MAX_ACCOUNT_NAME:
        raise ConfigurationError(
            f"account: must be at most {MAX_ACCOUNT_NAME} printable characters"
        )


def queue_name(account: str) -> str:
    """Return the queue of an account; a worker serves those whose API keys it has."""
    return f"{NAMESPACE}/{account}"


def operation_lock(account: str, op_id: str) -> str:
    """Return the lock that allows one waiting job for each operation."""
    return f"{NAMESPACE}/{account} operation {op_id}"


def number_lock(account: str, key: str) -> str:
    """Return the lock that allows one running job for each number."""
    return f"{NAMESPACE}/{account} number {key}"


def job_for(row: Row) -> Job:
    """Return the job that carries out the operation of *row*."""
    return Job(
        queue=queue_name(row.account),
        task_name=_TASK,
        # A number that the platform picks is not known yet.
        lock=number_lock(row.account, row.key) if row.key else None,
        queueing_lock=operation_lock(row.account, row.op_id),
        task_kwargs={"account": row.account, "op_id": row.op_id},
    )


@attrs.frozen
class JournalHead:
    """What a transaction must know of the journal that it writes to."""

    journal_id: str
    now: float
    """Seconds since the epoch, by the clock of the database."""


@attrs.frozen
class OperationProgress:
    """How far the workers got with an operation."""

    account: str
    op_id: str
    version: int
    state: State
    has_ended: bool
    """True if no worker changes it any more, unless an operator lets it."""


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

    async def progress(
        self, accounts: Iterable[str], op_ids: Iterable[str]
    ) -> list[OperationProgress]:
        """Return how far the workers got with those of *op_ids* that exist."""
        found = await self.fetch(_PROGRESS, list(accounts), list(op_ids))
        # A refused operation ends with its job: a job may try another number, and it runs again if
        # its worker was killed.
        failed = [
            operation_lock(account, op_id)
            for account, op_id, _, state in found
            if state == State.FAILED.value
        ]
        busy = await self.existing_jobs(failed) if failed else set[str]()
        return [
            OperationProgress(
                account,
                op_id,
                version,
                State(state),
                has_ended=State(state) not in RUNNABLE
                and operation_lock(account, op_id) not in busy,
            )
            for account, op_id, version, state in found
        ]

    async def existing_jobs(self, locks: list[str]) -> set[str]:
        """Return those of *locks*, of operations, whose job waits or runs."""
        return {lock for (lock,) in await self.fetch(_EXISTING_JOBS, locks, locks)}

    async def add_jobs(self, account: str, rows: Sequence[Row]) -> None:
        """Add a job for each of *rows*, all of *account*; `job_for` describes the same job."""
        await self.fetch(
            _DEFER,
            queue_name(account),
            _TASK,
            number_lock(account, ""),
            operation_lock(account, ""),
            account,
            [row.op_id for row in rows],
            [row.key for row in rows],
        )

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


@attrs.frozen
class Enqueuer:
    """Writes rows and their jobs in one transaction."""

    transaction: JournalTransaction
    head: JournalHead

    async def write(self, account: str, planned: Sequence[Row]) -> list[Row]:
        """Write *planned* rows of *account*; return them as they are in the journal now."""
        planned = [self._as_new(row) for row in planned]
        new = await self.transaction.insert(planned)
        known = [row.op_id for row in planned if row.op_id not in new]
        stored = await self.transaction.rows_of(account, known) if known else {}
        rows = [
            row if row.op_id in new else await self._enqueue_again(stored[row.op_id], row)
            for row in planned
        ]
        await self._add_jobs(account, rows, new)
        return rows

    def _as_new(self, row: Row) -> Row:
        now = self.head.now
        step = Step(now, "planned, and handed to the workers")
        return attrs.evolve(row, version=1, enqueued=True, updated_at=now, history=(step,))

    async def _enqueue_again(self, stored: Row, planned: Row) -> Row:
        """Return the row of an operation that was enqueued before."""
        difference = request_mismatch(stored, planned)
        if difference is not None:
            raise difference
        references = stored.secret_references or planned.secret_references
        row = attrs.evolve(stored, enqueued=True, secret_references=references)
        if row.state is State.FAILED:
            row = advance(row, RetryApproved(), self.head.now, Policy()).row
        elif row == stored or row.state not in RUNNABLE - {State.SENDING}:
            return stored
        else:
            row = attrs.evolve(row, version=row.version + 1)
        if await self.transaction.put(row) is not PutResult.STORED:
            problem = "another process is working on it; try again"
            raise journal_error(row.op_id, problem, retryable=True)
        return row

    async def _add_jobs(self, account: str, rows: Sequence[Row], new: set[str]) -> None:
        """Add a job for each row that needs one and has none."""
        locks = [operation_lock(account, row.op_id) for row in rows]
        existing = await self.transaction.existing_jobs(locks)
        missing = [
            row
            for row in rows
            if row.state in RUNNABLE and operation_lock(account, row.op_id) not in existing
        ]
        first = [row for row in missing if row.op_id in new]
        if first:
            await self.transaction.add_jobs(account, first)
        for row in missing:
            if row.op_id not in new:
                # Another process may be enqueuing the same: this waits for its transaction.
                with suppress(psycopg.errors.UniqueViolation):
                    async with self.transaction.connection.transaction():
                        await self.transaction.add_jobs(account, [row])

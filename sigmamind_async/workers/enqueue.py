"""Writing operations and their jobs, in one transaction.

A job names its operation and nothing else. The request is in the operation's row of the journal,
where it is compared with any later request under the same id, so queue and journal cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import attrs
from procrastinate import PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.events import RetryApproved
from sigmamind_async.provisioning.journal.postgres.transaction import (
    JournalHead,
    JournalTransaction,
)
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.messages import journal_error, request_mismatch
from sigmamind_async.provisioning.row import UNSETTLED, Row, State, Step
from sigmamind_async.provisioning.transitions import Policy, advance

NAMESPACE: Final = "sigmamind"
"""Prefix of the name of every task."""
PROVISION: Final = "provision"
UPKEEP_PRIORITY: Final = 10
"""Of jobs that must not wait behind ten thousand others."""
MAX_ACCOUNT_NAME: Final = 100
"""Characters; the name is part of a queue's name, whose length is limited."""

_RUNNABLE: Final = UNSETTLED | {State.PLANNED}
"""States from which a worker gets an operation further."""
# Two halves, one for each index.
_EXISTING_JOBS: Final = (
    "SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(%s) AND status = 'todo'"
    " UNION ALL SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(%s) AND status = 'doing'"
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


def number_lock(row: Row) -> str | None:
    """Return the lock that allows one running job for each number.

    `None` for the purchase of a number that the platform chooses.
    """
    return f"{NAMESPACE}/{row.account} number {row.key}" if row.key else None


def job_for(row: Row) -> Job:
    """Return the job that carries out the operation of *row*."""
    return Job(
        queue=queue_name(row.account),
        task_name=f"{NAMESPACE}:{PROVISION}",
        lock=number_lock(row),
        queueing_lock=operation_lock(row.account, row.op_id),
        task_kwargs={"account": row.account, "op_id": row.op_id},
    )


@attrs.frozen
class Enqueuer:
    """Writes rows and their jobs in one transaction."""

    transaction: JournalTransaction
    head: JournalHead
    _jobs: JobManager = attrs.field(factory=lambda: JobManager(PsycopgConnector()), init=False)
    """Gives the statements, which run on the connection of the transaction."""

    async def write(self, account: str, planned: Sequence[Row]) -> list[Row]:
        """Write *planned* rows of *account*; return them as they are in the journal now."""
        planned = [self._as_new(row) for row in planned]
        new = await self.transaction.insert(planned)
        known = (row.op_id for row in planned if row.op_id not in new)
        stored = await self.transaction.rows_of(account, known)
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
        elif row == stored or row.state not in _RUNNABLE - {State.SENDING}:
            return stored
        else:
            row = attrs.evolve(row, version=row.version + 1)
        if await self.transaction.put(row) is not PutResult.STORED:
            raise journal_error(row.op_id, "another process is working on it; try again")
        return row

    async def _add_jobs(self, account: str, rows: Sequence[Row], new: set[str]) -> None:
        """Add a job for each row that needs one and has none."""
        locks = [operation_lock(account, row.op_id) for row in rows]
        existing = {lock for (lock,) in await self.transaction.fetch(_EXISTING_JOBS, locks, locks)}
        missing = [
            row
            for row in rows
            if row.state in _RUNNABLE and operation_lock(account, row.op_id) not in existing
        ]
        connection = self.transaction.connection
        first = [job_for(row) for row in missing if row.op_id in new]
        if first:
            await self._jobs.batch_defer_jobs_async(first, connection=connection)
        for row in missing:
            if row.op_id not in new:
                # Another process may be enqueuing the same: this waits for its transaction.
                with suppress(AlreadyEnqueued):
                    async with connection.transaction():
                        await self._jobs.defer_job_async(job_for(row), connection=connection)

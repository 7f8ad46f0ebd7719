"""Entering operations: what becomes of each row, and which of them need a job.

A job says whose operation it is and nothing else. The request is in the journal, in the row of the
operation, where it is compared with what is asked for under the same id again; so the queue and
the journal cannot disagree, and nothing of a request stands in two places.
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
"""Begins the name of every task."""
PROVISION: Final = "provision"
FIRST: Final = 10
"""Priority of what looks after the others: it must not wait behind ten thousand of them."""
_LONGEST: Final = 100
"""Most characters of an account's name: a queue's name has a bound."""


def check_account_name(account: str) -> None:
    """Require what can be part of a queue's name."""
    if not account.isprintable() or len(account) > _LONGEST:
        raise ConfigurationError(f"account: must be at most {_LONGEST} printable characters")


def queue_of(account: str) -> str:
    """Return the queue of an account: a worker serves those of which it has the keys."""
    return f"{NAMESPACE}/{account}"


def lock_of(row: Row) -> str | None:
    """Return what only one job at a time may hold: the number that the operation is about.

    A purchase of a number that the platform picks is about none yet.
    """
    return f"{NAMESPACE}/{row.account} number {row.key}" if row.key else None


def waiting_lock(account: str, op_id: str) -> str:
    """Return what only one waiting job may hold: that of the operation."""
    return f"{NAMESPACE}/{account} operation {op_id}"


def job_for(row: Row) -> Job:
    """Return the job that carries out the operation of *row*."""
    return Job(
        queue=queue_of(row.account),
        task_name=f"{NAMESPACE}:{PROVISION}",
        lock=lock_of(row),
        queueing_lock=waiting_lock(row.account, row.op_id),
        task_kwargs={"account": row.account, "op_id": row.op_id},
    )


GOES_ON: Final = UNSETTLED | {State.PLANNED}
"""States from which a worker gets further."""
_QUEUED: Final = (
    "SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(%s) AND status = 'todo'"
    " UNION ALL SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(%s) AND status = 'doing'"
)
"""One half for each index."""


@attrs.frozen
class Entry:
    """Enters rows in one transaction."""

    page: JournalTransaction
    moment: JournalHead
    _jobs: JobManager = attrs.field(factory=lambda: JobManager(PsycopgConnector()), init=False)
    """Only its statements are used, on the connection of the page."""

    async def enter(self, account: str, asked: Sequence[Row]) -> list[Row]:
        """Return the rows of *account* that stand now where *asked* was to be written."""
        asked = [self._first(row) for row in asked]
        new = await self.page.insert(asked)
        stored = await self.page.stored(
            account, (row.op_id for row in asked if row.op_id not in new)
        )
        rows = [
            row if row.op_id in new else await self._again(stored[row.op_id], row) for row in asked
        ]
        await self._queue(account, rows, new)
        return rows

    def _first(self, row: Row) -> Row:
        now = self.moment.now
        step = Step(now, "planned, and handed to the workers")
        return attrs.evolve(row, version=1, enqueued=True, updated_at=now, history=(step,))

    async def _again(self, stored: Row, asked: Row) -> Row:
        """Return the row of an operation that was there before."""
        difference = request_mismatch(stored, asked)
        if difference is not None:
            raise difference
        row = attrs.evolve(
            stored,
            enqueued=True,
            secret_references=stored.secret_references or asked.secret_references,
        )
        if row.state is State.FAILED:
            row = advance(row, RetryApproved(), self.moment.now, Policy()).row
        elif row == stored or row.state not in GOES_ON - {State.SENDING}:
            return stored
        else:
            row = attrs.evolve(row, version=row.version + 1)
        if await self.page.put(row) is not PutResult.STORED:
            raise journal_error(row.op_id, "somebody else works on it; call again")
        return row

    async def _queue(self, account: str, rows: Sequence[Row], new: set[str]) -> None:
        """Give a job to each of *rows* that needs one and has none."""
        locks = [waiting_lock(account, row.op_id) for row in rows]
        there = {lock for (lock,) in await self.page.ask(_QUEUED, locks, locks)}
        jobs = [
            (row.op_id in new, job_for(row))
            for row in rows
            if row.state in GOES_ON and waiting_lock(account, row.op_id) not in there
        ]
        fresh = [job for is_new, job in jobs if is_new]
        if fresh:
            await self._jobs.batch_defer_jobs_async(fresh, connection=self.page.connection)
        for job in (job for is_new, job in jobs if not is_new):
            # Somebody else may be enqueuing the same: then it waits for his transaction.
            with suppress(AlreadyEnqueued):
                async with self.page.connection.transaction():
                    await self._jobs.defer_job_async(job, connection=self.page.connection)

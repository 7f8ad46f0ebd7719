"""The tasks, for procrastinate (https://procrastinate.readthedocs.io).

`provision` carries out one operation. `reconcile` settles the unconfirmed ones, with one listing of
the account, and sees that every operation that may be sent has a job. `sweep` finds what late
requests have bought. `retry_stalled` hands the jobs of dead workers to others.

The queue delivers a job at least once, and no more is expected of it. The journal sees that each
operation is carried out once: a job that runs twice, at the same time or in a worker that was taken
for dead, finds in the row what the other run has done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from procrastinate import BaseRetryStrategy, Blueprint, JobContext, RetryDecision
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from sigmamind_async.errors import ConfigurationError, SigmaMindError
from sigmamind_async.provisioning.journal.postgres.schema import with_schema
from sigmamind_async.provisioning.row import State
from sigmamind_async.workers.context import AccountWorker, Reschedule, WorkerContext
from sigmamind_async.workers.enqueue import (
    PROVISION,
    UPKEEP_PRIORITY,
    job_for,
    operation_lock,
    queue_name,
)
from sigmamind_async.workers.retry import MAX_DELAY

log = logging.getLogger(__name__)

MINUTELY: Final = "* * * * *"
HOURLY: Final = "0 * * * *"
LEASE_MARGIN: Final = 5.0
"""Seconds beyond its longest lease after which a silent worker counts as dead."""
_BATCH: Final = 1000
"""Operations without a job that are given one at once."""
_WITHOUT_JOB: Final = """
SELECT op_id FROM {schema}.operations AS o
WHERE account = %(account)s AND state = 'planned'
    AND (detail LIKE '%%"enqueued":true%%' OR detail LIKE '%%"enqueued": true%%')
    AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j
        WHERE j.queueing_lock = %(prefix)s || o.op_id
            AND j.status IN ('todo', 'doing', 'cancelled', 'aborted')
    )
LIMIT %(batch)s
"""
# Only jobs that waited for a settle time: others come back within the longest delay anyway.
_RUN_NOW: Final = """
UPDATE procrastinate_jobs AS j SET scheduled_at = NULL FROM {schema}.operations AS o
WHERE o.account = %(account)s AND o.state = 'planned'
    AND j.queueing_lock = %(prefix)s || o.op_id AND j.status = 'todo'
    AND j.scheduled_at > now() + make_interval(secs => %(max_delay)s)
RETURNING j.id
"""


class JobRetry(BaseRetryStrategy):
    """Runs a job again when it asks for it, or when its worker ended before it did."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when *job* is to be run again, if at all."""
        del job
        if isinstance(exception, Reschedule):
            return RetryDecision(retry_at=datetime.fromtimestamp(exception.at, UTC))
        return RetryDecision() if isinstance(exception, asyncio.CancelledError) else None


def blueprint(
    context: WorkerContext,
    *,
    reconcile: str = MINUTELY,
    sweep: str = HOURLY,
    retry_stalled: str = MINUTELY,
) -> Blueprint:
    """Return the tasks of *context*, to be registered under the namespace ``sigmamind``.

        app.add_tasks_from(blueprint(context), namespace="sigmamind")

    Args:
        context: The accounts to work on; it must be open when a job runs.
        reconcile: When to settle unconfirmed operations: a cron expression of five fields, or of
            six with seconds, as for the next two.
        sweep: When to look for numbers that late requests have bought.
        retry_stalled: When to look for dead workers.

    Raises:
        ConfigurationError: A cron expression cannot be parsed.
    """
    tasks = Tasks(context)
    made = Blueprint()
    made.task(name=PROVISION, retry=JobRetry(), pass_context=True)(tasks.provision)
    for name, work, cron, is_exclusive in [
        ("reconcile", tasks.reconcile, reconcile, True),
        ("sweep", tasks.sweep, sweep, True),
        # Not exclusive: a worker that dies in this task would hold the lock forever.
        ("retry_stalled", tasks.retry_stalled, retry_stalled, False),
    ]:
        task = made.task(name=name, pass_context=True)(work)
        for account in context.accounts:
            lock = f"{queue_name(account)} {name}"
            made.periodic(
                cron=cron,
                periodic_id=account,
                queue=queue_name(account),
                priority=UPKEEP_PRIORITY,
                lock=lock if is_exclusive else None,
                queueing_lock=lock,
                task_kwargs={"account": account},
            )(task)
    _check_cron(made)
    return made


def _check_cron(made: Blueprint) -> None:
    periodic_tasks = made.periodic_registry.periodic_tasks  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    for (name, _), periodic in periodic_tasks.items():  # pyright: ignore[reportUnknownVariableType]
        try:
            _ = periodic.croniter
        except ValueError:
            raise ConfigurationError(
                f"{name}: must be a time like '*/5 * * * *', with five or six fields"
            ) from None


@attrs.frozen(eq=False)
class Tasks:
    """The functions that jobs run."""

    context: WorkerContext

    async def provision(self, job_context: JobContext, account: str, op_id: str) -> None:
        """Carry out one operation."""
        await self.context.account(account).provision(op_id, job_context.job.attempts)

    async def reconcile(self, job_context: JobContext, timestamp: int, account: str) -> None:
        """Settle unconfirmed operations, and give a job to planned ones that have none."""
        del timestamp
        worker = self.context.account(account)
        with _log_failure("reconcile", account):
            await worker.provisioner.reconcile(worker.recall)
        await self._requeue(job_context, worker)

    async def sweep(self, job_context: JobContext, timestamp: int, account: str) -> None:
        """Find numbers that late requests have bought."""
        del job_context, timestamp
        with _log_failure("sweep", account):
            await self.context.account(account).provisioner.sweep()

    async def retry_stalled(self, job_context: JobContext, timestamp: int, account: str) -> None:
        """Hand the jobs of dead workers to others."""
        del timestamp
        jobs = job_context.app.job_manager
        # Not before their leases have ended: until then their operations cannot be taken over.
        silence = self.context.lease + LEASE_MARGIN
        stalled = await jobs.get_stalled_jobs(
            queue=queue_name(account), seconds_since_heartbeat=silence
        )
        for job in stalled:
            try:
                await _run_again(jobs, job)
            except ConnectorException as error:
                log.info("job %s is no longer stalled: %s", job.id, error)

    async def _requeue(self, job_context: JobContext, worker: AccountWorker) -> None:
        """Have planned operations carried out soon, as after an operator has allowed a retry.

        One without a job is given one, unless its job was cancelled; a job that still waits for
        the end of a settle time waits no longer.
        """
        journal, account = self.context.journal, worker.provisioner.account
        execute, schema = job_context.app.connector.execute_query_all_async, self.context.schema
        prefix = operation_lock(account, "")
        # procrastinate asks for a literal, which a statement about a schema of any name is not.
        run_now: Any = with_schema(_RUN_NOW, schema)
        await execute(run_now, account=account, prefix=prefix, max_delay=MAX_DELAY)
        without_job: Any = with_schema(_WITHOUT_JOB, schema)
        found = await execute(without_job, account=account, prefix=prefix, batch=_BATCH)
        for each in found:
            row = await journal.get(account, each["op_id"])
            if row is not None and row.enqueued and row.state is State.PLANNED:
                with suppress(AlreadyEnqueued):
                    await job_context.app.job_manager.defer_job_async(job_for(row))


async def _run_again(jobs: JobManager, job: Job) -> None:
    try:
        await jobs.retry_job(job)
    except UniqueViolation:
        # The operation has another job already, which may wait for this one's lock.
        await jobs.finish_job(job, Status.FAILED, delete_job=True)


@contextmanager
def _log_failure(task: str, account: str) -> Generator[None]:
    """Leave a failure to the next round: platform or journal may be away."""
    try:
        yield
    except SigmaMindError as error:
        log.warning("%s of %s failed and is tried again: %s", task, account, error)

"""The tasks, for procrastinate (https://procrastinate.readthedocs.io).

`provision` carries out one operation. `reconcile` settles what is in doubt, with one listing for
all of an account, and sees to it that what may be sent has a job. `sweep` finds what late requests
have bought. `retry_stalled` hands the jobs of workers that are gone to others.

The queue delivers at least once, and that is all that is asked of it. That each operation is
carried out once is the journal's doing: a job that is run twice, at the same time or by a worker
that was taken for gone, finds in the row what the other one has done.
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
from sigmamind_async.workers.enqueue import FIRST, PROVISION, job_for, queue_of, waiting_lock
from sigmamind_async.workers.retry import LATEST

log = logging.getLogger(__name__)

MINUTELY: Final = "* * * * *"
HOURLY: Final = "0 * * * *"
MARGIN: Final = 5.0
"""Seconds by which a worker is waited for longer than its leases."""
_MOST: Final = 1000
"""Operations that are given a job again at once."""
_ORPHANS: Final = """
SELECT op_id FROM {schema}.operations AS o
WHERE account = %(account)s AND state = 'planned'
    AND (detail LIKE '%%"enqueued":true%%' OR detail LIKE '%%"enqueued": true%%')
    AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j
        WHERE j.queueing_lock = %(prefix)s || o.op_id
            AND j.status IN ('todo', 'doing', 'cancelled', 'aborted')
    )
LIMIT %(most)s
"""
_PUT_OFF: Final = """
UPDATE procrastinate_jobs AS j SET scheduled_at = NULL FROM {schema}.operations AS o
WHERE o.account = %(account)s AND o.state = 'planned'
    AND j.queueing_lock = %(prefix)s || o.op_id AND j.status = 'todo'
    AND j.scheduled_at > now() + make_interval(secs => %(latest)s)
RETURNING j.id
"""
"""A job that was put off for longer than what merely has not been sent."""


class JobRetry(BaseRetryStrategy):
    """Has a job run again when it says so, and when it was cut short by the end of its worker."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when *job* is to be run again, if at all."""
        del job
        if isinstance(exception, Reschedule):
            return RetryDecision(retry_at=datetime.fromtimestamp(exception.at, UTC))
        return RetryDecision() if isinstance(exception, asyncio.CancelledError) else None


def blueprint(
    office: WorkerContext,
    *,
    reconcile: str = MINUTELY,
    sweep: str = HOURLY,
    retry_stalled: str = MINUTELY,
    stalled_after: float | None = None,
) -> Blueprint:
    """Return the tasks of *office*, to be registered under the namespace ``sigmamind``.

        app.add_tasks_from(blueprint(office), namespace="sigmamind")

    Args:
        office: Where they are carried out; it must be open when a job is run.
        reconcile: When to settle what is in doubt: minute, hour, day of the month, month, day of
            the week and, if you like, second.
        sweep: When to look for what came late.
        retry_stalled: When to look for workers that are gone.
        stalled_after: Seconds without a heartbeat after which one is gone; left out, a little more
            than the longest lease, because before that its operations cannot be taken over.

    Raises:
        ConfigurationError: A time cannot be understood.
    """
    after = office.lease + MARGIN if stalled_after is None else stalled_after
    tasks = Tasks(office, after)
    made = Blueprint()
    made.task(name=PROVISION, retry=JobRetry(), pass_context=True)(tasks.provision)
    for name, work, cron, alone in [
        ("reconcile", tasks.reconcile, reconcile, True),
        ("sweep", tasks.sweep, sweep, True),
        # A worker that dies in this one leaves it under way for good: it must hold up no other.
        ("retry_stalled", tasks.retry_stalled, retry_stalled, False),
    ]:
        task = made.task(name=name, pass_context=True)(work)
        for account in office.branches:
            lock = f"{queue_of(account)} {name}"
            made.periodic(
                cron=cron,
                periodic_id=account,
                queue=queue_of(account),
                priority=FIRST,
                lock=lock if alone else None,
                queueing_lock=lock,
                task_kwargs={"account": account},
            )(task)
    _check_times(made)
    return made


def _check_times(made: Blueprint) -> None:
    timed = made.periodic_registry.periodic_tasks  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    for (name, _), periodic in timed.items():  # pyright: ignore[reportUnknownVariableType]
        try:
            _ = periodic.croniter
        except ValueError:
            raise ConfigurationError(
                f"{name}: must be a time like '*/5 * * * *', with five or six fields"
            ) from None


@attrs.frozen(eq=False)
class Tasks:
    """What the jobs do."""

    office: WorkerContext
    stalled_after: float

    async def provision(self, context: JobContext, account: str, op_id: str) -> None:
        """Carry out one operation."""
        await self.office.branch(account).provision(op_id, context.job.attempts)

    async def reconcile(self, context: JobContext, timestamp: int, account: str) -> None:
        """Settle what is in doubt, and give a job to what may be sent and has none."""
        del timestamp
        branch = self.office.branch(account)
        with _tried_again("reconcile", account):
            await branch.provisioner.reconcile(branch.recalled)
        await self._requeue(context, branch)

    async def sweep(self, context: JobContext, timestamp: int, account: str) -> None:
        """Find what came late."""
        del context, timestamp
        with _tried_again("sweep", account):
            await self.office.branch(account).provisioner.sweep()

    async def retry_stalled(self, context: JobContext, timestamp: int, account: str) -> None:
        """Hand the jobs of workers that are gone to others."""
        del timestamp
        jobs = context.app.job_manager
        stalled = await jobs.get_stalled_jobs(
            queue=queue_of(account), seconds_since_heartbeat=self.stalled_after
        )
        for job in stalled:
            try:
                await _handed_on(jobs, job)
            except ConnectorException as error:
                log.info("job %s is not stalled any more: %s", job.id, error)

    async def _requeue(self, context: JobContext, branch: AccountWorker) -> None:
        """Let planned operations be carried out soon, as after a person has let one be resent.

        One without a job is given one, unless somebody has cancelled its job; a job that still
        waits for the end of a settle time waits no more.
        """
        journal, account = self.office.journal, branch.provisioner.account
        ask, schema = context.app.connector.execute_query_all_async, self.office.schema
        prefix = waiting_lock(account, "")
        # procrastinate asks for a literal, which a statement about a schema of any name is not.
        put_off: Any = with_schema(_PUT_OFF, schema)
        await ask(put_off, account=account, prefix=prefix, latest=LATEST)
        without_job: Any = with_schema(_ORPHANS, schema)
        orphans = await ask(without_job, account=account, prefix=prefix, most=_MOST)
        for orphan in orphans:
            row = await journal.get(account, orphan["op_id"])
            if row is not None and row.enqueued and row.state is State.PLANNED:
                with suppress(AlreadyEnqueued):
                    await context.app.job_manager.defer_job_async(job_for(row))


async def _handed_on(jobs: JobManager, job: Job) -> None:
    try:
        await jobs.retry_job(job)
    except UniqueViolation:
        # Another one for the same waits already, and may wait for this one's lock.
        await jobs.finish_job(job, Status.FAILED, delete_job=True)


@contextmanager
def _tried_again(what: str, account: str) -> Generator[None]:
    """Let the next round see to what cannot be done now: platform and journal may be away."""
    try:
        yield
    except SigmaMindError as error:
        log.warning("%s of %s could not be finished, and is tried again: %s", what, account, error)

"""A worker process: it serves the queues of its accounts until it is stopped.

It runs four tasks of procrastinate (https://procrastinate.readthedocs.io). `provision` carries out
one operation. `reconcile` settles the unconfirmed ones, with one listing of the account, and
ensures that every operation that may be sent has a job. `sweep` finds what late requests have
bought. `retry_stalled` hands the jobs of dead workers to others.

The queue only has to deliver a job at least once. The journal ensures that each operation is
carried out once: a job that runs twice, at the same time or in a worker that was taken for dead,
finds in the row what the other run has done.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import procrastinate
from procrastinate import BaseRetryStrategy, Blueprint, JobContext, RetryDecision, signals
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as JobRunner

from sigmamind_async.errors import ConfigurationError, SigmaMindError
from sigmamind_async.events import Observers
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
from sigmamind_async.provisioning.journal.postgres.schema import with_schema
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import Secret, as_secret, check_count, check_seconds, check_type
from sigmamind_async.workers.connector import OutageLog, WorkerConnector
from sigmamind_async.workers.context import (
    MAX_DELAY,
    Account,
    AccountWorker,
    GateFor,
    OnSettled,
    Reschedule,
    WorkerContext,
)
from sigmamind_async.workers.enqueue import (
    NAMESPACE,
    PROVISION,
    RUNNABLE,
    UPKEEP_PRIORITY,
    job_for,
    operation_lock,
    queue_name,
)
from sigmamind_async.workers.health import KEEP_FAILED, LONG_TRANSACTION, OLDEST_TRANSACTION
from sigmamind_async.workers.queue import Queue
from sigmamind_async.workers.shared_gate import SharedGate

log: Final = logging.getLogger(__name__)

RESTART_DELAY: Final = 1.0
"""Seconds before a worker that has lost its database starts again."""
_JOURNAL_CONNECTIONS: Final = 4
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
# Only jobs that waited for a settle time: others come back within the longest delay anyway. Those
# of operations that a listing has settled end at once, except that a refused one is tried again.
_RUN_NOW: Final = """
UPDATE procrastinate_jobs AS j SET scheduled_at = NULL FROM {schema}.operations AS o
WHERE o.account = %(account)s
    AND o.state NOT IN ('sending', 'unconfirmed')
    AND o.op_id = j.args ->> 'op_id' AND j.queueing_lock = %(prefix)s || o.op_id
    AND j.status = 'todo' AND j.scheduled_at > now() + make_interval(secs => %(max_delay)s)
RETURNING j.id
"""
_DELETE_FAILED: Final = """
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT j.id FROM procrastinate_jobs AS j
    WHERE j.queue_name = %(queue)s AND j.status = 'failed' AND NOT EXISTS (
        SELECT FROM procrastinate_events AS e
        WHERE e.job_id = j.id AND e.at > now() - make_interval(secs => %(seconds)s)
    )
    LIMIT %(batch)s
) RETURNING id
"""


class Worker:
    """One process that carries out what is enqueued; run as many as you like, on any machines.

        await Worker([Account(SigmaMind)], "postgresql://user@db.example/orders").run()

    On SIGTERM, SIGHUP or Ctrl-C it takes no more jobs and finishes those under way. The jobs of a
    worker that is killed are taken over by others once its leases have ended. While the database
    cannot be reached, it waits.

    It opens at most nine connections: four for the journal, four for the queue, and one that
    listens for new jobs. Connections that are idle for 30 s are closed. Behind a pooler such as
    PgBouncer it does not listen, and finds new jobs by polling.

    Args:
        accounts: The accounts to serve; the API key of each must be available here.
        dsn: The database, as `PostgresJournal` takes it.
        schema: The journal's schema.
        secrets: Resolves the references in requests. Callers that enqueue choose what is read here,
            so by default they may name only variables ``TRUNK_*``, and no file. To allow others:
            ``SecretResolver(names=["SIP_PASSWORD"], folders=["/run/secrets/trunks"])``.
        gate: Returns the ``gate`` of an account's client, given the account's name and the
            journal; by default one that all processes share.
        concurrency: Jobs under way at once.
        reconcile: When to settle unconfirmed operations: a cron expression of five fields, or of
            six with seconds, as for the next two. One worker of all does it.
        sweep: When to look for numbers that late requests have bought.
        retry_stalled: When to look for dead workers.
        heartbeat: Seconds between two signs of life.
        polling: Seconds between two looks for jobs that are due.
        grace: Seconds that jobs have to finish once the worker is stopped. Then they are cancelled,
            and others settle what they have sent. By default as long as a lease.
        on_settled: Called with the `Row` of each operation that has ended in this process, and
            awaited if that returns an awaitable: the operation is done, has failed, or waits for an
            operator's decision. An exception is logged. Around a crash it may be called twice, or
            not at all; `Queue.wait` and the journal know for certain.
        observer: Called with the events of the accounts' clients and operations, one function or
            several, in addition to what a client was given; see `sigmamind_async.events`.

    The logger ``sigmamind_async.workers.worker`` has each job that ended at INFO, with the worker,
    the account and the op_id, also as attributes of the record.

    Raises:
        ConfigurationError: A setting cannot be used, or an account's key is missing.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        dsn: str | Secret = "",
        *,
        schema: str = "sigmamind",
        secrets: SecretResolver | None = None,
        gate: GateFor = SharedGate,
        concurrency: int = 20,
        reconcile: str = MINUTELY,
        sweep: str = HOURLY,
        retry_stalled: str = MINUTELY,
        heartbeat: float = 10.0,
        polling: float = 1.0,
        grace: float | None = None,
        on_settled: OnSettled | None = None,
        observer: Observers = None,
    ) -> None:
        dsn = as_secret(dsn)
        check_count("concurrency", concurrency)
        check_seconds("heartbeat", heartbeat)
        check_seconds("polling", polling)
        if grace is not None:
            check_seconds("grace", grace, zero=True)
        self.context: WorkerContext = WorkerContext(
            accounts,
            dsn,
            schema=schema,
            secrets=secrets,
            gate=gate,
            connections=_JOURNAL_CONNECTIONS,
            on_settled=on_settled,
            observer=observer,
        )
        self._queue = Queue(dsn, schema=schema)
        self._target = parse_dsn(dsn, schema)
        self._outages = OutageLog(self._target.name)
        self._tasks = blueprint(
            self.context, reconcile=reconcile, sweep=sweep, retry_stalled=retry_stalled
        )
        lease = self.context.lease
        self._options: dict[str, Any] = {
            "concurrency": concurrency,
            "update_heartbeat_interval": heartbeat,
            "stalled_worker_timeout": max(lease + LEASE_MARGIN, 3 * heartbeat),
            "fetch_job_polling_interval": polling,
            "shutdown_graceful_timeout": lease if grace is None else grace,
        }
        self._runner: JobRunner | None = None
        self._is_stopped = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs; `run` returns once those under way have finished."""
        self._is_stopped.set()
        self._stop_runner()

    async def run(self) -> None:
        """Serve until `stop` or a signal; call it once.

        Raises `JournalError` if the database cannot be used at the start.
        """
        await self._queue.prepare()
        app = procrastinate.App(connector=self._connector())
        app.add_tasks_from(self._tasks, namespace=NAMESPACE)
        async with self.context, app.open_async():
            with self._outages.installed(), signals.on_stop(self.stop), _on_hangup(self.stop):
                while not self._is_stopped.is_set():
                    await self._serve(app)

    async def _serve(self, app: procrastinate.App) -> None:
        """Serve as one registered worker, until it is stopped or has lost a statement."""
        self._runner = JobRunner(
            app,
            [queue_name(account) for account in self.context.accounts],
            delete_jobs="successful",
            install_signal_handlers=False,
            **self._options,
        )
        try:
            await self._runner.run()  # type: ignore[no-untyped-call]
        except ConnectorException as error:
            self._outages.report(error)
        self._runner = None
        if not self._is_stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(RESTART_DELAY):
                    await self._is_stopped.wait()

    def _connector(self) -> WorkerConnector:
        return WorkerConnector(self._stop_runner, self._target)

    def _stop_runner(self) -> None:
        """Let the registered worker finish; unless stopped, `run` continues with another."""
        if self._runner is not None:
            self._runner.stop()  # type: ignore[no-untyped-call]


@contextmanager
def _on_hangup(stop: Callable[[], None]) -> Generator[None]:
    """Call *stop* when the terminal goes away, unless SIGHUP has a handler already."""
    hangup = getattr(signal, "SIGHUP", None)
    in_main = threading.current_thread() is threading.main_thread()
    if hangup is None or not in_main or signal.getsignal(hangup) is not signal.SIG_DFL:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(hangup, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(hangup)


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
        check_type(name, cron, str)
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
        try:
            await self.context.account(account).provision(
                op_id, job_context.job.attempts, _fetched_row(job_context)
            )
        except SigmaMindError as error:
            self._log(account, op_id, f"ended with {type(error).__name__}: {error}")
            await self._report(account, op_id)
            raise
        except Reschedule as later:
            self._log(account, op_id, f"runs again in {later.at - time.time():.0f} s: {later}")
            raise
        self._log(account, op_id, "done")
        await self._report(account, op_id)

    def _log(self, account: str, op_id: str, what: str) -> None:
        worker = self.context.name
        extra = {"worker": worker, "account": account, "op_id": op_id}
        log.info("%s %s %s: %s", worker, account, op_id, " ".join(what.split()), extra=extra)

    async def _report(self, account: str, op_id: str) -> None:
        """Report an operation that has ended."""
        on_settled = self.context.on_settled
        if on_settled is None:
            return
        try:
            row = await self.context.journal.get(account, op_id)
            if row is not None and row.state not in RUNNABLE:
                result = on_settled(row)
                if result is not None:
                    await result
        except Exception as error:  # noqa: BLE001 - the operation has ended, whatever the caller does
            log.warning("on_settled for %s raised %s: %s", op_id, type(error).__name__, error)

    async def reconcile(self, job_context: JobContext, timestamp: int, account: str) -> None:
        """Settle unconfirmed operations, and give a job to planned ones that have none."""
        del timestamp
        worker = self.context.account(account)
        with _log_failure("reconcile", account):
            await worker.provisioner.reconcile(worker.recall)
        await self._requeue(job_context, worker)

    async def sweep(self, job_context: JobContext, timestamp: int, account: str) -> None:
        """Find numbers that late requests have bought, and clean up the queue."""
        del timestamp
        with _log_failure("sweep", account):
            await self.context.account(account).provisioner.sweep()
        execute = job_context.app.connector.execute_query_all_async
        await execute(_DELETE_FAILED, queue=queue_name(account), seconds=KEEP_FAILED, batch=_BATCH)
        for oldest in await execute(OLDEST_TRANSACTION, seconds=LONG_TRANSACTION):
            log.warning(
                "a transaction of %r (process %d of the server) is open for %.0f minutes. While it"
                " is, finished jobs stay in the table, and fetching one gets ever slower. End it.",
                oldest["application_name"],
                oldest["pid"],
                oldest["seconds"] / 60,
            )

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
        the end of a settle time waits no longer, nor does that of an operation that is settled.
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


def _fetched_row(job_context: JobContext) -> Row | None:
    """Return the row of the job's operation if it came with the job."""
    connector = job_context.app.connector
    if not isinstance(connector, WorkerConnector):
        return None  # the caller's own app
    return connector.take_row(job_context.job.id)


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

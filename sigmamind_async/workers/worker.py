"""A worker process: it serves the queues of its accounts until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final

import procrastinate
import psycopg
from procrastinate import signals
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker as JobRunner

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
from sigmamind_async.provisioning.journal.postgres.errors import explain_error
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import Secret, as_secret
from sigmamind_async.workers.connector import WorkerConnector
from sigmamind_async.workers.context import Account, GateFor, WorkerContext
from sigmamind_async.workers.enqueue import NAMESPACE, queue_name
from sigmamind_async.workers.queue import Queue
from sigmamind_async.workers.shared_gate import SharedGate
from sigmamind_async.workers.tasks import HOURLY, LEASE_MARGIN, MINUTELY, blueprint

log = logging.getLogger(__name__)

RESTART_DELAY: Final = 1.0
"""Seconds before a worker that has lost its database starts again."""
REPORT_EVERY: Final = 60.0
"""Seconds between two log lines about a database that cannot be reached."""
_JOURNAL_CONNECTIONS: Final = 4
_NOISY_LOGGERS: Final = (
    "procrastinate.utils",
    "procrastinate.worker",
    "procrastinate.worker.worker",
    "psycopg.pool",
)


class OutageLog(logging.Filter):
    """Logs a database that cannot be reached as one line a minute.

    Each part of the queue's packages that meets the outage logs it in its own way, with a
    traceback. Other records of those packages pass.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Call the database *name*."""
        super().__init__()
        self._name = name
        self._clock = clock
        self._reported_at = -REPORT_EVERY

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* is about something else."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for error in (record.exc_info[1] if record.exc_info else None, *arguments):
            if isinstance(error, (ConnectorException, psycopg.OperationalError)):
                self.report(error)
                return False
        return True

    def report(self, error: BaseException) -> None:
        """Log *error*, unless one was logged less than a minute ago."""
        now = self._clock()
        if now - self._reported_at >= REPORT_EVERY:
            self._reported_at = now
            reason = explain_error(error.__cause__ or error, connected=False).partition("\n")[0]
            log.warning("%s: %s Retrying.", self._name, f"{reason.rstrip('.')}.")

    @contextmanager
    def installed(self) -> Generator[None]:
        """Filter the loggers of the queue's packages for as long as the block runs."""
        loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
        for logger in loggers:
            logger.addFilter(self)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self)


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
    ) -> None:
        dsn = as_secret(dsn)
        _check_options(concurrency, heartbeat=heartbeat, polling=polling)
        self.context = WorkerContext(
            accounts,
            dsn,
            schema=schema,
            secrets=secrets,
            gate=gate,
            connections=_JOURNAL_CONNECTIONS,
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
        return WorkerConnector(self._stop_runner, self._target.name, self._target.conninfo)

    def _stop_runner(self) -> None:
        """Let the registered worker finish; unless stopped, `run` goes on with another."""
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


def _check_options(concurrency: object, **intervals: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError("concurrency: must be a whole number from 1")
    for name, seconds in intervals.items():
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
            raise ConfigurationError(f"{name}: must be a number of seconds above 0")

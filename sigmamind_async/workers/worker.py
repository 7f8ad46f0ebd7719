"""A worker process: it serves the queues of its accounts until it is told to stop."""

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
from procrastinate.worker import Worker as Serving

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn
from sigmamind_async.provisioning.journal.postgres.errors import explain_error
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import Secret, as_secret
from sigmamind_async.workers.connector import Line
from sigmamind_async.workers.context import Account, GateFor, WorkerContext
from sigmamind_async.workers.enqueue import NAMESPACE, queue_of
from sigmamind_async.workers.queue import Queue
from sigmamind_async.workers.shared_gate import SharedGate
from sigmamind_async.workers.tasks import HOURLY, MARGIN, MINUTELY, blueprint

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds before a worker that has lost its database begins anew."""
_CONNECTIONS: Final = 4
"""To the journal, at most: a write takes a millisecond or a few."""


_TALKATIVE: Final = (
    "procrastinate.utils",
    "procrastinate.worker",
    "procrastinate.worker.worker",
    "psycopg.pool",
)
MINUTE: Final = 60.0


class Away(logging.Filter):
    """Has a database that is away told of once a minute, in one line.

    The packages of the queue tell of it whenever one of their parts meets it, each in its own way,
    with a traceback. What they say of anything else passes.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Call the database *name*."""
        super().__init__()
        self._name = name
        self._clock = clock
        self._told = -MINUTE

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* is about something else."""
        given = record.args if isinstance(record.args, tuple) else ()
        errors = (record.exc_info[1] if record.exc_info else None, *given)
        for error in errors:
            if isinstance(error, (ConnectorException, psycopg.OperationalError)):
                self.tell(error)
                return False
        return True

    def tell(self, error: BaseException) -> None:
        """Tell of *error*, unless something was told less than a minute ago."""
        now = self._clock()
        if now - self._told >= MINUTE:
            self._told = now
            why = explain_error(error.__cause__ or error, connected=False).partition("\n")[0]
            log.warning("%s: %s It is asked again.", self._name, f"{why.rstrip('.')}.")

    @contextmanager
    def over(self) -> Generator[None]:
        """Stand before the loggers of those packages for as long as the block runs."""
        loggers = [*map(logging.getLogger, _TALKATIVE)]
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

    SIGTERM, SIGHUP and Ctrl-C let it take no more jobs and settle those under way. What is killed
    instead is taken over by others once its leases have ended. Where the database goes away, it
    waits until that is there again.

    It holds at most nine connections: four to the journal, four to the queue, and one that listens
    for new jobs. Those that it has not needed for 30 s it gives back. Behind a pooler such as
    PgBouncer it does not listen, and finds new jobs by polling.

    Args:
        accounts: Those that are served; of each the API key must be had here.
        dsn: The database, as `PostgresJournal` takes it.
        schema: That of the journal.
        secrets: Resolves the references in requests. Callers that enqueue choose what is read here,
            so without it only variables ``TRUNK_*`` may be named, and no file; for others give
            ``SecretResolver(names=["SIP_PASSWORD"], folders=["/run/secrets/trunks"])``.
        gate: Returns what a client is given as its ``gate``, for the name of an account and the
            journal of this process; left out, one that all processes share.
        concurrency: Jobs under way at once.
        reconcile: When to settle what is in doubt: minute, hour, day of the month, month, day of
            the week and, if you like, second. One worker of all does it.
        sweep: When to look for what came late, likewise.
        retry_stalled: When to look for workers that are gone, likewise.
        heartbeat: Seconds between two signs of life.
        polling: Seconds between two looks for jobs whose time has come.
        grace: Seconds that jobs have to end once it is to stop, after which they are cut short, and
            what they sent is left to others to settle; by default as long as a lease.

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
        _check(concurrency, heartbeat, polling)
        self.office = WorkerContext(
            accounts, dsn, schema=schema, secrets=secrets, gate=gate, connections=_CONNECTIONS
        )
        self._queue = Queue(dsn, schema=schema)
        self._target = parse_dsn(dsn, schema)
        self._away = Away(self._target.name)
        self._tasks = blueprint(
            self.office, reconcile=reconcile, sweep=sweep, retry_stalled=retry_stalled
        )
        self._options: dict[str, Any] = {
            "concurrency": concurrency,
            "update_heartbeat_interval": heartbeat,
            "stalled_worker_timeout": max(self.office.lease + MARGIN, 3 * heartbeat),
            "fetch_job_polling_interval": polling,
            "shutdown_graceful_timeout": self.office.lease if grace is None else grace,
        }
        self._serving: Serving | None = None
        self._end = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs; `run` returns once those under way have ended."""
        self._end.set()
        self._begin_anew()

    async def run(self) -> None:
        """Serve until `stop`, or a signal; to be called once.

        Raises `JournalError` where the database cannot be used at the start.
        """
        await self._queue.prepare()
        app = procrastinate.App(connector=self._connector())
        app.add_tasks_from(self._tasks, namespace=NAMESPACE)
        async with self.office, app.open_async():
            with self._away.over(), signals.on_stop(self.stop), _on_hangup(self.stop):
                while not self._end.is_set():
                    await self._serve(app)

    async def _serve(self, app: procrastinate.App) -> None:
        """Serve under one registration, until it is to end or is lost."""
        queues = [queue_of(account) for account in self.office.branches]
        self._serving = Serving(
            app,
            queues,
            delete_jobs="successful",
            install_signal_handlers=False,
            **self._options,
        )
        try:
            await self._serving.run()  # type: ignore[no-untyped-call]
        except ConnectorException as error:
            self._away.tell(error)
        self._serving = None
        if not self._end.is_set():
            await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self._end.wait()

    def _connector(self) -> Line:
        return Line(self._begin_anew, self._target.name, self._target.conninfo)

    def _begin_anew(self) -> None:
        if self._serving is not None:
            self._serving.stop()  # type: ignore[no-untyped-call]


@contextmanager
def _on_hangup(stop: Callable[[], None]) -> Generator[None]:
    """Call *stop* when the terminal goes away, unless something else is to happen then already."""
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


def _check(concurrency: object, heartbeat: object, polling: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError("concurrency: must be a whole number from 1")
    for name, seconds in (("heartbeat", heartbeat), ("polling", polling)):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
            raise ConfigurationError(f"{name}: must be a number of seconds above 0")

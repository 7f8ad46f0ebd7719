"""A worker process: it serves the queues of its accounts until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import procrastinate
from procrastinate import signals
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker as Serving

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.postgres.target import target_of
from sigmamind_async.references import References
from sigmamind_async.values import Secret, concealed
from sigmamind_async.workers.account import Account
from sigmamind_async.workers.blueprint import HOURLY, MARGIN, MINUTELY, blueprint
from sigmamind_async.workers.jobs import NAMESPACE, queue_of
from sigmamind_async.workers.line import Line
from sigmamind_async.workers.office import GateFor, Office
from sigmamind_async.workers.queue import Queue
from sigmamind_async.workers.rate import SharedGate

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds before a worker that has lost its database begins anew."""
_CONNECTIONS: Final = 4
"""To the journal, at most: a write takes a millisecond or a few."""


class Worker:
    """One process that carries out what is enqueued; run as many as you like, on any machines.

        await Worker([Account(SigmaMind)], "postgresql://user@db.example/orders").run()

    SIGTERM, and Ctrl-C, let it take no more jobs and settle those under way. What is killed instead
    is taken over by others once its leases have ended. Where the database goes away, it waits until
    that is there again.

    It holds at most nine connections: four to the journal, four to the queue, and one that listens
    for new jobs; two or three while it has nothing to do. Behind a pooler such as PgBouncer it does
    not listen, and finds new jobs by polling.

    Args:
        accounts: Those that are served; of each the API key must be had here.
        dsn: The database, as `PostgresJournal` takes it.
        schema: That of the journal.
        secrets: Resolves the references in requests: by default in the environment, and in files
            relative to the current folder.
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
        secrets: References | None = None,
        gate: GateFor = SharedGate,
        concurrency: int = 20,
        reconcile: str = MINUTELY,
        sweep: str = HOURLY,
        retry_stalled: str = MINUTELY,
        heartbeat: float = 10.0,
        polling: float = 1.0,
        grace: float | None = None,
    ) -> None:
        dsn = concealed(dsn)
        _check(concurrency, heartbeat, polling)
        self.office = Office(
            accounts, dsn, schema=schema, secrets=secrets, gate=gate, connections=_CONNECTIONS
        )
        self._queue = Queue(dsn, schema=schema)
        self._target = target_of(dsn, schema)
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
            with signals.on_stop(self.stop):
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
            log.warning("the queue cannot be used, and is asked again: %s", error.__cause__)
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


def _check(concurrency: object, heartbeat: object, polling: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError("concurrency: must be a whole number from 1")
    for name, seconds in (("heartbeat", heartbeat), ("polling", polling)):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
            raise ConfigurationError(f"{name}: must be a number of seconds above 0")

"""The queue's connections: finishing and fetching jobs, and what a failure means.

The queue only has to deliver a job at least once, because the journal has an operation carried out
once. So a worker does not wait until a job is finished in the database: the statement that fetches
the next job takes finished ones along, and neither waits for the disk. What a crash of the server
forgets of this is delivered again.

Between a worker and the server there may be a pooler such as PgBouncer, which gives a connection of
the server to another client after each transaction. So nothing that outlives a transaction is left
on a connection: no prepared statement, no setting, no LISTEN.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import psycopg
from procrastinate import PsycopgConnector, connector, sql
from procrastinate.exceptions import ConnectorException, UniqueViolation
from psycopg_pool import AsyncConnectionPool

from sigmamind_async.provisioning.journal.postgres.connections import explain_error
from sigmamind_async.provisioning.journal.postgres.dsn import Target, warn_if_slow
from sigmamind_async.provisioning.journal.postgres.schema import with_schema
from sigmamind_async.provisioning.journal.sql import COLUMNS, from_columns
from sigmamind_async.provisioning.row import Row

log: Final = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 4
"""Enough for jobs that end at the same time, beside one connection that listens."""
MAX_IDLE: Final = 30.0
"""Seconds after which idle connections are closed, all but one."""
REPORT_EVERY: Final = 60.0
"""Seconds between two log lines about a database that cannot be reached."""
FLUSH_DELAY: Final = 0.01
"""Seconds after which finished jobs are written without a fetch that takes them along."""
_FETCH: Final = sql.queries["fetch_job"]
_FINISH: Final = sql.queries["finish_job"]
_RETRY: Final = sql.queries["retry_job"]
_HEARTBEAT: Final = sql.queries["update_heartbeat"]
_NEXT_JOB: Final = (
    f"SELECT job, {', '.join(f'(operation).{name}' for name in COLUMNS)}"  # noqa: S608 - all ours
    " FROM {schema}.next_job(%s::bigint[], %s::text[], %s::boolean[], %s::varchar[], %s)"
)
_HELD: Final = "SELECT id FROM procrastinate_jobs WHERE worker_id = %s AND status = 'doing'"
_NOISY_LOGGERS: Final = (
    "procrastinate.utils",
    "procrastinate.worker",
    "procrastinate.worker.worker",
    "psycopg.pool",
    "asyncio",  # logs the errors of procrastinate's tasks, which nobody awaits
)


class WorkerConnector(PsycopgConnector):
    """Connections that report each statement which may or may not have been carried out.

    After a lost statement a worker no longer knows which jobs it holds: one that it has fetched or
    finished in that statement would count as running for as long as the worker lives. So the
    worker has to stop, and start again under another name. The same goes for a job that only the
    database takes for running here: a crash has made it forget that the job was finished.
    """

    def __init__(self, on_loss: Callable[[], None], target: Target) -> None:
        """Call *on_loss* after each lost statement."""
        self._on_loss = on_loss
        self._name = name = target.name
        self._next_job = with_schema(_NEXT_JOB, target.schema)
        self._finished: list[tuple[int, str, bool]] = []
        """Id, status and whether to delete it, of jobs that have ended and are not written yet."""
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushing: set[asyncio.Task[None]] = set()
        self._held: set[int] = set()
        """Ids of the jobs that were fetched and not finished in the database."""
        self._fetching = asyncio.Lock()
        self._rows: dict[int, Row] = {}
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            pool_factory=partial(_Pool, name),
            conninfo=target.conninfo,
            # Behind a pooler a prepared statement may be missing, or be another program's.
            kwargs={"prepare_threshold": None},
            configure=_set_autocommit,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            max_idle=MAX_IDLE,
        )

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:  # noqa: ANN401 - procrastinate's
        """Execute a statement."""
        if query == _FINISH:
            self._finish_soon(arguments)
            return
        await self.flush()
        with self._report_loss():
            try:
                await super().execute_query_async(query, **arguments)
            finally:
                if query == _RETRY:
                    self._held.discard(arguments["job_id"])
            if query == _HEARTBEAT:
                await self._check_held(arguments["worker_id"])

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - procrastinate's
        """Execute a statement and return its only row."""
        with self._report_loss():
            if query == _FETCH:
                return await self._fetch_job(arguments["queues"], arguments["worker_id"])
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - procrastinate's
        """Execute a statement and return its rows."""
        with self._report_loss():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    async def listen_notify(
        self, on_notification: connector.Notify, channels: Iterable[str]
    ) -> None:
        """Listen for new jobs; behind a pooler wait instead, and leave them to polling.

        There a LISTEN would stay on a connection that other programs are given, and its
        notifications would be delivered to them.
        """
        if await self._is_pooled():
            log.info("%s is reached through a pooler: new jobs are found by polling", self._name)
            await asyncio.Event().wait()
        await super().listen_notify(on_notification, channels)

    def take_row(self, job_id: int | None) -> Row | None:
        """Return the row of a job's operation as it was when the job was fetched; only once."""
        return self._rows.pop(job_id or 0, None)

    async def flush(self) -> None:
        """Write the jobs that have ended."""
        if self._finished:
            with self._report_loss():
                await self._write_finished_and_fetch(None, 0)

    async def close_async(self) -> None:
        """Write the jobs that have ended, and close all connections."""
        with suppress(ConnectorException):
            await self.flush()
        if self._flushing:
            await asyncio.wait(self._flushing)
        await super().close_async()

    def _finish_soon(self, arguments: dict[str, Any]) -> None:
        job_id = arguments["job_id"]
        self._rows.pop(job_id, None)
        self._finished.append((job_id, arguments["status"], arguments["delete_job"]))
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(FLUSH_DELAY, self._flush_on_time)

    def _flush_on_time(self) -> None:
        self._flush_timer = None
        task = asyncio.ensure_future(self._flush_quietly())
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    async def _flush_quietly(self) -> None:
        with suppress(ConnectorException):  # reported as a loss
            await self.flush()

    async def _fetch_job(self, queues: Iterable[str], worker_id: int) -> dict[str, Any]:
        async with self._fetching:
            job, *columns = await self._write_finished_and_fetch(list(queues), worker_id)
            if job is None:
                return {"id": None}
            self._held.add(job["id"])
        if columns[0] is not None:
            self._rows[job["id"]] = from_columns(tuple(columns))
        due = job["scheduled_at"]
        return {**job, "scheduled_at": due and datetime.fromisoformat(due)}

    async def _write_finished_and_fetch(
        self, queues: list[str] | None, worker_id: int
    ) -> tuple[Any, ...]:
        """Write the jobs that have ended; return the next one, with the columns of its row."""
        finished, self._finished = self._finished, []
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        parts = [list(part) for part in zip(*finished, strict=True)] or [[], [], []]
        try:
            async with self.pool.connection() as connection:
                cursor = await connection.execute(self._next_job, (*parts, queues, worker_id))
                row = await cursor.fetchone()
        except psycopg.Error as error:
            raise ConnectorException from error
        finally:
            # If they were not written, the worker starts again, and they are no longer its own.
            self._held.difference_update(job_id for job_id, _, _ in finished)
        assert row is not None  # noqa: S101 - the function returns one
        return row

    async def _check_held(self, worker_id: int) -> None:
        """Report a loss if the database takes a job for running here that is not."""
        async with self._fetching:
            held = set(self._held)
            async with self.pool.connection() as connection:
                cursor = await connection.execute(_HELD, (worker_id,))
                forgotten = {job_id for (job_id,) in await cursor.fetchall()} - held
        if forgotten:
            log.warning(
                "%s: the server has forgotten that %d jobs were finished; they are run again, which"
                " changes nothing that was done",
                self._name,
                len(forgotten),
            )
            self._on_loss()

    async def _is_pooled(self) -> bool:
        try:
            async with self.pool.connection() as connection:
                return await is_pooled(connection)
        except psycopg.Error as error:
            raise ConnectorException from error

    @contextmanager
    def _report_loss(self) -> Generator[None]:
        try:
            yield
        except UniqueViolation:
            raise
        except ConnectorException as error:
            # With this one the server's own functions refuse to do something twice.
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                self._on_loss()
            raise


async def is_pooled(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Return whether another server process answers than the one that was connected to."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    return await cursor.fetchone() != (connection.info.backend_pid,)


async def _set_autocommit(connection: psycopg.AsyncConnection[Any]) -> None:
    # Each statement of the queue is a transaction: without autocommit it takes three round trips.
    await connection.set_autocommit(True)


class _Pool(AsyncConnectionPool[psycopg.AsyncConnection[Any]]):
    """A pool that logs a long wait for one of its connections."""

    def __init__(self, name: str, **options: Any) -> None:  # noqa: ANN401 - procrastinate's
        # A broken connection must be seen: the server may have forgotten what it had confirmed.
        options["check"] = None
        super().__init__(**options)
        self._database = name

    async def getconn(self, timeout: float | None = None) -> psycopg.AsyncConnection[Any]:  # noqa: ASYNC109 - the pool's
        """Return a connection, once there is one."""
        with warn_if_slow(self._database):
            return await super().getconn(timeout)


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
        # The program's own tasks may fail with errors of another database.
        is_ours = record.name != "asyncio"
        for error in (record.exc_info[1] if record.exc_info else None, *arguments):
            if isinstance(error, ConnectorException) or (
                is_ours and isinstance(error, psycopg.OperationalError)
            ):
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

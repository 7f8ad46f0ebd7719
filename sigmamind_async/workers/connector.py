"""The queue's connections, and what their failures mean.

Between a worker and the server there may be a pooler such as PgBouncer, which gives a connection of
the server to another client after each transaction. So nothing that outlives a transaction is left
on a connection: no prepared statement, no setting, no LISTEN.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import psycopg
from procrastinate import PsycopgConnector, connector, sql
from procrastinate.exceptions import ConnectorException, NoResult, UniqueViolation
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from sigmamind_async.provisioning.journal.postgres.connections import explain_error
from sigmamind_async.provisioning.journal.postgres.dsn import warn_if_slow

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 4
"""Enough for jobs that end at the same time, beside one connection that listens."""
MAX_IDLE: Final = 30.0
"""Seconds after which idle connections are closed, all but one."""
REPORT_EVERY: Final = 60.0
"""Seconds between two log lines about a database that cannot be reached."""
_FETCH: Final = sql.queries["fetch_job"]
_NOISY_LOGGERS: Final = (
    "procrastinate.utils",
    "procrastinate.worker",
    "procrastinate.worker.worker",
    "psycopg.pool",
)


class WorkerConnector(PsycopgConnector):
    """Connections that report each statement which may or may not have been carried out.

    After a lost statement a worker no longer knows which jobs it holds: one that it has fetched or
    finished in that statement would count as running for as long as the worker lives. So the
    worker has to stop, and start again under another name.
    """

    def __init__(self, on_loss: Callable[[], None], name: str, conninfo: str) -> None:
        """Call *on_loss* after each lost statement; *name* is the database's, in messages."""
        self._on_loss = on_loss
        self._name = name
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            pool_factory=partial(_Pool, name),
            conninfo=conninfo,
            # Behind a pooler a prepared statement may be missing, or be another program's.
            kwargs={"prepare_threshold": None},
            configure=_set_autocommit,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            max_idle=MAX_IDLE,
        )

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:  # noqa: ANN401 - procrastinate's
        """Execute a statement."""
        with self._report_loss():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - procrastinate's
        """Execute a statement and return its only row."""
        with self._report_loss():
            if query == _FETCH:
                return await self._fetch_job(query, arguments)
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

    async def _fetch_job(self, query: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            async with (
                self.pool.connection() as connection,
                connection.transaction(),
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                # The server must find the first job by its index. Until its statistics are up to
                # date it would sort all waiting jobs: with 10,000 that takes 10 ms a job, not 0.5.
                await cursor.execute("SET LOCAL enable_sort = off")
                await cursor.execute(query.encode(), arguments)
                row = await cursor.fetchone()
        except psycopg.Error as error:
            raise ConnectorException from error
        if row is None:
            raise NoResult
        return row

    async def _is_pooled(self) -> bool:
        """Return whether another server process answers than the one that was connected to."""
        try:
            async with self.pool.connection() as connection:
                cursor = await connection.execute("SELECT pg_backend_pid()")
                return await cursor.fetchone() != (connection.info.backend_pid,)
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


async def _set_autocommit(connection: psycopg.AsyncConnection[Any]) -> None:
    # Each statement of the queue is a transaction: without autocommit it takes three round trips.
    await connection.set_autocommit(True)


class _Pool(AsyncConnectionPool[psycopg.AsyncConnection[Any]]):
    """A pool that logs a long wait for one of its connections."""

    def __init__(self, name: str, **options: Any) -> None:  # noqa: ANN401 - procrastinate's
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

"""The queue's connections, and what they tell about themselves.

Between a worker and the server there may be a pooler, PgBouncer for instance, that gives a
connection of the server to another client after each transaction. So nothing is left on a
connection that outlives the transaction: no prepared statement, no setting, and no LISTEN.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import psycopg
from procrastinate import PsycopgConnector, connector, sql
from procrastinate.exceptions import ConnectorException, NoResult, UniqueViolation
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from sigmamind_async.provisioning.journal.postgres.dsn import warn_if_slow

log = logging.getLogger(__name__)

MOST: Final = 4
"""Connections at most: jobs end at the same time, and one is kept for what is told."""
IDLE: Final = 30.0
"""Seconds after which a connection that nobody needs is given back, but for one."""
_FETCH: Final = sql.queries["fetch_job"]


class Line(PsycopgConnector):
    """Connections that report each statement which may have been carried out or not.

    A worker whose statement was lost does not know any more which jobs are its own: one that it has
    fetched without learning so, or has ended without being able to say so, would count as under way
    for as long as the worker lives. So it has to end, and to begin anew under another name.
    """

    def __init__(self, on_loss: Callable[[], None], name: str, conninfo: str) -> None:
        """Call *on_loss* after each lost statement; *name* is what messages call the database."""
        self._on_loss = on_loss
        self._place = name
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            pool_factory=partial(_Pool, name),
            conninfo=conninfo,
            # What is prepared on a connection is not there where a pooler has swapped it, or is
            # another program's statement of the same name.
            kwargs={"prepare_threshold": None},
            configure=_in_autocommit,
            min_size=1,
            max_size=MOST,
            max_idle=IDLE,
        )

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:  # noqa: ANN401 - procrastinate's
        """Execute a statement."""
        with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - likewise
        """Execute a statement and return its only row."""
        with self._watched():
            if query == _FETCH:
                return await self._fetched(query, arguments)
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - likewise
        """Execute a statement and return its rows."""
        with self._watched():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    async def listen_notify(
        self, on_notification: connector.Notify, channels: Iterable[str]
    ) -> None:
        """Listen for new jobs; behind a pooler wait, and leave them to the polling.

        There a LISTEN would stay on a connection of the server that other programs are given, and
        what it brings would be theirs.
        """
        if await self._is_pooled():
            log.info("%s is reached through a pooler: new jobs are found by polling", self._place)
            await asyncio.Event().wait()
        await super().listen_notify(on_notification, channels)

    async def _fetched(self, query: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            async with (
                self.pool.connection() as connection,
                connection.transaction(),
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                # The server must find the first job by its index. It sorts all that wait instead
                # for as long as its statistics are older than they are: with 10,000 that takes
                # 10 ms a job, and not 0.5.
                await cursor.execute("SET LOCAL enable_sort = off")
                await cursor.execute(query.encode(), arguments)
                row = await cursor.fetchone()
        except psycopg.Error as error:
            raise ConnectorException from error
        if row is None:
            raise NoResult
        return row

    async def _is_pooled(self) -> bool:
        """Return whether the process that serves a connection is not the one that it was told."""
        try:
            async with self.pool.connection() as connection:
                cursor = await connection.execute("SELECT pg_backend_pid()")
                return await cursor.fetchone() != (connection.info.backend_pid,)
        except psycopg.Error as error:
            raise ConnectorException from error

    @contextmanager
    def _watched(self) -> Generator[None]:
        try:
            yield
        except UniqueViolation:
            raise
        except ConnectorException as error:
            # The server's own functions refuse with this what has been done before.
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                self._on_loss()
            raise


async def _in_autocommit(connection: psycopg.AsyncConnection[Any]) -> None:
    # Each statement of the queue is a transaction of its own: without autocommit that is three
    # round trips instead of one.
    await connection.set_autocommit(True)


class _Pool(AsyncConnectionPool[psycopg.AsyncConnection[Any]]):
    """A pool that says when it is waited for."""

    def __init__(self, place: str, **options: Any) -> None:  # noqa: ANN401 - procrastinate's
        super().__init__(**options)
        self._place = place

    async def getconn(self, timeout: float | None = None) -> psycopg.AsyncConnection[Any]:  # noqa: ASYNC109 - the pool's
        """Return a connection, once there is one."""
        with warn_if_slow(self._place):
            return await super().getconn(timeout)

"""The connection of psycopg behind what a caller has: one of psycopg's, Django's or SQLAlchemy's.

Neither package is imported: what they hand out is recognized by its attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar, cast

import psycopg

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.values import Secret

T = TypeVar("T")

CallerConnection: TypeAlias = Any
"""A `psycopg.AsyncConnection` or `psycopg.Connection`, Django's ``connection``, or a connection or
session of SQLAlchemy, synchronous or not, that uses psycopg 3."""

_WRONG: Final = (
    "connection: must be a connection of psycopg 3, or Django's or SQLAlchemy's (also a session)"
    " that uses psycopg 3, such as an engine for postgresql+psycopg://; it is {}"
)
_DSN: Final = (
    "connection: must be an open connection, such as psycopg.connect(dsn) returns, and is a text;"
    " leave it out, and the queue connects to its own dsn"
)
_ASYNCHRONOUS: Final = (
    "connection: is asynchronous; `await queue.enqueue(...)` takes it, this needs a synchronous one"
)


def hide_dsn(given: CallerConnection) -> CallerConnection:
    """Return *given*; a text, a DSN by mistake, as a `Secret`, or frames of the error show it."""
    return Secret(given) if isinstance(given, str) else given


class BlockingConnection:
    """A synchronous connection with the methods that enqueuing awaits; none of them suspends."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Begin a transaction, or a savepoint inside one."""
        with self._connection.transaction():
            yield

    @asynccontextmanager
    async def cursor(self, **options: Any) -> AsyncGenerator[BlockingCursor]:  # noqa: ANN401 - psycopg's
        """Open a cursor."""
        with self._connection.cursor(**options) as cursor:
            yield BlockingCursor(cursor)


class BlockingCursor:
    """A cursor of a `BlockingConnection`."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    async def execute(self, query: bytes, values: Any = None) -> None:  # noqa: ANN401 - psycopg's
        """Execute a statement."""
        self._cursor.execute(query, values)

    async def fetchall(self) -> list[Any]:
        """Return all rows that it found."""
        return self._cursor.fetchall()


async def unwrap_connection(given: CallerConnection) -> psycopg.AsyncConnection[Any]:
    """Return the connection of psycopg that *given* uses, or what awaits a synchronous one.

    Raises `ConfigurationError` for anything else.
    """
    if isinstance(given, Secret):
        raise ConfigurationError(_DSN)
    found: Any = given
    kind = cast("type[object]", type(given))
    if callable(getattr(given, "ensure_connection", None)):  # Django connects when needed
        given.ensure_connection()
        found = given.connection
    if callable(getattr(kind, "connection", None)):  # a session of SQLAlchemy
        found = given.connection()
        if inspect.isawaitable(found):
            found = await found
    if hasattr(found, "get_raw_connection"):  # an asynchronous connection of SQLAlchemy
        found = await found.get_raw_connection()
    elif hasattr(found, "connection"):
        found = found.connection
    found = getattr(found, "driver_connection", found)
    if issubclass(type(found), psycopg.Connection):
        found = BlockingConnection(found)
    elif not issubclass(type(found), psycopg.AsyncConnection):
        raise ConfigurationError(_WRONG.format(f"{kind.__module__}.{kind.__qualname__}"))
    connection: psycopg.AsyncConnection[Any] = found
    return connection


def require_blocking(given: CallerConnection) -> None:
    """Raise `ConfigurationError` unless *given* is synchronous."""
    if isinstance(run_without_loop(unwrap_connection(given)), psycopg.AsyncConnection):
        raise ConfigurationError(_ASYNCHRONOUS)


def run_without_loop(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*, which uses a synchronous connection and never suspends."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    work.close()
    raise ConfigurationError(_ASYNCHRONOUS)

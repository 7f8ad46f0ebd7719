"""Handing operations to the workers: a row in the journal and a job, in one transaction.

Nothing is sent from here, so a process that enqueues needs no API key.

A secret must not reach the database, not even encrypted: dumps, replicas and backups would carry it
to their readers for as long as they are kept, and every machine that enqueues would need the key.
So a request names the place where the worker finds the secret, in its environment or in a file that
the machine's secret manager writes:

    ImportPhoneNumber(phone_number=..., trunk_password=SecretReference("env:TRUNK_PASSWORD"))

The reference is stored with the row; the worker resolves it when it sends the request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.schema import SchemaManager

from sigmamind_async.bulk import check_rows
from sigmamind_async.errors import InvalidRequestError, JournalError
from sigmamind_async.events import Observers, as_observer, notify
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.adapters.registry import PLATFORMS, adapter_for
from sigmamind_async.provisioning.fingerprint import new_row
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.journal.postgres.connections import explain_error
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn, warn_if_slow
from sigmamind_async.provisioning.messages import change_of
from sigmamind_async.provisioning.row import Row, State, account_name, check_op_id, read_pair
from sigmamind_async.values import Secret, as_secret, check_seconds
from sigmamind_async.workers.driver_connection import (
    CallerConnection,
    hide_dsn,
    require_blocking,
    run_without_loop,
    unwrap_connection,
)
from sigmamind_async.workers.enqueue import Enqueuer, JournalTransaction, check_account_name
from sigmamind_async.workers.health import QueueHealth, inspect_queue
from sigmamind_async.workers.watch import Watch

T = TypeVar("T")

_BATCH: Final = 1000
"""Operations in one statement."""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sigmamind_async queue', 0))"
_FOUND: Final = (
    "SELECT to_regclass('procrastinate_jobs') IS NOT NULL,"
    " to_regclass('sigmamind_jobs_by_lock') IS NOT NULL"
)
# For a job with a lock, procrastinate looks for earlier jobs with the same lock. With 10,000 jobs
# waiting, fetching one took 470 ms without this index, and 1 ms with it.
_INDEX: Final = (
    "CREATE INDEX sigmamind_jobs_by_lock ON procrastinate_jobs (lock)"
    " WHERE status IN ('todo', 'doing')"
)
# Each purchase leaves two dead rows in each of these tables. By default they are cleaned up once a
# fifth of the table is dead, and until then every fetch passes them.
_VACUUM_OFTEN: Final = tuple(
    f"ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = 0.01)"
    for name in ("procrastinate_jobs", "procrastinate_events")
)
_MISSING_TABLES: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedFunction,
)
Operations: TypeAlias = Iterable[tuple[str, Value]] | AsyncIterable[tuple[str, Value]]
_Accounts = dict[str, dict[str, Value]]
"""Values by op_id, by account."""


class Queue:
    """Hands operations to the workers; a connection is opened for each call but `wait`.

        queue = Queue("postgresql://user@db.example/orders")
        await queue.enqueue([("order-1042", CreatePhoneNumber(country_code="US"))])

    Args:
        dsn: The database, as `PostgresJournal` takes it.
        schema: The journal's schema. The queue's own tables are procrastinate's, and are found
            through the connection's ``search_path``.
        observer: Called with an `OperationChanged` for each operation that was enqueued, one
            function or several. Within the caller's transaction that is before its commit.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(
        self, dsn: str | Secret = "", *, schema: str = "sigmamind", observer: Observers = None
    ) -> None:
        self._dsn = dsn = as_secret(dsn)
        self.schema: Final = schema
        self._observer = as_observer(observer)
        self._target = parse_dsn(dsn, schema)
        self._watches = PerLoop(lambda: Watch(self._target, self._to_error))

    async def prepare(self) -> None:
        """Create the tables of the journal and of the queue where they are missing.

        Existing tables of procrastinate get one more index. A worker does this when it starts.
        Raises `JournalError` if it is not possible.
        """
        async with PostgresJournal(self._dsn, schema=self.schema):
            pass
        async with await self._connect() as connection:
            await self._run(_create_tables(connection))

    async def inspect(self) -> QueueHealth | None:
        """Return what slows the queue down; `None` if `prepare` has not made it yet.

        For gauges and alerts; counting a million jobs takes 0.2 s.

        Raises `JournalError` if the database cannot be read.
        """
        async with await self._connect() as connection:
            return await self._run(inspect_queue(connection, self.schema))

    async def enqueue(
        self,
        operations: Operations,
        *,
        account: str | None = None,
        connection: CallerConnection | None = None,
    ) -> list[Row]:
        """Plan *operations*, pairs of op_id and value, and have the workers carry them out.

        All of them are enqueued, or none. Enqueuing the same op_id with the same value again is no
        error: it has one job at a time, and one that has failed is tried again.

        Args:
            operations: Each goes to the account of the platform whose request its value is. An
                iterable or async iterable.
            account: Label of the account if there are several of one platform, as in `Provisioner`.
            connection: Your own connection: the operations are part of its transaction, and the
                workers see them once you commit. With autocommit they are committed at once. It is
                one of psycopg 3, asynchronous or not, Django's ``connection``, or a connection or
                session of SQLAlchemy that uses psycopg 3. A synchronous one blocks the event loop
                while it is used. By default a new connection is opened for this call.

        Returns:
            The rows of the operations in their order, as they are now: one that was enqueued
            before may be done. They are all in memory; for very many use `enqueue_many`.

        Raises:
            InvalidRequestError: A value changes no number, or contains a secret itself.
            JournalError: An op_id belongs to another request, or the database cannot be used.
            ConfigurationError: *connection* is of another kind.
        """
        connection = hide_dsn(connection)
        rows: dict[tuple[str, str], Row] = {}

        def keep(written: list[Row]) -> None:
            rows.update({(row.account, row.op_id): row for row in written})

        async with self._connection(connection) as used:
            await self._explain(self._write(used, operations, account, keep, atomic=True))
        self._notify_planned(rows.values())
        return list(rows.values())

    async def enqueue_many(
        self,
        operations: Operations,
        *,
        account: str | None = None,
        connection: CallerConnection | None = None,
        atomic: bool = True,
    ) -> int:
        """Enqueue any number of operations, as `enqueue` does; return their number.

        They are read lazily, a thousand at a time, so memory does not grow with their number.

        Args:
            operations: As in `enqueue`.
            account: As in `enqueue`.
            connection: As in `enqueue`; the operations are part of its transaction.
            atomic: Enqueue all of them, or none. With False each thousand is a transaction of its
                own: workers begin at once, and after an error the same call, made again, goes on.
                Prefer that for 100,000 operations and more, which the server would otherwise
                announce to the workers all at once.
        """
        connection = hide_dsn(connection)
        count = 0

        def add(written: list[Row]) -> None:
            nonlocal count
            count += len(written)
            self._notify_planned(written)

        async with self._connection(connection) as used:
            await self._explain(self._write(used, operations, account, add, atomic=atomic))
        return count

    def enqueue_sync(
        self,
        operations: Iterable[tuple[str, Value]],
        *,
        connection: CallerConnection,
        account: str | None = None,
    ) -> list[Row]:
        """Do as `enqueue` does, without an event loop, on a blocking *connection*; see `enqueue`.

        with transaction.atomic():  # Django
            order.save()
            queue.enqueue_sync([(f"order-{order.id}", value)], connection=connection)
        """
        connection = hide_dsn(connection)
        require_blocking(connection)
        return run_without_loop(self.enqueue(operations, account=account, connection=connection))

    def _notify_planned(self, written: Iterable[Row]) -> None:
        for row in written:
            if row.version == 1 and row.state is State.PLANNED:
                notify(self._observer, change_of(row))

    async def wait(
        self,
        op_id: str,
        *,
        account: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a caller without a task group needs it
    ) -> Row:
        """Wait until an operation has ended, and return its row.

        It is done, has failed, or waits for an operator's decision. The worker that finishes the
        job wakes this call; for what ends in another way the journal is looked at after 0.2
        seconds, and then less and less often, at least every two seconds. Any number of calls of
        one event loop share a connection, which is open while there are any. Behind a pooler such
        as PgBouncer they only look.

        Args:
            op_id: It may be enqueued later than this is called.
            account: Name of its account in the journal, such as ``sigmamind:production``. By
                default it is looked for in the accounts that have no label.
            timeout: Seconds to wait; with `None`, for as long as it takes.

        Raises:
            TimeoutError: It has not ended in time; it goes on.
            JournalError: The database cannot be used. One that was reached may be away for 5 s.
            InvalidRequestError: *op_id* cannot be the id of an operation.
            ConfigurationError: *timeout* or *account* cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        check_op_id(op_id)
        if account is not None:
            check_account_name(account)
        accounts = PLATFORMS if account is None else (account,)
        async with asyncio.timeout(timeout):
            return await self._watches.get().wait(accounts, op_id)

    async def journal_id(self) -> str:
        """Return the `Journal.journal_id` of the journal that operations are written to."""
        async with await self._connect() as connection:
            head = await self._run(JournalTransaction(connection, self.schema).head())
        return head.journal_id

    @asynccontextmanager
    async def _connection(
        self, given: CallerConnection | None
    ) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        """Yield the connection to use: the caller's, or one for the block."""
        if given is not None:
            yield await unwrap_connection(given)
            return
        async with await self._connect() as own:
            yield own

    async def _write(
        self,
        connection: psycopg.AsyncConnection[Any],
        operations: Operations,
        label: str | None,
        on_written: Callable[[list[Row]], None],
        *,
        atomic: bool,
    ) -> None:
        """Write *operations*, a batch at a time; call *on_written* with the rows of each."""
        transaction = JournalTransaction(connection, self.schema)
        # Before the savepoint: without autocommit this begins the caller's transaction, which would
        # otherwise begin and end with the savepoint.
        with warn_if_slow(self._target.name):
            enqueuer = Enqueuer(transaction, await transaction.head())
        each = nullcontext if atomic else connection.transaction
        async with connection.transaction() if atomic else nullcontext():
            async for batch in _batches(operations):
                with warn_if_slow(self._target.name):
                    async with each():
                        rows = await _write_batch(enqueuer, batch, label)
                on_written(rows)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await self._run(self._target.connect(), connected=False)

    async def _run(self, work: Awaitable[T], *, connected: bool = True) -> T:
        """Return what *work*, a few statements, returns; raise as `_explain` does."""
        with warn_if_slow(self._target.name):
            return await self._explain(work, connected=connected)

    async def _explain(self, work: Awaitable[T], *, connected: bool = True) -> T:
        """Return what *work* returns; raise `JournalError` for an error of the database."""
        try:
            return await work
        except (psycopg.Error, UnicodeError, ConnectorException) as error:
            problem = self._to_error(error, connected)
        # Outside the handler, so that the driver's error is not its context: it may show the DSN.
        raise problem

    def _to_error(self, error: Exception, connected: bool) -> JournalError:  # noqa: FBT001 - a callback
        cause = error.__cause__ if isinstance(error, ConnectorException) else None
        problem = _describe(cause or error, connected=connected)
        return JournalError(f"{self._target.name}: {self._target.redact(problem)}")


async def _create_tables(connection: psycopg.AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await connection.execute(_LOCK)
        has_tables, has_index = await (await connection.execute(_FOUND)).fetchone() or (True, True)
        if not has_tables:
            await connection.execute(SchemaManager.get_schema())
        # Only if it is missing: even `IF NOT EXISTS` waits for a lock on the whole table, and all
        # workers behind it, as long as one is frozen in a transaction.
        if not has_index:
            for statement in (_INDEX, *_VACUUM_OFTEN):
                await connection.execute(statement.encode())


async def _batches(operations: Operations) -> AsyncGenerator[list[tuple[str, Value]]]:
    check_rows(operations)
    batch: list[tuple[str, Value]] = []
    indices = itertools.count()
    async for given in iterate(operations):
        batch.append(read_pair(next(indices), given))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _write_batch(
    enqueuer: Enqueuer, batch: Iterable[tuple[str, Value]], label: str | None
) -> list[Row]:
    rows: list[Row] = []
    for account, values in _group_by_account(batch, label).items():
        journal_id = enqueuer.head.journal_id
        planned = [_plan_row(op_id, value, journal_id, account) for op_id, value in values.items()]
        rows += await enqueuer.write(account, planned)
    return rows


async def iterate(values: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """Yield *values*, whichever kind of iterable they are."""
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
        return
    for value in values:
        yield value


def _group_by_account(operations: Iterable[tuple[str, Value]], label: str | None) -> _Accounts:
    accounts: defaultdict[str, dict[str, Value]] = defaultdict(dict)
    for op_id, value in operations:
        check_op_id(op_id)
        platform, _ = adapter_for(value)
        account = account_name(platform, label)
        check_account_name(account)
        if accounts[account].setdefault(op_id, value) != value:
            raise InvalidRequestError(f"{op_id}: two requests under one id", "op_id", "not unique")
    return dict(accounts)


def _plan_row(op_id: str, value: Value, journal_id: str, account: str) -> Row:
    _, adapter = adapter_for(value)
    intent = adapter.intent(value)
    row = new_row(
        op_id, value, kind=intent.kind, key=intent.key, journal_id=journal_id, account=account
    )
    literal = [name for name in row.secret_fields if name not in row.secret_references]
    if literal:
        raise InvalidRequestError(
            f"{op_id}: {literal[0]}: a secret must not reach the database: give"
            " SecretReference('env:NAME') or SecretReference('file:PATH'), which the worker"
            " resolves",
            literal[0],
            "a reference",
        )
    return row


def _describe(error: BaseException, *, connected: bool) -> str:
    if isinstance(error, _MISSING_TABLES):
        return (
            "the tables of the journal or of the queue do not exist.\n"
            "Call Queue.prepare() once, or start a worker."
        )
    return explain_error(error, connected=connected)

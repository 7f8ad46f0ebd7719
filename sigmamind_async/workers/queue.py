"""Handing operations to the workers: one row in the journal and one job, in one transaction.

Nothing is sent from here, so nobody who enqueues needs the API key of an account.

A secret must not reach the database, neither in the clear nor encrypted: a dump, a replica or a
backup would carry it to whoever reads those, for as long as they are kept, and the key of an
encryption would have to be on every machine that enqueues. So a request that needs one says where
the worker finds it, in its environment or in a file that the machine's secret manager puts there:

    ImportPhoneNumber(phone_number=..., trunk_password=SecretReference("env:TRUNK_PASSWORD"))

The reference is kept with the row; the worker resolves it when it sends the request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.schema import SchemaManager

from sigmamind_async.errors import InvalidRequestError, JournalError
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.adapters import adapter_for
from sigmamind_async.provisioning.fingerprint import new_row
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn, warn_if_slow
from sigmamind_async.provisioning.journal.postgres.errors import explain_error
from sigmamind_async.provisioning.journal.postgres.transaction import JournalTransaction
from sigmamind_async.provisioning.row import Row, account_name, check_op_id
from sigmamind_async.values import Secret, as_secret
from sigmamind_async.workers.enqueue import Entry, check_account_name

T = TypeVar("T")

_CHUNK: Final = 1000
"""Operations in one statement."""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sigmamind_async queue', 0))"
_THERE: Final = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
# Of jobs with a lock the queue looks for earlier ones with the same: with 10,000 changes waiting
# it took 470 ms to fetch one without this index, and takes 1 ms with it.
_BY_LOCK: Final = (
    "CREATE INDEX IF NOT EXISTS sigmamind_jobs_by_lock ON procrastinate_jobs (lock)"
    " WHERE status IN ('todo', 'doing')"
)
_NOT_MADE: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedFunction,
)


class Queue:
    """Where operations wait for a worker; nothing is opened until something is asked for.

        queue = Queue("postgresql://user@db.example/orders")
        await queue.enqueue([("order-1042", CreatePhoneNumber(country_code="US"))])

    Args:
        dsn: The database, as `PostgresJournal` takes it.
        schema: That of the journal. The queue's own tables are procrastinate's, and are looked for
            where the connection's ``search_path`` leads.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(self, dsn: str | Secret = "", *, schema: str = "sigmamind") -> None:
        self._dsn = dsn = as_secret(dsn)
        self._schema = schema
        self._target = parse_dsn(dsn, schema)

    async def prepare(self) -> None:
        """Make the tables of the journal and of the queue where they are missing.

        Tables of procrastinate that are there get one more index, and are else left as they are. A
        worker does so when it starts. Raises `JournalError` where that cannot be.
        """
        async with PostgresJournal(self._dsn, schema=self._schema):
            pass
        async with await self._own() as connection:
            await self._told(_made(connection))

    async def enqueue(
        self,
        operations: Iterable[tuple[str, Value]],
        *,
        account: str | None = None,
        connection: psycopg.AsyncConnection[Any] | None = None,
    ) -> list[Row]:
        """Plan *operations*, pairs of op_id and value, and have the workers carry them out.

        Either all of them are enqueued or none is. The same op_id with the same value is no error:
        it waits only once, and one that has failed is tried again.

        Args:
            operations: Each goes to the account of the platform that its value is a request of.
            account: Label that tells several accounts of one platform apart, as in `Provisioner`.
            connection: One of your own: what is enqueued is part of its transaction, and is there
                for the workers once you commit that. An idle one in autocommit commits at once.
                Left out, a new connection is made for this call.

        Returns:
            The rows of the operations, in their order and as they stand now: a row that was there
            already may be done.

        Raises:
            InvalidRequestError: A value changes no number, or holds a secret itself.
            JournalError: An op_id is that of another request, or the database cannot be used.
        """
        given = _by_account(operations, account)
        if connection is not None:
            rows = await self._told(self._enter(connection, given))
        else:
            async with await self._own() as own:
                rows = await self._told(self._enter(own, given))
        return [rows[name, op_id] for name, values in given.items() for op_id in values]

    async def _enter(
        self, connection: psycopg.AsyncConnection[Any], given: _Given
    ) -> dict[tuple[str, str], Row]:
        page = JournalTransaction(connection, self._schema)
        rows: dict[tuple[str, str], Row] = {}
        # Before the savepoint: outside of autocommit this begins the caller's transaction, which
        # would otherwise begin and end with the savepoint.
        moment = await page.head()
        async with connection.transaction():
            entry = Entry(page, moment)
            for account, values in given.items():
                made = [
                    _planned(op_id, value, moment.journal_id, account)
                    for op_id, value in values.items()
                ]
                for start in range(0, len(made), _CHUNK):
                    entered = await entry.enter(account, made[start : start + _CHUNK])
                    rows |= {(account, row.op_id): row for row in entered}
        return rows

    async def _own(self) -> psycopg.AsyncConnection[Any]:
        return await self._told(self._target.connect(), connected=False)

    async def _told(self, work: Awaitable[T], *, connected: bool = True) -> T:
        """Return what *work* returns; raise `JournalError` for what the database refuses."""
        try:
            with warn_if_slow(self._target.name):
                return await work
        except (psycopg.Error, UnicodeError, ConnectorException) as error:
            cause = error.__cause__ if isinstance(error, ConnectorException) else None
            problem = _problem(cause or error, connected=connected)
        # Not from within: whoever catches it would be shown the driver's words.
        raise JournalError(f"{self._target.name}: {self._target.redact(problem)}")


async def _made(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make the tables of the queue, unless they are there."""
    async with connection.transaction():
        await connection.execute(_LOCK)
        there = await (await connection.execute(_THERE)).fetchone()
        if there == (False,):
            await connection.execute(SchemaManager.get_schema())
        await connection.execute(_BY_LOCK)


_Given = dict[str, dict[str, Value]]
"""Values by op_id, by account."""


def _by_account(operations: Iterable[tuple[str, Value]], label: str | None) -> _Given:
    given: defaultdict[str, dict[str, Value]] = defaultdict(dict)
    for op_id, value in operations:
        check_op_id(op_id)
        platform, _ = adapter_for(value)
        account = account_name(platform, label)
        check_account_name(account)
        if given[account].setdefault(op_id, value) != value:
            raise InvalidRequestError(f"{op_id}: two requests under one id", "op_id", "not unique")
    return dict(given)


def _planned(op_id: str, value: Value, journal_id: str, account: str) -> Row:
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


def _problem(error: BaseException, *, connected: bool) -> str:
    if isinstance(error, _NOT_MADE):
        return (
            "the tables of the journal or of the queue are not there.\n"
            "Call Queue.prepare() once, or start a worker."
        )
    return explain_error(error, connected=connected)

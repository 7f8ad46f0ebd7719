"""Waiting for operations to end: one connection for all callers that wait in an event loop.

The statement that finishes a job notifies this connection, if there is one. A transaction with a
NOTIFY holds a lock of the whole server from just before its commit until the commit returns. That
statement commits without waiting for the disk, so it holds the lock for microseconds. While anyone
waits, their watch shares an advisory lock; where no session holds it, nothing is notified.

A notification is only a reason to look. What ends in another way is found by polling: an operation
that a listing settled or an operator decided, or one whose job was run by the caller's own app. So
is everything behind a pooler such as PgBouncer, where a LISTEN would stay on a connection that
other programs are given.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, Final, Never

import attrs
import psycopg

from sigmamind_async.provisioning.journal.postgres.connections import is_passing
from sigmamind_async.provisioning.journal.postgres.dsn import Target, warn_if_slow
from sigmamind_async.provisioning.journal.postgres.schema import ENDED_CHANNEL, ENDED_LOCK
from sigmamind_async.provisioning.row import Row
from sigmamind_async.workers.connector import is_pooled
from sigmamind_async.workers.enqueue import JournalTransaction, operation_lock

PAUSES: Final = (0.2, 2.0)
"""Seconds between two looks at the journal: the first doubles up to the last while nothing
happens."""
PATIENCE: Final = 5.0
"""Seconds for which a database that has answered may be away."""
RECONNECT_AFTER: Final = 0.2
"""Seconds until a connection that was lost is replaced."""
_LISTEN: Final = f"LISTEN {ENDED_CHANNEL}".encode()
# After LISTEN, and before the first look: what ends from then on is notified. It waits for the
# statements that found the lock free, so the look sees what those have finished.
_SHARE_LOCK: Final = f"SELECT pg_advisory_lock_shared({ENDED_LOCK})".encode()


@attrs.frozen(eq=False)
class _Waiter:
    op_id: str
    accounts: Mapping[str, str]
    """Their names, by the lock of the operation there."""
    row: asyncio.Future[Row]


class Watch:
    """Watches the operations that callers in one event loop wait for.

    Its connection is open while there are callers, and is replaced when it is lost.

    Args:
        target: The database.
        to_error: Returns what to raise for an error of the database, given that and whether there
            was a connection.
    """

    def __init__(self, target: Target, to_error: Callable[[Exception, bool], Exception]) -> None:
        self._target = target
        self._to_error = to_error
        self._waiters: set[_Waiter] = set()
        self._by_lock: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._due: set[_Waiter] = set()
        """Those whose operation is to be looked at now."""
        self._pause, _ = PAUSES
        self._wake = asyncio.Event()
        self._has_answered = False
        """True if the connection has carried a look out."""
        self._task: asyncio.Task[None] | None = None

    async def wait(self, accounts: Iterable[str], op_id: str) -> Row:
        """Return the row of *op_id* in one of *accounts*, once it has ended there."""
        locks = {operation_lock(account, op_id): account for account in accounts}
        waiter = _Waiter(op_id, locks, asyncio.get_running_loop().create_future())
        self._add(waiter)
        try:
            return await waiter.row
        finally:
            self._remove(waiter)
            task = self._task
            if task is not None and not self._waiters:
                self._task = None
                task.cancel()
                await asyncio.wait({task})  # its connection is closed then

    def _add(self, waiter: _Waiter) -> None:
        self._waiters.add(waiter)
        for lock in waiter.accounts:
            self._by_lock[lock].add(waiter)
        self._due.add(waiter)
        self._pause, _ = PAUSES
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._serve())

    def _remove(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        for lock in waiter.accounts:
            self._by_lock[lock].discard(waiter)
            if not self._by_lock[lock]:
                del self._by_lock[lock]

    # --- the task ----------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Serve the callers until there are none, or the database cannot be used."""
        now = asyncio.get_running_loop().time
        until = 0.0
        while True:
            connection: psycopg.AsyncConnection[Any] | None = None
            self._has_answered = False
            try:
                with warn_if_slow(self._target.name):
                    connection = await self._target.connect()
                await self._use(connection)
            except Exception as error:  # noqa: BLE001 - no caller may be left waiting
                if self._has_answered:
                    until = now() + PATIENCE
                if not is_passing(error) or now() >= until:
                    self._fail(error, connected=connection is not None)
                    return
            finally:
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(RECONNECT_AFTER)

    def _fail(self, error: Exception, *, connected: bool) -> None:
        """Raise *error* in all callers; one that comes later begins anew."""
        self._task = None
        for waiter in [*self._waiters]:
            self._remove(waiter)
            if not waiter.row.done():
                waiter.row.set_exception(self._to_error(error, connected))

    async def _use(self, connection: psycopg.AsyncConnection[Any]) -> Never:
        """Look whenever there is a reason to, until *connection* is lost."""
        transaction = JournalTransaction(connection, self._target.schema)
        now = asyncio.get_running_loop().time
        if not await is_pooled(connection):
            connection.add_notify_handler(lambda note: self._hear(note.payload))
            await connection.execute(_LISTEN)
            await connection.execute(_SHARE_LOCK)
        looked_at = -inf
        while True:
            if now() - looked_at >= self._pause:
                self._pause = min(2 * self._pause, PAUSES[1])
                looked_at, self._due = now(), {*self._waiters}
            with warn_if_slow(self._target.name):
                await self._look(transaction)
            await self._sleep(connection, looked_at + self._pause)

    async def _look(self, transaction: JournalTransaction) -> None:
        """Answer the callers that are due and whose operation has ended."""
        due, self._due = self._due & self._waiters, set()
        if not due:
            return
        accounts = {account for waiter in due for account in waiter.accounts.values()}
        ended: defaultdict[str, list[str]] = defaultdict(list)
        for each in await transaction.progress(accounts, {waiter.op_id for waiter in due}):
            if each.has_ended:
                ended[each.account].append(each.op_id)
        self._has_answered = True
        for account, op_ids in ended.items():
            for row in (await transaction.rows_of(account, op_ids)).values():
                for waiter in due & self._by_lock.get(operation_lock(account, row.op_id), set()):
                    if not waiter.row.done():
                        waiter.row.set_result(row)

    async def _sleep(self, connection: psycopg.AsyncConnection[Any], until: float) -> None:
        """Wait for a caller, a notification, the loss of *connection*, or the time *until*."""
        loop = asyncio.get_running_loop()
        loop.add_reader(connection.fileno(), self._wake.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
        finally:
            loop.remove_reader(connection.fileno())
        self._wake.clear()
        # What arrived during a look has been handed to the handler already.
        connection.pgconn.consume_input()
        while note := connection.pgconn.notifies():
            self._hear(note.extra.decode())

    def _hear(self, lock: str) -> None:
        self._due |= self._by_lock.get(lock, set())
        self._wake.set()

"""Journal, queue and workers behind PgBouncer, which lends its connections for one transaction."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.provisioning import PostgresJournal, Provisioner
from sigmamind_async.provisioning.journal.postgres import connections
from sigmamind_async.provisioning.journal.postgres import dsn as target
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.workers import Queue
from sigmamind_async.workers import connector as queue_connector
from tests.functional.journals import ACCOUNT, a_row
from tests.functional.workers import Database, prepared, purchase, settled, until, worker, working
from tests.harness.ports import free_port
from tests.harness.postgres import PASSWORD, Server

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = pytest.mark.skipif(
    not Path(PROGRAM).exists(), reason="PgBouncer is not installed: nothing is tried behind it"
)

SETTINGS = """
[databases]
* = host={folder} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
server_reset_query = {reset}
logfile = {place}/log
pidfile = {place}/pid
"""


@contextmanager
def pooler(server: Server, mode: str, size: int = 5) -> Generator[Callable[[str], str]]:
    """Run PgBouncer before *server*; yield what makes the DSN of a database through it."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgb-", ignore_cleanup_errors=True) as made:
        place = Path(made)
        settings = place / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(
                folder=server.folder,
                password=PASSWORD,
                port=port,
                mode=mode,
                size=size,
                reset="DISCARD ALL" if mode == "session" else "",
                place=place,
            )
        )
        for each in (place, settings):
            server.own(each)
        root = sys.platform != "win32" and os.geteuid() == 0
        with subprocess.Popen(
            [PROGRAM, "-q", str(settings)],
            user="nobody" if root else None,
            extra_groups=[] if root else None,
            stderr=subprocess.DEVNULL,
        ) as running:
            try:
                _reach(port)
                yield lambda database: f"postgresql://postgres@127.0.0.1:{port}/{database}"
            finally:
                running.terminate()


def _reach(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < until, "PgBouncer does not start"
        time.sleep(0.05)


@pytest.fixture
async def base(postgres: Server) -> AsyncIterator[Database]:
    async with prepared(postgres) as made:
        yield made


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as opened:
        yield opened


@pytest.fixture
def transactions(postgres: Server, base: Database) -> Iterator[str]:
    """A DSN through a pooler that lends five connections for a transaction each."""
    with pooler(postgres, "transaction") as dsn:
        yield dsn(base.name)


def settings_of_others(dsn: str) -> set[str]:
    """Return what other clients of the same pooler find on the connections they are lent."""
    found: set[str] = set()
    with Lent(dsn) as clients:
        for client in clients:
            ((sort, prepared_ones, heard),) = client.execute(
                "SELECT current_setting('enable_sort'),"
                " (SELECT count(*) FROM pg_prepared_statements),"
                " (SELECT count(*) FROM pg_listening_channels())"
            ).fetchall()
            found.add(f"sort {sort} prepared {prepared_ones} heard {heard}")
    return found


class Lent:
    """Several clients at once, each in a transaction, so that each has a connection of its own."""

    def __init__(self, dsn: str, count: int = 5) -> None:
        self._clients = [psycopg.connect(dsn, prepare_threshold=None) for _ in range(count)]

    def __enter__(self) -> list[psycopg.Connection[Any]]:
        for client in self._clients:
            client.execute("SELECT 1")
        return self._clients

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


async def run_two_workers(box: Sandbox, dsn: str, base: Database, count: int) -> None:
    queue = Queue(dsn)
    await queue.enqueue((f"order-{n}", purchase(f"row {n}")) for n in range(count))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(working(worker(box, dsn)))
        await settled(base, State.DONE)
        await until(lambda: base.jobs == [])


async def test_two_workers_behind_a_transaction_pooler(
    box: Sandbox, base: Database, transactions: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each purchase is made once, nothing goes wrong, and nothing is left to other programs."""
    await run_two_workers(box, transactions, base, 40)
    assert len(box.ledger.purchases) == 40
    assert troubles(caplog) == []
    assert await asyncio.to_thread(settings_of_others, transactions) == {
        "sort on prepared 0 heard 0"
    }


async def test_a_caller_that_waits_behind_a_transaction_pooler_polls(
    box: Sandbox, base: Database, transactions: str
) -> None:
    """It leaves neither a LISTEN nor a lock behind."""
    queue = Queue(transactions)
    wait = asyncio.create_task(queue.wait("order-0"))
    async with working(worker(box, transactions)):
        await queue.enqueue([("order-0", purchase())])
        assert (await wait).state is State.DONE
    assert base.asked("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    assert await asyncio.to_thread(settings_of_others, transactions) == {
        "sort on prepared 0 heard 0"
    }


async def test_the_control_of_what_is_left_to_others(transactions: str) -> None:
    """A setting of the session, as it was, is found by other clients of the pooler."""
    async with await psycopg.AsyncConnection.connect(transactions, autocommit=True) as connection:
        await connection.execute("SET enable_sort = off")
        await connection.execute("LISTEN procrastinate_any_queue")
    found = await asyncio.to_thread(settings_of_others, transactions)
    assert "sort off prepared 0 heard 1" in found


async def test_the_control_of_the_workers(
    box: Sandbox,
    transactions: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With statements that are prepared, as they were, the log is full of trouble."""
    made = queue_connector.WorkerConnector.__init__

    def prepares(self: queue_connector.WorkerConnector, *arguments: Any) -> None:
        made(self, *arguments)
        self._pool_args["kwargs"] = {"prepare_threshold": 0}

    monkeypatch.setattr(queue_connector.WorkerConnector, "__init__", prepares)
    queue = Queue(transactions)
    await queue.enqueue((f"order-{n}", purchase(f"row {n}")) for n in range(20))
    async with (
        working(worker(box, transactions)),
        working(worker(box, transactions)),
    ):
        await until(lambda: any("prepared statement" in each for each in troubles(caplog)))


async def test_the_journal_behind_a_transaction_pooler(box: Sandbox, transactions: str) -> None:
    async with (
        PostgresJournal(transactions) as journal,
        SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
    ):
        provisioner = Provisioner(client, journal)
        operations = [(f"order-{n}", purchase(f"row {n}")) for n in range(50)]
        outcomes = [outcome async for outcome in provisioner.run_many(operations)]
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert len(box.ledger.purchases) == 50
    assert await asyncio.to_thread(settings_of_others, transactions) == {
        "sort on prepared 0 heard 0"
    }


async def test_a_worker_behind_a_session_pooler_needs_few_connections(
    box: Sandbox, postgres: Server, base: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Two fit into the twenty that a pooler has by default; before, one took thirteen."""
    with pooler(postgres, "session", size=20) as dsn:
        await run_two_workers(box, dsn(base.name), base, 20)
    assert len(box.ledger.purchases) == 20
    assert troubles(caplog) == []


async def test_who_waits_for_a_pooler_is_told(
    postgres: Server,
    base: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One connection for all, which another program has: the pooler itself says nothing."""
    monkeypatch.setattr(target, "SLOW", 0.2)
    with pooler(postgres, "session", size=1) as dsn:
        place = dsn(base.name)
        with Lent(place, count=1):
            waiting = asyncio.create_task(Queue(place).enqueue([("order-1", purchase())]))
            await until(
                lambda: any("waiting for a connection" in each for each in troubles(caplog))
            )
            assert not waiting.done()
        await waiting
    assert base.states == {"order-1": State.PLANNED}


async def test_idle_connections_are_given_back(
    base: Database, transactions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at the server itself, without the pooler between."""
    monkeypatch.setattr(connections, "IDLE", 0.2)
    held = (
        "SELECT count(*) FROM pg_stat_activity"
        f" WHERE datname = '{base.name}' AND application_name = 'sigmamind-async'"
    )
    async with PostgresJournal(base.dsn) as journal:
        await asyncio.gather(*(journal.put(a_row(str(n))) for n in range(30)))
        assert base.server.asked(held)[0][0] > 1
        await until(lambda: base.server.asked(held)[0][0] == 0)
        assert await journal.get(ACCOUNT, "1") == a_row("1")
    assert transactions

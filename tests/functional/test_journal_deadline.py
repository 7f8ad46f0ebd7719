"""A journal that another program keeps locked: whoever waits for it waits no longer than he said.

Nothing was sent is "no"; what was sent and could not be written down is found by the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.errors import JournalError, OutcomeUnknownError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import PostgresJournal, Provisioner, SqliteJournal
from sigmamind_async.provisioning import execution as course
from sigmamind_async.provisioning.journal.postgres import connections
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Fault, Sandbox
from tests.functional.journals import process
from tests.functional.support import error_of
from tests.harness.postgres import Server, schema_of

ACCOUNT = "sigmamind"
ANY_NUMBER = CreatePhoneNumber(country_code="US", friendly_name="Desk")
DEADLINE = 1.0
AFTER_IT = 4.0
"""Seconds by which a call has ended on the busiest machine, and SQLite's own patience has not."""

LOCKING = """
import sqlite3
database = sqlite3.connect(path, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
say("locked")
sys.stdin.read()
"""


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Have another process hold the lock of whoever writes to the file."""
    with process(LOCKING, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield


@contextmanager
def table_locked(postgres: Server, folder: Path) -> Generator[None]:
    with postgres.connected() as other, other.transaction():
        other.execute(f'LOCK TABLE "{schema_of(folder)}".operations'.encode())
        yield


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as box:
        yield box


def client_for(box: Sandbox, **options: Any) -> SigmaMind:
    options = {"deadline": DEADLINE, **options}
    return SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url, **options)


async def timed(work: Awaitable[object]) -> tuple[BaseException, float, int]:
    """Return what *work* raises, after how long, and how often the loop turned meanwhile."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    turning = asyncio.create_task(turn())
    begun = time.monotonic()
    error = await error_of(work)
    elapsed = time.monotonic() - begun
    turning.cancel()
    return error, elapsed, turns


Opened = Callable[[], Any]
Locked = Callable[[], Any]


@pytest.fixture(params=["sqlite", "postgres"])
def journal_and_lock(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Opened, Locked]:
    """Return how a journal is opened, and how another program locks it."""
    if request.param == "sqlite":
        path = tmp_path / "orders.db"
        return lambda: SqliteJournal(path), lambda: locked(path)
    postgres: Server = request.getfixturevalue("postgres")
    return lambda: postgres.journal(tmp_path), lambda: table_locked(postgres, tmp_path)


async def test_a_locked_journal_holds_a_call_no_longer_than_its_deadline(
    box: Sandbox, journal_and_lock: tuple[Opened, Locked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call of a process, and one whose account is known already.

    Nor is that it was not sent waited for. Control: with `_LAST_WRITE` for the patience of
    `_retract`, whatever the claim, the second call ends long after its deadline.
    """
    monkeypatch.setattr(course, "_LAST_WRITE", 60.0)
    opened, locked = journal_and_lock
    async with client_for(box) as client, opened() as journal:
        provisioner = Provisioner(client, journal)
        for op_id in ("order-1", "order-2"):
            with locked():
                error, elapsed, turns = await timed(provisioner.run(op_id, ANY_NUMBER))
            assert isinstance(error, JournalError)
            assert "deadline of 1 s" in str(error)
            assert "locked" in str(error)
            assert (error.committed, error.retryable) == ("no", True)
            assert DEADLINE * 0.9 < elapsed < AFTER_IT
            assert turns > 5, "the event loop is free meanwhile"
            await until_free(journal)
            assert len(box.ledger.purchases) == (op_id == "order-2")
            await provisioner.run(op_id, ANY_NUMBER)
        assert len(box.ledger.purchases) == 2
        assert (await journal.counts(ACCOUNT)).rows == {State.DONE: 2}


async def until_free(journal: Any) -> None:
    """Wait until what was given to the journal while it was locked has been written or refused."""
    while True:
        try:
            await journal.set_last_applied("test", "free")
            await journal.last_applied()
            await journal.in_states(ACCOUNT, list(State))
        except JournalError:
            continue
        return


async def test_the_control_of_the_deadline(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a call waits for as long as SQLite does."""

    async def waits(_: object, work: Awaitable[Any]) -> Any:
        return await work

    monkeypatch.setattr(course.Execution, "_in_time", waits)
    path = tmp_path / "orders.db"
    async with client_for(box) as client, SqliteJournal(path) as journal:
        with locked(path):
            error, elapsed, _ = await timed(Provisioner(client, journal).run("1", ANY_NUMBER))
        assert "another program keeps the file locked" in str(error)
        assert elapsed > AFTER_IT


async def test_several_calls_of_one_operation_wait_no_longer_than_one(
    box: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "orders.db"
    async with client_for(box) as client, SqliteJournal(path) as journal:
        provisioner = Provisioner(client, journal)
        with locked(path):
            calls = (timed(provisioner.run("order-1", ANY_NUMBER)) for _ in range(4))
            ended = await asyncio.gather(*calls)
        assert {type(error) for error, _, _ in ended} == {JournalError}
        assert max(elapsed for _, elapsed, _ in ended) < AFTER_IT


async def test_a_claim_that_came_through_after_the_deadline_is_taken_back(
    box: Sandbox, journal_and_lock: tuple[Opened, Locked]
) -> None:
    """Nothing was sent, so nothing is unconfirmed, and the next call sends."""
    opened, locked = journal_and_lock
    async with client_for(box) as client, opened() as journal:
        provisioner = Provisioner(client, journal)
        await provisioner.run("order-0", ANY_NUMBER)
        with locked():
            await error_of(provisioner.run("order-1", ANY_NUMBER))
        await until_free(journal)
        await asyncio.sleep(0)
        row = await journal.get(ACCOUNT, "order-1")
        assert row is None or row.state is State.PLANNED
        await provisioner.run("order-1", ANY_NUMBER)
        assert len(box.ledger.purchases) == 2


async def test_a_call_that_waits_for_a_locked_journal_can_be_cancelled(
    box: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "orders.db"
    async with client_for(box, deadline=60.0) as client, SqliteJournal(path) as journal:
        provisioner = Provisioner(client, journal)
        await provisioner.run("order-0", ANY_NUMBER)
        with locked(path):
            call = asyncio.create_task(provisioner.run("order-1", ANY_NUMBER))
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert time.monotonic() - begun < AFTER_IT
        await until_free(journal)
        await provisioner.run("order-1", ANY_NUMBER)
        assert len(box.ledger.purchases) == 2


# ---------------------------------------------------------------- what was sent


async def until_sending(journal: SqliteJournal | PostgresJournal) -> None:
    while not await journal.in_states(ACCOUNT, {State.SENDING}):  # noqa: ASYNC110 - another task's
        await asyncio.sleep(0.01)


async def test_an_answer_that_cannot_be_written_down_is_found_by_the_next_run(
    box: Sandbox, tmp_path: Path
) -> None:
    """The caller gets the number, the process ends, and the row still says that it is sending."""
    path = tmp_path / "orders.db"
    box.latency = (0.5, 0.5)
    async with client_for(box, deadline=30.0) as client:
        async with SqliteJournal(path) as journal:
            call = asyncio.create_task(Provisioner(client, journal).run("order-1", ANY_NUMBER))
            await until_sending(journal)
            with locked(path):
                bought = await call
                await journal.close()
        box.latency = (0.0, 0.0)
        async with SqliteJournal(path) as journal:
            row = await journal.get(ACCOUNT, "order-1")
            assert row is not None
            assert row.state is State.UNCONFIRMED
            provisioner = Provisioner(client, journal)
            status = await provisioner.reconcile()
            assert status.counts == {State.DONE: 1}
            again = await provisioner.run("order-1", ANY_NUMBER)
    assert again.sip_phone_number == bought.sip_phone_number
    assert len(box.ledger.purchases) == 1


async def test_an_answer_that_postgres_cannot_take_is_told_with_its_number(
    box: Sandbox, postgres: Server, tmp_path: Path
) -> None:
    box.latency = (0.5, 0.5)
    async with client_for(box, deadline=2.0) as client, postgres.journal(tmp_path) as journal:
        provisioner = Provisioner(client, journal)
        call = asyncio.create_task(provisioner.run("order-1", ANY_NUMBER))
        await until_sending(journal)
        with table_locked(postgres, tmp_path):
            begun = time.monotonic()
            error = await error_of(call)
            assert time.monotonic() - begun < AFTER_IT
        (number,) = box.ledger.owned()
        assert isinstance(error, JournalError)
        assert error.committed == "yes"
        assert f"it was carried out ({number}), and that could not be stored" in str(error)
        await until_free(journal)
    async with client_for(box) as client, postgres.journal(tmp_path) as journal:
        later = Provisioner(client, journal)
        row = await journal.get(ACCOUNT, "order-1")
        assert row is not None
        if row.state is State.SENDING:  # the write may have come through since
            await after_the_lease(journal, postgres, tmp_path)
        await later.reconcile()
        assert (await later.run("order-1", ANY_NUMBER)).sip_phone_number == number
    assert len(box.ledger.purchases) == 1


async def after_the_lease(journal: PostgresJournal, postgres: Server, folder: Path) -> None:
    statement = f'UPDATE "{schema_of(folder)}".operations SET lease_until = {journal.now() - 1}'
    postgres.asked(statement)


async def test_a_lost_answer_and_a_locked_journal_are_unknown_and_not_no(
    box: Sandbox, postgres: Server, tmp_path: Path
) -> None:
    box.sigmamind.script("create", [Fault.RESET_AFTER_COMMIT])
    box.latency = (0.5, 0.5)
    async with client_for(box, deadline=2.0) as client, postgres.journal(tmp_path) as journal:
        provisioner = Provisioner(client, journal)
        call = asyncio.create_task(provisioner.run("order-1", ANY_NUMBER))
        await until_sending(journal)
        with table_locked(postgres, tmp_path):
            error = await error_of(call)
        assert isinstance(error, (JournalError, OutcomeUnknownError))
        assert error.committed == "unknown"
        await until_free(journal)


async def hang_up(connection: connections.Connection, task: asyncio.Future[Any]) -> None:
    """Do as was done before the server was asked to end the statement."""
    connections._shutdown(connection)  # noqa: SLF001 - the control
    await asyncio.wait({task})


@pytest.mark.parametrize("asked", [True, False])
async def test_calls_given_up_leave_no_connection_of_the_server_behind(
    box: Sandbox, postgres: Server, tmp_path: Path, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each waits for the lock, unseen, until the server has no connection left."""
    if not asked:
        monkeypatch.setattr(connections, "_break_off", hang_up)
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        f" AND query LIKE '%{schema_of(tmp_path)}%'"
    )
    async with (
        client_for(box) as client,
        postgres.journal(tmp_path, timeout=0.5, connections=2) as journal,
    ):
        provisioner = Provisioner(client, journal)
        await provisioner.run("order-0", ANY_NUMBER)
        with table_locked(postgres, tmp_path):
            for n in range(1, 6):
                await error_of(provisioner.run(f"order-{n}", ANY_NUMBER))
            assert (postgres.asked(waiting)[0][0] <= 2) is asked
    assert len(box.ledger.purchases) == 1

"""A caller that waits for an operation is woken when its job ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sigmamind_async.errors import ConfigurationError, InvalidRequestError, JournalError
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.sandbox import Fault, Sandbox
from sigmamind_async.workers import Queue, watch
from tests.functional.workers import Database, purchase, until, worker, working

LISTENERS = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
FUNCTION = "SELECT pg_get_functiondef('sigmamind.next_job'::regproc)"


@pytest.fixture(autouse=True)
def _never_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSES", (3600.0, 3600.0))


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as opened:
        yield opened


def listeners(base: Database) -> int:
    return len(base.asked(LISTENERS))


def end_listeners(base: Database) -> None:
    base.asked(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS found")


def silence(base: Database) -> None:
    """Have ends of jobs notify nobody."""
    [(text,)] = base.asked(FUNCTION)
    silent = text.replace("WHEN has_listener THEN", "WHEN false THEN")
    assert silent != text
    base.asked(f"{silent}; SELECT 1")


@asynccontextmanager
async def waiting(
    base: Database, queue: Queue, *op_ids: str
) -> AsyncIterator[list[asyncio.Task[Row]]]:
    """Wait for operations, from before the block begins until it ends."""
    waits = [asyncio.create_task(queue.wait(op_id)) for op_id in op_ids]
    try:
        await until(lambda: listeners(base) == 1)
        async with asyncio.timeout(90):
            yield waits
    finally:
        for each in waits:
            each.cancel()
        await asyncio.wait(waits)


async def carry_out(box: Sandbox, base: Database, queue: Queue, *op_ids: str) -> None:
    """Enqueue purchases, and run a worker until their jobs have ended."""
    await queue.enqueue([(op_id, purchase()) for op_id in op_ids])
    async with working(worker(box, base.dsn)):
        await until(lambda: set(base.jobs) <= {"failed"})


async def test_the_end_of_a_job_wakes_its_caller(
    box: Sandbox, base: Database, queue: Queue
) -> None:
    """Done or refused; nothing but the notification can do it."""
    box.sigmamind.script("create", [None, Fault.STATUS_401])
    async with waiting(base, queue, "order-0", "order-1") as waits:
        await carry_out(box, base, queue, "order-0")
        await carry_out(box, base, queue, "order-1")
        rows = [await each for each in waits]
    assert [row.state for row in rows] == [State.DONE, State.FAILED]


async def test_without_the_notification_it_waits_for_the_next_look(
    box: Sandbox, base: Database, queue: Queue
) -> None:
    """The control: another caller, whose first look is due, sees that it has ended."""
    silence(base)
    async with waiting(base, queue, "order-0") as [wait]:
        await carry_out(box, base, queue, "order-0")
        assert (await queue.wait("order-0")).state is State.DONE
        assert not wait.done()


async def test_all_callers_share_a_connection(box: Sandbox, base: Database, queue: Queue) -> None:
    op_ids = [f"order-{number}" for number in range(100)]
    async with waiting(base, queue, *op_ids, *op_ids) as waits:
        await carry_out(box, base, queue, *op_ids)
        rows = [await each for each in waits]
    assert [row.op_id for row in rows] == op_ids * 2


async def test_a_lost_connection_is_replaced(box: Sandbox, base: Database, queue: Queue) -> None:
    """What ended while nobody listened is looked at then."""
    silence(base)
    async with waiting(base, queue, "order-0") as [wait]:
        await carry_out(box, base, queue, "order-0")
        end_listeners(base)
        assert (await wait).state is State.DONE


async def test_a_database_may_be_away_for_a_moment(
    box: Sandbox, base: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer, all callers get the error; one that comes then gets it at once."""
    monkeypatch.setattr(watch, "PATIENCE", 3600.0)
    async with waiting(base, queue, "order-0") as [wait]:
        base.server.asked(f"ALTER DATABASE {base.name} ALLOW_CONNECTIONS false")
        base.server.asked(ENDED.format(base.name))
        await asyncio.sleep(2 * watch.RECONNECT_AFTER)
        base.server.asked(f"ALTER DATABASE {base.name} ALLOW_CONNECTIONS true")
        await until(lambda: listeners(base) == 1)
        await carry_out(box, base, queue, "order-0")
        assert (await wait).state is State.DONE

    monkeypatch.setattr(watch, "PATIENCE", 0.1)
    async with waiting(base, queue, "order-1", "order-2") as waits:
        base.server.asked(f"ALTER DATABASE {base.name} ALLOW_CONNECTIONS false")
        base.server.asked(ENDED.format(base.name))
        for each in waits:
            with pytest.raises(JournalError, match="not currently accepting connections"):
                await each
        with pytest.raises(JournalError, match="not currently accepting connections"):
            await queue.wait("order-0")


async def test_no_connection_is_left_by_a_timeout_or_a_cancellation(
    base: Database, queue: Queue
) -> None:
    """Nor a task; as long as one caller waits, the connection stays."""
    tasks = asyncio.all_tasks()
    async with waiting(base, queue, "order-0") as [wait]:
        with pytest.raises(TimeoutError):
            await queue.wait("order-1", timeout=0.01)
        assert listeners(base) == 1
        wait.cancel()
    assert asyncio.all_tasks() == tasks
    await until(lambda: listeners(base) == 0)
    with pytest.raises(TimeoutError):
        await queue.wait("order-1", timeout=0.01)
    assert asyncio.all_tasks() == tasks
    await until(lambda: listeners(base) == 0)


async def test_an_operation_that_cannot_be_is_not_waited_for(queue: Queue) -> None:
    """It would disturb the callers that share its look."""
    with pytest.raises(InvalidRequestError, match="op_id: must be"):
        await queue.wait("order\0")
    with pytest.raises(ConfigurationError, match="account: must be"):
        await queue.wait("order-0", account="\ud800")

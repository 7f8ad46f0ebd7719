"""Workers that are told to end, cut off or frozen, and jobs that come more than once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from sigmamind_async.provisioning import State
from sigmamind_async.sandbox import Fault, Faults, Sandbox
from sigmamind_async.workers import Queue, Worker, connector
from sigmamind_async.workers.connector import WorkerConnector
from tests.functional.relay import Relay, relay_to
from tests.functional.workers import (
    EVERY_SECOND,
    NEVER,
    Database,
    account,
    purchase,
    settled,
    until,
    worker,
    working,
)
from tests.harness import preloaded
from tests.harness.consumer import bare
from tests.harness.postgres import Server, running

ORDER = ("order-1", purchase())
STALLED = (
    "UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL"
    " WHERE task_name = 'sigmamind:provision' RETURNING id"
)

PROCESS = """
import asyncio, os, signal, sys
from functools import partial
from sigmamind_async import SigmaMind
from sigmamind_async.transport import AiohttpOptions, AiohttpTransport
from sigmamind_async.workers import Account, Worker

url, key, dsn, concurrency, attempt, freeze = sys.argv[1:]

class Freezing(AiohttpTransport):
    "Stops the process for as long as another process wants, when everything is decided."

    async def send(self, outgoing, mark, seconds):
        if outgoing.method == "POST":
            os.kill(os.getpid(), signal.SIGSTOP)
        return await super().send(outgoing, mark, seconds)

async def main():
    options = {"transport": Freezing(AiohttpOptions(connect_timeout=5.0, max_connections=9), None)}
    client = partial(
        SigmaMind, key, base_url=url, attempt_timeout=float(attempt),
        **(options if freeze == "freeze" else {}),
    )
    accounts = [Account(client, settle_time=0.5, retry_unconfirmed=True, release_duplicates=True)]
    often = "* * * * * *"
    await Worker(
        accounts, dsn, concurrency=int(concurrency), polling=0.1, heartbeat=0.5,
        reconcile=often, sweep=often, retry_stalled=often,
    ).run()

asyncio.run(main())
"""


LOST = """
CREATE SEQUENCE ends;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('ends') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER lose BEFORE DELETE ON procrastinate_jobs FOR EACH ROW
    WHEN (OLD.task_name = 'sigmamind:provision') EXECUTE FUNCTION lose()
"""
"""Breaks the connection on which a worker says that its job has ended, the first time."""
FORGOTTEN = """
INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id)
SELECT 'sigmamind/sigmamind', 'sigmamind:provision',
    '{"account": "sigmamind", "op_id": "order-1"}', 'doing', max(id) FROM procrastinate_workers
"""
"""Has the database take the job for running, as it does when it forgets what it has confirmed."""
LOOKING = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status) VALUES (
    'sigmamind/sigmamind', 'sigmamind:retry_stalled',
    'sigmamind/sigmamind retry_stalled', 'sigmamind/sigmamind retry_stalled',
    '{"account": "sigmamind", "timestamp": 0}', 'doing'
)
"""
"""What a worker leaves that dies while it looks for stalled jobs, if such jobs were locked."""
LOCKED = """
CREATE FUNCTION locked() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN NEW.lock = NEW.queueing_lock; RETURN NEW; END';
CREATE TRIGGER locked BEFORE INSERT ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.task_name = 'sigmamind:retry_stalled') EXECUTE FUNCTION locked()
"""
"""Lets only one such job run at a time, as of the others that look after things."""


@contextmanager
def process(
    box: Sandbox, base: Database, *, concurrency: int = 10, attempt: float = 5.0, freeze: str = ""
) -> Generator[subprocess.Popen[bytes]]:
    """Run a worker in a process of its own; it ends with the block at the latest."""
    said = [box.sigmamind.base_url, box.sigmamind.api_key, base.dsn]
    arguments = [*said, str(concurrency), str(attempt), freeze]
    with preloaded.Popen([sys.executable, "-c", PROCESS, *arguments]) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def hands(count: int, box: Sandbox, base: Database) -> Generator[None]:
    """Run several of them, each of which gives up soon what another one is sending."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(process(box, base, attempt=0.5))
        yield


# ---------------------------------------------------------------- the end of a worker


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_stopped_settles_what_is_under_way(
    base: Database, queue: Queue, ending: signal.Signals
) -> None:
    """It takes no more jobs: those are left, planned, for the next one."""
    async with Sandbox(latency=(0.5, 0.5)) as box:
        await queue.enqueue([(f"row-{number}", purchase()) for number in range(30)])
        with process(box, base, concurrency=5) as running:
            await until(lambda: State.SENDING in base.states.values())
            running.send_signal(ending)
            assert await asyncio.to_thread(running.wait, 30) == 0
        states = list(base.states.values())
        assert set(states) == {State.DONE, State.PLANNED}
        assert base.jobs == ["todo"] * states.count(State.PLANNED)
        assert len(box.ledger.purchases) == states.count(State.DONE)
    assert base.asked("SELECT count(*) FROM procrastinate_workers") == [(0,)]


async def test_a_worker_that_is_killed_settles_nothing(base: Database, queue: Queue) -> None:
    """What the signals before are compared with."""
    async with Sandbox(latency=(0.5, 0.5)) as box:
        await queue.enqueue([(f"row-{number}", purchase()) for number in range(30)])
        with process(box, base, concurrency=5) as running:
            await until(lambda: State.SENDING in base.states.values())
            running.kill()
            await asyncio.to_thread(running.wait, 30)
        assert State.SENDING in base.states.values()
        assert "doing" in base.jobs


async def test_what_takes_too_long_is_cut_short_and_taken_over(
    base: Database, queue: Queue
) -> None:
    """It may have been bought: it is written down as unconfirmed, and its job waits for others."""
    async with Sandbox(faults=Faults(hang=30.0)) as box:
        box.sigmamind.script("create", [Fault.HANG_AFTER_COMMIT])
        await queue.enqueue([ORDER])
        served = account(box, client={"attempt_timeout": 20.0})
        async with working(worker(box, base.dsn, served=served, grace=0.1)):
            await until(lambda: State.SENDING in base.states.values())
            await until(lambda: len(box.ledger.purchases) == 1)
        assert (base.states, base.jobs) == ({"order-1": State.UNCONFIRMED}, ["todo"])
        async with working(worker(box, base.dsn, reconcile=EVERY_SECOND)):
            await settled(base, State.DONE)
        assert len(box.ledger.purchases) == 1


# ---------------------------------------------------------------- more than once


async def deliver_ten_times(base: Database, queue: Queue, count: int) -> None:
    rows = [(f"row-{number}", purchase()) for number in range(count)]
    await queue.enqueue(rows)
    app = App(connector=PsycopgConnector(conninfo=base.dsn))
    async with app.open_async():
        again = app.configure_task("sigmamind:provision", queue="sigmamind/sigmamind")
        deliveries: list[JSONDict] = [{"account": "sigmamind", "op_id": op_id} for op_id, _ in rows]
        await again.batch_defer_async(*deliveries * 9)


@pytest.mark.usefixtures("unmeasured")
async def test_ten_deliveries_are_one_purchase(base: Database, queue: Queue) -> None:
    """On four workers, at the same time and later."""
    async with Sandbox(latency=(0.01, 0.05)) as box:
        await deliver_ten_times(base, queue, 20)
        with hands(4, box, base):
            await until(lambda: base.jobs == [])
        assert set(base.states.values()) == {State.DONE}
        assert len(box.ledger.purchases) == 20


async def test_without_the_journal_ten_deliveries_are_ten(base: Database, queue: Queue) -> None:
    async with Sandbox() as box:
        await deliver_ten_times(base, queue, 2)
        running = worker(box, base.dsn)
        running.context.accounts = bare(running.context.accounts)
        async with working(running):
            await until(lambda: base.jobs == [])
        assert len(box.ledger.purchases) == 20


async def left_behind(base: Database, queue: Queue) -> int:
    """Leave a job as a worker does that dies at it; return its number."""
    await queue.enqueue([ORDER])
    [(stalled,)] = base.asked(STALLED)
    return int(stalled)


async def test_a_job_of_a_worker_that_is_gone_is_handed_on(base: Database, queue: Queue) -> None:
    async with Sandbox() as box:
        await left_behind(base, queue)
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
            await settled(base, State.DONE)


async def test_a_stalled_job_makes_way_for_one_that_waits(base: Database, queue: Queue) -> None:
    """Both would be waiting for the same operation, of which the queue allows one."""
    async with Sandbox() as box:
        stalled = await left_behind(base, queue)
        base.asked(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)"
            " SELECT queue_name, task_name, queueing_lock, args FROM procrastinate_jobs"
        )
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
            await until(lambda: base.jobs == [])
        assert base.states == {"order-1": State.DONE}
        assert len(box.ledger.purchases) == 1
    assert stalled == 1


async def test_a_worker_that_dies_looking_for_stalled_jobs_holds_up_no_other(
    base: Database, queue: Queue
) -> None:
    """Else nothing that a dead worker has left would be taken over ever again."""
    async with Sandbox() as box:
        await left_behind(base, queue)
        base.asked(LOOKING)
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
            await settled(base, State.DONE)


async def test_if_only_one_might_look_all_would_be_held_up(base: Database, queue: Queue) -> None:
    async with Sandbox() as box:
        await left_behind(base, queue)
        base.asked(LOOKING)
        base.asked(LOCKED)
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
            await asyncio.sleep(3.0)
        assert base.states == {"order-1": State.PLANNED}


# ---------------------------------------------------------------- too late


async def test_what_came_late_is_found_and_released(base: Database, queue: Queue) -> None:
    """The platform commits after the settle_time: a sweep finds it, and nothing else does."""
    async with Sandbox(faults=Faults(late=3.0)) as box:
        box.sigmamind.script("create", [Fault.LATE_COMMIT])
        await queue.enqueue([ORDER])
        served = account(box, settle_time=0.1, retry_unconfirmed=True, release_duplicates=True)
        async with working(worker(box, base.dsn, served=served, reconcile=EVERY_SECOND)):
            await settled(base, State.DONE)
            await until(lambda: len(box.ledger.purchases) == 2)
            await asyncio.sleep(1.2)
            assert len(box.ledger.owned()) == 2
        async with working(worker(box, base.dsn, served=served, sweep=EVERY_SECOND)):
            await until(lambda: len(box.ledger.owned()) == 1)
        assert base.states == {"order-1": State.DONE}


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
async def test_a_worker_that_wakes_up_too_late_is_found_out(base: Database, queue: Queue) -> None:
    """It is frozen between its last look at the journal and its request; others have gone on.

    No client can prevent that purchase. Within two sweeps it is found and released.
    """
    async with Sandbox() as box:
        await queue.enqueue([ORDER])
        with process(box, base, attempt=0.3, freeze="freeze") as sleeper:
            await until(lambda: State.SENDING in base.states.values())
            with process(box, base, attempt=0.3):
                await settled(base, State.DONE)
                assert len(box.ledger.purchases) == 1
                sleeper.send_signal(signal.SIGCONT)
                await until(lambda: len(box.ledger.purchases) == 2)
                await until(lambda: len(box.ledger.owned()) == 1)
                await until(lambda: base.states == {"order-1": State.DONE})


# ---------------------------------------------------------------- without its database


async def test_a_worker_that_is_cut_off_comes_back(
    postgres: Server, base: Database, queue: Queue
) -> None:
    """It sends nothing meanwhile, and goes on by itself once the database is there again."""
    async with Sandbox(latency=(0.02, 0.02)) as box, relay_to(postgres) as relay:
        await queue.enqueue([(f"row-{number}", purchase()) for number in range(200)])
        async with working(cut_off(box, relay, base)):
            await until(lambda: State.DONE in base.states.values())
            relay.cut()
            await asyncio.sleep(0.5)
            bought = len(box.ledger.purchases)
            await asyncio.sleep(1.0)
            assert len(box.ledger.purchases) == bought < 200
            relay.refusing = False
            await until(lambda: set(base.states.values()) == {State.DONE})
            await until(lambda: base.jobs == [])
        assert len(box.ledger.purchases) == 200


async def test_a_job_whose_end_was_not_heard_of_is_handed_on(base: Database, queue: Queue) -> None:
    """The worker cannot know whether it was: it begins anew under another name."""
    async with Sandbox() as box:
        await queue.enqueue([ORDER])
        base.asked(LOST)
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
            await until(lambda: base.jobs == [])
        assert base.states == {"order-1": State.DONE}
        assert len(box.ledger.purchases) == 1


async def test_a_worker_that_went_on_as_before_would_keep_its_job(
    base: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerConnector, "_report_loss", lambda _: nullcontext())
    monkeypatch.setattr(WorkerConnector, "_check_held", lambda *_: asyncio.sleep(0))
    monkeypatch.setattr(connector, "FLUSH_DELAY", 0.0)
    base.asked(LOST)
    kept: list[str] = []
    async with Sandbox() as box:
        for number in range(5):
            base.asked("ALTER SEQUENCE ends RESTART")
            await queue.enqueue([(f"order-{number}", purchase())])
            async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND)):
                await settled(base, State.DONE)
                await asyncio.sleep(4.0)
                kept = base.jobs
            # A busy one may notice the loss with its next fetch, and starts again.
            if kept:
                break
    assert kept == ["doing"]


async def test_a_job_whose_end_the_server_has_forgotten_is_run_again(
    base: Database, queue: Queue
) -> None:
    """Behind a pooler no connection breaks; the worker asks which jobs it is taken to run."""
    async with Sandbox() as box:
        await queue.enqueue([ORDER])
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND, heartbeat=0.2)):
            await until(lambda: base.states["order-1"] is State.DONE and base.jobs == [])
            base.asked(FORGOTTEN)
            await until(lambda: base.jobs == [])
        assert len(box.ledger.purchases) == 1


async def test_a_worker_that_did_not_ask_would_keep_its_job(
    base: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerConnector, "_check_held", lambda *_: asyncio.sleep(0))
    async with Sandbox() as box:
        await queue.enqueue([ORDER])
        async with working(worker(box, base.dsn, retry_stalled=EVERY_SECOND, heartbeat=0.2)):
            await until(lambda: base.states["order-1"] is State.DONE and base.jobs == [])
            base.asked(FORGOTTEN)
            await asyncio.sleep(2.5)
            assert base.jobs == ["doing"]


@pytest.mark.parametrize(("has_journal", "purchases"), [(True, 1), (False, 2)])
async def test_a_crash_that_forgets_an_end_leads_to_no_second_purchase(
    has_journal: bool, purchases: int
) -> None:
    """A server of its own, which must crash. Without the journal it is bought again."""
    with running() as server:
        base = Database(server, "postgres")
        queue = Queue(base.dsn)
        await queue.prepare()
        await queue.enqueue([ORDER])
        async with Sandbox(latency=(0.3, 0.3)) as box, AsyncExitStack() as stack:

            async def start_worker(retry_stalled: str) -> None:
                made = worker(box, base.dsn, retry_stalled=retry_stalled)
                if not has_journal:
                    made.context.accounts = bare(made.context.accounts)
                await stack.enter_async_context(working(made))

            await start_worker(NEVER)
            await until(lambda: base.jobs == ["doing"])
            with server.connected(base.name) as other, other.transaction():
                other.execute("SELECT FROM procrastinate_jobs FOR UPDATE")
                await until(lambda: len(box.ledger.purchases) == 1)
                await until(lambda: not has_journal or base.states["order-1"] is State.DONE)
                base.asked("CREATE TABLE what_is_on_the_disk ()")
            await until(lambda: base.jobs == [])
            server.stop("immediate")
            server.start()
            assert base.jobs == ["doing"]
            await start_worker(EVERY_SECOND)
            await until(lambda: base.jobs == [])
            assert len(box.ledger.purchases) == purchases


def cut_off(box: Sandbox, relay: Relay, base: Database) -> Worker:
    """Return a worker that reaches its database through *relay*."""
    dsn = relay.dsn.replace("/postgres?", f"/{base.name}?")
    # What was claimed in the moment of the cut and not sent is sent again after a settle time.
    served = account(box, settle_time=3.0, retry_unconfirmed=True)
    return worker(box, dsn, served=served, retry_stalled=EVERY_SECOND, reconcile=EVERY_SECOND)

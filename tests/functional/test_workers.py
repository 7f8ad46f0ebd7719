"""What workers do with what is enqueued: each of it once, whatever comes twice, late or not at all.

With many workers, kills and faults drawn by lot: `test_workers_kill`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.errors import APIConnectionError
from sigmamind_async.events import CallFinished, OperationChanged
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.platforms.dialnexa import PurchasePhoneNumber
from sigmamind_async.platforms.sigmamind import (
    CreatePhoneNumber,
    GetPhoneNumber,
    ImportPhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.provisioning import PostgresJournal, Provisioner, State
from sigmamind_async.provisioning.row import Row
from sigmamind_async.sandbox import Fault, Sandbox, Switches
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import SecretReference
from sigmamind_async.workers import Queue, WorkerContext
from sigmamind_async.workers import worker as workers
from tests.functional.support import NUMBER, ONCE
from tests.functional.workers import (
    EVERY_SECOND,
    Database,
    account,
    purchase,
    settled,
    until,
    worker,
    working,
)
from tests.harness.ports import closed_port

ORDER = ("order-1", purchase())
TRUNK_PASSWORD = "canary-trunk-2b9e41"
TRUNK = {"termination_sip_uri": "trunk.example.com", "trunk_username": "user"}
IMPORT = (
    "import-1",
    ImportPhoneNumber(
        phone_number=NUMBER,
        trunk_password=SecretReference("env:TRUNK"),
        **TRUNK,
    ),
)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as opened:
        yield opened


def renamed(name: str) -> UpdatePhoneNumber:
    return UpdatePhoneNumber(phone_number=NUMBER, friendly_name=name)


# ---------------------------------------------------------------- what comes of it


async def test_what_is_enqueued_is_carried_out(base: Database, queue: Queue, box: Sandbox) -> None:
    """Before and while a worker runs; the row keeps the result, and no job is left."""
    await queue.enqueue([ORDER])
    async with working(worker(box, base.dsn)):
        await queue.enqueue([("order-2", purchase())])
        await settled(base, State.DONE)
        rows = await queue.enqueue([ORDER, ("order-2", purchase())])
    assert {row.phone_number for row in rows} == set(box.ledger.owned())
    assert [row.state for row in rows] == [State.DONE, State.DONE]
    assert base.jobs == []


async def test_observers_and_the_log_follow_an_operation_through_queue_and_worker(
    base: Database, box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    enqueued: list[Any] = []
    seen: list[Any] = []
    with caplog.at_level(logging.INFO, logger="sigmamind_async"):
        await Queue(base.dsn, observer=enqueued.append).enqueue([ORDER])
        async with working(worker(box, base.dsn, observer=seen.append)):
            await settled(base, State.DONE)

    assert [(each.op_id, each.before, each.state) for each in enqueued] == [
        ("order-1", "", "planned")
    ]
    changes = [each for each in seen if isinstance(each, OperationChanged)]
    assert [(each.op_id, each.state) for each in changes] == [("order-1", "done")]
    calls = [each for each in seen if isinstance(each, CallFinished)]
    assert [(each.operation, each.op_id) for each in calls if each.op_id] == [
        ("sigmamind.create_phone_number", "order-1")
    ]
    line: Any
    [line] = [each for each in caplog.records if hasattr(each, "worker")]
    assert (line.account, line.op_id) == ("sigmamind", "order-1")
    assert line.getMessage() == f"{line.worker} sigmamind order-1: done"


async def test_a_worker_leaves_other_accounts_alone(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """Whose keys it does not have; others may serve them."""
    await queue.enqueue(
        [
            (
                "dialnexa-1",
                PurchasePhoneNumber(
                    phone_number=NUMBER, telephony_provider_id="tp_12345678901", country_iso="US"
                ),
            )
        ]
    )
    await queue.enqueue([ORDER], account="north")
    await queue.enqueue([("order-2", purchase())])
    async with working(worker(box, base.dsn)):
        await until(lambda: base.states["order-2"] is State.DONE)
    assert base.states == {
        "dialnexa-1": State.PLANNED,
        "order-1": State.PLANNED,
        "order-2": State.DONE,
    }
    assert base.jobs == ["todo", "todo"]


async def test_a_gate_is_made_for_each_account(base: Database, box: Sandbox) -> None:
    """It is given the account's name and the journal, as what is shared by many workers needs."""
    asked: list[tuple[str, PostgresJournal]] = []
    gate = Gate()

    def gate_for(name: str, journal: PostgresJournal) -> Gate:
        asked.append((name, journal))
        return gate

    context = WorkerContext([account(box, label="north")], base.dsn, gate=gate_for)
    assert asked == [("sigmamind:north", context.journal)]
    client = context.account("sigmamind:north").provisioner.client
    assert client.runner.engine.gate is gate


async def test_what_is_refused_fails_and_is_not_tried_again(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """The job has failed, the row says why; enqueued once more, it is tried once more."""
    box.sigmamind.script("create", [Fault.STATUS_401])
    await queue.enqueue([ORDER])
    async with working(worker(box, base.dsn)):
        await settled(base, State.FAILED)
        await until(lambda: base.jobs == ["failed"])
        [row] = await queue.enqueue([ORDER])
        assert row.state is State.PLANNED
        await settled(base, State.DONE)
    assert len(box.ledger.purchases) == 1


async def test_what_is_found_out_here_fails_too(base: Database, queue: Queue, box: Sandbox) -> None:
    """Nothing was sent, so the platform has said nothing: the row must not wait for ever."""
    await queue.enqueue([("order-1", purchase()), ("order-2", purchase())])
    served = account(box, max_purchases=1)
    async with working(worker(box, base.dsn, served=served, concurrency=1)):
        await settled(base, State.DONE, State.FAILED)
    [_, row] = await queue_rows(base)
    assert (row.state, base.jobs) == (State.FAILED, ["failed"])
    assert "it would be one purchase more than the 1 that are allowed" in row.error


async def test_what_cannot_be_settled_is_left_to_an_operator(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """Its job ends; told to be sent again it gets another one from the next reconciliation."""
    box.sigmamind.script("create", [Fault.RESET_BEFORE_COMMIT])
    await queue.enqueue([ORDER])
    served = account(box, settle_time=0.5)
    running = worker(box, base.dsn, served=served, reconcile=EVERY_SECOND)
    async with working(running):
        await settled(base, State.NEEDS_DECISION)
        await until(lambda: base.jobs in ([], ["failed"]))
        await running.context.account("sigmamind").provisioner.retry_unconfirmed("order-1")
        await settled(base, State.DONE)
    assert len(box.ledger.purchases) == 1


async def test_an_operator_need_not_wait_for_the_settle_time(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """Who knows better ends it, and the job that it has put off for a quarter hour runs."""
    box.sigmamind.script("create", [Fault.RESET_BEFORE_COMMIT])
    await queue.enqueue([ORDER])
    running = worker(box, base.dsn, reconcile=EVERY_SECOND)
    async with working(running), PostgresJournal(base.dsn) as journal:
        await until(lambda: base.states["order-1"] is State.UNCONFIRMED and base.jobs == ["todo"])
        async with account(box).client() as client:
            person = Provisioner(client, journal, settle_time=0.0)
            while base.states["order-1"] is State.UNCONFIRMED:
                await person.reconcile()
            await person.retry_unconfirmed("order-1")
        await settled(base, State.DONE)
    assert len(box.ledger.purchases) == 1


async def test_a_cancelled_job_is_not_made_anew(base: Database, queue: Queue, box: Sandbox) -> None:
    """Whoever cancels it in the queue does not want it to be carried out."""
    await queue.enqueue([ORDER, ("order-2", purchase())])
    base.asked("UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = 1")
    base.asked("DELETE FROM procrastinate_jobs WHERE id = 2")
    async with working(worker(box, base.dsn, reconcile=EVERY_SECOND)):
        await until(lambda: base.states["order-2"] is State.DONE)
    assert base.states["order-1"] is State.PLANNED


async def test_what_others_plan_in_the_journal_is_not_taken_up(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """A script of one's own, which could not reach the platform, decides itself when to go on."""
    async with (
        PostgresJournal(base.dsn) as journal,
        SigmaMind("key", base_url=f"http://127.0.0.1:{closed_port()}", retry=ONCE) as client,
    ):
        provisioner = Provisioner(client, journal)
        with pytest.raises(APIConnectionError):
            await provisioner.run("mine-1", purchase())
    assert base.states == {"mine-1": State.PLANNED}
    await queue.enqueue([ORDER])
    base.asked("DELETE FROM procrastinate_jobs")
    async with working(worker(box, base.dsn, reconcile=EVERY_SECOND)):
        await until(lambda: base.states["order-1"] is State.DONE)
    assert base.states["mine-1"] is State.PLANNED


async def queue_rows(base: Database) -> list[Row]:
    async with PostgresJournal(base.dsn, read_only=True) as journal:
        return await journal.in_states("sigmamind", list(State))


# ---------------------------------------------------------------- cleaning up

FAILED = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status)
    SELECT 'sigmamind/' || account, 'sigmamind:provision', status::procrastinate_job_status
    FROM (VALUES ('sigmamind', 'failed'), ('sigmamind', 'failed'), ('sigmamind', 'cancelled'),
        ('verbex', 'failed')) AS made (account, status);
INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'failed', now() - make_interval(days => CASE id WHEN 2 THEN 6 ELSE 8 END)
    FROM procrastinate_jobs
"""
LEFT = "SELECT id FROM procrastinate_jobs WHERE task_name = 'sigmamind:provision' ORDER BY id"


async def test_failed_jobs_are_kept_for_a_week(base: Database, queue: Queue, box: Sandbox) -> None:
    """Those of the worker's own accounts, and no cancelled one, which says not to run it again."""
    assert await queue.journal_id()
    base.asked(FAILED)
    async with working(worker(box, base.dsn, sweep=EVERY_SECOND)):
        await until(lambda: base.asked(LEFT) == [(2,), (3,), (4,)])


async def test_a_transaction_that_slows_the_queue_down_is_logged(
    base: Database,
    queue: Queue,
    box: Sandbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await queue.journal_id()
    monkeypatch.setattr(workers, "LONG_TRANSACTION", 0.0)
    with base.server.connected(base.name) as other:
        other.execute("SET application_name = 'a dump'")
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        async with working(worker(box, base.dsn, sweep=EVERY_SECOND)):
            await until(lambda: "a transaction of 'a dump'" in caplog.text)


# ---------------------------------------------------------------- one number, one at a time


async def test_changes_of_one_number_are_made_one_after_the_other(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """In the order in which they were enqueued, however many workers there are."""
    box.latency = (0.02, 0.02)
    async with account(box).client() as client:
        await client.run(CreatePhoneNumber(phone_number=NUMBER))
    names = [f"name-{step}" for step in range(8)]
    await queue.enqueue([(name, renamed(name)) for name in names])
    async with working(worker(box, base.dsn)), working(worker(box, base.dsn)):
        await settled(base, State.DONE)
    written = [commit.friendly_name for commit in box.ledger.of_kind("update")]
    assert written == names


# ---------------------------------------------------------------- secrets


async def test_no_secret_reaches_the_database(
    base: Database, queue: Queue, box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the tables of journal and queue, nor any file of the server, nor the logs.

    The platform repeats the password in its answers, and refuses a second import in between.
    """
    caplog.set_level(logging.DEBUG)
    box.switches = Switches(echo_secrets=True)
    again = ImportPhoneNumber(
        phone_number="+14155550101",
        trunk_password=SecretReference("env:TRUNK"),
        **TRUNK,
    )
    await queue.enqueue([IMPORT, ("import-2", again)])
    box.sigmamind.script("import", [Fault.RESET_AFTER_COMMIT, Fault.STATUS_401])
    secrets = SecretResolver(environment={"TRUNK": TRUNK_PASSWORD})
    served = account(box, settle_time=0.5)
    running = worker(box, base.dsn, served=served, secrets=secrets, reconcile=EVERY_SECOND)
    async with working(running):
        await settled(base, State.DONE, State.FAILED)
        async with served.client() as client:
            [done] = [row for row in await queue_rows(base) if row.state is State.DONE]
            shown = await client.run_raw(GetPhoneNumber(phone_number=done.phone_number))
    assert TRUNK_PASSWORD.encode() in shown.body
    held = base.dumped() + caplog.text
    assert "env:TRUNK" in held
    for secret in (TRUNK_PASSWORD, box.sigmamind.api_key):
        assert secret not in held
        assert not base.server.holds(secret)
    assert base.server.holds("env:TRUNK")


async def test_a_worker_reads_only_what_it_may(
    base: Database,
    queue: Queue,
    box: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The caller names what is read. Control: with ``SecretResolver()`` all but the pipe are."""
    (tmp_path / "trunk").write_text(TRUNK_PASSWORD)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("TRUNK_PASSWORD", TRUNK_PASSWORD)
    monkeypatch.setenv("SIGMAMIND_API_KEY", "canary-key")
    wanted = ["env:TRUNK_PASSWORD", "env:SIGMAMIND_API_KEY", f"file:{tmp_path}/trunk"]

    def imported(at: int, reference: str) -> tuple[str, ImportPhoneNumber]:
        secret = SecretReference(reference)
        number = f"+1415555010{at}"
        return reference, ImportPhoneNumber(phone_number=number, trunk_password=secret, **TRUNK)

    await queue.enqueue(imported(at, each) for at, each in enumerate(wanted))
    async with working(worker(box, base.dsn)):
        await settled(base, State.DONE, State.FAILED)
    assert [base.states[each] for each in wanted] == [State.DONE, State.FAILED, State.FAILED]
    assert "canary" not in str([row.error for row in await queue_rows(base)])

    more = [f"file:{tmp_path}/pipe", f"file:{tmp_path}/../{tmp_path.name}/trunk"]
    await queue.enqueue(imported(5 + at, each) for at, each in enumerate(more))
    async with working(worker(box, base.dsn, secrets=SecretResolver(folders=[tmp_path]))):
        await settled(base, State.DONE, State.FAILED)
    assert [base.states[each] for each in more] == [State.FAILED, State.DONE]


async def test_a_secret_that_cannot_be_had_fails_and_names_the_reference(
    base: Database, queue: Queue, box: Sandbox
) -> None:
    """Enqueued again once it is there, the import is made."""
    await queue.enqueue([IMPORT])
    environment: dict[str, str] = {}
    running = worker(box, base.dsn, secrets=SecretResolver(environment=environment))
    async with working(running):
        await settled(base, State.FAILED)
        [row] = await queue_rows(base)
        assert row.error == "env:TRUNK: set the variable TRUNK; it is missing or empty"
        environment["TRUNK"] = TRUNK_PASSWORD
        await until(lambda: base.jobs == ["failed"])
        await queue.enqueue([IMPORT])
        await settled(base, State.DONE)


# ---------------------------------------------------------------- an account that is refused


async def test_an_account_that_cannot_pay_is_paused_until_it_can(
    base: Database,
    queue: Queue,
    box: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of 200 purchases a few fail, and the others are carried out once there is money.

    The control, a worker whose accounts never rest, let 166 fail.
    """
    monkeypatch.setattr("sigmamind_async.workers.context.FIRST_PAUSE", 5.0)
    box.switches = Switches(max_purchases=5)
    await queue.enqueue([(f"order-{n}", purchase()) for n in range(200)])
    async with working(worker(box, base.dsn, concurrency=5)):
        await until(lambda: "so the others wait" in caplog.text)
        await asyncio.sleep(2.0)  # the others would fail meanwhile
        box.switches = Switches()
        await settled(base, State.DONE, State.FAILED)

    failed = [*base.states.values()].count(State.FAILED)
    assert 3 <= failed < 60
    assert len(box.ledger.purchases) == 200 - failed
    assert "402" in caplog.text

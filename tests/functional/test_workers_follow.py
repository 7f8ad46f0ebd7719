"""A fleet that workers carry out and this process follows; the platform's ledger is the judge."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest

from sigmamind_async import DialNexa, SigmaMind, fleet
from sigmamind_async.bulk import Outcome
from sigmamind_async.errors import (
    ConfigurationError,
    InsufficientFundsError,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
)
from sigmamind_async.platforms.dialnexa import PurchasePhoneNumber
from sigmamind_async.platforms.sigmamind import (
    CreatePhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
)
from sigmamind_async.provisioning import PostgresJournal, Row, State
from sigmamind_async.sandbox import Fault, Sandbox, Switches
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import SecretReference
from sigmamind_async.workers import Account, FollowedRun, Queue, WorkerProvisioner
from sigmamind_async.workers import follow as following
from sigmamind_async.workers.enqueue import JournalTransaction
from tests.functional.fleets import bought
from tests.functional.support import FAST, NUMBER
from tests.functional.workers import EVERY_SECOND, Database, purchase, until, worker, working
from tests.harness.postgres import running

DESKS = fleet.Fleet(
    rows=[bought(f"row-{each}", "sigmamind", label=f"Desk {each}") for each in range(6)]
)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as opened:
        yield opened


@pytest.fixture
async def client(box: Sandbox) -> AsyncIterator[SigmaMind]:
    """Yield the client of the process that follows; a short patience."""
    url = box.sigmamind.base_url
    async with SigmaMind(box.sigmamind.api_key, base_url=url, retry=FAST, deadline=2.0) as opened:
        yield opened


@pytest.fixture
async def journal(base: Database) -> AsyncIterator[PostgresJournal]:
    async with PostgresJournal(base.dsn) as opened:
        yield opened


@pytest.fixture
def provisioner(client: SigmaMind, queue: Queue, journal: PostgresJournal) -> WorkerProvisioner:
    return WorkerProvisioner(client, queue, journal)


async def planned(provisioner: WorkerProvisioner, wanted: fleet.Fleet = DESKS) -> fleet.Plan:
    clients = {provisioner.client.platform.name: provisioner.client}
    return fleet.plan(wanted, await fleet.refresh(wanted, clients, provisioner.journal))


async def applied(
    provisioner: WorkerProvisioner, wanted: fleet.Fleet = DESKS, **options: Any
) -> fleet.Result:
    return await fleet.apply(await planned(provisioner, wanted), [provisioner], **options)


def labels(box: Sandbox) -> list[str]:
    """Return the labels of all numbers that were bought, without their tags."""
    return sorted(str(each.friendly_name).partition(" [")[0] for each in box.ledger.purchases)


def purchases(count: int) -> list[tuple[str, CreatePhoneNumber]]:
    return [(f"order-{each}", purchase(f"Desk {each}")) for each in range(count)]


async def ended(run: FollowedRun[Any]) -> dict[str, Outcome[Any, Any]]:
    """Return every outcome by op_id; there is one for each."""
    outcomes = [outcome async for outcome in run]
    by_id = {outcome.op_id or "": outcome for outcome in outcomes}
    assert len(by_id) == len(outcomes) == run.progress.finished
    return by_id


# ---------------------------------------------------------------- a fleet


async def test_workers_carry_a_fleet_out(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """Each row once; applied again, nothing is left to do, and nothing is sent."""
    async with working(worker(box, base.dsn)):
        result = await applied(provisioner)
        assert result.done
        assert result.counts == {"done": 6}
    assert not [step for step in (await planned(provisioner)).steps if step.writes]
    assert (await applied(provisioner)).done
    assert labels(box) == [f"Desk {each}" for each in range(6)]


async def test_what_depends_on_a_step_is_handed_over_when_that_is_done(
    box: Sandbox, base: Database, queue: Queue, journal: PostgresJournal
) -> None:
    """DialNexa takes two of the fields with a purchase: the others are written to its number."""
    url = box.dialnexa.base_url
    make = partial(DialNexa, box.dialnexa.api_key, base_url=url, retry=FAST)
    wanted = fleet.Fleet(rows=[bought("front", "dialnexa"), bought("back", "dialnexa")])
    async with make() as client, working(worker(box, base.dsn, served=Account(make))):
        result = await applied(WorkerProvisioner(client, queue, journal), wanted)
        assert result.counts == {"done": 2}
    kinds = Counter(commit.kind for commit in box.ledger.commits)
    assert kinds == {"purchase": 2, "update": 2}
    assert len(base.states) == 4


async def test_the_same_command_follows_what_an_earlier_one_has_left(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """It was cancelled before a worker ran. The purchases were made when it is run again."""
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(applied(provisioner))
        await until(lambda: len(base.jobs) == 6)
        first.cancel()
    assert labels(box) == []
    async with working(worker(box, base.dsn)):
        await until(lambda: base.jobs == [])
        assert (await applied(provisioner)).counts == {"done": 6}
    assert labels(box) == [f"Desk {each}" for each in range(6)]


# ---------------------------------------------------------------- how an operation ends


async def test_an_outcome_has_what_a_call_would_have_returned(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """The record, the attempts of this run, and the fields that the platform shows otherwise."""
    async with working(worker(box, base.dsn)):
        first = (await ended(provisioner.run_many(purchases(1))))["order-0"]
        again = (await ended(provisioner.run_many(purchases(1))))["order-0"]
    assert isinstance(first.result, PhoneNumber)
    assert (first.status, first.attempts) == ("done", 1)
    assert (again.status, again.attempts, again.result) == ("done", 0, first.result)


async def test_a_secret_is_resolved_by_the_worker(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    secrets = SecretResolver(environment={"TRUNK": "canary-trunk-77aa"})
    own = ImportPhoneNumber(
        phone_number=NUMBER,
        termination_sip_uri="trunk.example.com",
        trunk_username="user",
        trunk_password=SecretReference("env:TRUNK"),
    )
    async with working(worker(box, base.dsn, secrets=secrets)):
        outcome = (await ended(provisioner.run_many([("own", own)])))["own"]
    assert (outcome.status, outcome.ignored) == ("done", ())
    assert "canary-trunk-77aa" not in base.dumped()


async def test_a_refusal_keeps_its_class(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """A release that finds nothing is a 404, which a fleet takes for done."""
    async with working(worker(box, base.dsn)):
        release = [("gone", DeletePhoneNumber(phone_number=NUMBER))]
        outcome = (await ended(provisioner.run_many(release)))["gone"]
    assert outcome.status == "failed"
    assert isinstance(outcome.error, NotFoundError)
    assert (outcome.error.status, outcome.error.committed) == (404, "no")


async def test_an_account_that_cannot_pay_stops_the_job(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not handed over is skipped; what was stays with the workers, as its outcome says."""
    monkeypatch.setattr(following, "MAX_OPEN", 10)
    box.switches = Switches(max_purchases=2)
    async with working(worker(box, base.dsn, concurrency=1)):
        run = provisioner.run_many(purchases(30))
        outcomes = (await ended(run)).values()
    statuses = Counter(outcome.status for outcome in outcomes)
    assert (statuses["done"], statuses["failed"]) == (2, 3)
    assert 0 < statuses["unconfirmed"] < 10
    assert statuses["skipped"] == 30 - 5 - statuses["unconfirmed"]
    assert isinstance(run.stopped_by, InsufficientFundsError)
    assert run.stopped.startswith("3 operations in a row were refused: ")
    left = next(outcome.error for outcome in outcomes if outcome.status == "unconfirmed")
    assert "left to the workers, which carry it out" in str(left)


async def test_what_goes_unanswered_is_waited_for(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """The workers find it with their next listing."""
    box.sigmamind.script("create", [Fault.RESET_AFTER_COMMIT])
    async with working(worker(box, base.dsn, reconcile=EVERY_SECOND)):
        outcome = (await ended(provisioner.run_many(purchases(1))))["order-0"]
    assert outcome.status == "done"
    assert len(box.ledger.purchases) == 1


async def test_what_stays_unconfirmed_is_reported_after_the_deadline(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """Once nothing else is left; it stays with the workers, who settle it after a settle time."""
    box.sigmamind.script("create", [None, Fault.RESET_BEFORE_COMMIT])
    running = worker(box, base.dsn, reconcile=EVERY_SECOND, concurrency=1)
    async with working(running):
        run = provisioner.run_many(purchases(3))
        outcomes = await ended(run)
    assert [outcomes[f"order-{each}"].status for each in range(3)] == [
        "done",
        "unconfirmed",
        "done",
    ]
    error = outcomes["order-1"].error
    assert isinstance(error, OutcomeUnknownError)
    assert "reconcile() looks for it" in str(error)
    assert (run.progress.unconfirmed, base.states["order-1"]) == (1, State.UNCONFIRMED)


async def test_a_refused_operation_has_ended_when_its_job_has(
    base: Database, queue: Queue, journal: PostgresJournal
) -> None:
    """A worker that was killed after it wrote the refusal leaves a job that sends it again.

    Control: for an operation without a job it has ended.
    """
    await queue.enqueue(purchases(1))
    base.asked("UPDATE sigmamind.operations SET state = 'failed'")

    async def has_ended() -> bool:
        progress = await journal.run(
            lambda connection: JournalTransaction(connection, "sigmamind").progress(
                ["sigmamind"], ["order-0"]
            )
        )
        return progress[0].has_ended

    assert not await has_ended()
    base.asked("UPDATE procrastinate_jobs SET status = 'doing'")
    assert not await has_ended()
    base.asked("UPDATE procrastinate_jobs SET status = 'failed'")
    assert await has_ended()


# ---------------------------------------------------------------- what cannot be handed over


async def test_an_operation_that_cannot_be_enqueued_fails_alone(
    box: Sandbox, base: Database, queue: Queue, provisioner: WorkerProvisioner
) -> None:
    """Wherever it is among the others."""
    await queue.enqueue([("order-7", purchase("Other"))])
    literal = ImportPhoneNumber(
        phone_number=NUMBER,
        termination_sip_uri="trunk.example.com",
        trunk_username="user",
        trunk_password="literal",
    )
    foreign = PurchasePhoneNumber(
        phone_number=NUMBER, telephony_provider_id="tp_12345678901", country_iso="US"
    )
    bad = [("own", literal), ("foreign", foreign), ("read", GetPhoneNumber(phone_number=NUMBER))]
    async with working(worker(box, base.dsn)):
        outcomes = await ended(provisioner.run_many([*purchases(20), *bad, ("last", purchase())]))
    failed = {op_id: each.error for op_id, each in outcomes.items() if each.status != "done"}
    assert failed.keys() == {"order-7", "own", "foreign", "read"}
    assert isinstance(failed.pop("order-7"), JournalError)
    assert all(isinstance(error, InvalidRequestError) for error in failed.values())
    assert len(box.ledger.purchases) == 21


async def test_an_id_can_stand_once_in_a_job(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    async with working(worker(box, base.dsn)):
        run = provisioner.run_many([*purchases(1), *purchases(1)])
        outcomes = [outcome async for outcome in run]
    assert sorted(outcome.status for outcome in outcomes) == ["done", "failed"]
    assert len(box.ledger.purchases) == 1


async def test_a_row_that_is_no_pair_fails_alone(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    [first, last] = purchases(2)
    rows: Any = [first, purchase(), last]
    async with working(worker(box, base.dsn)):
        outcomes = [outcome async for outcome in provisioner.run_many(rows)]
    assert sorted(outcome.status for outcome in outcomes) == ["done", "done", "failed"]
    [error] = [outcome.error for outcome in outcomes if outcome.index == 1]
    assert str(error).startswith("operations[1]: must be a pair of op_id and value")
    assert len(box.ledger.purchases) == 2


async def test_queue_and_journal_are_of_one_database(
    client: SigmaMind, base: Database, journal: PostgresJournal
) -> None:
    """Or the operations would never be seen to end."""
    provisioner = WorkerProvisioner(client, Queue(base.dsn, schema="other"), journal)
    with pytest.raises(ConfigurationError, match="queue: it must use the database and schema"):
        await ended(provisioner.run_many(purchases(1)))
    assert base.jobs == []


async def test_an_exception_of_the_input_comes_after_what_was_read(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    async def read() -> AsyncIterator[tuple[str, CreatePhoneNumber]]:
        for each in purchases(2):
            yield each
        raise LookupError("the rest is missing")

    run = provisioner.run_many(read())
    async with working(worker(box, base.dsn)):
        with pytest.raises(LookupError, match="the rest is missing"):
            await ended(run)
    assert run.progress.done == 2


# ---------------------------------------------------------------- ends


async def test_a_stopped_job_leaves_what_it_has_handed_over(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input is read no further ahead than is allowed, and the rest of it is skipped."""
    monkeypatch.setattr(following, "MAX_OPEN", 4)
    monkeypatch.setattr(following, "CHUNK", 2)
    read = 0

    async def operations() -> AsyncIterator[tuple[str, CreatePhoneNumber]]:
        nonlocal read
        for each in purchases(20):
            read += 1
            yield each

    run = provisioner.run_many(operations())
    async with asyncio.TaskGroup() as tasks:
        following_run = tasks.create_task(ended(run))
        await until(lambda: len(base.jobs) == 4)
        assert read <= 4 + 2
        run.stop()
    statuses = Counter(outcome.status for outcome in following_run.result().values())
    assert statuses == {"unconfirmed": 4, "skipped": 16}
    async with working(worker(box, base.dsn)):
        await until(lambda: base.jobs == [])
    assert len(box.ledger.purchases) == 4


async def test_a_job_that_is_left_early_keeps_what_it_knows(
    box: Sandbox, base: Database, provisioner: WorkerProvisioner
) -> None:
    """What workers have is not skipped: they carry it out."""
    box.sigmamind.script("create", [None, Fault.RESET_BEFORE_COMMIT])
    run = provisioner.run_many(purchases(2))
    async with working(worker(box, base.dsn, concurrency=1)), aclosing(aiter(run)) as outcomes:
        assert (await anext(outcomes)).status == "done"
    assert [(each.op_id, each.status) for each in run.undelivered] == [("order-1", "unconfirmed")]


async def test_a_caller_is_told_when_nothing_happens(
    base: Database,
    client: SigmaMind,
    queue: Queue,
    journal: PostgresJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "IDLE", 0.1)
    idle = asyncio.Event()
    run = WorkerProvisioner(client, queue, journal, on_idle=idle.set).run_many(purchases(1))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ended(run))
        await idle.wait()
        run.stop()
    assert base.jobs == ["todo"]


async def test_a_database_that_is_away_for_a_moment_is_waited_for(box: Sandbox) -> None:
    """For as long as the client's deadline; a worker waits for it too."""
    with running() as server:
        dsn = server.dsn()
        async with (
            SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
            PostgresJournal(dsn) as journal,
        ):
            queue = Queue(dsn)
            await queue.prepare()
            run = WorkerProvisioner(client, queue, journal).run_many(purchases(3))
            async with asyncio.TaskGroup() as tasks:
                followed = tasks.create_task(ended(run))
                await until(lambda: bool(server.asked("SELECT 1 FROM procrastinate_jobs")))
                server.stop("immediate")
                await asyncio.sleep(0.5)
                server.start()
                async with working(worker(box, dsn)):
                    outcomes = await followed
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert len(box.ledger.purchases) == 3


async def test_a_database_that_stays_away_ends_the_job(box: Sandbox) -> None:
    """Nothing is reported as skipped that a worker may have."""
    url = box.sigmamind.base_url
    with running() as server:
        async with (
            SigmaMind(box.sigmamind.api_key, base_url=url, deadline=0.5) as client,
            PostgresJournal(server.dsn(), timeout=0.2) as journal,
        ):
            queue = Queue(server.dsn())
            await queue.prepare()
            run = WorkerProvisioner(client, queue, journal).run_many(purchases(2))
            async with asyncio.TaskGroup() as tasks:
                followed = tasks.create_task(ended(run))
                await until(lambda: bool(server.asked("SELECT 1 FROM procrastinate_jobs")))
                server.stop("immediate")
                outcomes = await followed
            server.start()
    assert {outcome.status for outcome in outcomes.values()} == {"unconfirmed"}
    assert isinstance(run.stopped_by, JournalError)


# ---------------------------------------------------------------- one operation


async def test_one_operation_is_waited_for(box: Sandbox, base: Database, queue: Queue) -> None:
    """Also before it is enqueued; it may be refused, which is an end too."""
    box.sigmamind.script("create", [None, Fault.STATUS_401])
    async with working(worker(box, base.dsn, concurrency=1)), asyncio.TaskGroup() as tasks:
        done = tasks.create_task(queue.wait("order-0"))
        failed = tasks.create_task(queue.wait("order-1", account="sigmamind"))
        await queue.enqueue(purchases(2))
    assert done.result().phone_number in box.ledger.owned()
    assert (failed.result().state, failed.result().error_status) == (State.FAILED, 401)


async def test_one_operation_is_waited_for_no_longer_than_a_time(queue: Queue) -> None:
    """It goes on meanwhile, and may be waited for again."""
    await queue.enqueue(purchases(1))

    with pytest.raises(TimeoutError):
        await queue.wait("order-0", timeout=0.01)
    with pytest.raises(ConfigurationError, match="timeout: must be more than 0"):
        await queue.wait("order-0", timeout=-1)


async def test_a_worker_reports_what_has_ended(
    box: Sandbox, base: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """Done or refused; what a callback raises is logged, and changes nothing."""
    box.sigmamind.script("create", [None, Fault.STATUS_401])
    seen: list[tuple[str, State]] = []

    async def note(row: Row) -> None:
        seen.append((row.op_id, row.state))
        raise LookupError("no such order")

    async with working(worker(box, base.dsn, concurrency=1, on_settled=note)):
        await queue.enqueue(purchases(2))
        await until(lambda: base.jobs == ["failed"])
    assert seen == [("order-0", State.DONE), ("order-1", State.FAILED)]
    assert "on_settled for order-0 raised LookupError: no such order" in caplog.text


async def test_what_goes_on_later_is_not_reported(
    box: Sandbox, base: Database, queue: Queue
) -> None:
    box.sigmamind.script("create", [Fault.RESET_AFTER_COMMIT])
    seen: list[State] = []

    def note(row: Row) -> None:
        seen.append(row.state)

    async with working(worker(box, base.dsn, reconcile=EVERY_SECOND, on_settled=note)):
        await queue.enqueue(purchases(1))
        await until(lambda: bool(seen))
    assert seen == [State.DONE]

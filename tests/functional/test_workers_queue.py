"""Operations and jobs are enqueued together, or not at all, in whosever transaction."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from psycopg.rows import dict_row

from sigmamind_async.errors import ConfigurationError, InvalidRequestError, JournalError
from sigmamind_async.platforms.sigmamind import (
    CreatePhoneNumber,
    ImportPhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.verbex import ListPhoneNumbers
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.values import Secret, SecretReference
from sigmamind_async.workers import Queue
from sigmamind_async.workers.enqueue import _EXISTING_JOBS, operation_lock
from tests.functional.support import NUMBER, PASSWORD, error_of, leaks
from tests.functional.workers import Database, database, purchase, worker
from tests.harness import preloaded
from tests.harness.postgres import Server

ORDER = ("order-1", purchase())


def imported(password: str | Secret) -> ImportPhoneNumber:
    return ImportPhoneNumber(
        phone_number=NUMBER,
        termination_sip_uri="trunk.example.com",
        trunk_username="user",
        trunk_password=password,
    )


# ---------------------------------------------------------------- what is written


async def test_a_row_and_a_job_are_written(base: Database, queue: Queue) -> None:
    """The row says what is asked for; the job says which row, and nothing else."""
    [row] = await queue.enqueue([ORDER])
    assert (row.state, row.account, row.enqueued, row.version) == (
        State.PLANNED,
        "sigmamind",
        True,
        1,
    )
    assert row.request_fields == {"country_code": "US", "friendly_name": "row"}
    assert base.states == {"order-1": State.PLANNED}
    told = "SELECT queue_name, lock, args FROM procrastinate_jobs"
    assert base.asked(told) == [
        ("sigmamind/sigmamind", None, {"account": "sigmamind", "op_id": "order-1"})
    ]


async def test_an_account_has_a_queue_and_a_number_a_lock(base: Database, queue: Queue) -> None:
    update = UpdatePhoneNumber(phone_number=NUMBER, friendly_name="b")
    await queue.enqueue([("change-1", update)], account="north")
    assert base.asked("SELECT queue_name, lock FROM procrastinate_jobs") == [
        ("sigmamind/sigmamind:north", f"sigmamind/sigmamind:north number {NUMBER}")
    ]


async def test_many_are_entered_in_their_order(base: Database, queue: Queue) -> None:
    """More than one statement takes: all of them in one transaction."""
    many = [(f"row-{number}", purchase()) for number in range(2100)]
    rows = await queue.enqueue(iter(many))
    assert [row.op_id for row in rows] == list(base.states) == [op_id for op_id, _ in many]
    assert base.jobs == ["todo"] * 2100


async def test_an_index_finds_the_jobs_of_a_number(base: Database, queue: Queue) -> None:
    """Or each job that is fetched would be compared with all others: half a second of 10,000."""
    await queue.enqueue(
        (f"row-{number}", UpdatePhoneNumber(phone_number=f"+1415{number:07}", friendly_name="b"))
        for number in range(1000)
    )
    base.asked("ANALYZE procrastinate_jobs")
    plan = base.asked(
        "EXPLAIN SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        " AND lock = 'sigmamind/sigmamind number +14150000001'"
    )
    assert "sigmamind_jobs_by_lock" in str(plan)


FIRST = """
EXPLAIN (FORMAT JSON) SELECT id FROM procrastinate_jobs
WHERE status = 'todo' AND queue_name = ANY(ARRAY['sigmamind/sigmamind'])
ORDER BY priority DESC, id LIMIT 1
"""


NEXT_JOB = "SELECT job FROM sigmamind.next_job('{}', '{}', '{}', '{sigmamind/sigmamind}', NULL)"
SETTINGS = "SELECT current_setting('enable_sort'), current_setting('synchronous_commit')"


async def test_a_worker_does_not_sort_all_jobs_to_find_the_first(
    base: Database, queue: Queue
) -> None:
    """As a server does that has no statistics yet of what was enqueued in a moment."""
    await queue.enqueue([(f"row-{number}", purchase()) for number in range(500)])
    assert "Sort" in str(base.asked(FIRST))
    with base.server.connected(base.name) as connection, connection.transaction():
        connection.execute(NEXT_JOB)
        assert connection.execute(SETTINGS).fetchone() == ("off", "off")
        assert "Sort" not in str(connection.execute(FIRST).fetchone())


async def test_a_worker_leaves_no_setting_on_a_connection(base: Database, queue: Queue) -> None:
    """Behind a pooler it may be another program's next, which would lose what it has committed."""
    await queue.enqueue([ORDER])
    async with Sandbox() as box:
        connector = worker(box, base.dsn)._connector()  # noqa: SLF001 - what it asks with
        await connector.open_async()
        jobs = JobManager(connector)
        job = await jobs.fetch_job(["sigmamind/sigmamind"], await jobs.register_worker())
        assert job is not None
        await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        await connector.flush()
        async with connector.pool.connection() as connection:
            found = await (await connection.execute(SETTINGS)).fetchone()
        await connector.close_async()
    assert (found, base.jobs) == (("on", "on"), [])


ALL_AT_ONCE = """
SELECT queueing_lock FROM procrastinate_jobs
WHERE queueing_lock = ANY(%b::text[]) AND status = 'todo'
"""


async def test_enqueuing_does_not_read_all_waiting_jobs(base: Database, queue: Queue) -> None:
    """Or each of a million would take longer than the one before. The last query is the control."""
    await queue.enqueue_many((f"row-{number}", purchase()) for number in range(2000))
    locks = [operation_lock("sigmamind", f"new-{number}") for number in range(1000)]
    with base.server.connected(base.name) as connection:

        def read(query: str, *values: object) -> int:
            plan = connection.execute(f"EXPLAIN ANALYZE {query}".encode(), values).fetchall()
            return sum(map(int, re.findall(r"Removed by Filter: (\d+)", str(plan))))

        assert read(_EXISTING_JOBS, locks, locks) == 0
        assert read(ALL_AT_ONCE, locks) == 2000


# ---------------------------------------------------------------- the caller's transaction


async def test_an_order_and_its_purchase_are_committed_together(
    base: Database, queue: Queue
) -> None:
    base.asked("CREATE TABLE orders (name text)")
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        await own.execute("INSERT INTO orders VALUES ('order-1')")
        await queue.enqueue([ORDER], connection=own)
        assert (base.states, base.jobs) == ({}, [])
    assert base.asked("SELECT name FROM orders") == [("order-1",)]
    assert (base.states, base.jobs) == ({"order-1": State.PLANNED}, ["todo"])


@pytest.mark.parametrize("first", ["order", "purchase"])
async def test_they_are_rolled_back_together(base: Database, queue: Queue, first: str) -> None:
    """Also where the purchase is what begins the transaction."""
    base.asked("CREATE TABLE orders (name text)")
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        if first == "order":
            await own.execute("INSERT INTO orders VALUES ('order-1')")
        await queue.enqueue([ORDER], connection=own)
        await own.execute("INSERT INTO orders VALUES ('order-1')")
        await own.rollback()
    assert base.asked("SELECT name FROM orders") == []
    assert (base.states, base.jobs) == ({}, [])


CRASH = """
import asyncio, os, signal, sys
import psycopg
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.workers import Queue
from sigmamind_async.workers.enqueue import _EXISTING_JOBS, operation_lock  # noqa: PLC2701

async def main():
    own = await psycopg.AsyncConnection.connect(sys.argv[1])
    await own.execute("INSERT INTO orders VALUES ('order-1')")
    await Queue(sys.argv[1]).enqueue(
        [("order-1", CreatePhoneNumber(country_code="US"))], connection=own
    )
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_crash_before_the_commit_leaves_neither(base: Database, queue: Queue) -> None:
    base.asked("CREATE TABLE orders (name text)")
    ended = preloaded.run([sys.executable, "-c", CRASH, base.dsn], check=False)
    assert ended.returncode == -9
    assert base.asked("SELECT name FROM orders") == []
    assert (base.states, base.jobs) == ({}, [])
    await queue.enqueue([ORDER])
    assert (base.states, base.jobs) == ({"order-1": State.PLANNED}, ["todo"])


async def test_an_idle_connection_in_autocommit_commits_at_once(
    base: Database, queue: Queue
) -> None:
    async with await psycopg.AsyncConnection.connect(base.dsn, autocommit=True) as own:
        await queue.enqueue([ORDER], connection=own)
        assert (base.states, base.jobs) == ({"order-1": State.PLANNED}, ["todo"])


async def test_the_callers_settings_stay_as_they_are(base: Database, queue: Queue) -> None:
    """Those of the connection, and those of the transaction, which goes on."""
    base.asked("UPDATE sigmamind.journal SET openings = openings")
    await queue.enqueue([ORDER])
    base.asked("UPDATE sigmamind.operations SET state = 'failed'")
    options = "-c lock_timeout=7s -c synchronous_commit=off"
    connect = psycopg.AsyncConnection.connect
    async with await connect(base.dsn, options=options, row_factory=dict_row) as own:
        [row] = await queue.enqueue([ORDER], connection=own)
        assert (row.state, row.version) == (State.PLANNED, 2)
        told = "SELECT current_setting('lock_timeout') a, current_setting('synchronous_commit') b"
        assert await (await own.execute(told)).fetchone() == {"a": "7s", "b": "off"}


async def test_a_refusal_leaves_the_callers_transaction_usable(
    base: Database, queue: Queue
) -> None:
    """What was enqueued before it is still there; nothing of the refused call is."""
    await queue.enqueue([ORDER])
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        await queue.enqueue([("order-2", purchase())], connection=own)
        refused = [("order-3", purchase()), ("order-1", purchase("another"))]
        await error_of(queue.enqueue(refused, connection=own))
    assert list(base.states) == ["order-1", "order-2"]
    assert base.jobs == ["todo", "todo"]


def enqueue_with_psycopg(base: Database, queue: Queue) -> None:
    with psycopg.connect(base.dsn) as own:
        own.execute("INSERT INTO orders VALUES ('order-1')")
        queue.enqueue_sync([ORDER], connection=own)
        assert (base.states, base.jobs) == ({}, [])


def enqueue_with_sqlalchemy(base: Database, queue: Queue) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect_to(base))
    insert = sqlalchemy.text("INSERT INTO orders VALUES ('order-1')")
    with engine.connect() as connection:
        connection.execute(insert)
        queue.enqueue_sync([("order-0", purchase())], connection=connection)
        connection.rollback()
    with orm.Session(engine) as session, session.begin():
        session.execute(insert)
        queue.enqueue_sync([ORDER], connection=session)
        assert (base.states, base.jobs) == ({}, [])
    engine.dispose()


def connect_to(base: Database) -> psycopg.Connection:
    return psycopg.connect(base.dsn)


DJANGO = """
import sys, urllib.parse
from django.conf import settings
url, host = sys.argv[1].split("?host=")
parsed = urllib.parse.urlsplit(url)
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": parsed.path[1:], "HOST": host,
    "USER": parsed.username, "PASSWORD": parsed.password,
}})
from django.db import connection, transaction
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.workers import Queue
from sigmamind_async.workers.enqueue import _EXISTING_JOBS, operation_lock  # noqa: PLC2701

queue = Queue(sys.argv[1])

def order(name):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES (%s)", [name])
        value = CreatePhoneNumber(country_code="US", friendly_name="row")
        queue.enqueue_sync([(name, value)], connection=connection)
        if name != "order-1":
            raise ValueError

try:
    order("order-0")
except ValueError:
    order("order-1")
"""


def enqueue_with_django(base: Database, queue: Queue) -> None:
    pytest.importorskip("django")
    del queue
    preloaded.run([sys.executable, "-c", DJANGO, base.dsn], check=True)


@pytest.mark.parametrize(
    "enqueue", [enqueue_with_psycopg, enqueue_with_sqlalchemy, enqueue_with_django]
)
async def test_a_synchronous_connection_commits_order_and_purchase_together(
    base: Database, queue: Queue, enqueue: Callable[[Database, Queue], None]
) -> None:
    base.asked("CREATE TABLE orders (name text)")
    await asyncio.to_thread(enqueue, base, queue)
    assert base.asked("SELECT name FROM orders") == [("order-1",)]
    assert (base.states, base.jobs) == ({"order-1": State.PLANNED}, ["todo"])


async def test_an_asynchronous_session_of_sqlalchemy_does_too(base: Database, queue: Queue) -> None:
    pytest.importorskip("greenlet")
    aio = pytest.importorskip("sqlalchemy.ext.asyncio")
    engine = aio.create_async_engine(
        "postgresql+psycopg://",
        async_creator=lambda: psycopg.AsyncConnection.connect(base.dsn),
    )
    async with aio.AsyncSession(engine) as session:
        await queue.enqueue([("order-0", purchase())], connection=session)
        await session.rollback()
    async with engine.connect() as connection, connection.begin():
        await queue.enqueue([ORDER], connection=connection)
        assert base.states == {}
    await engine.dispose()
    assert (base.states, base.jobs) == ({"order-1": State.PLANNED}, ["todo"])


async def test_any_other_connection_is_refused(base: Database, queue: Queue) -> None:
    with closing(sqlite3.connect(":memory:")) as other:
        error = await error_of(queue.enqueue([ORDER], connection=other))
        assert isinstance(error, ConfigurationError)
        assert "Django's or SQLAlchemy's" in str(error)
        assert "it is sqlite3.Connection" in str(error)
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        with pytest.raises(ConfigurationError, match="is asynchronous; `await"):
            queue.enqueue_sync([ORDER], connection=own)


# ---------------------------------------------------------------- many


async def many(count: int) -> AsyncGenerator[tuple[str, CreatePhoneNumber]]:
    """Give so many operations, then one that cannot be enqueued."""
    for number in range(count):
        yield f"row-{number}", purchase()
    yield "row-0", purchase("another")


@pytest.mark.parametrize(("atomic", "written"), [(True, 0), (False, 1000)])
async def test_many_are_written_in_one_transaction_or_in_several(
    base: Database, queue: Queue, atomic: bool, written: int
) -> None:
    """Of what follows an error nothing is; the same call goes on where it ended."""
    with pytest.raises(JournalError, match="row-0"):
        await queue.enqueue_many(many(1500), atomic=atomic)
    assert (len(base.states), len(base.jobs)) == (written, written)
    operations = ((f"row-{number}", purchase()) for number in range(1500))
    assert await queue.enqueue_many(operations, atomic=atomic) == 1500
    assert (len(base.states), len(base.jobs)) == (1500, 1500)


# ---------------------------------------------------------------- again


@pytest.mark.parametrize("status", ["todo", "doing"])
async def test_what_waits_or_runs_gets_no_second_job(
    base: Database, queue: Queue, status: str
) -> None:
    await queue.enqueue([ORDER])
    base.asked(f"UPDATE procrastinate_jobs SET status = '{status}'")
    [row] = await queue.enqueue([ORDER])
    assert (row.state, row.version, base.jobs) == (State.PLANNED, 1, [status])


@pytest.mark.parametrize(
    ("state", "jobs", "then"),
    [
        (State.DONE, [], State.DONE),
        (State.NEEDS_DECISION, [], State.NEEDS_DECISION),
        (State.ABANDONED, [], State.ABANDONED),
        (State.FAILED, ["todo"], State.PLANNED),
        (State.PLANNED, ["todo"], State.PLANNED),
        (State.SENDING, ["todo"], State.SENDING),
        (State.UNCONFIRMED, ["todo"], State.UNCONFIRMED),
    ],
)
async def test_what_has_no_job_gets_one_where_it_can_go_on(
    base: Database, queue: Queue, state: State, jobs: list[str], then: State
) -> None:
    """One that has failed is planned anew; what is done or waits for a person is left alone."""
    await queue.enqueue([ORDER])
    base.asked("DELETE FROM procrastinate_jobs")
    base.asked(f"UPDATE sigmamind.operations SET state = '{state.value}'")
    [row] = await queue.enqueue([ORDER])
    assert (row.state, base.jobs, base.states) == (then, jobs, {"order-1": then})


async def test_another_value_is_refused(base: Database, queue: Queue) -> None:
    await queue.enqueue([ORDER])
    error = await error_of(queue.enqueue([("order-1", purchase("another"))]))
    assert type(error) is JournalError
    assert error.op_id == "order-1"
    assert str(error) == (
        "order-1: the journal holds another request under this id (the same with another"
        " friendly_name); give a new request a new id"
    )
    error = await error_of(queue.enqueue([("order-2", purchase()), ("order-2", purchase("b"))]))
    assert type(error) is InvalidRequestError
    assert list(base.states) == ["order-1"]


async def test_two_who_enqueue_the_same_make_one_job(base: Database, queue: Queue) -> None:
    """The second waits for the first one's transaction."""
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        await queue.enqueue([ORDER], connection=own)
        second = asyncio.create_task(queue.enqueue([ORDER]))
        await asyncio.sleep(0.1)
        assert not second.done()
        await own.commit()
        [row] = await second
    assert (row.version, base.jobs) == (1, ["todo"])


async def test_two_who_enqueue_again_make_one_job(base: Database, queue: Queue) -> None:
    """Where the row is there and its job is not, only the queue's own lock tells them apart."""
    await queue.enqueue([ORDER])
    base.asked("DELETE FROM procrastinate_jobs")
    async with await psycopg.AsyncConnection.connect(base.dsn) as own:
        await queue.enqueue([ORDER], connection=own)
        second = asyncio.create_task(queue.enqueue([ORDER]))
        await asyncio.sleep(0.1)
        await own.commit()
        await second
    assert base.jobs == ["todo"]


# ---------------------------------------------------------------- what is refused


async def test_a_secret_itself_is_refused(base: Database, queue: Queue) -> None:
    error = await error_of(queue.enqueue([("row-1", imported(PASSWORD))]))
    assert type(error) is InvalidRequestError
    assert str(error) == (
        "row-1: trunk_password: a secret must not reach the database: give"
        " SecretReference('env:NAME') or SecretReference('file:PATH'), which the worker resolves"
    )
    assert (base.states, base.jobs) == ({}, [])


async def test_a_reference_is_kept_and_compared(queue: Queue) -> None:
    [row] = await queue.enqueue([("row-1", imported(SecretReference("env:TRUNK")))])
    assert (row.secret_fields, row.secret_references) == (
        ("trunk_password",),
        {"trunk_password": "env:TRUNK"},
    )
    assert [row] == await queue.enqueue([("row-1", imported(SecretReference("env:TRUNK")))])
    error = await error_of(queue.enqueue([("row-1", imported(SecretReference("env:OTHER")))]))
    assert "the same with another trunk_password" in str(error)


async def test_what_changes_no_number_is_refused(queue: Queue) -> None:
    error = await error_of(queue.enqueue([("row-1", ListPhoneNumbers())]))
    assert str(error) == "value: ListPhoneNumbers changes no phone number"


@pytest.mark.parametrize("operations", [None, 5, "order-1"])
async def test_what_lists_no_operations_is_refused(queue: Queue, operations: Any) -> None:
    for enqueue in (queue.enqueue, queue.enqueue_many):
        with pytest.raises(InvalidRequestError, match="values: must be an iterable of rows, not "):
            await enqueue(operations)
    error = await error_of(queue.enqueue([("", purchase())]))
    assert error.field == "op_id"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (purchase(), "CreatePhoneNumber"),
        ("order-2", "str"),
        (("order-2", purchase(), 3), "tuple"),
        ({"op_id": "order-2"}, "dict"),
        (None, "NoneType"),
    ],
)
async def test_a_row_that_is_no_pair_is_named(
    base: Database, queue: Queue, wrong: Any, kind: str
) -> None:
    error = await error_of(queue.enqueue([ORDER, wrong]))
    assert isinstance(error, InvalidRequestError)
    assert str(error).startswith("operations[1]: must be a pair of op_id and value, such as (")
    assert str(error).endswith(f"; it is of type {kind}")
    assert base.states == {}


async def test_a_dsn_in_place_of_a_connection_is_shown_nowhere(
    base: Database, queue: Queue
) -> None:
    """Neither in the message nor in a frame of the library, as a report of the error shows them."""
    dsn = f"postgresql://user:{PASSWORD}@/orders"
    for enqueue in (queue.enqueue, queue.enqueue_many):
        error = await error_of(enqueue([ORDER], connection=dsn))
        assert str(error).startswith("connection: must be an open connection, such as psycopg.")
    with pytest.raises(ConfigurationError) as caught:
        queue.enqueue_sync([ORDER], connection=dsn)
    assert leaks(caught.value) == []
    assert base.states == {}


async def test_a_database_without_tables_is_reported(postgres: Server) -> None:
    with database(postgres) as made:
        error = await error_of(Queue(made.dsn).enqueue([ORDER]))
        assert type(error) is JournalError
        assert "do not exist.\nCall Queue.prepare() once, or start a worker." in str(error)


async def test_a_database_that_is_not_there_is_reported() -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:1/db"
    error = await error_of(Queue(dsn).enqueue([ORDER]))
    assert type(error) is JournalError
    assert "cannot be reached: " in str(error)


async def test_tables_prepared_at_the_same_time_are_created_once(postgres: Server) -> None:
    with database(postgres) as made:
        await asyncio.gather(*(Queue(made.dsn).prepare() for _ in range(4)))
        await Queue(made.dsn).enqueue([ORDER])
        assert made.jobs == ["todo"]

"""The journal in PostgreSQL: what it keeps, whom it serves, and how its writers share it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sigmamind_async import OutcomeUnknownError, SigmaMind
from sigmamind_async.client import Client
from sigmamind_async.errors import JournalError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Journal, PostgresJournal, Provisioner, SqliteJournal
from sigmamind_async.provisioning.journal.postgres import journal as statements
from sigmamind_async.provisioning.journal.postgres.connections import ConnectionThread
from sigmamind_async.provisioning.journal.postgres.schema import (
    MIGRATIONS,
    PUT,
    migrate,
    with_schema,
)
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sql import POSTGRES, to_columns
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.sandbox import Fault, Faults, Sandbox
from tests.functional.conftest import Run
from tests.functional.drawn import FIELDS
from tests.functional.journals import ACCOUNT, a_row, after
from tests.functional.support import error_of, run_script
from tests.harness import preloaded
from tests.harness.postgres import Server, schema_of


@pytest.fixture
async def journal(postgres: Server, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    async with postgres.journal(tmp_path) as opened:
        yield opened


# ---------------------------------------------------------------- rows

_KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_NAMES = dict.fromkeys(["op_id", "account", "key", "token"], _KEYS)


@settings(max_examples=25)
@given(row=st.builds(Row, **{**FIELDS, **_NAMES}))
@example(
    row=a_row(error="half of a pair: \ud800, and a NUL: \0", request_fields={"big": 2**70 + 1})
)
@example(row=a_row(lease_until=float("inf"), sent_at=float("-inf"), updated_at=0.1 + 0.2))
def test_every_field_comes_back(postgres: Server, row: Row) -> None:
    """From the database, not from memory: the journal is opened anew in between."""
    folder = Path("every-field")

    async def main() -> None:
        async with postgres.journal(folder) as journal:
            postgres.empty(folder)
            assert await journal.put(row) is PutResult.STORED
        async with postgres.journal(folder, read_only=True) as journal:
            assert await journal.get(row.account, row.op_id) == row

    asyncio.run(main())


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize(("half", "why"), [("\ud800", "lone surrogate"), ("\0", "NUL")])
async def test_what_no_key_can_hold_spoils_only_its_own_row(
    journal: PostgresJournal, name: str, half: str, why: str
) -> None:
    puts = [journal.put(a_row(str(n))) for n in range(4)]
    changed: dict[str, Any] = {name: f"row-{half}"}
    broken = attrs.evolve(a_row(), **changed)
    results = await asyncio.gather(*puts, journal.put(broken), return_exceptions=True)
    assert results[:4] == [PutResult.STORED] * 4
    assert why in str(results[4])
    assert len(await journal.in_states(ACCOUNT, list(State))) == 4


async def test_what_no_key_can_hold_is_found_nowhere(journal: PostgresJournal) -> None:
    await journal.put(a_row(token="T"))
    assert await journal.with_tokens(ACCOUNT, ["\ud800", "\0", "T"]) == [a_row(token="T")]
    assert "lone surrogate" in str(await error_of(journal.get(ACCOUNT, "\ud800")))


async def test_what_was_bought_is_the_sum_of_the_rows(journal: PostgresJournal) -> None:
    """It is counted up and down, never added up: the two must not drift apart."""
    row = a_row()
    for state in (State.SENDING, *State, *State):
        await journal.put(row)
        row = after(row, state=state, duplicates=(*row.duplicates, "x")[:3])
    found = await journal.in_states(ACCOUNT, list(State))
    assert (
        (await journal.counts(ACCOUNT)).purchase_count
        == sum(row.purchase_count for row in found)
        > 0
    )


async def test_rows_outlive_the_journal(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path) as journal:
        await journal.put(a_row(updated_at=5.0, state=State.DONE))
        made = journal.journal_id
    async with postgres.journal(tmp_path) as journal:
        assert (journal.journal_id, journal.latest) == (made, 5.0)
        assert (await journal.counts(ACCOUNT)).purchase_count == 1


async def test_an_index_is_used_for_each_question(
    journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    plans = {
        POSTGRES.in_states: "by_state",
        POSTGRES.unsettled: "by_unsettled",
        POSTGRES.with_tokens: "by_token",
        POSTGRES.with_key: "by_key",
        POSTGRES.tagged_before: "by_tag",
        statements._HEAD: "by_time",  # noqa: SLF001 - the very text, or it proves nothing
    }
    schema = schema_of(tmp_path)
    filled = (
        f"SELECT \"{schema}\".put(ROW('{ACCOUNT}', n, 'update', 'done', n, n, 1, 0, 0, 0, 0, n, "
        f"n % 100 = 0, 0, '', gen_random_uuid(), NULL)::\"{schema}\".operations, NULL, false)"
        " FROM generate_series(1, 1000) AS n"
    )
    postgres.asked(filled)
    postgres.asked(f'ANALYZE "{schema}".operations')
    for query, index in plans.items():
        text = with_schema(query, schema).decode().replace("ANY(%s)", "ANY('{7}')")
        text = text.replace("%s", repr(ACCOUNT), 1).replace("%s", "'7'")
        plan = postgres.asked(f"EXPLAIN {text}")
        assert index in str(plan), query
    assert journal.journal_id


# ---------------------------------------------------------------- tasks, loops and processes


async def test_a_cancelled_write_is_written_all_the_same(journal: PostgresJournal) -> None:
    task = asyncio.create_task(journal.put(a_row()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while await journal.put(after(a_row())) is PutResult.STALE:
        pass


def test_a_journal_serves_several_loops_at_once(
    postgres: Server, tmp_path: Path, run: Run[None]
) -> None:
    async def main() -> None:
        async with postgres.journal(tmp_path, connections=3) as journal:

            async def some(name: str) -> None:
                puts = (journal.put(a_row(f"{name}{n}")) for n in range(30))
                assert set(await asyncio.gather(*puts)) == {PutResult.STORED}

            await asyncio.gather(some("here"), asyncio.to_thread(asyncio.run, some("there")))
            assert len(await journal.in_states(ACCOUNT, [State.PLANNED])) == 60

    run(main())


def test_a_loop_that_ends_early_breaks_nothing(postgres: Server, tmp_path: Path) -> None:
    journal = postgres.journal(tmp_path)

    async def leave() -> None:
        await journal.open()
        waiting = asyncio.ensure_future(journal.put(a_row()))
        await asyncio.sleep(0)
        del waiting

    async def come_back() -> None:
        await journal.close()
        async with journal:
            assert await journal.get(ACCOUNT, "order-1") == a_row()

    asyncio.run(leave())
    asyncio.run(come_back())


async def test_whoever_is_cancelled_while_opening_holds_nothing(
    postgres: Server, tmp_path: Path
) -> None:
    for turns in range(4):
        task = asyncio.create_task(postgres.journal(tmp_path).open())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [thread for thread in threading.enumerate() if thread.name == "journal"] == []


async def test_what_was_asked_for_before_closing_is_done(postgres: Server, tmp_path: Path) -> None:
    journal = postgres.journal(tmp_path)
    await journal.open()
    puts = [asyncio.create_task(journal.put(a_row(str(n)))) for n in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(journal.close(), journal.close())
    assert set(await asyncio.gather(*puts)) == {PutResult.STORED}
    assert "is not open" in str(await error_of(journal.put(a_row())))


async def test_what_is_asked_for_after_the_end_is_refused() -> None:
    """By a thread that may end at any moment, of its own."""

    async def connect() -> psycopg.AsyncConnection:
        raise AssertionError("nobody asks for one")

    thread = ConnectionThread("name", connect, max_connections=1, timeout=1.0, redact=str)
    thread.start()
    await thread.stop()
    with pytest.raises(JournalError) as caught:
        await thread.submit(lambda connection: connection.execute("SELECT 1"))
    assert (
        str(caught.value) == "name: is closed.\nUse it inside `async with` (if blocking, `with`)."
    )


async def test_no_more_connections_are_had_than_allowed(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path, connections=2) as journal:
        await asyncio.gather(*(journal.put(a_row(str(n))) for n in range(30)))
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sigmamind-async'"
        assert postgres.asked(count) == [(2,)]


FORKED = """
import asyncio, os, sys
from pathlib import Path
from sigmamind_async.client import Client
from sigmamind_async.errors import JournalError
from tests.functional.journals import a_row
from sigmamind_async.provisioning import PostgresJournal

async def in_the_child(journal):
    try:
        await journal.put(a_row("2"))
    except JournalError as error:
        print(str(error).rsplit(": ", 1)[1].replace(chr(10), " "), flush=True)
    await journal.close()

async def main():
    journal = PostgresJournal(sys.argv[1], schema=sys.argv[2])
    await journal.open()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(in_the_child(journal))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    print((await journal.put(a_row())).name, flush=True)
    # Without closing: the process ends all the same.

asyncio.run(main())
"""


async def test_a_forked_process_is_told_to_open_its_own(postgres: Server, tmp_path: Path) -> None:
    printed = await run_script(FORKED, postgres.dsn(), schema_of(tmp_path), strict=False)
    assert printed.splitlines() == [
        "was opened before this process was forked. Make a new PostgresJournal in each process.",
        "STORED",
    ]


RACE = """
import asyncio, json, sys
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.provisioning.journal.sql import to_columns
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.row import State
from tests.functional.journals import ACCOUNT, a_row, after

dsn, schema, name = sys.argv[1:]

async def count_up(journal):
    won = 0
    while won < 20:
        row = await journal.get(ACCOUNT, "raced")
        won += await journal.put(after(row, attempt=row.attempt + 1)) is PutResult.STORED

async def claim(journal, key):
    row = a_row(f"{name} {key}", State.SENDING, key=key)
    return (await journal.put(row)).name

async def spend(journal, number):
    row = a_row(f"{name} {number}", State.DONE, account="spent")
    return (await journal.put(row, max_purchases=10)).name

async def main():
    async with PostgresJournal(dsn, schema=schema, timeout=60.0) as journal:
        await journal.put(a_row("raced"))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(
            count_up(journal),
            *(claim(journal, f"key-{n}") for n in range(15)),
            *(spend(journal, n) for n in range(10)),
        )
        print(json.dumps(answers))

asyncio.run(main())
"""


async def test_processes_race_for_rows_numbers_and_purchases(
    postgres: Server, tmp_path: Path
) -> None:
    """Each version and each number has one winner, and no purchase more than allowed is stored."""
    arguments = ("-W", "error", "-c", RACE, postgres.dsn(), schema_of(tmp_path))
    pipe = asyncio.subprocess.PIPE
    racers = [
        await preloaded.create_subprocess_exec(
            sys.executable, *arguments, name, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[2]
        )
        for name in "abcd"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    printed = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    answers = [json.loads(text) for text, _ in printed]
    claims = [[each[1 + n] for each in answers] for n in range(15)]
    assert [sorted(claim) for claim in claims] == [
        ["KEY_IN_USE", "KEY_IN_USE", "KEY_IN_USE", "STORED"]
    ] * 15
    spent = [answer for each in answers for answer in each[16:]]
    assert (spent.count("STORED"), spent.count("LIMIT_REACHED")) == (10, 30)
    async with postgres.journal(tmp_path) as journal:
        row = await journal.get(ACCOUNT, "raced")
        assert row is not None
        assert (row.attempt, (await journal.counts("spent")).purchase_count) == (4 * 20, 10)


@pytest.mark.parametrize(
    ("broken", "instead", "answers"),
    [
        ("new.version <> coalesce(old.version, 0) + 1", "false", ["STALE"]),
        ("more > 0 AND max_purchases IS NOT NULL", "false", ["STORED"]),
        ("WHEN unique_violation THEN", "WHEN division_by_zero THEN", None),
    ],
)
async def test_each_guard_is_what_refuses(
    postgres: Server, tmp_path: Path, broken: str, instead: str, answers: list[str] | None
) -> None:
    """The controls: without the guard another answer is given."""
    async with postgres.journal(tmp_path) as journal:
        await journal.put(a_row("held", State.SENDING, key="+1"))
        step = with_schema(MIGRATIONS[0], schema_of(tmp_path)).decode()
        put = step[step.index("CREATE FUNCTION") :].replace("CREATE", "CREATE OR REPLACE", 1)
        assert broken in put
        postgres.asked(put.replace(broken, instead))
        if answers is None:
            error = await error_of(journal.put(a_row("busy", State.SENDING, key="+1")))
            assert "one_unsettled" in str(error)
        elif answers == ["STALE"]:
            # The condition of the upsert is a second guard, for whoever comes past the first.
            assert await journal.put(a_row("held", version=1)) is PutResult.STALE
        else:
            assert (await journal.put(a_row("spent", State.DONE), max_purchases=0)).name in answers


LIMIT = 100
BUYERS = 64
AT_BARRIER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
BLOCKED = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


def write_purchase(op_id: str) -> tuple[object, ...]:
    return (*to_columns(a_row(op_id, State.DONE)), uuid4(), LIMIT, True)


def replace_in_put(server: Server, folder: Path, *changes: tuple[str, str]) -> None:
    put = server.asked(f"SELECT pg_get_functiondef('\"{schema_of(folder)}\".put'::regproc)")[0][0]
    for old, new in changes:
        assert old in put
        put = put.replace(old, new)
    server.asked(put)


async def pid_of(connection: psycopg.AsyncConnection) -> int:
    return connection.info.backend_pid


async def test_a_purchase_far_from_the_limit_waits_for_no_other(
    postgres: Server, tmp_path: Path
) -> None:
    """Nor does one without a limit: another one that is not committed yet is in another slot."""
    put = with_schema(PUT, schema_of(tmp_path))
    async with postgres.journal(tmp_path, connections=1) as journal, AsyncExitStack() as stack:
        slot = await journal.run(pid_of) % BUYERS
        other = stack.enter_context(postgres.connected())
        while other.info.backend_pid % BUYERS == slot:
            other = stack.enter_context(postgres.connected())
        await journal.put(a_row("1", State.DONE))
        with other.transaction():
            other.execute(put, write_purchase("2"))
            for limit in (LIMIT, None):
                row = a_row(str(limit), State.DONE)
                assert await journal.put(row, max_purchases=limit) is PutResult.STORED
        assert (await journal.counts(ACCOUNT)).purchase_count == 4


@pytest.mark.parametrize(
    ("changes", "bought"),
    [
        ([], 20),
        # The controls: a sum that does not leave room for writes that it cannot show, and an exact
        # one without the locks that make it exact.
        ([("total + slots - 1 <=", "total <=")], BUYERS - 10),
        ([("ORDER BY a.slot FOR UPDATE", "ORDER BY a.slot")], BUYERS - 10),
    ],
    ids=["guarded", "no room", "no locks"],
)
async def test_buyers_near_the_limit_never_exceed_it(
    postgres: Server, tmp_path: Path, changes: list[tuple[str, str]], bought: int
) -> None:
    """64 at once, 20 below the limit, of which 10 are killed before they commit."""
    query = with_schema(PUT, schema_of(tmp_path)) + b", pg_advisory_xact_lock_shared(7)"
    async with postgres.journal(tmp_path) as journal, AsyncExitStack() as stack:
        done = (journal.put(a_row(f"done {n}", State.DONE)) for n in range(LIMIT - 20))
        await asyncio.gather(*done)
        one_each = ("pg_backend_pid() % slots", "current_setting('test.slot')::integer")
        no_timeout = ("'4s'", "'600s'")  # the machine may be busy
        replace_in_put(postgres, tmp_path, one_each, no_timeout, *changes)
        connect = partial(psycopg.AsyncConnection.connect, postgres.dsn(), autocommit=True)
        buyers = [
            await stack.enter_async_context(await connect(options=f"-c test.slot={slot}"))
            for slot in range(BUYERS)
        ]
        barrier = stack.enter_context(postgres.connected())
        barrier.execute("SELECT pg_advisory_lock(7)")
        buying = [
            asyncio.create_task(buyer.execute(query, write_purchase(f"new {slot}")))
            for slot, buyer in enumerate(buyers)
        ]
        while postgres.asked(BLOCKED) != [(BUYERS,)]:  # noqa: ASYNC110 - in the server
            await asyncio.sleep(0.01)
        first = [pid for (pid,) in postgres.asked(AT_BARRIER)]
        others = [buyer.info.backend_pid for buyer in buyers]
        for pid in [*dict.fromkeys((*first, *others))][:10]:
            postgres.asked(f"SELECT pg_terminate_backend({pid})")
        barrier.execute("SELECT pg_advisory_unlock(7)")
        await asyncio.gather(*buying, return_exceptions=True)
        rows = await journal.in_states(ACCOUNT, list(State))
        assert (await journal.counts(ACCOUNT)).purchase_count == len(rows) == LIMIT - 20 + bought


async def test_the_index_is_what_keeps_a_number_to_one(
    journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    """The control: without it a second claim would pass."""
    await journal.put(a_row("1", State.SENDING, key="+1"))
    postgres.asked(f'DROP INDEX "{schema_of(tmp_path)}".one_unsettled')
    assert await journal.put(a_row("2", State.SENDING, key="+1")) is PutResult.STORED


# ---------------------------------------------------------------- one clock for all


async def test_the_time_is_the_databases(journal: PostgresJournal, postgres: Server) -> None:
    ask = "SELECT extract(epoch FROM clock_timestamp())::float8"
    [(before,)] = postgres.asked(ask)
    await journal.put(a_row())
    told = journal.now()
    [(after_,)] = postgres.asked(ask)
    assert before - 1 < told < after_ + 1


async def test_a_clock_that_drifts_is_followed_by_reading_too(
    postgres: Server, tmp_path: Path
) -> None:
    moment = 0.0
    async with postgres.journal(tmp_path, monotonic=lambda: moment) as journal:
        begun = journal.now()
        moment = 3_600.0  # this process's clock alone goes on
        assert journal.now() - begun == 3_600.0
        await journal.get(ACCOUNT, "order-1")
        assert 0 <= journal.now() - begun < 60


def an_hour_ahead(client: Client) -> None:
    engine = client.runner.engine
    client._bind(attrs.evolve(engine, wall_clock=lambda: engine.wall_clock() + 3_600))  # noqa: SLF001


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
async def test_a_clock_that_is_an_hour_ahead_ends_no_lease(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """The journal in a file is the control: there each goes by his own clock, and takes the row."""
    journal: Any = SqliteJournal(tmp_path / "orders.db", shared=True)
    if kind == "postgres":
        journal = request.getfixturevalue("postgres").journal(tmp_path)
    box = Sandbox(faults=Faults(hang=30.0))
    box.sigmamind.script("create", [Fault.HANG_BEFORE_COMMIT])
    async with (
        box,
        journal,
        SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as owner,
        SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url, deadline=0.3) as other,
    ):
        value = CreatePhoneNumber(country_code="US")
        under_way = asyncio.create_task(Provisioner(owner, journal).run("order-1", value))
        live = await sending(journal)
        an_hour_ahead(other)
        thief = Provisioner(other, journal)
        with pytest.raises(OutcomeUnknownError):
            await thief.run("order-1", value)
        await thief.reconcile()
        left = await journal.get("sigmamind", "order-1")
        assert (left == live) is (kind == "postgres")
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)


async def sending(journal: Journal) -> Row:
    """Return the row once its request is under way."""
    while True:
        row = await journal.get("sigmamind", "order-1")
        if row is not None and row.state is State.SENDING:
            return row
        await asyncio.sleep(0.01)


async def test_a_database_whose_clock_was_set_back_is_refused(
    journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    """It is the same for all who write there, so all that is compared was told by it."""
    async with (
        Sandbox() as box,
        SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
    ):
        await journal.put(a_row(updated_at=journal.now() + 3_600))
        with pytest.raises(JournalError, match="the clock is 60 minutes behind"):
            await Provisioner(client, journal).run("order-1", CreatePhoneNumber(country_code="US"))


# ---------------------------------------------------------------- the schema and its versions


async def test_many_open_a_new_journal_at_once(postgres: Server, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        opened = (stack.enter_async_context(postgres.journal(tmp_path)) for _ in range(6))
        journals = await asyncio.gather(*opened)
        assert len({journal.journal_id for journal in journals}) == 1


async def prepared(server: Server, folder: Path, migrations: tuple[str, ...]) -> None:
    async with await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True) as connection:
        await migrate(connection, schema_of(folder), migrations=migrations)


async def test_an_older_schema_is_brought_up_to_date_once(postgres: Server, tmp_path: Path) -> None:
    """By the first who opens it, while the others wait; what is in it stays."""
    async with postgres.journal(tmp_path) as journal:
        await journal.put(a_row())
        made = journal.journal_id
    newer = (
        *MIGRATIONS,
        "ALTER TABLE {schema}.last_applied ADD COLUMN at double precision NOT NULL",
    )
    await asyncio.gather(*(prepared(postgres, tmp_path, newer) for _ in range(4)))
    schema = schema_of(tmp_path)
    assert postgres.asked(f'SELECT journal_id, version FROM "{schema}".journal') == [
        (made, len(newer))
    ]
    assert postgres.asked(f'SELECT op_id FROM "{schema}".operations') == [("order-1",)]
    error = await error_of(postgres.journal(tmp_path).open())
    versions = f"(schema version {len(newer)}, here {len(MIGRATIONS)})"
    assert f"was made by another version of sigmamind-async {versions}" in str(error)


async def test_a_step_that_fails_leaves_what_was(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path):
        pass
    failing = (*MIGRATIONS, "ALTER TABLE {schema}.last_applied ADD COLUMN at text", "SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await prepared(postgres, tmp_path, failing)
    async with postgres.journal(tmp_path) as journal:
        assert await journal.put(a_row()) is PutResult.STORED


async def test_looking_on_makes_nothing_and_writes_nothing(
    postgres: Server, tmp_path: Path
) -> None:
    error = await error_of(postgres.journal(tmp_path, read_only=True).open())
    assert "there is no journal.\nName the one that a job has made." in str(error)
    async with (
        postgres.journal(tmp_path) as journal,
        postgres.journal(tmp_path, read_only=True) as looking,
    ):
        await journal.put(a_row())
        assert await looking.get(ACCOUNT, "order-1") == a_row()
        for write in (looking.put(a_row("2")), looking.add_key_fingerprint(ACCOUNT, "seal")):
            assert "read_only=True" in str(await error_of(write))


async def test_a_closed_journal_opens_again(postgres: Server, tmp_path: Path) -> None:
    journal = postgres.journal(tmp_path)
    for name in (journal.put(a_row()), journal.last_applied()):
        assert "is not open" in str(await error_of(name))
    for version in (1, 2):
        async with journal:
            assert "is open already" in str(await error_of(journal.open()))
            assert await journal.put(a_row(version=version)) is PutResult.STORED
    assert journal.latest == 1_000.0


def test_a_journal_says_nothing_before_it_was_opened(postgres: Server, tmp_path: Path) -> None:
    journal = postgres.journal(tmp_path)
    for read in (lambda: journal.journal_id, lambda: journal.latest, journal.now):
        with pytest.raises(JournalError, match="is not open"):
            read()

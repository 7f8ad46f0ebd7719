"""What the journal in PostgreSQL says and keeps when server, network or rights fail it."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sigmamind_async.errors import ConfigurationError, JournalError
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.provisioning.journal.postgres import dsn as target
from sigmamind_async.provisioning.journal.postgres import schema
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import Secret
from tests.functional.journals import ACCOUNT, a_row, after
from tests.functional.relay import Loss, Relay, relay_to
from tests.functional.support import PASSWORD, error_of
from tests.harness.postgres import Server, running, schema_of


@pytest.fixture
async def relay(postgres: Server) -> AsyncIterator[Relay]:
    async with relay_to(postgres) as relay:
        yield relay


@pytest.fixture
async def journal(relay: Relay, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    """A journal whose connections lead through the relay."""
    async with PostgresJournal(relay.dsn, schema=schema_of(tmp_path), timeout=2.0) as journal:
        yield journal


async def problem_of(awaitable: Awaitable[object]) -> str:
    """Return what is wrong, without the name of the database, which must come first."""
    error = await error_of(awaitable)
    text = str(error)
    assert type(error) is JournalError
    assert text.startswith("PostgreSQL ")
    assert text.count("\n") in {1, 2}, "what is wrong, what to do, and whether it may be stored"
    return text.partition(": ")[2]


# ---------------------------------------------------------------- answers that are lost


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.ANSWER])
async def test_a_write_is_made_once_whatever_is_lost(
    relay: Relay, journal: PostgresJournal, loss: Loss
) -> None:
    """One of each kind, and a loss at each: it is stored, and what follows it can be."""
    row = a_row(state=State.SENDING)
    for state in (State.SENDING, State.UNCONFIRMED, State.DONE):
        relay.losses = [loss, loss]
        assert await journal.put(row, max_purchases=1) is PutResult.STORED, state
        assert await journal.get(ACCOUNT, "order-1") == row
        row = after(row, state=state)
    assert (await journal.counts(ACCOUNT)).purchase_count == 1


async def test_a_lost_answer_is_not_taken_for_anothers_write(
    relay: Relay, journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    """Somebody else has gone on from the write meanwhile: the row has to be read again."""
    relay.losses = [Loss.ANSWER]
    table = f'"{schema_of(tmp_path)}".operations'
    change = f"UPDATE {table} SET version = version + 1, write_id = gen_random_uuid()"
    relay.between = lambda: postgres.asked(change)
    assert await journal.put(a_row()) is PutResult.STALE


async def test_the_id_of_a_write_is_what_tells(
    relay: Relay, journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    """The control: without it the writer takes his own write for another's."""
    relay.losses = [Loss.ANSWER]
    table = f'"{schema_of(tmp_path)}".operations'
    relay.between = lambda: postgres.asked(f"UPDATE {table} SET write_id = gen_random_uuid()")
    assert await journal.put(a_row()) is PutResult.STALE
    assert await journal.get(ACCOUNT, "order-1") == a_row()


async def test_a_write_that_comes_late_changes_nothing(
    relay: Relay, journal: PostgresJournal
) -> None:
    """It was made again meanwhile, and others have gone on."""
    relay.losses = [Loss.LATE]
    assert await journal.put(a_row()) is PutResult.STORED
    second = after(a_row(), state=State.DONE)
    assert await journal.put(second) is PutResult.STORED
    await relay.deliver()
    assert await journal.get(ACCOUNT, "order-1") == second


async def test_what_may_be_stored_is_not_called_lost_nor_stored(
    relay: Relay, journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    relay.losses = [Loss.ANSWER]
    relay.between = lambda: setattr(relay, "refusing", True)
    problem = await problem_of(journal.put(a_row()))
    assert problem.startswith("cannot be reached: ")
    assert problem.endswith("may be stored or not: read it before relying on either.")
    async with postgres.journal(tmp_path, read_only=True) as looking:
        assert await looking.get(ACCOUNT, "order-1") == a_row()
    relay.refusing = False
    assert await journal.put(after(a_row())) is PutResult.STORED


async def test_what_never_left_is_not_called_uncertain(
    relay: Relay, journal: PostgresJournal
) -> None:
    await error_of(journal.get("\ud800", ""))  # which gives its connection up
    relay.refusing = True
    assert "may be stored" not in await problem_of(journal.put(a_row()))


async def test_a_server_that_says_nothing_is_hung_up_on(relay: Relay, tmp_path: Path) -> None:
    async with PostgresJournal(relay.dsn, schema=schema_of(tmp_path), timeout=0.2) as journal:
        relay.losses = [Loss.SILENCE]
        problem = await problem_of(journal.put(a_row()))
        assert problem.startswith("the connection was lost: no answer came in time.")
        assert "may be stored or not" in problem
        assert await journal.put(a_row()) is PutResult.STORED


async def test_a_frozen_writer_holds_nobody_up(
    relay: Relay, journal: PostgresJournal, postgres: Server, tmp_path: Path
) -> None:
    """It is cut off in the middle of a write: no lock of it waits for its return."""
    relay.losses = [Loss.ANSWER]
    relay.refusing = True
    async with postgres.journal(tmp_path) as other:
        relay.refusing = False
        held = a_row(state=State.SENDING, key="+1")
        cut_off = asyncio.create_task(journal.put(held, max_purchases=5))
        relay.between = lambda: setattr(relay, "refusing", True)
        assert "may be stored" in str(await error_of(cut_off))
        for n in range(4):
            row = a_row(f"other-{n}", State.SENDING)
            assert await other.put(row, max_purchases=5) is PutResult.STORED
        assert (
            await other.put(a_row("5", State.SENDING), max_purchases=5) is PutResult.LIMIT_REACHED
        )
        assert await other.put(a_row("6", State.SENDING, key="+1")) is PutResult.KEY_IN_USE


# ---------------------------------------------------------------- a server that crashes


async def all_of(journal: PostgresJournal) -> dict[str, Row]:
    return {row.op_id: row for row in await journal.in_states(ACCOUNT, list(State))}


@pytest.mark.parametrize("seconds", [30.0, 0.05])
async def test_nothing_that_was_stored_is_lost_when_the_server_crashes(
    postgres: Server, tmp_path: Path, seconds: float
) -> None:
    """What was refused is there or not, as its message says, and can be written after a look."""
    written: dict[str, PutResult | str] = {}
    async with (
        postgres.journal(tmp_path, timeout=seconds) as journal,
        postgres.journal(tmp_path, timeout=30.0) as patient,
    ):

        async def some(start: int) -> None:
            for n in range(start, start + 40):
                name = f"row-{n}"
                try:
                    written[name] = await journal.put(a_row(name, State.SENDING))
                except JournalError as error:
                    written[name] = str(error)
                if len(written) == 60:
                    await asyncio.to_thread(crash, postgres)

        await asyncio.gather(*(some(start) for start in range(0, 200, 40)))
        rows = await all_of(patient)
        for name, answer in written.items():
            row = a_row(name, State.SENDING)
            if answer is PutResult.STORED:
                assert rows[name] == row
            elif name in rows:
                assert "may be stored or not" in str(answer)
            else:
                assert await patient.put(row) is PutResult.STORED
        assert len(await all_of(patient)) == (await patient.counts(ACCOUNT)).purchase_count == 200
    if seconds > 1:
        assert set(written.values()) == {PutResult.STORED}


def crash(server: Server) -> None:
    server.stop("immediate")
    server.start()


async def test_a_crash_takes_what_need_not_be_durable(postgres: Server, tmp_path: Path) -> None:
    """The control: a write that is not waited for is what a crash can take."""
    async with postgres.journal(tmp_path) as journal:
        await journal.put(a_row("durable"))
        for n in range(5):
            assert await journal.put(a_row(str(n)), durable=False) is PutResult.STORED
        await asyncio.to_thread(crash, postgres)
        left = (await all_of(journal)).keys()
        assert "durable" in left
        assert "4" not in left


async def test_a_database_that_does_not_wait_for_the_disk_is_made_to(
    postgres: Server, tmp_path: Path
) -> None:
    """For the journal's writes, whatever the database is set to."""
    postgres.asked("ALTER DATABASE postgres SET synchronous_commit = off")
    try:
        async with postgres.journal(tmp_path) as journal:
            for n in range(5):
                await journal.put(a_row(str(n)))
            await asyncio.to_thread(crash, postgres)
            assert (await all_of(journal)).keys() == {"0", "1", "2", "3", "4"}
    finally:
        postgres.asked("ALTER DATABASE postgres RESET synchronous_commit")


# ---------------------------------------------------------------- what is wrong at opening


async def test_whoever_cannot_connect_is_told_why(postgres: Server, tmp_path: Path) -> None:
    folder = postgres.folder
    for dsn, problem, advice in [
        (f"host={tmp_path} password={PASSWORD}", "cannot be reached: ", "that the server runs"),
        (f"host=127.0.0.1 port=1 password={PASSWORD}", "cannot be reached: ", "server runs"),
        (postgres.dsn(database="nowhere"), 'database "nowhere" does not exist', "Make the user"),
        (postgres.dsn().replace(PASSWORD, "wrong"), "authentication failed", "Check user and"),
        (f"host={folder} user=postgres passfile=/nowhere", "no password supplied", "PGPASSWORD"),
    ]:
        said = await problem_of(PostgresJournal(dsn).open())
        first, _, second = said.partition("\n")
        assert (problem in first, advice in second) == (True, True), said


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{PASSWORD}@h:{PASSWORD}/db",
        f"postgresql://u:half@{PASSWORD}@h/db",
        f"postgresql://u:{PASSWORD}/half@h/db",
        f"postgresql://u:12/{PASSWORD}@h/db",
        f"password='{PASSWORD}",
        f"{PASSWORD}=1",
        f"{PASSWORD} \ud800",
    ],
)
async def test_what_is_no_dsn_is_refused_without_showing_it(dsn: str) -> None:
    async def make() -> None:
        PostgresJournal(dsn)

    error = await error_of(make())
    assert type(error) is ConfigurationError
    assert str(error).startswith("dsn: is not a PostgreSQL connection string")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"schema": "Orders"}, "schema: must be 1 to 63 lower-case"),
        ({"schema": "pg_orders"}, "schema: must be 1 to 63 lower-case"),
        ({"schema": 'a"; DROP TABLE b; --'}, "schema: must be"),
        ({"connections": 0}, "connections: must be a whole number from 1"),
        ({"connections": True}, "connections: must be"),
        ({"timeout": 0}, "timeout: must be more than 0"),
        ({"timeout": float("inf")}, "timeout: must be more than 0 seconds, and finite"),
        ({"timeout": "5"}, "timeout: must be a number of seconds"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PostgresJournal("", **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(problem)


async def test_no_password_is_shown(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the journal nor by what it keeps of the DSN, nor from the environment."""
    journal = PostgresJournal(Secret(postgres.dsn()))
    assert PASSWORD not in f"{journal!r} {vars(journal)}"
    known = target.parse_dsn(Secret(postgres.dsn()), "sigmamind")
    assert known.redact(f"a {PASSWORD} b") == "a *** b"
    monkeypatch.setenv("PGPASSWORD", "of-the-environment")
    assert known.redact("x of-the-environment") == "x ***"


# ---------------------------------------------------------------- rights


@pytest.fixture
def guest(postgres: Server) -> Iterator[str]:
    """A user who may connect, and nothing else."""
    postgres.asked(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    yield postgres.dsn("guest")
    postgres.asked("DROP OWNED BY guest; DROP ROLE guest")


async def test_whoever_has_no_right_is_told_so(
    postgres: Server, guest: str, tmp_path: Path
) -> None:
    """And needs no more than those to the tables once somebody else has made the schema."""
    schema = schema_of(tmp_path)
    said = await problem_of(PostgresJournal(guest, schema=schema).open())
    assert said.startswith("this user may not make the journal's schema: permission denied for")
    assert "GRANT CREATE ON DATABASE postgres TO" in said
    async with postgres.journal(tmp_path):
        pass
    said = await problem_of(PostgresJournal(guest, schema=schema).open())
    assert said.startswith(
        "this user does not have the right to do that: permission denied for schema"
    )
    postgres.asked(f'GRANT USAGE ON SCHEMA "{schema}" TO guest')
    rights = "SELECT, INSERT, UPDATE, DELETE"
    postgres.asked(f'GRANT {rights} ON ALL TABLES IN SCHEMA "{schema}" TO guest')
    async with PostgresJournal(guest, schema=schema) as journal:
        assert await journal.put(a_row()) is PutResult.STORED
        await journal.set_last_applied("a", "b")
        await journal.add_key_fingerprint(ACCOUNT, "seal")
        postgres.asked(f'REVOKE UPDATE ON ALL TABLES IN SCHEMA "{schema}" FROM guest')
        assert "permission denied for table" in await problem_of(journal.put(after(a_row())))


# ---------------------------------------------------------------- the database itself


async def test_a_schema_of_another_application_is_left_alone(
    postgres: Server, tmp_path: Path
) -> None:
    schema = schema_of(tmp_path)
    postgres.asked(f'CREATE SCHEMA "{schema}"')
    for table in ("orders", "journal", "operations"):
        postgres.asked(f'CREATE TABLE "{schema}".{table} (a int)')
        said = await problem_of(postgres.journal(tmp_path).open())
        assert said.startswith("the schema holds tables of another application")


async def test_an_empty_schema_is_used(postgres: Server, tmp_path: Path) -> None:
    """Its owner may be allowed to make tables, and no schemas."""
    postgres.asked(f'CREATE SCHEMA "{schema_of(tmp_path)}"')
    async with postgres.journal(tmp_path) as journal:
        assert await journal.put(a_row()) is PutResult.STORED


async def test_tables_that_are_gone_are_told(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path) as journal:
        postgres.asked(f'DROP SCHEMA "{schema_of(tmp_path)}" CASCADE')
        for call in (journal.put(a_row()), journal.get(ACCOUNT, "order-1")):
            said = await problem_of(call)
            assert said.startswith("its tables were changed or removed while it was open")


async def test_a_row_that_another_program_has_changed_is_told(
    postgres: Server, tmp_path: Path
) -> None:
    async with postgres.journal(tmp_path) as journal:
        await journal.put(a_row())
        postgres.asked(f"UPDATE \"{schema_of(tmp_path)}\".operations SET detail = '{{'")
        said = await problem_of(journal.get(ACCOUNT, "order-1"))
        assert said.startswith("the row of 'order-1' cannot be read")
        assert await journal.put(a_row("2")) is PutResult.STORED


async def test_a_database_that_takes_no_writes_is_told(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path):
        pass
    dsn = f"{postgres.dsn()}&options=-c%20default_transaction_read_only%3Don"
    said = await problem_of(PostgresJournal(dsn, schema=schema_of(tmp_path)).open())
    assert said.startswith("the server accepts no writes")
    async with PostgresJournal(dsn, schema=schema_of(tmp_path), read_only=True) as looking:
        assert await looking.last_applied() == {}


async def test_a_standby_is_told_from_the_primary() -> None:
    """Whoever only looks on may look there."""
    with running() as server:
        async with server.journal(server.folder) as journal:
            await journal.put(a_row())
        server.become_standby()
        said = await problem_of(server.journal(server.folder).open())
        assert said.startswith(
            "the server is a standby, which accepts no writes.\nName the primary"
        )
        async with server.journal(server.folder, read_only=True) as looking:
            assert await looking.get(ACCOUNT, "order-1") == a_row()


async def test_a_server_that_is_too_old_is_refused(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST", 990_000)
    said = await problem_of(postgres.journal(tmp_path).open())
    assert re.fullmatch(r"the server is PostgreSQL \d\d\.\nUse version 99 or later\.", said)


async def test_what_the_driver_cannot_send_is_told(postgres: Server, tmp_path: Path) -> None:
    async with postgres.journal(tmp_path) as journal:
        said = await problem_of(journal.get(ACCOUNT, object()))  # type: ignore[arg-type]
        assert said.startswith("cannot be used: ProgrammingError: cannot adapt type 'object'")
        assert await journal.put(a_row()) is PutResult.STORED


async def test_a_database_in_another_encoding_is_refused(postgres: Server) -> None:
    postgres.asked("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
    said = await problem_of(PostgresJournal(postgres.dsn(database="old")).open())
    assert said.startswith("the database stores text as LATIN1.\nUse one that was made with")
    postgres.asked("DROP DATABASE old")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_stricter_database_is_as_good(postgres: Server, tmp_path: Path, level: str) -> None:
    """There the server undoes what came at the same time, and it is done again."""
    options = f"-c%20default_transaction_isolation%3D{level.replace(' ', '%5C%20')}"
    dsn = f"{postgres.dsn()}&options={options}"
    async with PostgresJournal(dsn, schema=schema_of(tmp_path), timeout=30.0) as journal:
        puts = [journal.put(a_row(str(n), State.DONE), max_purchases=5) for n in range(12)]
        puts += [journal.put(a_row(str(n))) for n in range(12)]
        written = await asyncio.gather(*puts)
        assert written.count(PutResult.STORED) >= 5
        assert (await journal.counts(ACCOUNT)).purchase_count <= 5


async def test_a_lock_of_another_program_is_told(postgres: Server, tmp_path: Path) -> None:
    schema = schema_of(tmp_path)
    async with postgres.journal(tmp_path, timeout=30.0) as journal:
        step = postgres.asked(f"SELECT pg_get_functiondef('\"{schema}\".put'::regproc)")
        postgres.asked(step[0][0].replace("'4s'", "'50ms'"))
        await journal.put(a_row())
        with postgres.connected() as other, other.transaction():
            other.execute(f'LOCK TABLE "{schema}".operations'.encode())
            said = await problem_of(journal.put(after(a_row())))
        assert said.startswith("another program keeps its rows or tables locked")
        assert await journal.put(after(a_row())) is PutResult.STORED


# ---------------------------------------------------------------- a disk that is full


@pytest.fixture
def small_disk(postgres: Server) -> Iterator[Path]:
    """A disk of 12 MB, with room for a database and little more."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("no right to mount a disk")
    disk = postgres.folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=777", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("no right to mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()


def fill_up(filler: Path, leave: int) -> None:
    """Take all of a disk but *leave* bytes, on which the server writes meanwhile as well."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))
    os.truncate(filler, filler.stat().st_size - leave)


async def test_a_disk_that_fills_up_is_told(postgres: Server, small_disk: Path) -> None:
    place = small_disk / "place"
    place.mkdir()
    postgres.own(place)
    postgres.asked(f"CREATE TABLESPACE small LOCATION '{place}'")
    postgres.asked("CREATE DATABASE small TABLESPACE small")
    stored: list[str] = []
    filler = small_disk / "filler"
    async with PostgresJournal(postgres.dsn(database="small")) as journal:
        fill_up(filler, leave=150_000)
        said = ""
        while not said:
            row = a_row(f"row-{len(stored)}", error=f"{len(stored)}" + "e" * 1500)
            try:
                await journal.put(row)
                stored.append(row.op_id)
            except JournalError:
                said = await problem_of(journal.put(row))
        assert said.startswith("the server's disk is full; nothing was stored.\nFree some space")
        assert list(await all_of(journal)) == stored
        filler.unlink()
        assert await journal.put(a_row("freed")) is PutResult.STORED
    postgres.asked("DROP DATABASE small")
    postgres.asked("DROP TABLESPACE small")


# ---------------------------------------------------------------- before the first word


class Unfinished:
    """A server that offers TLS and shows a certificate, if it has one: it never gets further."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate is not None:
            certificate.configure_cert(self._context)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            await reader.readexactly(8)  # "do you speak TLS?"
            writer.write(b"S")
            await writer.start_tls(self._context)
            await reader.read()
        writer.close()


@pytest.fixture
def no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose home holds nothing that libpq would look at."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLROOTCERT", "PGSERVICE", "PGSERVICEFILE", "PGHOST"):
        monkeypatch.delenv(name, raising=False)


CA = trustme.CA()
TLS_PROBLEMS = [
    ({}, "root certificate file", "sslrootcert"),
    ({"sslrootcert": "/nowhere/root.crt"}, "root certificate file", "sslrootcert"),
    ({"sslrootcert": "another"}, "certificate verify failed", "sslrootcert"),
    ({"sslrootcert": "ours"}, "does not match host name", "Name the server as its certificate"),
]


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize(("options", "problem", "advice"), TLS_PROBLEMS)
async def test_what_is_wrong_with_a_certificate_is_told_as_that(
    options: dict[str, str], problem: str, advice: str, tmp_path: Path
) -> None:
    """None of it is a user or a database that does not exist, nor a server that does not run."""
    for name, authority in (("ours", CA), ("another", trustme.CA())):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    served = Unfinished(CA.issue_cert("db.example"))
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    given = {name: str(tmp_path / text) for name, text in options.items()}
    words = " ".join(f"{name}={text}" for name, text in given.items())
    async with server:
        said = await problem_of(
            PostgresJournal(f"host=127.0.0.1 port={port} sslmode=verify-full {words}").open()
        )

    assert problem in said
    assert advice in said
    assert "Make the user" not in said
    assert "runs there" not in said


@pytest.mark.usefixtures("no_files")
async def test_a_service_is_named_and_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("[orders]\nhost=127.0.0.1\nport=1\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    there = str(await error_of(PostgresJournal("service=orders").open()))
    missing = str(await error_of(PostgresJournal("service=order").open()))
    host = str(await error_of(PostgresJournal("service=orders host=localhost").open()))

    assert there.startswith("PostgreSQL on the host of service orders, schema")
    assert "PGSERVICEFILE" in missing
    assert host.startswith("PostgreSQL on localhost, schema")

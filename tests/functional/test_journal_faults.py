"""What the journal says and keeps when disk, file, folder or neighbour fail it."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal, file, lockfile
from sigmamind_async.provisioning.row import State
from tests.functional.journals import ACCOUNT, a_row, said_by
from tests.functional.support import error_of

root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to become nobody")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody who holds a lock."""
    monkeypatch.setattr(file, "BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr(lockfile, "SHARE_TIMEOUT", 0.05)


async def problem_of(awaitable: Awaitable[object], path: Path) -> str:
    """Return what is wrong, without the name of the file, which must come first."""
    error = await error_of(awaitable)
    name, text = str(path), str(error)
    assert type(error).__name__ == "JournalError"
    assert text.startswith(f"{name}: ")
    assert text.count("\n") == 1, "what is wrong, and then what to do"
    return text.removeprefix(f"{name}: ")


async def make(path: Path, count: int = 0) -> None:
    async with SqliteJournal(path) as journal:
        puts = (journal.put(a_row(f"row-{n}", State.DONE, error="e" * 500)) for n in range(count))
        assert set(await asyncio.gather(*puts)) <= {PutResult.STORED}


# ---------------------------------------------------------------- a disk that is full

LIMITED = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = SqliteJournal(path)
await journal.open()
size = os.stat(f"{path}-wal").st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
async def one(name):
    try:
        written = await journal.put(a_row(name, State.SENDING, error="e" * 3000))
    except JournalError as error:
        assert (error.__cause__, error.__context__) == (None, None)
        assert str(error).startswith(f"{path}: the disk "), str(error)
        return "refused"
    assert written is PutResult.STORED
    return "stored"
async def some(name):
    for n in range(40):
        say(f"{name}-{n} {await one(f'{name}-{n}')}")
await asyncio.gather(*(some(str(task)) for task in range(5)))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
say(f"freed {await one('freed')}")
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
await journal.close()
"""


def told(lines: list[str]) -> tuple[set[str], set[str]]:
    pairs = [line.split() for line in lines]
    stored, refused = ({n for n, said in pairs if said == word} for word in ("stored", "refused"))
    return stored, refused


async def test_a_full_disk_loses_nothing_and_hides_nothing(path: Path) -> None:
    """What was said to be stored is there, what was refused is not, and all is well once freed."""
    stored, refused = told(said_by(LIMITED, path, "close"))
    async with SqliteJournal(path) as journal:
        found = {row.op_id for row in await journal.in_states(ACCOUNT, list(State))}
    assert found == stored
    assert "freed" in stored
    assert len(refused) > 50


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("no right to mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_disk_that_fills_up_is_told(small_disk: Path) -> None:
    path = small_disk / "orders.db"
    stored: list[str] = []
    async with SqliteJournal(path) as journal:
        (small_disk / "filler").write_bytes(b"\0" * 20_000)
        problem = ""
        while not problem:
            try:
                name = f"row-{len(stored)}"
                await journal.put(a_row(name, error="e" * 3000))
                stored.append(name)
            except Exception:  # noqa: BLE001 - the next call shows what it is
                problem = await problem_of(journal.put(a_row("again", error="e" * 9000)), path)
        assert problem.startswith("the disk is full; nothing was stored.\nFree some space")
        (small_disk / "filler").unlink()
        assert await journal.put(a_row("freed")) is PutResult.STORED
        rows = await journal.in_states(ACCOUNT, list(State))
    assert [row.op_id for row in rows] == [*stored, "freed"]


async def test_a_full_disk_is_found_at_opening(small_disk: Path) -> None:
    path = small_disk / "orders.db"
    await make(path)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    assert "the disk is full" in await problem_of(SqliteJournal(path).open(), path)
    filler.unlink()
    await make(path, 1)


async def test_a_backup_that_does_not_fit_leaves_nothing(path: Path, small_disk: Path) -> None:
    await make(path, 500)
    async with SqliteJournal(path) as journal:
        problem = await problem_of(journal.backup(small_disk / "copy.db"), path)
        assert "copy.db: the disk is full" in problem
        assert await journal.put(a_row()) is PutResult.STORED
    assert list(small_disk.iterdir()) == []


# ---------------------------------------------------------------- failures made to measure


class Failing(sqlite3.Connection):
    """A connection whose next statements fail as they are told to."""

    fails: dict[str, BaseException]
    """Error by the first word of the statement."""

    def execute(self, sql: str, /, *values: Any) -> sqlite3.Cursor:
        error = Failing.fails.get(sql.split(maxsplit=1)[0])
        if error is not None:
            raise error
        return super().execute(sql, *values)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    Failing.fails = {}
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Failing))
    return Failing.fails


def coded(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("made to measure")
    error.sqlite_errorcode = code
    return error


async def test_when_a_commit_fails_everybody_in_it_is_told(
    path: Path, fails: dict[str, BaseException]
) -> None:
    """Readers too: what they have seen is not there."""
    async with SqliteJournal(path) as journal:
        fails["COMMIT"] = coded(sqlite3.SQLITE_IOERR_FSYNC)
        calls = [journal.put(a_row(str(n))) for n in range(5)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer).__name__ for answer in answers} == {"JournalError"}
        assert len({id(answer) for answer in answers}) == 5
        del fails["COMMIT"]
        assert await journal.in_states(ACCOUNT, list(State)) == []
        assert (await journal.counts(ACCOUNT)).purchase_count == 0
        assert await journal.put(a_row("0")) is PutResult.STORED


async def test_a_reader_of_what_was_not_committed_is_told(
    path: Path, fails: dict[str, BaseException]
) -> None:
    async with SqliteJournal(path) as journal:
        begun, gate = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            begun.set()
            gate.wait()

        assert journal._writer is not None  # noqa: SLF001 - holds the thread up, so that both wait
        held = asyncio.create_task(journal._writer.run(hold))  # noqa: SLF001
        await asyncio.to_thread(begun.wait)
        both = asyncio.gather(
            journal.put(a_row()), journal.get(ACCOUNT, "order-1"), return_exceptions=True
        )
        await asyncio.sleep(0)
        fails["COMMIT"] = coded(sqlite3.SQLITE_FULL)
        gate.set()
        await held
        put, got = await both
        assert str(put) == str(got)
        assert "the disk is full; nothing was stored" in str(put)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (coded(sqlite3.SQLITE_FULL), "the disk is full"),
        (coded(sqlite3.SQLITE_IOERR_WRITE), "the disk refuses to read or write"),
        (coded(sqlite3.SQLITE_READONLY_DBMOVED), "the file or its folder cannot be written"),
        (coded(sqlite3.SQLITE_BUSY), "another program keeps the file locked"),
        (coded(sqlite3.SQLITE_CORRUPT), "the file is damaged"),
        (coded(sqlite3.SQLITE_CANTOPEN), "cannot be opened"),
    ],
)
async def test_every_error_of_the_database_says_what_to_do(
    path: Path, fails: dict[str, BaseException], error: BaseException, problem: str
) -> None:
    async with SqliteJournal(path) as journal:
        fails["INSERT"] = error
        assert (await problem_of(journal.put(a_row()), path)).startswith(problem)
        del fails["INSERT"]
        assert await journal.put(a_row()) is PutResult.STORED


async def test_an_error_of_another_kind_is_told_too(
    path: Path, fails: dict[str, BaseException]
) -> None:
    async with SqliteJournal(path) as journal:
        for error in (MemoryError("none left"), sqlite3.ProgrammingError("odd")):
            fails["INSERT"] = error
            assert str(error) in str(await error_of(journal.put(a_row())))


async def test_an_index_that_is_not_ours_is_no_busy_number(path: Path) -> None:
    """Only the one violation means that a number is taken."""
    await make(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER t BEFORE INSERT ON operations BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    async with SqliteJournal(path) as journal:
        assert "SQLite cannot use it: no" in str(await error_of(journal.put(a_row())))


async def test_when_the_thread_ends_everybody_is_told(
    path: Path, fails: dict[str, BaseException]
) -> None:
    """Nobody waits for ever, and nothing counts as stored."""
    journal = SqliteJournal(path)
    await journal.open()
    fails["COMMIT"] = SystemExit()
    calls = (journal.put(a_row(str(n))) for n in range(20))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer).__name__ for answer in answers} == {"JournalError"}
    await error_of(journal.put(a_row()))
    del fails["COMMIT"]
    await journal.close()
    async with journal:
        assert await journal.in_states(ACCOUNT, list(State)) == []


# ---------------------------------------------------------------- a file that cannot be used


async def test_a_journal_is_used_while_it_is_open(path: Path) -> None:
    journal = SqliteJournal(path)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: journal.get(ACCOUNT, "order-1"),
        lambda: journal.put(a_row()),
        lambda: journal.in_states(ACCOUNT, [State.DONE]),
        lambda: journal.with_tokens(ACCOUNT, ["T"]),
        lambda: journal.with_key(ACCOUNT, "+1", 0.0),
        lambda: journal.tagged_before(ACCOUNT, 0.0),
        lambda: journal.counts(ACCOUNT),
        lambda: journal.key_fingerprints(ACCOUNT),
        lambda: journal.add_key_fingerprint(ACCOUNT, "seal"),
        lambda: journal.backup(path.with_name("copy.db")),
    ]
    for _ in ("before", "after"):
        for call in calls:
            assert (await problem_of(call(), path)).startswith("is not open")
        async with journal:
            assert (await problem_of(journal.open(), path)).startswith("is open already")


def test_id_and_time_are_known_once_it_was_open(path: Path) -> None:
    for name in ("journal_id", "latest"):
        with pytest.raises(Exception, match="is not open"):
            getattr(SqliteJournal(path), name)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (".", "is a folder"),
        ("garbage", "is not a journal: it is not a SQLite file, or is damaged"),
        ("garbage/orders.db", "a part of the path is a file"),
        ("loop.db", "cannot be used: Too many levels of symbolic links"),
        ("loop.db/orders.db", "cannot be used: Too many levels of symbolic links"),
        ("foreign.db", "is a file of another application, and was left as it is"),
        ("theirs.db", "is a file of another application, and was left as it is"),
        ("newer.db", "was made by another version of sigmamind-async (schema 99, here 5)"),
    ],
)
async def test_what_is_no_journal_is_left_as_it_is(
    tmp_path: Path, name: str, problem: str, read_only: bool
) -> None:
    (tmp_path / "garbage").write_bytes(b"no database at all " * 500)
    (tmp_path / "loop.db").symlink_to("loop.db")
    for made in ("theirs.db", "newer.db"):
        await make(tmp_path / made)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as database:
        database.execute("CREATE TABLE t (a)")
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as database:
        database.execute("PRAGMA application_id = 7")
    with closing(sqlite3.connect(tmp_path / "newer.db")) as database:
        database.execute("PRAGMA user_version = 99")
    path = tmp_path / name
    content = path.read_bytes() if path.is_file() else b""
    journal = SqliteJournal(path, read_only=read_only)
    assert (await problem_of(journal.open(), path)).startswith(problem)
    assert (path.read_bytes() if path.is_file() else b"") == content


async def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "orders.db"
    problem = await problem_of(SqliteJournal(path).open(), path)
    assert problem == "there is no such folder.\nMake it first, or name another."


@pytest.mark.skipif(os.name == "nt", reason="has no pipes in folders")
async def test_a_pipe_is_no_file(path: Path) -> None:
    os.mkfifo(path)
    assert (await problem_of(SqliteJournal(path).open(), path)).startswith("is not a regular file")


async def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """It is what a process leaves that is killed while it makes one."""
    path.touch()
    looking = SqliteJournal(path, read_only=True)
    assert (await problem_of(looking.open(), path)).startswith("is empty")
    await make(path, 1)


async def test_a_file_that_is_damaged_is_refused(path: Path) -> None:
    """Even where opening would not come by: in an index that is asked for nothing yet."""
    await make(path, 200)
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'by_token'"
    with closing(sqlite3.connect(path)) as database:
        ((page,),) = database.execute(query)
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"?" * 4096
    path.write_bytes(content)
    for read_only in (False, True):
        journal = SqliteJournal(path, read_only=read_only)
        assert (await problem_of(journal.open(), path)).startswith("the file is damaged")


async def test_opening_writes_to_the_disk(path: Path) -> None:
    """So that a disk that takes nothing is found before anything is bought; looking on does not."""
    for _ in range(3):
        await make(path)
    async with SqliteJournal(path, read_only=True):
        pass
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT openings FROM journal").fetchone() == (3,)


async def test_damage_while_it_is_open_is_told(path: Path) -> None:
    await make(path, 4000)  # more than SQLite keeps in memory
    async with SqliteJournal(path) as journal:
        # In place: a descriptor that this process closes would take SQLite's locks with it.
        script = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(4096); f.write(b'?' * 3_000_000)"
        subprocess.run([sys.executable, "-S", "-c", script, path], check=True)
        problem = await problem_of(journal.in_states(ACCOUNT, [State.DONE]), path)
        assert problem.startswith("the file is damaged")


async def test_a_row_that_another_program_changed_is_told_alone(path: Path) -> None:
    await make(path, 2)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE operations SET detail = '{}' WHERE op_id = 'row-0'")
    async with SqliteJournal(path) as journal:
        read = journal.get(ACCOUNT, "row-0")
        broken, whole, written = await asyncio.gather(
            read, journal.get(ACCOUNT, "row-1"), journal.put(a_row()), return_exceptions=True
        )
        assert "the row of 'row-0' cannot be read" in str(broken)
        assert whole is not None
        assert written is PutResult.STORED


async def test_a_file_that_is_removed_meanwhile_takes_no_more_writes(path: Path) -> None:
    """The writes would be gone with the process, for all that they were reported as stored."""
    async with SqliteJournal(path) as journal:
        path.rename(path.with_name("elsewhere"))
        problem = await problem_of(journal.put(a_row()), path)
        assert problem.startswith("the file was removed or replaced while it was open")
        path.with_name("elsewhere").rename(path)
        assert await journal.put(a_row()) is PutResult.STORED


# ---------------------------------------------------------------- rights

NOBODY = """
await asyncio.to_thread(os.getpid)  # nobody may not be allowed to read what that imports
os.setuid(65534)
for name in sys.argv[2:]:
    try:
        async with SqliteJournal(path / name, read_only=name.startswith("seen")) as journal:
            say(f"{name}: holds {len(await journal.in_states(ACCOUNT, list(State)))}")
    except JournalError as error:
        say(str(error).replace(chr(10), " ").removeprefix(f"{path}/"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can look into."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@root
async def test_whoever_has_no_right_is_told_so(folder: Path) -> None:
    """To look on, the right to read is enough."""
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    for name in ("made.db", "seen.db", "seen-not.db", "open/made.db"):
        await make(folder / name, 3)
        (folder / name).chmod(0o600 if "not" in name else 0o644)
    (folder / "open" / "made.db-lock").chmod(0o666)
    names = ["new.db", "made.db", "open/made.db", "open/new.db", "seen.db", "seen-not.db"]
    no_right = "the file or its folder cannot be written by this user"
    expected = [
        f"new.db: {no_right}",
        f"made.db: {no_right}",
        f"open/made.db: {no_right}",
        "open/new.db: holds 0",
        "seen.db: holds 3",
        "seen-not.db: cannot be opened. Check whether this user may read the file",
    ]
    for said, begins in zip(said_by(NOBODY, folder, *names), expected, strict=True):
        assert said.startswith(begins)


# ---------------------------------------------------------------- locks of others


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
async def test_a_lock_of_another_program_is_told(path: Path, mode: str) -> None:
    await make(path)
    async with SqliteJournal(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(f"BEGIN {mode}")
            problem = await problem_of(journal.put(a_row()), path)
            assert problem.startswith("another program keeps the file locked")
            assert await journal.get(ACCOUNT, "order-1") is None
            other.execute("ROLLBACK")
        assert await journal.put(a_row()) is PutResult.STORED


@pytest.mark.usefixtures("hurried")
async def test_a_lock_of_another_program_is_told_at_opening(path: Path) -> None:
    await make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        problem = await problem_of(SqliteJournal(path).open(), path)
        assert problem.startswith("another program keeps the file locked")
    await make(path, 1)


@pytest.mark.usefixtures("hurried")
async def test_who_shares_is_refused_by_who_has_it_alone(path: Path) -> None:
    async with SqliteJournal(path):
        problem = await problem_of(SqliteJournal(path, shared=True).open(), path)
        assert re.fullmatch(r"this process has it open already\.\n.*shared=True.*", problem)


FORKED = """
journal = SqliteJournal(path)
await journal.open()

async def in_the_child():
    try:
        await journal.put(a_row("2"))
    except JournalError as error:
        say(str(error).replace(chr(10), " "))
    await journal.close()
    try:
        async with SqliteJournal(path):
            pass
    except JournalError as error:
        say("refused")

child = os.fork()
if child == 0:
    try:
        asyncio.run(in_the_child())
    finally:
        os._exit(0)
os.waitpid(child, 0)
say((await journal.put(a_row())).name)
if (idle := os.fork()) == 0:
    signal.pause()
await journal.close()
try:
    async with journal:
        say("reopened")
finally:
    os.kill(idle, signal.SIGKILL)
    os.waitpid(idle, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
async def test_a_forked_process_is_told_to_open_its_own(path: Path) -> None:
    message, *then = said_by(FORKED, path)
    assert message == (
        f"{path}: was opened before this process was forked. "
        "Make a new SqliteJournal in each process."
    )
    # The lock is the parent's for as long as it wants it, and no child keeps it beyond that.
    assert then == ["refused", "STORED", "reopened"]

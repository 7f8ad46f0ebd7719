"""``sigmamind demo --workers``: worker processes of which one is killed while it buys.

Nothing of it is staged either. Journal and queue are in a PostgreSQL server that is there for this
alone, or in a new database of a server that is named. Each worker is ``sigmamind worker`` in a
process of its own, each file is handed over by ``sigmamind apply --postgres``, and what the journal
says in the end is held against the ledger of the sandbox.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Final

import attrs

from sigmamind_async.cli.database import Database, database_of, missing
from sigmamind_async.cli.demo.audit import judge
from sigmamind_async.cli.demo.environment import SETTLE_TIME, Stage
from sigmamind_async.cli.demo.fleet import Sample
from sigmamind_async.cli.demo.postgres import own_server
from sigmamind_async.cli.dsn import OPTION, VARIABLE
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.output.events import AuditResult, WorkerKilled
from sigmamind_async.cli.runtime import run
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row, State

WORKER: Final = (
    *("worker", OPTION, "--allow-secret", "file:."),
    *("--retry-unconfirmed", "--settle-time", f"{SETTLE_TIME:g}"),
)
HASTE: Final = ("--attempt-timeout", "1", "--deadline", "15", "--upkeep", "1", "--json")
"""What makes a worker impatient, and silent; not worth showing."""
EVERY: Final = 0.05
"""Seconds between two looks at the journal while the moment to kill is waited for."""


@attrs.define(kw_only=True)
class WorkersDemo:
    """One demonstration."""

    stage: Stage
    database: Database
    count: int
    """Workers."""
    loop: asyncio.Runner
    _journal: Journal = attrs.field(init=False)

    def run(self) -> AuditResult:
        """Show all of it."""
        stage = self.stage
        stage.prepare()
        stage.introduce()
        self.loop.run(self.database.queue().prepare())
        journal = self.database.opened(read_only=True)
        self._journal = self.loop.run(journal.__aenter__())
        try:
            with ExitStack() as stack:
                self._show_work(stack)
            rows = self._rows(State)
        finally:
            self.loop.run(journal.close())
        verdict = judge(rows, stage.sales, asked=stage.asked, asked_to_buy=stage.asked_to_buy)
        stage.output.show(verdict)
        return verdict

    def _show_work(self, stack: ExitStack) -> None:
        """Start workers, hand the fleet over, kill one of them, and wait for the others."""
        say, stage = self.stage.output.log, self.stage
        say(f"{self.count} workers share one journal, which is in PostgreSQL, and its queue:")
        say()
        workers = [self._start(stack, f"worker-{n}", WORKER, HASTE) for n in self._numbers]
        say(f"  $ sigmamind {' '.join(WORKER)}  ({self.count} times)")
        say()
        say(f"{stage.asked} rows are handed to them; {stage.asked_to_buy} of them buy a number:")
        say()
        jobs = [self._hand_over(stack, sample) for sample in stage.fleet]
        began = time.monotonic()
        victim = self._kill_one(workers)
        self._wait_for(jobs, workers, victim)
        codes = ", ".join(str(job.returncode) for job in jobs)
        say(f"  all rows ended after {time.monotonic() - began:.1f} s, exit codes {codes}")
        say()
        for sample in stage.fleet:
            self._say_done(sample)
        say()

    @property
    def _numbers(self) -> range:
        return range(1, self.count + 1)

    # --- processes ---------------------------------------------------------------------------

    def _start(
        self, stack: ExitStack, name: str, words: Sequence[str], unsaid: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        """Run a command that does not outlive *stack*."""
        environment = {VARIABLE: self.database.dsn.reveal()}
        process = self.stage.start(name, [*words, *unsaid], environment)
        stack.enter_context(process)
        stack.callback(process.kill)
        return process

    def _hand_over(self, stack: ExitStack, sample: Sample) -> subprocess.Popen[bytes]:
        platform = PLATFORMS[sample.platform].words
        most = ("--max-purchases", str(sample.purchases), "--yes")
        words = ["apply", self.stage.file(sample).name, OPTION, *platform, *most]
        self.stage.output.log(f"  $ sigmamind {' '.join(words)}")
        return self._start(stack, sample.platform, words, ["--json"])

    def _kill_one(self, workers: Sequence[subprocess.Popen[bytes]]) -> int:
        """End a worker with SIGKILL while it buys; return its place among *workers*."""
        self.stage.output.log()
        chosen: list[int] = []

        def in_the_middle() -> bool:
            self._check(workers)
            time.sleep(EVERY)
            if 3 * len(self.stage.sales) >= self.stage.asked_to_buy:
                caught = (place for place, worker in enumerate(workers) if self._caught(worker))
                chosen.extend(islice(caught, 1))
            return bool(chosen)

        self.stage.wait(in_the_middle)
        [place] = chosen
        killed = WorkerKilled(
            worker=place + 1,
            in_progress=len(self._under_way(workers[place])),
            done=len(self._rows([State.DONE])),
            rows=self.stage.asked,
        )
        workers[place].kill()
        workers[place].wait()
        self.stage.output.show(killed)
        self.stage.output.log("  Nobody starts it again: the others take over.")
        return place

    def _caught(self, worker: subprocess.Popen[bytes]) -> bool:
        """Return whether *worker* is sending something; it is held still then, and goes on else."""
        if not self._under_way(worker):
            return False
        worker.send_signal(signal.SIGSTOP)
        if self._under_way(worker):
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    def _wait_for(
        self,
        jobs: Sequence[subprocess.Popen[bytes]],
        workers: Sequence[subprocess.Popen[bytes]],
        victim: int,
    ) -> None:
        left = [worker for place, worker in enumerate(workers) if place != victim]

        def ended() -> bool:
            self._check(left)
            return all(job.poll() is not None for job in jobs)

        self.stage.wait(ended)

    def _check(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        """Raise `CommandError` for a worker that has ended by itself."""
        for place, worker in enumerate(workers, 1):
            if worker.poll() is not None:
                raise self.stage.failed(f"worker-{place}")

    # --- the journal -------------------------------------------------------------------------

    def _rows(self, states: Iterable[State]) -> list[Row]:
        """Return the rows in *states*, of all platforms."""
        wanted = frozenset(states)
        accounts = [sample.platform for sample in self.stage.fleet]
        found = [self.loop.run(self._journal.in_states(each, wanted)) for each in accounts]
        return [row for rows in found for row in rows]

    def _under_way(self, worker: subprocess.Popen[bytes]) -> list[Row]:
        """Return what *worker* has written down as being sent; the owner of a row tells its pid."""
        sending = self._rows([State.SENDING])
        return [row for row in sending if str(worker.pid) in row.owner.split(".")]

    def _say_done(self, sample: Sample) -> None:
        done = self.loop.run(self._journal.counts(sample.platform)).rows.get(State.DONE, 0)
        self.stage.output.log(f"{sample.platform:<9}  {done:>3} of {len(sample.rows)} rows done")


# ---------------------------------------------------------------- its database


def check_extra() -> None:
    """Raise `CommandError` where what workers need is not installed."""
    try:
        import sigmamind_async.workers  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise missing(error) from None


@contextmanager
def database_for_a_while(said: str | None) -> Generator[Database]:
    """Give a database that is gone when the block ends: of the server that was named, or an own."""
    if said is None:
        with own_server() as dsn:
            yield _make_database(dsn)
        return
    named = database_of(said)
    assert named is not None  # noqa: S101 - it was said
    name = f"sigmamind_demo_{secrets.token_hex(4)}"
    run(_carried_out(named, f"CREATE DATABASE {name}".encode()))
    try:
        yield _make_database(_with_name(named, name))
    finally:
        run(_carried_out(named, f"DROP DATABASE {name} WITH (FORCE)".encode()))


def _make_database(dsn: str) -> Database:
    database = database_of(dsn)
    assert database is not None  # noqa: S101 - it was said
    return database


def _with_name(named: Database, name: str) -> str:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts: dict[str, Any] = conninfo_to_dict(named.dsn.reveal())
    return make_conninfo("", **{**parts, "dbname": name})


async def _carried_out(database: Database, statement: bytes) -> None:
    """Carry *statement* out; raise `CommandError` with what the server says against it."""
    import psycopg

    from sigmamind_async.provisioning.journal.postgres.connections import explain_error
    from sigmamind_async.provisioning.journal.postgres.dsn import parse_dsn

    target = parse_dsn(database.dsn, "sigmamind")
    try:
        async with await target.connect() as connection:
            await connection.execute(statement)
    except psycopg.Error as error:
        problem = " ".join(explain_error(error, connected=False).splitlines())
        raise CommandError(f"{target.name}: {target.redact(problem)}") from None

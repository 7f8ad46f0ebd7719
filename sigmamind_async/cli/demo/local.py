"""``sigmamind demo``: jobs that are killed while they buy, resumed, and judged by the ledger.

Nothing of it is staged. The platforms are a sandbox in this process; each job is ``sigmamind
apply`` in a process of its own, which ``kill -9`` ends in the middle, and the same command is run
again. What the jobs said is then taken from their journals, and held against the ledger of the
sandbox, which they never see.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.demo.audit import judge, unheard
from sigmamind_async.cli.demo.environment import SETTLE_TIME, Stage
from sigmamind_async.cli.demo.fleet import Sample, sample_fleet
from sigmamind_async.cli.demo.workers import WorkersDemo, check_extra, database_for_a_while
from sigmamind_async.cli.dsn import OPTION
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import SUFFIX
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import AuditResult, JobKilled
from sigmamind_async.cli.runtime import Json, run, runner
from sigmamind_async.cli.vendors import PLATFORMS, Platform
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.sandbox import SandboxThread

OPTIONS: Final = ("--yes", "--retry-unconfirmed", "--settle-time", f"{SETTLE_TIME:g}")
HASTE: Final = ("--attempt-timeout", "1", "--deadline", "15", "--json")
"""What makes a job impatient, and silent; not worth showing."""
ROUNDS: Final = 4
ROWS: Final = 240
WORKERS_ROWS: Final = 120
"""So many processes take their time to begin."""


def demo(
    *,
    seed: Annotated[int, Parameter(help="What fleet and faults follow from.")] = 1,
    rows: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=12, lte=10_000),
            help=f"Rows of the fleet; {ROWS}, and {WORKERS_ROWS} with workers.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=2, lte=20),
            help="Have so many worker processes carry it out, and kill one of them.",
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        Parameter(
            name=OPTION,
            help="A PostgreSQL for the workers, where a new database may be made and dropped; one"
            " that is started for this, otherwise.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Kill jobs of a made-up fleet, resume them, and show what was bought."""
    if workers is None and postgres is not None:
        raise CommandError(f"{OPTION} is for workers: say how many, --workers 3")
    output = Output.for_process(json=json)
    fleet = sample_fleet(seed, rows or (ROWS if workers is None else WORKERS_ROWS))
    with SandboxThread(seed=seed, latency=(0.02, 0.2)) as box, TemporaryDirectory() as folder:
        stage = Stage(output=output, box=box, fleet=fleet, folder=Path(folder))
        verdict = Demo(stage=stage).run() if workers is None else _with(workers, stage, postgres)
    return Exit.DONE if verdict.passed else Exit.FAILED


def _with(workers: int, stage: Stage, postgres: str | None) -> AuditResult:
    check_extra()
    with database_for_a_while(postgres) as database, runner() as loop:
        return WorkersDemo(stage=stage, database=database, count=workers, loop=loop).run()


@attrs.define(kw_only=True)
class Demo:
    """One demonstration."""

    stage: Stage
    _done_before: dict[str, int] = attrs.field(factory=dict[str, int])

    def run(self) -> AuditResult:
        """Show all of it."""
        self.stage.prepare()
        self._introduce()
        self._kill()
        self._resume()
        rows = [row for sample in self.fleet for row in self._journal(sample)]
        stage = self.stage
        verdict = judge(rows, stage.sales, asked=stage.asked, asked_to_buy=stage.asked_to_buy)
        self.output.show(verdict)
        return verdict

    def _introduce(self) -> None:
        stage = self.stage
        stage.introduce()
        self.output.log(
            f"A fleet of {stage.asked} rows is applied; {stage.asked_to_buy} of them buy a number."
        )

    @property
    def output(self) -> Output:
        """Where it is shown."""
        return self.stage.output

    @property
    def fleet(self) -> tuple[Sample, ...]:
        """What is applied, platform by platform."""
        return self.stage.fleet

    # --- the jobs ----------------------------------------------------------------------------

    def _words(self, sample: Sample) -> list[str]:
        """Return the command line of a job, as it is shown."""
        most = ("--max-purchases", str(sample.purchases))
        return ["apply", self.stage.file(sample).name, *_client_of(sample).words, *most, *OPTIONS]

    def _start(self, sample: Sample) -> subprocess.Popen[bytes]:
        return self.stage.start(sample.platform, [*self._words(sample), *HASTE])

    @contextmanager
    def _jobs(self, samples: Iterable[Sample]) -> Generator[list[subprocess.Popen[bytes]]]:
        """Run a job for each sample; none outlives the block."""
        with ExitStack() as stack:
            jobs: list[subprocess.Popen[bytes]] = []
            for sample in samples:
                self.output.log(f"  $ sigmamind {' '.join(self._words(sample))}")
                jobs.append(stack.enter_context(self._start(sample)))
                stack.callback(jobs[-1].kill)
            yield jobs

    def _kill(self) -> None:
        """Begin the jobs, and end each with SIGKILL while it buys."""
        self.output.log()
        with self._jobs(self.fleet) as jobs:
            self.stage.wait(lambda: self._all_killed(jobs))
        self._check_that_they_were_killed(jobs)
        self.output.log("  kill -9, each in the middle of buying:")
        self.output.log()
        self._done_before = {each.platform: self._show_crash(each) for each in self.fleet}

    def _all_killed(self, jobs: list[subprocess.Popen[bytes]]) -> bool:
        """Kill each job that has bought a third and is buying more; return whether all have ended.

        The sandbox is asked about that, not the job: it is in the middle of its work then.
        """
        sold = Counter(commit.platform for commit in self.stage.box.ledger.purchases)
        buying = {each.tower.name for each in self.stage.box.endpoints if each.in_flight}
        for sample, job in zip(self.fleet, jobs, strict=True):
            if 3 * sold[sample.platform] >= sample.purchases and sample.platform in buying:
                job.kill()
        return all(job.poll() is not None for job in jobs)

    def _check_that_they_were_killed(self, jobs: list[subprocess.Popen[bytes]]) -> None:
        for sample, job in zip(self.fleet, jobs, strict=True):
            if job.returncode > 0:
                raise self.stage.failed(sample.platform)

    def _show_crash(self, sample: Sample) -> int:
        """Show what a killed job left behind, and return how many rows it had done."""
        rows = self._journal(sample)
        done = [row for row in rows if row.state is State.DONE]
        under_way = sum(row.state in UNSETTLED for row in rows)
        sales = [sale for sale in self.stage.sales if sale.platform == sample.platform]
        crash = JobKilled(
            platform=sample.platform,
            done=len(done),
            in_progress=under_way,
            not_started=len(sample.rows) - len(done) - under_way,
            unrecorded=unheard(rows, sales),
        )
        self.output.show(crash)
        return crash.done

    def _resume(self) -> None:
        """Run the same commands again until each says that it is done."""
        left = self.fleet
        for _ in range(ROUNDS):
            self.output.log()
            self.output.log("The same commands again:")
            began = time.monotonic()
            with self._jobs(left) as jobs:
                self.stage.wait(lambda: all(job.poll() is not None for job in jobs))
            codes = ", ".join(str(job.returncode) for job in jobs)
            self.output.log(f"  ended after {time.monotonic() - began:.1f} s, exit codes {codes}")
            left = tuple(each for each, job in zip(left, jobs, strict=True) if job.returncode)
            if not left:
                break
        self.output.log()
        for sample in self.fleet:
            self._say_done(sample)
        self.output.log()

    def _say_done(self, sample: Sample) -> None:
        done = sum(row.state is State.DONE for row in self._journal(sample))
        before = self._done_before[sample.platform]
        self.output.log(
            f"{sample.platform:<9}  {done:>3} of {len(sample.rows)} rows done,"
            f" {before} of them before the kill and not sent again"
        )

    def _journal(self, sample: Sample) -> list[Row]:
        """Return all rows of a job's journal; none where it was killed before it made one."""
        path = Path(f"{self.stage.file(sample)}{SUFFIX}")
        return run(_journal_rows(path, sample.platform)) if path.exists() else []


def _client_of(sample: Sample) -> Platform:
    return PLATFORMS[sample.platform]


async def _journal_rows(path: Path, account: str) -> list[Row]:
    async with SqliteJournal(path, read_only=True) as journal:
        return await journal.in_states(account, frozenset(State))

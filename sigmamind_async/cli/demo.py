"""``sigmamind demo``: jobs that are killed while they buy, resumed, and judged by the ledger.

Nothing of it is staged. The platforms are a sandbox in this process; each job is ``sigmamind
apply`` in a process of its own, which ``kill -9`` ends in the middle, and the same command is run
again. What the jobs said is then taken from their journals, and held against the ledger of the
sandbox, which they never see.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from sigmamind_async.cli.ending import CommandError, Exit
from sigmamind_async.cli.journals import SUFFIX
from sigmamind_async.cli.json_lines import line_of
from sigmamind_async.cli.judge import Sale, judge, unheard
from sigmamind_async.cli.output import Form, Output
from sigmamind_async.cli.platforms import PLATFORMS, Platform
from sigmamind_async.cli.records import Crash, Verdict
from sigmamind_async.cli.sample import PASSWORD_FILE, Sample, sample_fleet
from sigmamind_async.cli.sandbox import environment_of, rate_limit
from sigmamind_async.cli.session import Json, run
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.provisioning.sqlite import SqliteJournal
from sigmamind_async.sandbox import REALISTIC_FAULTS, Fault, Faults, Sandbox, SandboxThread

KINDS: Final = REALISTIC_FAULTS - {Fault.STATUS_429}
"""The rate limit throttles enough, and means it."""
SHARE: Final = 0.2
"""Part of the requests that go wrong."""
RATE: Final = 50.0
"""Requests a second that each platform admits; the jobs are not told."""
LATE: Final = 0.3
"""Seconds by which a platform acts on some requests whose connection is gone already."""
HANG: Final = 1.5
"""Seconds that it lets some requests hang."""
QUARANTINE: Final = 2.0
"""Seconds; more than `LATE`, and therefore long enough. A platform does not say how late it may be:
there it is a matter of minutes."""
OPTIONS: Final = ("--yes", "--resend", "--quarantine", f"{QUARANTINE:g}")
HASTE: Final = ("--attempt-timeout", "1", "--deadline", "15", "--json")
"""What makes a job impatient, and silent; not worth showing."""
ROUNDS: Final = 4
TICK: Final = 0.005
"""Seconds between two looks at the ledger while the moment to kill is waited for."""
PATIENCE: Final = 60.0


def demo(
    *,
    seed: Annotated[int, Parameter(help="What fleet and faults follow from.")] = 1,
    rows: Annotated[
        int, Parameter(validator=Number(gte=12, lte=10_000), help="Rows of the fleet.")
    ] = 240,
    json: Json = False,
) -> int:
    """Kill jobs of a made-up fleet, resume them, and show what was bought."""
    output = Output.of_process(json=json)
    fleet = sample_fleet(seed, rows)
    with SandboxThread(seed=seed, latency=(0.02, 0.2)) as box, TemporaryDirectory() as folder:
        verdict = Demo(output=output, box=box, fleet=fleet, folder=Path(folder)).run()
    return Exit.DONE if verdict.holds else Exit.FAILED


@attrs.define(kw_only=True)
class Demo:
    """One demonstration."""

    output: Output
    box: Sandbox
    fleet: tuple[Sample, ...]
    folder: Path
    _done_before: dict[str, int] = attrs.field(factory=dict[str, int])

    def run(self) -> Verdict:
        """Show all of it."""
        self._prepare()
        self._introduce()
        self._kill()
        self._resume()
        rows = [row for sample in self.fleet for row in self._journal(sample)]
        verdict = judge(rows, self._sales(), asked=self.asked, asked_to_buy=self.asked_to_buy)
        self.output.show(verdict)
        return verdict

    @property
    def asked(self) -> int:
        """Rows of the fleet."""
        return sum(len(sample.rows) for sample in self.fleet)

    @property
    def asked_to_buy(self) -> int:
        """Rows that buy."""
        return sum(sample.purchases for sample in self.fleet)

    # --- the stage ---------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Write the files, give the account what it holds, then let the weather turn."""
        password = secrets.token_urlsafe(12)
        (self.folder / PASSWORD_FILE).write_text(password, encoding="utf-8")
        for sample in self.fleet:
            lines = "".join(line_of(row) + "\n" for row in sample.rows)
            self._file(sample).write_text(lines, encoding="utf-8")
        run(self._import_held())
        self.box.faults = Faults(share=SHARE, kinds=KINDS, hang=HANG, late=LATE)
        self.box.rate_limit = rate_limit(RATE)

    async def _import_held(self) -> None:
        place = self.box.sigmamind
        held = [ImportPhoneNumber(phone_number=n) for each in self.fleet for n in each.held]
        async with SigmaMind(place.api_key, base_url=place.base_url) as client:
            (await client.phone_numbers.import_many(held)).raise_for_failures()

    def _introduce(self) -> None:
        say = self.output.remark
        say(
            f"Sandboxes of {len(self.fleet)} platforms run on this machine."
            f" {SHARE:.0%} of all requests go wrong: reset, hung,"
        )
        say("5xx, garbage, before or after they took effect. They sell numbers, and keep a ledger.")
        say(f"A fleet of {self.asked} rows is applied; {self.asked_to_buy} of them buy a number.")

    def _file(self, sample: Sample) -> Path:
        return self.folder / f"{sample.platform}.jsonl"

    # --- the jobs ----------------------------------------------------------------------------

    def _words(self, sample: Sample) -> list[str]:
        """Return the command line of a job, as it is shown."""
        most = ("--max-purchases", str(sample.purchases))
        return ["apply", self._file(sample).name, *_platform(sample).words, *most, *OPTIONS]

    def _start(self, sample: Sample) -> subprocess.Popen[bytes]:
        name, _, *words = self._words(sample)
        command = (sys.executable, "-m", "sigmamind_async", name, str(self._file(sample)))
        with self._log(sample).open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - this program
                [*command, *words, *HASTE],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=os.environ | environment_of(self.box),
                start_new_session=True,  # Ctrl-C ends this process, which ends the jobs
            )

    def _log(self, sample: Sample) -> Path:
        return self.folder / f"{sample.platform}.log"

    @contextmanager
    def _jobs(self, samples: Iterable[Sample]) -> Generator[list[subprocess.Popen[bytes]]]:
        """Run a job for each sample; none outlives the block."""
        with ExitStack() as stack:
            jobs: list[subprocess.Popen[bytes]] = []
            for sample in samples:
                self.output.remark(f"  $ sigmamind {' '.join(self._words(sample))}")
                jobs.append(stack.enter_context(self._start(sample)))
                stack.callback(jobs[-1].kill)
            yield jobs

    def _kill(self) -> None:
        """Begin the jobs, and end each with SIGKILL while it buys."""
        self.output.remark()
        with self._jobs(self.fleet) as jobs:
            self._wait(lambda: self._all_killed(jobs))
        self._check_that_they_were_killed(jobs)
        self.output.remark("  kill -9, each in the middle of buying:")
        self.output.remark()
        self._done_before = {each.platform: self._show_crash(each) for each in self.fleet}

    def _all_killed(self, jobs: list[subprocess.Popen[bytes]]) -> bool:
        """Kill each job that has bought a third and is buying more; return whether all have ended.

        The sandbox is asked about that, not the job: it is in the middle of its work then.
        """
        sold = Counter(commit.platform for commit in self.box.ledger.purchases)
        buying = {each.tower.name for each in self.box.endpoints if each.in_flight}
        for sample, job in zip(self.fleet, jobs, strict=True):
            if 3 * sold[sample.platform] >= sample.purchases and sample.platform in buying:
                job.kill()
        return all(job.poll() is not None for job in jobs)

    def _check_that_they_were_killed(self, jobs: list[subprocess.Popen[bytes]]) -> None:
        for sample, job in zip(self.fleet, jobs, strict=True):
            if job.returncode > 0:
                log = self._log(sample).read_text(errors="replace").strip()
                raise CommandError(f"the job of {sample.platform} failed: {log}", Exit.FAILED)

    def _show_crash(self, sample: Sample) -> int:
        """Show what a killed job left behind, and return how many rows it had done."""
        rows = self._journal(sample)
        done = [row for row in rows if row.state is State.DONE]
        under_way = sum(row.state in UNSETTLED for row in rows)
        sales = [sale for sale in self._sales() if sale.platform == sample.platform]
        crash = Crash(
            platform=sample.platform,
            done=len(done),
            under_way=under_way,
            untouched=len(sample.rows) - len(done) - under_way,
            unheard=unheard(rows, sales),
        )
        self.output.show(crash)
        return crash.done

    def _sales(self) -> list[Sale]:
        return [
            Sale(commit.platform, commit.phone_number or "", commit.friendly_name or "")
            for commit in self.box.ledger.purchases
        ]

    def _resume(self) -> None:
        """Run the same commands again until each says that it is done."""
        left = self.fleet
        for _ in range(ROUNDS):
            self.output.remark()
            self.output.remark("The same commands again:")
            began = time.monotonic()
            with self._jobs(left) as jobs:
                self._wait(lambda: all(job.poll() is not None for job in jobs))
            codes = ", ".join(str(job.returncode) for job in jobs)
            self.output.remark(
                f"  ended after {time.monotonic() - began:.1f} s, exit codes {codes}"
            )
            left = tuple(each for each, job in zip(left, jobs, strict=True) if job.returncode)
            if not left:
                break
        self.output.remark()
        for sample in self.fleet:
            self._say_done(sample)
        self.output.remark()

    def _say_done(self, sample: Sample) -> None:
        done = sum(row.state is State.DONE for row in self._journal(sample))
        before = self._done_before[sample.platform]
        self.output.remark(
            f"{sample.platform:<9}  {done:>3} of {len(sample.rows)} rows done,"
            f" {before} of them before the kill and not sent again"
        )

    def _journal(self, sample: Sample) -> list[Row]:
        """Return all rows of a job's journal; none where it was killed before it made one."""
        path = Path(f"{self._file(sample)}{SUFFIX}")
        return run(_rows(path, sample.platform)) if path.exists() else []

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Wait until *holds*, and show meanwhile what the ledger counts."""
        give_up = time.monotonic() + PATIENCE
        with self._ticker() as tick:
            while not holds():
                if time.monotonic() > give_up:
                    raise CommandError("the jobs did not get on", Exit.FAILED)
                tick(f"{len(self.box.ledger.purchases)} of {self.asked_to_buy} numbers bought")
                time.sleep(TICK)

    @contextmanager
    def _ticker(self) -> Generator[Callable[[str], None]]:
        if self.output.form is Form.JSON or not sys.stderr.isatty():
            yield lambda _: None
            return
        with Console(stderr=True).status("") as status:
            yield status.update


def _platform(sample: Sample) -> Platform:
    return PLATFORMS[sample.platform]


async def _rows(path: Path, account: str) -> list[Row]:
    async with SqliteJournal(path, read_only=True) as journal:
        return await journal.in_states(account, frozenset(State))

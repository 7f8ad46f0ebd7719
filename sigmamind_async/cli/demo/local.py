"""``sigmamind demo``: an ``apply`` that is killed while it buys, run again, and audited.

Nothing of it is staged. The platforms are a sandbox in this process. ``sigmamind apply`` runs in
its own process, with the command line that is shown, until ``kill -9`` ends it in the middle; then
the same command line runs again. What its journal holds is compared with the ledger of the sandbox,
which ``apply`` never sees.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from sigmamind_async.cli.demo.sample import FILE, sample_fleet
from sigmamind_async.cli.demo.stage import RUNS, SETTLE_TIME, Stage
from sigmamind_async.cli.demo.workers import show_workers
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import SUFFIX
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import AuditResult
from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sqlite.snapshot import read_accounts
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.sandbox import SandboxThread
from sigmamind_async.sandbox.sigmamind.records import AGENTS


def show_demo(
    *,
    seed: int,
    rows: int,
    keep: Path | None,
    workers: int | None,
    postgres: str | None,
    json: bool,
) -> int:
    """Kill an apply, run it again, show what was bought, and return the exit code."""
    output = Output(json=json)
    sample = sample_fleet(seed, rows, [agent.agent_id for agent in AGENTS])
    with SandboxThread(seed=seed, latency=(0.02, 0.2)) as box, _folder(keep) as folder:
        stage = Stage(output=output, box=box, sample=sample, folder=folder)
        stage.prepare()
        stage.introduce()
        result = Demo(stage).run() if workers is None else show_workers(stage, workers, postgres)
        _show_next_steps(output, keep)
    return Exit.DONE if result.passed else Exit.FAILED


@contextmanager
def _folder(keep: Path | None) -> Generator[Path]:
    """Give the folder of the demonstration, which is gone in the end unless it is to be kept."""
    if keep is None:
        with TemporaryDirectory() as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(parents=True)
    except FileExistsError:
        raise CommandError(f"--keep {keep}: exists already; name a new folder") from None
    yield keep


@attrs.define
class Demo:
    """One demonstration."""

    stage: Stage
    _runs: int = 0

    @property
    def words(self) -> list[str]:
        """The command line: what is shown is what runs."""
        limits = ["--max-purchases", str(self.stage.to_buy), "--yes"]
        return ["apply", FILE, *limits, "--retry-unconfirmed", "--settle-time", f"{SETTLE_TIME}s"]

    def run(self) -> AuditResult:
        """Show all of it."""
        self._kill()
        self.stage.say(
            "",
            "The same command again. A purchase that got no answer is looked for in the",
            "account. If it has not turned up when the settle time is over, it is sent again.",
            "",
        )
        while self._apply() != Exit.DONE:
            pass
        return self.stage.audit(self._journal())

    def _kill(self) -> None:
        """Begin, and end with SIGKILL while numbers are being bought."""
        stage = self.stage
        while self._apply(until=self._is_buying) >= 0:
            if stage.bought == stage.to_buy:
                raise CommandError("apply ended before it was killed", Exit.FAILED)
        stage.say("", f"kill -9, with {stage.bought} of {stage.to_buy} numbers bought.")
        stage.say(
            f"All {len(stage.sample.rows)} rows, imports and changes included, as the journal shows"
            " them.",
            "Unrecorded numbers are paid for, but their answers did not reach the journal:",
            "",
        )
        rows = self._journal()
        for platform in stage.platforms:
            stage.output.show(stage.crash(platform, rows))

    def _is_buying(self) -> bool:
        """Return whether a third is bought and more is being bought; the sandbox is asked."""
        busy = all(endpoint.in_flight for endpoint in self.stage.box.endpoints)
        return busy and 3 * self.stage.bought >= self.stage.to_buy

    def _apply(self, until: Callable[[], bool] = lambda: False) -> int:
        """Show and run the command, until it ends or is killed because *until* holds."""
        self._runs += 1
        name, stage, began = f"apply-{self._runs}", self.stage, time.monotonic()
        stage.show_command(self.words)
        with stage.start(name, self.words) as job:
            try:
                stage.wait(lambda: job.poll() is not None or until(), self._unconfirmed)
            finally:
                job.kill()
        if job.returncode >= 0:
            stage.say(
                f"  after {time.monotonic() - began:.1f} s: {stage.ended(name, job.returncode)}"
            )
        if job.returncode > 0 and self._runs == RUNS:
            raise CommandError(stage.ended(name, job.returncode), Exit.FAILED)
        return job.returncode

    def _unconfirmed(self) -> list[Row]:
        try:
            return [row for row in self._journal() if row.state in UNSETTLED]
        except JournalError:  # it is being made
            return []

    def _journal(self) -> list[Row]:
        """Return all rows of the journal; none where there is no journal yet."""
        path = self.stage.folder / f"{FILE}{SUFFIX}"
        if not path.exists():
            return []
        accounts = read_accounts(path, self.stage.platforms, [*State])
        return [row for _, rows in accounts.values() for row in rows]


def _show_next_steps(output: Output, keep: Path | None) -> None:
    steps = [
        ("sigmamind sandbox", "run the platforms for programs of your own"),
        ("sigmamind plan FILE", "see what a fleet file of yours would change"),
    ]
    if keep is None:
        steps.insert(0, ("sigmamind demo --keep DIR", "keep the files of a demo, and look at them"))
    elif (keep / f"{FILE}{SUFFIX}").exists():
        file = shlex.quote(str(keep / FILE))
        steps.insert(0, (f"sigmamind status {file}", "see what the journal holds"))
    else:
        log = shlex.quote(str(keep / "apply.log"))
        steps.insert(0, (f"less {log}", "see what apply showed; beside it, the workers' logs"))
    width = max(len(command) for command, _ in steps)
    output.log()
    output.log("Next:")
    for command, purpose in steps:
        output.log(f"  {command:<{width}}  {purpose}")

"""``sigmamind demo``: an ``apply`` that is killed while it buys, run again, and audited.

Nothing of it is staged. The platforms are a sandbox in this process. ``sigmamind apply`` runs in
its own process, with the command line that is shown, until ``kill -9`` ends it in the middle; then
the same command line runs again. What its journal holds is compared with the ledger of the sandbox,
which ``apply`` never sees.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.request import ProxyHandler, Request, build_opener

import attrs

from sigmamind_async.cli.demo.sample import FILE, PASSWORD_FILE, Sample, SampleRow, sample_fleet
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import SUFFIX
from sigmamind_async.cli.loop import run
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import AuditResult, JobKilled
from sigmamind_async.cli.output.journal_status import row_id_of
from sigmamind_async.cli.output.text import count_of, prose
from sigmamind_async.errors import JournalError
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber
from sigmamind_async.provisioning.journal.sqlite.snapshot import read_accounts
from sigmamind_async.provisioning.row import UNSETTLED, Kind, Row, State
from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import (
    REALISTIC_FAULTS,
    Fault,
    Faults,
    Ledger,
    RateLimit,
    Sandbox,
    SandboxThread,
)
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.sandbox.sigmamind.records import AGENTS

KINDS: Final = REALISTIC_FAULTS - {Fault.STATUS_429}
"""The rate limit answers 429 often enough."""
SHARE: Final = 0.2
"""Part of the requests that go wrong."""
RATE: Final = 50
"""Requests a second that each platform admits; the jobs have to find that out."""
LATE: Final = 0.3
"""Seconds by which a platform acts on some requests whose connection is gone already."""
HANG: Final = 1.5
"""Seconds for which some requests hang."""
SETTLE_TIME: Final = 2
"""Seconds; more than `LATE`, and therefore long enough. A real platform does not say how late it
may be: there it is a matter of minutes."""
RUNS: Final = 6
"""Most times that the command is run. An unreadable answer to a listing ends it early."""
TICK: Final = 0.005
"""Seconds between two looks at the ledger while the moment to kill is awaited."""
SHOWN_EVERY: Final = 0.1
"""Seconds between two looks at the journal, for the line on a terminal."""
PATIENCE: Final = 60.0
"""Seconds in which the ledger must get a new entry."""


def show_demo(*, seed: int, rows: int, keep: Path | None, json: bool) -> int:
    """Kill an apply, run it again, show what was bought, and return the exit code."""
    output = Output.for_process(json=json)
    sample = sample_fleet(seed, rows, [agent.agent_id for agent in AGENTS])
    with SandboxThread(seed=seed, latency=(0.02, 0.2)) as box, _folder(keep) as folder:
        demo = Demo(output=output, box=box, sample=sample, folder=folder)
        demo.prepare()
        result = demo.run()
    first = ("sigmamind demo --keep DIR", "keep the files of a demo, and look at them")
    if keep is not None:
        file = shlex.quote(str(keep / FILE))
        first = (f"sigmamind status {file}", "see what the journal holds")
    steps = (
        first,
        ("sigmamind sandbox", "run the platforms for programs of your own"),
        ("sigmamind plan FILE", "see what a fleet file of yours would change"),
    )
    width = max(len(command) for command, _ in steps)
    demo.say("", "Next:", *(f"  {command:<{width}}  {purpose}" for command, purpose in steps))
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


@attrs.define(kw_only=True)
class Demo:
    """One demonstration."""

    output: Output
    box: Sandbox
    sample: Sample
    folder: Path
    _runs: int = 0

    @property
    def to_buy(self) -> int:
        """Rows that buy a number."""
        return len(self.sample.of(source="purchase"))

    @property
    def bought(self) -> int:
        """Numbers that the platforms have sold, according to their own ledger."""
        return len(self.box.ledger.purchases)

    @property
    def words(self) -> list[str]:
        """The command line: what is shown is what runs."""
        limits = ["--max-purchases", str(self.to_buy), "--yes"]
        return ["apply", FILE, *limits, "--retry-unconfirmed", "--settle-time", f"{SETTLE_TIME}s"]

    def prepare(self) -> None:
        """Write the files, import what the account holds, then turn faults and limit on."""
        (self.folder / PASSWORD_FILE).write_text(secrets.token_urlsafe(12), encoding="utf-8")
        (self.folder / FILE).write_text(self.sample.csv(), encoding="utf-8")
        run(self._import_held())
        self.box.faults = Faults(share=SHARE, kinds=KINDS, hang=HANG, late=LATE)
        self.box.rate_limit = RateLimit(per_second=RATE, burst=RATE)

    async def _import_held(self) -> None:
        place = self.box.sigmamind
        numbers = [str(row["phone_number"]) for row in self.sample.of(source="existing")]
        held = [ImportPhoneNumber(phone_number=number) for number in numbers]
        async with SigmaMind(place.api_key, base_url=place.base_url) as client:
            (await client.phone_numbers.import_many(held)).raise_for_failures()

    def run(self) -> AuditResult:
        """Show all of it."""
        imports, changes = (len(self.sample.of(source=each)) for each in ("import", "existing"))
        self.say(
            "A sandbox of three platforms runs on this machine, with a ledger of every sale.",
            f"{SHARE:.0%} of all requests go wrong, before or after they took effect:",
            "connections break or hang, answers are a 5xx or garbage.",
            "",
            f"{FILE} has {len(self.sample.rows)} rows: {self.to_buy} numbers to buy, {imports} to"
            f" import and {changes} to change.",
            "",
        )
        self._kill()
        self.say(
            "",
            "The same command again. A purchase that got no answer is looked for in the",
            "account. If it has not turned up when the settle time is over, it is sent again.",
            "",
        )
        while self._apply() != Exit.DONE:
            pass
        wanted = len(self.sample.rows)
        result = audit(self._journal(), self.box.ledger, wanted=wanted, purchases=self.to_buy)
        self.say("")
        self.output.show(result)
        if not self.output.json:
            self._show_script()
        return result

    def say(self, *lines: str) -> None:
        """Write lines for a person."""
        for line in lines:
            self.output.log(line)

    # --- the processes -----------------------------------------------------------------------

    def _kill(self) -> None:
        """Begin, and end with SIGKILL while numbers are being bought."""
        while self._apply(until=self._is_buying) >= 0:
            if self.bought == self.to_buy:
                raise CommandError("apply ended before it was killed", Exit.FAILED)
        self.say(
            "",
            f"kill -9, with {self.bought} of {self.to_buy} numbers bought.",
            f"All {len(self.sample.rows)} rows, imports and changes included, as the journal shows"
            " them.",
            "Unrecorded numbers are paid for, but their answers did not reach the journal:",
            "",
        )
        rows = self._journal()
        for endpoint in self.box.endpoints:
            self.output.show(self._left_behind(endpoint.name, rows))

    def _is_buying(self) -> bool:
        """Return whether a third is bought and more is being bought; the sandbox is asked."""
        busy = all(endpoint.in_flight for endpoint in self.box.endpoints)
        return busy and 3 * self.bought >= self.to_buy

    def _apply(self, until: Callable[[], bool] = lambda: False) -> int:
        """Show and run the command, until it ends or is killed because *until* holds."""
        self._runs += 1
        shown = shlex.join(["sigmamind", *self.words])
        lines = textwrap.wrap(shown, 72, break_long_words=False, break_on_hyphens=False)
        command = " \\\n      ".join(lines)
        self.say(*f"  $ {command}".splitlines())
        file, began = self.folder / f"apply-{self._runs}.log", time.monotonic()
        with self._start(file) as job:
            try:
                self._wait(lambda: job.poll() is not None or until())
            finally:
                job.kill()
        if (code := job.returncode) < 0:
            return code
        lines = file.read_text(errors="replace").splitlines()
        last = [each for each in lines if not each.startswith("More: ")]
        ended = f"exit code {code}" + (f": {last[-1]}" if code and last else "")
        if code and self._runs == RUNS:
            raise CommandError(ended, Exit.FAILED)
        self.say(f"  after {time.monotonic() - began:.1f} s: {ended}")
        return code

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        """Run the command in an environment that leads to the sandbox, past every proxy."""
        folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        package = {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
        platforms = {k: v for each in self.box.endpoints for k, v in each.environment.items()}
        # A demo before this one has bought for the same rows, in another account.
        state = {"XDG_STATE_HOME": str(self.folder.resolve() / "state")}
        direct = {"NO_PROXY": "*", "no_proxy": "*"}
        with log.open("wb") as stream:
            return subprocess.Popen(  # noqa: S603 - this program
                [sys.executable, "-m", "sigmamind_async", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.folder,
                env=os.environ | package | platforms | state | direct,
                start_new_session=True,  # Ctrl-C ends this process, which ends the other
            )

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Wait until *holds*, and show meanwhile what the ledger counts."""
        end, commits = time.monotonic() + PATIENCE, len(self.box.ledger)
        text, shown_at = "", 0.0
        with self.output.live(lambda width: prose(text, width)):
            while not holds():
                if len(self.box.ledger) > commits:
                    end, commits = time.monotonic() + PATIENCE, len(self.box.ledger)
                elif time.monotonic() > end:
                    raise CommandError(f"nothing was done for {PATIENCE:.0f} s", Exit.FAILED)
                if self.output.has_live_view and time.monotonic() > shown_at + SHOWN_EVERY:
                    text, shown_at = self._progress(), time.monotonic()
                time.sleep(TICK)

    def _progress(self) -> str:
        bought = f"{self.bought} of {self.to_buy} numbers bought"
        with suppress(JournalError):  # it is being made
            waiting = sum(row.kind.costs and row.state in UNSETTLED for row in self._journal())
            if waiting:
                return (
                    f"{bought}; {count_of(waiting, 'purchase has', 'purchases have')} no answer yet"
                )
        return bought

    # --- what there is afterwards ------------------------------------------------------------

    def _journal(self) -> list[Row]:
        """Return all rows of the journal; none where there is no journal yet."""
        path = self.folder / f"{FILE}{SUFFIX}"
        if not path.exists():
            return []
        names = [endpoint.name for endpoint in self.box.endpoints]
        return [row for _, rows in read_accounts(path, names, [*State]).values() for row in rows]

    def _left_behind(self, platform: str, rows: Iterable[Row]) -> JobKilled:
        """Return what the killed process left behind on one *platform*."""
        own = [row for row in rows if row.account == platform]
        under_way = {row_id_of(row.op_id) for row in own if row.state in UNSETTLED}
        done = {row_id_of(row.op_id) for row in own if row.state is State.DONE} - under_way
        return JobKilled(
            platform=platform,
            done=len(done),
            in_progress=len(under_way),
            not_started=len(self.sample.of(platform=platform)) - len(done | under_way),
            unrecorded=len(_sold(self.box.ledger, platform) - _kept(own)),
        )

    def _show_script(self) -> None:
        """Buy the same numbers in another account with a plain script, on the same faults."""
        self.say("", "For comparison, a script that sends each purchase until it is answered:", "")
        self.say(*(f"    {each}" for each in SCRIPT.splitlines()), "")
        rows = self.sample.of(platform="sigmamind", source="purchase")
        with SandboxThread(seed=self.box.seed, latency=self.box.latency) as box:
            box.faults, box.rate_limit = self.box.faults, self.box.rate_limit
            with ThreadPoolExecutor(20) as pool:
                pool.map(partial(_buy_until_answered, box.sigmamind), rows)
            bought = len(box.ledger.purchases)
        self.say(
            f"For the {len(rows)} purchases on sigmamind, it bought {bought} numbers:"
            f" {bought - len(rows)} duplicates."
        )


SCRIPT: Final = """\
while True:
    try:
        return post("/v1/phone-numbers", row)
    except OSError:  # no answer, or an HTTP error
        time.sleep(0.1)"""


def _buy_until_answered(place: Endpoint, row: SampleRow) -> None:
    """Do for *row* what `SCRIPT` does, with nothing but the standard library."""
    body = {"countryCode": row["country_code"], "friendlyName": row["label"]}
    request = Request(  # noqa: S310 - the sandbox
        f"{place.base_url}/v1/phone-numbers",
        json.dumps(body).encode(),
        {"X-API-Key": place.api_key, "Content-Type": "application/json"},
    )
    opener = build_opener(ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(OSError, HTTPException), opener.open(request, timeout=1) as answer:
            answer.read()
            return
        time.sleep(0.1)


def audit(rows: Iterable[Row], ledger: Ledger, *, wanted: int, purchases: int) -> AuditResult:
    """Compare the *rows* of a journal, which should do *wanted* fleet rows, with the *ledger*."""
    rows = list(rows)
    changes = ledger.of_kind("update")
    changed = {
        (each.platform, key) for each in changes for key in (each.phone_number, each.record_id)
    }

    def is_done(row: Row) -> bool:
        # An update whose answer was lost is not sent again if the account shows that it was made.
        made = row.kind is Kind.UPDATE and (row.account, row.key) in changed
        return made or row.state is State.DONE

    done = list(filter(is_done, rows))
    left = {row_id_of(row.op_id) for row in rows if not is_done(row)}
    return AuditResult(
        purchases=purchases,
        bought=len(ledger.purchases),
        bought_twice=len(ledger.bought_twice(remove_tag)),
        lost=len(_sold(ledger) ^ _kept(done)),
        not_done=wanted - len({row_id_of(row.op_id) for row in done} - left),
    )


def _sold(ledger: Ledger, platform: str | None = None) -> set[tuple[str, str | None]]:
    """Return platform and number of each sale, of all platforms or of one."""
    sales = {(sale.platform, sale.phone_number) for sale in ledger.purchases}
    return {sale for sale in sales if platform in {None, sale[0]}}


def _kept(rows: Iterable[Row]) -> set[tuple[str, str | None]]:
    """Return platform and number of each purchase whose result is in the journal."""
    return {(row.account, row.phone_number) for row in rows if row.kind.costs and row.phone_number}

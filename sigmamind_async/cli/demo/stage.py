"""Where a demonstration takes place: a faulty sandbox, a fleet file, processes and the ledger."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, Request, build_opener

import attrs

from sigmamind_async.cli.demo.sample import FILE, PASSWORD_FILE, Sample, SampleRow
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.loop import run
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import AuditResult, JobKilled
from sigmamind_async.cli.output.journal_status import row_id_of
from sigmamind_async.cli.output.text import count_of, prose
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber
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


@attrs.define(kw_only=True)
class Stage:
    """The place of one demonstration."""

    output: Output
    box: Sandbox
    sample: Sample
    folder: Path

    @property
    def to_buy(self) -> int:
        """Rows that buy a number."""
        return len(self.sample.of(source="purchase"))

    @property
    def platforms(self) -> list[str]:
        """All platforms, by name."""
        return [endpoint.name for endpoint in self.box.endpoints]

    @property
    def bought(self) -> int:
        """Numbers that the platforms have sold, according to their own ledger."""
        return len(self.box.ledger.purchases)

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

    def say(self, *lines: str) -> None:
        """Write lines for a person."""
        for line in lines:
            self.output.log(line)

    def introduce(self) -> None:
        """Say what is there, and what is going to be done."""
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

    # --- processes ---------------------------------------------------------------------------

    def start(
        self, name: str, words: Sequence[str], environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run ``sigmamind`` with *words*; all that it prints goes to the log *name*."""
        with self._log(name).open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - this program
                [sys.executable, "-m", "sigmamind_async", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment | (environment or {}),
                start_new_session=True,  # Ctrl-C ends this process, which ends the others
            )

    @property
    def _environment(self) -> dict[str, str]:
        """The environment that leads another process to the sandbox, past every proxy."""
        folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        package = {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
        platforms = {k: v for each in self.box.endpoints for k, v in each.environment.items()}
        # A demo before this one has bought for the same rows, in another account.
        state = {"XDG_STATE_HOME": str(self.folder.resolve() / "state")}
        return {**os.environ, **package, **platforms, **state, "NO_PROXY": "*", "no_proxy": "*"}

    def show_command(self, words: Sequence[str]) -> None:
        """Show the command line that `start` runs with *words*."""
        text = shlex.join(["sigmamind", *words])
        lines = textwrap.wrap(text, 72, break_long_words=False, break_on_hyphens=False)
        self.say(*(f"{line} \\" for line in _indented(lines[:-1])), _indented(lines)[-1])

    def ended(self, name: str, code: int) -> str:
        """Return how the process *name* ended: its code and, unless that is 0, its last line."""
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        lines = [line for line in lines if not line.startswith("More: ")]
        return f"exit code {code}" + (f": {lines[-1]}" if code and lines else "")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait(self, holds: Callable[[], bool], rows: Callable[[], Iterable[Row]]) -> None:
        """Wait until *holds*, and show meanwhile what the ledger counts.

        *rows* are those operations of the journal that have no answer yet.
        """
        end, commits = time.monotonic() + PATIENCE, len(self.box.ledger)
        text, shown_at = "", 0.0
        with self.output.live(lambda width: prose(text, width)):
            while not holds():
                if len(self.box.ledger) > commits:
                    end, commits = time.monotonic() + PATIENCE, len(self.box.ledger)
                elif time.monotonic() > end:
                    raise CommandError(f"nothing was done for {PATIENCE:.0f} s", Exit.FAILED)
                if self.output.has_live_view and time.monotonic() > shown_at + SHOWN_EVERY:
                    text, shown_at = self._progress(rows()), time.monotonic()
                time.sleep(TICK)

    def _progress(self, rows: Iterable[Row]) -> str:
        bought = f"{self.bought} of {self.to_buy} numbers bought"
        open_ = sum(row.kind.costs for row in rows)
        waiting = count_of(open_, "purchase has", "purchases have")
        return f"{bought}; {waiting} no answer yet" if open_ else bought

    # --- the audit ---------------------------------------------------------------------------

    def crash(self, platform: str, rows: Iterable[Row]) -> JobKilled:
        """Return what a killed process left behind on one *platform*."""
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

    def audit(self, rows: Iterable[Row]) -> AuditResult:
        """Compare the *rows* of the journal with the ledger, and show the result."""
        result = audit(rows, self.box.ledger, wanted=len(self.sample.rows), purchases=self.to_buy)
        self.say("")
        self.output.show(result)
        if not self.output.json:
            self.say(
                "", "For comparison, a script that sends each purchase until it is answered:", ""
            )
            self.say(*(f"    {each}" for each in SCRIPT.splitlines()), "")
            self._show_script()
        return result

    def _show_script(self) -> None:
        """Buy the same numbers in another account with a plain script, on the same faults."""
        rows = self.sample.of(platform="sigmamind", source="purchase")
        with SandboxThread(seed=self.box.seed, latency=self.box.latency) as box:
            box.faults, box.rate_limit = self.box.faults, self.box.rate_limit
            with ThreadPoolExecutor(20) as pool:
                pool.map(partial(_buy_until_answered, box.sigmamind), rows)
            bought = len(box.ledger.purchases)
        self.say(
            f"For the {len(rows)} purchases on sigmamind, it bought {bought} numbers:"
            f" {count_of(bought - len(rows), 'duplicate')}."
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


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"{'      ' if place else '  $ '}{line}" for place, line in enumerate(lines)]


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

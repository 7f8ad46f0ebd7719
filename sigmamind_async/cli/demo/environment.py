"""Where a demonstration takes place: a misbehaving sandbox, a fleet in files, and the ledger."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console

from sigmamind_async.cli.demo.audit import Sale
from sigmamind_async.cli.demo.fleet import PASSWORD_FILE, Sample
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.sandbox import environment_of, rate_limit
from sigmamind_async.cli.output.console import Form, Output
from sigmamind_async.cli.output.json_lines import line_of
from sigmamind_async.cli.runtime import run
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber
from sigmamind_async.sandbox import REALISTIC_FAULTS, Fault, Faults, Sandbox

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
SETTLE_TIME: Final = 2.0
"""Seconds; more than `LATE`, and therefore long enough. A platform does not say how late it may be:
there it is a matter of minutes."""
TICK: Final = 0.005
"""Seconds between two looks at the ledger while the moment to kill is waited for."""
PATIENCE: Final = 60.0


@attrs.define(kw_only=True)
class Stage:
    """One demonstration's."""

    output: Output
    box: Sandbox
    fleet: tuple[Sample, ...]
    folder: Path

    @property
    def asked(self) -> int:
        """Rows of the fleet."""
        return sum(len(sample.rows) for sample in self.fleet)

    @property
    def asked_to_buy(self) -> int:
        """Rows that buy."""
        return sum(sample.purchases for sample in self.fleet)

    @property
    def sales(self) -> list[Sale]:
        """What the platforms have sold, by their own ledger."""
        return [
            Sale(commit.platform, commit.phone_number or "", commit.friendly_name or "")
            for commit in self.box.ledger.purchases
        ]

    def file(self, sample: Sample) -> Path:
        """Return the file that holds the rows of *sample*."""
        return self.folder / f"{sample.platform}.jsonl"

    def log(self, name: str) -> Path:
        """Return the file into which the process *name* writes what it has to say."""
        return self.folder / f"{name}.log"

    def prepare(self) -> None:
        """Write the files, give the account what it holds, then let the weather turn."""
        password = secrets.token_urlsafe(12)
        (self.folder / PASSWORD_FILE).write_text(password, encoding="utf-8")
        for sample in self.fleet:
            lines = "".join(line_of(row) + "\n" for row in sample.rows)
            self.file(sample).write_text(lines, encoding="utf-8")
        run(self._import_held())
        self.box.faults = Faults(share=SHARE, kinds=KINDS, hang=HANG, late=LATE)
        self.box.rate_limit = rate_limit(RATE)

    async def _import_held(self) -> None:
        place = self.box.sigmamind
        held = [ImportPhoneNumber(phone_number=n) for each in self.fleet for n in each.held]
        async with SigmaMind(place.api_key, base_url=place.base_url) as client:
            (await client.phone_numbers.import_many(held)).raise_for_failures()

    def introduce(self) -> None:
        """Say what the platforms are."""
        say = self.output.remark
        say(
            f"Sandboxes of {len(self.fleet)} platforms run on this machine."
            f" {SHARE:.0%} of all requests go wrong: reset, hung,"
        )
        say("5xx, garbage, before or after they took effect. They sell numbers, and keep a ledger.")

    def start(
        self, name: str, words: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run a command in a process of its own."""
        with self.log(name).open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - this program
                [sys.executable, "-m", "sigmamind_async", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
                env=os.environ | _here() | environment_of(self.box) | dict(environment or {}),
                start_new_session=True,  # Ctrl-C ends this process, which ends the jobs
            )

    def failed(self, name: str) -> CommandError:
        """Return the error for a process that ended as it was not to end."""
        log = self.log(name).read_text(errors="replace").strip()
        return CommandError(f"{name} failed: {log}", Exit.FAILED)

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until *holds*, and show meanwhile what the ledger counts."""
        abandon = time.monotonic() + PATIENCE
        with self._ticker() as tick:
            while not holds():
                if time.monotonic() > abandon:
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


def _here() -> dict[str, str]:
    """Return what leads another process to this package, whose own folder it does not begin in.

    And past every proxy: the sandbox is on this machine.
    """
    folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, folders))
    return {"PYTHONPATH": path, "NO_PROXY": "*", "no_proxy": "*"}

"""All that one ``apply`` was told on its command line, the file aside."""

from __future__ import annotations

import shlex
from pathlib import Path

import attrs

from sigmamind_async.cli.database import Database
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.journal_location import STDIN, Policy
from sigmamind_async.cli.options import RequestOptions
from sigmamind_async.cli.prompts import Consent, can_ask
from sigmamind_async.cli.vendors import PlatformName
from sigmamind_async.fleet.row_plan import PlanOptions


@attrs.frozen(kw_only=True)
class Orders:
    """What to apply, and what may be done for it."""

    file: str
    platform: PlatformName | None
    journal: Path | None
    database: Database | None
    """Where the journal is in place of a file."""
    max_purchases: int | None
    yes: bool
    policy: Policy
    rules: PlanOptions
    """For a fleet alone."""
    skip_bad: bool
    """Likewise."""
    allow_inline: bool
    report: Path | None
    verbose: bool
    json: bool
    times: RequestOptions

    @property
    def consent(self) -> Consent:
        """What is agreed to."""
        ask = not self.json and self.file != STDIN and can_ask()
        return Consent(max_purchases=self.max_purchases, yes=self.yes, ask=ask)

    @property
    def again(self) -> str:
        """The same command again, as far as it matters to what is done."""
        said = {
            "--platform": self.platform,
            "--journal": self.journal,
            "--max-purchases": self.max_purchases,
            "--on-drift": None
            if self.rules.on_drift == PlanOptions().on_drift
            else self.rules.on_drift,
        }
        flags = {
            "--allow-release": self.rules.allow_release,
            "--skip-bad": self.skip_bad,
            "--yes": self.yes,
        }
        words = ["sigmamind", "apply", "-" if self.file == STDIN else self.file]
        for name, value in said.items():
            words += [] if value is None else [name, str(value)]
        words += () if self.database is None else self.database.said
        return shlex.join([*words, *(name for name, given in flags.items() if given)])

    def check_for_rows(self) -> None:
        """Raise `CommandError` where options were given that rows with an action do not have."""
        if self.skip_bad or self.rules != PlanOptions():
            raise CommandError(
                f"{self.file}: its rows say what to do, and not what should be: --on-drift,"
                " --allow-release, --rewrite-secrets and --skip-bad mean nothing to them"
            )

"""``sigmamind demo``: a fleet, a platform that misbehaves, and the platform's ledger as judge.

The rows go the way of ``sigmamind apply``, over real sockets to a sandbox in a thread of its own.
Rows left in doubt are looked up in a listing; those that were certainly not carried out are run
again, until every row is done. Then the ledger, which the client never sees, has the last word.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.apply import Application
from sigmamind_async.cli.bar import Traffic
from sigmamind_async.cli.ending import Exit
from sigmamind_async.cli.json_lines import line_of
from sigmamind_async.cli.output import Form, Output
from sigmamind_async.cli.platforms import DEFAULT, PLATFORMS
from sigmamind_async.cli.records import RowResult, Settlement, Summary, Verdict
from sigmamind_async.cli.references import References
from sigmamind_async.cli.rest import may_run_again
from sigmamind_async.cli.rows import Cells, Reading, Row
from sigmamind_async.cli.sample import PASSWORD_FILE, Sample, sample_fleet
from sigmamind_async.cli.sandbox import rate_limit
from sigmamind_async.cli.session import ATTEMPTS, Json, run
from sigmamind_async.cli.settle import Commits, Told, judge, settled
from sigmamind_async.cli.source import opened, survey
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.gate import Gate
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber, PhoneNumber
from sigmamind_async.retry import RetryPolicy
from sigmamind_async.sandbox import REALISTIC_FAULTS, Fault, Faults, Ledger, Sandbox, SandboxThread

KINDS = REALISTIC_FAULTS - {Fault.STATUS_429}
"""The rate limit throttles enough, and means it."""
SHARE = 0.2
"""Part of the requests that go wrong."""
RATE = 50.0
"""Requests a second that the sandbox admits; the client is not told."""
LATE = 0.3
"""Seconds by which the sandbox acts on some requests whose connection is gone already."""
HANG = 1.5
"""Seconds that it lets some requests hang."""
ROUNDS = 6
PATIENCE = 20.0
ATTEMPT_TIMEOUT = 1.0
"""Seconds; less than `HANG`."""


def demo(
    *,
    seed: Annotated[int, Parameter(help="What fleet and faults follow from.")] = 1,
    rows: Annotated[
        int, Parameter(validator=Number(gte=4, lte=10_000), help="Rows of the fleet.")
    ] = 240,
    json: Json = False,
) -> int:
    """Apply a made-up fleet against a misbehaving sandbox."""
    output = Output.of_process(json=json)
    output.quiet = output.form is not Form.JSON
    sample = sample_fleet(seed, rows)
    with SandboxThread(seed=seed, latency=(0.01, 0.06)) as box, TemporaryDirectory() as folder:
        show = Demo(output=output, box=box, sample=sample, folder=Path(folder))
        verdict = run(show.run())
    return show.exit_code(verdict)


@attrs.define(kw_only=True)
class Demo:
    """One demonstration."""

    output: Output
    box: Sandbox
    sample: Sample
    folder: Path
    told: dict[str, Told] = attrs.field(factory=dict[str, Told])
    """How each row ended, as far as is known, by its id."""
    traffic: Traffic = attrs.field(factory=Traffic)
    gate: Gate = attrs.field(factory=Gate)
    interrupted: bool = False

    async def run(self) -> Verdict:
        """Show all of it."""
        await self._prepare()
        self._introduce()
        began, rows = time.monotonic(), self.sample.rows
        for number in range(1, ROUNDS + 1):
            await self._round(number, rows)
            if self.interrupted:
                break
            await self._settle()
            rows = self._open_rows()
            if not rows:
                break
        self.output.show(self._summary(time.monotonic() - began))
        verdict = judge(self.told.values(), commits_by_label(self.box.ledger))
        self.output.show(verdict)
        self._conclude(verdict)
        return verdict

    def exit_code(self, verdict: Verdict) -> int:
        """Return what the shell is told."""
        if self.interrupted:
            return Exit.INTERRUPTED
        complete = len(self.told) == len(self.sample.rows) and not self._open_rows()
        return Exit.DONE if verdict.holds and complete else Exit.FAILED

    async def _prepare(self) -> None:
        """Give the account the numbers it holds from before, then let the weather turn."""
        password = self.folder / PASSWORD_FILE
        password.write_text(secrets.token_urlsafe(12), encoding="utf-8")
        async with self._client() as client:
            held = [ImportPhoneNumber(phone_number=number) for number in self.sample.held]
            (await client.phone_numbers.import_many(held)).raise_for_failures()
        self.traffic, self.gate = Traffic(), Gate()
        self.box.faults = Faults(share=SHARE, kinds=KINDS, hang=HANG, late=LATE)
        self.box.rate_limit = rate_limit(RATE)

    def _client(self) -> SigmaMind:
        return SigmaMind(
            self.box.sigmamind.api_key,
            base_url=self.box.sigmamind.base_url,
            attempt_timeout=ATTEMPT_TIMEOUT,
            retry=RetryPolicy(max_attempts=ATTEMPTS),
            gate=self.gate,
            observer=self.traffic,
        )

    def _introduce(self) -> None:
        actions = [row["action"] for row in self.sample.rows]
        self.output.remark(
            f"A sandbox of the platform listens on {self.box.sigmamind.base_url}."
            f" {SHARE:.0%} of all requests go wrong: reset, hung, 5xx, garbage,"
            f" before or after they took effect. More than {RATE:.0f} a second are refused."
        )
        self.output.remark(
            f"The fleet has {len(actions)} rows: {actions.count('create')} numbers to buy,"
            f" {actions.count('import')} to import, {actions.count('update')} to change."
        )

    async def _round(self, number: int, rows: Iterable[Cells]) -> None:
        """Apply *rows* as the command ``apply`` does."""
        file = self.folder / f"round-{number}.jsonl"
        lines = [line_of(row) for row in rows]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.output.remark()
        self.output.remark(f"round {number}: {len(lines)} rows")
        with opened(str(file)) as source:
            reading = Reading(PLATFORMS[DEFAULT], References(folder=self.folder))
            application = Application(
                source=source,
                reading=reading,
                found=survey(source.rows(reading)),
                output=self.output,
                patience=PATIENCE,
                also=self._note,
            )
            summary = await application.carry_out(self._client(), self.gate, self.traffic)
        self.interrupted = summary.stopped is not None
        self.output.remark(
            f"{summary.done} done, {summary.failed} failed, {summary.unknown} in doubt"
            f" after {summary.seconds:.1f} s"
        )

    def _note(self, result: RowResult, row: Row | None) -> None:
        if row is not None and row.id is not None:
            self.told[row.id] = Told(row, result)

    async def _settle(self) -> None:
        """Look the rows in doubt up: one listing tells of all of them."""
        doubtful = {
            name: told for name, told in self.told.items() if told.result.status == "unknown"
        }
        if not doubtful:
            return
        # What was sent may still take effect; here it is known by when. A platform does not say:
        # there the wait is a matter of minutes, and of policy.
        await asyncio.sleep(ATTEMPT_TIMEOUT + LATE)
        found = await self._listing()
        after = {name: settled(told, found) for name, told in doubtful.items()}
        self.told |= after
        done = sum(told.result.status == "done" for told in after.values())
        self.output.show(
            Settlement(unknown=len(after), carried_out=done, not_carried_out=len(after) - done)
        )

    async def _listing(self) -> list[PhoneNumber]:
        """Read all numbers; a listing that goes wrong is read again from the start."""
        async with self._client() as client:
            for _ in range(ROUNDS):
                with suppress(SigmaMindError):
                    return [number async for number in client.phone_numbers.list(page_size=1000)]
            return [number async for number in client.phone_numbers.list(page_size=1000)]

    def _open_rows(self) -> tuple[Cells, ...]:
        """Return the rows for which it is certain that nothing was done."""
        return tuple(told.row.cells for told in self.told.values() if may_run_again(told.result))

    def _summary(self, seconds: float) -> Summary:
        ends = [told.result.status for told in self.told.values()]
        return Summary(
            asked=len(self.sample.rows),
            done=ends.count("done"),
            failed=ends.count("failed"),
            unknown=ends.count("unknown"),
            skipped=ends.count("skipped"),
            requests=self.traffic.requests,
            throttled=self.traffic.throttled,
            seconds=seconds,
            stopped="interrupted" if self.interrupted else None,
        )

    def _conclude(self, verdict: Verdict) -> None:
        summary = self.box.ledger.summary()
        self.output.remark(
            f"The ledger has {verdict.bought} purchases for {verdict.asked_to_buy} rows that asked"
            f" for one, {verdict.bought_twice} of them twice; {summary['undelivered']} of its"
            f" {summary['commits']} entries are about requests whose answer never arrived."
        )


def commits_by_label(ledger: Ledger) -> Commits:
    """Return the numbers that the ledger knows under each label, an update's only once."""
    commits: defaultdict[str, list[str]] = defaultdict(list)
    for commit in ledger.commits:
        if commit.friendly_name is None or commit.phone_number is None:
            continue
        numbers = commits[commit.friendly_name]
        if commit.kind != "update" or commit.phone_number not in numbers:
            numbers.append(commit.phone_number)
    return commits

"""``sigmamind apply``: the rows of a file, each carried out at most once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.bar import Traffic
from sigmamind_async.cli.ending import CommandError, exit_for_job
from sigmamind_async.cli.job import Job, Report
from sigmamind_async.cli.output import Output
from sigmamind_async.cli.plain import Widths
from sigmamind_async.cli.platforms import DEFAULT, PLATFORMS, AnyClient, Platform, PlatformOption
from sigmamind_async.cli.records import RowResult, Stopped, Summary
from sigmamind_async.cli.references import References
from sigmamind_async.cli.rest import Rest, rest_file
from sigmamind_async.cli.rows import Reading, Row
from sigmamind_async.cli.session import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Times,
    client_of_environment,
    run,
)
from sigmamind_async.cli.source import STDIN, Source, Survey, opened, survey
from sigmamind_async.gate import Gate


def apply(
    file: Annotated[
        str, Parameter(help="A .csv, .jsonl or .ndjson file; - reads JSON Lines from stdin.")
    ],
    /,
    *,
    platform: PlatformOption = DEFAULT,
    max_purchases: Annotated[int | None, Parameter(help="Most numbers that may be bought.")] = None,
    yes: Annotated[bool, Parameter(help="Buy without asking; needs --max-purchases.")] = False,
    rest: Annotated[
        Path | None, Parameter(help="New .jsonl file for the rows that are safe to run again.")
    ] = None,
    allow_inline_secrets: Annotated[
        bool, Parameter(help="Take a password that stands in FILE itself.")
    ] = False,
    verbose: Annotated[
        bool, Parameter(help="On a terminal, show the rows that went well, too.")
    ] = False,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
) -> int:
    """Carry out the rows of *file*."""
    if rest is not None and allow_inline_secrets:
        raise CommandError("--rest would write passwords: use references, env:NAME or file:PATH")
    output = Output.of_process(json=json, verbose=verbose)
    times = Times(deadline=deadline, attempt=attempt_timeout)
    traffic, gate = Traffic(), Gate()
    theirs = PLATFORMS[platform]
    client = client_of_environment(theirs, times, gate=gate, observer=traffic)
    with opened(file) as source:
        references = References(folder=source.folder, allow_inline=allow_inline_secrets)
        reading = Reading(theirs, references)
        found = survey(source.rows(reading))
        consent = Consent(max_purchases=max_purchases, yes=yes, ask=not json and _can_ask(file))
        consent.check(source.name, found)
        with rest_file(rest) as kept:
            application = Application(
                source=source,
                reading=reading,
                found=found,
                output=output,
                patience=deadline,
                also=None if kept is None else kept.add,
            )
            summary = run(application.carry_out(client, gate, traffic))
            output.show(summary)
            application.say_how_to_go_on(summary, kept)
    return exit_for_job(summary)


def _can_ask(file: str) -> bool:
    return file != STDIN and sys.stdin.isatty() and sys.stderr.isatty()


@attrs.frozen(kw_only=True)
class Consent:
    """What the caller has agreed to spend."""

    max_purchases: int | None
    yes: bool
    ask: bool
    """Whether somebody is there to be asked."""

    def check(self, name: str, found: Survey) -> None:
        """Raise `CommandError` unless the purchases of a file are agreed to."""
        wanted, most = found.purchases, self.max_purchases
        if not wanted:
            return
        if most is not None and wanted > most:
            raise CommandError(
                f"{name} buys {wanted} numbers, --max-purchases allows {most}; nothing was sent"
            )
        if self.yes and most is not None:
            return
        if self.yes or not self.ask:
            raise CommandError(
                f"{name} buys {wanted} numbers: agree with --max-purchases {wanted} --yes;"
                " nothing was sent"
            )
        question = f"{name}: {found.rows} rows, {found.bad} of them bad. It buys {wanted} numbers."
        if typed(f"{question}\nThat costs money. Type {wanted} to go on: ") != str(wanted):
            raise CommandError("not confirmed; nothing was sent")


def typed(question: str) -> str:
    """Ask on the terminal and return the answer."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


@attrs.define(kw_only=True)
class Application:
    """One application of a file: what is shown, counted and kept of it."""

    source: Source
    reading: Reading
    found: Survey
    output: Output
    patience: float
    also: Report | None = None
    """Told what is shown."""
    _unknown: list[int] = attrs.field(factory=list[int])
    _skipped: list[int] = attrs.field(factory=list[int])

    @property
    def platform(self) -> Platform:
        """Whose numbers the rows are about."""
        return self.reading.platform

    async def carry_out(self, client: AnyClient, gate: Gate, traffic: Traffic) -> Summary:
        """Carry out all rows, show how each ended, and return the sum of it."""
        self.output.widths = Widths.of(
            self.found.last_line, self.found.id_width, self.platform.actions
        )
        progress = Progress(total=self.found.rows)
        job = Job(
            client=client,
            rows=self.source.rows(self.reading),
            report=self._report,
            admission=gate.admission,
            max_purchases=self.found.purchases,
            patience=self.patience,
            on_stop=self._say_stopping,
            keep_going=lambda: not self.output.closed,
            progress=progress,
        )
        began = time.monotonic()
        async with client:
            with self.output.following(progress, traffic):
                await job.run()
        return Summary(
            asked=progress.finished,
            done=progress.done,
            failed=progress.failed,
            unknown=progress.unknown,
            skipped=progress.skipped,
            requests=traffic.requests,
            throttled=traffic.throttled,
            seconds=time.monotonic() - began,
            stopped=job.stopped,
        )

    def _report(self, result: RowResult, row: Row | None) -> None:
        self.output.show(result)
        if result.status == "unknown":
            self._unknown.append(result.line)
        elif result.status == "skipped":
            self._skipped.append(result.line)
        if self.also is not None:
            self.also(result, row)

    def _say_stopping(self, why: Stopped, under_way: int) -> None:
        key = self.platform.key_variable
        self.output.remark(_STOPPING[why].format(under_way=under_way, key=key))

    def say_how_to_go_on(self, summary: Summary, rest: Rest | None) -> None:
        """Tell which rows are in doubt or were not sent, and what to do with them."""
        if self._unknown:
            self.output.remark(
                f"in doubt, may have been carried out: {lines_text(self._unknown)};"
                f" look them up before trying again: sigmamind numbers list{self.platform.flag}"
            )
        if self._skipped:
            self.output.remark(f"not sent: {lines_text(self._skipped)}")
        if rest is not None and rest.count:
            self.output.remark(
                f"{rest.count} rows are safe to run again:"
                f" sigmamind apply {rest.path}{self.platform.flag}"
            )
        elif rest is None and summary.stopped:
            self.output.remark("(--rest FILE.jsonl writes the rows that are safe to run again)")


_STOPPING: dict[Stopped, str] = {
    "interrupted": "stopping: {under_way} rows are under way and will be settled;"
    " Ctrl-C again leaves them in doubt",
    "key refused": "stopping: the platform refuses the key, see {key};"
    " {under_way} rows are under way",
    "platform unreachable": "stopping: the platform cannot be reached",
    "output closed": "stopping: stdout takes no more results; {under_way} rows are under way",
}


def lines_text(lines: Iterable[int], most: int = 8) -> str:
    """Return line numbers as ranges, such as ``lines 3, 7-12``, the first *most* of them."""
    ranges: list[tuple[int, int]] = []
    for line in sorted(lines):
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in ranges[:most]]
    more = f" and {len(ranges) - most} more ranges" if len(ranges) > most else ""
    return f"lines {', '.join(shown)}{more}"

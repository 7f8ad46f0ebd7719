"""``sigmamind apply``: the rows of a file, each carried out once, however often it is applied."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import attrs
from cyclopts import Parameter

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.bar import Traffic
from sigmamind_async.cli.consent import Consent, Outlook, can_ask
from sigmamind_async.cli.ending import exit_for_job
from sigmamind_async.cli.job import DECIDE, Job
from sigmamind_async.cli.journals import (
    AcceptKey,
    JournalFile,
    Place,
    Policy,
    Quarantine,
    ReleaseSurplus,
    Resend,
)
from sigmamind_async.cli.output import Output
from sigmamind_async.cli.plain import Widths
from sigmamind_async.cli.platforms import DEFAULT, PLATFORMS, AnyClient, Platform, PlatformOption
from sigmamind_async.cli.records import RowResult, Stopped, Summary
from sigmamind_async.cli.references import References
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
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.gate import Gate
from sigmamind_async.provisioning.machine import QUARANTINE
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.sqlite import SqliteJournal


def apply(
    file: Annotated[
        str, Parameter(help="A .csv, .jsonl or .ndjson file; - reads JSON Lines from stdin.")
    ],
    /,
    *,
    platform: PlatformOption = DEFAULT,
    journal: JournalFile = None,
    max_purchases: Annotated[
        int | None,
        Parameter(help="Most numbers that the journal may count as bought, all runs together."),
    ] = None,
    yes: Annotated[bool, Parameter(help="Buy without asking; needs --max-purchases.")] = False,
    quarantine: Quarantine = QUARANTINE,
    resend: Resend = False,
    release_surplus: ReleaseSurplus = False,
    accept_key: AcceptKey = False,
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
    output = Output.of_process(json=json, verbose=verbose)
    times = Times(deadline=deadline, attempt=attempt_timeout)
    traffic, gate = Traffic(), Gate()
    theirs, place = PLATFORMS[platform], Place.beside(file, journal)
    client = client_of_environment(theirs, times, gate=gate, observer=traffic)
    with opened(file) as source:
        references = References(folder=source.folder, allow_inline=allow_inline_secrets)
        reading = Reading(theirs, references)
        outlook = run(_outlook(place, source, reading))
        ask = not json and file != STDIN and can_ask()
        consent = Consent(max_purchases=max_purchases, yes=yes, ask=ask)
        limit = consent.limit(source.name, outlook)
        if release_surplus:
            consent.check_release("what is bought one too many")
        application = Application(
            source=source,
            reading=reading,
            found=outlook.found,
            place=place,
            policy=Policy(
                quarantine=quarantine,
                resend=resend,
                release_surplus=release_surplus,
                accept_key=accept_key,
                max_purchases=limit,
            ),
            output=output,
            patience=deadline,
        )
        summary = run(application.carry_out(client, gate, traffic))
        output.show(summary)
        application.say_how_to_go_on(summary)
    return exit_for_job(summary)


async def _outlook(place: Place, source: Source, reading: Reading) -> Outlook:
    """Read the file once, and say what it asks for that its journal does not hold yet."""
    found = survey(source.rows(reading))
    if not place.path.exists():
        return Outlook(found=found, to_buy=found.purchases)
    account = reading.platform.name
    async with SqliteJournal(place.path, read_only=True) as journal:
        counts = await journal.counts(account)
        to_buy = 0
        for row in source.rows(reading):
            if isinstance(row, Row) and row.spends:
                entry = await journal.get(account, row.id or "")
                to_buy += entry is None or not entry.bought
    return Outlook(found=found, bought=counts.bought, to_buy=to_buy)


async def _look_after_earlier_runs(provisioner: Provisioner) -> None:
    """Settle what they left in doubt; raise `JournalError` for a journal of another account."""
    try:
        await provisioner.reconcile()
    except JournalError:
        raise
    except SigmaMindError:
        return  # the rows will tell, and what is in doubt is looked for at their end again


@attrs.define(kw_only=True)
class Application:
    """One application of a file: what is shown and counted of it."""

    source: Source
    reading: Reading
    found: Survey
    place: Place
    policy: Policy
    output: Output
    patience: float
    _unknown: list[int] = attrs.field(factory=list[int])
    _undecided: list[int] = attrs.field(factory=list[int])
    _skipped: list[int] = attrs.field(factory=list[int])
    _earlier: int = 0

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
        async with SqliteJournal(self.place.path) as journal, client:
            provisioner = self.policy.provisioner(client, journal)
            job = Job(
                provisioner=provisioner,
                journal=journal,
                account=self.platform.name,
                rows=self.source.rows(self.reading),
                report=self._report,
                admission=gate.admission,
                patience=self.patience,
                on_stop=self._say_stopping,
                on_wait=self._say_waiting,
                keep_going=lambda: not self.output.closed,
                progress=progress,
            )
            began = time.monotonic()
            with self.output.following(progress, traffic):
                if self.policy.accept_key:
                    await provisioner.accept_key()
                await _look_after_earlier_runs(provisioner)
                await job.run()
        return Summary(
            asked=progress.finished,
            done=progress.done,
            failed=progress.failed,
            unknown=progress.unknown,
            skipped=progress.skipped,
            earlier=self._earlier,
            requests=traffic.requests,
            throttled=traffic.throttled,
            seconds=time.monotonic() - began,
            stopped=job.stopped,
        )

    def _report(self, result: RowResult) -> None:
        self.output.show(result)
        self._earlier += result.earlier
        if result.fault is not None and result.fault.advice == DECIDE:
            self._undecided.append(result.line)
        elif result.status == "unknown":
            self._unknown.append(result.line)
        elif result.status == "skipped":
            self._skipped.append(result.line)

    def _say_stopping(self, why: Stopped, under_way: int) -> None:
        key = self.platform.key_variable
        self.output.remark(_STOPPING[why].format(under_way=under_way, key=key))

    def _say_waiting(self, doubtful: int) -> None:
        self.output.remark(
            f"{doubtful} rows are in doubt and looked for in the account for"
            f" {self.patience:.0f} s at most; Ctrl-C leaves them in doubt"
        )

    def say_how_to_go_on(self, summary: Summary) -> None:
        """Tell which rows are not settled, and which command settles them."""
        say = self.output.remark
        if self._earlier:
            say(f"done by an earlier run, so not sent again: {self._earlier} rows")
        if self._skipped:
            say(f"not sent: {lines_text(self._skipped)}")
        if self._unknown:
            say(f"in doubt, may have been carried out: {lines_text(self._unknown)}")
            say(f"  what is known of them:  {self._command('status')}")
            say(f"  look until it is known: {self._command('reconcile', '--wait')}")
        if self._undecided:
            say(f"somebody has to decide about {lines_text(self._undecided)}:")
            say(f"  {self._command('status')}")
        if self._unknown or self._skipped or summary.stopped:
            say("to go on, run the same command again: what is done is not sent again")

    def _command(self, name: str, *words: str) -> str:
        return self.place.command(name, self.platform, *words)


_STOPPING: dict[Stopped, str] = {
    "interrupted": "stopping: {under_way} rows are under way and will be settled;"
    " Ctrl-C again leaves them in doubt",
    "key refused": "stopping: the platform refuses the key, see {key};"
    " {under_way} rows are under way",
    "platform unreachable": "stopping: the platform cannot be reached",
    "journal unusable": "stopping: the journal takes no more entries, so nothing more is sent;"
    " {under_way} rows are under way",
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

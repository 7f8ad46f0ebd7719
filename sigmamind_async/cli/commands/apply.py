"""``sigmamind apply``: the rows of a file, each carried out once, however often it is applied."""

from __future__ import annotations

import time
from typing import Annotated

import attrs
from cyclopts import Parameter

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.commands.plan import (
    FAIL,
    AllowRelease,
    Drift,
    InlineSecrets,
    RewriteSecrets,
    SkipBad,
)
from sigmamind_async.cli.database import Postgres, database_of
from sigmamind_async.cli.errors import exit_for_job
from sigmamind_async.cli.fleet_input import is_fleet
from sigmamind_async.cli.jobs.fleet_apply import apply_fleet
from sigmamind_async.cli.jobs.next_steps import Aftermath, stopping_text, waiting_text
from sigmamind_async.cli.jobs.operations import Job
from sigmamind_async.cli.jobs.queue_apply import apply_to_queue
from sigmamind_async.cli.journal_location import (
    AcceptKey,
    JournalFile,
    Place,
    Policy,
    ReleaseDuplicates,
    RetryUnconfirmed,
    SettleTime,
    bought_by,
    look_after_earlier_runs,
    place_beside,
)
from sigmamind_async.cli.orders import Orders
from sigmamind_async.cli.outlook import outlook
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import RowResult, StopReason, Summary
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.report.writer import PageFile, ReportFile, page_file
from sigmamind_async.cli.rows import Reading
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    client_of_environment,
    run,
)
from sigmamind_async.cli.source import Source, Survey, source_of, stream_of
from sigmamind_async.cli.vendors import DEFAULT, PLATFORMS, AnyClient, Platform, PlatformName
from sigmamind_async.fleet.row_plan import PlanOptions
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning.transitions import SETTLE_TIME
from sigmamind_async.secret_references import SecretResolver


def apply(
    file: Annotated[
        str,
        Parameter(
            help="A .csv, .jsonl, .ndjson, .yaml or .yml file, or a saved plan; - reads JSON Lines"
            " from stdin."
        ),
    ],
    /,
    *,
    platform: Annotated[
        PlatformName | None,
        Parameter(
            name="--platform",
            help=f"Whose numbers; {DEFAULT} where rows with an action say nothing.",
        ),
    ] = None,
    journal: JournalFile = None,
    postgres: Postgres = None,
    max_purchases: Annotated[
        int | None,
        Parameter(help="Most numbers that the journal may count as bought, all runs together."),
    ] = None,
    yes: Annotated[
        bool, Parameter(help="Buy without asking; needs --max-purchases. Release likewise.")
    ] = False,
    settle_time: SettleTime = SETTLE_TIME,
    retry_unconfirmed: RetryUnconfirmed = False,
    release_duplicates: ReleaseDuplicates = False,
    accept_key: AcceptKey = False,
    on_drift: Drift = FAIL,
    allow_release: AllowRelease = False,
    rewrite_secrets: RewriteSecrets = False,
    skip_bad: SkipBad = False,
    allow_inline_secrets: InlineSecrets = False,
    report: ReportFile = None,
    verbose: Annotated[
        bool, Parameter(help="Show the rows that went well, and those that are unchanged, too.")
    ] = False,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Carry out what *file* says."""
    database = database_of(postgres)
    orders = Orders(
        file=file,
        platform=platform,
        journal=journal,
        database=database,
        max_purchases=max_purchases,
        yes=yes,
        policy=Policy(
            settle_time=settle_time,
            retry_unconfirmed=retry_unconfirmed,
            release_duplicates=release_duplicates,
            accept_key=accept_key,
        ),
        rules=PlanOptions(
            on_drift=on_drift, allow_release=allow_release, rewrite_secrets=rewrite_secrets
        ),
        skip_bad=skip_bad,
        allow_inline=allow_inline_secrets,
        report=report,
        verbose=verbose,
        json=json,
        times=Times(
            deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status
        ),
    )
    place = place_beside(file, journal, database)
    with stream_of(file) as stream:
        if is_fleet(file, stream):
            return apply_fleet(orders, stream)
        orders.check_for_rows()
        if database is not None:
            return apply_to_queue(orders, database, source_of(file, stream))
        return _apply_rows(orders, place, source_of(file, stream))


def _apply_rows(orders: Orders, place: Place, source: Source) -> int:
    """Carry out the rows of *source*, each of which says what is done with it."""
    theirs = PLATFORMS[orders.platform or DEFAULT]
    gate = orders.times.gate()
    with page_file(orders.report) as page:
        client = client_of_environment(theirs, orders.times, gate=gate, observer=page)
        references = SecretResolver(folder=source.folder, allow_inline=orders.allow_inline)
        reading = Reading(theirs, references)
        found = run(outlook(place, source, reading))
        consent = orders.consent
        limit = consent.limit(source.name, found)
        if orders.policy.release_duplicates:
            consent.check_release("duplicates")
        output = Output.for_process(json=orders.json, verbose=orders.verbose)
        application = Application(
            source=source,
            reading=reading,
            found=found.found,
            place=place,
            policy=attrs.evolve(orders.policy, max_purchases=limit),
            output=output,
            patience=orders.times.deadline,
            page=page,
            again=orders.again,
            bought=found.bought,
            limit=limit if found.to_buy else None,
        )
        summary = run(application.carry_out(client, gate))
    output.show(summary)
    application.aftermath.say(output.log, summary.stopped)
    return exit_for_job(summary)


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
    page: PageFile
    again: str = ""
    """The same command again."""
    bought: int = 0
    """Numbers that the journal counted as bought before."""
    limit: int | None = None
    """Most numbers that the journal may count as bought, where any are."""
    aftermath: Aftermath = attrs.field(
        default=attrs.Factory(
            lambda self: Aftermath(place=self.place, platform=self.platform), takes_self=True
        )
    )

    @property
    def platform(self) -> Platform:
        """Whose numbers the rows are about."""
        return self.reading.platform

    async def carry_out(self, client: AnyClient, gate: Gate) -> Summary:
        """Carry out all rows, show how each ended, and return the sum of it."""
        self.output.widths = Widths(
            id=self.found.id_width, action=max(map(len, self.platform.actions))
        )
        progress = Progress(total=self.found.rows)
        async with self.place.opened() as journal, client:
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
            with self.output.progress(progress, self.page.traffic):
                if self.policy.accept_key:
                    await provisioner.accept_key()
                await look_after_earlier_runs(provisioner)
                await job.run()
            bought = await bought_by(journal, [self.platform.name], self.bought)
        summary = Summary(
            rows=progress.finished,
            done=progress.done,
            failed=progress.failed,
            unconfirmed=progress.unconfirmed,
            skipped=progress.skipped,
            already_done=self.aftermath.earlier,
            requests=self.page.traffic.requests,
            rate_limited=self.page.traffic.rate_limited,
            elapsed_ms=round((time.monotonic() - began) * 1000),
            stopped=job.stopped,
        )
        self._write_page(summary, bought)
        return summary

    def _report(self, result: RowResult) -> None:
        self.output.show(result)
        self.aftermath.add(result)
        self.page.add(result, self.platform.name, self.aftermath.commands_for(result))

    def _say_stopping(self, why: StopReason, under_way: int, reason: str) -> None:
        self.output.log(stopping_text(why, self.platform.key_variable, under_way, reason))

    def _say_waiting(self, doubtful: int) -> None:
        self.output.log(waiting_text(doubtful, self.patience))

    def _write_page(self, summary: Summary, bought: int) -> None:
        self.page.write(
            summary,
            file=self.source.name,
            journal=self.place.name,
            resume=self.again,
            bought=bought,
            max_purchases=self.limit,
        )

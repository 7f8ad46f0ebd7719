"""``sigmamind apply --postgres`` of rows with an action: workers carry them out, this follows."""

from __future__ import annotations

import time
from typing import Final

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.command_line import POSTGRES_OPTION as OPTION
from sigmamind_async.cli.database import Database, missing
from sigmamind_async.cli.errors import CommandError, exit_for_job, told
from sigmamind_async.cli.jobs.next_steps import Aftermath, waiting_text
from sigmamind_async.cli.jobs.queue import IDLE, QueueJob
from sigmamind_async.cli.journal_location import Policy
from sigmamind_async.cli.options import DEADLINE, RequestOptions
from sigmamind_async.cli.orders import Orders
from sigmamind_async.cli.outlook import outlook
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import RowResult, StopReason, Summary
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.rows import Reading
from sigmamind_async.cli.runtime import run
from sigmamind_async.cli.source import Source, Survey
from sigmamind_async.cli.vendors import DEFAULT, PLATFORMS, Platform
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.provisioning.transitions import SETTLE_TIME
from sigmamind_async.secret_references import SecretReferenceError
from sigmamind_async.values import Secret, SecretReference

_STOPPING: Final[dict[StopReason, str]] = {
    "interrupted": "not followed any more",
    "journal_unusable": "not followed any more",
    "output_closed": "not followed any more, for stdout takes no more results",
}
_OF_WORKERS: Final = Policy(
    settle_time=SETTLE_TIME, retry_unconfirmed=False, release_duplicates=False, accept_key=False
)


class PassedOn:
    """Leaves references to the workers, who have the secrets."""

    def resolve(self, text: str) -> Secret:
        """Return *text* as what it is, or raise `SecretReferenceError`."""
        try:
            return SecretReference(text)
        except InvalidRequestError:
            raise SecretReferenceError(
                "is a secret and must not be in plain text; write env:NAME or file:PATH, which"
                " the worker resolves"
            ) from None


def apply_to_queue(orders: Orders, database: Database, source: Source) -> int:
    """Have workers carry out the rows of *source*, each of which says what is done with it."""
    _refuse_worker_options(orders)
    reading = Reading(PLATFORMS[orders.platform or DEFAULT], PassedOn(), shared=True)
    try:
        queue = database.queue()
    except ImportError as error:
        raise missing(error) from None
    run(queue.prepare())
    found = run(outlook(database, source, reading))
    orders.consent.limit(source.name, found)
    following = Following(
        source=source,
        reading=reading,
        found=found.found,
        database=database,
        output=Output.for_process(json=orders.json, verbose=orders.verbose),
        patience=orders.times.deadline,
    )
    summary = run(following.follow())
    following.output.show(summary)
    following.aftermath.say(following.output.log, summary.stopped)
    return exit_for_job(summary)


def _refuse_worker_options(orders: Orders) -> None:
    """Raise `CommandError` where options were given that are the workers'."""
    theirs = attrs.evolve(orders.times, deadline=DEADLINE) != RequestOptions()
    if orders.policy != _OF_WORKERS or theirs or orders.allow_inline:
        raise CommandError(
            f"{orders.file}: with {OPTION} workers carry its rows out, and --settle-time,"
            " --retry-unconfirmed, --release-duplicates, --attempt-timeout, --proxy and"
            " --refusal-status are theirs: give them to sigmamind worker."
            " There is no --accept-key and no --allow-inline-secrets"
        )
    if orders.report is not None:
        raise CommandError(
            f"--report shows the requests of a job, and with {OPTION} workers send them"
        )


@attrs.define(kw_only=True)
class Following:
    """One file in the hands of workers: what is shown and counted of it."""

    source: Source
    reading: Reading
    found: Survey
    database: Database
    output: Output
    patience: float
    aftermath: Aftermath = attrs.field(
        default=attrs.Factory(
            lambda self: Aftermath(place=self.database, platform=self.platform), takes_self=True
        )
    )

    @property
    def platform(self) -> Platform:
        """Whose numbers the rows are about."""
        return self.reading.platform

    async def follow(self) -> Summary:
        """Hand all rows over, show how each ended, and return the sum of it."""
        self.output.widths = Widths(
            id=self.found.id_width, action=max(map(len, self.platform.actions))
        )
        progress = Progress(total=self.found.rows)
        began = time.monotonic()
        async with self.database.opened(read_only=True) as journal:
            job = QueueJob(
                queue=self.database.queue(),
                journal=journal,
                account=self.platform.name,
                rows=self.source.rows(self.reading),
                report=self._report,
                patience=self.patience,
                on_stop=self._say_stopping,
                on_wait=lambda count: self.output.log(waiting_text(count, self.patience)),
                on_idle=self._say_idle,
                on_broken=lambda error: self.output.log(told(error)),
                keep_going=lambda: not self.output.closed,
                progress=progress,
            )
            with self.output.progress(progress):
                await job.run()
        return Summary(
            rows=progress.finished,
            done=progress.done,
            failed=progress.failed,
            unconfirmed=progress.unconfirmed,
            skipped=progress.skipped,
            already_done=self.aftermath.earlier,
            requests=None,
            rate_limited=None,
            elapsed_ms=round((time.monotonic() - began) * 1000),
            stopped=job.stopped,
        )

    def _report(self, result: RowResult) -> None:
        self.output.show(result)
        self.aftermath.add(result)

    def _say_stopping(self, why: StopReason, left: int) -> None:
        self.output.log(f"{_STOPPING[why]}; {left} rows stay with the workers")

    def _say_idle(self) -> None:
        self.output.log(
            f"nothing has happened for {IDLE:.0f} s: is a worker running that serves"
            f" {self.platform.name}, and can it reach the platform? Ctrl-C loses nothing"
        )

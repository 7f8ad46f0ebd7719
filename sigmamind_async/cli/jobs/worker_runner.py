"""A worker process that shows what it serves, how each operation ends, and the totals.

Needs the extra ``postgres``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Self

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.accounts import choose_platforms, client_of
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.jobs.results import with_journal_state
from sigmamind_async.cli.journal_location import Database
from sigmamind_async.cli.loop import on_interrupt, run
from sigmamind_async.cli.options import JobOptions, WorkerOptions
from sigmamind_async.cli.output.console import JobView, Output
from sigmamind_async.cli.output.events import RowError, RowResult, Summary, WorkerStarted
from sigmamind_async.cli.output.journal_status import row_id_of, without_call
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.workers import Account, SharedGate, Worker

_LOGGERS: Final = ("procrastinate", "sigmamind_async.workers", "psycopg", "asyncio")
QUIET: Final = 60.0
"""Seconds before the same warning is shown again, unless an operation has ended meanwhile."""


def serve(database: Database, options: WorkerOptions, job: JobOptions, output: Output) -> None:
    """Serve until a signal comes, settle what is under way then, and show the totals."""
    spending, settlement, request = job.spending, job.settlement, job.request
    if settlement.release_duplicates:
        Approval(spending.yes, output.can_ask).check_release("duplicates")
    names = choose_platforms(options.platform)
    gates: list[Gate] = []
    warnings, view = WarningLog(output.log), JobView(progress=Progress(), gates=gates)
    traffic, counts = view.traffic, view.progress

    def report(row: Row) -> None:
        result = result_of_operation(row)
        counts.count(result.status)
        output.show(result)
        warnings.reset()

    def shared_gate(account: str, journal: PostgresJournal) -> Gate:
        gates.append(SharedGate(account, journal, refusal_statuses=request.refusal_status))
        return gates[-1]

    accounts = [
        Account(
            partial(client_of, name, request, observer=traffic),
            max_purchases=spending.max_purchases,
            settle_time=settlement.settle_time,
            retry_unconfirmed=settlement.retry_unconfirmed,
            release_duplicates=settlement.release_duplicates,
        )
        for name in names
    ]

    class AnnouncedWorker(Worker):
        def stop(self) -> None:
            output.log("stopping: settling requests under way")
            super().stop()

    often = cron_every(round(options.upkeep))
    worker = AnnouncedWorker(
        accounts,
        database.dsn,
        secrets=_resolver(options.allow_secret),
        concurrency=options.concurrency,
        reconcile=often,
        retry_stalled=often,
        gate=shared_gate,
        on_settled=report,
    )
    output.widths = Widths(id=16, action=len("purchase"), platform=max(map(len, names)))
    started = WorkerStarted(
        accounts=tuple(names), database=database.name, concurrency=options.concurrency
    )

    async def main() -> None:
        await database.queue().prepare()
        with on_interrupt(worker.stop), warnings:
            output.show(started)
            output.log("serving until Ctrl-C")
            with output.live(view.lines):
                await worker.run()

    counts.started = counts.clock()
    run(main())
    output.show(
        Summary(
            rows=counts.finished,
            done=counts.done,
            failed=counts.failed,
            unconfirmed=counts.unconfirmed,
            requests=traffic.requests,
            rate_limited=traffic.rate_limited,
            elapsed_ms=round((counts.clock() - counts.started) * 1000),
        )
    )


def result_of_operation(row: Row) -> RowResult:
    """Return how the operation of *row*, which has ended, is shown."""
    result = RowResult(
        line=0,
        id=row_id_of(row.op_id),
        platform=row.account,
        action="purchase" if row.kind is Kind.EXACT_PURCHASE else row.kind.value,
        status="done",
        phone_number=row.phone_number or None,
        record_id=row.record if row.record != row.phone_number else None,
        attempts=row.attempt,
        elapsed_ms=round(1000 * (row.updated_at - row.sent_at)) if row.sent_at else 0,
    )
    if row.state is State.DONE or row.record:
        return result
    message = without_call(row.error)
    if row.state is State.FAILED:
        status = row.error_status or None
        error = RowError(type="Refused", message=message, committed="no", status=status)
        return attrs.evolve(result, status="failed", error=error)
    error = RowError(type="OutcomeUnknownError", message=message, committed="unknown")
    return with_journal_state(attrs.evolve(result, status="unconfirmed", error=error), row)


def cron_every(seconds: int) -> str:
    """Return the cron expression that comes nearest to every so many *seconds*."""
    return f"* * * * * */{seconds}" if seconds < 60 else f"*/{round(seconds / 60)} * * * *"


def _resolver(allowed: tuple[str, ...]) -> SecretResolver | None:
    """Return what requests may name; `None` for the worker's default."""
    listed: dict[str, list[str]] = {"env": [], "file": []}
    for each in allowed:
        kind, _, name = each.partition(":")
        if kind not in listed or not name:
            raise CommandError(f"--allow-secret {each}: must be env:NAME or file:FOLDER")
        listed[kind].append(name)
    return SecretResolver(names=listed["env"], folders=listed["file"]) if allowed else None


class WarningLog(logging.Handler):
    """Shows warnings of the queue, the journal and the driver as one line each.

    Without their tracebacks, and each once a minute at most until `reset`.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show
        self._shown_at: dict[str, float] = {}
        self._before: list[tuple[logging.Logger, bool]] = []

    def __enter__(self) -> Self:
        for logger in map(logging.getLogger, _LOGGERS):
            self._before.append((logger, logger.propagate))
            logger.propagate = False  # the root's last resort would print tracebacks
            logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for logger, propagate in self._before:
            logger.removeHandler(self)
            logger.propagate = propagate

    def reset(self) -> None:
        """Show each warning again when it comes: an operation has ended."""
        self._shown_at.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Show the first line of *record*."""
        text, now = record.getMessage().partition("\n")[0].rstrip(": "), time.monotonic()
        if now - self._shown_at.get(text, -QUIET) >= QUIET:
            self._shown_at[text] = now
            self._show(text)

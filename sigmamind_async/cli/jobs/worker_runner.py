"""A worker process that tells what it does: what it serves, how each operation ended, the sum.

Needs the extra ``postgres``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import attrs

from sigmamind_async.cli.database import Database
from sigmamind_async.cli.errors import told
from sigmamind_async.cli.jobs.journal_results import is_final, result_of_entry, row_of_entry
from sigmamind_async.cli.jobs.worker_log import Ended, JobLog
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import RowResult, Summary, WorkerStarted
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.cli.vendors import Platform
from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import Secret
from sigmamind_async.workers import Account, SharedGate, Worker
from sigmamind_async.workers.context import GateFor


@attrs.define(kw_only=True)
class Serving:
    """One worker process, from its first line to its last."""

    database: Database
    accounts: Sequence[Account]
    platforms: Sequence[Platform]
    output: Output
    traffic: Traffic
    concurrency: int
    upkeep: str
    refusals: tuple[int, ...]
    """Statuses with which a limiter before the platforms refuses requests."""
    secrets: SecretResolver | None = None
    """What requests may name; as `Worker` takes it."""
    _counts: Counter[str] = attrs.field(factory=Counter[str])

    async def run(self) -> None:
        """Serve until a signal comes, and settle what is under way then."""
        worker = self._worker()
        began = time.monotonic()
        await self.database.queue().prepare()
        with on_interrupt(worker.stop), JobLog(self.output.log) as log:
            async with self.database.opened(read_only=True) as journal:
                self._introduce()
                await self._serve(worker, log, journal)
        self.output.show(self._summary(time.monotonic() - began))

    async def _serve(self, worker: Worker, log: JobLog, journal: Journal) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tell(log, journal))
                await worker.run()
                log.close_queue()
        except ExceptionGroup as group:  # the database went away before the first job
            raise group.exceptions[0] from None

    def _worker(self) -> Worker:
        return Quitting(
            self.accounts,
            self.database.dsn,
            secrets=self.secrets,
            concurrency=self.concurrency,
            reconcile=self.upkeep,
            retry_stalled=self.upkeep,
            gate=partial(SharedGate, refusal_statuses=self.refusals),
            on_stop=lambda: self.output.log("stopping: what is under way is settled first"),
        )

    def _introduce(self) -> None:
        self.output.widths = Widths(
            id=16,
            action=max(len(word) for each in self.platforms for word in each.actions),
            platform=max(len(each.name) for each in self.platforms),
        )
        self.output.show(
            WorkerStarted(
                accounts=tuple(each.name for each in self.platforms),
                database=self.database.name,
                concurrency=self.concurrency,
            )
        )
        self.output.log("serving until Ctrl-C")

    async def _tell(self, log: JobLog, journal: Journal) -> None:
        """Show how each operation ended, until there are no more."""
        while (ended := await log.next()) is not None:
            result = await self._result(ended, journal)
            if result is not None:
                self._counts[result.status] += 1
                self.output.show(result)

    async def _result(self, ended: Ended, journal: Journal) -> RowResult | None:
        """Return how an operation ended, `None` where it goes on at another time."""
        try:
            entry = await journal.get(ended.account, ended.op_id)
        except JournalError as error:
            self.output.log(f"{ended.op_id}: ended, and its row cannot be read: {told(error)}")
            return None
        if entry is None or not is_final(entry):
            return None
        result = result_of_entry(entry, row_of_entry(entry))
        return attrs.evolve(result, elapsed_ms=round(ended.seconds * 1000))

    def _summary(self, seconds: float) -> Summary:
        counts = self._counts
        return Summary(
            rows=counts.total(),
            done=counts["done"],
            failed=counts["failed"],
            unconfirmed=counts["unconfirmed"],
            requests=self.traffic.requests,
            rate_limited=self.traffic.rate_limited,
            elapsed_ms=round(seconds * 1000),
        )


class Quitting(Worker):
    """A worker that says when it is told to stop."""

    def __init__(
        self,
        accounts: Sequence[Account],
        dsn: Secret,
        *,
        on_stop: Callable[[], None],
        secrets: SecretResolver | None,
        concurrency: int,
        reconcile: str,
        retry_stalled: str,
        gate: GateFor,
    ) -> None:
        super().__init__(
            accounts,
            dsn,
            secrets=secrets,
            concurrency=concurrency,
            reconcile=reconcile,
            retry_stalled=retry_stalled,
            gate=gate,
        )
        self._on_stop = on_stop

    def stop(self) -> None:
        """Take no more jobs."""
        self._on_stop()
        super().stop()

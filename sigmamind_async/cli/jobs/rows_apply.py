"""Until operation files go: the rows of a file, each of which says what is done with it."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import IO, Final, cast

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.database import database_of
from sigmamind_async.cli.errors import exit_for_job
from sigmamind_async.cli.jobs.next_steps import Aftermath, stopping_text, waiting_text
from sigmamind_async.cli.jobs.operations import Job
from sigmamind_async.cli.jobs.queue_apply import apply_to_queue
from sigmamind_async.cli.journal_location import (
    STDIN,
    Place,
    Policy,
    bought_by,
    look_after_earlier_runs,
    place_beside,
)
from sigmamind_async.cli.options import (
    ChangeOptions,
    FileOptions,
    JournalOptions,
    OutputOptions,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
)
from sigmamind_async.cli.orders import Orders
from sigmamind_async.cli.outlook import outlook
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import RowResult, StopReason, Summary
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.report.writer import PageFile, page_file
from sigmamind_async.cli.rows import Reading
from sigmamind_async.cli.runtime import client_of_environment, new_gate, run
from sigmamind_async.cli.source import LONGEST_LINE, Source, Survey, source_of
from sigmamind_async.cli.vendors import DEFAULT, PLATFORMS, AnyClient, Platform
from sigmamind_async.fleet import plan_file
from sigmamind_async.fleet.files.formats import format_of
from sigmamind_async.fleet.row_plan import PlanOptions
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.secret_references import SecretResolver


def apply_rows(orders: Orders, place: Place, source: Source) -> int:
    """Carry out the rows of *source*, each of which says what is done with it."""
    theirs = PLATFORMS[orders.platform or DEFAULT]
    gate = new_gate(orders.times)
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


def apply_old(
    file: str,
    *,
    files: FileOptions,
    changes: ChangeOptions,
    spending: SpendingOptions,
    journal: JournalOptions,
    settlement: SettlementOptions,
    request: RequestOptions,
    output: OutputOptions,
    report: Path | None,
) -> int | None:
    """Apply rows with an action; `None` where *file* is a fleet."""
    if file != STDIN and not Path(file).is_file():
        return None
    database = database_of(journal.postgres)
    place = place_beside(file, journal.journal, database)
    if file == STDIN:
        content = sys.stdin.buffer.read()
        sys.stdin = io.TextIOWrapper(io.BytesIO(content))  # read again by the other kind
        stream: IO[bytes] = io.BytesIO(content)
    else:
        stream = io.BytesIO(Path(file).read_bytes())
    if is_fleet(file, stream):
        return None
    orders = Orders(
        file=file,
        platform=files.platform,
        journal=journal.journal,
        database=database,
        max_purchases=spending.max_purchases,
        yes=spending.yes,
        policy=Policy(**attrs.asdict(settlement)),
        rules=PlanOptions(**attrs.asdict(changes)),
        skip_bad=files.skip_bad,
        allow_inline=files.allow_inline_secrets,
        report=report,
        verbose=output.verbose,
        json=output.json,
        times=request,
    )
    orders.check_for_rows()
    if database is not None:
        return apply_to_queue(orders, database, source_of(file, stream))
    return apply_rows(orders, place, source_of(file, stream))


_TELLING: Final = frozenset({"platform", "source", "state"})
"""Columns that only rows of wanted state have."""

_PLAN_HEAD: Final = re.compile(
    rb'\s*\{\s*"kind"\s*:\s*"' + re.escape(plan_file.KIND.encode()) + b'"'
)


# ---------------------------------------------------------------- what kind of file


def is_fleet(file: str, stream: IO[bytes]) -> bool:
    """Return whether *stream*, which is *file*, holds wanted state or a saved plan."""
    if is_saved_plan(stream):
        return True
    form = "jsonl" if file == STDIN else format_of(file)
    if form == "yaml":
        return True
    names = _names_in_header(stream) if form == "csv" else _names_in_first_row(stream)
    if "action" in names:
        return False
    return bool(names & _TELLING)


def is_saved_plan(stream: IO[bytes]) -> bool:
    """Return whether *stream* is a plan that was saved."""
    stream.seek(0)
    return _PLAN_HEAD.match(stream.read(256)) is not None


def _names_in_header(stream: IO[bytes]) -> frozenset[str]:
    text = _decode(stream, "utf-8-sig")
    try:
        return frozenset(name.strip() for name in next(csv.reader([text]), list[str]())) - {""}
    except csv.Error:
        return frozenset()


def _names_in_first_row(stream: IO[bytes]) -> frozenset[str]:
    stream.seek(0)
    for raw in iter(lambda: stream.readline(LONGEST_LINE), b""):
        if raw.strip():
            return _names_in(raw)
    return frozenset()


def _names_in(row: bytes) -> frozenset[str]:
    try:
        found: object = json.loads(row.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(cast("dict[str, object]", found)) if isinstance(found, dict) else frozenset()


def _decode(stream: IO[bytes], encoding: str) -> str:
    stream.seek(0)
    return stream.readline(LONGEST_LINE).decode(encoding, "replace").rstrip("\r\n")

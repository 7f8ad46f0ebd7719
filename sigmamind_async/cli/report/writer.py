"""``--report``: the page about a job, collected while it runs and written at its end."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.atomic_write import new_file
from sigmamind_async.cli.output.events import RowResult, Summary
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.output.text import STOP_TEXTS
from sigmamind_async.cli.report import Header, ReportRow, Tally, Timeline, page
from sigmamind_async.events import Event

ReportFile = Annotated[
    Path | None,
    Parameter(name="--report", help="Write how it went to this file, as a page for a browser."),
]


@attrs.define(kw_only=True)
class PageFile:
    """The page of one job, and what is collected for it."""

    stream: IO[bytes] | None
    """Where it goes; `None` where nobody asked for it."""
    timeline: Timeline = attrs.field(factory=Timeline)
    traffic: Traffic = attrs.field(factory=Traffic)
    _tally: Tally = attrs.field(factory=Tally)
    _started: float = attrs.field(factory=time.time)

    def __call__(self, event: Event) -> None:
        """Count *event*, as an observer of clients."""
        self.traffic(event)
        if self.stream is not None:
            self.timeline(event)

    def add(self, result: RowResult, platform: str, commands: Iterable[str] = ()) -> None:
        """Keep how a row ended, and the *commands* that settle it."""
        if self.stream is not None:
            self._tally.add(_report_line(result, platform, tuple(commands)))

    def write(
        self,
        summary: Summary,
        *,
        file: str,
        journal: str,
        resume: str,
        bought: int,
        max_purchases: int | None,
    ) -> None:
        """Write the page of a job that has ended."""
        if self.stream is None:
            return
        header = Header(
            file=file,
            journal=journal,
            started=self._started,
            seconds=summary.elapsed_ms / 1000,
            stopped=None if summary.stopped is None else STOP_TEXTS[summary.stopped],
            resume=resume,
            requests=self.traffic.requests,
            throttled=self.traffic.rate_limited,
            bought=bought,
            max_purchases=max_purchases,
        )
        self.stream.write(page(header, self._tally, self.timeline).encode())


@contextmanager
def page_file(path: Path | None) -> Generator[PageFile]:
    """Open the page at *path*, which is there once the block has ended.

    Raises `CommandError`, at once, where it cannot be written.
    """
    if path is None:
        yield PageFile(stream=None)
        return
    with new_file(path) as stream:
        yield PageFile(stream=stream)


def _report_line(result: RowResult, platform: str, commands: tuple[str, ...]) -> ReportRow:
    fault = result.error
    return ReportRow(
        id=result.id or "",
        platform=platform,
        action=result.action,
        status=result.status,
        phone_number=result.phone_number or result.record_id or "",
        cause=result.note if fault is None else fault.message,
        advice="" if fault is None else fault.hint,
        commands=commands,
        attempts=result.attempts,
        elapsed=result.elapsed_ms / 1000,
    )

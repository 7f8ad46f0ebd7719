"""``--report``: the page about a job, collected while it runs and written at its end."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.fleet_input import new_file
from sigmamind_async.cli.output.console import Traffic
from sigmamind_async.cli.output.events import RowResult
from sigmamind_async.cli.report.model import Header, Tally, Timeline
from sigmamind_async.events import Event


@attrs.define(kw_only=True)
class PageFile:
    """The page of one job, and what is collected for it."""

    stream: IO[bytes] | None
    """Where it goes; `None` if no report is wanted."""
    timeline: Timeline = attrs.field(factory=Timeline)
    traffic: Traffic = attrs.field(factory=Traffic)
    started: float = attrs.field(factory=time.time)
    """Seconds since the epoch."""
    _tally: Tally = attrs.field(factory=Tally)

    def __call__(self, event: Event) -> None:
        """Count *event*, as an observer of clients."""
        self.traffic(event)
        if self.stream is not None:
            self.timeline(event)

    def add(self, result: RowResult, commands: Iterable[str] = ()) -> None:
        """Keep how a row ended, and the *commands* that settle it."""
        if self.stream is not None:
            self._tally.add(result, commands)

    def write(self, header: Header) -> None:
        """Write the page of a job that has ended."""
        if self.stream is not None:
            from sigmamind_async.cli.report.page import page

            self.stream.write(page(header, self._tally, self.timeline).encode())


@contextmanager
def page_file(path: Path | None) -> Generator[PageFile]:
    """Open the page at *path*, which is there once the block has ended.

    Raises `CommandError`, at once, if it cannot be written.
    """
    if path is None:
        yield PageFile(stream=None)
        return
    try:
        import jinja2  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise CommandError(
            '--report needs jinja2, which comes with the extra: pip install "sigmamind-async[cli]"'
        ) from None
    with new_file(path) as stream:
        yield PageFile(stream=stream)

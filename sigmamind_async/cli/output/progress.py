"""The progress bar of a job, and the counts that the client's events give it."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.output.status_text import span
from sigmamind_async.cli.output.terminal import STYLES
from sigmamind_async.events import AttemptFinished, Event, Throttled


@attrs.define
class Traffic:
    """Requests of a job, counted as an observer of its client."""

    requests: int = 0
    throttled: int = 0

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        self.requests += isinstance(event, AttemptFinished)
        self.throttled += isinstance(event, Throttled)


class Bar:
    """Keeps one line at the bottom of the terminal, on stderr, up to date."""

    def __init__(
        self, progress: Progress, traffic: Traffic | None, console: Console | None = None
    ) -> None:
        self.console = console or Console(stderr=True)
        self._live = Live(
            console=self.console,
            get_renderable=lambda: bar_line(progress, traffic),
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._live.stop()


def bar_line(progress: Progress, traffic: Traffic | None = None) -> Table:
    """Return the line as it is now; without *traffic* others send the requests."""
    line = Table.grid(padding=(0, 1))
    total = progress.total or 0
    line.add_row(
        ProgressBar(total=max(total, 1), completed=progress.finished, width=24),
        Text(f"{progress.finished:,}/{total:,}"),
        Text(f"{progress.done:,} done", style=STYLES["done"]),
        _count(progress.failed, "failed"),
        _count(progress.unconfirmed, "unconfirmed"),
        Text(f"{progress.rate:,.0f}/s"),
        Text(_eta(progress.eta), style="cyan"),
        *(() if traffic is None else (Text(f"{traffic.throttled:,} 429s", style="dim"),)),
    )
    return line


def _count(count: int, word: str) -> Text:
    return Text(f"{count:,} {word}", style=STYLES[word] if count else "dim")


def _eta(seconds: float | None) -> str:
    """Return the time to go."""
    return "-:--" if seconds is None else span(seconds)

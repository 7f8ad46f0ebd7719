"""The progress bar of a job, and the counts that the client's events give it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn

from sigmamind_async.cli.output.text import count_of, format_clock
from sigmamind_async.events import AttemptFinished, Event, Throttled

if TYPE_CHECKING:
    from sigmamind_async import bulk


@attrs.define
class Traffic:
    """Requests of a job, counted as an observer of its client."""

    requests: int = 0
    rate_limited: int = 0

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        self.requests += isinstance(event, AttemptFinished)
        self.rate_limited += isinstance(event, Throttled)


class JobBar(Progress):
    """One line at the bottom of the terminal, on standard error, that follows a job."""

    def __init__(
        self, counts: bulk.Progress, traffic: Traffic | None, console: Console | None = None
    ) -> None:
        self._counts = counts
        self._traffic = traffic
        self.waiting: tuple[int, float] | None = None
        """Unconfirmed rows that alone are left, and until when they are looked for."""
        super().__init__(
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            console=console or Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.add_task("", total=None)

    def stop(self) -> None:
        """Remove the line."""
        with suppress(OSError):  # the terminal may be gone
            super().stop()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the line as it is now."""
        counts = self._counts
        for task in self.task_ids:  # none while the base class is made
            total = max(counts.total or 0, 1)
            self.update(task, description=self._text(), completed=counts.finished, total=total)
        return super().get_renderables()

    def _text(self) -> str:
        counts = self._counts
        parts = [f"{counts.finished:,}/{counts.total or 0:,}"]
        if counts.failed:
            parts.append(f"[red]{counts.failed:,} failed[/]")
        if self.waiting is not None:
            rows, until = self.waiting
            left = format_clock(max(0.0, until - time.monotonic()))
            return " ".join([*parts, f"checking {count_of(rows, 'unconfirmed row')}, up to {left}"])
        if counts.unconfirmed:
            parts.append(f"[yellow]{counts.unconfirmed:,} unconfirmed[/]")
        parts.append(f"{counts.rate:,.0f}/s")
        if counts.eta is not None:
            parts.append(f"[cyan]{format_clock(counts.eta)}[/]")
        if self._traffic is not None and self._traffic.rate_limited:
            parts.append(f"[dim]{self._traffic.rate_limited:,} rate-limited[/]")
        return " ".join(parts)

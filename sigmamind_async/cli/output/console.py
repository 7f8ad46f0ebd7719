"""Where events go: results to standard output; progress and remarks to standard error.

Standard output may take no more. That does not tear a job off: what would follow is dropped,
`Output.closed` tells the job to start no more rows, and `check_stdout` raises the error at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final, Literal

import attrs

from sigmamind_async.cli.output import (
    events,
    journal_status,  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers its texts
    text,
)
from sigmamind_async.cli.process import give_up_stdout

if TYPE_CHECKING:  # rich is a tenth of what `status` costs in a pipe: only a terminal loads it
    from rich.console import Console
    from rich.text import Text

    from sigmamind_async.bulk import Progress
    from sigmamind_async.events import Event as ClientEvent
    from sigmamind_async.limiter.gate import Gate

PULSE: Final = 30.0
"""Seconds between two lines about a job, where there is no terminal."""
MOST_NEW: Final = 20
"""Rows done that a terminal shows one by one; `sigmamind status` shows the others."""


@attrs.define
class Traffic:
    """Requests of a job, counted as an observer of its client."""

    requests: int = 0
    rate_limited: int = 0

    def __call__(self, event: ClientEvent) -> None:
        """Count *event*."""
        from sigmamind_async.events import AttemptFinished, Throttled  # `status` sends nothing

        self.requests += isinstance(event, AttemptFinished)
        self.rate_limited += isinstance(event, Throttled)


@attrs.define(kw_only=True)
class Output:
    """Shows events to a person, or writes them for a program."""

    json: bool = False
    is_terminal: bool = attrs.field(
        default=attrs.Factory(lambda it: sys.stdout.isatty() and not it.json, takes_self=True)
    )
    """Whether standard output is a terminal, for which events are drawn."""
    quiet: bool = False
    """Show only what went wrong of a job's rows."""
    verbose: bool = False
    """Show all rows of a job."""
    widths: text.Widths = attrs.field(factory=text.Widths)
    status_command: str = ""
    """What shows all rows of a job."""
    closed: bool = False
    """True once standard output takes no more."""
    _bar: Console | None = None
    """Where the progress bar is: only through this can anything be written above it."""
    _has_status: bool = False
    """True once the status of a journal is shown: a blank line goes before the next one."""
    _new: int = 0
    """Rows that this run did."""

    def show(self, shown: events.Event | events.View) -> None:
        """Write one event to standard output; what cannot be written is dropped."""
        if self.closed or self._is_hidden(shown):
            return
        try:
            if self.json:
                for event in events.events_in(shown):
                    print(events.json_line(event))
            elif not (self.is_terminal or os.environ.get("FORCE_COLOR")):
                print("\n".join(map(text.plain, self._lines(shown, None))))
            else:
                console = self._bar or _console()
                for each in self._lines(shown, console.width if self.is_terminal else None):
                    console.print(_styled(each), soft_wrap=True)
            sys.stdout.flush()
        except OSError as error:
            self.closed = True
            give_up_stdout(error)

    def log(self, message: str = "") -> None:
        """Write a line for a person to standard error; programs that read JSON get none."""
        bare = message.lstrip(" ")
        indent = len(message) - len(bare)
        # A command and a program are never broken.
        is_code = bare.startswith(("sigmamind ", "$ ")) or indent >= 4
        for each in text.prose(bare, None if is_code else log_width(), indent=indent, hang=2):
            self.log_line(each)

    def log_line(self, line: text.Line) -> None:
        """Do the same with a line that has styles."""
        if self.json:
            return
        with suppress(OSError):
            styled = any(word for _, word in line)
            if self._bar is not None or (styled and sys.stderr.isatty()):
                console = self._bar or _console(stderr=True)
                console.print(_styled(line), soft_wrap=True)
            else:
                print(text.plain(line), file=sys.stderr)

    @property
    def can_ask(self) -> bool:
        """True if a person is at a terminal and can answer."""
        return not self.json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def has_live_view(self) -> bool:
        """True if there is a terminal on which something can be kept up to date."""
        return not self.json and not self.quiet and sys.stderr.isatty()

    @contextmanager
    def live(self, lines: Callable[[int], list[text.Line]]) -> Generator[None]:
        """Show what *lines* returns for a width, kept up to date, if there is a terminal for it."""
        if not self.has_live_view:
            yield
            return
        from rich.console import Group
        from rich.live import Live

        console = _console(stderr=True)
        view = Live(
            get_renderable=lambda: Group(*map(_styled, lines(console.width))),
            console=console,
            refresh_per_second=5,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        view.start(refresh=True)
        self._bar = view.console
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal may be gone
                view.stop()
            self._bar = None

    def pulse(self, view: JobView) -> None:
        """Write how far a job is, now and then, where there is no terminal for a live view."""
        if self._bar is None and not self.quiet and time.monotonic() - view.shown_at >= PULSE:
            view.shown_at = time.monotonic()
            self.log("; ".join(filter(None, map(text.plain, view.lines()))))

    def _is_hidden(self, shown: events.Event | events.View) -> bool:
        if self.json or self.verbose or not isinstance(shown, events.RowResult):
            return False
        if shown.status not in {"done", "skipped"}:
            return False
        is_new = shown.status == "done" and not shown.already_done
        self._new += is_new
        return self.quiet or (self.is_terminal and not (is_new and self._new <= MOST_NEW))

    def _lines(self, shown: events.Event | events.View, width: int | None) -> Iterable[text.Line]:
        if isinstance(shown, events.RowResult):
            return text.row_lines(shown, width, self.widths)
        before: list[text.Line] = []
        if isinstance(shown, events.Summary) and self._new > MOST_NEW and self.is_terminal:
            hidden = text.count_of(self._new - MOST_NEW, "more row")
            command = self.status_command or "--verbose"
            before = [text.line((f"and {hidden} done; all of them: ", "dim"), command)]
        elif isinstance(shown, events.JournalStatus):
            before = [text.line()] if self._has_status else []
            self._has_status = True
        return [*before, *text.render(shown, width)]


@attrs.define(kw_only=True)
class JobView:
    """How far a job is, and what it waits for."""

    progress: Progress
    traffic: Traffic = attrs.field(factory=Traffic)
    gates: Sequence[Gate] = ()
    held: Callable[[], int] = lambda: 0
    """Returns how many rows have no answer yet and are looked for at the end."""
    waits_until: float | None = None
    """Until when rows without an answer are looked for, once nothing else is left to do."""
    shown_at: float = attrs.field(factory=time.monotonic)

    def lines(self, width: int | None = None) -> list[text.Line]:
        """Return what is shown: how much is done, then rate, limits and what is waited for."""
        counts = self.progress
        done = f"{counts.finished:,}" if counts.total is None else _done_text(counts)
        first = f"{done}  {counts.rate:,.0f}/s"
        if counts.eta and counts.finished and self.waits_until is None:
            first += f"  {text.format_clock(counts.eta)} left"
        room = 0 if width is None or not counts.total else min(24, width - len(first) - 2)
        filled = round(room * counts.finished / (counts.total or 1))
        bar = (("━" * filled, "done"), ("━" * (room - filled) + "  ", "dim")) if room > 0 else ()
        return [text.line(*bar, first), *self._details(width)]

    def _details(self, width: int | None) -> list[text.Line]:
        counts, states = self.progress, [gate.state for gate in self.gates]
        rates = [state.rate for state in states if state.rate is not None]
        parts: list[text.Span] = []
        if rates and sum(rates) < 3 * counts.rate:  # else it is not what holds the job back
            parts.append((f"{sum(rates):,.0f}/s admitted", "dim"))
        if self.traffic.rate_limited:
            share = self.traffic.rate_limited / max(self.traffic.requests, 1)
            parts.append((f"{share:.0%} rate-limited", "dim"))
        if counts.failed:
            parts.append((f"{counts.failed:,} failed", "failed"))
        if open_ := max(counts.unconfirmed, self.held()):
            parts.append((f"{open_:,} unconfirmed", "unconfirmed"))
        if wait := self._wait(max((state.pause for state in states), default=0.0)):
            parts.append((wait, "unconfirmed"))
        if not parts:
            return []
        shown = [span for part in parts for span in ((", ", "dim"), part)][1:]
        joined = "".join(part for part, _ in shown)
        if width is not None and len(joined) > width:
            return text.prose(joined, width, "dim")
        return [tuple(shown)]

    def _wait(self, pause: float) -> str:
        if self.waits_until is not None:
            left = text.format_clock(max(0.0, self.waits_until - time.monotonic()))
            return f"looking for up to {left}"
        if any(gate.state.circuit != "closed" for gate in self.gates):
            return "the platform fails; waiting until it answers"
        return f"the platform asks for a pause of {text.format_clock(pause)}" if pause > 1 else ""


def _done_text(counts: Progress) -> str:
    share = counts.finished / counts.total if counts.total else 1.0
    return f"{counts.finished:,}/{counts.total:,} ({share:.0%})"


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    # Without colour there is no bold type either; rich would leave that.
    system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, color_system=system)


def log_width() -> int | None:
    """Return the columns of the terminal that standard error is; `None` if it is none."""
    return get_terminal_size().columns if sys.stderr.isatty() else None


def _styled(shown: text.Line) -> Text:
    from rich.text import Text

    styled = Text.assemble(*((span, text.STYLES.get(word, "")) for span, word in shown))
    styled.rstrip()  # blanks at the end would go on in the next line of the terminal
    return styled

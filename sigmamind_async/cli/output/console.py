"""Where events go: results to standard output; progress and remarks to standard error.

Standard output may take no more. A reader that went away, as in ``| head``, is no error; any other
failure, such as a full disk, is one. Neither tears a job off: what would follow is dropped,
`Output.closed` tells the job to start no more rows, and `check_stdout` raises the error at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

import attrs

from sigmamind_async.cli.errors import CommandError, sanitize
from sigmamind_async.cli.output import (
    events,
    journal_status,  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers its texts
    text,
)

if TYPE_CHECKING:  # rich is a tenth of what `status` costs in a pipe: only a terminal loads it
    from rich.console import Console
    from rich.text import Text

    from sigmamind_async.bulk import Progress
    from sigmamind_async.events import Event as ClientEvent

MOST_NEW: Final = 20
"""Rows done that a terminal shows one by one; `sigmamind status` shows the others."""

_failures: list[OSError] = []
"""Why standard output could not be written, unless its reader went away."""


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
    is_terminal: bool = False
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
    _waiting: tuple[int, float] | None = None
    """Unconfirmed rows that alone are left, and until when they are looked for."""
    _has_status: bool = False
    """True once the status of a journal is shown: a blank line goes before the next one."""
    _new: int = 0
    """Rows that this run did."""

    @classmethod
    def for_process(
        cls, *, json: bool = False, quiet: bool = False, verbose: bool = False
    ) -> Output:
        """Return the output of this process."""
        is_terminal = sys.stdout.isatty() and not json
        return cls(json=json, is_terminal=is_terminal, quiet=quiet, verbose=verbose)

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
            _give_up_stdout(error)

    def log(self, message: str = "") -> None:
        """Write a line for a person to standard error; programs that read JSON get none."""
        if self.json:
            return
        with suppress(OSError):
            if self._bar is not None:
                self._bar.print(_styled(text.line(sanitize(message, None))), soft_wrap=True)
            else:
                print(sanitize(message, None), file=sys.stderr)

    @contextmanager
    def progress(self, progress: Progress, traffic: Traffic | None = None) -> Generator[None]:
        """Show a progress bar while a job runs, if there is a terminal to show it on."""
        if self.json or self.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.live import Live
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        def bar() -> Table:
            total = max(progress.total or 0, 1)
            grid = Table.grid(padding=(0, 1))
            grid.add_row(
                ProgressBar(total, progress.finished, width=20),
                _styled(progress_line(progress, traffic, self._waiting)),
            )
            return grid

        live = Live(
            get_renderable=bar,
            console=_console(stderr=True),
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start(refresh=True)
        self._bar = live.console
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal may be gone
                live.stop()
            self._bar = self._waiting = None

    def wait_for_unconfirmed(self, count: int, seconds: float) -> None:
        """Say that a job waits for unconfirmed rows alone; on a terminal, with a countdown."""
        if self._bar is not None:
            self._waiting = count, time.monotonic() + seconds
        else:
            rows = text.count_of(count, "unconfirmed row")
            self.log(f"checking {rows} for up to {seconds:.0f} s; Ctrl-C leaves them unconfirmed")

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


def progress_line(
    counts: Progress, traffic: Traffic | None, waiting: tuple[int, float] | None = None
) -> text.Line:
    """Return what is beside the bar of a job."""
    cells: list[str | text.Span] = [f"{counts.finished:,}/{counts.total or 0:,}"]
    if counts.failed:
        cells.append((f" {counts.failed:,} failed", "failed"))
    if waiting is not None:
        rows, until = waiting
        left = text.format_clock(max(0.0, until - time.monotonic()))
        return text.line(
            *cells, f" checking {text.count_of(rows, 'unconfirmed row')}, up to {left}"
        )
    if counts.unconfirmed:
        cells.append((f" {counts.unconfirmed:,} unconfirmed", "unconfirmed"))
    cells.append(f" {counts.rate:,.0f}/s")
    if counts.eta is not None:
        cells.append((f" {text.format_clock(counts.eta)}", "heading"))
    if traffic is not None and traffic.rate_limited:
        cells.append((f" {traffic.rate_limited:,} rate-limited", "dim"))
    return text.line(*cells)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    # Without colour there is no bold type either; rich would leave that.
    system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, color_system=system)


def _styled(shown: text.Line) -> Text:
    from rich.text import Text

    styled = Text.assemble(*((span, text.STYLES.get(word, "")) for span, word in shown))
    styled.rstrip()  # blanks at the end would go on in the next line of the terminal
    return styled


def check_stdout() -> None:
    """Raise `CommandError` if standard output could not be written."""
    write_stdout(b"")
    if _failures:
        failure = _failures[0]
        _failures.clear()
        raise CommandError(f"cannot write the output: {failure.strerror or type(failure).__name__}")


def write_stdout(content: bytes) -> None:
    """Write bytes to standard output; `check_stdout` raises what goes wrong."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        _give_up_stdout(error)


def _give_up_stdout(error: OSError) -> None:
    if not isinstance(error, BrokenPipeError):
        _failures.append(error)
    # What it still holds goes nowhere, so that Python does not complain as it exits.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

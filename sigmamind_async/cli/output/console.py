"""Where events go: results to standard output; progress and remarks to standard error.

Standard output may take no more. A reader that went away, as in ``| head``, is no error; any other
failure, such as a full disk, is one. Neither tears a job off: what would follow is dropped,
`Output.closed` tells the job to start no more rows, and `check_stdout` raises the error at the end.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import attrs

from sigmamind_async.cli.errors import CommandError, sanitize
from sigmamind_async.cli.output.events import (
    Event,
    JournalRow,
    JournalRows,
    JournalStatus,
    PlanView,
    ProblemList,
    RowResult,
    StateChanged,
    Summary,
    View,
    events_in,
)
from sigmamind_async.cli.output.json_lines import json_line
from sigmamind_async.cli.output.text import (
    STYLES,
    Line,
    Widths,
    count_of,
    line,
    plain,
    render,
    row_lines,
)

if TYPE_CHECKING:  # rich's progress bar is loaded only where a job is run on a terminal
    from rich.console import Console
    from rich.text import Text

    from sigmamind_async.bulk import Progress
    from sigmamind_async.cli.output.progress import JobBar, Traffic


MOST_NEW: Final = 20
"""Rows done that a terminal shows one by one; `sigmamind status` shows the others."""


class OutputError(CommandError):
    """Standard output could not be written."""


_failures: list[OSError] = []
"""Why standard output could not be written, unless its reader went away."""


@attrs.define(kw_only=True)
class Output:
    """Shows events to a person, or writes them for a program."""

    json: bool = False
    is_terminal: bool = False
    quiet: bool = False
    """Show only what went wrong of a job's rows."""
    verbose: bool = False
    """Show all rows of a job."""
    widths: Widths = attrs.field(factory=Widths)
    closed: bool = False
    """True once standard output takes no more."""
    _bar: JobBar | None = None
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

    def show(self, shown: Event | View) -> None:
        """Write one event to standard output; what cannot be written is dropped."""
        if self.closed or self._is_hidden(shown):
            return
        try:
            if self.json:
                for event in events_in(shown):
                    print(json_line(event))
            else:
                self._print(self._lines(shown))
            sys.stdout.flush()
        except OSError as error:
            self.closed = True
            _give_up_stdout(error)

    def log(self, text: str = "") -> None:
        """Write a line for a person to standard error; programs that read JSON get none."""
        if self.json:
            return
        with suppress(OSError):
            if self._bar is not None:
                self._bar.console.print(_styled(line(sanitize(text, None))), soft_wrap=True)
            else:
                print(sanitize(text, None), file=sys.stderr)

    @contextmanager
    def progress(self, progress: Progress, traffic: Traffic | None = None) -> Generator[None]:
        """Show a progress bar while a job runs, if there is a terminal to show it on."""
        if self.json or self.quiet or not sys.stderr.isatty():
            yield
            return
        from sigmamind_async.cli.output.progress import JobBar

        with JobBar(progress, traffic) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def wait_for_unconfirmed(self, count: int, seconds: float) -> None:
        """Say that a job waits for unconfirmed rows alone; on a terminal, with a countdown."""
        if self._bar is not None:
            self._bar.waiting = count, time.monotonic() + seconds
        else:
            rows = f"{count:,} unconfirmed {'row' if count == 1 else 'rows'}"
            self.log(f"checking {rows} for up to {seconds:.0f} s; Ctrl-C leaves them unconfirmed")

    def _is_hidden(self, shown: Event | View) -> bool:
        if self.json or self.verbose or not isinstance(shown, RowResult):
            return False
        if shown.status not in {"done", "skipped"}:
            return False
        is_new = shown.status == "done" and not shown.already_done
        self._new += is_new
        return self.quiet or (self.is_terminal and not (is_new and self._new <= MOST_NEW))

    def _lines(self, shown: Event | View) -> Iterable[Line]:
        width = _console().width if self.is_terminal else None
        match shown:
            case RowResult():
                return row_lines(shown, width, self.widths)
            case Summary() if self._new > MOST_NEW and self.is_terminal:
                hidden = count_of(self._new - MOST_NEW, "more row", "more rows")
                more = line((f"and {hidden} done; --verbose shows all", "dim"))
                return [more, *render(shown, width)]
            case JournalStatus() if self._has_status:
                return [line(), *render(shown, width)]
            case JournalStatus() | JournalRow() | JournalRows() | StateChanged():
                importlib.import_module("sigmamind_async.cli.output.journal_status")
                self._has_status |= isinstance(shown, JournalStatus)
            case PlanView() | ProblemList():
                importlib.import_module("sigmamind_async.cli.output.plan_text")
            case _:
                pass
        return render(shown, width)

    def _print(self, lines: Iterable[Line]) -> None:
        if not self.is_terminal:
            print("\n".join(map(plain, lines)))
            return
        # With a bar on the screen, only its own console can write above it.
        console = _console() if self._bar is None else self._bar.console
        for shown in lines:
            console.print(_styled(shown), soft_wrap=True)


# rich is a tenth of what `status` costs in a pipe, so it is imported for a terminal alone.


def _console() -> Console:
    from rich.console import Console

    return Console()


def _styled(shown: Line) -> Text:
    from rich.text import Text

    styled = Text.assemble(*((text, STYLES.get(word, "")) for text, word in shown))
    styled.rstrip()  # blanks at the end would go on in the next line of the terminal
    return styled


def check_stdout() -> None:
    """Raise `OutputError` if standard output could not be written; a missing reader is no error."""
    write_stdout(b"")
    if _failures:
        failure = _failures[0]
        _failures.clear()
        raise OutputError(f"cannot write the output: {failure.strerror or type(failure).__name__}")


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

"""Where records go: results to stdout, remarks and the progress bar to stderr.

One of three renderers is chosen once. A stdout that takes no more (``| head``, a full disk) must
not tear a job off: what would follow is dropped, and `Output.closed` tells whoever can stop early.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

import attrs
from rich.console import Console, RenderableType

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.output.events import Problems, Record, RowChange, RowResult, Standing
from sigmamind_async.cli.output.json_lines import json_lines
from sigmamind_async.cli.output.progress import Bar, Traffic
from sigmamind_async.cli.output.terminal import row_text, screen
from sigmamind_async.cli.output.text import Widths, clean, plain, row_line

_UNFOLDED = (RowChange, Problems, RowResult, Standing)
"""Records whose lines stay in one piece, however long they are."""


class Form(enum.Enum):
    """How records look on stdout."""

    PLAIN = "plain"
    SCREEN = "screen"
    JSON = "json"


def chosen_form(*, json: bool, terminal: bool) -> Form:
    """Return the form for a command line with or without ``--json``."""
    if json:
        return Form.JSON
    return Form.SCREEN if terminal else Form.PLAIN


@attrs.define(kw_only=True)
class Output:
    """Shows records in one form."""

    form: Form
    quiet: bool = False
    """Leave out the rows that went well, and those that were not taken up."""
    widths: Widths = attrs.field(factory=Widths)
    closed: bool = False
    """Whether stdout takes no more."""
    _bar: Bar | None = None

    @classmethod
    def of_process(cls, *, json: bool = False, verbose: bool = False) -> Output:
        """Return the output of this process; on a terminal it is quiet unless *verbose*."""
        form = chosen_form(json=json, terminal=sys.stdout.isatty())
        return cls(form=form, quiet=form is Form.SCREEN and not verbose)

    def show(self, record: Record) -> None:
        """Write one record to stdout."""
        if self.closed or self._is_routine(record):
            return
        try:
            self._write(record)
            sys.stdout.flush()
        except OSError:
            self._close()

    def remark(self, text: str = "") -> None:
        """Write a line for a person to stderr; programs that read JSON get none."""
        if self.form is Form.JSON:
            return
        with suppress(OSError):
            if self._bar is not None:
                self._bar.console.print(clean(text), markup=False, highlight=False)
            else:
                print(clean(text), file=sys.stderr)

    @contextmanager
    def following(self, progress: Progress, traffic: Traffic | None = None) -> Generator[None]:
        """Show a progress bar while a job runs, if there is a terminal to show it on."""
        if self.form is Form.JSON or not sys.stderr.isatty():
            yield
            return
        with Bar(progress, traffic) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def _is_routine(self, record: Record) -> bool:
        well = isinstance(record, RowResult) and record.status in {"done", "skipped"}
        return self.quiet and well

    def _write(self, record: Record) -> None:
        if self.form is Form.SCREEN:
            # With a bar on the screen, only its own console can write above it.
            console = Console() if self._bar is None else self._bar.console
            console.print(self._on_screen(record), soft_wrap=isinstance(record, _UNFOLDED))
        elif self.form is Form.JSON:
            print(json_lines(record))
        elif isinstance(record, RowResult):
            print(row_line(record, self.widths))
        else:
            print(plain(record))

    def _on_screen(self, record: Record) -> RenderableType:
        return row_text(record, self.widths) if isinstance(record, RowResult) else screen(record)

    def _close(self) -> None:
        self.closed = True
        silence_stdout()


def silence_stdout() -> None:
    """Send what stdout still holds nowhere, so that Python does not complain as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

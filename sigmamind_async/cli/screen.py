"""Records as coloured text and tables: for a terminal. Pure; the console is the caller's.

Texts from elsewhere are put into `Text`, never into markup, so that a label cannot style itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sigmamind_async.cli.plain import (
    Widths,
    number_columns,
    number_fields,
    plain,
    row_columns,
    summary_cells,
    verdict_cells,
)
from sigmamind_async.cli.records import (
    Change,
    NumberList,
    NumberRecord,
    Record,
    RowResult,
    Standing,
    Summary,
    Verdict,
)
from sigmamind_async.cli.report import change_line, standing_lines

STYLES = {
    "done": "green",
    "failed": "red",
    "unknown": "yellow",
    "skipped": "dim",
    "being sent": "yellow",
    "in doubt": "yellow",
    "needs a decision": "bold red",
    "one too many": "bold red",
    "given up": "dim",
    "to be sent": "cyan",
    "command": "bold",
    "dim": "dim",
    "holds": "bold green",
    "BROKEN": "bold white on red",
}
"""How a word looks wherever it stands."""


@functools.singledispatch
def screen(record: Record) -> RenderableType:
    """Return *record* as something rich can show; plain text where nothing is gained."""
    return Text(plain(record))


def row_text(result: RowResult, widths: Widths) -> Text:
    """Return one row's result as a line under those of other rows."""
    place, status, *cells, explanation = row_columns(result, widths)
    text = Text.assemble((place, "dim"), "  ", (status, STYLES[result.status]))
    text.append("  " + "  ".join([*cells, explanation]).rstrip())
    return text


@screen.register
def _(record: RowResult) -> RenderableType:
    return row_text(record, Widths())


@screen.register
def _(record: Summary) -> RenderableType:
    return _wide_table(summary_cells(record))


@screen.register
def _(record: Verdict) -> RenderableType:
    return _wide_table(verdict_cells(record), title="the platform's own ledger")


@screen.register
def _(record: Standing) -> RenderableType:
    lines = ((text, STYLES.get(word, "")) for text, word in standing_lines(record))
    return Text("\n").join(Text(text, style=style) for text, style in lines)


@screen.register
def _(record: Change) -> RenderableType:
    return Text(change_line(record), style=STYLES[record.after])


@screen.register
def _(record: NumberList) -> RenderableType:
    table = Table(box=ROUNDED, border_style="dim", header_style="bold")
    columns = number_columns(record.numbers)
    for column in columns:
        table.add_column(column.heading, overflow="fold", no_wrap=column.is_name)
    for number in record.numbers:
        table.add_row(*(Text(column.cell(number)) for column in columns))
    return table


@screen.register
def _(record: NumberRecord) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in number_fields(record):
        table.add_row(Text(name, style="dim"), Text(text))
    return table


def _wide_table(cells: Iterable[tuple[str, str]], title: str | None = None) -> Table:
    """Return a table of one row; a count that is not zero has the colour of its heading."""
    table = Table(box=ROUNDED, border_style="dim", header_style="bold", title=title)
    contents: list[Text] = []
    for heading, text in cells:
        table.add_column(heading, justify="right")
        style = STYLES.get(text) or (STYLES.get(heading, "") if text != "0" else "dim")
        contents.append(Text(text, style=style))
    table.add_row(*contents)
    return table

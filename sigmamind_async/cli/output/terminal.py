"""Records as coloured text and tables: for a terminal. Pure; the console is the caller's.

Texts from elsewhere are put into `Text`, never into markup, so that a label cannot style itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sigmamind_async.cli.output.events import (
    NumberList,
    NumberRecord,
    PlanShown,
    Problems,
    Record,
    RowChange,
    RowResult,
    Standing,
    Summary,
    Verdict,
    Verifications,
    VerificationSummary,
)
from sigmamind_async.cli.output.plan_text import (
    MOST_STEPS,
    Line,
    change_texts,
    lines_after,
    lines_before,
    number_cell,
    problem_lines,
    remarks,
    shown_steps,
    style_of,
)
from sigmamind_async.cli.output.status_text import change_line, standing_lines
from sigmamind_async.cli.output.text import (
    Widths,
    clean,
    number_columns,
    number_fields,
    plain,
    row_columns,
    summary_cells,
    verdict_cells,
    verification_cells,
    verification_summary_cells,
)
from sigmamind_async.fleet.step import Step

STYLES = {
    "done": "green",
    "passed": "green",
    "failed": "red",
    "unconfirmed": "yellow",
    "skipped": "dim",
    "sending": "yellow",
    "needs_decision": "bold red",
    "duplicate": "bold red",
    "abandoned": "dim",
    "planned": "cyan",
    "purchase": "bold yellow",
    "move": "bold red",
    "release": "bold red",
    "import": "cyan",
    "adopt": "cyan",
    "update": "cyan",
    "drifted": "yellow",
    "unchanged": "dim",
    "withheld": "yellow",
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
    columns = row_columns(result, widths)
    place = f"{columns.pop(0)}  " if widths.line else ""
    status, *rest = columns
    text = Text.assemble((place, "dim"), (status, STYLES[result.status]))
    text.append("  " + "  ".join(rest).rstrip())
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
    return _lines(standing_lines(record))


def _lines(lines: Iterable[Line]) -> Text:
    return Text("\n").join(Text(text, style=STYLES.get(word, "")) for text, word in lines)


@screen.register
def _(record: RowChange) -> RenderableType:
    return Text(change_line(record), style=STYLES[record.after.value])


@screen.register
def _(record: Problems) -> RenderableType:
    return _folded(problem_lines(record.problems))


@screen.register
def _(record: PlanShown) -> RenderableType:
    steps = shown_steps(record.plan)
    parts: list[RenderableType] = [_folded(lines_before(record))]
    if steps:
        parts += ["", _step_table(steps[:MOST_STEPS])]
    if len(steps) > MOST_STEPS:
        parts.append(Text(f"and {len(steps) - MOST_STEPS:,} more; --json shows all", style="dim"))
    return Group(*parts, _folded(lines_after(record)))


def _folded(lines: Iterable[Line]) -> RenderableType:
    """Return lines of which long ones go on under their own beginning."""
    return Group(*(_indented(text, STYLES.get(word, "")) for text, word in lines))


def _indented(text: str, style: str) -> RenderableType:
    shown = text.lstrip()
    if not shown:
        return Text()
    return Padding(Text(shown, style=style), (0, 0, 0, len(text) - len(shown)), expand=False)


def _step_table(steps: Iterable[Step]) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        header_style="bold",
        border_style="dim",
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    table.add_column("row", overflow="fold", max_width=32)
    for heading in ("platform", "action", "number"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what changes", overflow="fold")
    for step in steps:
        style = STYLES[style_of(step)]
        changes = ", ".join(change_texts(step))
        said = [*([Text(changes)] if changes else ())]
        said += [Text(each, style="yellow") for each in remarks(step)]
        table.add_row(
            Text(clean(step.id)),
            Text(step.platform),
            Text(step.action.value, style=style),
            Text(number_cell(step)),
            Text("\n").join(said),
        )
    return table


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


@screen.register
def _(record: Verifications) -> RenderableType:
    table = Table(box=ROUNDED, border_style="dim", header_style="bold")
    for heading in ("phone number", "result", "rings"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    for result in record.results:
        number, status, destination, text = verification_cells(result)
        styled = Text(status, style=STYLES[status])
        table.add_row(Text(number), styled, Text(destination), Text(text))
    return table


@screen.register
def _(record: VerificationSummary) -> RenderableType:
    return _wide_table(verification_summary_cells(record))


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

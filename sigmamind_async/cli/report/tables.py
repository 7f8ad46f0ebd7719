"""Rows on the page: groups by cause, and tables of rows that say how many they leave out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from sigmamind_async.cli.report.formatting import count, lasting, rows
from sigmamind_async.cli.report.markup import Markup, element, joined
from sigmamind_async.cli.report.model import Group, Groups, ReportRow

MOST_GROUPS: Final = 20
"""Causes that are shown one by one."""
MOST_OPEN: Final = 10
"""Rows that are shown without being asked for."""

_NO_ID: Final = "(no id)"
_UNFIT: Final = (
    "sigmamind status names it: the command is too long, or not plain enough, to be shown here"
)


def groups(found: Groups) -> Markup:
    """Return the groups, the one with the most rows first."""
    shown, rest = found.largest(MOST_GROUPS)
    parts = [_group(each) for each in shown]
    if rest is not None:
        parts.append(_group(rest))
    return joined(parts)


def _group(group: Group) -> Markup:
    doubt = " unconfirmed" if group.status == "unconfirmed" else ""
    counted = element("span", rows(group.count), doubt, class_=f"count {group.status}")
    parts = [element("h3", counted, " \N{EN DASH} ", group.title)]
    if group.varies:
        parts.append(element("p", "For example: ", group.example, class_="quiet"))
    if group.advice:
        parts.append(element("p", f"What to do: {group.advice}"))
    parts += commands(group.commands)
    parts.append(folded(group))
    return element("div", *parts, class_="group")


def commands(given: tuple[str, ...]) -> list[Markup]:
    """Return commands to be copied."""
    return [
        element("code", each, class_="command") if each else element("p", _UNFIT, class_="quiet")
        for each in given
    ]


def folded(group: Group) -> Markup:
    """Return the rows of a group, behind a line to be opened where they are many."""
    own = any(set(line.commands) - set(group.commands) for line in group.lines)
    shown = _with_commands(group) if own else table(group.lines, f"Rows: {group.title}")
    summary = element("summary", f"Show {rows(len(group.lines))}")
    is_open = {"open": ""} if len(group.lines) <= MOST_OPEN else {}
    return element("details", summary, shown, *more(group), **is_open)


def _with_commands(group: Group) -> Markup:
    items = [
        element(
            "li",
            element("span", line.id or _NO_ID, class_="name"),
            *(f" \N{MIDDLE DOT} {fact}" for fact in _facts(line)),
            *commands(tuple(each for each in line.commands if each not in group.commands)),
        )
        for line in group.lines
    ]
    return element("ul", *items, class_="rows")


def _facts(line: ReportRow) -> Iterator[str]:
    yield from filter(None, (line.platform, line.action, line.phone_number))
    yield count(line.attempts, "attempt", "attempts")
    yield lasting(line.elapsed)


def more(group: Group) -> list[Markup]:
    """Return how many rows a group leaves out, if it does."""
    hidden = group.count - len(group.lines)
    return [element("p", f"and {hidden:,} more", class_="more")] if hidden else []


@attrs.frozen
class Column:
    """One column of a table of rows."""

    heading: str
    read: Callable[[ReportRow], str]
    look: str = "text"

    def cell(self, line: ReportRow) -> Markup:
        """Return what stands in the column for *line*."""
        return element("td", self.read(line), class_=self.look)


_COLUMNS: Final = (
    Column("Platform", lambda line: line.platform),
    Column("Action", lambda line: line.action),
    Column("Phone number", lambda line: line.phone_number, "whole"),
    Column("Attempts", lambda line: f"{line.attempts:,}", "number"),
    Column("Took", lambda line: lasting(line.elapsed), "number"),
)


def table(lines: list[ReportRow], label: str) -> Markup:
    """Return a table of rows, without columns in which nothing would stand.

    *label* tells it from others to who cannot see it.
    """
    columns = [each for each in _COLUMNS if any(map(each.read, lines))]
    headings = [element("th", each.heading, scope="col", class_=each.look) for each in columns]
    head = element("tr", element("th", "Row", scope="col"), *headings)
    rows = [_row(line, columns) for line in lines]
    return scrolling(element("thead", head), element("tbody", *rows), label=label)


def _row(line: ReportRow, columns: list[Column]) -> Markup:
    name = element("th", line.id or _NO_ID, scope="row")
    return element("tr", name, *(each.cell(line) for each in columns))


def scrolling(*parts: Markup, label: str) -> Markup:
    """Return a table in a frame that a narrow screen moves sideways, by keyboard too."""
    content = element("table", *parts, aria_label=label)
    return element("div", content, class_="scroll", role="group", aria_label=label, tabindex=0)

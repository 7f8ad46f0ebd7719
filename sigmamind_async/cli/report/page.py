"""``--report``: the page about a job, its sentences, and where the parts of its drawings go.

Widths in drawings are percentages of whatever width there is, and heights are pixels, so that their
words are as large on a telephone as on a desk.
"""

from __future__ import annotations

import base64
import hashlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import IO, Final, cast

import attrs
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sigmamind_async.bulk import Status
from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.fleet_input import new_file
from sigmamind_async.cli.output.events import RowResult
from sigmamind_async.cli.output.text import (
    STOP_TEXTS,
    action_word,
    count_of,
    format_clock,
    format_duration,
)
from sigmamind_async.cli.report.model import Group, Header, Point, ReportRow, Tally, Timeline

STATUSES: Final[tuple[Status, ...]] = ("done", "failed", "unconfirmed", "skipped")
NARROWEST: Final = 0.8
"""Percent that a part has at least, so that one row in 100,000 can be seen."""
HEIGHT: Final = 150
"""Pixels from the base line to the highest line of the rate chart."""
LOWEST: Final = 3.0
"""Pixels that a bar has at least, so that a single 429 can be seen."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between two marks of time."""


@attrs.define(kw_only=True)
class PageFile:
    """The page of one job, collected while that runs."""

    stream: IO[bytes]
    """Where it goes."""
    timeline: Timeline = attrs.field(factory=Timeline)
    """The requests, as an observer of clients."""
    tally: Tally = attrs.field(factory=Tally)
    started: float = attrs.field(factory=time.time)
    """Seconds since the epoch."""

    def write(self, header: Header) -> None:
        """Write the page of a job that has ended."""
        self.stream.write(page(header, self.tally, self.timeline).encode())


@contextmanager
def page_file(path: Path) -> Generator[PageFile]:
    """Open the page at *path*, which is there once the block has ended.

    Raises `CommandError`, at once, if it cannot be written.
    """
    with new_file(path) as stream:
        yield PageFile(stream=stream)


def page(header: Header, tally: Tally, timeline: Timeline) -> str:
    """Return the whole document, to be written as UTF-8."""
    files = resources.files("sigmamind_async.cli.report")
    css = files.joinpath("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    template = environment().from_string(files.joinpath("report.html.j2").read_text("utf-8"))
    text = template.render(
        header=header,
        tally=tally,
        headline=headline(header, tally),
        stopped=STOP_TEXTS.get(header.summary.stopped or "", ""),
        statuses=[status for status in STATUSES if tally.counts[status]],
        proportions=proportions(tally.counts),
        chart=rate_chart(timeline.points()),
        css=Markup(css),  # noqa: S704 - ours
        css_hash=f"sha256-{digest}",
        version=version("sigmamind-async"),
    )
    return f"{text.strip()}\n"


def environment() -> Environment:
    """Return what renders the template: text is escaped, and a name that is missing an error."""
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, object]", made.filters)
    functions = (action_word, count_of, format_clock, format_duration, moment, number, table)
    filters |= {each.__name__: each for each in functions}
    return made


def _printable(value: object) -> object:
    """Return what is printed for *value*: text has no control or direction characters."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return sanitize(value, None)


def headline(header: Header, tally: Tally) -> tuple[Status, str]:
    """Return the worst that happened, and the status whose colour it has."""
    waiting = sum(group.count for group in tally.groups("attention"))
    undecided = header.summary.needs_decision
    cases: tuple[tuple[int, Status, str, str], ...] = (
        (undecided, "unconfirmed", "needs a decision", "need a decision"),
        (tally.counts["unconfirmed"], "unconfirmed", "is unconfirmed", "are unconfirmed"),
        (waiting, "unconfirmed", "needs a decision", "need a decision"),
        (tally.counts["failed"], "failed", "failed", "failed"),
        (tally.counts["skipped"], "skipped", "was skipped", "were skipped"),
    )
    for number, status, one, many in cases:
        if number and not (header.summary.stopped and status == "skipped"):
            return status, f"{count_of(number, 'row')} {one if number == 1 else many}"
    if header.summary.stopped:
        return "failed", "The job stopped early"
    return "done", "Everything is done" if tally.counts else "There were no rows"


def moment(at: float, zone: tzinfo | None = None) -> str:
    """Return a time with its distance from UTC; local unless *zone* is given."""
    text = datetime.fromtimestamp(at, zone).astimezone(zone).isoformat(" ", "seconds")
    return f"{text[:19]} (UTC{text[19:]})"


def number(value: float) -> str:
    """Return a number with commas."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def table(group: Group) -> tuple[list[tuple[str, str]], list[tuple[ReportRow, list[str]]]]:
    """Return heading and look of each column that is not empty, and the texts of each row."""
    columns: list[tuple[str, str, Callable[[RowResult], str]]] = [
        ("Label", "text", lambda row: row.label),
        ("Platform", "text", lambda row: row.platform or ""),
        ("Action", "text", lambda row: action_word(row.action)),
        ("Phone number", "whole", lambda row: row.phone_number or row.record_id or ""),
        ("Attempts", "number", lambda row: number(row.attempts) if row.attempts else ""),
        (
            "Took",
            "number",
            lambda row: format_duration(row.elapsed_ms / 1000) if row.attempts else "",
        ),
    ]
    filled = [each for each in columns if any(each[2](row.result) for row in group.rows)]
    lines = [(row, [read(row.result) for _, _, read in filled]) for row in group.rows]
    return [(heading, look) for heading, look, _ in filled], lines


# ---------------------------------------------------------------- drawings


@attrs.frozen
class Bar:
    """A rectangle: place and width in percent, height in pixels."""

    look: str
    x: float
    width: float
    height: float = 16


def proportions(counts: Mapping[Status, int]) -> list[Bar]:
    """Return one bar for each status that rows have; together they are 100 percent wide."""
    total, x, bars = sum(counts.values()), 0.0, list[Bar]()
    widths = {each: max(n / total * 100, NARROWEST) for each, n in counts.items() if n}
    for status in filter(widths.get, STATUSES):
        bars.append(Bar(status, x, widths[status] / sum(widths.values()) * 100))
        x += bars[-1].width
    return bars


def ceiling(value: float) -> float:
    """Return the least round number that is not below *value*."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20)
    return next(step * power for step in steps if step * power >= value)


@attrs.frozen
class RateChart:
    """Requests per second over time, with the rate-limited ones in front."""

    points: Sequence[Point]
    seconds: float
    highest: float
    """The most requests per second."""
    top: float
    """Where the scale ends."""
    bars: list[Bar]
    marks: list[float]
    """Seconds to be written under the base line."""


def rate_chart(points: Sequence[Point]) -> RateChart | None:
    """Return the chart of *points*; `None` if nothing was sent."""
    if not points:
        return None
    seconds = points[-1].start + points[-1].seconds
    highest = max(point.requests / point.seconds for point in points)
    percent, scale = 100 / seconds, HEIGHT / ceiling(highest)
    counts = [("requests", point, point.requests) for point in points]
    counts += [("throttled", point, point.throttled) for point in points]
    bars = [
        Bar(look, at.start * percent, at.seconds * percent, max(LOWEST, n / at.seconds * scale))
        for look, at, n in counts
        if n
    ]
    step = next((each for each in _STEPS if seconds / each <= 6), seconds / 6)
    marks = [step * index for index in range(int(seconds / step) + 1)]
    return RateChart(points, seconds, highest, ceiling(highest), bars, marks)

"""Two drawings in SVG: how the rows ended, and how fast requests went. Pure.

Widths are percentages of whatever width there is, and heights are pixels, so that words in a
drawing are as large on a telephone as on a desk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from sigmamind_async.bulk import Status
from sigmamind_async.cli.output.text import format_clock
from sigmamind_async.cli.report.formatting import STATUSES, count, lasting, present
from sigmamind_async.cli.report.markup import Markup, element, joined
from sigmamind_async.cli.report.timeline import Point

NARROWEST: Final = 0.8
"""Percent that a part has at least, so that one row in 100,000 can be seen."""
BAR_HEIGHT: Final = 16
TOP: Final = 24
"""Pixels above the highest line, for its label."""
HEIGHT: Final = 150
"""Pixels from the lowest line to the highest."""
LOWEST: Final = 3.0
"""Pixels that a bar has at least, so that a single 429 can be seen."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between two marks of time."""
MOST_MARKS: Final = 6


def proportion_bar(counts: Mapping[Status, int]) -> Markup:
    """Return one bar with a part for each status that rows have."""
    shares = shown_shares(counts)
    starts = accumulate(shares.values(), initial=0.0)
    rects = [
        _rect(start, share, 0, BAR_HEIGHT, f"fill-{status}")
        for start, (status, share) in zip(starts, shares.items(), strict=False)
    ]
    said = ", ".join(f"{counts[status]:,} {STATUSES[status]}" for status in shares)
    return _drawing("ended", "How the rows ended", f"{said}.", BAR_HEIGHT, "bar", *rects)


def shown_shares(counts: Mapping[Status, int]) -> dict[Status, float]:
    """Return the percentages that are drawn: none is too narrow to be seen, and they fill 100."""
    total = sum(counts.values())
    widths: dict[Status, float] = {
        each: max(counts[each] / total * 100, NARROWEST) for each in present(counts)
    }
    scale = 100 / sum(widths.values())
    shares: dict[Status, float] = {each: width * scale for each, width in widths.items()}
    return shares


def key(entries: Sequence[tuple[str, str]]) -> Markup:
    """Return what the colours mean: pairs of a colour's name and its words."""
    items = [
        element("li", _swatch(f"fill-{colour}"), element("span", words))
        for colour, words in entries
    ]
    return element("ul", *items, class_="key")


def _swatch(fill: str) -> Markup:
    rect = element("rect", width=12, height=12, class_=fill)
    return element("svg", rect, width=12, height=12, aria_hidden="true")


def rate_chart(points: Sequence[Point]) -> Markup:
    """Return requests a second over time, the refused ones among them in front."""
    highest = ceiling(max(point.admitted / point.seconds for point in points))
    total = points[-1].start + points[-1].seconds
    return _drawing(
        "speed",
        "Requests a second over time, and 429s",
        rates_text(points),
        TOP + HEIGHT + 24,
        "chart",
        _bars(points, [point.admitted for point in points], highest, "fill-admitted"),
        _bars(points, [point.throttled for point in points], highest, "fill-throttled"),
        _grid(highest),
        _grid_line(TOP + HEIGHT),
        *_marks(total),
    )


def rates_text(points: Sequence[Point]) -> str:
    """Return in words what the chart shows."""
    total = points[-1].start + points[-1].seconds
    requests = sum(point.admitted for point in points)
    throttled = [point for point in points if point.throttled]
    most = max(point.admitted / point.seconds for point in points)
    sent = count(requests, "request", "requests")
    text = f"{sent} in {lasting(total)}, at most {most:,.1f} a second"
    if not throttled:
        return f"{text}; none rate-limited."
    refused = sum(point.throttled for point in throttled)
    first, last = throttled[0].start, throttled[-1].start + throttled[-1].seconds
    when = f"from {format_clock(first)} to {format_clock(last)}"
    return f"{text}; {refused:,} rate-limited (429), {when}."


def ceiling(value: float) -> float:
    """Return the least round number that is not below *value*."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20) if step * power >= value
    )


def _grid(highest: float) -> Markup:
    parts: list[Markup] = []
    for share in (1.0, 0.5):
        y = TOP + HEIGHT * (1 - share)
        unit = " requests a second" if share == 1.0 else ""
        label = f"{highest * share:,.6g}{unit}"
        parts += [_grid_line(y), element("text", label, x=0, y=y - 6)]
    return joined(parts)


def _bars(points: Sequence[Point], counts: Sequence[int], highest: float, fill: str) -> Markup:
    total = points[-1].start + points[-1].seconds
    rects: list[Markup] = []
    for point, number in zip(points, counts, strict=True):
        if number:
            tall = max(LOWEST, number / point.seconds / highest * HEIGHT)
            start, width = point.start / total * 100, point.seconds / total * 100
            rects.append(_rect(start, width, TOP + HEIGHT - tall, tall, fill))
    return joined(rects)


def _marks(total: float) -> list[Markup]:
    """Return times under the lowest line; the last stays clear of the edge."""
    step = next((each for each in _STEPS if total / each <= MOST_MARKS), total / MOST_MARKS)
    times = [step * index for index in range(int(total / step) + 1)]
    return [_mark(at, at / total * 100) for at in times]


def _mark(at: float, percent: float) -> Markup:
    anchor = "start" if percent < 4 else "end" if percent > 96 else "middle"
    return element(
        "text", format_clock(at), x=f"{percent:.4g}%", y=TOP + HEIGHT + 18, text_anchor=anchor
    )


def _grid_line(y: float) -> Markup:
    return element("line", x1="0", x2="100%", y1=y, y2=y)


def _rect(x: float, width: float, y: float, height: float, fill: str) -> Markup:
    return element("rect", x=f"{x:.5g}%", width=f"{width:.5g}%", y=y, height=height, class_=fill)


def _drawing(
    name: str, title: str, description: str, height: float, look: str, *parts: str
) -> Markup:
    """Return a drawing that says in words what it shows."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *parts,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_=look,
        height=height,
    )

"""Bar charts as SVG: plain shapes and text, readable in light and in dark.

Every axis begins at zero, every bar shows its quartiles, and the foot says on which machine and how
it was measured. A chart takes its colours from the reader's system, as a picture in a page can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import attrs

WIDTH = 800
LEFT = 230
"""Where the axis begins; the names stand before it."""
RIGHT = 116
"""Room for the values behind the longest bar."""
TOP = 84
ROW = 34
BAR = 20
FOOT = 18
LONGEST_LINE = 112
"""Characters of a line of the foot."""

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }
  .paper { fill: #ffffff } .value { stroke: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .title { font-size: 17px; font-weight: 600 }
  .value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke-width: 5 }
  .foot { font-size: 11.5px } .strong { font-weight: 600 }
  .other { fill: #afb8c1 } .ours { fill: #1a7f64 }
  .grid { stroke: #d9dee3 } .axis { stroke: #818b98 }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .value { stroke: #0d1117 } .ink { fill: #f0f6fc }
    .soft { fill: #9198a1 }
    .other { fill: #4d5661 } .ours { fill: #3fb68b }
    .grid { stroke: #262c36 } .axis { stroke: #656c76 } .spread { stroke: #f0f6fc }
  }
"""


@attrs.frozen(kw_only=True)
class Bar:
    """One case."""

    name: str
    value: float
    low: float
    """Lower quartile."""
    high: float
    """Upper quartile."""
    remark: str = ""
    """What stands behind the value, softly."""
    ours: bool = False


@attrs.frozen(kw_only=True)
class Chart:
    """Cases from top to bottom, on an axis from zero."""

    title: str
    subtitle: str
    bars: Sequence[Bar]
    foot: str


def svg(chart: Chart) -> str:
    """Return *chart* as an SVG document."""
    foot = lines_of(chart.foot)
    bottom = TOP + ROW * len(chart.bars)
    height = bottom + 46 + FOOT * len(foot)
    end, step = axis(max(bar.high for bar in chart.bars))
    scale = (WIDTH - LEFT - RIGHT) / end
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(chart.title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        text(24, 34, chart.title, "ink title"),
        text(24, 57, chart.subtitle, "soft"),
        *grid(end, step, scale, bottom),
        *(part for place, bar in enumerate(chart.bars) for part in row(place, bar, scale)),
        line(LEFT, TOP - 6, LEFT, bottom, "axis"),
        *(
            text(24, bottom + 46 + FOOT * place, words, "soft foot")
            for place, words in enumerate(foot)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def row(place: int, bar: Bar, scale: float) -> Iterator[str]:
    """Yield name, bar, quartiles and value of one case."""
    top = TOP + ROW * place
    middle = top + BAR / 2
    look = "ours" if bar.ours else "other"
    strong = " strong" if bar.ours else ""
    yield text(LEFT - 12, middle + 4.5, bar.name, f"ink{strong}", anchor="end")
    yield (
        f'<rect class="{look}" x="{LEFT}" y="{top}" width="{bar.value * scale:.1f}"'
        f' height="{BAR}" rx="2"/>'
    )
    low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
    yield line(low, middle, high, middle, "spread")
    yield line(low, middle - 4, low, middle + 4, "spread")
    yield line(high, middle - 4, high, middle + 4, "spread")
    after = max(high, LEFT + bar.value * scale) + 9
    remark = f' <tspan class="soft">{escape(bar.remark)}</tspan>' if bar.remark else ""
    yield (
        f'<text class="ink value{strong}" x="{after:.1f}" y="{middle + 4.5}">'
        f"{bar.value:,.0f}{remark}</text>"
    )


def grid(end: float, step: float, scale: float, bottom: float) -> Iterator[str]:
    """Yield the lines across the chart with their numbers below."""
    for number in range(round(end / step) + 1):
        at = LEFT + number * step * scale
        if number:
            yield line(at, TOP - 6, at, bottom, "grid")
        yield text(at, bottom + 17, f"{number * step:,.0f}", "soft foot", anchor="middle")


def axis(most: float) -> tuple[float, float]:
    """Return the end of an axis that holds *most*, and the step of its numbers."""
    rough = most / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return step * math.ceil(most / step), step


def lines_of(words: str) -> list[str]:
    """Break *words* into lines of the foot."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= LONGEST_LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, look: str, *, anchor: str = "start") -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{look}" {at}>{escape(words)}</text>'

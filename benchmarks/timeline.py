"""A run as a picture: what a server admitted and refused over time, as SVG."""

from __future__ import annotations

from collections import Counter
from html import escape

from benchmarks.chart import STYLE, axis, line, text
from tests.harness.simulator import Run

WIDTH, HEIGHT = 800, 360
LEFT, TOP, RIGHT, BOTTOM = 64, 76, 24, 44
BARS = 140
"""Stretches that the time is cut into."""


def timeline(name: str, ran: Run) -> str:
    """Return requests a second over time, refused ones on top of those that passed."""
    seconds = ran.seconds / BARS
    arrived, refused = _histogram(ran.arrivals, seconds), _histogram(ran.refusals, seconds)
    most, step = axis(max(arrived.values()) / seconds)
    width, height = (WIDTH - LEFT - RIGHT) / BARS, HEIGHT - TOP - BOTTOM
    scale, foot = height / most / seconds, HEIGHT - BOTTOM
    subtitle = f"{ran.sent:,} requests in {ran.seconds:,.1f} s, {ran.refused:,} refused"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(name)}">',
        f"<style>{STYLE}  .refused {{ fill: #cf222e }}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        text(24, 32, name, "ink title"),
        text(24, 55, f"{subtitle}; requests a second, refused ones in red", "soft"),
    ]
    for count in range(round(most / step) + 1):
        at = foot - count * step * height / most
        parts.append(line(LEFT, at, WIDTH - RIGHT, at, "grid" if count else "axis"))
        parts.append(text(LEFT - 8, at + 4, f"{count * step:,g}", "soft foot", anchor="end"))
    for index, number in arrived.items():
        x, top, red = LEFT + index * width, number * scale, refused[index] * scale
        parts.append(_bar(x, foot - top, width, red, "refused"))
        parts.append(_bar(x, foot - top + red, width, top - red, "ours"))
    end, step = axis(ran.seconds)
    for count in range(round(end / step) + 1):
        x = LEFT + count * step / seconds * width
        if x <= WIDTH - RIGHT:
            parts.append(text(x, foot + 18, f"{count * step:,g} s", "soft foot", anchor="middle"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _histogram(times: list[float], seconds: float) -> Counter[int]:
    return Counter(min(BARS - 1, int(at / seconds)) for at in times)


def _bar(x: float, y: float, width: float, height: float, look: str) -> str:
    size = f'width="{0.85 * width:.2f}" height="{height:.1f}"'
    return f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" {size}/>'

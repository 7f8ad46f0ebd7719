"""Measures everything, and writes it where the guide shows it.

``python -m benchmarks publish`` leaves in ``benchmarks/results`` the figures as JSON, the charts as
SVG and the baseline of ``regression``, and in the guide's page about performance the table between
its markers. It takes as long as a million updates do; ``--calls`` makes them fewer, and the page
then says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.chart import Bar, Chart, svg
from benchmarks.goals import GOALS, Figure
from benchmarks.measure import Quartiles
from benchmarks.report import Part
from benchmarks.tables import GOALS_HEAD, goal_rows, markdown

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "sigmamind_async/docs/explanation/performance.md"
ARRANGEMENT = (
    "One core for the client: 100 calls under way, a PATCH with six fields, a record of about ten"
    " back; plain HTTP on loopback, the server in a process of its own. Alternated blocks in one"
    " process; bars are medians, lines quartiles."
)


def write(part_list: Sequence[Part], machine: str) -> None:
    """Write the results of *part_list*: JSON, charts, and the guide's table."""
    RESULTS.mkdir(exist_ok=True)
    results = as_json(part_list, machine)
    (RESULTS / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    for name, chart in charts(results).items():
        (RESULTS / f"{name}.svg").write_text(svg(chart))
    PAGE.write_text(with_table(PAGE.read_text(), results))


def as_json(part_list: Sequence[Part], machine: str) -> dict[str, Any]:
    return {
        "machine": machine,
        "figures": [attrs.asdict(one) for part in part_list for one in part.figures],
        "parts": {part.name: part.raw for part in part_list if part.raw is not None},
    }


# --- the guide's table -----------------------------------------------------------------------


def with_table(page: str, results: Mapping[str, Any]) -> str:
    """Return *page* with the table of *results* between its markers."""
    table = "\n".join(table_lines(results))
    marked = re.compile("(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
    assert marked.search(page), "the page has no place for the figures"
    return marked.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the lines that the guide shows of *results*."""
    figures = sorted(
        (Figure(**one) for one in results["figures"]), key=lambda one: list(GOALS).index(one.goal)
    )
    return [
        *markdown(GOALS_HEAD, goal_rows(figures)),
        "",
        f"Measured on {results['machine']}; medians.",
    ]


# --- charts ----------------------------------------------------------------------------------

NAMES = {"plain": "plain aiohttp", "lean": "lean aiohttp", "ours": "sigmamind_async"}


def charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """Return the charts by the names of their files."""
    parts, foot = results["parts"], f"{results['machine']}. {ARRANGEMENT}"
    made: dict[str, Chart] = {}
    if "uvloop" in parts:
        made["update"] = Chart(
            title="One typed update, beside aiohttp alone",
            subtitle="Processor time for one call, in microseconds: less is better",
            bars=bars_of(parts["uvloop"]["cpu_us"]),
            foot=foot,
        )
    if "peers" in parts:
        made["peers"] = Chart(
            title="One update of a phone number, through each platform's own client",
            subtitle="Processor time for one call, in microseconds: less is better",
            bars=bars_of(parts["peers"]["cost"]["cpu_us"], parts["peers"]["ours"]),
            foot=f"{foot} Each client with its defaults and its own platform's record.",
        )
    return made


def bars_of(
    cpu_us: Mapping[str, Quartiles], multiples: Mapping[str, Quartiles] | None = None
) -> list[Bar]:
    """Return a bar for each case, the shortest first; *multiples* of ours stand behind them."""
    bars = [
        Bar(
            name=shown(case),
            value=middle,
            low=low,
            high=high,
            ours=case.startswith("ours"),
            remark=remark(case, multiples),
        )
        for case, (low, middle, high) in cpu_us.items()
    ]
    return sorted(bars, key=lambda bar: bar.value)


def shown(case: str) -> str:
    """Return the name of *case* in a chart: ``ours, uvloop`` is our client on that loop."""
    first, *rest = case.split(", ")
    return ", ".join([NAMES.get(first, first), *rest])


def remark(case: str, multiples: Mapping[str, Quartiles] | None) -> str:
    if multiples is None or case == "ours":
        return ""
    return f"{multiples[case][1]:.1f} x ours"

"""How the page looks: two palettes, and rules that know screens of any width, and paper. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIGHT: Final = {
    "paper": "#ffffff",
    "well": "#f5f6f8",
    "rule": "#dde0e6",
    "ink": "#1b1f27",
    "quiet": "#575e6b",
    "done": "#23704f",
    "failed": "#a8321f",
    "unconfirmed": "#8a5a00",
    "skipped": "#626977",
    "done-fill": "#4c9f7b",
    "failed-fill": "#cf5a44",
    "unconfirmed-fill": "#e0a83a",
    "skipped-fill": "#b9bec8",
    "admitted": "#a9c3e6",
    "throttled": "#c2472f",
}
DARK: Final = {
    "paper": "#15181d",
    "well": "#1e2229",
    "rule": "#333944",
    "ink": "#e7e9ee",
    "quiet": "#a3abb8",
    "done": "#74cba3",
    "failed": "#f2917e",
    "unconfirmed": "#ecbd63",
    "skipped": "#a3abb8",
    "done-fill": "#4f9f7d",
    "failed-fill": "#dd6d57",
    "unconfirmed-fill": "#dba545",
    "skipped-fill": "#596170",
    "admitted": "#48678f",
    "throttled": "#f0836c",
}

TEXTS: Final = ("ink", "quiet", "done", "failed", "unconfirmed", "skipped")
"""Colours that words have, on either ground."""
GROUNDS: Final = ("paper", "well")

_RULES: Final = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 54rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1, h2, h3, p, dl, ul, table, figure { margin: 0; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; font-weight: 650; }
h2 { font-size: 1.25rem; line-height: 1.3; letter-spacing: -0.005em; font-weight: 650;
  margin: 3.25rem 0 0.75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; font-weight: 600; }
h1, h3, p, tbody th, dd, code { overflow-wrap: anywhere; }
th, td, dd, code, .name { unicode-bidi: isolate; }
.over { color: var(--quiet); font-size: 0.875rem; margin-bottom: 0.4rem; }
.lead { font-size: 1.125rem; margin-top: 0.6rem; max-width: 44rem; }
.quiet, .more { color: var(--quiet); font-size: 0.875rem; }
.done { color: var(--done); } .failed { color: var(--failed); }
.unconfirmed { color: var(--unconfirmed); } .skipped { color: var(--skipped); }
svg { display: block; width: 100%; }
svg.bar { border-radius: 5px; margin-top: 1.75rem; }
svg text { fill: var(--ink); font-size: 12px; }
svg line { stroke: var(--quiet); stroke-width: 1; opacity: 0.35; shape-rendering: crispEdges; }
svg rect { shape-rendering: crispEdges; }
.fill-done { fill: var(--done-fill); } .fill-failed { fill: var(--failed-fill); }
.fill-unconfirmed { fill: var(--unconfirmed-fill); } .fill-skipped { fill: var(--skipped-fill); }
.fill-admitted { fill: var(--admitted); } .fill-throttled { fill: var(--throttled); }
.key { display: flex; flex-wrap: wrap; gap: 0.4rem 1.75rem; padding: 0; margin: 0.75rem 0 0;
  list-style: none; font-size: 0.9375rem; }
.key svg { display: inline-block; width: 12px; height: 12px; margin-right: 0.5rem;
  border-radius: 3px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.5rem;
  margin-top: 1.75rem; }
.facts dt { color: var(--quiet); } .facts dd { margin: 0; }
code { font: 0.8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
code.command { display: block; background: var(--well); border-radius: 6px; margin-top: 0.4rem;
  padding: 0.5rem 0.75rem; white-space: pre-wrap; user-select: all; -webkit-user-select: all; }
.group { margin-top: 1.75rem; }
.group > p { margin-top: 0.25rem; }
.group .count { font-weight: 600; white-space: nowrap; }
figure { margin-top: 1.25rem; }
details { margin-top: 0.6rem; }
summary { cursor: pointer; color: var(--quiet); font-size: 0.875rem; padding: 0.15rem 0; }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--quiet);
  outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; margin-top: 0.6rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 1rem 0.4rem 0;
  border-bottom: 1px solid var(--rule); font-weight: 400; }
thead th { color: var(--quiet); white-space: nowrap; }
tbody th { min-width: 8rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; }
td.whole { white-space: nowrap; }
.rows { list-style: none; padding: 0; }
.rows > li { padding: 0.6rem 0; border-bottom: 1px solid var(--rule); font-size: 0.875rem;
  break-inside: avoid; }
.rows .name { font-weight: 600; overflow-wrap: anywhere; }
footer { margin-top: 4rem; color: var(--quiet); font-size: 0.8125rem; }
@media (max-width: 34rem) {
  main { padding: 2rem 1.1rem 3rem; }
  h1 { font-size: 1.6rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: 0.6rem; }
  th, td { padding-right: 0.75rem; }
}
@media print {
  @page { margin: 16mm 15mm; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2, h3, thead { break-after: avoid; }
  tr, figure, .key, .facts { break-inside: avoid; }
  h2 { margin-top: 1.75rem; }
  code.command { border: 1px solid var(--rule); }
  .scroll { overflow: visible; }
}
"""


def style_sheet() -> str:
    """Return the rules with both palettes; paper is always light."""
    return (
        f":root {{ color-scheme: light; {_variables(LIGHT)} }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f"  :root {{ color-scheme: dark; {_variables(DARK)} }}\n"
        f"}}{_RULES}"
    )


def _variables(palette: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in palette.items())

"""How near a job comes to what simulated platforms admit, and how much of it is refused.

Each server of `tests.harness.servers` is run with several seeds, in virtual time, through a real
gate. The worst of them counts. ``--picture FILE`` draws one run of the first server that is chosen.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from benchmarks.tables import table
from benchmarks.timeline import timeline
from tests.harness.servers import SERVERS, Case
from tests.harness.simulator import Run, run

MOST_UNEVEN = 1.6
"""Rows that the first of several clients may have done, for one row of the last."""


@attrs.frozen(kw_only=True)
class Row:
    """One server over several seeds: the worst of each."""

    name: str
    slower: float
    """Seconds, in times of the ideal."""
    most: float
    """The same, as it may be."""
    refused: float
    """Refusals, in shares of what was sent."""
    misses: str
    """What was not kept; empty if all was."""


def misses(case: Case, ran: Run) -> list[str]:
    """Return what one run has not kept of the promises."""
    kept = {
        "rows": ran.done == 1.0,
        "time": ran.seconds <= case.most_seconds,
        "refusals": ran.refused <= case.most_refused(ran.sent),
        "waits": not ran.early,
        "shares": ran.share <= MOST_UNEVEN,
    }
    return [name for name, each in kept.items() if not each]


def compare(cases: Mapping[str, Case], seeds: int) -> Iterator[Row]:
    """Run every case with so many seeds."""
    for name, case in cases.items():
        runs = [run(case, seed) for seed in range(1, seeds + 1)]
        missed = dict.fromkeys(each for ran in runs for each in misses(case, ran))
        yield Row(
            name=name,
            slower=max(ran.seconds for ran in runs) / case.ideal,
            most=case.most_seconds / case.ideal,
            refused=max(ran.refused / ran.sent for ran in runs),
            misses=", ".join(missed),
        )


def chosen_cases(names: str, only: str) -> dict[str, Case]:
    """Return the servers of a set whose names contain *only*."""
    sets = SERVERS if names == "all" else {names: SERVERS[names]}
    return {name: case for each in sets.values() for name, case in each.items() if only in name}


def show(chosen: argparse.Namespace, figures: dict[str, object]) -> bool:
    """Run the jobs and print how they went; return whether all promises were kept."""
    cases = chosen_cases(chosen.set, chosen.only)
    if chosen.picture:
        name, case = next(iter(cases.items()))
        chosen.picture.write_text(timeline(name, run(case, seed=1)), encoding="utf-8")
        return True
    rows = list(compare(cases, chosen.seeds))
    figures["limiter"] = [attrs.asdict(row) for row in rows]
    print(f"\nOne job against simulated platforms, worst of {chosen.seeds}, in virtual time")
    table(
        ("", "times the ideal", "may be", "refused", "missed"),
        [
            (row.name, f"{row.slower:.2f}", f"{row.most:.2f}", f"{row.refused:.1%}", row.misses)
            for row in rows
        ],
    )
    kept = [row for row in rows if not row.misses]
    mean = math.exp(sum(math.log(row.slower) for row in rows) / len(rows)) if rows else 1.0
    print(f"\n{len(kept)} of {len(rows)} within their bounds; geometric mean {mean:.3f}")
    return len(kept) == len(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=1, help="runs of each server; worst shown")
    parser.add_argument("--set", choices=[*SERVERS, "all"], default="all", help="which servers")
    parser.add_argument("--only", default="", metavar="TEXT", help="those with TEXT in the name")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw one run as SVG instead")

"""What a command costs before it does anything, in processor time.

Ratios, measured in one run that takes turns: ``--version`` beside a bare interpreter, help, a wrong
command and ``status`` beside importing cyclopts and rich, which the command line is built on.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.imports import cpu_ms
from benchmarks.measure import turns
from benchmarks.tables import table
from sigmamind_async.cli.help import COMMANDS
from tests.harness.journal import write_journal

BARE = "pass"
LIBRARIES = "import cyclopts, rich"
RUN = "import sys; from sigmamind_async.cli import main; sys.exit(main(sys.argv[1:]))"
"""What the script that pip installs does."""


@attrs.frozen
class Case:
    """One command line, what it is compared with, and the most that it may cost."""

    words: tuple[str, ...]
    baseline: str
    limit: float
    exit_code: int = 0

    @property
    def name(self) -> str:
        return " ".join(("sigmamind", *self.words))


def cases(journal: Path) -> list[Case]:
    return [
        Case(("--version",), BARE, 3.0),
        Case(("--help",), LIBRARIES, 1.5),
        *(Case((*name.split(), "--help"), LIBRARIES, 1.5) for name in COMMANDS),
        Case(("aply", "fleet.csv"), LIBRARIES, 1.5, exit_code=2),
        Case(("apply", "fleet.csv", "--jsn"), LIBRARIES, 1.5, exit_code=2),
        Case(("status", str(journal)), LIBRARIES, 1.8, exit_code=3),
    ]


def ratios(rounds: int, chosen: Sequence[Case]) -> Mapping[Case, float]:
    """Return the cost of each case as a multiple of its baseline's, median by median."""
    spent: dict[str, list[float]] = {BARE: [], LIBRARIES: [], **{case.name: [] for case in chosen}}
    by_name = {case.name: case for case in chosen}

    def measure(name: str) -> float:
        case = by_name.get(name)
        return cpu_ms(name) if case is None else cpu_ms(RUN, *case.words, exit_code=case.exit_code)

    for name in spent:
        measure(name)  # the first one compiles
    for name in turns(spent, rounds):
        spent[name].append(measure(name))
    medians = {name: statistics.median(taken) for name, taken in spent.items()}
    return {case: medians[case.name] / medians[case.baseline] for case in chosen}


def show(chosen: argparse.Namespace, figures: dict[str, object]) -> bool:
    """Print the ratios; return whether none is above its limit."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "fleet.db")
        asyncio.run(write_journal(journal))
        found = ratios(chosen.rounds, cases(journal))
    figures["commands"] = {case.name: ratio for case, ratio in found.items()}
    print("\nProcessor time of a command: python -c pass, or importing cyclopts and rich = 1")
    table(
        ("", "ratio", "at most", ""),
        [
            (
                case.name.replace(str(journal), "FILE"),
                f"{ratio:.2f}",
                f"{case.limit:.1f}",
                "" if ratio <= case.limit else "missed",
            )
            for case, ratio in found.items()
        ],
    )
    return all(ratio <= case.limit for case, ratio in found.items())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="turns of each command")

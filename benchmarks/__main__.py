"""Run every benchmark and print its table; ``--json FILE`` keeps the figures, too."""

import argparse
import asyncio
import json
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.cost import compare
from benchmarks.deadline import DEADLINE, overruns
from benchmarks.imports import costs
from benchmarks.measure import Quartiles


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
    chosen = parser.parse_args()
    print(machine())
    figures = {
        "machine": machine(),
        "update": update(rounds=6 if chosen.quick else 30),
        "deadline": deadline(calls=200 if chosen.quick else 1000),
        "imports": imports(rounds=5 if chosen.quick else 11),
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def machine() -> str:
    parts = [platform.machine(), platform.system(), f"CPython {platform.python_version()}"]
    return ", ".join([*parts, f"aiohttp {version('aiohttp')}"])


def update(*, rounds: int) -> dict[str, object]:
    cost = asyncio.run(compare(rounds=rounds))
    print(f"\nOne typed update, 100 under way, {rounds} alternated rounds: quartiles")
    table(
        ("", "CPU us a call", "calls a second", "speed, plain = 1"),
        [
            (name, spread(cost.cpu_us[name]), spread(cost.speed[name]), spread(ratio, digits=2))
            for name, ratio in cost.to_plain.items()
        ],
    )
    return {"cpu_us": cost.cpu_us, "calls_per_second": cost.speed, "to_plain": cost.to_plain}


def deadline(*, calls: int) -> dict[str, object]:
    late = asyncio.run(overruns(calls=calls))
    median, worst = 1000 * statistics.median(late), 1000 * late[int(0.99 * (len(late) - 1))]
    print(f"\nPast a deadline of {DEADLINE} s, 100 under way, {len(late)} calls")
    table(("median ms", "p99 ms"), [(f"{median:.1f}", f"{worst:.1f}")])
    return {"median_ms": median, "p99_ms": worst}


def imports(*, rounds: int) -> dict[str, object]:
    spent = {name: statistics.median(taken) for name, taken in costs(rounds=rounds).items()}
    bare = spent.pop("nothing")
    print("\nImports, CPU ms above a bare interpreter: median")
    table(("", "ms"), [(name, f"{ms - bare:.0f}") for name, ms in spent.items()])
    return {name: ms - bare for name, ms in spent.items()}


def spread(quartiles: Quartiles, *, digits: int = 0) -> str:
    low, middle, high = quartiles
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


if __name__ == "__main__":
    main()

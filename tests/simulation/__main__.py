"""Simulate many seeds, or replay one: ``python tests/simulation --seeds 10000``.

--seeds N    how many seeds (1,000)
--first N    the first of them (0)
--seed N     this one, with everything that happened
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.simulation.world import Report, simulate  # noqa: E402 - not without the path above


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    if chosen.seed is not None:
        report = simulate(chosen.seed)
        _print("\n".join(report.trace))
        _print(f"{report.weather}\n{report.digest}")
        return _told(report)
    began = time.perf_counter()
    bad = sum(_told(simulate(seed)) for seed in range(chosen.first, chosen.first + chosen.seeds))
    seconds = time.perf_counter() - began
    _print(f"{chosen.seeds} seeds in {seconds:.0f} s: {bad} broke a promise")
    return min(bad, 1)


def _told(report: Report) -> int:
    for broken in report.broken:
        _print(f"seed {report.seed}: {broken}")
    if report.broken:
        _print(f"  python tests/simulation --seed {report.seed}")
    return min(len(report.broken), 1)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""How near a job comes to what a platform admits, and how much of it is refused: `throttles`."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from benchmarks.throttles import CASES, Run, run


@attrs.frozen(kw_only=True)
class Row:
    """One server over several seeds: the worst of each."""

    name: str
    slower: float
    refused: float
    done: float
    kept: bool
    """Whether all that is promised of it held."""


def compare(seeds: int) -> Iterator[Row]:
    """Run every case with so many seeds."""
    for name, case in CASES.items():
        runs: list[Run] = [run(case, seed) for seed in range(1, seeds + 1)]
        slower, refused = max(one.slower for one in runs), max(one.refused for one in runs)
        yield Row(
            name=name,
            slower=slower,
            refused=refused,
            done=min(one.done for one in runs),
            kept=slower <= case.slower and refused <= case.refused,
        )

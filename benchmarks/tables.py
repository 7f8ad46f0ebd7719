"""Tables, for a terminal and for the README."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.goals import GOALS, Figure
from benchmarks.measure import Quartiles


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns under their heads."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of the same table for a README."""
    for line in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(line)} |"


def spread(quartiles: Quartiles, *, digits: int = 0) -> str:
    low, middle, high = quartiles
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


GOALS_HEAD = ("", "measured", "quartiles", "will do", "reach for", "", "")


def goal_rows(figures: Iterable[Figure]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each figure, with its goal."""
    for one in figures:
        goal = GOALS[one.goal]
        spread = (one.low, one.high)
        yield (
            goal.what,
            f"{short(one.value)} {goal.unit}",
            " to ".join(short(end) for end in spread if end is not None),
            f"{goal.bound} {short(goal.least)}",
            f"{goal.bound} {short(goal.reach)}",
            one.standing.value,
            one.note,
        )


def short(value: float) -> str:
    """Return *value* with three digits, which is more than any of them repeats to."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

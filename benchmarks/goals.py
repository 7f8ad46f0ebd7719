"""What each figure should be: the least that will do, and what to reach for.

The bars were set from measurements of plain aiohttp, of what the interpreter allows at best, and of
other platforms' clients. They are ratios and differences, because those repeat from machine to
machine; the few in microseconds and MiB are for two cores of a shared x86-64 machine.
"""

import enum

import attrs

from benchmarks.measure import Quartiles


class Standing(enum.Enum):
    """How a figure stands to its goal."""

    REACHED = "reached"
    MET = "met"
    NOT_MET = "not met"
    NOT_JUDGED = "not judged"


@attrs.frozen(kw_only=True)
class Goal:
    """One row of the table."""

    what: str
    unit: str
    least: float
    """What will do."""
    reach: float
    """What to reach for."""

    @property
    def bound(self) -> str:
        """On which side of them a figure should be."""
        return "≥" if self.reach > self.least else "≤"

    def standing(self, value: float) -> Standing:
        """Return how *value* stands to this goal."""
        sign = 1 if self.reach > self.least else -1
        if sign * value >= sign * self.reach:
            return Standing.REACHED
        return Standing.MET if sign * value >= sign * self.least else Standing.NOT_MET


GOALS = {
    "plain": Goal(
        what="typed update, speed of plain aiohttp = 1", unit="x", least=1.05, reach=1.15
    ),
    "lean": Goal(what="typed update above lean aiohttp, CPU", unit="us", least=10, reach=5),
    "twilio": Goal(what="speed of twilio's async client = 1", unit="x", least=2, reach=2.3),
    "stainless": Goal(
        what="speed of Stainless clients over aiohttp = 1", unit="x", least=6, reach=7.5
    ),
    "installed": Goal(
        what="speed of Stainless and Fern clients as installed = 1", unit="x", least=12, reach=20
    ),
    "parts": Goal(what="gate and retry of a call that succeeds", unit="us", least=3, reach=1),
    "signal": Goal(what="seeing whether a connection was used", unit="us", least=2, reach=0.5),
    "bulk": Goal(what="a job's row above a bare loop of workers", unit="us", least=3, reach=1),
    "growth": Goal(what="memory growth over streamed updates", unit="MiB", least=4, reach=1),
    "fairness": Goal(what="p99 / p50 of a job, 1,000 at once", unit="x", least=2, reach=1.4),
    "tls": Goal(what="peak memory with 100 TLS connections", unit="MiB", least=90, reach=75),
    "decode": Goal(what="reading one listed record", unit="us", least=5, reach=1.5),
    "import": Goal(what="import sigmamind_async, CPU", unit="ms", least=60, reach=40),
    "client": Goal(
        what="import and a first client, import aiohttp = 1", unit="x", least=1.3, reach=1.2
    ),
    "uvloop": Goal(
        what="on uvloop, speed of plain aiohttp on asyncio = 1", unit="x", least=1.4, reach=1.6
    ),
}


@attrs.frozen(kw_only=True)
class Figure:
    """What was measured for one goal."""

    goal: str
    """Key of `GOALS`."""
    value: float
    """The median, or the one value there is."""
    low: float | None = None
    """Lower quartile."""
    high: float | None = None
    """Upper quartile."""
    note: str = ""
    """What a reader must know of how it came about."""
    judged: bool = True
    """False for a figure of less than the goal is about."""

    @property
    def standing(self) -> Standing:
        if not self.judged:
            return Standing.NOT_JUDGED
        return GOALS[self.goal].standing(self.value)


def figure(goal: str, spread: Quartiles, note: str = "") -> Figure:
    """Return the figure whose quartiles are *spread*."""
    low, middle, high = spread
    return Figure(goal=goal, value=middle, low=low, high=high, note=note)

"""What a job costs for each row beyond a bare loop of workers on one iterator.

The row's call does nothing but give way to the others once. What is left is what `BulkRun` does:
taking up values, keeping their index, time and outcome, handing outcomes over, counting.
"""

from __future__ import annotations

import asyncio

from benchmarks.goals import Figure, figure
from benchmarks.measure import alternate, concurrently, differences, on_first_core, quartiles, times
from sigmamind_async.bulk import BulkRun

WIDTH = 100
"""Rows under way at once."""


class Trivial:
    """A prepared call that does nothing."""

    __slots__ = ()

    attempts = 1
    may_have_acted = False
    ignored: tuple[str, ...] = ()
    request_id: str | None = None
    waits = False

    def ending(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.sleep(0)


def prepare(_: int) -> Trivial:
    return Trivial()


async def bare(rows: int) -> None:
    await concurrently(lambda number: prepare(number).run(), rows, WIDTH)


async def job(rows: int) -> None:
    async for _ in BulkRun(prepare, range(rows), width=WIDTH):
        pass


async def scheduling(*, rows: int = 10_000, rounds: int = 30) -> Figure:
    """Measure a row of a job above one of the bare loop."""
    with on_first_core():
        samples = await alternate({"bare": bare, "job": job}, calls=rows, rounds=rounds)
    above = times(1e6, differences(samples["job"], samples["bare"]))
    return figure("bulk", quartiles(above), f"{WIDTH} at once")

"""The time limits of all attempts in one event loop, kept by one timer.

A timer for each attempt is the largest cost that aiohttp leaves to choice: made, put into the
loop's heap, cancelled, and nearly never rung; `asyncio.timeout` costs 6 microseconds alone and 15
inside a real call. Here an attempt is put into a set and taken out again. The one timer of the loop
is set to the earliest end it was told of. Attempts mostly end long before that, and those begun
later end later, so it rings once in as many seconds as an attempt may take, finds out what is
under way then, and is set to the earliest end of those.

An end comes on time to within a few milliseconds. It is a cancellation of the task, told from
anybody else's the way `asyncio.timeout` does it: by counting how many have been asked for.
"""

from __future__ import annotations

import asyncio
import math

import attrs

LEAST_REST = 0.005
"""Seconds between two rings: bounds what thousands of attempts that all hang can cost."""


@attrs.define(eq=False)
class Limit:
    """The end of one attempt's time."""

    task: asyncio.Task[object]
    when: float
    """On the loop's clock."""
    before: int
    """How many cancellations of the task had been asked for when the attempt began."""
    passed: bool = False

    def is_why(self) -> bool:
        """Whether a cancellation that was just caught is this limit's, and nobody else's too."""
        return self.passed and self.task.cancelling() - 1 <= self.before


class TimeoutTimer:
    """The limits of one event loop. Belongs to its thread, and must be made there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits: set[Limit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def start(self, seconds: float) -> Limit:
        """Cancel the running task in *seconds*, unless `stop` comes first."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a request needs a task to run in")
        when = self._loop.time() + seconds
        limit = Limit(task, when, task.cancelling())
        self._limits.add(limit)
        if when < self._rings_at:
            self._ring_at(when)
        return limit

    def stop(self, limit: Limit) -> None:
        """End the watch; if the time was up, take the cancellation back."""
        if limit.passed:
            limit.task.uncancel()
        else:
            self._limits.remove(limit)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        """Cancel what is out of time, and set the timer to the next end."""
        now = self._loop.time()
        due = max(now, self._rings_at)  # a loop rings up to a tick of its clock early
        for limit in [limit for limit in self._limits if limit.when <= due]:
            self._limits.remove(limit)
            limit.passed = True
            limit.task.cancel()
        self._timer, self._rings_at = None, math.inf
        if self._limits:
            earliest = min(limit.when for limit in self._limits)
            self._ring_at(max(earliest, now + LEAST_REST))

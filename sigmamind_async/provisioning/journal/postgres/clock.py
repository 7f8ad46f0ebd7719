"""The time by the clock of the database.

Workers on many machines judge one another's leases, so they go by one clock. Each knows it from
answers: one that came between two moments here says within which bounds the difference between the
clocks lies. What is known is kept as long as it agrees with that, and else moved as little as need
be. An answer that took long has wide bounds and moves nothing; a clock that drifts is followed.

Between answers the process's own monotonic clock goes on. A machine that sleeps may stop it, and
this clock is slow then, until the next answer: an early look finds a lease that has not ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import attrs

STALE: Final = 60.0
"""Seconds for which an answer is relied on: clocks drift apart by a few milliseconds meanwhile."""


@attrs.define(eq=False)
class DatabaseClock:
    """Seconds since the epoch, as the database counts them."""

    monotonic: Callable[[], float] = time.monotonic
    _offset: float | None = None
    _told_at: float = -math.inf

    def now(self) -> float:
        """Return the time there; the monotonic one as long as nothing is known."""
        return self.monotonic() + (self._offset or 0.0)

    @property
    def is_stale(self) -> bool:
        """Whether the last answer is too old."""
        return self.monotonic() - self._told_at > STALE

    def learn(self, asked: float, told: float, answered: float) -> None:
        """Take in that the clock there showed *told* between two moments of `monotonic` here."""
        least, most = told - answered, told - asked
        if self._offset is None:
            self._offset = (least + most) / 2
        else:
            self._offset = min(max(self._offset, least), most)
        self._told_at = answered

"""The time by the clock of the database.

Workers on many machines judge one another's leases, so they go by one clock. Each knows it from
replies: a reply between two times here bounds the difference between the clocks. The difference
that is known is kept as long as it agrees with the bounds, and otherwise moved as little as needed.
So a slow reply, with wide bounds, moves nothing, while a clock that drifts is followed.

Between replies the process's own monotonic clock is used. On a machine that sleeps it may stop, and
this clock is then slow until the next reply: a lease is found to last longer than it does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import attrs

STALE: Final = 60.0
"""Seconds for which a reply is relied on: clocks drift apart by a few milliseconds meanwhile."""


@attrs.define(eq=False)
class DatabaseClock:
    """Seconds since the epoch, as the database counts them."""

    monotonic: Callable[[], float] = time.monotonic
    _offset: float | None = None
    _learned_at: float = -math.inf

    def now(self) -> float:
        """Return the time there; the monotonic one as long as nothing is known."""
        return self.monotonic() + (self._offset or 0.0)

    @property
    def is_stale(self) -> bool:
        """True if the last reply is too old."""
        return self.monotonic() - self._learned_at > STALE

    def learn(self, asked: float, shown: float, answered: float) -> None:
        """Record that the clock there showed *shown* between two times of `monotonic` here."""
        lowest, highest = shown - answered, shown - asked
        if self._offset is None:
            self._offset = (lowest + highest) / 2
        else:
            self._offset = min(max(self._offset, lowest), highest)
        self._learned_at = answered

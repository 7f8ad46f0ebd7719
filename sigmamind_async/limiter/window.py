"""Spreads what a platform reports as remaining in its window over the rest of that window.

Some platforms report with every response how many requests a window admits, how many remain and
when the next window begins. Then no request has to be refused to find the limit, and none should go
in a burst when a window begins, because other clients wait for that moment, too.

Platforms that count in another way send the same headers. A token bucket reports the time until it
is full, which moves with every request, while the end of a window stays. Some headers are made up.
So a report is believed only while the reports are consistent: from the first contradiction on, this
window is silent, and `AdaptiveRate` learns from refusals alone.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math

import attrs

from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.responses.headers import Remaining

BURST_SHARE = 0.1
"""Share of a window that may go ahead of its time."""

_MIN_RESET = 2.0  # seconds; anything shorter may be one second, rounded up
_ROUNDING = 1.1  # seconds by which reports of the same end may differ
_MAX_UNCOUNTED = 5  # consecutive requests that may leave the remaining count as it was


@attrs.define
class RateLimitWindow:
    """When the next request should go, according to the platform's reports."""

    due: float = -math.inf
    """When the next request may go; -inf if nothing is known."""
    spacing: float = 0.0
    """Seconds from one request to the next; 0 if nothing is known."""

    _ends: float = -math.inf
    _length: float = 0.0  # longest part of a window seen so far, in seconds
    _remaining: int = 0  # the lowest count reported for this window
    _reported_at: float = -math.inf  # when that was
    _uncounted: int = 0  # requests sent since then that did not lower it
    _contradicted: bool = False

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        if now < self._ends + self._length:
            self.due = max(self.due, now - BURST_SHARE * self._length) + self.spacing
        elif self.spacing:
            self._reset()  # no report for a whole window

    def update(self, now: float, request: Admitted, reported: Remaining) -> float:
        """Take in a report; return the seconds for which all requests should pause."""
        began, under_way = request[0], request[1]  # of these, some may not be counted in it yet
        if self._contradicted or (reported.reset < _MIN_RESET and now >= self._ends):
            return 0.0
        ends = now + reported.reset
        moved = began + reported.reset > self._ends + _ROUNDING
        is_new = now >= self._ends or (moved and now >= self._ends - _ROUNDING)
        if self._contradicts(reported, began, moved=moved, is_new=is_new):
            self._contradicted = True
            self._reset()
            return 0.0
        if is_new:
            self._ends, self._length = ends, max(self._length, reported.reset)
            self._remaining = reported.remaining + 1
        self._ends = min(self._ends, ends)
        if reported.remaining < self._remaining:
            self._remaining, self._reported_at, self._uncounted = reported.remaining, now, 0
        if reported.policy is None:  # else the rate is set by that
            self.spacing = reported.reset / max(1, reported.remaining + 1 - under_way)
        return 0.0 if reported.remaining else reported.reset

    def _contradicts(self, reported: Remaining, began: float, *, moved: bool, is_new: bool) -> bool:
        """Return whether the report fits no window that is being used up."""
        if is_new:
            return self._length > 0.0 and reported.remaining == 0  # not used up when it begins
        if began > self._reported_at and reported.remaining >= self._remaining:
            self._uncounted += 1
        return self._uncounted > _MAX_UNCOUNTED or moved

    def _reset(self) -> None:
        self._ends, self.due, self.spacing = -math.inf, -math.inf, 0.0

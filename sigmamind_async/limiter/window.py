"""What a platform says is left of the present window, spread over the time that is left of it.

Some platforms name on every answer how many requests a window admits, how many of them remain and
when the next one begins. Then none has to be refused to find the limit, and none should go in a
burst when a window begins: other clients wait for that moment, too.

The same headers come from platforms that count otherwise. A bucket of tokens names the time until
it is full, which moves on with every request, while the end of a window stays where it is. And
some headers are made up. So what is said is believed only as long as it holds together; from the
first contradiction on, the allowance says nothing more, and the pace learns from refusals alone.

Pure: every method is told the time, in seconds.
"""

from __future__ import annotations

import math

import attrs

from sigmamind_async.limiter.rate import Admitted
from sigmamind_async.responses.headers import Remaining

AT_ONCE = 0.1
"""Share of a window that may go ahead of its time."""

_SHORTEST = 2.0
"""Seconds to go that are no second rounded up."""
_ROUNDING = 1.1
"""Seconds by which the same end is named differently."""
_TRIAL = 5
"""Requests in a row that need not have made what remains less."""


@attrs.define
class RateLimitWindow:
    """When the next request should go, by what the platform says of its window."""

    due: float = -math.inf
    """When the next request may go; always, where nothing is known."""
    spacing: float = 0.0
    """Seconds from one request to the next; 0 where nothing is known."""

    _ends: float = -math.inf
    _span: float = 0.0
    """Seconds of a whole window, as far as it was seen."""
    _least: int = 0
    """The least that was said to remain of it."""
    _heard: float = -math.inf
    """When that was said."""
    _idle: int = 0
    """Requests sent since then that made it no less."""
    _contradicted: bool = False

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        if now < self._ends + self._span:
            self.due = max(self.due, now - AT_ONCE * self._span) + self.spacing
        elif self.spacing:
            self._forget()  # nobody has said anything for a whole window

    def learn(self, now: float, ticket: Admitted, said: Remaining) -> float:
        """Take in what an answer *said*; return the seconds for which all should pause."""
        began, under_way = ticket[0], ticket[1]  # as many may not be counted in it yet
        if self._contradicted or (said.reset < _SHORTEST and now >= self._ends):
            return 0.0
        ends = now + said.reset
        moved = began + said.reset > self._ends + _ROUNDING
        new = now >= self._ends or (moved and now >= self._ends - _ROUNDING)
        if self._is_contradicted(said, began, moved=moved, new=new):
            self._contradicted = True
            self._forget()
            return 0.0
        if new:
            self._ends, self._span = ends, max(self._span, said.reset)
            self._least = said.remaining + 1
        self._ends = min(self._ends, ends)
        if said.remaining < self._least:
            self._least, self._heard, self._idle = said.remaining, now, 0
        self.spacing = said.reset / max(1, said.remaining + 1 - under_way)
        return 0.0 if said.remaining else said.reset

    def _is_contradicted(self, said: Remaining, began: float, *, moved: bool, new: bool) -> bool:
        """Whether this is no window that is being used up."""
        if new:
            return self._span > 0.0 and said.remaining == 0  # a new one is not used up already
        if began > self._heard and said.remaining >= self._least:
            self._idle += 1
        return self._idle > _TRIAL or moved

    def _forget(self) -> None:
        self._ends, self.due, self.spacing = -math.inf, -math.inf, 0.0

"""Detectors of the limits that are not token buckets.

`ConcurrencyLimit`: so many requests under way at once. `WindowLimit`: so many in any stretch of a
length, which covers windows that begin for all callers at once. `RandomRefusals`: a share of all
requests, whatever their rate.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from typing import Final

import attrs

ROUND_LENGTHS: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds of the windows that people choose. What is longer is not looked for."""
LONGEST_GAP: Final = 4.0
"""Most seconds between two tries while nothing passes. A caller with a deadline gets several."""
TRIES_FOR: Final = 12.0
"""Each try costs a request, and being late the share of a window. For n requests in each, the sum
is least if each try is later than the one before by a factor of 1 + sqrt(12 / n)."""
_DOUBLED: Final = 0.5
"""Seconds up to which each try is twice as late: no window is so short that it matters."""
FEW: Final = 50
"""Requests of a window from which on one refusal for each is cheap enough."""

_SURPRISE: Final = 1.3
"""Times the logarithm by which a second refusal at one number is likelier with a limit on it: else
it may come at any number up to twice that one, and small numbers are alike by chance."""
_PASSED_BELOW: Final = 0.1
_PASSED_THERE: Final = -1.0
"""Weights of a request that passes just below that number, and at it: a few do, just after another
has ended."""
_REFUSED_BELOW: Final = -1.0
"""Weight of a refusal just below it: where requests overtake one another, there are a few."""
_CERTAIN: Final = 6.0
_CERTAIN_TOLD: Final = 4.0
"""Weight from which on the number alone limits: less where each refusal costs a pause."""
_MOST_WEIGHT: Final = 8.0
_BAND: Final = 0.1
"""Share by which such a number varies, with what is still on its way."""
_NEAR: Final = 0.8
"""From which share of it on a request passes just below."""
_MARGIN: Final = 1.01
"""Times the length of a window that passes before a request of it is replaced by another."""
_OVERTAKING: Final = 0.005
"""Seconds by which requests may overtake one another on their way."""
_MOST_STRIKES: Final = 3
"""Refusals of a window's own requests after which it is believed no more."""
_ALIKE: Final = 0.04
"""Share of its size by which two windows of one limit may differ: the count of the first may miss a
few that were refused, or were under way."""
_TOLERATED: Final = 0.04
"""Share of refusals that cut nothing where they come at any rate."""
_MOST_CREDIT: Final = 4.0
_AT_ANY_RATE: Final = 2.0
"""Refusals below the known rate after which those above it say nothing either."""


@attrs.define
class ConcurrencyLimit:
    """How many requests a platform admits under way at once, whatever their rate.

    A sequential test: with such a limit, requests are refused at one number under way, and those
    that pass do so below it; with any other, as many pass above. Once it is found the width alone
    holds requests back, to less than that number. A refusal below it is then decisive.
    """

    is_found: bool = False
    """True if refusals depend on nothing but the number under way."""
    most: float = 0.0
    """The least number under way at which requests were refused."""
    _weight: float = 0.0
    """Logarithm of the odds that there is a limit."""
    _found_at: float = 0.0
    """That number when it was found."""
    _has_passed: bool = False
    """True if a request has passed below that number since the latest refusal."""
    _refused_at: float = -math.inf
    """When that came: those sent before it say the same."""

    def passed(self, level: int) -> None:
        """Record a request that passed with *level* under way."""
        if level >= self.most:
            self._weight = min(self._weight, max(0.0, self._weight + _PASSED_THERE))
            return
        self._has_passed = True
        if level >= _NEAR * self.most and not self.is_found:
            self._weight = min(_MOST_WEIGHT, self._weight + _PASSED_BELOW)

    def refused(self, now: float, began: float, level: int, *, told: bool) -> bool:
        """Weigh a refusal with *level* under way; return whether there is a limit on it.

        *told* is true if it reported a wait.
        """
        if began <= self._refused_at:
            return self.is_found
        most = self.most
        if self.is_found:
            self._check(level)
        elif abs(level - most) > max(1.0, _BAND * most):
            self.most, self._weight = level, min(0.0, self._weight)
        elif level > 1:
            self.most = min(most, level)
            self._found_at = self.most
            self._confirm(abs(level - most))
            self.is_found = self._weight > (_CERTAIN_TOLD if told else _CERTAIN)
        self._refused_at, self._has_passed = now, False
        return self.is_found

    def _confirm(self, off: float) -> None:
        alike = math.log(2.0 * self.most / (2.0 * max(off, _BAND / 2 * self.most) + 1.0))
        self._weight = min(_MOST_WEIGHT, self._weight + _SURPRISE * max(0.0, alike))

    def _check(self, level: int) -> None:
        """Weigh a refusal while less than that number are under way."""
        band = max(1.0, _BAND * self._found_at)
        if level >= self.most and self._has_passed:
            self._confirm(0.0)
        elif level >= self._found_at - band and (level > 1 or self._has_passed):
            # Another of those sent with it went ahead, or there is no limit.
            self.most = min(self.most, level + (band == 1))
            self._weight += _REFUSED_BELOW
        else:
            self._weight = 0.0
        if self._weight <= 0.0:
            self.is_found, self._weight = False, -_MOST_WEIGHT


@attrs.define
class RandomRefusals:
    """Refusals drawn by lot: they come as often below a rate that has passed as above it."""

    _credit: float = 2.0
    """Refusals that may be tolerated: the first two of all may be by lot."""
    _at_any_rate: float = 0.0
    """How many came below the known rate, of late."""

    def passed(self) -> None:
        """Record a request that passed."""
        if self._credit < _MOST_CREDIT:
            self._credit += _TOLERATED

    def forgives(self) -> bool:
        """Return whether a refusal says nothing as long as no rate is known."""
        forgiven = self._credit >= 1
        self._credit -= forgiven
        return forgiven

    def tolerates(self, *, below: bool) -> bool:
        """Return whether a refusal says nothing; *below* is true if a faster rate has passed."""
        if self._credit >= 1 and (below or self._at_any_rate >= _AT_ANY_RATE):
            self._credit -= 1
            self._at_any_rate = min(6.0, self._at_any_rate + 1)
            return True
        self._at_any_rate /= 2
        return False


@attrs.define
class WindowLimit:
    """A number of requests that pass however fast they come, and then none until a time has passed.

    It is found from two windows in a row that admitted as many, and more than a bucket would have
    gained meanwhile. From then on so many are sent in each stretch of its length, and now and then
    one more, in case the limit has changed.
    """

    size: int = 0
    """Requests that pass in each; 0 until it is found."""
    length: float = 0.0
    """Seconds of each."""
    opened: float = math.inf
    """When the latest began to admit requests, or the first was used."""
    count: int = 0
    """Requests that the latest has admitted until it was used up."""
    total: int = 0
    """Requests that have passed since nothing did."""
    _closed: float = math.inf
    """When the latest was used up."""
    _tried: float = 0.0
    """When a request was last refused in it."""
    _previous: Cycle | None = None
    _alike: int = 0
    """Windows in a row with a reported wait that admitted as many as the one before."""
    _differed: bool = False
    """True if one of them was used up faster than the one before."""
    _log: deque[float] = attrs.field(factory=deque[float])
    """When the latest requests were sent, as many as pass in one, and a few in place of those of
    them that will turn out to be refused."""
    _sent: int = 0
    _answered: int = 0
    """Requests that were answered since it was found."""
    _due: float = 0.0
    """Requests after which one more than its size is sent."""
    _every: float = 20.0
    _tested: float = -math.inf
    """When that was sent."""
    _lost: float = 0.0
    """Seconds that a wait in whole seconds may be too long."""
    _held_until: float = 0.0
    _strikes: int = 0

    # --- looking for it ----------------------------------------------------------------------

    def open(self, at: float) -> None:
        """Record that a request passes again that was sent at that time."""
        if self._closed < math.inf:
            shortest = max(self._tried, self._closed) - self.opened
            self._previous = Cycle(
                count=self.count,
                used_in=self._closed - self.opened,
                closed=self._closed,
                silence=self._tried - self._closed,
                shortest=shortest,
                longest=at - self.opened,
            )
            if self._previous.silence > 0:
                self.total = 0
        self.opened, self._closed, self._tried = at, math.inf, at

    def refuse(self, at: float) -> None:
        """Record that nothing has passed since the latest was used up."""
        self._tried = max(self._tried, at)

    def close(self, at: float, count: int, *, wait: float, sent: list[float]) -> bool:
        """Record that *count* passed before one was refused; return whether it is a window.

        Args:
            at: When the refused request was sent.
            count: Requests admitted since the opening.
            wait: Seconds that the refusal reported; 0 if none.
            sent: When requests were sent that passed.
        """
        previous, earlier = self.count, self._previous
        self.total += count
        self.count, self._closed, self._tried = count, at, at
        if count < 2 or earlier is None or earlier.longest > 1.1 * ROUND_LENGTHS[-1]:
            return False
        off = abs(count - previous)
        if earlier.silence > 0:
            gained = 1.5 + (at - earlier.closed) / earlier.silence
            found = count >= gained and off <= round(_ALIKE * count)
        else:
            alike = wait > 0 and count < FEW and off <= round(0.02 * count)
            longest = max(_OVERTAKING, earlier.longest)
            gained = abs(at - self.opened - earlier.used_in) * count / longest
            self._alike = self._alike + 1 if alike else 0
            self._differed = alike and (self._differed or gained >= max(2.0, 0.1 * count))
            found = self._alike > 1 and self._differed
        if not found:
            return False
        self.size = min(count, previous)
        fitting = [
            each for each in ROUND_LENGTHS if earlier.shortest < each <= 1.01 * earlier.longest
        ]
        self.length = max(fitting, default=earlier.longest)
        self._due, self._lost = self.size + self._every, 0.5 if wait and self.length < 5 else 0.0
        self._log = deque(sent[-self.size - FEW :])
        return True

    def next_try(self, now: float, jitter: float) -> float:
        """Return when one request should try whether anything passes again."""
        ratio = math.sqrt(TRIES_FOR / max(4, self.count, self.total))
        elapsed = max(now - min(self._closed, now), 2 * _OVERTAKING)
        gap = (0.75 + 0.5 * jitter) * max(min(1.0, ratio) * elapsed, min(elapsed, _DOUBLED))
        after = now + min(LONGEST_GAP, gap)
        ends = (self.opened + 1.002 * each + 0.002 for each in ROUND_LENGTHS)
        return next((end for end in ends if now < end < after), after)

    # --- once it is found --------------------------------------------------------------------

    def take(self, now: float) -> float:
        """Count a request that goes now; return when the next may go."""
        log = self._log
        if len(log) >= self.size and now < log[-self.size] + 0.8 * self.length:
            self._tested = now
            self._every = min(2 * self._every, FEW * (1 + self._lost * self.size / self.length))
            self._due = self._sent + max(self._every, self.size)
        log.append(now)
        while len(log) > self.size + FEW:
            log.popleft()
        self._sent += 1
        return self.ready(now)

    def insert(self, at: float) -> None:
        """Count a request that goes at that time, whether or not the window has room for it."""
        insort(self._log, at)
        self._sent += 1

    def withdraw(self, at: float) -> None:
        """Take back a request that was counted for that time, and was not sent."""
        if at in self._log:
            self._log.remove(at)
            self._sent -= 1

    def ready(self, now: float) -> float:
        """Return when the next request may go."""
        if self._sent > 2 * self._answered and self._answered < self.size:
            return max(self._held_until, now + 1.0)  # until it is sure, twice as many each time
        if len(self._log) < self.size:
            return max(self._held_until, now)
        oldest = self._log[-self.size]
        test = self._log[-1] + 0.1 * self.length
        is_due = self._sent >= self._due and self._tested == -math.inf
        if is_due and test < oldest + 0.7 * self.length:
            return max(test, self._held_until)
        return max(oldest + _MARGIN * self.length + _OVERTAKING, self._held_until)

    def passed(self, began: float) -> bool:
        """Record a request that passed; return whether it still is a window."""
        self._answered += 1
        if self._answered % (3 * self.size) == 0:
            self._strikes = min(0, self._strikes)
        if abs(began - self._tested) < 1e-6:  # there is room for one more
            self.size, self._strikes, self._tested = self.size + 1, self._strikes - 1, -math.inf
            self._due = self._sent + self.size
        return -self._strikes <= round(_ALIKE * self.size)

    def refused(self, now: float, began: float, *, late: bool) -> bool:
        """Record a refusal; return whether it still is a window.

        A *late* one answers a request that was sent before an earlier refusal.
        """
        index = bisect_right(self._log, began) - 1
        if index >= 0 and began - self._log[index] < 1e-6:
            del self._log[index]
        self._answered += 1
        if abs(began - self._tested) < 1e-6:
            self._tested, self._strikes = -math.inf, max(0, self._strikes)
        elif not late:
            self._strikes += 1
            self._held_until = now + max(0.02 * self.length, 2 * _OVERTAKING) * 1.5**self._strikes
        return self._strikes <= _MOST_STRIKES


@attrs.frozen(kw_only=True)
class Cycle:
    """What was seen of one window, from its opening to the next; in seconds."""

    count: int
    used_in: float
    closed: float
    """When it was used up."""
    silence: float
    """From then until the last request that was refused."""
    shortest: float
    longest: float
    """Between which its length lies."""

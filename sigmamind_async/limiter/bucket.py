"""A platform as a token bucket: its rate and its burst, learned from what it refuses.

The bucket gains `rate` tokens a second, holds at most `burst`, and refuses a request when it holds
less than one. A refused request takes none. With N(s, e) requests admitted from s to e, and the
bucket empty at s0, it holds at e (Reich's formula)

    tokens(e) = min(rate (e - s0) - N(s0, e), min over s of burst + rate (e - s) - N(s, e))

which is less than 1 at a refusal. So each refusal gives

    rate = max((N(s0, e) + 1) / (e - s0), max over s of (N(s, e) + 1 - burst) / (e - s))

The first term counts if nothing overflowed since s0, the second if something did, in a pause longer
than burst / rate for instance. One of them is exact, so there is nothing to tell apart: no idle
time, ramp or pause. Until the first refusal the bucket was full, so that burst = N - rate t for the
largest of all stretches before it: with two refusals, both are known.

The estimate is a `center` and a `doubt`, the logarithm of the factor by which it may be wrong. A
refusal costs the requests that are refused with it and what overflows in its pause, (price / rate
+ lost) seconds; staying at the low end of the doubt costs a share 1 - exp(-doubt) of the time. The
two are equal after

    plateau = (price / center + lost) / (1 - exp(-doubt))

seconds, so that is when the rate reaches the center, from below, on the curve of TCP CUBIC in its
logarithm: center exp(swing x^3), where x is -1 at first and 0 after the plateau. The swing is the
doubt, or more where the burst makes up for it.

Other clients may use the same bucket. Then what is measured is this client's share of it, and it
changes with theirs: a measurement that is too far off to be noise leaves as much doubt.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from sigmamind_async.limiter.pacing import Stretches

SLOWEST: Final = 1 / 30
FASTEST: Final = 1e6
"""Bounds of the rate, in requests a second."""
LEAST_DOUBT: Final = 0.02
"""One refusal in 50 requests where refusals are free, else one pause in 50 times its length."""
LONG: Final = 2.0
"""Seconds of a wait that is no second rounded up: it shows when a window ends."""

_MOST_DOUBT: Final = 2.0
"""A factor of seven: after a measurement less is known only by accident."""
_EAGER_DOUBT: Final = 0.3
"""Least doubt while a refusal shows something else as well."""
_NOISE: Final = 0.01
"""Least noise of a measurement, from timers and the order in which requests arrive."""
_COARSE: Final = 0.1
"""Noise from which on a measurement only bounds the rate: it is of a few requests."""
_PRICE: Final = 0.8
"""Requests that a refused one costs: it is sent again, but tells something."""
_LEAST_PRICE: Final = 0.1
"""Seconds that a refusal costs at least. Of clients that share a limit, each is refused in
proportion to its requests; if all come back to the center in the same time, the fastest is refused
first, and their shares draw even. Were it the same number of requests, shares would stay."""
_LONGEST_PLATEAU: Final = 30.0
"""Seconds after which even the slowest rate is tried again where no wait is lost: it may have been
learned while other clients took all there was."""
_FAIR_UP_TO: Final = 20.0
"""Requests a second above which that is less, so that a fast limit is found fast."""
_MOST_SWING: Final = 0.2
"""Largest cut below the center where the burst takes it up, so that it costs nothing: what flows in
during half a plateau at half of it. A larger one draws shares even in fewer refusals."""
_STEEP: Final = 64.0
"""Past the center the curve is four times as fast (4^3): the refusal will come anyway."""
_STEEP_SWING: Final = 8.0
"""The same, twice as fast, of a swing that is more than the doubt."""
_UNSURE: Final = 0.25
_UNSURE_TOLD: Final = 0.5
"""Share of what it is off that is left as doubt then. Where waits are reported, refusals are fewer,
and the rate must be found again with each of them."""
_SLOWER: Final = 0.6
"""Share of the former rate below which less was saved up because the rate has changed."""
_COUNTED: Final = 8
"""Requests from which on a count says more than the wait."""
_CHANGED: Final = 2.0
"""Deviations, doubt and noise together, from which on the limit must have changed."""
_SPREAD: Final = 16.0
"""The first refusal without a wait leaves the rate within this factor below what was attempted."""
_FEW: Final = 50
"""Requests at once of which one refusal is more than the least doubt is worth."""
_TICK: Final = 1e-4
"""Shortest stretch that a rate is measured over, in seconds."""


@attrs.define
class TokenBucket:
    """What is known of one."""

    center: float = 0.0
    """The estimated rate, in requests a second; 0 before the first refusal."""
    doubt: float = LEAST_DOUBT
    swing: float = LEAST_DOUBT
    """Logarithm of the factor below the center at which the rate begins after a refusal."""
    burst: float = 1.0
    spare: float = math.inf
    """How much of the burst may be used at once."""
    price: float = 1.0
    """Requests that are refused together, on average."""
    plateau: float = 1.0
    """Seconds until the rate reaches the center."""
    _before: Stretches = attrs.field(factory=lambda: [(0.0, 1)])
    """Stretches up to the first refusal."""
    _replaced: tuple[Stretches, float, float] | None = None
    """Stretches, `spare` and `center` before less was saved up than thought, until it is known
    whether the burst or the rate was to blame."""
    _wait: float = 0.0
    """The wait that the latest refusal reported."""

    @property
    def low(self) -> float:
        """The low end of the doubt."""
        return self.center * math.exp(-self.doubt)

    def curve(self, seconds: float) -> float:
        """Return the rate after so many seconds in which requests waited for it."""
        x = seconds / self.plateau - 1.0
        steep = max(_STEEP * self.doubt, _STEEP_SWING * self.swing) if x > 0 else self.swing
        return self.center * math.exp(min(20.0, steep * x**3))

    def settle(self, pause: float, *, eager: bool = False) -> None:
        """Set how long the rate stays below the center after a refusal with that *pause*.

        Where refusals show something else as well, and so are worth having, be *eager*.
        """
        lost = max(0.0, pause - self.burst / self.center)
        if eager:
            lost, self.doubt = 0.0, max(_EAGER_DOUBT, self.doubt)
        price = _LEAST_PRICE * min(1.0, math.sqrt(_FAIR_UP_TO / self.center))
        price = max(_PRICE * self.price / self.center, price)
        share = -math.expm1(-self.doubt)
        self.plateau = min(price / share, _LONGEST_PLATEAU) + lost / share
        self.swing = self.doubt
        if not lost and pause < LONG:
            most = 2.0 * (self.burst - 1.0) / (self.plateau * self.center)
            self.swing = max(self.doubt, min(_MOST_SWING, most))

    def bracket(self, low: float, high: float) -> None:
        """Know nothing but that the rate lies between these."""
        low = min(FASTEST, max(SLOWEST, low))
        high = min(FASTEST, max(low, high))
        self.center = math.sqrt(low * high)
        self.doubt = max(LEAST_DOUBT, 0.5 * math.log(high / low))

    # --- what a refusal teaches --------------------------------------------------------------

    def begin(self, stretches: Stretches, *, attempted: float, seconds: float, wait: float) -> None:
        """Learn from the first refusal, after *seconds*, at the rate *attempted*."""
        count = stretches[-1][1] if stretches else 1
        low = count / (seconds + wait) if wait else attempted / _SPREAD
        self.bracket(low, max(low, attempted))
        self._before = stretches[:: -max(1, len(stretches) // 40)] or [(0.0, 1)]
        self._update_burst(wait)

    def use_less_at_once(self, count: int, *, seconds: float, wait: float) -> None:
        """Learn that less was saved up in a *wait* than thought, which says little of the rate."""
        is_known = self.doubt <= _EAGER_DOUBT
        self._replaced = (self._before, self.spare, self.center) if is_known else None
        low, high = max(1, count) / seconds, self.center * math.exp(self.doubt)
        burst = max(1.0, min(self._burst_at(low if wait >= LONG else self.center), count))
        if count < _FEW:
            self.spare = max(1.0, min(self.spare, burst) / 2)
            burst = max(self.spare, 0.75 * burst)
        elif wait < LONG and count >= self.burst:  # it cannot all have been the burst
            burst *= 0.9
        self._before = [(0.0, math.ceil(burst))]
        self.bracket(low, max(low, high))
        self._update_burst(wait)

    def measure(
        self, stretches: Stretches, *, seconds: float, asked: float, most: float, wait: float
    ) -> None:
        """Solve the equations for rate and burst, and weigh the solution by Kalman's rule.

        Args:
            stretches: Those since the bucket was empty.
            seconds: How long ago that was.
            asked: The rate at which the refused request was sent.
            most: A rate at which nothing passed; infinite if there is none.
            wait: Seconds that the refusal reported.
        """
        count = stretches[-1][1] if stretches else 0
        low, high = self._solve(stretches, count, seconds, min(1.001 * asked, most))
        if wait >= LONG and wait != self._wait and self._wait >= LONG and count < _COUNTED:
            # Waits that differ are no constant: the next will pass when this one ends.
            ends = seconds + wait
            self.bracket((count + 1) / ends, (count + self.burst) / (ends - 1.0))
        elif most < math.inf:  # the center is between that and what passed
            self.doubt = max(_EAGER_DOUBT, self.doubt)
        else:
            self._combine(low, high, count, wait)
        if self._replaced is not None:
            before, spare, center = self._replaced
            if self.center < _SLOWER * center:
                self._before, self.spare = before, spare
            self._replaced = None
        self._wait = wait
        self._update_burst(wait)
        if self.doubt < _COARSE:  # later, the rate may be another
            self._before = [(0.0, math.ceil(self.burst))]

    def _solve(
        self, stretches: Stretches, count: int, seconds: float, most: float
    ) -> tuple[float, float]:
        """Return between which the rate lies, as far as one request may be counted wrong."""
        rate = low = high = self.center
        for _ in range(4):
            low, high = max(count - 1, 0.5) / seconds, (count + 1) / seconds
            burst, later = self._burst_at(rate), stretches[0][0] if stretches else 0.0
            for ago, passed in stretches:
                high = max(high, (passed + 1 - burst) / max(_TICK, ago))
                if ago > later:
                    low = max(low, (passed - burst) / max(_TICK, ago - later))
            high = max(min(high, most), 0.5 / seconds)
            low = min(max(low, 0.25 * high), 0.999 * high)
            rate = math.sqrt(low * high)
        return low, high

    def _combine(self, low: float, high: float, count: int, wait: float) -> None:
        noise, uncounted = max(_NOISE, 0.5 * math.log(high / low)), 0.5 / (count + 1)
        if noise > _COARSE:
            least, most = self.low, self.center * math.exp(self.doubt)
            if low < most and high > least:
                low, high = max(low, least), min(high, most)
            self.bracket(low, high)
            self.doubt = max(self.doubt, uncounted)
            return
        off = math.log(math.sqrt(low * high) / self.center)
        gain = self.doubt**2 / (self.doubt**2 + noise**2)
        if abs(off) > _CHANGED * (self.doubt + noise):
            gain, noise = 1.0, max(noise, (_UNSURE_TOLD if wait else _UNSURE) * abs(off))
        self.center = min(FASTEST, max(SLOWEST, self.center * math.exp(gain * off)))
        self.doubt = max(LEAST_DOUBT, 0.5 * uncounted, min(_MOST_DOUBT, math.sqrt(gain) * noise))

    def _update_burst(self, wait: float) -> None:
        # A long wait is that of a window: then its rate is at the low end, and that is its size.
        self.burst = self._burst_at(self.low if wait >= LONG else self.center)

    def _burst_at(self, rate: float) -> float:
        """Return the burst, if that is the rate."""
        return max(1.0, *(count - rate * ago for ago, count in self._before))

"""A platform that says how long to wait, as a token bucket: rate and burst, learned from refusals.

The bucket gains `rate` tokens a second, holds at most `burst`, and refuses a request when it holds
less than one. A refused request takes none. With N(s, e) requests admitted from s to e, and the
bucket empty at s0, it holds at e (Reich's formula)

    tokens(e) = min(rate (e - s0) - N(s0, e), min over s of burst + rate (e - s) - N(s, e))

which is less than 1 at a refusal. So each refusal gives

    rate = max((N(s0, e) + 1) / (e - s0), max over s of (N(s, e) + 1 - burst) / (e - s))

The first term counts if nothing overflowed since s0, the second if something did, in a pause longer
than burst / rate for instance. Both are lower bounds and one of them is exact, so there is nothing
to tell apart: no idle time, ramp, pause or window (a bucket whose pause refills it). Until the
first refusal the bucket was full, so that burst = N - rate t for the largest of all stretches
before it: with two refusals, both are known.

The estimate is a `center` and a `doubt`, the logarithm of the factor by which it may be wrong. A
refusal costs a request and what overflows in its pause, (1 / rate + lost) seconds; staying at the
low end of the doubt costs a share 1 - exp(-doubt) of the time. The two are equal after

    plateau = (1 / center + lost) / (1 - exp(-doubt))

seconds, so that is when the rate reaches the center, from below, on the curve of TCP CUBIC in its
logarithm: center exp(doubt x^3), where x is -1 at first and 0 after the plateau. What the platform
has saved up in a pause goes at once, as far as the low end of the rate vouches for it.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from sigmamind_async.limiter.rate import LONG, Admitted, Pacing

LEAST_DOUBT: Final = 0.02
"""One refusal in 50 requests where refusals are free, else one pause in 50 times its length."""
MOST_DOUBT: Final = 2.0
"""A factor of seven: after a measurement less is known only by accident."""
EAGER_DOUBT: Final = 0.3
"""Least doubt while a refusal shows something else as well."""
NOISE: Final = 0.01
"""Least noise of a measurement, from timers and the order in which requests arrive."""
STEEP: Final = 64.0
"""Past the center the curve is four times as fast (4^3): the refusal will come anyway."""
GROWTH: Final = 0.7
"""Logarithm by which the rate may grow in one latency: what is under way when a refusal arrives."""
CHANGED: Final = 2.0
"""Deviations, doubt and noise together, from which on the limit must have changed."""
FEW: Final = 50
"""Requests at once of which one refusal is more than the least doubt is worth."""
SLOWEST: Final = 1 / 30
FASTEST: Final = 1e6
"""Bounds of the rate, in requests a second."""
_LATE: Final = 0.005
"""Seconds by which a timer may be late."""
_TICK: Final = 1e-4
"""Shortest stretch that a rate is measured over, in seconds."""
_PROBE: Final = 30.0
"""Longest wait between two requests, in seconds, beside the pauses that the platform asks for."""


@attrs.define
class Refusals:
    """One burst of refusals, until all that was under way is answered."""

    first: float
    """When the first refused request was sent."""
    last: float
    asked: float
    """The rate at which the first was sent; infinite if it was one of those saved up."""
    level: int
    """Requests under way."""
    pause: float
    """The longest wait that was reported."""


@attrs.define
class TokenBucketRate(Pacing):
    """Rate of a platform whose refusals report a wait."""

    center: float = 0.0
    """The estimated rate; 0 before the first refusal."""
    doubt: float = 1.0
    burst: float = 1.0
    spare: float = math.inf
    """How much of the burst may be used at once."""
    _before: list[tuple[float, int]] = attrs.field(factory=lambda: [(0.0, 1)])
    """Stretches up to the first refusal: how long before it they began, and what passed in them."""
    _plateau: float = 1.0
    _used: float = 0.0
    """Seconds of it that requests were held back for."""
    _tokens: float = 0.0
    """What the platform's bucket holds at least."""
    _at: float = 0.0
    """When that was; when the latest request went."""
    _saved: int = 0
    """Requests since the latest refusal that were not held back."""
    _empty: float = -math.inf
    """When the bucket was last known to be empty."""
    _new: Refusals | None = None
    """Refusals that are still to be learned from."""
    eager: bool = False
    """True while refusals show which kind of requests is limited, and so are worth having."""
    _in_a_row: int = 0
    """Bursts of refusals between which nothing passed."""
    _passed: int = 0

    @classmethod
    def after(cls, now: float, before: Pacing) -> TokenBucketRate:
        """Return a learner that continues where *before* has had its first wait reported."""
        new = cls(**{name: getattr(before, name) for name in attrs.fields_dict(Pacing)})
        new._empty = new.record.begins - _TICK
        if new.rate is not None:  # learned while no wait was reported: it was refused at that rate
            new._empty = new._at = now
            new._bracket(0.5 * new.rate, 1.25 * new.rate)
        return new

    def separate(self, now: float, share: float) -> TokenBucketRate:
        """Return a learner for requests that had this *share* of the rate, from a refusal on."""
        new = TokenBucketRate(rate=self.rate, latency=self.latency, width=math.inf, cut=now)
        new.burst, new._before, new._at, new._empty = self.burst, self._before, now, now
        new.pause(self.paused_until)
        new._bracket(0.8 * share * self.center, 1.25 * share * self.center)
        new._settle(0.0)
        return new

    @property
    def progress(self) -> int:
        """How many requests have passed since the last cut."""
        return self._passed

    # --- sending -----------------------------------------------------------------------------

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        if self._new is not None:
            self._learn(self._new)
        if self.rate is None:
            self.record.add(now, math.inf)
            self.ready: float = now
            return
        seconds = max(0.0, now - self._at)
        self._tokens = min(self._cap, self._tokens + seconds * self.rate)
        if self._tokens < 1.0 + _LATE * self.rate:
            self.record.add(now, 1.0 / max(seconds, 1e-6))
            self._grow(seconds)
        else:
            self.record.add(now, math.inf)
            self._saved += 1
        self._tokens -= 1.0
        self._at = now
        self._schedule(now)
        if self._in_a_row > 1:
            self.ready = max(self.ready, now + min(_PROBE, 2 * self.latency))

    @property
    def _cap(self) -> float:
        """What may go at once. Two less than the burst: the estimate may be one too high."""
        return max(1.0, min(self.spare, self.burst - 2))

    def _curve(self, used: float) -> float:
        x = used / self._plateau - 1.0
        return self.center * math.exp(min(20.0, self.doubt * x**3 * (STEEP if x > 0 else 1.0)))

    def _grow(self, seconds: float) -> None:
        if self._in_a_row > 1 or self.rate is None:
            return
        self._used += seconds
        most = self.rate * math.exp(min(1.0, GROWTH * seconds / (self.latency or 0.1)))
        self.rate: float | None = min(max(self.rate, self._curve(self._used)), most, FASTEST)

    def _schedule(self, now: float) -> None:
        """Set when the next request may go."""
        needed = 1.0 - self._tokens
        if needed <= 0 or self.rate is None:
            self.ready = now
            return
        wait = min(_PROBE, needed / self.rate)
        if self.doubt > 0.3 and wait > 0.01 and self._in_a_row < 2:
            # The rate grows much until then: find the time in which it lets one request pass.
            low, high = 0.0, wait
            for _ in range(10):
                middle = (low + high) / 2
                grown = self._curve(self._used + middle)
                if middle * (self.rate + grown) / 2 > needed:
                    high = middle
                else:
                    low = middle
            wait = high
        self.ready = now + wait

    # --- answers -----------------------------------------------------------------------------

    def pause(self, until: float) -> None:
        """Hold requests back until *until*."""
        self.paused_until: float = max(self.paused_until, until)

    def passed(self, now: float, ticket: Admitted) -> None:
        """Record a request that was answered."""
        self.measure_latency(now - ticket[0])
        self.width: float = self.width + 1.0
        if ticket[0] >= self.cut:
            self._passed += 1
            self._in_a_row = 0

    def refused(self, now: float, ticket: Admitted, pause: float, jitter: float = 1.0) -> float:
        """Record a refusal; return the seconds for which requests like it pause."""
        began, level = ticket[0], ticket[1]
        asked = self.record.strike(began)
        if began < self.cut:  # sent before the last cut: it answers this one, too
            if self._new is not None:
                if began < self._new.first:
                    self._new.first, self._new.asked = began, asked
                self._new.last = max(self._new.last, began)
                self._new.pause = max(self._new.pause, pause)
            self._drain(began)
            return pause
        self._in_a_row = self._in_a_row + 1
        self._new = Refusals(began, began, asked, level, pause)
        self._drain(began)
        if not pause and self._in_a_row > 1:
            closed = (0.75 + 0.5 * jitter) * 0.5 * (now - self.cut)
            self.ready = max(self.ready, now + min(_PROBE, closed))
        self.cut: float = now
        self._passed = 0
        return pause

    def _drain(self, at: float) -> None:
        """Note that the bucket was empty when a request was sent at *at*."""
        if self.rate is not None:
            self._tokens = max(-3.0, -float(self.record.count(at, math.inf)))
            self._at = max(self._at, at)
            self._schedule(self._at)

    # --- learning ----------------------------------------------------------------------------

    def _learn(self, new: Refusals) -> None:
        """Learn from a burst of refusals, now that all that was under way is answered."""
        self._new = None
        stretches = self.record.stretches(self._empty, new.first)
        count = stretches[-1][1] if stretches else 0
        seconds = max(1e-3, new.first - self._empty)
        saved, self._saved = self._saved, 0
        if self.rate is None:
            low = max(count, 1) / (seconds + new.pause)
            self._bracket(low, max(low, max(new.level, count) / (self.latency or 0.1)))
            self._before = stretches[:: -max(1, len(stretches) // 40)] or [(0.0, 1)]
        elif self._empty >= new.first:
            pass  # sent before anything was measured
        elif new.pause and (new.asked == math.inf or 3 < saved > count - saved):
            self._use_less_at_once(count, seconds, new.pause)
        else:
            self._measure(stretches, count, seconds, new.asked)
        # A long wait is that of a window: then its rate is at the low end, and that is its size.
        doubt = self.doubt if new.pause >= LONG else 0.0
        self.burst = self._burst_at(self.center * math.exp(-doubt))
        self._settle(new.pause)
        self._at = max(self._at, new.last)
        self._drain(new.last)
        self._empty = new.last
        self.record.forget(new.last)

    def _use_less_at_once(self, count: int, seconds: float, pause: float) -> None:
        """Learn that less was saved up than thought, which says little of the rate."""
        low, high = max(1, count) / seconds, self.center * math.exp(self.doubt)
        burst = max(1.0, min(self._burst_at(low if pause >= LONG else self.center), count))
        if count < FEW:
            self.spare = max(1.0, min(self.spare, burst) / 2)
            burst = max(self.spare, 0.75 * burst)
        self._before = [(0.0, math.ceil(burst))]
        self._bracket(low, max(low, high, self.rate or 0.0))

    def _measure(
        self, stretches: list[tuple[float, int]], count: int, seconds: float, asked: float
    ) -> None:
        """Solve the equations for rate and burst, and weigh the solution by Kalman's rule."""
        rate = low = high = self.center
        for _ in range(4):
            low, high = max(count - 1, 0.5) / seconds, (count + 1) / seconds
            burst, later = self._burst_at(rate), stretches[0][0] if stretches else 0.0
            for ago, passed in stretches:
                high = max(high, (passed + 1 - burst) / max(_TICK, ago))
                if ago > later:
                    low = max(low, (passed - burst) / max(_TICK, ago - later))
            high = max(min(high, 1.001 * asked), 0.5 / seconds)
            low = min(max(low, 0.25 * high), 0.999 * high)
            rate = math.sqrt(low * high)
        noise, off = max(NOISE, 0.5 * math.log(high / low)), math.log(rate / self.center)
        gain = self.doubt**2 / (self.doubt**2 + noise**2)
        if abs(off) > CHANGED * (self.doubt + noise):
            gain = 1.0
        self.center = min(FASTEST, max(SLOWEST, self.center * math.exp(gain * off)))
        self.doubt = max(LEAST_DOUBT, min(MOST_DOUBT, math.sqrt(gain) * noise))

    def _bracket(self, low: float, high: float) -> None:
        low = min(FASTEST, max(SLOWEST, low))
        high = min(FASTEST, max(low, high))
        self.center = math.sqrt(low * high)
        self.doubt = max(LEAST_DOUBT, 0.5 * math.log(high / low))

    def _burst_at(self, rate: float) -> float:
        """Return the burst, if that is the rate."""
        return max(1.0, *(count - rate * ago for ago, count in self._before))

    def _settle(self, pause: float) -> None:
        """Begin at the low end of the doubt, and set how long the rate stays below the center."""
        lost = max(0.0, pause - self.burst / self.center)
        if self.eager:
            lost, self.doubt = 0.0, max(EAGER_DOUBT, self.doubt)
        self._plateau = (1.0 / self.center + lost) / -math.expm1(-self.doubt)
        self._used = 0.0
        self.rate = max(SLOWEST, self._curve(0.0))

"""How fast and how many at once: what a platform admits, learned from what it refuses.

Platforms do not publish these limits, and they differ in kind. `AdaptiveRate` takes each for a
`TokenBucket`, whose rate and burst it learns, and paces requests by a bucket of its own: a request
goes when that holds a token. It fills at the current rate and is emptied at each refusal. After a
pause, as many requests go at once as the platform has saved up by the low end of the estimate.

Where nothing passes for longer than a bucket would need for a token, slower is no better: then
single requests try, ever later, and once they pass twice as many go each time, until as many have
gone as before. What has passed by the next refusal shows whether it was a slow bucket, a window, or
an outage.

Three detectors tell limits that are no bucket: `ConcurrencyLimit`, `WindowLimit`, `RandomRefusals`.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math
from typing import Final, Self

import attrs

from sigmamind_async.limiter.bucket import FASTEST, SLOWEST, TokenBucket
from sigmamind_async.limiter.detectors import ConcurrencyLimit, RandomRefusals, WindowLimit
from sigmamind_async.limiter.pacing import Admitted, Pacing, SendRecord
from sigmamind_async.responses.headers import Policy

GROWTH: Final = 0.7
"""Logarithm by which the rate may grow in one latency: what is under way when a refusal arrives."""

_LATE: Final = 0.005
"""Seconds by which a timer may be late without slowing the rate."""
_LONGEST_WAIT: Final = 30.0
"""Longest wait between two requests, in seconds, beside the pauses that the platform asks for."""
_MOST_BEHIND: Final = 3.0
"""Requests that were sent after a refused one, at most, for which the next has to wait."""
_SPREAD_LATENCIES: Final = 1.0
_SPREAD_SHARE: Final = 0.03
"""Over so many latencies, and that share of the wait before it, what was saved up is spread."""
_LEAST_STEP: Final = 0.3
"""Logarithm by which each request may raise the rate at least; half the doubt, if that is more. A
curve that is coarser between two requests of a slow limit teaches nothing."""
_SLOW: Final = 1.0
_SLOW_STEP: Final = 0.7
"""The same below one request a second, where a refusal reports no wait and costs little: a client
soon leaves a rate near nothing that it learned while others took all there was."""
_TOKENS_MISSED: Final = 3.0
"""Tokens that a bucket must have failed to gain before it is taken for closed: another client may
have had one or two."""
_UNKNOWN_LATENCY: Final = 0.1
"""Seconds, until a request has passed."""


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
    wait: float
    """The longest wait that was reported; 0 if none."""
    was_full: bool = False
    """True if more passed before it than any bucket can have gained."""


@attrs.define
class Opening:
    """What is known while requests begin to pass again where nothing did."""

    closed: float
    """When the bucket was last seen to be empty before that."""
    most: float
    """The rate of the fastest bucket that could have admitted nothing."""
    left: int
    """Requests that may go at once."""
    center: float
    doubt: float
    """What was known before it closed."""

    def explains(self, count: int, now: float) -> bool:
        """Return whether a bucket can have admitted so many since it was empty."""
        return count <= 1.5 + self.most * (now - self.closed)


def _known_bucket(rate: AdaptiveRate) -> TokenBucket:
    if rate.rate is None:
        return TokenBucket(doubt=1.0)
    known = TokenBucket(center=rate.rate)
    known.settle(0.0)
    return known


@attrs.define
class AdaptiveRate(Pacing):
    """Rate and width of one platform's requests."""

    bucket: TokenBucket = attrs.field(default=attrs.Factory(_known_bucket, takes_self=True))
    window: WindowLimit = attrs.field(factory=WindowLimit)
    _record: SendRecord = attrs.field(factory=SendRecord, repr=False, alias="record")
    _concurrency: ConcurrencyLimit = attrs.field(factory=ConcurrencyLimit)
    _lot: RandomRefusals = attrs.field(factory=RandomRefusals)
    _opening: Opening | None = None
    _new: Refusals | None = None
    """Refusals that are still to be learned from."""
    _passed: int = 0
    """Requests that have passed since the cut."""
    _tokens: float = 0.0
    """What the platform's bucket holds at least."""
    _at: float = 0.0
    """When that was; when the latest request went."""
    _used: float = 0.0
    """Seconds since the cut in which requests waited for the rate."""
    _passed_at: float = -math.inf
    """When the latest request was answered that has passed since the cut."""
    _saved: int = 0
    """Requests since the latest refusal that did not."""
    _emptied: float = -math.inf
    """When the bucket was last known to be empty, and counted from."""
    _refused_at: float = -math.inf
    """When the latest refused request was sent."""
    _closed: float = 0.0
    """When the first was refused since anything passed."""
    _in_a_row: int = 0
    """Refusals since then."""
    _together: int = 0
    """Those since the latest that was learned from."""
    _is_silent: bool = True
    """True if the latest reported no wait."""
    _wait: float = 0.0
    """The wait that it reported."""
    _jitter: float = 0.5
    _policy: Policy | None = None
    """What the platform states."""

    @property
    def progress(self) -> int:
        """How many requests have passed since the last cut."""
        return self._passed

    # --- sending -----------------------------------------------------------------------------

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        if self._new is not None:
            self._learn(self._new)
        if self.window.opened == math.inf:
            self._begin(now)
        if self.rate is None:
            self._record.add(now, math.inf)
            self.ready = now
        elif self.window.size:
            self.ready = self.window.take(now)
        else:
            self._pace(now, self.rate)

    def _begin(self, now: float) -> None:
        """Count from the first request on."""
        self.window.opened = self._at = now
        self._emptied = now - 1e-4

    def _pace(self, now: float, rate: float) -> None:
        seconds = now - self._at if now > self._at else 0.0
        tokens, most = self._tokens + seconds * rate, 1.0
        if tokens > most:
            most = self._capacity(now, rate)
            tokens = min(tokens, most)
        if tokens < 1.0 + _LATE * rate:
            self._record.add(now, 1.0 / (seconds or 1e-6))
            if self.lag:  # it may have waited to be asked for, which says nothing of the rate
                seconds = min(seconds, max(0.0, 1.0 - self._tokens) / rate + _LATE)
            self._grow(now, rate, seconds)
        else:
            self._record.add(now, math.inf)
            self._saved += 1
        self._tokens, self._at = tokens - 1.0, now
        self._schedule(now)
        if self._in_a_row > 1 and self._is_silent:
            self.ready = max(self.ready, self.window.next_try(now, self._jitter))

    def _grow(self, now: float, rate: float, seconds: float) -> None:
        """Follow the curve: up to the center at once, past it only while requests pass."""
        is_confirmed = now - self._passed_at < 2.0 * (self.latency + self.lag + 1.0 / rate)
        most = math.inf if is_confirmed else self.bucket.center
        if self._policy is not None:
            most = min(most, self._policy.rate)
        if self._in_a_row < 2 and rate < most:
            self.rate = min(self._grown(rate, seconds), most)
            self._used += seconds

    def _capacity(self, now: float, rate: float) -> float:
        """Return what may go at once. Two less than the burst: it may be one too high."""
        late = now - self.ready
        least = 1.0 + late * rate if 0.0 < late < _LATE else 1.0
        if self._is_silent:
            saved = float(self._opening.left) if self._opening else 1.0
        else:
            saved = min(self.bucket.spare, self.bucket.burst - 2)
        return max(least, saved)

    def _grown(self, rate: float, seconds: float) -> float:
        step = _SLOW_STEP if rate < _SLOW and self._is_silent else _LEAST_STEP
        most = rate * math.exp(max(step, 0.5 * self.bucket.doubt))
        grown = min(most, max(rate, self.bucket.curve(self._used + seconds)))
        growth = GROWTH * seconds / (self.lag + (self.latency or _UNKNOWN_LATENCY))
        if grown > rate * (1.0 + growth):  # less than the exponential, which takes longer
            grown = min(grown, rate * math.exp(min(1.0, growth)))
        return min(grown, FASTEST)

    def _schedule(self, now: float) -> None:
        """Set when the next request may go."""
        needed, rate = 1.0 - self._tokens, self.rate
        if needed <= 0 or rate is None:
            self.ready = now
            if rate is not None and not self._is_silent:
                # The first that is refused stops the others, if they do not all go at one moment.
                spread = min(_SPREAD_LATENCIES * self.latency, _SPREAD_SHARE * self._wait)
                self.ready += min(spread / self.bucket.burst, 0.5 / rate)
            return
        wait = min(_LONGEST_WAIT, needed / rate)
        if self.bucket.doubt > 0.3 and wait > 0.01 and self._in_a_row < 2:
            # The rate grows much until then: find the time in which it lets one request pass.
            low, high = 0.0, wait
            for _ in range(10):
                wait = (low + high) / 2
                if wait * (rate + self._grown(rate, wait)) / 2 > needed:
                    high = wait
                else:
                    low = wait
            wait = high
        self.ready = now + wait

    # --- what passes -------------------------------------------------------------------------

    def passed(self, now: float, ticket: Admitted) -> None:
        """Record a request that was answered."""
        began, level = ticket[0], ticket[1]
        self.measure_latency(now - began)
        if not self._concurrency.is_found:
            self.width += 0.5
        elif level + 1 > self.width:
            cost = 1.0 + self._wait * level / max(self.latency, 0.001)
            self.width += min(0.5, 0.012 / cost * (1.0 + (self._passed / (100.0 * cost)) ** 2))
        if self.window.size:
            if self.window.passed(began):
                self.ready = self.window.ready(now)
            else:
                self._leave_window(now)
            return
        self._lot.passed()
        if began <= self.cut:
            return
        self._passed += 1
        self._passed_at = now
        if self._concurrency.most:  # else none was refused, and this is done for each call
            self._concurrency.passed(level)
        if self.rate is None:
            return
        if self._in_a_row:
            self._open(now, began)
        if self._opening is not None and self._opening.left:
            self._continue_opening(now, self._opening)

    def _open(self, now: float, began: float) -> None:
        """Record that requests pass again."""
        silence, bucket = self._refused_at - self._closed, self.bucket
        tried, self._in_a_row = self._in_a_row > 1, 0
        if tried and silence * bucket.low >= _TOKENS_MISSED:
            # Nothing passed, however slow.
            most, count = 1.0 / silence, self.window.count
            left = max(2, count)  # so slow a bucket admits no second one at once
            self._opening = Opening(self._closed, most, left, bucket.center, bucket.doubt)
            bucket.bracket(0.5 / (began - self._closed), most)
            bucket.doubt = max(0.7, bucket.doubt)  # it may as well have been an outage
            self._settle(0.0)
            self._emptied = self._refused_at
            self._record.forget(self._refused_at)
        self.window.open(began)
        if tried:
            self._schedule(now)

    def _continue_opening(self, now: float, opening: Opening) -> None:
        """Let two requests go for each that passes, until as many have gone as before."""
        opening.left -= 1
        self._tokens += 2.0
        if not opening.left:
            self._restore(opening)
            self._settle(0.0)
        self._schedule(now)

    def _restore(self, opening: Opening) -> None:
        """Go on from what was known before nothing passed: it was an outage."""
        self.bucket.center, self.bucket.doubt = opening.center, opening.doubt
        self._opening = None

    # --- what is refused ---------------------------------------------------------------------

    def refused(self, now: float, ticket: Admitted, wait: float, jitter: float = 0.5) -> float:
        """Record a refusal that reported *wait*, 0 if none; return the seconds to pause.

        *jitter* is a random number from 0 to 1.
        """
        self._jitter = jitter
        began, level = ticket[0], ticket[1]
        self._is_silent, self._wait = not wait, wait
        late = began <= self.cut
        if self.window.size:
            if self.window.refused(now, began, late=late):
                self.ready = self.window.ready(now)
            else:
                self._leave_window(now)
            self.cut = max(self.cut, now if not late else self.cut)
            return wait
        asked = self._record.strike(began)
        self._together += 1
        if late:  # it answers the last cut, too
            self._add(began, asked, wait)
        elif self._is_crowded(now, began, level):
            self._narrow(now, began)
        elif self.rate is None and self.bucket.center:  # it was no limit on what is under way
            self._restart_empty(now)
        elif self.rate is not None or wait or not self._lot.forgives():
            self._slow_down(now, Refusals(began, began, asked, level, wait))
        self.ready = max(self.ready, now)  # nothing is late: the refusal has only just come
        return wait

    def _add(self, began: float, asked: float, wait: float) -> None:
        new = self._new
        if new is not None:
            if began < new.first:
                new.first, new.asked = began, asked
            new.last, new.wait = max(new.last, began), max(new.wait, wait)
        self._drain(began)

    def _is_crowded(self, now: float, began: float, level: int) -> bool:
        # Those sent in the same moment may arrive in any order.
        level = max(level, self._record.count(began - 1e-6, began + _LATE) + 1)
        return self._concurrency.refused(now, began, level, told=self._wait > 0)

    def _narrow(self, now: float, began: float) -> None:
        """Let the width alone hold requests back."""
        most = self._concurrency.most
        self.width = max(1.0, most - max(1, round(0.05 * most)))
        self.rate = None
        self._emptied = began
        self._record.forget(began)
        self._cut(now)

    def _slow_down(self, now: float, new: Refusals) -> None:
        began, opening = new.first, self._opening
        count = self._record.count(self._refused_at, began)
        if count and not new.wait and self._is_known(0.1):
            below = new.asked < self.bucket.center * math.exp(-0.1 * self.bucket.swing)
            if self._lot.tolerates(below=below):
                self._together -= 1
                return
        if opening is not None:
            opening.left = 0
            if count and not opening.explains(count, began):
                self._restore(opening)
                new.was_full = True
        if count or not self._in_a_row:
            self._closed, self._in_a_row = began, 1
        self._refused_at = max(self._refused_at, began)
        self._cut(now)
        if not count and self.bucket.center:
            self._in_a_row += 1
            self.window.refuse(began)
            self._drain(began)
            if not new.wait:
                self.ready = max(self.ready, self.window.next_try(now, self._jitter))
            return
        self._new = new
        if self.bucket.center and not new.wait:
            self._learn(new)
        elif self.rate is None and not new.wait:
            self.rate = 1.0  # until the requests under way are answered
            self.ready = now + (self.latency or now - began)
        else:
            self._drain(began)

    def _is_known(self, doubt: float) -> bool:
        return bool(self.bucket.center) and self.bucket.doubt < doubt

    def _cut(self, now: float) -> None:
        self.cut, self._passed, self._passed_at = now, 0, -math.inf

    def _drain(self, at: float) -> None:
        """Note that the bucket was empty when a request was sent at *at*."""
        if self.bucket.center:
            self._tokens = max(-_MOST_BEHIND, -float(self._record.count(at, math.inf)))
            self._at = max(self._at, at)
            self._schedule(self._at)

    def _leave_window(self, now: float) -> None:
        """Go on as a bucket where a window has been disproved."""
        size = self.window.size / self.window.length
        self.window = WindowLimit(opened=now, count=self.window.size)
        self.bucket.bracket(0.5 * size, 4 * size)
        self._restart_empty(now)

    def _restart_empty(self, now: float) -> None:
        """Begin with an empty bucket at the low end of what is known."""
        self._record.forget(now)
        self._tokens, self._in_a_row = 0.0, 0
        self.restart(now)
        self._schedule(now)

    # --- several processes -------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """True if nothing passes however slow, so that one request at a time tries."""
        return self._in_a_row > 1 and self._is_silent

    def insert(self, at: float) -> None:
        """Count a request that another process has sent without being held back."""
        if not self.bucket.center and at < self.window.opened:
            self._begin(at)
        if self.window.size:
            self.window.insert(at)
        else:
            self._record.insert(at)

    def withdraw(self, at: float) -> None:
        """Take back a request that was counted for that time, and was not sent."""
        self._record.strike(at)
        self.window.withdraw(at)

    # --- learning ----------------------------------------------------------------------------

    def _learn(self, new: Refusals) -> None:
        """Learn from a burst of refusals; if a wait was reported, all under way are answered."""
        self._new, bucket = None, self.bucket
        stretches = self._record.stretches(self._emptied, new.first)
        count = stretches[-1][1] if stretches else 0
        seconds = max(1e-3, new.first - self._emptied)
        saved, self._saved = self._saved, 0
        if bucket.center and not new.wait:  # of a pause, the requests are the least price
            bucket.price += (max(1, self._together) - bucket.price) / 4
        self._together = 0
        if bucket.center and new.wait and not count:  # the wait before was too short
            self.window.refuse(new.first)
            self._in_a_row += 1
            self._drain(new.last)
            return
        if count:
            sent = self._record.times(new.first)
            if self.window.close(new.first, count, wait=new.wait, sent=sent):
                bucket.center = self.rate = self.window.size / self.window.length
                self.ready = self.window.ready(new.first)
                return
        most = self._opening.most if self._opening is not None else math.inf
        self._opening = None
        if not bucket.center:
            attempted = max(new.level, count) / (self.latency or _UNKNOWN_LATENCY)
            bucket.begin(stretches, attempted=attempted, seconds=seconds, wait=new.wait)
        elif new.was_full or self._emptied >= new.first:
            pass  # nothing can be measured
        elif new.wait and saved > 1 and (new.asked == math.inf or 3 < saved > count - saved):
            bucket.use_less_at_once(count, seconds=seconds, wait=new.wait)
        else:
            bucket.measure(stretches, seconds=seconds, asked=new.asked, most=most, wait=new.wait)
        self._settle(new.wait)
        self._drain(new.last)
        self._emptied = new.last
        self._refused_at = max(self._refused_at, new.last)
        self._record.forget(new.last)

    def _settle(self, wait: float) -> None:
        """Begin at the low end of the doubt."""
        self.bucket.settle(wait, eager=self.eager and wait > 0)
        self._used = 0.0
        self.rate = max(SLOWEST, self.bucket.curve(0.0))

    # --- one account, several limits and gates -----------------------------------------------

    def separate(self, now: float, share: float) -> Self:
        """Return a learner for requests that had this *share* of the rate, from a refusal on."""
        new = type(self)(latency=self.latency, width=math.inf, paused_until=self.paused_until)
        if not self.bucket.center:
            return new
        rate = share * self.bucket.center
        new.bucket = attrs.evolve(self.bucket, spare=math.inf, price=1.0)
        new.bucket.bracket(0.8 * rate, 1.25 * rate)
        new.restart(now)
        return new

    def follow(self, now: float, policy: Policy, left: float) -> None:
        """Keep to a *policy* that the platform states, with so many requests *left* at once."""
        if policy == self._policy:
            return
        self._policy, self._is_silent = policy, False
        self.bucket = TokenBucket(center=policy.rate, burst=policy.burst)
        self.restart(now)
        self.rate, self._tokens = policy.rate, min(left, policy.burst - 2)
        self._schedule(now)

    def restart(self, now: float) -> None:
        """Begin at the low end of what is known, as after a refusal at that time."""
        self.cut = now
        self.window.opened = self._at = self._emptied = self._refused_at = self._closed = now
        self._settle(0.0)

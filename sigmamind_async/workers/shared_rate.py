"""How fast several processes may send together: one rate, learned from what all of them report.

The learner of a single process (`limiter.rate`) counts each request that it sends. Here each
process sees its own requests, and of the others only how many went and passed. So one measure
serves: how many passed, and in what time, since the last refusal. A bucket that was empty at both
ends of that time, or a window that was used up, has passed exactly what it admits. A refusal sets
the rate to between what was *delivered* and what was attempted; the next one halves the
uncertainty, and a rate that was found is cut by a few percent, not by a third.

After a cut the rate returns quickly to just below where it was refused, stays there, and then rises
ever faster, in case the limit has grown: the curve of TCP CUBIC (RFC 9438). It stays for a number
of requests, chosen so that about one in fifty is refused; where a refusal pauses all requests, it
stays for a number of seconds. Refusals rarer than one in fifty cut nothing: they cost less than a
slower rate, and may be random. Where they do not become rarer at half the rate, more are tolerated.

A platform that counts the requests under way refuses at one same number of them: that sets the
width instead. Where nothing passes at all, slower is no better: then there are pauses, longer every
time, and one request after each. If that was the end of a window, what passed from one opening to
the next is its rate; from the second on, the pause lasts until it opens.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math

import attrs

from sigmamind_async.limiter.bucket import LONG
from sigmamind_async.limiter.detectors import ConcurrencyLimit
from sigmamind_async.limiter.pacing import Admitted, Pacing
from sigmamind_async.limiter.snapshot import RateSnapshot

SLOWEST = 0.2
"""Requests a second below which no cut goes."""
TOLERATED = 0.02
"""Share of refusals that cut nothing, as long as the platform asks for no wait."""
MOST_TOLERATED = 0.045
"""The same where refusals did not become rarer at half the rate."""
IDLE = 5.0
"""Seconds without a request after which earlier successes prove nothing."""

_LATE = 0.005
"""Seconds by which a timer may be late without slowing the rate."""
_SETTLED = 1e9
"""A `_spell` that is bounded by what its rate allows."""


@attrs.define
class FixedWindow:
    """A window that is used up, and then admits nothing until the next begins."""

    is_closed: bool = False
    """True if nothing passes at any rate."""
    length: float = 0.0
    """Seconds from one opening to the next, once it has repeated; 0 until then."""
    _opened: float = math.inf
    """When requests last began to pass again, or the first one went."""
    _admitted: int = 0
    """Requests that passed since then."""
    _used_up: float = 0.0
    """When the last refusal came that followed a success."""
    _in_one_go: int = 0
    """How many had passed before it."""
    _latest: float = 0.0
    """Seconds between the latest two openings."""
    _refused: int = 0
    """Cuts in a row between which nothing passed."""
    _probes: int = 0
    """Requests that were tried since it closed."""

    def begin(self, at: float, admitted: int) -> None:
        """Take *at* for the first opening, unless there has been one."""
        if self._opened == math.inf:
            self._opened, self._admitted = at, admitted

    def passed(self, count: int = 1) -> None:
        """Record requests that passed."""
        self._admitted += count

    def refused(self, now: float, passed: int, *, is_known: bool) -> bool:
        """Record a cut after *passed* requests; return whether nothing passes, however slow.

        Where no rate is known that passed, a slower one may still be all that it takes.
        """
        if passed:
            self._refused, self._used_up, self._in_one_go = 0, now, passed
            return False
        self._refused += 1
        enough = 3 if is_known or self._in_one_go > 7 else 12
        self.is_closed = self._refused > (1 if self.length else enough)
        return self.is_closed

    def next_try(self, now: float, jitter: float) -> float:
        """Return the seconds until one request should try: ever longer, or until it opens."""
        pause = (0.5 + 0.5 * jitter) * min(10.0, 0.5 * 2.0 ** min(self._probes, 20))
        if self.length and not self._probes:
            pause = max(pause, self._opened + 0.96 * self.length - now)
        self._probes += 1
        return pause

    def reopen(self, now: float) -> float | None:
        """Record that a request passes again; return the window's rate if it was one's end."""
        seconds, closed = max(0.001, now - self._opened), now - self._used_up
        rate, again = (
            0.99 * self._admitted / seconds,
            0.5 * self._latest < seconds < 1.3 * self._latest,
        )
        is_window = again or (closed > 0.5 * seconds and self._in_one_go > 7)
        if is_window:
            self.length = min(seconds, 300.0) if again else 0.0
            self._latest = seconds
        self._opened, self._admitted = now, 0
        self.is_closed, self._refused, self._probes = False, 0, 0
        return rate if is_window else None


@attrs.define
class SharedRate(Pacing):
    """Rate and width of one platform's requests, which several processes share."""

    _passed: int = 0
    """Those of the requests sent since the last cut that passed."""
    _sent: int = 0
    _since: float = -math.inf
    """When the first of those was sent, not counting a pause."""
    _tolerated: float = TOLERATED
    """Share of refusals that cuts nothing here."""
    _credit: float = 2.0
    """Refusals that may be tolerated."""
    _spell: float = 4.0
    """Requests for which the rate stays about where it is."""
    _goal: float = 0.0
    """The rate to return to at once."""
    _held_back: bool = False
    """True if requests wait for the rate, so that a faster one would show."""
    _known: float = 0.0
    """A rate that passed; 0 until one is found."""
    _best: float = 0.0
    """The fastest that passed, fading when refusals come at much less."""
    _usual: float = SLOWEST
    """The rate before cuts that nothing passed between."""
    _concurrency: ConcurrencyLimit = attrs.field(factory=ConcurrencyLimit)
    _window: FixedWindow = attrs.field(factory=FixedWindow)

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        late = now - self.ready
        if late > IDLE:
            self._since, self._passed, self._sent = now, 0, 0
        self._sent += 1
        if self.rate is None:
            self.ready = now
            return
        spacing = 1.0 / self.rate
        self._held_back = late < spacing
        self.ready = spacing + (self.ready if late < _LATE else now - _LATE)

    def pause(self, until: float) -> None:
        """Hold requests back until *until*; then let them go one by one, not all at once."""
        self.paused_until = max(self.paused_until, until)
        self.ready = max(self.ready, until)
        self._since = max(self._since, until)

    def passed(self, now: float, ticket: Admitted) -> None:
        """Record a request that was answered."""
        self.measure_latency(now - ticket[0])
        if self.rate is None:  # all that there is to learn before the first cut
            self._passed += 1
            self.width += 1.0
            if self._credit < 10.0:
                self._credit += self._tolerated
        else:
            self._climb(now, ticket[0], ticket[1])

    def _climb(self, now: float, began: float, level: int) -> None:
        """Let rate and width rise for a request that passed."""
        self._window.passed()
        if began < self.cut:
            return
        self._passed += 1
        if self._window.is_closed:
            self._reopen(now)
        self._concurrency.passed(level)
        if self._credit < 10.0:
            self._credit += self._tolerated
        if not self._concurrency.is_found:
            self.width += 1.0
        elif level + 1 > self.width:
            self.width += min(0.5, 0.012 * (1.0 + (self._passed / 100.0) ** 2))
        if self._held_back and self.rate is not None:
            self.rate += self._growth(self.rate)

    def separate(self, now: float, share: float) -> SharedRate:
        """Return a learner for requests that had this *share* of the rate."""
        rate = None if self.rate is None else max(SLOWEST, self.rate * share)
        return SharedRate(rate=rate, width=math.inf, cut=now)

    # --- one account, several gates ----------------------------------------------------------

    @property
    def progress(self) -> int:
        """How many requests have passed since the last cut."""
        return self._passed

    def snapshot(self) -> RateSnapshot:
        """Return what other gates need to continue as this one does after its latest cut."""
        return RateSnapshot(
            probation=self._spell,
            target_rate=self._goal,
            known_rate=self._known,
            best_rate=self._best,
            usual_rate=self._usual,
            tolerated=self._tolerated,
        )

    def adopt(self, now: float, rate: float, snapshot: RateSnapshot | None) -> None:
        """Take over a cut that another gate of the account has made, with what it has learned."""
        self.rate = rate
        if snapshot is not None:
            self._spell, self._goal = snapshot.probation, snapshot.target_rate
            self._known, self._best = snapshot.known_rate, snapshot.best_rate
            self._usual, self._tolerated = snapshot.usual_rate, snapshot.tolerated
        self._since = now
        self.cut = now
        self._passed, self._sent, self._credit = 0, 0, 0.0

    def agree(self, rate: float | None, since: float, sent: int, passed: int) -> None:
        """Take over what all gates of the account count together since the latest cut."""
        self._window.passed(max(0, passed - self._passed))
        self.rate, self._since, self._sent, self._passed = rate, since, sent, passed

    def _growth(self, rate: float) -> float:
        """Return by how much one success raises the rate."""
        # Not faster than the responses under way can confirm.
        spell = max(self._spell, 2.0 * rate * self.latency)
        if rate < self._goal:
            return 4.0 * (self._goal - rate) / spell + 0.03 * rate / spell
        spells = self._passed / spell
        return rate * min(0.5, 0.05 + 0.15 * spells * spells + max(0.0, spells - 1.0) ** 2) / spell

    def refused(self, now: float, ticket: Admitted, wait: float, jitter: float = 0.5) -> float:
        """Record a refusal that reported *wait*, 0 if none; return the seconds to pause.

        *jitter* is a random number from 0 to 1.
        """
        began, level, pause = ticket[0], ticket[1], wait
        if began < self.cut:  # sent before the last cut: it answers this one, too
            return pause
        if not pause and self._credit >= 1.0:
            self._credit -= 1.0
            return pause
        is_full = bool(self._known) and self._concurrency.refused(level)
        if is_full and (not pause or self._passed > 4 * level):
            self.width = level - 1.0
            self._speed_up(level)
        elif not pause and self._window.refused(now, self._passed, is_known=bool(self._known)):
            self.rate = 1.0  # one request at a time, to see
            pause = self._window.next_try(now, jitter)
        else:
            self._slow_down(now, level, now - began, pause)
        self._since, self.cut = now, now
        self._passed, self._sent, self._credit = 0, 0, 0.0
        return pause

    def _speed_up(self, level: int) -> None:
        """Let the width alone hold requests back, step by step."""
        rate = self.rate or SLOWEST
        self.rate = max(rate, min(1.1 * rate, 2.0 * level / max(self.latency, 0.001)))

    def _reopen(self, now: float) -> None:
        """Continue after a time when nothing passed; if that was a window's end, at its rate."""
        usual, rate = max(self._usual, self.rate or 0.0), self._window.reopen(now)
        if rate is not None:
            usual = self._best = max(SLOWEST, min(usual, rate))
            self._spell = _spell(usual, 0.0, self._window.length)
        self.rate = self._usual = usual
        self._known, self._goal = self._known and usual, 0.0

    def _slow_down(self, now: float, level: int, took: float, pause: float) -> None:
        """Set the rate to between what was delivered and what was attempted."""
        self._window.begin(self._since, self._passed)
        asked = self._asked(level, took)
        delivered = self._delivered(now, pause)
        if self._is_lot(asked, delivered) and not pause:
            self._spell, self._goal = 4.0, 0.0
            self._tolerated = min(MOST_TOLERATED, 1.5 * self._tolerated)
            return
        if pause >= LONG and self.rate is None:
            delivered = (self._passed + level) / (now - self._since + pause)
        self.rate = max(SLOWEST, self._between(delivered, asked, pause))
        if self._passed:
            self._usual = self.rate
        self._goal = 0.985 * asked if self.rate > 0.9 * asked else 0.0
        self._spell = min(self._spell, _spell(self.rate, pause, self._window.length))
        if self.rate < 0.25 * self._best:
            self._spell = 4.0

    def _asked(self, level: int, took: float) -> float:
        """Return the rate at which a refused request was sent."""
        if self.rate is None:
            return level / max(self.latency or took, 0.001)
        if not self._held_back:
            return self.rate
        return self.rate / (1.0 + self._growth(self.rate) * took)

    def _delivered(self, now: float, pause: float) -> float:
        """Return the requests that passed per second, 0 if too few did to measure it.

        Of those that were sent within the latency, the answers are not there yet.
        """
        seconds = now - self.latency - self._since
        if pause and seconds < 10.0 * pause:
            seconds += pause  # while all requests wait, the platform's allowance grows
        return self._passed / seconds if self._passed >= 4 and seconds > 0 else 0.0

    def _is_lot(self, asked: float, delivered: float) -> bool:
        """Return whether as many are refused at less than half of a rate that passed."""
        slow = asked < 0.5 * self._best
        if slow:
            self._best *= 0.8
        elif self._passed >= 8 and self._known:
            self._best = max(self._best, min(asked, delivered))
        return slow and self._passed >= 8 and delivered >= 0.8 * asked

    def _between(self, delivered: float, asked: float, pause: float) -> float:
        """Return the next rate, and keep what is known of the right one."""
        if pause >= LONG and delivered:
            self._known, self._spell = min(delivered, asked), _SETTLED
            return self._known
        whole = 4 * self._passed >= self._spell
        if delivered and (self.rate is not None or pause) and (whole or self._known):
            least = 0.7 * asked if not whole or (pause and self._spell >= 80) else 0.0
            self._known = min(asked, max(delivered, least))
            self._spell = _SETTLED if self._known > 0.6 * asked else 4.0 * self._spell
        elif self._known:
            self._known = min(self._known, (0.7 if self._sent < 8 else 0.92) * asked)
        else:
            return asked / (4.0 if pause and not self._passed else 2.0)
        return min(math.sqrt(self._known * asked), 0.96 * asked)


def _spell(rate: float, pause: float, cycle: float) -> float:
    """Return for how many requests a rate that was found is kept up."""
    few = max(8.0, min(80.0, 60.0 * rate))
    return max(few, rate * max(6.0, 30.0 * min(pause, 10.0), 2.0 * cycle))

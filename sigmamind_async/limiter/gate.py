"""Admission control: one gate for all calls of a client, at a rate that no platform publishes.

`rate` learns from 429s how fast and how wide to send, `window` reads what the platform reports
about its own window, and `kinds` finds out which kinds of requests have a limit of their own. A
pause that the platform asks for holds back every request under the same limit, not only the one
that was refused. No pause lasts longer than `max_pause`: then one request is sent, and the others
follow once it succeeds. After repeated failures a circuit opens: calls are refused without being
sent, rows of jobs wait, and a single request probes from time to time. Only a request sent after
the failures began can close the circuit; slow responses to earlier ones keep arriving.

`Admission` decides, and is pure: it is passed the time. `Gate` keeps the queues and wakes only the
caller whose turn it is. Single calls go before rows of jobs, which get every fourth turn. A permit
is held for one request, never while a call waits to retry.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from random import random
from typing import Literal, TypeAlias, cast

import attrs

from sigmamind_async.errors import APITimeoutError, CircuitOpenError, ConfigurationError
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.pacing import Admitted, Pacing
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.limiter.window import RateLimitWindow
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.responses.headers import REFUSAL_STATUSES, Policy, Remaining
from sigmamind_async.values import check_seconds, check_type

MAX_PAUSE = 300.0
"""Longest pause in seconds, unless a gate sets another."""
STALL_TIMEOUT = 300.0
"""Seconds without any success after which an unbounded call no longer retries a 429."""
SLOW_RATE = 2.0
"""Requests per second at which a platform that only sheds load answers most of them."""
MAX_PROBE_INTERVAL = 10.0
"""Longest time in seconds between two probes of an open circuit, and how long the result of one
counts: a job survives each outage that is shorter than its patience."""
MAX_FUTILE_CUTS = 4
"""Cuts of an already slow rate that hardly improved anything, after which a 503 is no sign of load.
One of two servers may be dead, for instance."""
CALLS_PER_ROW = 3
"""Single calls that go before one waiting row of a job."""


@attrs.define
class KnownLimit:
    """A rate that the caller has set, as a token bucket. Pure: it is passed the time."""

    rate: float
    """Requests a second."""
    burst: float
    """Requests that may go at once after a silence."""
    due: float = -math.inf
    """When the next request may go."""

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        ahead = (self.burst - 1.0) / self.rate
        self.due = max(self.due + ahead, now) + 1.0 / self.rate - ahead


@attrs.define
class Admission:
    """When the next request may go. Pure: every method is passed the time, in seconds."""

    failures_to_open: int = 20
    """Consecutive failures that open the circuit."""
    probe_every: float = 1.0
    """Seconds from opening to the first probe; doubles with each failed one."""
    max_pause: float = MAX_PAUSE
    known: KnownLimit | None = None
    """The limit that the caller has set, which bounds what is learned."""

    rates: RateByKind = attrs.field(factory=RateByKind)
    window: RateLimitWindow = attrs.field(factory=RateLimitWindow)
    paused_until: float = 0.0  # of all requests; the pause of one kind is kept with its rate
    excused_until: float = 0.0  # end of the latest pause for a rate limit, not in an outage
    pause_repeated: bool = False  # the request that tried after a shortened pause must wait again
    last_success: float | None = None
    failures: int = 0  # since the platform last worked
    failing_since: float = 0.0
    failed_at: float = 0.0  # when the latest failure came
    open_until: float | None = None
    """When the circuit admits its next probe; `None` while it is closed."""
    probed_at: float | None = None  # when the probe under way was sent
    sheds_load: bool = True  # a 503 is taken for load shedding
    _failed_probes: int = 0
    _rates_before_503: RateByKind | None = None  # before the first since the platform last worked
    _shed_count: int = 0  # 503s since the rate was last cut for one
    _futile_cuts: int = 0

    @property
    def rate(self) -> float | None:
        """Requests a second; `None` until one is known, learned or reported."""
        rate, spacing = self.rates.common.rate, self.window.spacing
        if spacing:
            rate = min(rate or math.inf, 1.0 / spacing)
        return rate if self.known is None else min(rate or math.inf, self.known.rate)

    def wait(self, now: float, kind: str = "", limit: Pacing | None = None) -> float:
        """Return the seconds until a request of *kind* may go, 0 for now. Reserves nothing.

        Its *limit* is looked up where the caller has not.
        """
        limit = limit or self.rates.of(kind)
        ready = limit.paused_until
        if self.paused_until > ready:  # noqa: PLR1730 - for each call; `max` takes 0.1 us more
            ready = self.paused_until
        if limit.rate is not None and limit.ready > ready:
            ready = limit.ready
        if self.window.spacing:
            ready = max(ready, self.window.due)
        if self.known is not None:
            ready = max(ready, self.known.due)
        if self.open_until is not None:
            probing = self.probed_at is not None
            ready = max(ready, now + self.probe_every if probing else self.open_until)
        if limit.tried_at is not None:
            ready = max(ready, now + self.probe_every)
        return ready - now if ready > now else 0.0

    def take(self, now: float, kind: str = "", limit: Pacing | None = None) -> None:
        """Count a request of *kind* that goes now."""
        limit = limit or self.rates.of(kind)
        limit.take(now)
        self.rates.sent[kind] += 1
        if self.window.spacing:
            self.window.take(now)
        if self.known is not None:
            self.known.take(now)
        if self.open_until is not None:
            self.probed_at = now
        if limit.capped:
            limit.tried_at = now

    def try_take(self, now: float, under_way: int, kind: str) -> bool:
        """Take a request of *kind* if it may go now and *under_way*, with it, are not too many."""
        rates = self.rates
        # For most platforms no kind has its own: there this takes half the time of `of`.
        limit = rates.of(kind) if rates.separate else rates.common
        if under_way > limit.width or self.wait(now, kind, limit) > 0:
            return False
        self.take(now, kind, limit)
        return True

    def refuses(self, now: float) -> float | None:
        """Return the seconds for which the circuit refuses calls; `None` if it does not."""
        if self.open_until is None:
            return None
        if self.probed_at is not None:
            return self.probe_every
        return self.open_until - now if now < self.open_until else None

    def pause_ends(self, kind: str) -> float:
        """Return when the latest pause of requests of *kind* ends, or ended."""
        return max(self.paused_until, self.rates.of(kind).paused_until)

    # --- results -----------------------------------------------------------------------------

    def succeeded(self, now: float, request: Admitted, window: Remaining | None = None) -> None:
        """Record a definite response, be it a rejection, and the *window* it reported."""
        self.last_success = now
        if self.failures:
            self._close_after(request)
        rates = self.rates
        limit = rates.of(request[2]) if rates.separate else rates.common
        limit.passed(now, request)
        if limit.capped and limit.tried_at == request[0]:
            limit.capped, limit.tried_at, self.pause_repeated = False, None, False
        if window is not None:
            if window.policy is not None:
                left = window.remaining + 1.0 - request[1]
                self.rates.follow(now, request, window.policy, left)
            pause = min(self.window.update(now, request, window), self.max_pause)
            self.paused_until = max(self.paused_until, now + pause)

    def throttled(
        self,
        now: float,
        request: Admitted,
        retry_after: float | None,
        jitter: float,
        *,
        refused: bool = True,
    ) -> float:
        """Record a request to slow down; return the seconds for which requests like it pause.

        Unless the platform's limiter *refused* the request, a ``Retry-After`` may be all that a
        gateway sends for a platform that is down, so it is no sign of life.
        """
        if refused:
            self._close_after(request)
        asked = retry_after or 0.0
        pause = self.rates.refused(now, request, min(asked, self.max_pause), jitter)
        pause = min(pause, self.max_pause)
        limit = self.rates.of(request[2])
        if pause:
            limit.pause(now + pause)
            if refused or not self.failures:
                self.excused_until = max(self.excused_until, now + pause)
        tried = limit.tried_at == request[0]
        if asked > self.max_pause:
            self.pause_repeated = self.pause_repeated or tried
            limit.capped, limit.tried_at = True, None
        elif tried:  # a pause that is not capped is believed
            limit.capped, limit.tried_at, self.pause_repeated = False, None, False
        return pause

    def failed(self, now: float, request: Admitted, *, overloaded: bool = False) -> None:
        """Record an attempt without a usable response.

        An *overloaded* platform may be shedding load: the rate learns from it, unless it turns out
        to be an outage.
        """
        if overloaded and self.sheds_load and self.open_until is None:
            self._slow_down(now, request)
        self._let_another_try(request)
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        self.failed_at = now
        opens = self.open_until is None and self.failures >= self.failures_to_open
        if opens or self.probed_at == request[0]:
            self.probed_at = None
            delay = self.probe_every * 2.0**self._failed_probes
            self.open_until = now + min(MAX_PROBE_INTERVAL, delay)
            self._failed_probes = min(self._failed_probes + 1, 10)

    def abandoned(self, request: Admitted) -> None:
        """Record an attempt that was cancelled, or never sent."""
        if self.probed_at == request[0]:
            self.probed_at = None
        self._let_another_try(request)

    def failing_for(self, now: float, since: float) -> float:
        """Return for how many seconds, from *since* on, the platform has only failed.

        A pause that it asks for is no failure, unless it is asked for again after its cap, or
        nothing but failures came since the pause before.
        """
        alive = max(since, self.last_success or 0.0)
        if self.pause_repeated:
            return max(0.0, now - alive)
        if not self.failures:
            return 0.0
        alive = max(alive, self.paused_until, self.excused_until)
        # Silence since the latest failure may only mean that nothing was sent.
        latest = self.failed_at
        if self.open_until is not None:
            latest = max(latest, now - MAX_PROBE_INTERVAL)
        return max(0.0, latest - alive)

    def _let_another_try(self, request: Admitted) -> None:
        """After a capped pause, free the try that *request* held, if it did."""
        limit = self.rates.of(request[2])
        if limit.tried_at == request[0]:
            limit.tried_at = None

    def _close_after(self, request: Admitted) -> None:
        """Close the circuit if an answered *request* was sent after the failures began."""
        if request[0] < self.failing_since:
            return
        before, self._rates_before_503 = self._rates_before_503, None
        # If the first probe succeeds, the 503s came from a limit that a burst had met; if a later
        # one does, from an outage, and what the rates learned from them is wrong.
        if before is not None and self._failed_probes > 1:
            self._restore(before)
        self.failures, self.open_until, self.probed_at, self._failed_probes = 0, None, None, 0

    def _slow_down(self, now: float, request: Admitted) -> None:
        """Cut the rate for a 503, unless 503s come at every rate."""
        if self._rates_before_503 is None:
            self._rates_before_503 = self.rates.copy()
        limit = self.rates.of(request[2])
        cut, passed = limit.cut, limit.progress
        slow = limit.rate is not None and limit.rate <= SLOW_RATE
        self._shed_count += 1
        self.rates.refused(now, request, 0.0)
        if limit.cut == cut:
            return
        shed, self._shed_count = self._shed_count, 0
        if passed >= 2 * shed:
            self._futile_cuts = 0
        elif slow and (self.last_success or 0.0) > cut:
            self._futile_cuts += 1
        if self._futile_cuts >= MAX_FUTILE_CUTS:
            self.sheds_load = False
            self._restore(RateByKind())

    def _restore(self, rates: RateByKind) -> None:
        """Forget what was learned from 503s that were no sign of load."""
        self.rates = rates


@attrs.define(eq=False)
class _Waiter:
    future: asyncio.Future[Permit]
    deadline: float


QueueKey = tuple[bool, str]
"""True if its callers are unbounded, as rows of jobs are; then the kind of their requests."""


@attrs.define(eq=False)
class LoopQueues:
    """The callers of one event loop: requests under way, and those that wait."""

    width: int
    under_way: int = 0
    # No queue is empty, and the one whose turn is next comes first.
    waiting: dict[QueueKey, deque[_Waiter]] = attrs.field(factory=dict[QueueKey, deque[_Waiter]])
    calls_since_row: int = 0  # single calls that went since a row did, while rows waited
    timer: asyncio.TimerHandle | None = None
    known_pauses: dict[QueueKey, float] = attrs.field(factory=dict[QueueKey, float])

    def queued_before(self, kind: str) -> int:
        """Return how many would go before a single call of *kind* that came now."""
        calls = {key[1]: len(queue) for key, queue in self.waiting.items() if not key[0]}
        ahead = min(sum(calls.values()), (calls.get(kind, 0) + 1) * len(calls))
        if self.has_rows:
            ahead += (ahead + self.calls_since_row) // CALLS_PER_ROW
        return ahead

    @property
    def has_rows(self) -> bool:
        """True if rows of jobs wait."""
        return any(unbounded for unbounded, _ in self.waiting)

    def in_order(self) -> list[QueueKey]:
        """Return the queues in the order in which they may send next."""
        rows_first = self.calls_since_row >= CALLS_PER_ROW
        return sorted(self.waiting, key=lambda key: key[0] is not rows_first)

    def pop(self, key: QueueKey) -> _Waiter | None:
        """Remove and return the first waiter of a queue, which goes to the end of the order."""
        queue = self.waiting.pop(key)
        waiter = queue.popleft()
        while waiter.future.done() and queue:  # no longer waits
            waiter = queue.popleft()
        if queue:
            self.waiting[key] = queue
        if waiter.future.done():
            return None
        self.calls_since_row = self.calls_since_row + 1 if not key[0] and self.has_rows else 0
        return waiter


Permit = tuple[float, int, str, LoopQueues]
"""One admitted request, as `Admitted`, and the queues of the loop it belongs to."""

_PAUSED = "the platform asked for a pause that ends too late"
_FULL = "the platform admits no more requests for now"


CircuitState: TypeAlias = Literal["closed", "open", "probing"]


@attrs.frozen(kw_only=True)
class GateState:
    """What a gate knows and does at one moment, for dashboards; see `Gate.state`."""

    rate: float | None
    """Requests a second that it lets pass; `None` while none holds requests back."""
    burst: float | None
    """Requests that the platform admits at once after a silence; `None` while that is not known."""
    confidence: float | None
    """Lower end of the rate that the platform may admit, as a share of the most likely one: 0.98 at
    best; `None` while no rate was learned, and where several processes share it."""
    under_way: int
    """Requests that hold a permit, in all event loops of this process."""
    queued: int
    """Calls and rows of jobs that wait for a permit, likewise."""
    pause: float
    """Seconds until the pause ends that the platform has asked for; 0.0 if there is none."""
    circuit: CircuitState
    """``open``: the platform keeps failing, and calls are refused; ``probing``: one request is on
    its way to find out whether it is back."""


class Gate:
    """Admission control for all calls of one client and of its ``with_options`` copies.

    Safe to share between threads and event loops: rate, pause and circuit are shared; each loop has
    its own queue and width, as it has its own connections.

    Args:
        max_wait: Longest wait in seconds, in the queue and before each retry that the platform
            delays. A call that would wait longer is refused with `CircuitOpenError`, or ends with
            its `RateLimitError`: for handlers that must answer at once. With `None` a call waits
            up to its deadline. Rows of jobs always wait.
        max_pause: Longest pause in seconds that the platform may ask for. After a longer one is
            cut short, a single request is sent, and the others wait for its response.
        max_rate: Requests a second that are known to be admitted. No more are sent, from the first
            request on; fewer if the platform refuses them. With `None` the rate is learned.
        burst: Requests that may go at once after a silence; with *max_rate* only.
        refusal_statuses: Statuses, beside 429, with which the platform's own limiter refuses
            requests before they reach anything else, such as 503 from nginx's ``limit_req``.
            They pause the gate, and the request is sent again, even a purchase. Empty by default,
            because gateways also answer 503 after the platform has acted.
        admission: The rules; default ones if left out.
        clock: Monotonic seconds.
        jitter: Random numbers from 0 to 1.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(
        self,
        *,
        max_wait: float | None = None,
        max_pause: float = MAX_PAUSE,
        max_rate: float | None = None,
        burst: float = 1.0,
        refusal_statuses: Collection[int] = REFUSAL_STATUSES,
        admission: Admission | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        if max_wait is not None:
            check_seconds("max_wait", max_wait, zero=True)
        check_seconds("max_pause", max_pause)
        if admission is not None:
            check_type("admission", admission, Admission)
        if not _are_statuses(refusal_statuses):
            raise ConfigurationError(
                "refusal_statuses: must be a set of statuses from 400 to 599, such as {429, 503}"
            )
        self.max_wait = max_wait
        self.admission: Admission = admission or Admission()
        self.admission.max_pause = max_pause
        if max_rate is not None:
            self.admission.known = _known_limit(max_rate, burst)
        elif burst != 1.0:
            raise ConfigurationError("burst: needs max_rate as well")
        self.refusal_statuses: frozenset[int] = REFUSAL_STATUSES.union(refusal_statuses)
        self._clock = clock
        self._jitter = jitter
        self._queues = PerLoop(lambda: LoopQueues(width=100))
        self._announced: dict[str, float] = {}

    @property
    def max_pause(self) -> float:
        """Longest pause in seconds that the platform may ask for."""
        return self.admission.max_pause

    @property
    def state(self) -> GateState:
        """What the gate knows and does now."""
        now, admission = self._clock(), self.admission
        loops = self._queues.values()
        ends = [admission.paused_until, admission.rates.common.paused_until]
        ends += [limit.paused_until for limit in admission.rates.separate.values()]
        learned = admission.rates.common
        bucket = learned.bucket if isinstance(learned, AdaptiveRate) else None
        known = bucket if bucket is not None and bucket.center else None
        circuit: CircuitState = "closed" if admission.open_until is None else "open"
        return GateState(
            rate=admission.rate,
            burst=known.burst if known else None,
            confidence=math.exp(-known.doubt) if known else None,
            under_way=sum(each.under_way for each in loops),
            queued=sum(len(queue) for each in loops for queue in each.waiting.values()),
            pause=max(0.0, max(ends) - now),
            circuit=circuit if admission.probed_at is None else "probing",
        )

    # --- permits -----------------------------------------------------------------------------

    async def acquire(
        self, *, width: int, deadline: float, unbounded: bool = False, kind: str = ""
    ) -> Permit:
        """Wait for the permit to send one request; `release` or `complete` gives it back.

        Args:
            width: Most requests under way in this loop.
            deadline: When it ends, in seconds on the gate's clock.
            unbounded: Wait through an open circuit, any pause and any queue, behind single calls.
            kind: Requests of one kind go in order; the kinds take turns.

        Raises:
            CircuitOpenError: The circuit is open, the wait would exceed `max_wait`, or the platform
                asked for a pause that ends after *deadline*. Nothing was sent.
            APITimeoutError: The deadline passed in the queue. Nothing was sent.
        """
        permit = self.try_acquire(width=width, kind=kind)
        if permit is not None:
            return permit
        queues = self._queues.get()
        if not unbounded:
            self._refuse_early(self._clock(), queues, kind)
        return await self._queue_up(queues, deadline, (unbounded, kind))

    def try_acquire(self, width: int, kind: str = "") -> Permit | None:
        """Return a permit if there is nothing to wait for, and never overtake the queue.

        *width* and *kind* are those of `acquire`. Most calls get their permit here, without a
        coroutine.
        """
        queues, now = self._queues.get(), self._clock()
        under_way = queues.under_way + 1
        may_go = under_way <= width and not queues.waiting
        if may_go and self.admission.try_take(now, under_way, kind):
            queues.under_way = under_way
            return now, under_way, kind, queues
        queues.width = width
        return None

    def release(self, permit: Permit) -> None:
        """Give *permit* back: its request has ended."""
        # Not ``self._queues.get()``: looking up the running loop takes a tenth of all gate work.
        queues = permit[3]
        queues.under_way -= 1
        if queues.waiting:
            self._admit_waiting(queues)

    def complete(self, permit: Permit, window: Remaining | None = None) -> None:
        """Report a definite response, and its *window*, as `succeeded` does; `release` *permit*."""
        self.admission.succeeded(self._clock(), permit, window)
        self.release(permit)

    # --- results -----------------------------------------------------------------------------

    def succeeded(self, request: Admitted, window: Remaining | None = None) -> None:
        """Report a definite response to *request*, be it a rejection, and the *window* it has."""
        self.admission.succeeded(self._clock(), request, window)

    def throttled(
        self, request: Admitted, retry_after: float | None, *, refused: bool = True
    ) -> float:
        """Report that *request* came too soon; return the seconds for which others like it pause.

        *retry_after* is the wait that the platform asked for, in seconds, if it did. Unless its
        limiter *refused* the request, that has failed as well.
        """
        now = self._clock()
        pause = self.admission.throttled(now, request, retry_after, self._jitter(), refused=refused)
        if not refused:
            self.admission.failed(now, request)
        return pause

    def name_bucket(self, request: Admitted, bucket: str) -> None:
        """Report the name of the *bucket* that the platform has counted *request* in."""
        self.admission.rates.name_bucket(request[2], bucket)

    def follow(self, request: Admitted, policy: Policy) -> None:
        """Report the *policy* with which the platform has refused *request*."""
        self.admission.rates.follow(self._clock(), request, policy, 0.0)

    def failed(self, request: Admitted, *, overloaded: bool = False) -> None:
        """Report *request*, without a usable response; *overloaded* if it may be shed load."""
        self.admission.failed(self._clock(), request, overloaded=overloaded)

    def abandoned(self, request: Admitted) -> None:
        """Report that *request* was cancelled, or never sent."""
        self.admission.abandoned(request)

    def now(self) -> float:
        """Return the time on the gate's clock."""
        return self._clock()

    def failing_for(self, since: float) -> float:
        """Return for how many seconds, from *since* on, the platform has only failed."""
        return self.admission.failing_for(self._clock(), since)

    def is_probe(self, request: Admitted) -> bool:
        """Return whether *request* was admitted to probe an open circuit."""
        return self.admission.probed_at == request[0]

    def announces(self, kind: str, pause: float) -> bool:
        """Return whether a *pause* of *kind* is new, and not one that another request reported."""
        limit = kind if kind in self.admission.rates.separate else ""
        ends = self._clock() + pause
        if ends < self._announced.get(limit, -math.inf) + 1.0:
            return False
        self._announced[limit] = ends
        return True

    # --- the queue ---------------------------------------------------------------------------

    def _refuse_early(self, now: float, queues: LoopQueues, kind: str) -> None:
        closed_for = self.admission.refuses(now)
        if closed_for is not None:
            raise _refusal("the platform keeps failing", closed_for)
        if self.max_wait is not None:
            expected = self._expected_wait(now, queues, kind)
            if expected > self.max_wait:
                raise _refusal(_FULL, expected)

    def _expected_wait(self, now: float, queues: LoopQueues, kind: str) -> float:
        expected = self.admission.wait(now, kind)
        if self.admission.rate is not None:
            expected += queues.queued_before(kind) / self.admission.rate
        return expected

    async def _queue_up(self, queues: LoopQueues, deadline: float, key: QueueKey) -> Permit:
        now, (unbounded, kind) = self._clock(), key
        ends = deadline
        if self.max_wait is not None and not unbounded:
            ends = min(deadline, now + self.max_wait)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), ends)
        pause = self.admission.pause_ends(kind) - now
        if pause > ends - now:
            raise _refusal(_PAUSED, pause)
        queues.waiting.setdefault(key, deque()).append(waiter)
        self._admit_waiting(queues)
        try:
            async with asyncio.timeout(None if ends == math.inf else ends - now):
                return await waiter.future
        except TimeoutError:
            self._leave(queues, waiter)
        except asyncio.CancelledError:
            self._leave(queues, waiter)
            raise
        if ends < deadline:
            raise _refusal(_FULL, self._expected_wait(self._clock(), queues, kind))
        raise APITimeoutError("the deadline passed in the queue; nothing was sent")

    def _leave(self, queues: LoopQueues, waiter: _Waiter) -> None:
        """Leave the queue; a permit that has just arrived goes to the next waiter."""
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.admission.abandoned(future.result())
            queues.under_way -= 1
        future.cancel()
        self._admit_waiting(queues)

    def _admit_waiting(self, queues: LoopQueues) -> None:
        """Admit every waiter that may go now, and set a timer for the next."""
        if queues.timer is not None:
            queues.timer.cancel()
            queues.timer = None
        self._refuse_paused(queues, self._clock())
        while queues.waiting and queues.under_way < queues.width:
            wait = self._admit_one(queues, self._clock())
            if wait > 0:
                if wait < math.inf:
                    loop = asyncio.get_running_loop()
                    queues.timer = loop.call_later(wait, self._admit_waiting, queues)
                return

    def _admit_one(self, queues: LoopQueues, now: float) -> float:
        """Admit the first waiter whose kind may go; return the seconds until one may, 0 if so."""
        soonest = math.inf
        one_queue = len(queues.waiting) == 1
        for key in queues.waiting if one_queue else queues.in_order():
            kind = key[1]
            if queues.under_way + 1 > self.admission.rates.of(kind).width:
                continue  # until a request of this loop ends
            wait = self.admission.wait(now, kind)
            if wait > 0:
                soonest = min(soonest, wait)
                continue
            waiter = queues.pop(key)
            if waiter is not None:
                self.admission.take(now, kind)
                queues.under_way += 1
                waiter.future.set_result((now, queues.under_way, kind, queues))
            return 0.0
        return soonest

    def _refuse_paused(self, queues: LoopQueues, now: float) -> None:
        """Refuse at once each waiter whose deadline is before the end of a new pause."""
        for key, queue in queues.waiting.items():
            ends = self.admission.pause_ends(key[1])
            if ends <= queues.known_pauses.get(key, 0.0):
                continue
            queues.known_pauses[key] = ends
            for waiter in queue:
                if not waiter.future.done() and ends > waiter.deadline:
                    waiter.future.set_exception(_refusal(_PAUSED, ends - now))


def _known_limit(max_rate: float, burst: float) -> KnownLimit:
    if not _is_finite(max_rate) or max_rate <= 0:
        raise ConfigurationError("max_rate: must be a number of requests a second, more than 0")
    if not _is_finite(burst) or burst < 1:
        raise ConfigurationError("burst: must be a number of requests, at least 1")
    return KnownLimit(rate=float(max_rate), burst=float(burst))


def _is_finite(number: object) -> bool:
    # An int may be larger than every float.
    return type(number) in {int, float} and abs(cast("float", number)) <= sys.float_info.max


def _are_statuses(statuses: object) -> bool:
    # A collection, because an iterator could be read only once.
    return isinstance(statuses, Collection) and all(
        type(each) is int and 400 <= each <= 599 for each in cast("Collection[object]", statuses)
    )


def _refusal(reason: str, seconds: float) -> CircuitOpenError:
    error = CircuitOpenError(f"{reason}; nothing was sent, try again in {seconds:.1f} s")
    error.retry_after = seconds
    return error

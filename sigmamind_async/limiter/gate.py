"""Who may send now: one gate for all calls of a client, learning the rate nobody publishes.

How fast and how many at once is learned in `pace`, from what is refused, and in `allowance`, where
the platform tells. A wait that the platform asks for pauses everyone, not only the call that was
told; but not those kinds of calls of which `kinds` has learned that they have another limit. No
wait is believed beyond `max_pause`: then one request tries, and the others follow once it passes.
After repeated failures a circuit opens: calls are refused without being sent, rows of jobs wait,
and one of them is let through now and then to see whether the platform is back. Only what began
after the failures tells that; slow answers to earlier requests come in for a while.

`Admission` decides and is told the time. `Gate` keeps callers in the order they came, and wakes
only the one whose turn it is. Single calls go before the rows of jobs, and leave them every fourth
turn. A caller holds its place while it has a request under way, never while it waits to send
another.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection
from random import random
from typing import cast

import attrs

from sigmamind_async.errors import APITimeoutError, CircuitOpenError, ConfigurationError
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.rate import IDLE, AdaptiveRate, Admitted
from sigmamind_async.limiter.window import RateLimitWindow
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.responses.headers import REFUSAL_STATUSES, Remaining

MAX_PAUSE = 300.0
"""Seconds of the longest pause, unless a gate is told otherwise."""
STALL_TIMEOUT = 300.0
"""Longest time in seconds without any admitted request, after which a patient caller takes a 429
for an answer."""
SLOW = 2.0
"""Requests a second at which a platform that merely sheds load answers most of them."""
RAREST = 10.0
"""Most seconds between two probes of an open circuit. As long, what was last found out holds: a job
waits out each outage that is shorter than its patience."""
NO_BETTER = 4
"""Cuts of a rate that is as slow, for 503s between which hardly more passed, after which a 503 is
no sign of load: one of two servers is dead, for instance."""
CALLS_PER_ROW = 3
"""Single calls that go before the rows of jobs that wait, until one of those has its turn."""


@attrs.define
class Admission:
    """When the next request may go. Pure: every method is told the time, in seconds."""

    failures_to_open: int = 20
    """Failures in a row after which the circuit opens."""
    probe_every: float = 1.0
    """Seconds from opening to the first probe; doubles with each failed one, to `RAREST`."""
    max_pause: float = MAX_PAUSE
    """Seconds after which one request tries, however long the platform wants to be left alone."""

    rates: RateByKind = attrs.field(factory=RateByKind)
    """What was learned of the platform's limits."""
    window: RateLimitWindow = attrs.field(factory=RateLimitWindow)
    """What the platform says of them."""
    paused_until: float = 0.0
    """When everybody's pause ends; of a kind that pauses alone, its pace knows."""
    excused_until: float = 0.0
    """When the latest pause ends that tells of a limit, and not of an outage that goes on."""
    failures: int = 0
    """Failures since the platform was last known to answer."""
    failing_since: float = 0.0
    """When the first of them came."""
    failed_at: float = 0.0
    """When the latest came."""
    open_until: float | None = None
    """When the circuit admits its next probe; `None` while it is closed."""
    probed_at: float | None = None
    """When the probe went; `None` while none is under way."""
    resumed: bool = False
    """Whether the latest pause that was cut short goes on: the one that tried was refused."""
    last_success: float | None = None
    sheds: bool = True
    """Whether a 503 is believed to come from a platform that sheds load."""
    _opened: int = 0
    _before: RateByKind | None = None
    """What was learned before the first 503 since the platform was last known to answer."""
    _shed: int = 0
    """The 503 since the rate was last cut for one."""
    _no_better: int = 0

    @property
    def rate(self) -> float | None:
        """Admitted requests a second; `None` until the platform has throttled once, or told."""
        rate, spacing = self.rates.common.rate, self.window.spacing
        return min(rate or math.inf, 1.0 / spacing) if spacing else rate

    def wait(self, now: float, pace: AdaptiveRate | None = None) -> float:
        """Return the seconds until a request may go; 0 if it may go now. Takes nothing.

        *pace* is that of its kind; the common one where left out.
        """
        pace = pace or self.rates.common
        ready = max(self.paused_until, pace.paused_until)
        if pace.rate is not None and pace.ready > ready:
            ready = pace.ready
        if self.window.spacing:
            ready = max(ready, self.window.due)
        if self.open_until is not None:
            probing = self.probed_at is not None
            ready = max(ready, now + self.probe_every if probing else self.open_until)
        if pace.tried_at is not None:
            ready = max(ready, now + self.probe_every)
        return ready - now if ready > now else 0.0

    def take(self, now: float, pace: AdaptiveRate | None = None) -> None:
        """Count a request that goes now, at the *pace* of its kind."""
        pace = pace or self.rates.common
        pace.take(now)
        if self.window.spacing:
            self.window.take(now)
        if self.open_until is not None:
            self.probed_at = now
        if pace.capped:
            pace.tried_at = now

    def admits(self, now: float, level: int, kind: str) -> bool:
        """Take a request of that kind if it may go now, as the *level*-th under way.

        A class with another `wait` or `take` has its own of this, too.
        """
        rates = self.rates
        pace = rates.of(kind) if rates.separate else rates.common
        if level > pace.width:
            return False
        if (
            pace.rate is None
            and self.open_until is None
            and not pace.capped
            and not self.window.spacing
            and self.paused_until <= now
            and 0.0 <= now - pace.ready <= IDLE
        ):
            # What `wait` and `take` come to where nothing holds requests back, nor a pause.
            pace.ready = now
        elif self.wait(now, pace) > 0:
            return False
        else:
            self.take(now, pace)
        rates.sent[kind] += 1
        return True

    def refuses(self, now: float) -> float | None:
        """Return the seconds for which the circuit refuses everyone, `None` if it does not."""
        if self.open_until is None:
            return None
        if self.probed_at is not None:
            return self.probe_every
        return self.open_until - now if now < self.open_until else None

    def succeeded(self, now: float, ticket: Admitted, said: Remaining | None = None) -> None:
        """Learn that the platform answered in its right mind, be it with a rejection.

        *said* is what it told beside that of its window.
        """
        self.last_success = now
        if self.failures:
            self._close_after(ticket)
        rates = self.rates
        pace = rates.of(ticket[2]) if rates.separate else rates.common
        pace.passed(now, ticket)
        if pace.capped and pace.tried_at == ticket[0]:
            pace.capped, pace.tried_at, self.resumed = False, None, False
        if said is not None:
            pause = min(self.window.learn(now, ticket, said), self.max_pause)
            self.paused_until = max(self.paused_until, now + pause)

    def throttled(
        self,
        now: float,
        ticket: Admitted,
        retry_after: float | None,
        jitter: float,
        *,
        refused: bool = True,
    ) -> float:
        """Learn that a request was one too many; return the seconds for which its like pause.

        Where the platform's limiter has not *refused* it, a wait may be all that a front says of a
        platform that is away. That is a sign of life no more than any other failure is.
        """
        if refused:
            self._close_after(ticket)
        believed = refused or not self.failures
        asked = retry_after or 0.0
        pause = self.rates.refused(now, ticket, min(asked, self.max_pause), jitter)
        pause = min(pause, self.max_pause)
        pace = self.rates.of(ticket[2])
        if pause:
            pace.pause(now + pause)
            if believed:
                self.excused_until = max(self.excused_until, now + pause)
        if asked > self.max_pause:
            self.resumed = self.resumed or pace.tried_at == ticket[0]
            pace.capped, pace.tried_at = True, None
        elif pace.tried_at == ticket[0]:
            # What it was told now is believed.
            pace.capped, pace.tried_at, self.resumed = False, None, False
        return pause

    def pause_ends(self, kind: str) -> float:
        """Return when the latest pause ends, or ended, that holds requests of that kind."""
        return max(self.paused_until, self.rates.of(kind).paused_until)

    def failed(self, now: float, ticket: Admitted, *, overloaded: bool = False) -> None:
        """Learn that an attempt failed without a usable answer.

        *overloaded* says that the platform may be shedding load: then the pace learns from it, for
        as long as it does not turn out to be an outage.
        """
        if overloaded and self.sheds and self.open_until is None:
            self._learn_of_load(now, ticket)
        self._tried_in_vain(ticket)
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        self.failed_at = now
        closed = self.open_until is None and self.failures >= self.failures_to_open
        if closed or self.probed_at == ticket[0]:
            self.probed_at = None
            self.open_until = now + min(RAREST, self.probe_every * 2.0**self._opened)
            self._opened = min(self._opened + 1, 10)

    def failing_for(self, now: float, since: float) -> float:
        """Return the seconds for which the platform has answered nothing, from *since* on.

        A pause that it asks for is no failure, unless it goes on beyond its cap, or nothing but
        failures came since the one before.
        """
        alive = max(since, self.last_success or 0.0)
        if self.resumed:
            return max(0.0, now - alive)
        if not self.failures:
            return 0.0
        alive = max(alive, self.paused_until, self.excused_until)
        # That nothing came since the latest failure may be because nothing was sent.
        latest = self.failed_at if self.open_until is None else max(self.failed_at, now - RAREST)
        return max(0.0, latest - alive)

    def abandoned(self, ticket: Admitted) -> None:
        """Learn that an attempt ended without telling anything, being cancelled."""
        if self.probed_at == ticket[0]:
            self.probed_at = None
        self._tried_in_vain(ticket)

    def _tried_in_vain(self, ticket: Admitted) -> None:
        """Let another request try whether a pause that was cut short is over."""
        pace = self.rates.of(ticket[2])
        if pace.tried_at == ticket[0]:
            pace.tried_at = None

    def _close_after(self, ticket: Admitted) -> None:
        """Close the circuit if an answered request began after the failures had."""
        if ticket[0] < self.failing_since:
            return
        before, self._before = self._before, None
        # A first probe that passes tells of a limit that a burst has met; a later one does not.
        if before is not None and self._opened > 1:
            self._restore(before)
        self.failures, self.open_until, self.probed_at, self._opened = 0, None, None, 0

    def _learn_of_load(self, now: float, ticket: Admitted) -> None:
        """Slow down for a 503, unless they come at every rate."""
        if self._before is None:
            self._before = self.rates.copied()
        pace = self.rates.of(ticket[2])
        cut, slow, passed = pace.cut, (pace.rate or math.inf) <= SLOW, pace.progress
        self._shed += 1
        self.rates.refused(now, ticket, 0.0)
        if pace.cut == cut:
            return
        shed, self._shed = self._shed, 0
        if passed >= 2 * shed:
            self._no_better = 0
        elif slow and (self.last_success or 0.0) > cut:
            self._no_better += 1
        if self._no_better >= NO_BETTER:
            self.sheds = False
            self._restore(RateByKind())

    def _restore(self, rates: RateByKind) -> None:
        """Forget what was learned from a 503 that was not for load."""
        self.rates = rates


@attrs.define(eq=False)
class _Waiter:
    """One caller in the queue."""

    given: asyncio.Future[Permit]
    deadline: float

    def outlasts(self, pause: float, now: float) -> bool:
        """Return whether it is of use to this caller to be admitted after *pause* seconds."""
        return pause <= self.deadline - now


Queue = tuple[bool, str]
"""Whether those in it are patient, as the rows of jobs are, and the kind of their requests."""


@attrs.define(eq=False)
class LoopQueues:
    """The callers of one event loop: those with a request under way, and those in the queue."""

    width: int
    under_way: int = 0
    queues: dict[Queue, deque[_Waiter]] = attrs.field(factory=dict[Queue, deque[_Waiter]])
    """None of them empty; those whose turn it is come first."""
    passed_over: int = 0
    """Calls that have gone since a row had its turn, while rows waited."""
    alarm: asyncio.TimerHandle | None = None
    pauses_told: dict[Queue, float] = attrs.field(factory=dict[Queue, float])
    """End of the latest pause that those in a queue have been told of."""

    def ahead(self, kind: str) -> int:
        """Return how many go before a call of that kind that comes now."""
        waiting = {key[1]: len(queue) for key, queue in self.queues.items() if not key[0]}
        calls = min(sum(waiting.values()), (waiting.get(kind, 0) + 1) * len(waiting))
        return calls + (calls + self.passed_over) // CALLS_PER_ROW if self.has_rows else calls

    @property
    def has_rows(self) -> bool:
        """Whether rows of jobs wait."""
        return any(patient for patient, _ in self.queues)

    def in_turn(self) -> list[Queue]:
        """Return the queues in the order in which they are asked for the next to go."""
        rows_first = self.passed_over >= CALLS_PER_ROW
        return sorted(self.queues, key=lambda queue: queue[0] is not rows_first)

    def next_of(self, key: Queue) -> _Waiter | None:
        """Take the first of a queue out; the next turn is another kind's."""
        queue = self.queues.pop(key)
        turn = queue.popleft()
        while turn.given.done() and queue:  # it has left
            turn = queue.popleft()
        if queue:
            self.queues[key] = queue
        if turn.given.done():
            return None
        self.passed_over = self.passed_over + 1 if not key[0] and self.has_rows else 0
        return turn


Permit = tuple[float, int, str, LoopQueues]
"""The `Admitted` of a request under way, with the line in which it has its place."""


class Gate:
    """Admission for all calls of one client, and of the copies that share it.

    Safe to share between threads and event loops: rate, pause and circuit are common, while
    queue and width belong to each loop, as its connections do.

    Args:
        max_wait: Longest wait in seconds, in the queue and before further attempts that the
            platform puts off. A call that would have to wait longer is refused with
            `CircuitOpenError`, or ends with its `RateLimitError`: for handlers that must answer at
            once. `None` waits up to the call's deadline. The rows of jobs wait all the same.
        max_pause: Longest pause in seconds that the platform may ask for. After a longer one is
            cut, a single request tries; the others wait until it is answered.
        refusal_statuses: Statuses, beside 429, with which the platform's limiter refuses requests
            that it hands on to nobody, such as 503 where nginx's ``limit_req`` stands in front.
            They then pause the gate and are sent again, purchases too. Not so by default: gateways
            answer 503 also after the platform behind them has acted.
        admission: The rules; a default set where left out.
        clock: Monotonic seconds.
        jitter: Random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        max_wait: float | None = None,
        max_pause: float = MAX_PAUSE,
        refusal_statuses: Collection[int] = REFUSAL_STATUSES,
        admission: Admission | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        if max_wait is not None and not (_is_number(max_wait) and 0 <= max_wait < math.inf):
            raise ConfigurationError("max_wait: must be a finite number of seconds, or None")
        if not (_is_number(max_pause) and 0 < max_pause < math.inf):
            raise ConfigurationError("max_pause: must be more than 0 seconds and finite")
        if not _are_refusals(refusal_statuses):
            raise ConfigurationError(
                "refusal_statuses: must be a set of statuses from 400 to 599, such as {429, 503}"
            )
        self.max_wait = max_wait
        self.admission = admission or Admission()
        self.admission.max_pause = max_pause
        self.refusal_statuses = REFUSAL_STATUSES.union(refusal_statuses)
        self._clock = clock
        self._jitter = jitter
        self._queues = PerLoop(lambda: LoopQueues(width=100))
        self._announced: dict[str, float] = {}

    @property
    def max_pause(self) -> float:
        """Longest pause in seconds that the platform may ask for."""
        return self.admission.max_pause

    async def acquire(
        self, *, width: int, deadline: float, unbounded: bool = False, kind: str = ""
    ) -> Permit:
        """Wait for the turn to send one request; each is paired with one `release` or `complete`.

        What is returned goes with the report of how the request fared.

        *width* is how many requests may be under way in this loop. Raises `CircuitOpenError`
        when the circuit is open, the wait is longer than `max_wait`, or the platform asked for a
        pause that ends after *deadline* (on the gate's clock); `APITimeoutError` when the
        deadline comes in the queue. Neither sent anything. Requests of one *kind* go in the order
        they came, and the kinds take turns. An *unbounded* caller waits out an open circuit, any
        pause and any queue, and lets others pass.
        """
        ticket = self.try_acquire(width=width, kind=kind)
        if ticket is not None:
            return ticket
        line = self._queues.get()
        if not unbounded:
            self._refuse_early(self._clock(), line, kind)
        return await self._queue_up(line, deadline, (unbounded, kind))

    def try_acquire(self, width: int, kind: str = "") -> Permit | None:
        """Enter where there is nothing to wait for; return `None` where there is.

        Overtakes nobody. A call mostly gets in this way, without a coroutine being made.
        """
        line, now = self._queues.get(), self._clock()
        under_way = line.under_way + 1
        if line.queues or under_way > width or not self.admission.admits(now, under_way, kind):
            line.width = width
            return None
        line.under_way = under_way
        return now, under_way, kind, line

    def complete(self, permit: Permit, said: Remaining | None = None) -> None:
        """Report an answer as `succeeded` does, and `release`."""
        self.admission.succeeded(self._clock(), permit, said)
        # Not from `PerLoop`: to ask for the running loop takes a tenth of all that a gate does.
        line = permit[3]
        line.under_way -= 1
        if line.queues:
            self._admit_waiting(line)

    def release(self, permit: Permit) -> None:
        """Give the place back: the request under way has ended."""
        line = permit[3]
        line.under_way -= 1
        if line.queues:
            self._admit_waiting(line)

    def succeeded(self, ticket: Admitted, said: Remaining | None = None) -> None:
        """Report an answer, be it a rejection, and what it *said* of the platform's window."""
        self.admission.succeeded(self._clock(), ticket, said)

    def throttled(
        self, ticket: Admitted, retry_after: float | None, *, refused: bool = True
    ) -> float:
        """Report a request that was one too many; return the seconds for which its like pause.

        One that the platform's limiter has not *refused* has failed as well.
        """
        now = self._clock()
        pause = self.admission.throttled(now, ticket, retry_after, self._jitter(), refused=refused)
        if not refused:
            self.admission.failed(now, ticket)
        return pause

    def failed(self, ticket: Admitted, *, overloaded: bool = False) -> None:
        """Report an attempt without a usable answer."""
        self.admission.failed(self._clock(), ticket, overloaded=overloaded)

    def abandoned(self, ticket: Admitted) -> None:
        """Report an attempt that was cancelled."""
        self.admission.abandoned(ticket)

    def now(self) -> float:
        """Return the time by the gate's clock."""
        return self._clock()

    def failing_for(self, since: float) -> float:
        """Return the seconds for which the platform has answered nothing, from *since* on."""
        return self.admission.failing_for(self._clock(), since)

    def is_probe(self, ticket: Admitted) -> bool:
        """Return whether a request was admitted to see whether the platform is back."""
        return self.admission.probed_at == ticket[0]

    def announces(self, kind: str, pause: float) -> bool:
        """Return whether a *pause* is news, and not another request that is told the same."""
        lane = kind if kind in self.admission.rates.separate else ""
        ends = self._clock() + pause
        if ends < self._announced.get(lane, -math.inf) + 1.0:
            return False
        self._announced[lane] = ends
        return True

    def _refuse_early(self, now: float, line: LoopQueues, kind: str) -> None:
        closed_for = self.admission.refuses(now)
        if closed_for is not None:
            raise _refusal("the platform keeps failing", closed_for)
        if self.max_wait is None:
            return
        expected = self._expected_wait(now, line, kind)
        if expected > self.max_wait:
            raise _refusal(_FULL, expected)

    def _expected_wait(self, now: float, line: LoopQueues, kind: str) -> float:
        """Return the seconds that a newcomer would wait."""
        expected = self.admission.wait(now, self.admission.rates.of(kind))
        if self.admission.rate is not None:
            expected += line.ahead(kind) / self.admission.rate
        return expected

    async def _queue_up(self, line: LoopQueues, deadline: float, key: Queue) -> Permit:
        now, (patient, kind) = self._clock(), key
        ends = deadline
        if self.max_wait is not None and not patient:
            ends = min(deadline, now + self.max_wait)
        turn = _Waiter(asyncio.get_running_loop().create_future(), ends)
        pause = self.admission.pause_ends(kind) - now
        if not turn.outlasts(pause, now):
            raise _refusal(_PAUSED, pause)
        line.queues.setdefault(key, deque()).append(turn)
        self._admit_waiting(line)
        try:
            async with asyncio.timeout(None if ends == math.inf else ends - now):
                return await turn.given
        except TimeoutError:
            self._give_up(line, turn)
        except asyncio.CancelledError:
            self._give_up(line, turn)
            raise
        if ends < deadline:
            raise _refusal(_FULL, self._expected_wait(self._clock(), line, kind))
        raise APITimeoutError("the deadline passed in the queue; nothing was sent")

    def _give_up(self, line: LoopQueues, turn: _Waiter) -> None:
        """Leave the queue; a turn that was just given goes to the next in line."""
        given = turn.given
        if given.done() and not given.cancelled() and given.exception() is None:
            self.admission.abandoned(given.result())
            line.under_way -= 1
        given.cancel()
        self._admit_waiting(line)

    def _admit_waiting(self, line: LoopQueues) -> None:
        """Let callers in, in the order they came, and set an alarm for the next."""
        if line.alarm is not None:
            line.alarm.cancel()
            line.alarm = None
        self._tell_of_pauses(line, self._clock())
        while line.queues and line.under_way < line.width:
            wait = self._admit_one(line, self._clock())
            if wait > 0:
                if wait < math.inf:
                    loop = asyncio.get_running_loop()
                    line.alarm = loop.call_later(wait, self._admit_waiting, line)
                return

    def _admit_one(self, line: LoopQueues, now: float) -> float:
        """Let the first in whose kind may go; return the seconds until there will be one."""
        soonest = math.inf
        for key in line.queues if len(line.queues) == 1 else line.in_turn():
            kind = key[1]
            pace = self.admission.rates.of(kind)
            if line.under_way + 1 > pace.width:
                continue  # until one leaves
            wait = self.admission.wait(now, pace)
            if wait > 0:
                soonest = min(soonest, wait)
                continue
            turn = line.next_of(key)
            if turn is not None:
                self.admission.take(now, pace)
                self.admission.rates.sent[kind] += 1
                line.under_way += 1
                turn.given.set_result((now, line.under_way, kind, line))
            return 0.0
        return soonest

    def _tell_of_pauses(self, line: LoopQueues, now: float) -> None:
        """Refuse at once whoever a new pause would keep past its time, instead of then."""
        for key, queue in line.queues.items():
            ends = self.admission.pause_ends(key[1])
            if ends <= line.pauses_told.get(key, 0.0):
                continue
            line.pauses_told[key] = ends
            for turn in queue:
                if not turn.given.done() and not turn.outlasts(ends - now, now):
                    turn.given.set_exception(_refusal(_PAUSED, ends - now))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_refusals(statuses: object) -> bool:
    """Return whether *statuses* can be those of refusals; an iterator could be read only once."""
    return isinstance(statuses, Collection) and all(
        type(each) is int and 400 <= each <= 599 for each in cast("Collection[object]", statuses)
    )


_PAUSED = "the platform asked for a pause that ends too late"
_FULL = "the platform admits no more requests for now"


def _refusal(reason: str, seconds: float) -> CircuitOpenError:
    error = CircuitOpenError(f"{reason}; nothing was sent, try again in {seconds:.1f} s")
    error.retry_after = seconds
    return error

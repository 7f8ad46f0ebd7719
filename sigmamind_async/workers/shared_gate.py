"""One gate for an account that several processes send to.

A `SharedGate` is a `Gate`: its queue, circuit and deadlines are those of this process. What the
processes of an account share is a row of the journal's database, with the model of the platform's
limit and the pause that the platform asked for (see `rates`).

Until the platform refuses a request there is no rate: requests go without asking, and the row is
read four times a second. From the first refusal on, it grants the times at which requests go. A
single caller waits for one reply of the database. For a queue of callers a tenth of a second's
worth is requested at a time, before the batch in hand is used up. Each question reports what became
of earlier requests, and a refusal is reported at once. All kinds of requests share one rate.

After a second without a reply the gate continues alone: it learns from its own requests, beginning
at this process's share of the rate, and asks again once a second. That is safe: a request sent too
fast is refused and does nothing. Purchases with a journal in that database stop all the same, at
the journal. Only a journal that is not open, or is read only, raises `JournalError`.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from random import random
from typing import Final
from uuid import uuid4

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.events import logger
from sigmamind_async.limiter.bucket import SLOWEST
from sigmamind_async.limiter.gate import MAX_PAUSE, Admission, Gate, LoopQueues, Permit
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.pacing import Admitted, Pacing
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.responses.headers import REFUSAL_STATUSES, Policy
from sigmamind_async.workers.rates import (
    POLL,
    Event,
    RateReply,
    RateReport,
    Rates,
    SharedRates,
)

TTL: Final = 0.5
"""Seconds for which a reply is believed."""
REPLY_TIMEOUT: Final = 1.0
"""Seconds without a reply after which the gate continues alone; the journal fails earlier."""
SLACK: Final = 0.05
"""Seconds by which a request may be late. Grants that are later lapse: a process that was suspended
would otherwise send too fast afterwards, while the others have sent as usual."""

_SAME: Final = 0.01
"""Seconds by which two ends of the same pause may differ."""
_MOST_TICKETS: Final = 10_000
"""Requests under way of which the granted time is kept."""


@attrs.define
class LeasedRate(Pacing):
    """The times that the row has granted, and what is to be reported to it."""

    version: int = 0
    offset: float = 0.0
    """This gate's clock less the database's."""
    grants: deque[float] = attrs.field(factory=deque[float])
    """When requests of this gate may go. These and all below by the database's clock."""
    batch: int = 0
    """How many were granted at once, the last time."""
    events: list[Event] = attrs.field(factory=list[Event])
    unsent: list[float] = attrs.field(factory=list[float])
    is_urgent: bool = False
    """True if the other gates should hear of a refusal now."""
    _passed: int = 0
    _policy: Policy | None = None
    _tickets: dict[float, deque[tuple[float, int]]] = attrs.field(
        factory=dict[float, deque[tuple[float, int]]]
    )
    """The granted time and the version of each request under way, by when it went."""

    @property
    def progress(self) -> int:
        """How many requests of this gate have passed since the last cut."""
        return self._passed

    def take(self, now: float) -> None:
        """Use a grant for a request that goes now."""
        at = now - self.offset
        self.give_back(at - SLACK)
        if self.grants:
            at = self.grants.popleft()
        else:
            self.events.append(Event(at, "sent", at, version=self.version))
        if len(self._tickets) > _MOST_TICKETS:  # those that were abandoned
            del self._tickets[next(iter(self._tickets))]
        self._tickets.setdefault(now, deque()).append((at, self.version))

    def passed(self, now: float, ticket: Admitted) -> None:
        """Record a request that was answered."""
        self.measure_latency(now - ticket[0])
        self._passed += ticket[0] >= self.cut
        if not self.version:
            self.width += 0.5
        self._note("passed", now, ticket, 0.0)

    def refused(self, now: float, ticket: Admitted, wait: float, jitter: float = 0.5) -> float:
        """Record a refusal; the reply says what it changes."""
        del jitter
        if ticket[0] >= self.cut:
            self.cut, self._passed = now, 0
        self._note("refused", now, ticket, wait)
        self.is_urgent = True
        return wait

    def _note(self, outcome: str, now: float, ticket: Admitted, wait: float) -> None:
        granted = self._tickets.get(ticket[0])
        # What went while this gate was alone is in no version.
        began, version = granted.popleft() if granted else (ticket[0] - self.offset, -1)
        if not granted:
            self._tickets.pop(ticket[0], None)
        self.events.append(Event(now - self.offset, outcome, began, ticket[1], version, wait))

    def follow(self, now: float, policy: Policy, left: float) -> None:
        """Report a *policy* that the platform states, once."""
        if policy != self._policy:
            self._policy, at = policy, now - self.offset
            event = Event(at, "stated", at, int(left), self.version, policy=policy)
            self.events.append(event)

    def pause(self, until: float) -> None:
        """Hold requests back until *until*."""
        super().pause(until)
        self.give_back()

    def give_back(self, before: float = math.inf) -> None:
        """Use no grant from *before* that time."""
        while self.grants and self.grants[0] < before:
            self.unsent.append(self.grants.popleft())

    def separate(self, now: float, share: float) -> Pacing:
        """Return nothing of use: all kinds share one rate."""
        raise NotImplementedError


@attrs.define
class SingleRate(RateByKind):
    """One rate for all kinds of requests."""

    common: Pacing = attrs.field(factory=LeasedRate)

    def name_bucket(self, kind: str, bucket: str) -> None:
        """Share one rate, whatever the platform counts it in."""

    def _update_evidence(self, now: float, kind: str) -> None:
        """Split off no kind."""


@attrs.define
class SharedAdmission(Admission):
    """`Admission` at granted times. Pure, as that is."""

    leased: LeasedRate = attrs.field(factory=LeasedRate)
    rates: RateByKind = attrs.field(
        default=attrs.Factory(lambda self: SingleRate(common=self.leased), takes_self=True)
    )
    share: float = 1.0
    """This process's part of the rate."""
    replied_at: float = -math.inf
    """When the row last replied."""
    next_at: float = -math.inf
    """When the next request might have gone, as of that reply."""
    ask_after: float = -math.inf
    """When to ask for grants again; any earlier, they would be too far ahead."""

    @property
    def alone(self) -> bool:
        """True if the row cannot be reached, so that this process goes by what it knows itself."""
        return self.rates.common is not self.leased

    def is_fresh(self, now: float) -> bool:
        """Return whether the latest reply is still to be believed."""
        return self.alone or now - self.replied_at < TTL

    def wait(self, now: float, kind: str = "", limit: Pacing | None = None) -> float:
        """Return the seconds until a request may go, or until the row must have replied."""
        wait, leased = super().wait(now, kind, limit), self.leased
        if wait > 0 or self.alone:
            return wait
        if not self.is_fresh(now) or (leased.version and not leased.grants):
            return self.ask_after - now if now < self.ask_after else REPLY_TIMEOUT
        return max(0.0, leased.grants[0] + leased.offset - now) if leased.grants else 0.0

    def due(self, now: float) -> float:
        """Return the seconds until a request may go, if the row agrees."""
        return max(super().wait(now), self.next_at - now)

    def wanted(self, now: float, waiting: int) -> int:
        """Return for how many of the *waiting* callers to ask for grants now."""
        leased, held = self.leased, len(self.leased.grants)
        # The next batch is requested when the first of one goes, so that it is there in time.
        if not leased.version or held >= max(1, leased.batch):
            return 0
        return max(0, waiting - held) if now >= self.ask_after else 0

    def report(self, now: float, gate: str, wanted: int) -> RateReport:
        """Return what to report, and count it as reported."""
        leased = self.leased
        leased.give_back(now - leased.offset - SLACK)
        report = RateReport(
            gate=gate,
            wanted=wanted,
            events=leased.events,
            unsent=leased.unsent,
            longest=self.max_pause,
        )
        leased.events, leased.unsent, leased.is_urgent = [], [], False
        return report

    def merge(self, now: float, offset: float, reply: RateReply) -> float:
        """Go on from a reply; return the seconds of a pause that is new, else 0.

        *offset* is this gate's clock less the database's.
        """
        leased, ends = self.leased, reply.paused_until + offset
        leased.offset = offset
        if self.alone or reply.version != leased.version:
            leased.give_back()
        leased.version, leased.rate, self.rates.common = reply.version, reply.rate, leased
        leased.width = reply.width if reply.version else max(leased.width, reply.width)
        self.share, self.replied_at = reply.share, now
        self.next_at, self.ask_after = reply.next_at + offset, reply.ask_at + offset
        is_paused = ends > max(now, leased.paused_until + _SAME)
        if is_paused:
            leased.pause(ends)
        leased.grants.extend(reply.granted)
        if reply.granted:
            leased.batch = len(reply.granted)
        return ends - now if is_paused else 0.0

    def go_alone(self, now: float, report: RateReport) -> None:
        """Go on without the row, at this process's share of the rate; *report* has not arrived."""
        self.replied_at, leased = now, self.leased
        # A pause has to be heard of all the same; the rest is not worth it.
        events = [*report.events, *leased.events]
        leased.events = [each for each in events if each.outcome == "refused"]
        if self.alone:
            return
        rate = None if leased.rate is None else max(SLOWEST, leased.rate * self.share)
        self.rates.common = AdaptiveRate(
            rate=rate, width=leased.width, paused_until=leased.paused_until
        )
        if rate is not None:
            self.rates.common.restart(now - 1.0 / rate)
        leased.give_back()

    def _restore(self, rates: RateByKind) -> None:
        """Keep the rate that all processes share: successes raise it again."""


@attrs.define(eq=False)
class _Exchange:
    """The question that one event loop has put to the row."""

    report: RateReport | None = None
    reply: asyncio.Future[RateReply] | None = None
    timeout: asyncio.TimerHandle | None = None
    poll: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self.timeout is not None:
            self.timeout.cancel()
        self.reply = self.timeout = None


class SharedGate(Gate):
    """Admission for all clients of one account, in all processes that name it the same.

        gate = SharedGate("sigmamind", journal)
        async with SigmaMind(gate=gate) as client: ...

    Args:
        account: Name of the account, the same wherever its key is used, such as
            `Provisioner.account`.
        journal: An open `PostgresJournal`, in whose database the processes meet.
        max_wait: As for `Gate`. Where it is shorter than a reply of the database takes, callers
            that would have to ask are refused.
        max_pause: As for `Gate`. The shortest that any process gives holds for all.
        refusal_statuses: As for `Gate`.
        clock: Monotonic seconds.
        jitter: Random numbers from 0 to 1.
    """

    def __init__(
        self,
        account: str,
        journal: PostgresJournal | Rates,
        *,
        max_wait: float | None = None,
        max_pause: float = MAX_PAUSE,
        refusal_statuses: Collection[int] = REFUSAL_STATUSES,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        self._shared = SharedAdmission()
        super().__init__(
            max_wait=max_wait,
            max_pause=max_pause,
            refusal_statuses=refusal_statuses,
            admission=self._shared,
            clock=clock,
            jitter=jitter,
        )
        self._account, self._name = account, uuid4().hex
        self._rates: Rates = (
            SharedRates(journal) if isinstance(journal, PostgresJournal) else journal
        )
        self._exchanges = PerLoop(_Exchange)
        self.problem: str | None = None
        """Why the gate goes on without the database; `None` while it does not."""

    def try_acquire(self, width: int, kind: str = "") -> Permit | None:
        """Acquire where there is nothing to wait for; see `Gate.acquire`.

        `acquire` also raises `JournalError`, if the journal is not open or is read only.
        """
        exchange = self._exchanges.get()
        if exchange.poll is None:
            loop = asyncio.get_running_loop()
            exchange.poll = loop.call_later(POLL, self._poll, exchange)
        return super().try_acquire(width, kind)

    def throttled(
        self, request: Admitted, retry_after: float | None, *, refused: bool = True
    ) -> float:
        """Report a 429; return the seconds for which all processes pause; see `Gate.throttled`."""
        pause = super().throttled(request, retry_after, refused=refused)
        self._ask_if_needed(self._queues.get())
        return pause

    def failed(self, request: Admitted, *, overloaded: bool = False) -> None:
        """Report an attempt without a usable answer; see `Gate.failed`."""
        super().failed(request, overloaded=overloaded)
        self._ask_if_needed(self._queues.get())

    # --- questions -----------------------------------------------------------------------------

    def _expected_wait(self, now: float, queues: LoopQueues, kind: str) -> float:
        rate, ahead = self._shared.rate, queues.queued_before(kind)
        queue = ahead / (rate * self._shared.share) if rate is not None else 0.0
        return self._shared.due(now) + queue

    def _admit_waiting(self, queues: LoopQueues) -> None:
        super()._admit_waiting(queues)
        self._ask_if_needed(queues)

    def _ask_if_needed(self, queues: LoopQueues) -> None:
        exchange, shared, now = self._exchanges.get(), self._shared, self._clock()
        if exchange.reply is not None or shared.alone:
            return
        waiting = sum(map(len, queues.waiting.values()))
        wanted = shared.wanted(now, waiting)
        leased = shared.leased
        # What has passed may let the next go earlier.
        is_far = waiting and leased.events and shared.next_at > now + 2 * POLL
        if wanted or is_far or leased.is_urgent or (waiting and not shared.is_fresh(now)):
            self._ask(queues, exchange, wanted)

    def _ask(self, queues: LoopQueues, exchange: _Exchange, wanted: int) -> None:
        shared = self._shared
        exchange.report = shared.report(self._clock(), self._name, wanted)
        try:
            exchange.reply = self._rates.exchange(self._account, exchange.report)
        except JournalError as error:
            for waiter in itertools.chain.from_iterable(queues.waiting.values()):
                if not waiter.future.done():
                    waiter.future.set_exception(JournalError(error.message))
            return
        exchange.reply.add_done_callback(partial(self._on_reply, queues, exchange))
        late = partial(self._go_on_alone, queues, exchange, "no answer came in time")
        exchange.timeout = asyncio.get_running_loop().call_later(REPLY_TIMEOUT, late)

    def _poll(self, exchange: _Exchange) -> None:
        """Read the row for as long as requests are sent or something is to be reported."""
        queues, shared, exchange.poll = self._queues.get(), self._shared, None
        leased = shared.leased
        is_busy = bool(queues.waiting or queues.under_way or leased.events or leased.grants)
        every = REPLY_TIMEOUT if shared.alone else POLL
        is_due = self._clock() - shared.replied_at > every / 2
        if is_due and exchange.reply is None and (is_busy or shared.alone):
            self._ask(queues, exchange, 0)
        if is_busy:
            exchange.poll = asyncio.get_running_loop().call_later(every, self._poll, exchange)

    # --- replies -------------------------------------------------------------------------------

    def _on_reply(
        self, queues: LoopQueues, exchange: _Exchange, reply: asyncio.Future[RateReply]
    ) -> None:
        error = None if reply.cancelled() else reply.exception()
        if exchange.reply is not reply:  # it came too late
            return
        if error is not None:
            self._go_on_alone(queues, exchange, str(error))
            return
        exchange.close()
        now, self.problem = self._clock(), None
        pause = self._shared.merge(now, now - self._rates.now(), reply.result())
        if pause > 0 and self.announces("", pause):
            message = "%s: all requests pause for %.1f s, as another process was asked to"
            logger.info(message, self._account, pause)
        self._admit_waiting(queues)

    def _go_on_alone(self, queues: LoopQueues, exchange: _Exchange, problem: str) -> None:
        exchange.close()
        if exchange.report is not None:
            self._shared.go_alone(self._clock(), exchange.report)
        self.problem = problem
        self._admit_waiting(queues)

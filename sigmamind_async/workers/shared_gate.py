"""One gate for an account that several processes send to.

A `SharedGate` is a `Gate`: its queue, width, circuit and deadlines are those of this process. The
processes of an account share a row of the journal's database: the learned rate, the pause that the
platform asked for, and the times at which requests may go.

Until the platform refuses a request there is no rate: requests go without asking, and the row is
read four times a second. From the first refusal on, the row grants the times at which requests go.
A single caller waits for one reply of the database. For a queue of callers a tenth of a second's
worth is requested at a time, before the batch in hand is used up.

Each question reports what this gate has learned: successes, by how much they raised the rate, and
at once every cut. A cut counts if it was made from the latest rate; otherwise another gate was
refused first, for the same reason, and its cut holds here too. `SharedRate` learns from the
requests of all processes, and does not know that there are several. All kinds of requests share one
rate: a single process sees too few refusals to detect separate limits.

After a second without a reply the gate continues alone, at this process's share of the rate, and
asks again once a second. That is safe: a request sent too fast is refused and does nothing.
Purchases with a journal in that database stop all the same, at the journal. Only a journal that is
not open, or is read only, raises `JournalError`.
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
from typing import Final, cast

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.events import logger
from sigmamind_async.limiter.bucket import LONG
from sigmamind_async.limiter.gate import MAX_PAUSE, Admission, Gate, LoopQueues, Permit
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.pacing import Admitted, Pacing
from sigmamind_async.limiter.snapshot import RateSnapshot
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.responses.headers import REFUSAL_STATUSES
from sigmamind_async.workers.rates import HORIZON, RateReport, Rates, RateState, SharedRates
from sigmamind_async.workers.shared_rate import SLOWEST, SharedRate

POLL: Final = 0.25
"""Seconds between two reads of the row while requests are sent."""
TTL: Final = 0.5
"""Seconds for which a reply is believed."""
REPLY_TIMEOUT: Final = 1.0
"""Seconds without a reply after which the gate continues alone; the journal fails earlier."""
SLACK: Final = 0.05
"""Seconds by which a request may be late. Grants that are later lapse: a process that was suspended
would otherwise send too fast afterwards, while the others have sent as usual."""
GRACE: Final = 0.1
"""Seconds after a cut in which refusals are ignored: some gates have not received it yet."""


@attrs.define
class SyncState:
    """What this gate and the row know of each other, as of the latest reply. Pure."""

    version: int = 0
    """The latest cut that this gate knows of."""
    paused_until: float = 0.0
    """End of the account's pause, by the database's clock."""
    pause_until: float = -math.inf
    """End of the latest pause that this gate was asked for, by its own clock."""
    cut_unsent: bool = False
    pause_unsent: bool = False
    share: float = 1.0
    """Part of the account's recent requests that this process has sent."""
    _rate: float | None = None
    """The rate as it was last reported or received."""
    _passed: int = 0
    """Requests passed since the cut, as they were."""
    _taken: int = 0

    @property
    def is_urgent(self) -> bool:
        """True if the other gates should hear of a cut or a pause now."""
        return self.cut_unsent or self.pause_unsent

    def has_news(self, limit: SharedRate) -> bool:
        """Return whether a cut, or requests that passed, were not reported yet."""
        return self.cut_unsent or limit.progress > self._passed

    def report(self, limit: SharedRate, now: float, wanted: int, longest: float) -> RateReport:
        """Return what to report, and count it as reported."""
        cut = self.cut_unsent
        report = RateReport(
            wanted=wanted,
            version=self.version,
            rate=limit.rate if cut else None,
            learned=limit.snapshot().to_text() if cut else "",
            growth=1.0 if cut else self._growth(limit),
            passed=max(0, limit.progress - self._passed),
            pause=max(0.0, self.pause_until - now) if self.pause_unsent else 0.0,
            longest=longest,
        )
        self.cut_unsent = self.pause_unsent = False
        self._rate, self._passed = limit.rate, limit.progress
        return report

    def merge(self, limit: SharedRate, now: float, since: float, state: RateState) -> None:
        """Update *limit* from a reply; *since* is the reply's, by this gate's clock."""
        rate = state.rate if state.rate is not None and 0.0 < state.rate < math.inf else None
        if state.version != self.version:
            self.version, self.cut_unsent = state.version, False
            if rate is not None:
                limit.adopt(now + GRACE, rate, RateSnapshot.from_text(state.learned))
            self._rate, self._passed = None, limit.progress
        if not self.cut_unsent:  # else the row does not know of it yet
            grown = None if rate is None else rate * self._growth(limit)
            more = max(0, limit.progress - self._passed)
            limit.agree(grown, since, state.taken, state.passed + more)
            self._rate, self._passed = rate, state.passed
        if state.granted:
            taken = state.taken - (self._taken if state.taken > self._taken else 0)
            self.share += (state.granted / max(state.granted, taken) - self.share) / 4
            self._taken = state.taken

    def detach(self) -> None:
        """Report nothing of what is learned while the gate is alone."""
        self._rate, self.cut_unsent = None, False

    def _growth(self, limit: SharedRate) -> float:
        """Return by how much the rate has grown here since it was reported."""
        if limit.rate is None or self._rate is None:
            return 1.0
        return max(1.0, limit.rate / self._rate)


@attrs.define
class SingleRate(RateByKind):
    """One rate for all kinds of requests."""

    common: Pacing = attrs.field(factory=SharedRate)

    def name_bucket(self, kind: str, bucket: str) -> None:
        """Share one rate, whatever the platform counts it in."""

    def _update_evidence(self, now: float, kind: str) -> None:
        """Split off no kind."""


@attrs.define
class SharedAdmission(Admission):
    """`Admission` at granted times. Pure, as that is."""

    rates: RateByKind = attrs.field(factory=SingleRate)
    grants: deque[float] = attrs.field(factory=deque[float])
    """When the requests may go that the row has granted to this process."""
    batch: int = 0
    """How many it granted at once, the last time."""
    sync: SyncState = attrs.field(factory=SyncState)
    replied_at: float = -math.inf
    """When the row last replied."""
    alone: bool = False
    """True if the row cannot be reached, so that this process goes by what it knows itself."""
    ask_after: float = -math.inf
    """When to ask for grants again; any earlier, they would be too far ahead."""

    @property
    def limit(self) -> SharedRate:
        """The learned rate."""
        return cast("SharedRate", self.rates.common)

    @property
    def server_paced(self) -> bool:
        """True if requests go at granted times."""
        return self.limit.rate is not None and not self.alone

    def is_fresh(self, now: float) -> bool:
        """Return whether the latest reply is still to be believed."""
        return self.alone or now - self.replied_at < TTL

    def wait(self, now: float, kind: str = "", limit: Pacing | None = None) -> float:
        """Return the seconds until a request may go, or until the row must have replied."""
        wait = super().wait(now, kind, limit)
        if wait > 0 or (self.is_fresh(now) and (self.grants or not self.server_paced)):
            return wait
        return REPLY_TIMEOUT

    def due(self, now: float) -> float:
        """Return the seconds until a request may go, if the row agrees."""
        return super().wait(now)

    def take(self, now: float, kind: str = "", limit: Pacing | None = None) -> None:
        """Count a request that goes now."""
        super().take(now, kind, limit)
        while self.grants and self.grants[0] < now - SLACK:
            self.grants.popleft()
        if self.grants:
            self.grants.popleft()
        if self.grants:
            self.limit.ready = self.grants[0]

    def wanted(self, now: float, waiting: int) -> int:
        """Return for how many of the *waiting* callers to ask for grants now."""
        held = len(self.grants)
        # The next batch is requested when the first of one goes, so that it is there in time.
        if not self.server_paced or held >= max(1, self.batch):
            return 0
        if max(self.pause_ends("") - REPLY_TIMEOUT, self.ask_after) > now:
            return 0
        return max(0, waiting - held)

    def pause(self, until: float) -> None:
        """Let no request go before *until*."""
        self.paused_until = max(self.paused_until, until)
        if self.limit.rate is not None:
            self.limit.pause(self.paused_until)

    def note_refusal(self, now: float, before: float | None, pause: float) -> bool:
        """Keep a cut from *before*, and a pause, to be reported; return whether there is one."""
        sync, rate, until = self.sync, self.limit.rate, now + pause
        cut = rate is not None and (before is None or rate < before)
        if not cut and (not pause or until <= sync.pause_until):
            return False
        self.grants.clear()
        if until > sync.pause_until:
            sync.pause_until, sync.pause_unsent = until, pause > 0
        sync.cut_unsent = sync.cut_unsent or (cut and not self.alone)
        return True

    def merge(self, now: float, offset: float, state: RateState) -> float:
        """Go on from a reply; return the seconds of a pause that is new, else 0.

        *offset* is this gate's clock less the database's.
        """
        is_paused = state.paused_until > self.sync.paused_until
        is_cut = state.version != self.sync.version
        if is_paused or is_cut or self.alone or not self.is_fresh(now):
            self.grants.clear()
        self.replied_at, self.alone = now, False
        self.sync.merge(self.limit, now, state.since + offset + GRACE, state)
        if is_paused:
            self.sync.paused_until = state.paused_until
            self.pause(state.paused_until + offset)
        first = state.first + offset
        if state.granted and self.limit.rate is not None:
            start, spacing, self.batch = max(first, now), 1.0 / self.limit.rate, state.granted
            self.grants.extend(start + count * spacing for count in range(state.granted))
            self.limit.ready = self.grants[0]
        elif not self.grants:
            self.ask_after = first - HORIZON
            self.limit.ready = min(first, max(now, self.ask_after))
        return max(0.0, state.paused_until + offset - now) if is_paused else 0.0

    def degrade_to_local(self, now: float) -> None:
        """Go on without the row, at this process's share of the rate."""
        self.sync.detach()
        self.replied_at = now
        if self.limit.rate is not None and not self.alone:
            self.limit.rate = max(SLOWEST, self.limit.rate * self.sync.share)
        self.alone = True
        self.grants.clear()

    def _restore(self, rates: RateByKind) -> None:
        """Keep the rate that all processes share: successes raise it again."""


@attrs.define(eq=False)
class _Exchange:
    """The question that one event loop has put to the row."""

    reply: asyncio.Future[RateState] | None = None
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
        self._account = account
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
        before = self._shared.limit.rate
        if before is None and retry_after is not None and retry_after >= LONG:
            return self._pause_and_learn(request, retry_after)
        pause = super().throttled(request, retry_after, refused=refused)
        self._publish(before, pause)
        return pause

    def failed(self, request: Admitted, *, overloaded: bool = False) -> None:
        """Report an attempt without a usable answer; see `Gate.failed`."""
        before = self._shared.limit.rate
        super().failed(request, overloaded=overloaded)
        self._publish(before, 0.0)

    def _pause_and_learn(self, request: Admitted, retry_after: float) -> float:
        """Pause, and make a rate of the first refusal once all processes have reported."""
        shared, pause = self._shared, min(retry_after, self.max_pause)
        if retry_after > pause:
            shared.limit.capped, shared.limit.tried_at = True, None
        ends = self._clock() + pause
        if not shared.alone and not shared.sync.pause_unsent:
            asyncio.get_running_loop().call_later(2 * POLL, self._learn, request, ends)
        shared.pause(ends)
        self._publish(None, pause)
        return pause

    def _learn(self, request: Admitted, ends: float) -> None:
        if self._shared.limit.rate is None:
            super().throttled(request, max(LONG, ends - self._clock()))
            self._publish(None, 0.0)

    # --- questions -----------------------------------------------------------------------------

    def _expected_wait(self, now: float, queues: LoopQueues, kind: str) -> float:
        rate, ahead = self._shared.rate, queues.queued_before(kind)
        queue = ahead / (rate * self._shared.sync.share) if rate is not None else 0.0
        return self._shared.due(now) + queue

    def _admit_waiting(self, queues: LoopQueues) -> None:
        super()._admit_waiting(queues)
        self._ask_if_needed(queues)

    def _publish(self, before: float | None, pause: float) -> None:
        """Let the others know of a pause, and of a rate that was cut from *before*."""
        if self._shared.note_refusal(self._clock(), before, pause):
            self._ask_if_needed(self._queues.get())

    def _ask_if_needed(self, queues: LoopQueues) -> None:
        exchange, shared, now = self._exchanges.get(), self._shared, self._clock()
        if exchange.reply is not None or shared.alone:
            return
        waiting = sum(map(len, queues.waiting.values()))
        wanted = shared.wanted(now, waiting)
        if wanted or shared.sync.is_urgent or (waiting and not shared.is_fresh(now)):
            self._ask(queues, exchange, wanted)

    def _ask(self, queues: LoopQueues, exchange: _Exchange, wanted: int) -> None:
        shared = self._shared
        report = shared.sync.report(shared.limit, self._clock(), wanted, self.max_pause)
        try:
            exchange.reply = self._rates.exchange(self._account, report)
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
        is_busy = bool(queues.waiting or queues.under_way or shared.sync.has_news(shared.limit))
        every = REPLY_TIMEOUT if shared.alone else POLL
        is_due = self._clock() - shared.replied_at > every / 2
        if is_due and exchange.reply is None and (is_busy or shared.alone):
            self._ask(queues, exchange, 0)
        if is_busy:
            exchange.poll = asyncio.get_running_loop().call_later(every, self._poll, exchange)

    # --- replies -------------------------------------------------------------------------------

    def _on_reply(
        self, queues: LoopQueues, exchange: _Exchange, reply: asyncio.Future[RateState]
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
        self._shared.degrade_to_local(self._clock())
        self.problem = problem
        self._admit_waiting(queues)

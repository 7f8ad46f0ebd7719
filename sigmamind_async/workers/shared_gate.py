"""One gate for an account that several processes send to.

A `SharedGate` is a `Gate`: its queue, width, circuit and deadlines are those of this process. What
the processes have in common is in a row of the journal's database: the rate that was learned, the
pause that the platform has asked for, and the moments at which requests may go.

As long as the platform has refused nothing, there is no rate: requests go without a question, and
a look at the row, four times a second while there are any, tells whether that has changed. From
the first refusal on, requests go at moments that the row hands out, so that the account as a whole
keeps to the rate, whoever sends. A caller who comes alone waits for one answer of the database; of
many who wait, a tenth of a second's worth is asked for at once, and the next before those are gone.

What this gate learns is told with the questions: successes, by how much they raised the rate, and a
cut, at once. A cut counts if it was made from the latest rate; else another gate was refused first,
for the same reason, and what that one made of it holds here too. How a rate is found is `pace`'s
business: it counts the requests of all, and does not know that they are sent from several places.
Kinds of requests are not told apart here, as `lanes` does for one process: the few refusals that
one process sees say too little.

Without the database the gate goes on alone, at this process's share of the rate, and learns from
what it is refused as any gate does. That is safe: what is sent too fast is refused by the platform,
and nothing is done; whereas calls that fail because a number in a database cannot be read would
help nobody. Purchases with a journal in that database stop all the same, at the journal. After at
most a second without an answer the gate is alone, and asks again once a second. Only a journal that
is used wrongly, not open or read only, is a `JournalError` for whoever wants to send.
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

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.events import logger
from sigmamind_async.limiter.gate import MAX_PAUSE, Admission, Gate, Place, _Line
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.rate import LONG, SLOWEST, AdaptiveRate, Ticket
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.journal.postgres.rates import (
    AHEAD,
    News,
    Rates,
    Told,
    read,
    written,
)
from sigmamind_async.responses.headers import REFUSAL_STATUSES

LOOK: Final = 0.25
"""Seconds between two looks at the row while requests are sent."""
FRESH: Final = 0.5
"""Seconds for which an answer is believed."""
SILENT: Final = 1.0
"""Seconds without an answer, after which the gate goes on alone; the journal gives up before."""
LAPSE: Final = 0.05
"""Seconds by which a moment may be late; what should have gone before is lost. A process that is
kept from running would otherwise send too fast afterwards, while the others send as ever."""
SETTLING: Final = 0.1
"""Seconds after a cut in which refusals tell nothing: some gates have not heard of it yet."""


@attrs.define
class Hand:
    """The moments that were handed out to this process, and are not used yet. Pure."""

    left: int = 0
    """Requests that may still go from the moment that the pace stands at."""
    size: int = 0
    """How many the row last gave at once."""
    _next: deque[tuple[float, int]] = attrs.field(factory=deque[tuple[float, int]])

    @property
    def count(self) -> int:
        """Requests that may still go."""
        return self.left + sum(count for _, count in self._next)

    def add(self, ready: float, count: int) -> None:
        """Take *count* more, the first of which may go at *ready*."""
        self.size = count
        self._next.append((ready, count))

    def use(self, count: int) -> None:
        """Use *count* of those that were given together."""
        self.left = max(0, self.left - count)

    def turn(self) -> float | None:
        """Return when the next may go, where that does not follow from the one before."""
        if self.left or not self._next:
            return None
        ready, self.left = self._next.popleft()
        return ready

    def drop(self) -> None:
        """Give all up: the rate has changed, or their time is over."""
        self.left, self.size = 0, 0
        self._next.clear()


@attrs.define
class OneLane(RateByKind):
    """The same pace for all kinds of requests."""

    def _weigh(self, kind: str) -> None:
        """Part no kind from the others."""


@attrs.define
class SharedAdmission(Admission):
    """`Admission` at moments that are handed out. Pure, as that is."""

    lanes: RateByKind = attrs.field(factory=OneLane)
    """The pace of all requests."""
    hand: Hand = attrs.field(factory=Hand)
    told_at: float = -math.inf
    """When the row last said something."""
    alone: bool = False
    """Whether the row cannot be asked, so that this process goes by what it knows."""
    ask_after: float = -math.inf
    """When the row may be asked again: what it could give now would be too far ahead."""

    @property
    def pace(self) -> AdaptiveRate:
        """What was learned of the platform's limit."""
        return self.lanes.common

    @property
    def by_hand(self) -> bool:
        """Whether requests go at moments that are handed out."""
        return self.pace.rate is not None and not self.alone

    def is_fresh(self, now: float) -> bool:
        """Whether what the row last said is to be believed."""
        return self.alone or now - self.told_at < FRESH

    def wait(self, now: float, pace: AdaptiveRate | None = None) -> float:
        """Return the seconds until a request may go, or until the row must have answered."""
        wait = super().wait(now, pace)
        if wait > 0 or (self.is_fresh(now) and (self.hand.left or not self.by_hand)):
            return wait
        return SILENT

    def due(self, now: float) -> float:
        """Return the seconds until a request may go, if the row agrees."""
        return super().wait(now)

    def admits(self, now: float, level: int, kind: str) -> bool:
        """Take a request of that kind if it may go now, as the *level*-th under way."""
        if level > self.lanes.pace(kind).width or self.wait(now) > 0:
            return False
        self.take(now)
        return True

    def take(self, now: float, pace: AdaptiveRate | None = None) -> None:
        """Count a request that goes now."""
        late, rate = now - self.pace.ready, self.pace.rate or 0.0
        super().take(now, pace)
        if self.by_hand:
            self.hand.use(1 + int(max(0.0, late - LAPSE) * rate))
            self.stand_at(self.hand.turn())

    def stand_at(self, ready: float | None) -> None:
        """Let the next request go at *ready*, where that is another moment."""
        if ready is not None:
            self.pace.ready = ready

    def _go_back_to(self, lanes: RateByKind) -> None:
        """Keep what all processes go by: it rises again by what passes."""

    def pause(self, until: float) -> None:
        """Let nobody go before *until*."""
        self.paused_until = max(self.paused_until, until)
        if self.pace.rate is not None:
            self.pace.pause(self.paused_until)

    def go_alone(self, now: float, share: float) -> None:
        """Go on without the row, at a *share* of the rate."""
        self.told_at = now
        if not self.alone and self.pace.rate is not None:
            self.pace.rate = max(SLOWEST, self.pace.rate * share)
        self.alone = True
        self.hand.drop()

    def wanted(self, now: float, waiting: int) -> int:
        """Return for how many of those *waiting* the row is to be asked now."""
        held = self.hand.count
        # The next are asked for when the first goes, so that the answer is there in time.
        if not self.by_hand or held >= max(1, self.hand.size):
            return 0
        if max(self.pause_ends("") - SILENT, self.ask_after) > now:
            return 0
        return max(0, waiting - held)


@attrs.define
class Standing:
    """What the gates of an account know of one another, as far as this one was told. Pure."""

    version: int = 0
    """The cut that holds."""
    pause_until: float = -math.inf
    """Until when this gate wants all to pause, by its own clock."""
    paused_until: float = 0.0
    """Until when all pause, by the common clock."""
    share: float = 1.0
    """Which part of the account's requests goes from here, of late."""
    cut: bool = False
    """Whether a cut of this gate is still to be told."""
    pause: bool = False
    """Whether `pause_until` is."""
    longest: float = MAX_PAUSE
    """Seconds after which a pause ends, whoever has asked for it."""
    _rate: float | None = None
    """Where the rate stood when it was last told, either way."""
    _passed: int = 0
    """Likewise, the requests that have passed since the cut."""
    _taken: int = 0

    def has_news(self, pace: AdaptiveRate) -> bool:
        """Whether there is anything to tell."""
        return self.cut or pace.progress > self._passed

    def news(self, pace: AdaptiveRate, now: float, wanted: int) -> News:
        """Return what is to be told, and count it as told."""
        told = News(
            wanted=wanted,
            version=self.version,
            rate=pace.rate if self.cut else None,
            learned=written(pace.learned()) if self.cut else "",
            growth=1.0 if self.cut else self._grown(pace),
            passed=max(0, pace.progress - self._passed),
            pause=max(0.0, self.pause_until - now) if self.pause else 0.0,
            longest=self.longest,
        )
        self.cut, self.pause = False, False
        self._rate, self._passed = pace.rate, pace.progress
        return told

    def agree(self, pace: AdaptiveRate, now: float, since: float, told: Told) -> None:
        """Let *pace* go on from what all know; *since* is that of *told* by its clock."""
        if told.version != self.version:
            self.version, self.cut = told.version, False
            if told.rate is not None:
                pace.follow(now + SETTLING, told.rate, read(told.learned))
            self._rate, self._passed = None, pace.progress
        if self.cut:  # nobody else knows of it yet
            return
        rate = None if told.rate is None else told.rate * self._grown(pace)
        more = max(0, pace.progress - self._passed)
        pace.agree(rate, since, told.taken, told.passed + more)
        self._rate, self._passed = told.rate, told.passed

    def count(self, told: Told) -> None:
        """Keep the share up to date."""
        if told.granted:
            all_of_them = told.taken - (self._taken if told.taken > self._taken else 0)
            self.share += (min(1.0, told.granted / all_of_them) - self.share) / 4
            self._taken = told.taken

    def part(self) -> None:
        """Keep to oneself what is learned without the others."""
        self._rate, self.cut = None, False

    def _grown(self, pace: AdaptiveRate) -> float:
        """Return by what the rate has been multiplied here since it was told."""
        if pace.rate is None or self._rate is None:
            return 1.0
        return max(1.0, pace.rate / self._rate)


@attrs.define(eq=False)
class _Desk:
    """What one event loop has asked the row."""

    question: asyncio.Future[Told] | None = None
    overdue: asyncio.TimerHandle | None = None
    look: asyncio.TimerHandle | None = None
    urgent: bool = False
    """Whether there is something that the others should know now."""


class SharedGate(Gate):
    """Admission for all clients of one account, in all processes that name it the same.

        gate = SharedGate("sigmamind", journal)
        async with SigmaMind(gate=gate) as client: ...

    Args:
        account: What tells the accounts of one database apart; `Provisioner.account` is such a
            name. Everybody who sends with the account's keys should give the same.
        rates: An open `PostgresJournal`.
        max_wait: As for `Gate`. Less than one answer of the database takes admits nobody who would
            have to ask.
        max_pause: As for `Gate`. The shortest that any process gives holds for all.
        refusal_statuses: As for `Gate`.
        admission: The rules; a default set where left out.
        clock: Monotonic seconds.
        jitter: Random numbers from 0 to 1.
    """

    def __init__(
        self,
        account: str,
        rates: Rates,
        *,
        max_wait: float | None = None,
        max_pause: float = MAX_PAUSE,
        refusal_statuses: Collection[int] = REFUSAL_STATUSES,
        admission: SharedAdmission | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        self._shared = admission or SharedAdmission()
        super().__init__(
            max_wait=max_wait,
            max_pause=max_pause,
            refusal_statuses=refusal_statuses,
            admission=self._shared,
            clock=clock,
            jitter=jitter,
        )
        self._account = account
        self._rates = rates
        self._standing = Standing(longest=max_pause)
        self._desks = PerLoop(_Desk)
        self.problem: str | None = None
        """Why the gate goes by what this process knows alone; `None` while it does not."""

    def try_enter(self, width: int, kind: str = "") -> Place | None:
        """Enter where there is nothing to wait for, as `enter` tries first; see `Gate`.

        `enter` raises `JournalError`, too, where the journal is not open or is read only.
        """
        desk = self._desks.get()
        if desk.look is None:
            desk.look = asyncio.get_running_loop().call_later(LOOK, self._look, desk)
        return super().try_enter(width, kind)

    def throttled(
        self, ticket: Ticket, retry_after: float | None, *, refused: bool = True
    ) -> float:
        """Report a request that was one too many; return the seconds of the common pause."""
        before = self._shared.pace.rate
        if before is None and retry_after is not None and retry_after >= LONG:
            if retry_after > self.max_pause:
                self._shared.pace.capped, self._shared.pace.tried_at = True, None
            return self._wait_and_learn(ticket, min(retry_after, self.max_pause))
        pause = super().throttled(ticket, retry_after, refused=refused)
        self._tell(before, pause)
        return pause

    def failed(self, ticket: Ticket, *, overloaded: bool = False) -> None:
        """Report an attempt without a usable answer."""
        before = self._shared.pace.rate
        super().failed(ticket, overloaded=overloaded)
        self._tell(before, 0.0)

    # --- asking --------------------------------------------------------------------------------

    def _expected(self, now: float, line: _Line, kind: str) -> float:
        rate, ahead = self._shared.rate, line.ahead(kind)
        queue = ahead / (rate * self._standing.share) if rate is not None else 0.0
        return self._shared.due(now) + queue

    def _admit(self, line: _Line) -> None:
        super()._admit(line)
        self._ask_for(line)

    def _ask_for(self, line: _Line) -> None:
        """Ask the row, if there is reason to and no question is open."""
        desk, now, waiting = self._desks.get(), self._clock(), _waiting(line)
        if desk.question is not None or self._shared.alone:
            return
        wanted = self._shared.wanted(now, waiting)
        if wanted or desk.urgent or (waiting and not self._shared.is_fresh(now)):
            self._ask(line, desk, wanted)

    def _ask(self, line: _Line, desk: _Desk, wanted: int) -> None:
        news = self._standing.news(self._shared.pace, self._clock(), wanted)
        desk.urgent = False
        try:
            desk.question = self._rates.take(self._account, news)
        except JournalError as error:
            _refuse_all(line, error)
            return
        desk.question.add_done_callback(partial(self._hear, line, desk))
        late = partial(self._go_alone, line, desk, "no answer came in time")
        desk.overdue = asyncio.get_running_loop().call_later(SILENT, late)

    def _look(self, desk: _Desk) -> None:
        """Ask what the others know, as long as anything goes on here."""
        line, shared, desk.look = self._lines.get(), self._shared, None
        busy = bool(line.queues or line.under_way or self._standing.has_news(shared.pace))
        every = SILENT if shared.alone else LOOK
        due = self._clock() - shared.told_at > every / 2
        if due and desk.question is None and (busy or shared.alone):
            self._ask(line, desk, 0)
        if busy:
            desk.look = asyncio.get_running_loop().call_later(every, self._look, desk)

    def _tell(self, before: float | None, pause: float) -> None:
        """Let the others know of a pause, and of a rate that was cut."""
        standing, shared, rate = self._standing, self._shared, self._shared.pace.rate
        until = self._clock() + pause
        cut = rate is not None and (before is None or rate < before)
        if not cut and (not pause or until <= standing.pause_until):
            return
        shared.hand.drop()
        if until > standing.pause_until:
            standing.pause_until, standing.pause = until, pause > 0
        if not shared.alone:
            standing.cut = standing.cut or cut
            self._desks.get().urgent = True
            self._ask_for(self._lines.get())

    def _wait_and_learn(self, ticket: Ticket, pause: float) -> float:
        """Pause, and make a rate of the first refusal once all have told what had passed."""
        ends = self._clock() + pause
        if not self._shared.alone and not self._standing.pause:
            asyncio.get_running_loop().call_later(2 * LOOK, self._learn_now, ticket, ends)
        self._shared.pause(ends)
        self._tell(None, pause)
        return pause

    def _learn_now(self, ticket: Ticket, ends: float) -> None:
        if self._shared.pace.rate is None:
            super().throttled(ticket, max(LONG, ends - self._clock()))
            self._tell(None, 0.0)

    # --- hearing -------------------------------------------------------------------------------

    def _hear(self, line: _Line, desk: _Desk, question: asyncio.Future[Told]) -> None:
        error = None if question.cancelled() else question.exception()
        if desk.question is not question:  # it has been given up
            return
        if error is not None:
            self._go_alone(line, desk, str(error))
            return
        _close(desk)
        self._learn(question.result())
        self._admit(line)

    def _learn(self, told: Told) -> None:
        """Go on from what the row has said."""
        now, shared, standing = self._clock(), self._shared, self._standing
        here = now - self._rates.now()
        paused = told.paused_until > standing.paused_until
        if paused or told.version != standing.version or not shared.is_fresh(now) or shared.alone:
            shared.hand.drop()
        shared.told_at, shared.alone, self.problem = now, False, None
        standing.agree(shared.pace, now, told.since + here + SETTLING, told)
        standing.count(told)
        if paused:
            standing.paused_until = told.paused_until
            pause = told.paused_until + here - now
            shared.pause(now + pause)
            if pause > 0 and self.announces("", pause):
                told_to = "%s: all requests pause for %.1f s, as another process was told to"
                logger.info(told_to, self._account, pause)
        if told.granted:
            shared.hand.add(told.first + here, told.granted)
            shared.stand_at(shared.hand.turn())
        elif not shared.hand.count:
            shared.ask_after = told.first + here - AHEAD
            shared.stand_at(min(told.first + here, max(now, shared.ask_after)))

    def _go_alone(self, line: _Line, desk: _Desk, problem: str) -> None:
        """Go by what this process knows, until the row answers again."""
        _close(desk)
        self._standing.part()
        self._shared.go_alone(self._clock(), self._standing.share)
        self.problem = problem
        self._admit(line)


def _waiting(line: _Line) -> int:
    return sum(len(queue) for queue in line.queues.values())


def _close(desk: _Desk) -> None:
    """Wait for the open question no longer."""
    if desk.overdue is not None:
        desk.overdue.cancel()
    desk.question = desk.overdue = None


def _refuse_all(line: _Line, error: JournalError) -> None:
    """Let nobody wait for what cannot come."""
    for turn in itertools.chain.from_iterable(line.queues.values()):
        if not turn.given.done():
            turn.given.set_exception(JournalError(error.message))

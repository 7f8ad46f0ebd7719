"""Where the gates of a test meet: the row of an account, kept in memory, in virtual time.

It follows the rules of the function ``exchange`` in the database, and a test that asks both the
same holds it to them.
"""

from __future__ import annotations

import asyncio

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.workers.rates import BATCH_SECONDS, HORIZON, IDLE, LATE, RateReport, RateState


@attrs.define
class Rate:
    """One row."""

    version: int = 0
    rate: float | None = None
    learned: str = ""
    ready: float = 0.0
    paused_until: float = 0.0
    since: float = 0.0
    passed: int = 0
    taken: int = 0
    seen: float = 0.0

    def take(self, now: float, news: RateReport) -> RateState:
        if self.seen < now - IDLE:
            self.since, self.passed, self.taken = now, 0, 0
        self.seen = now
        if news.pause:
            self.paused_until = max(self.paused_until, now + news.pause)
        self.paused_until = min(self.paused_until, now + news.longest)
        if news.version == self.version:
            self._learn(now, news)
        spacing = 1 / self.rate if self.rate else 0.0
        if self.ready > max(now, self.paused_until) + HORIZON + 2 * max(BATCH_SECONDS, spacing):
            self.ready = now
        first, granted = max(self.ready, self.paused_until), 0
        start = max(first, now - LATE)
        if self.rate and news.wanted and start <= now + HORIZON:
            granted = min(news.wanted, max(1, int(BATCH_SECONDS * self.rate)))
            self.ready = start + granted * spacing
            self.taken += granted
        return RateState(
            version=self.version,
            rate=self.rate,
            learned=self.learned,
            since=self.since,
            passed=self.passed,
            paused_until=self.paused_until,
            taken=self.taken,
            granted=granted,
            first=first,
        )

    def _learn(self, now: float, news: RateReport) -> None:
        if news.rate is not None:
            self.version, self.rate, self.learned = news.version + 1, news.rate, news.learned
            self.since = max(now, self.paused_until)
            self.passed = self.taken = 0
            self.ready = now + 1 / news.rate
            return
        self.passed += news.passed
        if self.rate is not None:
            self.rate *= news.growth


@attrs.define
class Meeting:
    """Rows by account, on the loop's time."""

    latency: float = 0.002
    """Seconds until an answer comes."""
    problem: str = ""
    """What is wrong with the database, if anything."""
    misuse: str = ""
    """What is wrong with how it is used."""
    asked: int = 0
    rates: dict[str, Rate] = attrs.field(factory=dict[str, Rate])

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def exchange(self, account: str, news: RateReport) -> asyncio.Future[RateState]:
        if self.misuse:
            raise JournalError(self.misuse)
        self.asked += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[RateState] = loop.create_future()
        loop.call_later(self.latency / 2, self._reach, account, news, answer)
        return answer

    def _reach(self, account: str, news: RateReport, answer: asyncio.Future[RateState]) -> None:
        loop = asyncio.get_running_loop()
        if self.problem:
            loop.call_later(self.latency / 2, answer.set_exception, JournalError(self.problem))
            return
        told = self.rates.setdefault(account, Rate()).take(self.now(), news)
        loop.call_later(self.latency / 2, answer.set_result, told)

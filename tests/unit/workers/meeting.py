"""Where the gates of a test meet: the rows of accounts, kept in memory, in virtual time."""

from __future__ import annotations

import asyncio

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.workers.rates import RateReply, RateReport, SharedModel


@attrs.define
class Row:
    """One row, as it is in the database."""

    revision: int = 1
    rate: float | None = None
    paused_until: float = 0.0
    model: str = ""

    def exchange(self, now: float, report: RateReport) -> RateReply:
        paused_until = min(self.paused_until, now + report.longest)
        model = SharedModel.restore(now, self.revision, self.rate, paused_until, self.model)
        self.model, reply = model.exchange(now, report)
        self.revision += 1
        self.rate, self.paused_until = reply.rate, reply.paused_until
        return reply

    def restored(self, now: float) -> SharedModel:
        return SharedModel.restore(now, self.revision, self.rate, self.paused_until, self.model)


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
    rates: dict[str, Row] = attrs.field(factory=dict[str, Row])

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateReply]:
        if self.misuse:
            raise JournalError(self.misuse)
        self.asked += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[RateReply] = loop.create_future()
        loop.call_later(self.latency / 2, self._reach, account, report, answer)
        return answer

    def _reach(self, account: str, report: RateReport, answer: asyncio.Future[RateReply]) -> None:
        loop = asyncio.get_running_loop()
        if self.problem:
            loop.call_later(self.latency / 2, answer.set_exception, JournalError(self.problem))
            return
        reply = self.rates.setdefault(account, Row()).exchange(self.now(), report)
        loop.call_later(self.latency / 2, answer.set_result, reply)

"""What all processes of an account know together of its limit: one model, in one row per account.

The row holds an `AdaptiveRate`, the learner of a single process. A gate asks for the times at which
its next requests may go, and reports what became of earlier ones. Whoever asks loads the model,
applies the reports in order of time, stores it, and lets the copy in hand run ahead to plan what it
hands out; if another process has stored meanwhile, it begins again. So there is one learner, which
sees the requests of all processes and does not know that there are several. It grows once, and is
cut once: a cut makes a new `version`, and what was sent under an earlier one was sent before the
cut, whenever that was.

Times are by the database's clock. A store does not wait for the disk, so a crash of the server may
set the model back by a second. If a broken connection makes us store twice, a few times go unused.
"""

from __future__ import annotations

import asyncio
import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import version
from operator import attrgetter
from random import random
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

import attrs

from sigmamind_async.limiter.bucket import FASTEST, SLOWEST
from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.limiter.pacing import SendRecord
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.journal.postgres.connections import Connection
from sigmamind_async.provisioning.journal.postgres.schema import NOW
from sigmamind_async.responses.headers import Policy

if TYPE_CHECKING:
    from cattrs import Converter

QUERY_TIMEOUT: Final = 0.75
"""Seconds for one exchange: a caller that waits to send cannot wait longer."""
POLL: Final = 0.25
"""Seconds between two exchanges of a gate that is in use, at most."""
HORIZON: Final = 0.25
"""A request is given a time at most this many seconds ahead: the model may know better by then."""
BATCH_SECONDS: Final = 0.1
"""Seconds' worth of requests that one gate may take at once; if it is killed, they are lost."""
ACTIVE: Final = 2.0
"""Seconds for which a gate counts as in use."""

_ENTRIES: Final = 64
"""Entries of the model's record of what was sent: it is stored with each exchange."""

_READ: Final = (
    "SELECT revision, rate, paused_until, model, now"  # noqa: S608 - all of it is ours
    f" FROM (SELECT {NOW} AS now) AS clock LEFT JOIN {{schema}}.rates ON account = %s"
)
_STORE: Final = """
INSERT INTO {schema}.rates AS r (account, revision, rate, paused_until, model)
VALUES (%s, %s + 1, %s, %s, %s)
ON CONFLICT (account) DO UPDATE SET (revision, rate, paused_until, model)
    = (excluded.revision, excluded.rate, excluded.paused_until, excluded.model)
    WHERE r.revision = excluded.revision - 1
RETURNING set_config('synchronous_commit', 'off', true)
"""


class Event(NamedTuple):
    """What became of a request."""

    at: float
    """When it went, if it went without being held back, or was answered."""
    outcome: str
    """``sent``, ``passed``, ``refused``, or ``stated`` with a policy."""
    began: float
    """When it went, or was to go."""
    level: int = 0
    """Requests of its loop that were then under way."""
    version: int = 0
    """The version that its gate knew then."""
    wait: float = 0.0
    """Seconds that a refusal reported; 0 if none."""
    policy: Policy | None = None
    """The limit that the platform states, with *level* requests left."""


@attrs.frozen(kw_only=True)
class RateReport:
    """What a gate reports, and how many requests it asks for."""

    gate: str
    """Its name, unlike that of any other."""
    wanted: int = 0
    """Requests that wait to be sent."""
    events: Sequence[Event] = ()
    unsent: Sequence[float] = ()
    """Times that it was given and has not used."""
    longest: float = MAX_PAUSE
    """Seconds after which any pause ends, also a longer one in the row."""


@attrs.frozen(kw_only=True)
class RateReply:
    """What a gate goes by until the next reply."""

    version: int
    """Grows with each cut; 0 until the platform has refused a request."""
    rate: float | None
    """Requests a second; `None` if that is not known."""
    width: float
    """Requests under way at once."""
    paused_until: float
    share: float
    """This gate's part of the rate, if all that are in use get the same."""
    granted: Sequence[float]
    """When requests of this gate may go."""
    next_at: float
    """When the first of those may or, if there is none, the next one might."""
    ask_at: float
    """When it is of use to ask for more."""


def _new_rate(rate: float | None = None) -> AdaptiveRate:
    return AdaptiveRate(rate=rate, lag=HORIZON, record=SendRecord(most=_ENTRIES))


@attrs.define
class SharedModel:
    """The model of one account, and what it has been told. Pure: it is passed the time."""

    version: int = 0
    rate: AdaptiveRate = attrs.field(factory=_new_rate)
    slots: list[float] = attrs.field(factory=list[float])
    """Times that were handed out and are still to come, in order."""
    gates: dict[str, float] = attrs.field(factory=dict[str, float])
    """When each gate last asked; that which was granted nothing for longest comes first."""

    @classmethod
    def restore(
        cls, now: float, revision: int, rate: float | None, paused_until: float, text: str
    ) -> Self:
        """Return the model of a row; one that knows the rate alone where *text* cannot be used."""
        try:
            release, values = json.loads(text, parse_constant=_constant)
            model = _model_converter().structure(values, cls) if release == _release() else None
        except Exception:  # noqa: BLE001 - damaged, in whatever way
            model = None
        if model is None or max(model.gates.values(), default=0.0) > now + ACTIVE:
            # It cannot be read, or the clock has been set back since.
            model = cls()
            if rate is not None and 0.0 < rate < math.inf:
                rate = min(max(rate, SLOWEST), FASTEST)
                model = cls(version=revision, rate=_new_rate(rate))
                model.rate.restart(now - 1.0 / rate)  # so that one may go now
        model.rate.paused_until = paused_until
        return model

    def exchange(self, now: float, report: RateReport) -> tuple[str, RateReply]:
        """Apply *report*; return the text to be stored, and the reply."""
        self._record(now, report)
        rate, paused_until = self.rate, self.rate.paused_until
        values = _model_converter().unstructure(self)
        # From here on the model runs ahead: what it learns will be learned once it is so late.
        order = list(self.gates)
        ahead = HORIZON * (1 - order.index(report.gate) / len(order))
        granted, next_at = self._plan(now, report.wanted, ahead)
        values["slots"] = [*self.slots, *granted]
        if granted:
            values["gates"][report.gate] = values["gates"].pop(report.gate)
        is_denied = report.wanted > 0 and not granted
        reply = RateReply(
            version=self.version,
            rate=rate.rate,
            width=rate.width,
            paused_until=paused_until,
            share=1 / len(self.gates),
            granted=granted,
            next_at=next_at,
            ask_at=max(next_at - ahead, now + BATCH_SECONDS if is_denied else now),
        )
        return json.dumps([_release(), values]), reply

    def _record(self, now: float, report: RateReport) -> None:
        recent = {gate: at for gate, at in self.gates.items() if now - ACTIVE < at <= now}
        self.gates = recent | {report.gate: now}  # which keeps its place
        for at in report.unsent:
            if at in self.slots:
                self.slots.remove(at)
            else:
                self.rate.withdraw(at)
        due = bisect_right(self.slots, now)
        went = [Event(at, "sent", at, version=self.version) for at in self.slots[:due]]
        del self.slots[:due]
        for event in sorted([*went, *report.events], key=attrgetter("at")):
            self._apply(now, event, report.longest)

    def _apply(self, now: float, event: Event, longest: float) -> None:
        rate, request = self.rate, (event.began, event.level, "")
        is_old = self.is_old(event)
        if event.outcome == "sent":
            rate.insert(event.began) if is_old else rate.take(event.began)
            return
        cut = rate.cut
        if is_old:  # to the model, all is late that was sent before its latest cut
            rate.cut = math.inf
        if event.policy is not None:
            rate.follow(event.at, event.policy, event.level)
        elif event.outcome == "passed":
            rate.passed(event.at, request)
        else:
            wait = min(event.wait, longest)
            pause = rate.refused(event.at, request, wait, random())  # noqa: S311 - a jitter
            if pause:
                rate.pause(event.at + pause)
        if is_old and rate.cut == math.inf:
            rate.cut = cut
        elif rate.cut != cut:
            self._begin_version(now)

    def is_old(self, event: Event) -> bool:
        """Return whether the request went before the last cut, by what its gate knew."""
        return event.version != self.version

    def _begin_version(self, now: float) -> None:
        """Take back what was handed out, but what may go before all gates know of the cut."""
        self.version += 1
        for at in self.slots:
            if at <= now + POLL and not self.rate.is_closed:  # what is closed admits none of them
                self.rate.insert(at)
        self.slots.clear()
        if self.version == 1:  # until all have reported what they have sent before
            self.rate.ready = max(self.rate.ready, now + POLL)

    def _plan(self, now: float, wanted: int, ahead: float) -> tuple[list[float], float]:
        """Return when so many requests may go, at most, and when the first of those."""
        rate, granted = self.rate, list[float]()
        for at in self.slots:
            rate.take(at)
        first = max(now, rate.ready, rate.paused_until)
        most = math.ceil(wanted / len(self.gates)) if self.version else 0
        if rate.is_closed:
            most = min(most, 0 if self.slots else 1)
        while len(granted) < most:
            at = round(max(first, rate.ready), 6)
            if at > (granted[0] + BATCH_SECONDS if granted else now + ahead):
                break
            rate.take(at)
            granted.append(at)
        return granted, first


class Rates(Protocol):
    """Where the gates of an account meet: `SharedRates`, or what replaces it in a test."""

    def now(self) -> float:
        """Return the time by the common clock, in seconds."""
        ...

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateReply]:
        """Store *report* and ask for requests; raise, or answer with, `JournalError`."""
        ...


@attrs.frozen
class SharedRates:
    """The models in the database of a journal."""

    journal: PostgresJournal

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch."""
        return self.journal.now()

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateReply]:
        """Store *report* and ask for requests.

        The answer arrives within a second or is a `JournalError`, unless all connections are busy.
        Raises `JournalError` at once if the journal cannot be written to.
        """
        return self.journal.run(partial(self._exchange, account, report), timeout=QUERY_TIMEOUT)

    async def _exchange(
        self, account: str, report: RateReport, connection: Connection
    ) -> RateReply:
        clock, sql = self.journal.clock, self.journal.sql
        while True:
            asked = clock.monotonic()
            cursor = await connection.execute(sql(_READ), (account,))
            [(revision, rate, paused_until, text, now)] = await cursor.fetchall()
            clock.learn(asked, now, clock.monotonic())
            # A pause may have been stored with a wrong clock. NaN is never less than a number.
            end = now + report.longest
            paused_until = paused_until if (paused_until or 0.0) <= end else end
            model = SharedModel.restore(now, revision or 0, rate, paused_until or 0.0, text or "")
            text, reply = model.exchange(now, report)
            values = account, revision or 0, reply.rate, reply.paused_until, text
            cursor = await connection.execute(sql(_STORE), values)
            if await cursor.fetchone() is not None:  # else another process was faster
                return reply


@cache
def _model_converter() -> Converter:
    # Imported with the first use: a process that shares no rate does without it.
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(Policy, lambda value, _: Policy(*value))
    converter.register_unstructure_hook(Policy, list)
    converter.register_unstructure_hook(float, lambda value: round(value, 6))
    return converter


@cache
def _release() -> str:
    return version("sigmamind-async")


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError(name)
    return float(name)

"""How fast all workers of an account may send together: one row in the database per account.

Requests go at moments that the row hands out one after the other, so no two workers get the same
one (the generic cell rate algorithm). A worker takes as many at once as its callers wait for, at
most a tenth of a second's worth, and holds at most twice that; if it is killed, that much is lost.
Nothing is configured. The rate is what the workers' gates have learned (see `shared_rate`): the
first one to be rate-limited sets the new rate for all, and the others take it over. A pause that
the platform asks one of them for applies to all, and ends after `RateReport.longest` at the latest.
A longer one in the row, stored with a wrong clock for instance, is shortened by the next query.

If a broken connection makes us repeat a statement, its requests may be counted twice: then a few
moments go unused, or the rate grows slightly too much. No statement waits for the disk, so a crash
of the server may set the rate back by a second.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, Protocol

import attrs

from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.journal.postgres.connections import Connection

QUERY_TIMEOUT: Final = 0.75
"""Seconds for one query: a caller that waits to send cannot wait longer."""
HORIZON: Final = 10.0
"""A request is given a moment at most this many seconds ahead."""
BATCH_SECONDS: Final = 0.1
"""Seconds' worth of requests that one worker may take at once."""
LATE: Final = 0.005
"""Seconds by which a late request may still keep its moment."""
IDLE: Final = 5.0
"""After this many seconds without a report, earlier counts mean nothing and start again."""
_PAUSE_TOLERANCE: Final = 1.0
"""Seconds by which a stored pause may exceed the longest one before it is shortened."""

_EXCHANGE: Final = (
    "SELECT (state).version, (state).rate, (state).learned, (state).since, (state).passed,"
    " (state).paused_until, (state).taken, granted, first, (state).seen"
    " FROM {schema}.exchange(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_SHORTEN_PAUSE: Final = (
    "UPDATE {schema}.rates SET paused_until = least(paused_until, %(end)s),"
    " since = least(since, %(end)s), ready = least(ready, %(end)s)"
    " WHERE account = %(account)s AND paused_until > %(end)s"
)


@attrs.frozen(kw_only=True)
class RateReport:
    """What a gate reports to the others, and how many requests it asks for."""

    wanted: int = 0
    """Requests that wait to be sent."""
    version: int = 0
    """The version that it knows; the report counts only if that is still the latest."""
    rate: float | None = None
    """The rate that it has cut to, if it was rate-limited."""
    learned: str = ""
    """What its limiter has learned with that rate; opaque here."""
    growth: float = 1.0
    """The factor by which its successes have raised the rate since the last report."""
    passed: int = 0
    """Its requests that succeeded since then."""
    pause: float = 0.0
    """Seconds for which the platform asked it to pause."""
    longest: float = MAX_PAUSE
    """Seconds after which any pause ends, also a longer one in the row."""


@attrs.frozen(kw_only=True)
class RateState:
    """What all gates of the account know together. Times are by the database's clock."""

    version: int
    """Number of cuts so far."""
    rate: float | None
    """Requests a second; `None` until the platform has rate-limited one."""
    learned: str
    """What the limiter that made the latest cut had learned."""
    since: float
    """When the latest cut was made, or the account was used again after a while."""
    passed: int
    """Requests that succeeded since then."""
    paused_until: float
    taken: int
    """Requests that were given a moment since then."""
    granted: int = 0
    """How many requests this query got, at the rate, from *first* on."""
    first: float = 0.0
    """When the first of those may go or, if none was granted, the next one might."""


class Rates(Protocol):
    """Where the gates of an account meet: `SharedRates`, or what replaces it in a test."""

    def now(self) -> float:
        """Return the time by the common clock, in seconds."""
        ...

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateState]:
        """Store *report* and ask for requests; raise, or answer with, `JournalError`."""
        ...


@attrs.frozen
class SharedRates:
    """The rates in the database of a journal."""

    journal: PostgresJournal

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch."""
        return self.journal.now()

    def exchange(self, account: str, report: RateReport) -> asyncio.Future[RateState]:
        """Store *report* and ask for requests.

        The answer arrives within a second or is a `JournalError`, unless all connections are busy.
        Raises `JournalError` at once if the journal cannot be written to.
        """
        return self.journal.run(partial(self._exchange, account, report), timeout=QUERY_TIMEOUT)

    async def _exchange(
        self, account: str, report: RateReport, connection: Connection
    ) -> RateState:
        clock = self.journal.clock
        asked = clock.monotonic()
        values = (account, *_values(report))
        cursor = await connection.execute(self.journal.sql(_EXCHANGE), values)
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - the function returns one
        *state, now = row
        clock.learn(asked, now, clock.monotonic())
        answer = RateState(**dict(zip(_STATE, state, strict=True)))
        end = now + report.longest
        if answer.paused_until <= end + _PAUSE_TOLERANCE:
            return answer
        await connection.execute(self.journal.sql(_SHORTEN_PAUSE), {"account": account, "end": end})
        # NaN is never less than a number, so it is replaced too.
        return attrs.evolve(
            answer, paused_until=end, since=min(end, answer.since), first=min(end, answer.first)
        )


_STATE: Final = tuple(field.name for field in attrs.fields(RateState))


def _values(report: RateReport) -> tuple[object, ...]:
    return (
        *(report.version, report.rate, report.learned, report.growth, report.passed),
        *(report.pause, report.wanted, HORIZON, LATE, BATCH_SECONDS, IDLE),
    )

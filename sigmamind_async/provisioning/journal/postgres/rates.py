"""How fast all workers of an account may send together: one row of the database for each account.

Requests go at moments that the row hands out, one after the other, so that no two workers have the
same: the generic cell rate algorithm. A worker takes as many at once as its callers wait for, at
most a tenth of a second's worth, and holds at most twice that; if it is killed, so much is lost.
Nothing is configured. The rate is what the workers' gates have learned, in the
words of `pace`: whoever is refused first says what follows for all, and those who come second with
the same refusal are told what the first has made of it. A pause that the platform asks one of them
for is everyone's, and ends after `News.longest` however long that is: one that is stored beyond
that, by an earlier version or with a clock that was wrong, is cut in the database by the next
question.

What a statement is given twice, because a connection broke, it may count twice: then a few moments
are left unused, or the rate grows by a hair too much. Nothing here is waited for to reach a disk,
so a crash of the server may set the rate back to what it was a second before.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import attrs

from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.provisioning.journal.postgres.clock import DatabaseClock
from sigmamind_async.provisioning.journal.postgres.connections import Connection

HASTE: Final = 0.75
"""Seconds for one question: whoever wants to send has no longer."""
AHEAD: Final = 10.0
"""Seconds from now within which a request may be given its moment."""
WHOLE: Final = 0.1
"""Seconds' worth of requests that one worker may take at once."""
LATE: Final = 0.005
"""Seconds that may be made up for; see `pace`."""
IDLE: Final = 5.0
"""Seconds without a word after which what passed before tells nothing."""
_ROUNDING: Final = 1.0
"""Seconds by which a pause may be too long without being cut."""

TAKE: Final = (
    "SELECT (t.told).version, (t.told).rate, (t.told).learned, (t.told).since, (t.told).passed,"
    " (t.told).paused_until, (t.told).taken, t.granted, t.first, (t.told).seen"
    " FROM {schema}.take(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS t"
)
CUT: Final = (
    "UPDATE {schema}.rates SET paused_until = least(paused_until, %(end)s),"
    " since = least(since, %(end)s), ready = least(ready, %(end)s)"
    " WHERE account = %(account)s AND paused_until > %(end)s"
)


@attrs.frozen(kw_only=True)
class News:
    """What a gate tells the others, and what it asks for."""

    wanted: int = 0
    """Requests that wait to be sent."""
    version: int = 0
    """The cut that it knows of; what it tells counts if that is still the latest."""
    rate: float | None = None
    """The rate it has cut to, if it was refused."""
    learned: str = ""
    """What goes with that; opaque."""
    growth: float = 1.0
    """By what its successes have multiplied the rate since it was last told."""
    passed: int = 0
    """Its requests that passed since then."""
    pause: float = 0.0
    """Seconds for which the platform wants to be left alone."""
    longest: float = MAX_PAUSE
    """Seconds after which a pause ends, however long one that is stored lasts."""


@attrs.frozen(kw_only=True)
class Told:
    """What all gates of the account know together; moments are by the database's clock."""

    version: int
    """Counts the cuts."""
    rate: float | None
    """Requests a second; `None` until the platform has refused one."""
    learned: str
    """What the gate that was refused has said with it."""
    since: float
    """When the latest cut was made, or the account woke up."""
    passed: int
    """Requests that passed since then."""
    paused_until: float
    taken: int
    """Requests that were given their moment since then."""
    granted: int = 0
    """How many may go for this question, at the rate, from *first* on."""
    first: float = 0.0
    """When the next request might go: those that were granted, or the next to be."""


class Rates(Protocol):
    """Where gates meet: a `PostgresJournal`, or what stands for it in a test."""

    def now(self) -> float:
        """Return the time by the common clock, in seconds."""
        ...

    def take(self, account: str, news: News) -> asyncio.Future[Told]:
        """Tell *news* and ask for requests; raise, or answer with, `JournalError`."""
        ...


async def taken(
    clock: DatabaseClock,
    queries: tuple[bytes, bytes],
    account: str,
    news: News,
    connection: Connection,
) -> Told:
    """Carry *news* to the row and return what it says.

    *queries* are `TAKE` and `CUT`, about its schema.
    """
    take, cut = queries
    asked = clock.monotonic()
    cursor = await connection.execute(take, (account, *_values(news)))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the function returns one
    *told, now = row
    clock.learn(asked, now, clock.monotonic())
    answer = Told(**dict(zip(_TOLD, told, strict=True)))
    end = now + news.longest
    if answer.paused_until <= end + _ROUNDING:
        return answer
    await connection.execute(cut, {"account": account, "end": end})
    # Not a number is never less than one.
    return attrs.evolve(
        answer, paused_until=end, since=min(end, answer.since), first=min(end, answer.first)
    )


_TOLD: Final = tuple(field.name for field in attrs.fields(Told))


def _values(news: News) -> tuple[object, ...]:
    return (
        *(news.version, news.rate, news.learned, news.growth, news.passed, news.pause, news.wanted),
        *(AHEAD, LATE, WHOLE, IDLE),
    )

"""Simulated platforms, and how fast a job should run against each: data for `simulator`.

For a platform that admits ``rate`` requests a second after ``burst`` at once, and asks for a wait
of ``R`` seconds, each refusal loses ``L = max(0, R - burst / rate)`` seconds: what its bucket would
have gained and cannot hold. Two refusals are the fewest from which rate and burst can be learned,
and finding them takes a third. So a job has

    1.05 * ideal + 3 L + 20 latencies (+ 2 L for each change of the limit)

seconds, and 5 % of its requests may be refused, or 20 of a short job.

`BASE` are the platforms that the first limiter was made for, `OTHERS` those that it was then found
to be slow on. `NEW` and `KEPT_ASIDE` came after both; nothing is tuned on the latter.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial

import attrs

from tests.harness.limits import (
    Apart,
    Both,
    Bucket,
    Limit,
    Lot,
    Named,
    Outage,
    Places,
    Report,
    SlidingLog,
    Window,
    constant,
    policy,
    reset,
    reset_after,
    reset_epoch,
    retry_after,
    retry_after_ms,
    silent,
    triple,
)


@attrs.frozen(kw_only=True)
class Case:
    """A server and a job."""

    limit: Callable[[], Limit]
    rows: int
    """Of each client."""
    ideal: float
    """Seconds at exactly what the platform admits."""
    latency: float = 0.1
    lost: float = 0.0
    """Seconds that each refusal loses."""
    changes: int = 0
    """How often the limit changes."""
    kinds: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """Rows of each kind, where one client runs a job of each at the same time."""
    clients: int = 1
    greedy: float = 0.0
    """Requests a second of another client that heeds nothing."""

    @property
    def most_seconds(self) -> float:
        """How long the job may take."""
        if self.clients > 1:
            return 1.3 * self.ideal
        lost = (3 + 2 * self.changes) * self.lost
        return 1.05 * self.ideal + lost + 20 * self.latency

    def most_refused(self, sent: int) -> float:
        """Return how many of the requests *sent* may be refused."""
        return max(0.05 * sent, 20.0)


def _wait(report: Report, seconds: float) -> float:
    """Return the seconds that a refusal reports where a request would pass after *seconds*."""
    headers = report(0.0, seconds)
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    if "x-ratelimit-reset-after" in headers:
        return float(headers["x-ratelimit-reset-after"])
    return float(headers.get("retry-after", 0.0))


def bucket(
    rate: float,
    burst: float,
    rows: int,
    report: Report = silent,
    *,
    latency: float = 0.1,
    punishes: bool = False,
    clients: int = 1,
    greedy: float = 0.0,
) -> Case:
    """Return a token bucket that does not change."""
    return Case(
        limit=lambda: Bucket(rate, burst, report=report, punishes=punishes),
        rows=rows,
        ideal=(clients * rows - burst) / (rate - greedy),
        latency=latency,
        lost=max(0.0, _wait(report, 1 / rate) - burst / rate),
        clients=clients,
        greedy=greedy,
    )


def changing(
    rates: Mapping[float, float],
    burst: float,
    rows: int,
    report: Report = silent,
    *,
    latency: float = 0.1,
) -> Case:
    """Return a token bucket with another rate from each of these times on."""
    since = list(rates)

    def rate(at: float) -> float:
        return rates[since[bisect.bisect_right(since, at) - 1]]

    ideal, left = 0.0, rows - burst
    for begin, end in itertools.pairwise([*since, math.inf]):
        ideal = min(end, begin + left / rates[begin])
        left -= (ideal - begin) * rates[begin]
        if left <= 0:
            break
    slowest = min(rates.values())
    return Case(
        limit=lambda: Bucket(rate, burst, report=report),
        rows=rows,
        ideal=ideal,
        latency=latency,
        lost=max(0.0, _wait(report, 1 / slowest) - burst / slowest),
        changes=len(rates) - 1,
    )


def _windows(rows: int, most: int, seconds: float) -> float:
    """Return when the last of *rows* passes, if each window is used up as soon as it begins."""
    return (math.ceil(rows / most) - 1) * seconds


def window(
    most: int, seconds: float, rows: int, report: Report = silent, *, latency: float = 0.1
) -> Case:
    return Case(
        limit=partial(Window, most, seconds, report=report),
        rows=rows,
        ideal=_windows(rows, most, seconds),
        lost=max(0.0, _wait(report, 0.0) - seconds),
        latency=latency,
    )


def sliding(
    most: int,
    seconds: float,
    rows: int,
    report: Report = silent,
    *,
    latency: float = 0.1,
    punishes: bool = False,
) -> Case:
    return Case(
        limit=partial(SlidingLog, most, seconds, report=report, punishes=punishes),
        rows=rows,
        ideal=_windows(rows, most, seconds),
        lost=max(0.0, _wait(report, 0.0) - seconds),
        latency=latency,
    )


def places(most: int, rows: int, report: Report = silent, *, latency: float = 0.1) -> Case:
    limit = partial(Places, most, report=report)
    return Case(limit=limit, rows=rows, ideal=rows * latency / most, latency=latency)


def kinds(report: Report = silent, *, named: bool = False, **rates: tuple[float, int]) -> Case:
    """Return a limit of its own for each kind, given as rate (and burst) and rows."""

    def apart() -> Limit:
        each = {kind: Bucket(rate, rate, report=report) for kind, (rate, _) in rates.items()}
        if named:
            return Apart(**{kind: Named(limit, kind) for kind, limit in each.items()})
        return Apart(**each)

    return Case(
        limit=apart,
        rows=sum(rows for _, rows in rates.values()),
        ideal=max((rows - rate) / rate for rate, rows in rates.values()),
        kinds={kind: rows for kind, (_, rows) in rates.items()},
    )


def _base(report: Report) -> dict[str, Case]:
    def limit_of_20(status: int = 429) -> Limit:
        return Bucket(20, 20, report=report, status=status)

    return {
        "2 a second, burst 2": bucket(2, 2, 1_500, report),
        "2 a second, burst 1": bucket(2, 1, 1_500, report),
        "20 a second, burst 20": bucket(20, 20, 5_000, report),
        "20 a second, burst 1": bucket(20, 1, 5_000, report),
        "200 a second, burst 200": bucket(200, 200, 20_000, report),
        "200 a second, burst 1": bucket(200, 1, 20_000, report),
        "2000 a second, burst 2000": bucket(2_000, 2_000, 60_000, report, latency=0.02),
        "2000 a second, burst 1": bucket(2_000, 1, 60_000, report, latency=0.02),
        "20 a second, latency 5 ms": bucket(20, 20, 5_000, report, latency=0.005),
        "20 a second, latency 1 s": bucket(20, 20, 5_000, report, latency=1.0),
        "20 a second, latency 3 s": bucket(20, 20, 5_000, report, latency=3.0),
        "a limit that halves": changing({0: 20, 60: 10}, 20, 3_000, report),
        "a limit that doubles": changing({0: 20, 60: 40}, 20, 8_000, report),
        "shared by two such clients": bucket(20, 20, 3_000, report, clients=2),
        "shared with a greedy client": bucket(20, 20, 2_000, report, greedy=10.0),
        "503 instead of 429": attrs.evolve(
            bucket(20, 20, 3_000, report), limit=partial(limit_of_20, 503)
        ),
        "purchases at 2, updates at 20 a second": kinds(report, buy=(2, 400), update=(20, 4_000)),
        "both at 20 a second": attrs.evolve(
            bucket(20, 20, 4_000, report), kinds={"buy": 2_000, "update": 2_000}
        ),
        "both, few purchases": attrs.evolve(
            bucket(20, 20, 4_000, report), kinds={"buy": 200, "update": 3_800}
        ),
    }


def _minute(report: Report) -> Case:
    return window(150, 60, 6_000, report)


def _reporting_minute(*, epoch: bool) -> Case:
    limit = partial(Window, 150, 60, fields=triple(150, epoch=epoch))
    return attrs.evolve(_minute(silent), limit=limit)


BASE: dict[str, Case] = {
    **_base(silent),
    **{f"{name}, Retry-After": case for name, case in _base(retry_after).items()},
    "150 a minute, Retry-After": _minute(retry_after),
    "150 a minute, reset in seconds": _minute(reset),
    "150 a minute, reset as epoch": _minute(reset_epoch),
    "150 a minute, told with every answer": _reporting_minute(epoch=False),
    "150 a minute, told as epoch": _reporting_minute(epoch=True),
    "150 a minute, silent": _minute(silent),
    "1 under way": places(1, 3_000),
    "5 under way": places(5, 12_000),
    "20 under way": places(20, 18_000),
    "20 under way, latency 1 s": places(20, 12_000, latency=1.0),
    "1 % by lot": Case(limit=lambda: Lot(0.01), rows=30_000, ideal=90.0, latency=0.3),
    "3 % by lot": Case(limit=lambda: Lot(0.03), rows=10_000, ideal=30.0, latency=0.3),
    "no limit": Case(limit=Limit, rows=20_000, ideal=20.0),
    "no limit, latency 1 s": Case(limit=Limit, rows=5_000, ideal=50.0, latency=1.0),
    "500 rows at 50 a second, Retry-After": bucket(50, 50, 500, retry_after),
}

OTHERS: dict[str, Case] = {
    "200/s b50 RA, 1500 rows": bucket(200, 50, 1_500, retry_after, latency=0.05),
    "200/s b50 RA, 20000 rows": bucket(200, 50, 20_000, retry_after, latency=0.05),
    "20/s b5 RA, 200 rows": bucket(20, 5, 200, retry_after, latency=0.05),
    "20/s b5 RA, 1000 rows": bucket(20, 5, 1_000, retry_after, latency=0.05),
    "20/s b5, 200 rows": bucket(20, 5, 200, latency=0.05),
    "5/s b10 RA, 300 rows": bucket(5, 10, 300, retry_after, latency=0.4),
    "1/s b1 RA, 120 rows": bucket(1, 1, 120, retry_after, latency=0.4),
    "10/s b10 RA constant 5, 600 rows": bucket(10, 10, 600, constant(5), latency=0.2),
    "10/s b10 RA constant 30, 1200 rows": bucket(10, 10, 1_200, constant(30), latency=0.2),
    "sliding 100 per 10 s RA, 1000 rows": sliding(100, 10, 1_000, retry_after),
    "sliding 100 per 10 s, 1000 rows": sliding(100, 10, 1_000),
    "sliding 500 per 60 s, 2000 rows": sliding(500, 60, 2_000),
    "sliding 30 per 1 s RA, 2000 rows": sliding(30, 1, 2_000, retry_after),
    "fixed 20 per 1 s RA, 600 rows": window(20, 1, 600, retry_after),
    "fixed 20 per 1 s, 600 rows": window(20, 1, 600),
    "fixed 100 per 10 s RA, 1000 rows": window(100, 10, 1_000, retry_after),
    "fixed 60 per 60 s RA, 300 rows": window(60, 60, 300, retry_after),
    "fixed 1000 per 300 s RA, 3000 rows": window(1_000, 300, 3_000, retry_after),
    "fixed 5000 per 60 s RA, 20000 rows": window(5_000, 60, 20_000, retry_after),
    "punishing 20/s b20, 1000 rows": bucket(20, 20, 1_000, punishes=True),
    "punishing 20/s b20 RA, 1000 rows": bucket(20, 20, 1_000, retry_after, punishes=True),
    "10/s and 300 a minute RA, 1500 rows": Case(
        limit=lambda: Both(Bucket(10, 10, report=retry_after), Window(300, 60, report=retry_after)),
        rows=1_500,
        ideal=240.0 + 29.0,
    ),
    "5 under way and 10/s, 600 rows": Case(
        limit=lambda: Both(Bucket(10, 10), Places(5)), rows=600, ideal=59.0, latency=0.2
    ),
    "200/s halves at 3 s, b50 RA": changing({0: 200, 3: 100}, 50, 1_500, retry_after, latency=0.05),
    "5/s to 1/s at 60 s, b5 RA": changing({0: 5, 60: 1}, 5, 400, retry_after),
    "greedy 80 of 200/s b50 RA": bucket(200, 50, 1_500, retry_after, latency=0.05, greedy=80.0),
    "50/s b50 RA, 500 rows, latency 0.3 s": bucket(50, 50, 500, retry_after, latency=0.3),
    "0.2/s b3 RA, 30 rows": bucket(0.2, 3, 30, retry_after, latency=0.3),
    "50/s b10 RA constant 2, 2000 rows": bucket(50, 10, 2_000, constant(2)),
    "4/s b20 RA constant 10, 400 rows": bucket(4, 20, 400, constant(10)),
    "30/s b100, 3000 rows": bucket(30, 100, 3_000),
    "100/s b1 RA in ms, 5000 rows": bucket(100, 1, 5_000, retry_after_ms),
    "25/s b25 RA in ms, 2000 rows": bucket(25, 25, 2_000, retry_after_ms),
    "10 under way RA, 2000 rows": places(10, 2_000, retry_after, latency=0.2),
    "50/s b50, outage of 30 s, 2000 rows": Case(
        limit=lambda: Outage(Bucket(50, 50), 10, 40), rows=2_000, ideal=39.0 + 30.0
    ),
    "1 % by lot RA, 2000 rows": Case(
        limit=lambda: Lot(0.01, report=retry_after), rows=2_000, ideal=26.0, latency=0.3
    ),
    "three share 30/s b30 RA": bucket(30, 30, 1_000, retry_after, clients=3),
    "0.5/s b10, 60 rows": bucket(0.5, 10, 60),
    "1000/s b100, 20000 rows": bucket(1_000, 100, 20_000, latency=0.03),
}

NEW: dict[str, Case] = {
    "10/s b1 RA constant 10, 300 rows": bucket(10, 1, 300, constant(10)),
    "100/s b20 RA constant 1, 3000 rows": bucket(100, 20, 3_000, constant(1)),
    "50/s b200 RA constant 60, 2000 rows": bucket(50, 200, 2_000, constant(60)),
    "fixed 5 per 1 s RA, 150 rows": window(5, 1, 150, retry_after),
    "fixed 10 per 1 s RA in ms, 500 rows": window(10, 1, 500, retry_after_ms),
    "fixed 10 per 10 s, epoch, 120 rows": window(10, 10, 120, reset_epoch),
    "fixed 50 per 5 s, silent, 1000 rows": window(50, 5, 1_000),
    "sliding 10 per 1 s RA in ms, 500 rows": sliding(10, 1, 500, retry_after_ms),
    "sliding 200 per 20 s RA constant 10, 1500 rows": sliding(200, 20, 1_500, constant(10)),
    "sliding 1000 per 60 s RA, 4000 rows": sliding(1_000, 60, 4_000, retry_after),
    "sliding 100 per 10 s counts refusals, RA": sliding(100, 10, 1_000, retry_after, punishes=True),
    "punishing 50/s b10 RA, 1000 rows": bucket(50, 10, 1_000, retry_after, punishes=True),
    "20/s and 600 a minute RA, 1500 rows": Case(
        limit=lambda: Both(Bucket(20, 20, report=retry_after), Window(600, 60, report=retry_after)),
        rows=1_500,
        ideal=120.0 + 14.0,
    ),
    "10 under way and 15/s RA, 1000 rows": Case(
        limit=lambda: Both(Bucket(15, 15, report=retry_after), Places(10, report=retry_after)),
        rows=1_000,
        ideal=985 / 15,
        latency=0.4,
    ),
    "50 to 10 to 50/s, b50 RA": changing({0: 50, 20: 10, 60: 50}, 50, 2_500, retry_after),
    "100 to 25/s at 10 s, b25": changing({0: 100, 10: 25}, 25, 2_000),
    "window of 10 s from 100 to 50 at 40 s RA": Case(
        limit=partial(Window, lambda at: 100 if at < 40 else 50, 10, report=retry_after),
        rows=800,
        ideal=110.0,
        changes=1,
    ),
    "greedy 30 of 40/s b40 RA": bucket(40, 40, 400, retry_after, greedy=30.0),
    "greedy 50 of 100/s b100": bucket(100, 100, 1_500, greedy=50.0),
    "0.1/s b1 RA, 20 rows": bucket(0.1, 1, 20, retry_after),
    "5000/s b500 RA, 40000 rows": bucket(5_000, 500, 40_000, retry_after, latency=0.01),
    "5/s b5 RA, 30 rows": bucket(5, 5, 30, retry_after),
    "40/s b10 RA, 400 rows": bucket(40, 10, 400, retry_after),
    "two share 20/s b20": bucket(20, 20, 1_000, clients=2),
    "20/s b5 Reset-After, 1000 rows": bucket(20, 5, 1_000, reset_after),
    "RateLimit-Policy 100 per 60 s, 500 rows": attrs.evolve(
        window(100, 60, 500),
        limit=partial(Window, 100, 60, report=retry_after, fields=policy(100, 60)),
    ),
    "named buckets of 2 and 20/s RA": kinds(
        retry_after, named=True, buy=(2, 100), update=(20, 1_000)
    ),
}

KEPT_ASIDE: dict[str, Case] = {
    "3/s b6 RA constant 20, 200 rows": bucket(3, 6, 200, constant(20)),
    "1000/s b1000 RA constant 5, 20000 rows": bucket(
        1_000, 1_000, 20_000, constant(5), latency=0.05
    ),
    "fixed 50 per 5 s RA constant 5, 1000 rows": window(50, 5, 1_000, constant(5)),
    "fixed 3 per 1 s, silent, 150 rows": window(3, 1, 150),
    "sliding 60 per 60 s RA, 300 rows": sliding(60, 60, 300, retry_after),
    "sliding 5 per 1 s, silent, 300 rows": sliding(5, 1, 300),
    "punishing 5/s b5, 300 rows": bucket(5, 5, 300, punishes=True),
    "5/s and 100 a minute, silent, 400 rows": Case(
        limit=lambda: Both(Bucket(5, 5), Window(100, 60)), rows=400, ideal=180.0 + 19.0
    ),
    "10 to 30/s at 30 s, b10": changing({0: 10, 30: 30}, 10, 1_500),
    "100 to 25/s at 10 s, b25 RA constant 2": changing({0: 100, 10: 25}, 25, 2_000, constant(2)),
    "greedy 5 of 20/s b5 RA": bucket(20, 5, 600, retry_after, greedy=5.0),
    "0.1/s b5, 25 rows": bucket(0.1, 5, 25),
    "5000/s b5000, 40000 rows": bucket(5_000, 5_000, 40_000, latency=0.01),
    "100/s b100, 1500 rows": bucket(100, 100, 1_500),
    "15/s b30 RA in ms, 150 rows": bucket(15, 30, 150, retry_after_ms),
    "four share 50/s b50 RA": bucket(50, 50, 1_000, retry_after, clients=4),
}

SERVERS: Mapping[str, Mapping[str, Case]] = {
    "base": BASE,
    "others": OTHERS,
    "new": NEW,
    "kept-aside": KEPT_ASIDE,
}

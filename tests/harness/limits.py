"""Ways in which platforms limit their callers, as models that are passed the time.

A limit decides when a request arrives. With a refusal it may report how long to wait: how it does
is a function from the time and the wait to response headers, such as `retry_after`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Mapping

import attrs

EPOCH = 1_700_000_000.0
"""The time of day at which a run begins."""


@attrs.frozen
class Answer:
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


OK = Answer()

Report = Callable[[float, float], Mapping[str, str]]
"""The headers of a refusal: made from the time and the seconds until a request would pass."""


# ---------------------------------------------------------------- what a refusal reports


def silent(at: float, wait: float) -> Mapping[str, str]:
    del at, wait
    return {}


def retry_after(at: float, wait: float) -> Mapping[str, str]:
    """Report whole seconds, rounded up, at least one."""
    del at
    return {"retry-after": str(max(1, math.ceil(wait - 1e-9)))}


def constant(seconds: float) -> Report:
    """Return a report that is the same whatever the wait is."""
    return lambda _at, _wait: {"retry-after": f"{seconds:g}"}


def retry_after_ms(at: float, wait: float) -> Mapping[str, str]:
    del at
    return {"retry-after-ms": str(max(1, math.ceil(1000 * wait - 1e-6)))}


def reset_after(at: float, wait: float) -> Mapping[str, str]:
    """Report seconds with decimals."""
    del at
    return {"x-ratelimit-reset-after": f"{math.ceil(1000 * wait - 1e-6) / 1000:.3f}"}


def reset(at: float, wait: float) -> Mapping[str, str]:
    del at
    return {"x-ratelimit-reset": str(math.ceil(wait))}


def reset_epoch(at: float, wait: float) -> Mapping[str, str]:
    return {"x-ratelimit-reset": str(math.ceil(EPOCH + at + wait))}


# ---------------------------------------------------------------- limits


class Limit:
    """No limit at all; the others change `decide`, which is called when a request arrives."""

    def decide(self, at: float) -> Answer:
        return OK

    def end(self) -> None:
        """Record that a request that passed has been handled."""

    def of(self, kind: str) -> Limit:
        """Return the limit of one kind of requests."""
        return self


class Apart(Limit):
    """A limit for each kind of requests."""

    def __init__(self, **limits: Limit) -> None:
        self._limits = limits

    def of(self, kind: str) -> Limit:
        return self._limits[kind]


class Bucket(Limit):
    """Tokens that are refilled at a rate, which may change; with *punishes* refusals cost some."""

    def __init__(
        self,
        rate: float | Callable[[float], float],
        burst: float,
        *,
        report: Report = silent,
        status: int = 429,
        punishes: bool = False,
    ) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._at = 0.0
        self._report, self._status, self._punishes = report, status, punishes

    def decide(self, at: float) -> Answer:
        rate = self._rate(at) if callable(self._rate) else self._rate
        self._tokens = min(self._burst, self._tokens + (at - self._at) * rate)
        self._at = at
        # A hair below 1 is 1: spacing exactly as the bucket fills must not fail by rounding.
        if self._tokens > 1 - 1e-6:
            self._tokens -= 1
            return OK
        wait = (1 - self._tokens) / rate
        if self._punishes:
            self._tokens = max(-self._burst, self._tokens - 1)
        return Answer(self._status, self._report(at, wait))


class Window(Limit):
    """So many requests in each window, which begins for all at once.

    *fields* makes the headers of the other answers: from the time, the requests that are left and
    the seconds until the next window.
    """

    def __init__(
        self,
        most: int | Callable[[float], int],
        seconds: float,
        *,
        report: Report = silent,
        fields: Callable[[float, int, float], Mapping[str, str]] | None = None,
    ) -> None:
        self._most, self._seconds = most, seconds
        self._report, self._fields = report, fields
        self._window = self._used = 0

    def decide(self, at: float) -> Answer:
        window = int(at // self._seconds)
        if window != self._window:
            self._window, self._used = window, 0
        most = self._most(at) if callable(self._most) else self._most
        wait = (window + 1) * self._seconds - at
        if self._used >= most:
            return Answer(429, self._report(at, wait))
        self._used += 1
        return Answer(200, self._fields(at, most - self._used, wait)) if self._fields else OK


class SlidingLog(Limit):
    """So many requests in any stretch of that length; with *punishes* refusals count as well."""

    def __init__(
        self, most: int, seconds: float, *, report: Report = silent, punishes: bool = False
    ) -> None:
        self._most, self._seconds = most, seconds
        self._report, self._punishes = report, punishes
        self._log = deque[float]()

    def decide(self, at: float) -> Answer:
        while self._log and self._log[0] <= at - self._seconds:
            self._log.popleft()
        refused = len(self._log) >= self._most
        if not refused or self._punishes:
            self._log.append(at)
        if not refused:
            return OK
        return Answer(429, self._report(at, self._log[-self._most] + self._seconds - at))


class Named(Limit):
    """A limit whose platform names it with every response."""

    def __init__(self, limit: Limit, name: str) -> None:
        self._limit, self._name = limit, name

    def decide(self, at: float) -> Answer:
        answer = self._limit.decide(at)
        return attrs.evolve(answer, headers={**answer.headers, "x-ratelimit-bucket": self._name})

    def end(self) -> None:
        self._limit.end()


class Places(Limit):
    """At most so many requests under way at once."""

    def __init__(self, most: int, *, report: Report = silent) -> None:
        self._most, self._taken, self._report = most, 0, report

    def decide(self, at: float) -> Answer:
        if self._taken >= self._most:
            return Answer(429, self._report(at, 1.0))
        self._taken += 1
        return OK

    def end(self) -> None:
        self._taken -= 1


class Lot(Limit):
    """Refuses a share of the requests, however fast or slow they come."""

    def __init__(self, share: float, *, report: Report = silent) -> None:
        self._share, self._chance, self._report = share, random.Random(7), report

    def decide(self, at: float) -> Answer:
        if self._chance.random() < self._share:
            return Answer(429, self._report(at, 1.0))
        return OK


class Both(Limit):
    """Several limits at once: a request passes if all of them admit it, in this order."""

    def __init__(self, *limits: Limit) -> None:
        self._limits = limits

    def decide(self, at: float) -> Answer:
        for index, limit in enumerate(self._limits):
            answer = limit.decide(at)
            if answer.status != 200:
                for other in self._limits[:index]:
                    other.end()
                return answer
        return OK

    def end(self) -> None:
        for limit in self._limits:
            limit.end()


class Outage(Limit):
    """Refuses everything for a while, without a word."""

    def __init__(self, limit: Limit, begins: float, ends: float) -> None:
        self._limit, self._begins, self._ends = limit, begins, ends

    def decide(self, at: float) -> Answer:
        return Answer(429) if self._begins <= at < self._ends else self._limit.decide(at)

    def end(self) -> None:
        self._limit.end()


# ---------------------------------------------------------------- what other answers report


def triple(limit: int, *, epoch: bool = False) -> Callable[[float, int, float], Mapping[str, str]]:
    """Return the headers ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset``."""

    def fields(at: float, left: int, wait: float) -> Mapping[str, str]:
        return {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(math.ceil(EPOCH + at + wait if epoch else wait)),
        }

    return fields


def policy(quota: int, seconds: int) -> Callable[[float, int, float], Mapping[str, str]]:
    """Return the fields ``RateLimit`` and ``RateLimit-Policy`` of the IETF draft."""

    def fields(at: float, left: int, wait: float) -> Mapping[str, str]:
        del at
        return {
            "ratelimit-policy": f'"default";q={quota};w={seconds}',
            "ratelimit": f'"default";r={left};t={math.ceil(wait)}',
        }

    return fields

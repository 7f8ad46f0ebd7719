"""How many requests are admitted, and what the refused ones are told. Pure, told the time.

Two rules may hold at once: a bucket of ``burst`` tokens refilled ``per_second``, and a fixed
window of so many requests. A request passes when both have room and only then counts, so that
a caller who knocks early is not punished for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Annotated, Literal

import attrs

from sigmamind_async.sandbox.settings import Bounds, Count, Seconds, Setting

_HAIR = 1e-9
_NO_LANES: Mapping[str, RateLimit] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class RateLimit(Setting):
    """What the platform admits, and how it words a refusal."""

    per_second: Annotated[float, Bounds(0, is_open=True)] | None = None
    """Tokens added each second; None leaves the bucket out."""
    burst: Annotated[int, Bounds(1)] = 1
    """Tokens the bucket holds, and starts with."""
    window: tuple[Count, Seconds] | None = None
    """So many requests in so many seconds; it opens with the first request after the last one
    closed."""
    retry_after: Literal["seconds", "date"] | None = "seconds"
    """What ``Retry-After`` of a refusal holds; with `None` there is none."""
    headers: bool = False
    """Whether every answer carries ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset``."""
    reset: Literal["seconds", "epoch"] = "seconds"
    """What ``X-RateLimit-Reset`` counts."""
    status: Literal[429, 503] = 429
    """What a refusal answers."""
    lanes: Mapping[str, RateLimit] = attrs.field(default=_NO_LANES, hash=False)
    """Operations with a limit of their own, which then is the only one they meet."""


@attrs.frozen(kw_only=True)
class Admission:
    """What the limit says about one request."""

    allowed: bool
    limit: int
    remaining: int
    reset_in: float
    """Seconds until the allowance is whole again."""
    retry_in: float
    """Seconds until a refused request would pass; 0 for an admitted one."""


@attrs.define(kw_only=True)
class Lane:
    """The live count of one limit."""

    rule: RateLimit
    tokens: float
    updated: float
    opened: float = -math.inf
    used: int = 0

    def admit(self, now: float) -> Admission:
        """Count the request if there is room for it."""
        self._move_to(now)
        bucket_wait, window_wait = self._bucket_wait(), self._window_wait(now)
        allowed = bucket_wait <= 0 and window_wait <= 0
        if allowed:
            self._count()
        return Admission(
            allowed=allowed,
            limit=self.rule.window[0] if self.rule.window else self.rule.burst,
            remaining=self._remaining(),
            reset_in=self._reset_in(now),
            retry_in=0.0 if allowed else max(bucket_wait, window_wait),
        )

    def _move_to(self, now: float) -> None:
        if self.rule.per_second is not None:
            grown = self.tokens + (now - self.updated) * self.rule.per_second
            self.tokens = min(float(self.rule.burst), grown)
            self.updated = now
        if self.rule.window is not None and now >= self.opened + self.rule.window[1]:
            self.opened, self.used = now, 0

    def _count(self) -> None:
        if self.rule.per_second is not None:
            self.tokens -= 1.0
        self.used += 1

    def _bucket_wait(self) -> float:
        # A hair below 1 is 1: a caller who waited as told must not be turned away by rounding.
        if self.rule.per_second is None or self.tokens > 1.0 - _HAIR:
            return 0.0
        return (1.0 - self.tokens) / self.rule.per_second

    def _window_wait(self, now: float) -> float:
        if self.rule.window is None or self.used < self.rule.window[0]:
            return 0.0
        return self.opened + self.rule.window[1] - now

    def _remaining(self) -> int:
        room: list[int] = []
        if self.rule.per_second is not None:
            room.append(int(self.tokens + _HAIR))
        if self.rule.window is not None:
            room.append(self.rule.window[0] - self.used)
        return max(0, min(room, default=self.rule.burst))

    def _reset_in(self, now: float) -> float:
        if self.rule.window is not None:
            return self.opened + self.rule.window[1] - now
        if self.rule.per_second is not None:
            return (self.rule.burst - self.tokens) / self.rule.per_second
        return 0.0


@attrs.define
class Limiter:
    """All lanes of one platform."""

    rule: RateLimit
    _lanes: dict[str, Lane] = attrs.field(factory=dict[str, Lane], init=False)

    def admit(self, operation: str, now: float) -> tuple[RateLimit, Admission]:
        """Return the rule that applies to *operation* and what it says at *now*."""
        name = operation if operation in self.rule.lanes else ""
        lane = self._lanes.get(name)
        if lane is None:
            rule = self.rule.lanes.get(operation, self.rule)
            lane = Lane(rule=rule, tokens=float(rule.burst), updated=now)
            self._lanes[name] = lane
        return lane.rule, lane.admit(now)


def limit_headers(rule: RateLimit, admission: Admission, wall: float) -> dict[str, str]:
    """Return the headers an answer carries; *wall* is the time of day in epoch seconds.

    Seconds are whole and rounded up, as HTTP has it, so waiting that long is always enough.
    """
    headers: dict[str, str] = {}
    if rule.headers:
        reset = admission.reset_in + (wall if rule.reset == "epoch" else 0.0)
        headers["X-RateLimit-Limit"] = str(admission.limit)
        headers["X-RateLimit-Remaining"] = str(admission.remaining)
        headers["X-RateLimit-Reset"] = str(math.ceil(reset))
    if admission.allowed or rule.retry_after is None:
        return headers
    if rule.retry_after == "seconds":
        headers["Retry-After"] = str(math.ceil(admission.retry_in))
    else:
        headers["Retry-After"] = formatdate(math.ceil(wall + admission.retry_in), usegmt=True)
    return headers

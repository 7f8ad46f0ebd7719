"""Everything about the sandbox that may be changed while it runs."""

from __future__ import annotations

import asyncio
import math
import time
from functools import cached_property
from typing import Protocol

import attrs

from sigmamind_async.sandbox.chance import draw
from sigmamind_async.sandbox.faults import NO_FAULTS, Faults
from sigmamind_async.sandbox.limits import RateLimit
from sigmamind_async.sandbox.settings import Seconds, check_setting
from sigmamind_async.sandbox.switches import Switches


class Clock(Protocol):
    """Seconds that pass when somebody else says so, such as `testing.FakeClock`."""

    def __call__(self) -> float:
        """Return the time; it never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        ...


@attrs.define(kw_only=True, eq=False, slots=False)
class Conditions:
    """Settings that each request looks at afresh."""

    seed: int = attrs.field(default=0, on_setattr=attrs.setters.frozen, validator=check_setting)
    faults: Faults = attrs.field(default=NO_FAULTS, validator=check_setting)
    rate_limit: RateLimit | None = attrs.field(default=None, validator=check_setting)
    switches: Switches = attrs.field(factory=Switches, validator=check_setting)
    latency: tuple[Seconds, Seconds] = attrs.field(default=(0.0, 0.0), validator=check_setting)
    """Shortest and longest processing time in seconds."""
    list_lag: Seconds = attrs.field(default=0.0, validator=check_setting)
    """Seconds until lists and reads show a new number."""
    clock: Clock | None = attrs.field(default=None, on_setattr=attrs.setters.frozen)
    """What the time is read from; None for the event loop's own."""

    refuses_until: float = attrs.field(default=-math.inf, init=False)
    """Until when connections are refused, as `now` counts."""

    def now(self) -> float:
        """Return seconds that never go back."""
        if self.clock is not None:
            return self.clock()
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            message = "the sandbox is not open, and no event loop runs here"
            raise RuntimeError(message) from None

    def wall_clock(self) -> float:
        """Return seconds since the epoch, at the pace of `now` where an event loop runs."""
        try:
            return self._epoch + self.now()
        except RuntimeError:
            return time.time()

    @cached_property
    def _epoch(self) -> float:
        return time.time() - self.now()

    def latency_of(self, operation: str, count: int) -> float:
        """Return the seconds that the request of *operation* numbered *count* takes."""
        low, high = self.latency
        if high <= low:
            return low
        return low + (high - low) * draw(self.seed, "latency", operation, count)

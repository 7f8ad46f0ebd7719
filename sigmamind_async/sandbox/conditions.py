"""The weather: everything about the sandbox that may be changed while it runs."""

from __future__ import annotations

import attrs

from sigmamind_async.sandbox.chance import draw
from sigmamind_async.sandbox.faults import NO_FAULTS, Faults
from sigmamind_async.sandbox.limits import RateLimit
from sigmamind_async.sandbox.switches import Switches


@attrs.define(kw_only=True, eq=False)
class Conditions:
    """Settings that each request looks at afresh."""

    seed: int = attrs.field(default=0, on_setattr=attrs.setters.frozen)
    faults: Faults = NO_FAULTS
    rate_limit: RateLimit | None = None
    switches: Switches = attrs.field(factory=Switches)
    latency: tuple[float, float] = (0.0, 0.0)
    """Shortest and longest processing time in seconds."""
    list_lag: float = 0.0
    """Seconds until lists and reads show a new number."""

    def latency_of(self, operation: str, count: int) -> float:
        """Return the seconds that the request numbered *count* takes."""
        low, high = self.latency
        if high <= low:
            return low
        return low + (high - low) * draw(self.seed, "latency", operation, count)

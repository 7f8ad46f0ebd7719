"""Requests that a learner of rates admits, one after another."""

from __future__ import annotations

from sigmamind_async.limiter.pacing import Pacing


def answered(
    learner: Pacing, count: int, *, rate: float, begins: float = 0.0, level: int = 1
) -> float:
    """Let *count* requests pass, spaced at *rate*, each answered at once; return when it ended.

    *level* of them are said to be under way.
    """
    at = begins
    for index in range(count):
        at = begins + index / rate
        learner.take(at)
        learner.passed(at, (at, level, ""))
    return at

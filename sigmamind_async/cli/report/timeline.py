"""Requests over time, counted as an observer of a client, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import attrs

from sigmamind_async.events import AttemptFinished, Event, Throttled

MOST_BUCKETS: Final = 120


@attrs.frozen
class Point:
    """What was counted in one stretch of time."""

    start: float
    """Seconds since the first event."""
    seconds: float
    """How long the stretch is."""
    admitted: int
    """Requests that were sent and ended, rate-limited ones included."""
    throttled: int


@attrs.define(kw_only=True)
class Timeline:
    """Counts requests and 429s per stretch of time, to be passed as ``observer``.

    Time begins with the first event. When there are too many stretches, each two become one: a
    job of a minute is seen by the second, one of a day by the quarter of an hour.
    """

    clock: Callable[[], float] = time.monotonic
    most: int = attrs.field(default=MOST_BUCKETS, validator=attrs.validators.ge(2))
    """Most stretches that are kept."""
    _seconds: float = 1.0
    _began: float | None = None
    _admitted: list[int] = attrs.field(factory=list[int])
    _throttled: list[int] = attrs.field(factory=list[int])

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        if isinstance(event, AttemptFinished):
            index = self._bucket()
            self._admitted[index] += 1
        elif isinstance(event, Throttled):
            index = self._bucket()
            self._throttled[index] += 1

    def points(self) -> tuple[Point, ...]:
        """Return what was counted, from the first event to the last."""
        counted = zip(self._admitted, self._throttled, strict=True)
        return tuple(
            Point(index * self._seconds, self._seconds, admitted, throttled)
            for index, (admitted, throttled) in enumerate(counted)
        )

    def _bucket(self) -> int:
        """Return the stretch that now is in, and make it if need be."""
        now = self.clock()
        if self._began is None:
            self._began = now
        passed = max(0.0, now - self._began)
        while passed >= self.most * self._seconds:
            self._double()
        index = int(passed / self._seconds)
        missing = [0] * (index + 1 - len(self._admitted))
        self._admitted += missing
        self._throttled += missing
        return index

    def _double(self) -> None:
        self._seconds *= 2
        self._admitted = _in_pairs(self._admitted)
        self._throttled = _in_pairs(self._throttled)


def _in_pairs(counts: list[int]) -> list[int]:
    return [sum(counts[index : index + 2]) for index in range(0, len(counts), 2)]

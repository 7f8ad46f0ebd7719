"""When requests were sent: what the learners of rates count in.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

Stretches = list[tuple[float, int]]
"""Stretches of time that end together, the shortest first: how long, and what passed in each."""

_MOST_ENTRIES: Final = 256
"""Entries of a record; every stretch since an empty bucket is then known to half a percent."""


@attrs.define
class SendRecord:
    """When requests were sent that are not known to be refused.

    Exact for the latest, ever coarser for older ones, so that it never grows.
    """

    begins: float = math.inf
    """When the first was sent."""
    _entries: list[list[float]] = attrs.field(factory=list[list[float]])
    """Time of the first of some requests, how many they are, and the rate that spaced them."""

    def add(self, now: float, rate: float) -> None:
        """Record a request that goes now, spaced by *rate*; infinite if it was not held back."""
        entries = self._entries
        if not entries:
            self.begins = min(self.begins, now)
        entries.append([now, 1, rate])
        if len(entries) > _MOST_ENTRIES:
            older = entries[: _MOST_ENTRIES // 2]
            entries[: _MOST_ENTRIES // 2] = [
                [one[0], one[1] + other[1], one[2]]
                for one, other in zip(older[::2], older[1::2], strict=True)
            ]

    def strike(self, began: float) -> float:
        """Take a request off again that was refused; return the rate that spaced it."""
        entries = self._entries
        for index in range(len(entries) - 1, -1, -1):
            entry = entries[index]
            if entry[0] <= began:
                entry[1] -= 1
                if not entry[1]:
                    del entries[index]
                return entry[2]
        return math.inf

    def stretches(self, start: float, end: float) -> Stretches:
        """Return the stretches up to *end* that begin after *start*: how long, and how many."""
        found: Stretches = []
        count = 0
        for at, more, _ in reversed(self._entries):
            if at <= start:
                break
            if at <= end:
                count += int(more)
                found.append((end - at, count))
        return found

    def count(self, start: float, end: float) -> int:
        """Return how many were sent after *start*, up to *end*."""
        found = self.stretches(start, end)
        return found[-1][1] if found else 0

    def times(self, end: float) -> list[float]:
        """Return when each was sent, up to *end*."""
        return [at for at, count, _ in self._entries if at <= end for _ in range(int(count))]

    def forget(self, until: float) -> None:
        """Drop what was sent up to *until*."""
        self._entries = [entry for entry in self._entries if entry[0] > until]

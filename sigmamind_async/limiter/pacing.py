"""The interface between a gate and what learns its rate, and the record of what was sent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final

import attrs

from sigmamind_async.responses.headers import Policy

FIRST: Final = 10.0
"""Requests under way at the start; those that pass make room for more."""

Admitted = tuple[float, int, str, *tuple[object, ...]]
"""One admitted request: when it was sent, how many of its loop were then under way, and its kind.
`Gate` adds the queues it belongs to."""

Stretches = list[tuple[float, int]]
"""Stretches of time that end together, the shortest first: how long, and what passed in each."""


@attrs.define
class SendRecord:
    """When requests were sent that are not known to be refused.

    Exact for the latest, ever coarser for older ones, so that it never grows.
    """

    most: int = 256
    """Entries: with 256, every stretch since an empty bucket is known to half a percent."""
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
        if len(entries) > self.most:
            older = entries[: self.most // 4 * 2]
            entries[: len(older)] = [
                [one[0], one[1] + other[1], one[2]]
                for one, other in zip(older[::2], older[1::2], strict=True)
            ]

    def insert(self, at: float) -> None:
        """Record a request that was not held back, however late it is reported."""
        self.add(at, math.inf)
        self._entries.sort()

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
        """Return when each was sent, up to *end*; those known only together, evenly spread."""
        entries = [entry for entry in self._entries if entry[0] <= end]
        ends = [at for at, _, _ in [*entries[1:], *entries[-1:]]]
        return [
            at + index / count * (after - at)
            for (at, count, _), after in zip(entries, ends, strict=True)
            for index in range(int(count))
        ]

    def forget(self, until: float) -> None:
        """Drop what was sent up to *until*."""
        self._entries = [entry for entry in self._entries if entry[0] > until]


@attrs.define
class Pacing(ABC):
    """When and how wide requests under one limit may go: what a learner sets."""

    rate: float | None = None
    """Requests a second; `None` until the platform has refused one."""
    width: float = FIRST
    """Requests under way at once."""
    ready: float = -math.inf
    """When the next request may go at that rate."""
    cut: float = -math.inf
    """When a refusal last changed rate or width."""
    paused_until: float = 0.0
    """When the latest pause ends."""
    capped: bool = False
    """True if that pause was cut short, so that one request tries before the others go."""
    tried_at: float | None = None
    """When that request was sent; `None` while it is not under way."""
    latency: float = 0.0
    """Smoothed, in seconds; 0 until a request has passed."""
    lag: float = 0.0
    """Seconds by which requests are planned ahead: so much later does a refusal show."""
    eager: bool = False
    """True while refusals show which kind of requests is limited, and so are worth having."""

    @property
    @abstractmethod
    def progress(self) -> int:
        """How many requests have passed since the last cut."""

    @abstractmethod
    def take(self, now: float) -> None:
        """Count a request that goes now."""

    @abstractmethod
    def passed(self, now: float, ticket: Admitted) -> None:
        """Record a request that was answered."""

    @abstractmethod
    def refused(self, now: float, ticket: Admitted, wait: float, jitter: float = 0.5) -> float:
        """Record a refusal that reported *wait*, 0 if none; return the seconds to pause.

        *jitter* is a random number from 0 to 1.
        """

    @abstractmethod
    def separate(self, now: float, share: float) -> Pacing:
        """Return a learner for requests that had this *share* of the rate, from a refusal on."""

    def pause(self, until: float) -> None:
        """Hold requests back until *until*."""
        self.paused_until = max(self.paused_until, until)

    def follow(self, now: float, policy: Policy, left: float) -> None:  # noqa: B027 - may not
        """Keep to a *policy* that the platform states, with so many requests *left* at once."""

    def measure_latency(self, took: float) -> None:
        """Smooth the latency as TCP does (RFC 6298)."""
        self.latency += (took - self.latency) * (0.125 if self.latency else 1.0)

"""What a gate asks a learner of rates, and what it is told."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final

import attrs

FIRST: Final = 10.0
"""Requests under way at the start; those that pass make room for more."""

Admitted = tuple[float, int, str, *tuple[object, ...]]
"""One admitted request: when it was sent, how many of its loop were then under way, and its kind.
`Gate` adds the queues it belongs to."""


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

    def measure_latency(self, took: float) -> None:
        """Smooth the latency as TCP does (RFC 6298)."""
        self.latency += (took - self.latency) * (0.125 if self.latency else 1.0)

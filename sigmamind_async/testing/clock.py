"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import attrs

from sigmamind_async.client import Client
from sigmamind_async.limiter.gate import Gate, Permit

C = TypeVar("C", bound=Client)


class FakeClock:
    """Monotonic seconds under a test's control; call it for the time.

    `sleep` returns at once and advances the clock, so that code which waits between its attempts
    runs without waiting.
    """

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.slept: list[float] = []
        """Each wait, in seconds."""

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, and let other tasks run."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def gate(self, *, max_wait: float | None = None, jitter: float = 1.0) -> Gate:
        """Return a gate that advances this clock instead of waiting."""
        return _FakeGate(max_wait=max_wait, clock=self, jitter=lambda: jitter)


class _FakeGate(Gate):
    async def acquire(
        self, *, width: int, deadline: float, unbounded: bool = False, kind: str = ""
    ) -> Permit:
        now = self._clock()
        refused = not unbounded and self.admission.refuses(now) is not None
        wait = self.admission.wait(now, kind)
        most = deadline - now if self.max_wait is None else min(self.max_wait, deadline - now)
        if not refused and wait <= most:
            assert isinstance(self._clock, FakeClock)  # noqa: S101 - see FakeClock.gate
            self._clock.advance(wait)
        return await super().acquire(width=width, deadline=deadline, unbounded=unbounded, kind=kind)


def in_fake_time(client: C, clock: FakeClock, *, jitter: float = 1.0) -> C:
    """Return a copy of *client*, with its own gate, that runs on *clock*.

    *jitter*, from 0 to 1, replaces every random number.
    """
    engine = client._runner.engine  # noqa: SLF001 - no public setting should change a client's time
    twin = client.with_options()
    twin._bind(  # noqa: SLF001 - as above
        attrs.evolve(
            engine,
            clock=clock,
            sleep=clock.sleep,
            jitter=lambda: jitter,
            gate=clock.gate(max_wait=engine.gate.max_wait, jitter=jitter),
        )
    )
    return twin

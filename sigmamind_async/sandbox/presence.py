"""Who is being served at the moment, and how everyone is woken when the sandbox closes."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from sigmamind_async.sandbox.conditions import Conditions


class Presence:
    """Counts what is being handled and lets handlers wait without holding up the end."""

    def __init__(self, conditions: Conditions) -> None:
        """Start with nobody present."""
        self._conditions = conditions
        self.in_flight: int = 0
        """Requests to the platform, also those whose connection is gone."""
        self._unsettled = 0
        """Those of them that may still change something."""
        self._idle = asyncio.Event()
        self._settled = asyncio.Event()
        self._closing = asyncio.Event()
        self._count(0, 0)

    @property
    def closing(self) -> bool:
        """True once the sandbox is being closed."""
        return self._closing.is_set()

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request."""
        self._count(1, 1)
        try:
            yield
        finally:
            self._count(-1, -1)

    @contextmanager
    def ending(self) -> Generator[None]:
        """Count a request no longer as one that may change something."""
        self._count(0, -1)
        try:
            yield
        finally:
            self._count(0, 1)

    def _count(self, in_flight: int, unsettled: int) -> None:
        self.in_flight += in_flight
        self._unsettled += unsettled
        for count, event in ((self.in_flight, self._idle), (self._unsettled, self._settled)):
            if count:
                event.clear()
            else:
                event.set()

    async def idle(self) -> None:
        """Wait until no request is being handled."""
        await self._idle.wait()

    async def settled(self) -> None:
        """Wait until no request is being handled that may still change something."""
        await self._settled.wait()

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds, or until the sandbox closes."""
        clock = self._conditions.clock
        if clock is not None:
            await clock.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        """Wake everyone who pauses."""
        self._closing.set()

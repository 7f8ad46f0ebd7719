"""One at a time for each name: operations by their id, and changes by their number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs

from sigmamind_async.per_loop import PerLoop

InTime: TypeAlias = Callable[[Awaitable[Any]], Awaitable[Any]]
"""Awaits what it is given; may raise at a deadline."""


@attrs.define
class _Turn:
    lock: asyncio.Lock
    users: int = 0


class KeyedLock:
    """Locks by name, within one event loop, each kept only while somebody wants it."""

    def __init__(self) -> None:
        """Begin with none taken."""
        self._turns: PerLoop[dict[str, _Turn]] = PerLoop(dict)

    @asynccontextmanager
    async def of(self, name: str, in_time: InTime | None = None) -> AsyncGenerator[None]:
        """Wait for the turn of *name*, in order of asking; an empty name waits for nobody.

        *in_time* awaits what has to be waited for, and may raise at a deadline.
        """
        if not name:
            yield
            return
        turns = self._turns.get()
        turn = turns.setdefault(name, _Turn(asyncio.Lock()))
        turn.users += 1
        try:
            if in_time is not None and turn.lock.locked():
                await in_time(turn.lock.acquire())
            else:
                await turn.lock.acquire()
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del turns[name]

"""One at a time for each name: operations by their id, and changes by their number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs

from sigmamind_async.loops import PerLoop


@attrs.define
class _Turn:
    lock: asyncio.Lock
    users: int = 0


class Turns:
    """Locks by name, within one event loop, each kept only while somebody wants it."""

    def __init__(self) -> None:
        """Begin with none taken."""
        self._turns: PerLoop[dict[str, _Turn]] = PerLoop(dict)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncGenerator[None]:
        """Wait for the turn of *name*, in order of asking; an empty name waits for nobody."""
        if not name:
            yield
            return
        turns = self._turns.get()
        turn = turns.setdefault(name, _Turn(asyncio.Lock()))
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del turns[name]

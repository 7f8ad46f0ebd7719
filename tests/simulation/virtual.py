"""An event loop without time and without I/O: a seed decides who goes first, timers come at once.

Waiting costs nothing, for the clock jumps to whatever is due next. Callbacks that are ready
together run in an order drawn from the seed, so each seed is another interleaving, and the same
seed is the same one again.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any


class StuckError(Exception):
    """Every task waits for another one, and no timer is set."""


class SeededLoop(asyncio.BaseEventLoop):
    """Runs what is ready in an order of its seed, and skips the time between."""

    def __init__(self, seed: int, most_turns: int = 1_000_000) -> None:
        super().__init__()
        self._most_turns = most_turns
        self._random = Random(seed)
        self._now = 0.0
        self._selector = self
        self.turns = 0

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Stand in for a selector: nothing ever happens but the passing of time."""
        if timeout is None:
            raise StuckError("everybody waits for somebody else")
        self._now += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            shuffled = list(ready)
            self._random.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        self.turns += 1
        if self.turns > self._most_turns:
            raise StuckError(f"still busy after {self._most_turns} turns")
        super()._run_once()  # type: ignore[misc]

    def finish(self) -> None:
        """End what is still running, and close."""
        self._most_turns += 10_000
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()

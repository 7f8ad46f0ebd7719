"""One value for each running event loop and process.

A client may be a module-level object that outlives the loop it was first used in: every
``asyncio.run`` starts a new one, threads have their own, and a fork copies the object into
another process. Whatever is tied to a loop (a session, a queue of futures) is therefore kept by
loop and pid and made when first used there. What belongs to a dead loop or to another process is
forgotten without I/O: the sockets of a dead loop cannot be spoken to, and those of a parent
process are still in use over there.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_forks = 0
"""How many forks led to this process. Counted, because to ask for the process id at every turn
costs 0.3 microseconds, three times a call."""


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a fact about the process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class PerLoop(Generic[T]):
    """Values of type *T*, each made by *make* when its loop first asks."""

    def __init__(self, make: Callable[[], T], forget: Callable[[T], None] | None = None) -> None:
        """*forget* is told each value whose loop is closed or whose process is another one."""
        self._make = make
        self._forget = forget
        self._lock = threading.Lock()
        self._forks = _forks
        self._values: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None or self._forks != _forks:
            value = self._first(loop)
        return value

    def pop(self) -> T | None:
        """Take the running loop's value out, if it has one."""
        return self._values.pop(asyncio.get_running_loop(), None)

    def discard(self, loop: asyncio.AbstractEventLoop, value: T) -> None:
        """Drop *value*, which is ending in order; *loop* may have another by now."""
        if self._values.get(loop) is value:
            del self._values[loop]

    def _first(self, loop: asyncio.AbstractEventLoop) -> T:
        foreign: list[T] = []
        if self._forks != _forks:
            # The parent may have held the lock at the moment of the fork.
            self._lock = threading.Lock()
            self._forks = _forks
            foreign, self._values = list(self._values.values()), {}
        with self._lock:
            dead = [other for other in self._values if other.is_closed()]
            foreign += [self._values.pop(other) for other in dead]
            value = self._values[loop] = self._make()
        for gone in foreign:
            if self._forget is not None:
                self._forget(gone)
        return value

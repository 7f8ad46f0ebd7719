"""State that belongs to one event loop and one process.

A client may be a module-level object that outlives the loop it was first used in: every
``asyncio.run`` starts a new one, threads have their own, and a fork copies the object into another
process. Whatever is tied to a loop (a session, a lock, a queue of futures) is therefore created on
first use in that loop. A value whose loop is closed, or that came from the parent process, is
dropped without I/O: nothing can be sent from a closed loop, and the parent still uses its sockets.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import attrs

T = TypeVar("T")

_forks = 0


def fork_count() -> int:
    """Return how many forks led to this process: two of a line of processes never have the same.

    An `os.getpid()` for each call would be a system call: four of them took 2 % of a purchase.
    """
    return _forks


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a fact about the process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class PerLoop(Generic[T]):
    """One value per event loop, created by *factory* when the loop first asks for it.

    *on_discard* receives each value whose loop is closed or that came from the parent process.
    """

    def __init__(
        self, factory: Callable[[], T], on_discard: Callable[[T], None] | None = None
    ) -> None:
        self._factory = factory
        self._on_discard = on_discard
        self._lock = threading.Lock()
        self._forks = _forks
        self._values: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the running loop's value; raise `RuntimeError` where no loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "no asyncio event loop is running; under trio, or without async, use the client of"
                " the same name from sigmamind_async.sync, in a separate thread where needed"
            ) from None
        value = self._values.get(loop)
        if value is None or self._forks != _forks:
            value = self._create(loop)
        return value

    def pop(self) -> T | None:
        """Remove and return the running loop's value, if it has one."""
        return self._values.pop(asyncio.get_running_loop(), None)

    def values(self) -> list[T]:
        """Return the values of all loops of this process."""
        return [] if self._forks != _forks else list(self._values.values())

    def discard(self, loop: asyncio.AbstractEventLoop, value: T) -> None:
        """Remove *value*, which has been closed properly, unless *loop* has a newer one."""
        if self._values.get(loop) is value:
            del self._values[loop]

    def _create(self, loop: asyncio.AbstractEventLoop) -> T:
        discarded: list[T] = []
        if self._forks != _forks:
            # Another thread of the parent may have held the lock at the moment of the fork.
            self._lock = threading.Lock()
            self._forks = _forks
            discarded, self._values = list(self._values.values()), {}
        with self._lock:
            closed = [other for other in self._values if other.is_closed()]
            discarded += [self._values.pop(other) for other in closed]
            value = self._values[loop] = self._factory()
        if self._on_discard is not None:
            for each in discarded:
                self._on_discard(each)
        return value


class InTime(Protocol):
    """Awaits something under a deadline; raises when the deadline passes first."""

    def __call__(self, waiting: Awaitable[T], /) -> Awaitable[T]:
        """Return the result of *waiting*."""
        ...


@attrs.define
class _CountedLock:
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    users: int = 0
    """Tasks that hold it or wait for it."""


class KeyedLock:
    """A lock for each key, within one event loop; a lock exists only while it is in use."""

    def __init__(self) -> None:
        self._locks: PerLoop[dict[str, _CountedLock]] = PerLoop(dict)

    @asynccontextmanager
    async def hold(self, key: str, in_time: InTime | None = None) -> AsyncGenerator[None]:
        """Hold the lock of *key*, in the order of asking; an empty key locks nothing.

        A wait for the lock happens within *in_time*.
        """
        if not key:
            yield
            return
        locks = self._locks.get()
        counted = locks.setdefault(key, _CountedLock())
        counted.users += 1
        try:
            if in_time is not None and counted.lock.locked():
                await in_time(counted.lock.acquire())
            else:
                await counted.lock.acquire()
            try:
                yield
            finally:
                counted.lock.release()
        finally:
            counted.users -= 1
            if not counted.users:
                del locks[key]

"""The attempts under way in one event loop, and a single timer for the deadlines of all.

One `loop.call_later` per attempt is the largest avoidable cost left in a call: a handle that is
created, pushed on the loop's heap, cancelled, and nearly never fires; `asyncio.timeout` costs 6
microseconds alone and 15 in a real call. Here an attempt is added to a dict and removed from it.
The one timer is set to the earliest deadline; when it fires it cancels what is overdue, and is set
to the earliest deadline of what is then under way.

Deadlines are kept within a few milliseconds, by cancelling the task. As in `asyncio.timeout`,
``task.cancelling()`` distinguishes our cancellation from the caller's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigmamind_async.operation import ConnectionFlag, HttpRequest

MIN_INTERVAL = 0.005
"""Seconds between two runs of the timer: bounds the cost of thousands of attempts that all hang."""


class Attempt:
    """One attempt under way."""

    # Class attributes, because few attempts set them.
    overdue: bool = False
    """True once its deadline has passed, and its task has been cancelled for it."""
    outer: Attempt | None = None
    """The attempt in which its task made this one: hooks of a caller's session may make calls."""
    on_end: Callable[[Attempt], None] | None = None
    """Called with it when it has ended: by then its connection may be idle."""
    has_head: bool = False
    """True if the head of its response has been read."""
    is_followed: bool = False
    """True if its response announces a body that nothing reads."""
    chunks: int = 0
    """Pieces of data received."""
    heads: int = 0
    """Heads received after the first piece, before the final one."""
    unsent: bool = True
    """In a caller's session: true while no request of it has been given a connection."""
    failure: BaseException | None = None
    """In a caller's session: what ended the latest request; others may have followed."""

    def __init__(
        self, request: HttpRequest, flag: ConnectionFlag, task: asyncio.Task[Any], deadline: float
    ) -> None:
        self.request = request
        self.flag = flag
        self.task = task
        self.deadline = deadline
        """On the loop's clock."""
        self._cancelling = task.cancelling()

    def caused_cancellation(self) -> bool:
        """Return whether a `CancelledError` just caught is that of its deadline alone."""
        return self.overdue and self.task.cancelling() - 1 <= self._cancelling


class AttemptTracker:
    """The attempts of one session and event loop; create and use it in that loop."""

    def __init__(self) -> None:
        self.by_task: dict[asyncio.Task[Any] | None, Attempt] = {}
        """The attempts under way, of each task the innermost."""
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at = math.inf
        self._drained: asyncio.Event | None = None

    def begin(self, request: HttpRequest, flag: ConnectionFlag, seconds: float) -> Attempt:
        """Return an attempt of the running task, which is cancelled unless it ends in *seconds*."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a request needs a task to run in")
        deadline = self._loop.time() + seconds
        outer = self.by_task.get(task)
        self.by_task[task] = attempt = Attempt(request, flag, task, deadline)
        if outer is not None:
            attempt.outer = outer
        if deadline < self._fires_at:
            self._schedule(deadline)
        return attempt

    def end(self, attempt: Attempt) -> None:
        """Remove *attempt*; if it was overdue, take its cancellation back."""
        if attempt.outer is None:
            del self.by_task[attempt.task]
        else:
            self.by_task[attempt.task] = attempt.outer
        if attempt.overdue:
            attempt.task.uncancel()
        if attempt.on_end is not None:
            attempt.on_end(attempt)
        if self._drained is not None and not self.by_task:
            self._drained.set()

    async def drain(self, grace: float) -> None:
        """Wait until no attempt is under way, for *grace* seconds at most."""
        if not self.by_task or grace <= 0:
            return
        self._drained = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._drained.wait()
        finally:
            self._drained = None

    def _schedule(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at = when
        self._handle = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        now = self._loop.time()
        due = max(now, self._fires_at)  # a loop may run a timer up to one clock tick early
        waiting = [each for each in self._attempts() if not each.overdue]
        for attempt in waiting:
            if attempt.deadline <= due:
                attempt.overdue = True
                attempt.task.cancel()
        self._handle, self._fires_at = None, math.inf
        earliest = min((each.deadline for each in waiting if not each.overdue), default=math.inf)
        if earliest < math.inf:
            self._schedule(max(earliest, now + MIN_INTERVAL))

    def _attempts(self) -> Iterator[Attempt]:
        for innermost in self.by_task.values():
            attempt: Attempt | None = innermost
            while attempt is not None:
                yield attempt
                attempt = attempt.outer

"""The event loop of the blocking clients: one for the process, in a background thread.

It starts with the first call and ends with the process. Any thread may call. A forked process
starts its own loop and does not touch the inherited one.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

import attrs

T = TypeVar("T")

GRACE: Final = 5.0
"""Seconds that an interrupted call gets to end."""

Inbox: TypeAlias = queue.SimpleQueue[asyncio.Task[Any] | Callable[[], None]]
"""What wakes a waiting thread: work to do meanwhile, and the task that has ended."""


def poll_interval(platform: str) -> float | None:
    """Return after how many seconds a waiting thread must look for a Ctrl-C; `None` for never.

    On Windows a lock is not interrupted by a signal.
    """
    return 0.2 if platform == "win32" else None


class EventLoopThread:
    """An event loop in a daemon thread that starts on first use."""

    def __init__(self, platform: str = sys.platform) -> None:
        self._poll = poll_interval(platform)
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread: threading.Thread | None = None
        self._inherited: list[object] = []
        self._has_stopped = False

    def run(self, coroutine: Coroutine[Any, Any, T], inbox: Inbox | None = None) -> T:
        """Run *coroutine* in the loop and return its result.

        What is put into *inbox* meanwhile is called in the waiting thread. A Ctrl-C, or any other
        exception that is raised there, cancels the coroutine and is raised again when that has
        ended, after `GRACE` seconds at the latest; its notes say what may have been carried out.

        Raises `RuntimeError` in a thread that runs an event loop, because that would be blocked,
        and while the interpreter shuts down.
        """
        if _runs_event_loop():
            coroutine.close()
            raise RuntimeError(
                "a blocking client was called inside a running event loop, which it would block."
                "\nUse the client of the same name from sigmamind_async and await its methods, in a"
                " notebook too; or call this one in a thread: await asyncio.to_thread(...)"
            )
        if sys.is_finalizing():  # daemon threads have stopped, and nothing would end the wait
            coroutine.close()
            raise RuntimeError(
                "the interpreter is shutting down, and blocking clients with it; nothing was sent."
                "\nMake calls, and close what is open, before the program ends, not in __del__"
            )
        call = _Call(coroutine, queue.SimpleQueue() if inbox is None else inbox)
        try:
            # The task gets a copy of this thread's context variables.
            self.call_soon(call.start)
            task = call.wait(self._poll)
        except BaseException as interruption:
            if not call.has_ended:
                self.call_soon(call.cancel)
            call.report_end(interruption)
            raise
        try:
            return task.result()
        except asyncio.CancelledError:
            if not self._has_stopped:
                raise
            # The program ends, and with it this daemon thread; the log has how the call ended.
            raise SystemExit from None
        finally:
            del call, task  # with an error they would be part of a reference cycle

    def finish(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine*, which closes something, and wait for it where that blocks no loop."""
        if sys.is_finalizing():
            coroutine.close()
        elif _runs_event_loop():  # the garbage collector may end an iterator in any thread
            self.begin(coroutine)
        else:
            self.run(coroutine)

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine*, which closes something, if the loop runs; do not wait for it."""
        if self._running is None:
            coroutine.close()
        else:
            self._running[0].call_soon_threadsafe(_Call(coroutine, queue.SimpleQueue()).start)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call *function* in the loop, without waiting for it."""
        running = self._running
        if running is None:
            with self._lock:
                running = self._running = self._running or self._start()
        running[0].call_soon_threadsafe(function)

    def stop(self) -> None:
        """End the loop: cancel its tasks and close the connections that are left."""
        with self._lock:
            running, self._running = self._running, None
            self._has_stopped = True
            if running is not None and self._thread is not None:
                running[0].call_soon_threadsafe(running[1].set)
                self._thread.join(GRACE)

    def forget(self) -> None:
        """Start anew in a forked process, which has only the thread that forked."""
        # Finalizing the inherited loop would unregister sockets of the parent's.
        self._inherited.append((self._running, self._thread))
        self._lock = threading.Lock()
        self._running = self._thread = None

    def _start(self) -> tuple[asyncio.AbstractEventLoop, asyncio.Event]:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def live() -> None:
            stopping = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stopping))
            await stopping.wait()

        self._thread = threading.Thread(
            target=lambda: asyncio.run(live()), name="sigmamind_async.sync", daemon=True
        )
        self._thread.start()
        self._has_stopped = False
        return started.result()


EVENT_LOOP: Final = EventLoopThread()
atexit.register(EVENT_LOOP.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=EVENT_LOOP.forget)


def _runs_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@attrs.define
class _Call(Generic[T]):
    """A coroutine, its task in the loop, and the thread that waits for it."""

    coroutine: Coroutine[Any, Any, T]
    inbox: Inbox
    task: asyncio.Task[T] | None = None
    dropped: bool = False
    """True if it was cancelled before it began, and never does."""

    @property
    def has_ended(self) -> bool:
        return self.dropped or (self.task is not None and self.task.done())

    def start(self) -> None:
        """Create the task; called in the loop, as is `cancel`."""
        if self.dropped:
            return
        self.task = asyncio.get_running_loop().create_task(self.coroutine)
        self.task.add_done_callback(self.inbox.put)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        else:
            self.dropped = True
            self.coroutine.close()

    def wait(self, poll: float | None) -> asyncio.Task[T]:
        """Do what comes into the inbox until the task has ended; return the task."""
        while True:
            try:
                item = self.inbox.get(timeout=poll)
            except queue.Empty:
                continue
            if isinstance(item, asyncio.Task):
                return cast("asyncio.Task[T]", item)
            item()

    def report_end(self, interruption: BaseException) -> None:
        """Wait for the end of the cancelled task, and add notes about it to *interruption*."""
        until = time.monotonic() + GRACE
        while not self.has_ended and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self.inbox.get(timeout=0.2)
        if self.dropped:
            return
        if self.task is None or not self.task.done():
            interruption.add_note(f"the call had not ended {GRACE:g} s later")
        elif self.task.cancelled():
            try:
                self.task.result()
            except asyncio.CancelledError as cancelled:
                for note in getattr(cancelled, "__notes__", ()):
                    interruption.add_note(note)
        elif (error := self.task.exception()) is not None:
            interruption.add_note(f"the call ended with {error!r}")
        else:
            interruption.add_note(f"the call had succeeded: {self.task.result()!r}")

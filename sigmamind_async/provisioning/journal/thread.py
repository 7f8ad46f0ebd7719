"""The thread behind a journal in a database, and its answers to the event loops that wait."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.per_loop import fork_count

ENDED: Final = "the thread that writes it has ended.\nOpen the journal again."
_CLOSED: Final = "is closed.\nUse it inside `async with` (if blocking, `with`)."
_FORKED: Final = "was opened before this process was forked.\nMake a new {} in each process."


@attrs.define(eq=False)
class ThreadCall:
    """One piece of work for the thread, and the future that waits for it."""

    future: asyncio.Future[Any] | None
    """`None` if no task waits."""
    result: object = attrs.field(default=None, init=False)
    problem: str = attrs.field(default=ENDED, init=False)
    """Why it was not done; empty once it was."""


class JournalThread(ABC):
    """A thread that runs from `start` to `stop`; it is not started twice.

    Args:
        name: Begins the message of each error.
        owner: The class of the journal.
    """

    def __init__(self, name: str, owner: str) -> None:
        self._name = name
        self._owner = owner
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        # Held to hand a call over, so that none is handed over after the thread's end. Compare the
        # process first: a fork may have copied the lock while it was held.
        self._lock = threading.Lock()
        self._closed = ""
        """Why no call is taken any more; empty while they are."""
        self._forks = fork_count()

    async def stop(self) -> None:
        """Let the thread finish the calls that it has, and wait for its end."""
        if fork_count() != self._forks:  # after a fork the thread is in the other process
            return
        with self._lock:
            if not self._closed:
                self._closed = _CLOSED
                self._finish()
        await asyncio.to_thread(self._thread.join)

    def _refusal(self) -> JournalError:
        """Return the error for a call in another process, or after the end."""
        forked = fork_count() != self._forks
        problem = _FORKED.format(self._owner) if forked else self._closed
        return JournalError(f"{self._name}: {problem}")

    @abstractmethod
    def _finish(self) -> None:
        """Make the thread end after its last call; the lock is held."""

    @abstractmethod
    def _run(self) -> None:
        """What the thread does."""


def answer(name: str, calls: Iterable[ThreadCall]) -> None:
    """Settle the futures of *calls* from the thread, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[ThreadCall]] = {}
    for call in calls:
        if call.future is not None:
            by_loop.setdefault(call.future.get_loop(), []).append(call)
    for loop, waiting in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: no task waits there
            loop.call_soon_threadsafe(_settle, name, waiting)


def _settle(name: str, calls: Iterable[ThreadCall]) -> None:
    for call in calls:
        if call.future is None or call.future.done():
            continue
        if call.problem:
            call.future.set_exception(JournalError(f"{name}: {call.problem}"))
        else:
            call.future.set_result(call.result)

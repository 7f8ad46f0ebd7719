"""An event loop whose time jumps to whatever is due next, and clients that live by it.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

Nothing sleeps, however long it waits: hours pass in milliseconds, in the order in which they would.
Threads and sockets take none of this time: while one of them is waited for, whatever is due next is
due at once, a deadline of a minute too. So a journal in virtual time is a `MemoryJournal`.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any, TypeVar

import attrs

from sigmamind_async.client import Client
from sigmamind_async.limiter.gate import Gate

C = TypeVar("C", bound=Client)


class _JumpingSelector(selectors.DefaultSelector):
    """A selector whose waits move a clock instead of taking time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            # Nothing but another thread can wake this loop.
            return super().select(None)
        ready: list[Any] = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0."""

    def __init__(self) -> None:
        self._selector_clock = _JumpingSelector()
        super().__init__(self._selector_clock)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._selector_clock.now


def loop_time() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


def in_virtual_time(client: C) -> C:
    """Return a copy of *client*, with its own gate, that goes by the time of its event loop."""
    engine = client._runner.engine  # noqa: SLF001 - no public setting should change a client's time
    epoch = time.time()
    gate = Gate(
        max_wait=engine.gate.max_wait,
        max_pause=engine.gate.max_pause,
        refusal_statuses=engine.gate.refusal_statuses,
        clock=loop_time,
    )
    twin = client.with_options()
    twin._bind(  # noqa: SLF001 - as above
        attrs.evolve(engine, clock=loop_time, wall_clock=lambda: epoch + loop_time(), gate=gate)
    )
    return twin

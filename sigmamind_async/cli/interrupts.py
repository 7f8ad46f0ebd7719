"""Ctrl-C as an event to be handled in good order, instead of an exception anywhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_interrupt(handle: Callable[[], None]) -> Generator[None]:
    """Call *handle* in the running loop for every SIGINT and SIGTERM until the block ends."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, handle)
        except NotImplementedError:  # Windows
            signal.signal(number, _passing_to(loop, handle))
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _passing_to(
    loop: asyncio.AbstractEventLoop, handle: Callable[[], None]
) -> Callable[[int, FrameType | None], None]:
    def passing(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(handle)

    return passing

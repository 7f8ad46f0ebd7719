"""The event loop of a command, on which Ctrl-C is an event, instead of an exception anywhere."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end."""
    with new_loop() as loop:
        return loop.run(main)


def new_loop() -> asyncio.Runner:
    """Return a loop to run several things on, and to ask a person something in between.

    From here on garbage is collected again: starting a command makes none, and takes a fifth longer
    where it is looked for.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def on_interrupt(handle: Callable[[], None]) -> Generator[None]:
    """Call *handle* in the running loop for every SIGINT and SIGTERM until the block ends.

    SIGHUP counts once, and only if it is the first of all: a terminal that is closed may send
    several, and nobody is there any more who could mean the second. Under ``nohup`` it counts for
    nothing, nor does it from an interrupt on to the end of the process, which has its result still
    to write.
    """
    loop = asyncio.get_running_loop()
    heard = False

    def interrupted(*_: object) -> None:
        nonlocal heard
        heard = True
        handle()

    def hung_up(*_: object) -> None:
        if not heard:
            interrupted()

    handlers = {signal.SIGINT: interrupted, signal.SIGTERM: interrupted}
    hangup = getattr(signal, "SIGHUP", None)  # there is none on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        handlers[hangup] = hung_up
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        try:
            loop.add_signal_handler(number, handler)
        except NotImplementedError:  # Windows
            signal.signal(number, partial(loop.call_soon_threadsafe, handler))
    try:
        yield
    finally:
        for number, earlier in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if heard and number == hangup else earlier)

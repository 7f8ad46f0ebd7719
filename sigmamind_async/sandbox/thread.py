"""A sandbox in a background thread, for tests that run in another event loop, or in none."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Unpack

from sigmamind_async.sandbox.server import Sandbox, SandboxSettings


class SandboxThread:
    """Runs a :class:`Sandbox` in a daemon thread; ``with`` gives the sandbox.

    *settings* are those of `Sandbox`. Settings, counters and ledger are read and set from the
    calling thread as they are.
    """

    def __init__(self, **settings: Unpack[SandboxSettings]) -> None:
        """Take what :class:`Sandbox` takes."""
        self.box: Sandbox = Sandbox(**settings)
        self._opened: Future[asyncio.AbstractEventLoop] = Future()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="sandbox", daemon=True)

    def __enter__(self) -> Sandbox:
        self._thread.start()
        self._opened.result()
        return self.box

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stop is not None:
            self._opened.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with self.box:
            self._opened.set_result(asyncio.get_running_loop())
            await self._stop.wait()

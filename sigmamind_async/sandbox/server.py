"""The sandbox itself: three platforms that share conditions and a commit log."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict

from sigmamind_async.sandbox.admin import Admin
from sigmamind_async.sandbox.commit_log import CommitLog, StateFile
from sigmamind_async.sandbox.conditions import Clock, Conditions
from sigmamind_async.sandbox.dialnexa.api import OPERATIONS as DIALNEXA_OPERATIONS
from sigmamind_async.sandbox.dialnexa.api import DialNexaApi
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.sandbox.faults import NO_FAULTS, Fault, Faults
from sigmamind_async.sandbox.ledger import Ledger
from sigmamind_async.sandbox.limits import RateLimit
from sigmamind_async.sandbox.listener import Listener
from sigmamind_async.sandbox.sigmamind.api import OPERATIONS as SIGMAMIND_OPERATIONS
from sigmamind_async.sandbox.sigmamind.api import SigmaMindApi
from sigmamind_async.sandbox.switches import Switches
from sigmamind_async.sandbox.verbex.api import OPERATIONS as VERBEX_OPERATIONS
from sigmamind_async.sandbox.verbex.api import VerbexApi

if TYPE_CHECKING:  # it speaks the client's language, of which the sandbox knows nothing
    from sigmamind_async.testing.sandbox_transport import SandboxTransport

_DEFAULT_SWITCHES = Switches()
_LAST_PORT = 65_535
_OPERATIONS = frozenset({*SIGMAMIND_OPERATIONS, *VERBEX_OPERATIONS, *DIALNEXA_OPERATIONS})


def _check_operations(setting: object) -> None:
    """Raise `ValueError` for a setting about an unknown operation: it would do nothing."""
    match setting:
        case Faults():
            named: Iterable[str] = setting.only or ()
        case RateLimit():
            named = setting.lanes
        case _:
            return
    for name in named:
        if name not in _OPERATIONS:
            known = ", ".join(sorted(_OPERATIONS))
            raise ValueError(f"no platform has an operation {name!r}; known: {known}")


def _as_faults(given: Any) -> Any:  # noqa: ANN401 - anything but a number is checked later
    """Return the faults of a share of the requests; anything but a number as it is."""
    return Faults(share=given) if isinstance(given, int | float) else given


class SandboxSettings(TypedDict, total=False):
    """What a `Sandbox` is made with."""

    seed: int
    faults: Faults | float
    rate_limit: RateLimit | None
    switches: Switches
    latency: tuple[float, float]
    list_lag: float
    clock: Clock | None
    state_file: str | os.PathLike[str] | None
    host: str
    port: int


class Sandbox(Conditions):
    """The platforms on loopback, as good or as bad as they are told to be.

    ``faults``, ``rate_limit``, ``switches``, ``latency`` and ``list_lag`` may be set while it
    runs. Everything random follows from the seed, operation by operation.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Faults | float = NO_FAULTS,
        rate_limit: RateLimit | None = None,
        switches: Switches = _DEFAULT_SWITCHES,
        latency: tuple[float, float] = (0.0, 0.0),
        list_lag: float = 0.0,
        clock: Clock | None = None,
        state_file: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Say how it behaves and where it listens; nothing is opened yet.

        Args:
            seed: Everything random follows from it, operation by operation.
            faults: Which requests go wrong, and how; a number is a share of the requests, 0 to 1.
            rate_limit: What it admits; with `None`, everything.
            switches: How it behaves where the documentation says nothing, or two things.
            latency: Shortest and longest processing time, in seconds.
            list_lag: Seconds until reads show a new number.
            clock: For tests in fake time: waits of the sandbox advance it. With `None`, it is the
                event loop's.
            state_file: Keeps numbers and ledger across restarts; by default nothing does.
            host: Where it listens.
            port: That of the first platform, and those after it of the others; 0 picks free ones.

        Raises:
            ValueError: A setting cannot be used.
        """
        super().__init__(
            seed=seed,
            faults=_as_faults(faults),
            rate_limit=rate_limit,
            switches=switches,
            latency=latency,
            list_lag=list_lag,
            clock=clock,
        )
        _check_operations(self.faults)
        _check_operations(self.rate_limit)
        names = ("faults", "rate_limit", "switches", "latency", "list_lag")
        self._settings = {name: getattr(self, name) for name in names}
        if type(port) is not int or not 0 <= port <= _LAST_PORT - 2:
            message = f"port must be from 0 to {_LAST_PORT - 2}: each platform has its own"
            raise ValueError(message)
        self._log = CommitLog()
        self._state_file = state_file
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._was_opened = False
        self._listeners: list[Listener] = []
        self.sigmamind: Endpoint = Endpoint(SigmaMindApi(seed), self, self._log)
        self.verbex: Endpoint = Endpoint(VerbexApi(seed), self, self._log)
        self.dialnexa: Endpoint = Endpoint(DialNexaApi(seed), self, self._log)

    def __setattr__(self, name: str, value: object) -> None:
        value = _as_faults(value) if name == "faults" else value
        _check_operations(value)
        super().__setattr__(name, value)

    @property
    def ledger(self) -> Ledger:
        """Every commit of every platform: the judge."""
        return self._log.ledger

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All platforms, in the order of their ports."""
        return (self.sigmamind, self.verbex, self.dialnexa)

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise RuntimeError("the sandbox was opened before: make another one")
        self._was_opened = True
        self._loop = asyncio.get_running_loop()
        if self._state_file is not None:
            self._log.file = StateFile(self._state_file)
        async with AsyncExitStack() as undo:
            undo.callback(self._log.close)
            self._restore()
            for offset, endpoint in enumerate(self.endpoints):
                port = self._port + offset if self._port else 0
                admin = Admin(self, endpoint.name)
                listener = Listener(endpoint, admin, self._host, port)
                undo.push_async_callback(listener.close)
                await listener.open()
                self._listeners.append(listener)
            self._undo = undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._undo.aclose()
        self._loop = None
        self._listeners.clear()

    def transport(self, platform: str = "sigmamind") -> SandboxTransport:
        """Return what carries a client's requests to *platform* here, without a socket.

            box = Sandbox(seed=1)
            client = SigmaMind(box.sigmamind.api_key, transport=box.transport("sigmamind"))

        The sandbox need not be opened for that. Faults, limits and ledger are the same as over a
        socket.
        """
        from sigmamind_async.testing.sandbox_transport import SandboxTransport

        return SandboxTransport(self._endpoint(platform), self)

    async def settled(self) -> None:
        """Wait until whatever the requests so far commit is in the ledger, late commits included.

        From any event loop. An answer that hangs is not waited for.
        """
        loop = self._other_loop()
        if loop is None:
            await self._settled()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._settled(), loop))

    def wait_settled(self) -> None:
        """Do as `settled`, from a thread without an event loop, for a sandbox in another."""
        loop = self._other_loop()
        if loop is None:
            raise RuntimeError("no other thread runs the sandbox: await settled()")
        asyncio.run_coroutine_threadsafe(self._settled(), loop).result()

    def script(
        self,
        operation: str,
        faults: Iterable[Fault | str | None],
        *,
        platform: str | None = None,
    ) -> None:
        """Say exactly what goes wrong with the next requests of *operation*.

        *platform* may be left out where only one has such an operation: see `Endpoint.script`.
        None is a request that goes well. Requests refused by key, path or rate limit use up no
        entry; when all are used, ``faults`` decides again.
        """
        if platform is not None:
            self._endpoint(platform).script(operation, faults)
            return
        having = [each for each in self.endpoints if operation in each.backend.operations]
        if not having:
            raise ValueError(f"no platform has an operation {operation!r}")
        if len(having) > 1:
            names = " and ".join(each.name for each in having)
            raise ValueError(f"{names} have an operation {operation!r}: name the platform")
        having[0].script(operation, faults)

    def refuse(self, seconds: float) -> None:
        """Refuse connections (``ECONNREFUSED``) for *seconds*; from any thread.

        Idle connections are closed; requests being handled are finished.
        """

        def refuse() -> None:
            self.refuses_until = self.now() + seconds
            for listener in self._listeners:
                listener.refuse(seconds)

        self._on_loop(refuse)

    def reset(self, *, keep_settings: bool = False) -> None:
        """Empty accounts, ledger, state file, counters and scripts.

        Settings become what they were when the sandbox was made, unless *keep_settings*.
        """
        if not keep_settings:
            for name, value in self._settings.items():
                setattr(self, name, value)
        self._on_loop(self._reset)

    def stats(self) -> dict[str, object]:
        """Return the request counters of every platform, as plain JSON values."""
        return {
            endpoint.name: {
                "base_url": endpoint.base_url,
                "in_flight": endpoint.in_flight,
                "requests": endpoint.requests.as_json(),
            }
            for endpoint in self.endpoints
        }

    def _endpoint(self, platform: str) -> Endpoint:
        for endpoint in self.endpoints:
            if endpoint.name == platform:
                return endpoint
        message = f"no platform {platform!r}"
        raise ValueError(message)

    def _restore(self) -> None:
        self._log.restore(lambda platform, state: self._endpoint(platform).backend.replay(state))

    def _reset(self) -> None:
        self._log.clear()
        self.refuses_until = -math.inf
        for endpoint in self.endpoints:
            endpoint.clear()

    async def _settled(self) -> None:
        for endpoint in self.endpoints:
            await endpoint.settled()

    def _on_loop(self, action: Callable[[], object]) -> None:
        """Call *action* in the sandbox's loop and wait for it, whichever thread asks."""

        async def call() -> None:
            action()

        loop = self._other_loop()
        if loop is None:
            action()
        else:
            asyncio.run_coroutine_threadsafe(call(), loop).result()

    def _other_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop to hand work to; None for the running one, and in memory."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        return None if self._loop is running else self._loop

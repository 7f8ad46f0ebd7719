"""A platform that answers from a script, and time that passes only when a test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import attrs

from sigmamind_async.client import Client
from sigmamind_async.convert.json_codec import dump_json
from sigmamind_async.limiter.gate import Gate, Permit
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.transport import HttpRequest

Answer = Response | Fault
Script = Callable[[HttpRequest], Answer] | Iterable[Answer]

_NEVER_CONNECTED = frozenset({FaultKind.CONNECT, FaultKind.CONNECT_TIMEOUT})


def reply(
    status: int = 200, json: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with the HTTP status *status*, and *headers* in lower case.

    Its body is *json*, or empty without it.
    """
    body = b"" if json is None else dump_json(json)
    return Response(status=status, headers=dict(headers or {}), body=body)


def fault(kind: FaultKind = FaultKind.DROPPED) -> Fault:
    """Return the end of an attempt without an answer: its *kind*, by default a connection broke."""
    return Fault(kind=kind, detail=kind.value)


class ScriptedTransport:
    """A `Transport` that answers from a script and keeps the requests.

    An attempt counts as connected unless its answer is a failure to connect.

    Args:
        script: The answers in order, or a function from a request to its answer.
        latency: Seconds until an answer comes; an attempt that may not take as long times out.
        sleep: Waits for the latency.
        remember: How many requests to keep in `sent`; all of them by default.
    """

    def __init__(
        self,
        script: Script,
        *,
        latency: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        remember: int | None = None,
    ) -> None:
        self.sent: deque[HttpRequest] = deque(maxlen=remember)
        """The requests, oldest first."""
        self.closed: int = 0
        """How many times it was closed."""
        self._answer = script if callable(script) else _in_order(iter(script))
        self._latency = latency
        self._sleep = sleep

    async def send(self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float) -> Answer:
        """Keep *outgoing* and return the script's answer; raise `AssertionError` without one.

        *mark* is set if the attempt counts as connected. It times out after *seconds*.
        """
        self.sent.append(outgoing)
        answer = self._answer(outgoing)
        mark.connected = not (isinstance(answer, Fault) and answer.kind in _NEVER_CONNECTED)
        if self._latency > 0:
            await self._sleep(min(self._latency, seconds))
        if self._latency > seconds:
            return fault(FaultKind.TIMEOUT if mark.connected else FaultKind.CONNECT_TIMEOUT)
        return answer

    async def aclose(self) -> None:
        """Count the call."""
        self.closed += 1


def _in_order(answers: Iterator[Answer]) -> Callable[[HttpRequest], Answer]:
    def answer(outgoing: HttpRequest) -> Answer:
        for each in answers:
            return each
        raise AssertionError(f"the script has no answer for {outgoing.method} {outgoing.url}")

    return answer


C = TypeVar("C", bound=Client)


class FakeClock:
    """Monotonic seconds, *now* at first, under a test's control; call it for the time.

    `sleep` returns at once and advances the clock, so that code which waits between its attempts
    runs without waiting.
    """

    def __init__(self, now: float = 1_000.0) -> None:
        self.now: float = now
        self.slept: list[float] = []
        """Each wait, in seconds."""

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, and let other tasks run."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def gate(self, *, max_wait: float | None = None, jitter: float = 1.0) -> Gate:
        """Return a gate that advances this clock instead of waiting.

        *max_wait*, in seconds, is that of `Gate`; *jitter*, from 0 to 1, is its random number.
        """
        return _FakeGate(max_wait=max_wait, clock=self, jitter=lambda: jitter)


class _FakeGate(Gate):
    async def acquire(
        self, *, width: int, deadline: float, unbounded: bool = False, kind: str = ""
    ) -> Permit:
        now = self._clock()
        refused = not unbounded and self.admission.refuses(now) is not None
        wait = self.admission.wait(now, kind)
        most = deadline - now if self.max_wait is None else min(self.max_wait, deadline - now)
        if not refused and wait <= most:
            assert isinstance(self._clock, FakeClock)  # noqa: S101 - see FakeClock.gate
            self._clock.advance(wait)
        return await super().acquire(width=width, deadline=deadline, unbounded=unbounded, kind=kind)


def in_fake_time(client: C, clock: FakeClock, *, jitter: float = 1.0) -> C:
    """Return a copy of *client*, with its own gate, that runs on *clock*.

    *jitter*, from 0 to 1, replaces every random number.
    """
    engine = client._runner.engine  # noqa: SLF001 - no public setting should change a client's time
    twin = client.with_options()
    twin._bind(  # noqa: SLF001 - as above
        attrs.evolve(
            engine,
            clock=clock,
            sleep=clock.sleep,
            jitter=lambda: jitter,
            gate=clock.gate(max_wait=engine.gate.max_wait, jitter=jitter),
        )
    )
    return twin

"""A platform that answers from a script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from sigmamind_async.convert.json_codec import dump_json
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.transport import HttpRequest

Answer = Response | Fault
Script = Callable[[HttpRequest], Answer] | Iterable[Answer]

_NEVER_CONNECTED = frozenset({FaultKind.CONNECT, FaultKind.CONNECT_TIMEOUT})


def reply(
    status: int = 200, json: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer, with an empty body unless *json* is given; *headers* in lower case."""
    body = b"" if json is None else dump_json(json)
    return Response(status=status, headers=dict(headers or {}), body=body)


def fault(kind: FaultKind = FaultKind.DROPPED) -> Fault:
    """Return the end of an attempt without an answer; by default its connection broke."""
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
        self.closed = 0
        """How many times it was closed."""
        self._answer = script if callable(script) else _in_order(iter(script))
        self._latency = latency
        self._sleep = sleep

    async def send(self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float) -> Answer:
        """Return the script's next answer; raise `AssertionError` if there is none."""
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

"""A client's transport that ends in a sandbox of the same process, without a socket.

What a fault does to a connection is translated into what a client would see of it: a reset or an
end without an answer is a dropped connection, bytes that are no HTTP are unparsable, a body that
stops early is cut. A platform does not stop halfway because its caller has left, so each request
is handled in a task of its own, which outlives the attempt.
"""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, HttpRequest, Response
from sigmamind_async.sandbox.conditions import Conditions
from sigmamind_async.sandbox.connection import LARGEST_BODY, BodyTooLargeError
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.sandbox.messages import Answer

_HEAD_END: Final = b"\r\n\r\n"
_REASONS: Final = {
    FaultKind.CONNECT: errno.ECONNREFUSED,
    FaultKind.TIMEOUT: errno.ETIMEDOUT,
    FaultKind.DROPPED: errno.ECONNRESET,
}


class SandboxTransport:
    """A `Transport` to one platform of a sandbox; see `Sandbox.transport`."""

    def __init__(self, endpoint: Endpoint, conditions: Conditions) -> None:
        self._endpoint = endpoint
        self._conditions = conditions
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self, request: HttpRequest, flag: ConnectionFlag, seconds: float, /
    ) -> Response | Fault:
        """Return what the platform answers, or why there is no answer, within *seconds*."""
        flag.connected = False
        began = self._conditions.now()
        if began < self._conditions.refuses_until:
            return _fault(FaultKind.CONNECT)
        flag.connected = True
        connection = _Connection()
        task = asyncio.create_task(self._handle(_Request(request), connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(seconds):
                await connection.ended.wait()
        except TimeoutError:
            pass
        finally:
            connection.abandoned = True
        in_time = connection.ended.is_set() and self._conditions.now() - began <= seconds
        answer = connection.received(request.max_bytes, in_time=in_time)
        if request.method == "HEAD" and isinstance(answer, Response):
            return attrs.evolve(answer, body=b"", cut=None)
        return answer

    async def aclose(self, grace: float = 0.0) -> None:
        """Do nothing: there is no connection to close."""

    async def _handle(self, request: _Request, connection: _Connection) -> None:
        answer = await self._endpoint.handle(request, connection)
        if answer is not None:
            await connection.answer(answer)
        connection.close()


class _Request:
    """A request as the sandbox reads it."""

    def __init__(self, request: HttpRequest) -> None:
        url = urlsplit(request.url)
        self.method = request.method
        self.origin = f"{url.scheme}://{url.netloc}"
        self.path = url.path
        self.query_string = url.query
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.headers: Mapping[str, str] = _Headers(request.headers)
        self._body = request.body or b""

    async def read(self) -> bytes:
        if len(self._body) > LARGEST_BODY:
            raise BodyTooLargeError
        return self._body


class _Headers(Mapping[str, str]):
    """Headers by name, in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._texts = {name.lower(): text for name, text in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._texts[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


@attrs.define(eq=False)
class _Connection:
    """What came back over a connection that is none."""

    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set once nothing more comes."""
    abandoned: bool = False
    """True once the client has left."""
    _raw: bytearray = attrs.field(factory=bytearray)
    _answer: Answer | None = None

    def is_closing(self) -> bool:
        return self.abandoned or self.ended.is_set()

    def reset(self) -> None:
        if not self.is_closing():
            self._raw.clear()
            self.ended.set()

    def close(self) -> None:
        self.ended.set()

    def write(self, content: bytes) -> None:
        if not self.is_closing():
            self._raw += content

    async def answer(self, answer: Answer) -> bool:
        if self.is_closing():
            return False
        self._answer = answer
        self.ended.set()
        return True

    def received(self, max_bytes: int, *, in_time: bool) -> Response | Fault:
        """Return what a client makes of it; what came too late has not come."""
        late = None if in_time else _fault(FaultKind.TIMEOUT)
        if self._answer is not None and in_time:
            headers = {"Content-Type": self._answer.content_type, **self._answer.headers}
            return _response(self._answer.status, headers, self._answer.body, max_bytes)
        head, found, body = bytes(self._raw).partition(_HEAD_END)
        if not head:
            return late or _fault(FaultKind.DROPPED)
        if not (found and head.startswith(b"HTTP/1.")):
            return _fault(FaultKind.UNPARSABLE)
        status, headers = _parse_head(head.decode("latin-1"))
        if len(body) < int(headers.get("Content-Length", len(body))):
            lower = {name.lower(): text for name, text in headers.items()}
            return Response(status, lower, cut=late or _fault(FaultKind.DROPPED))
        return _response(status, headers, body, max_bytes)


def _parse_head(head: str) -> tuple[int, dict[str, str]]:
    line, *lines = head.split("\r\n")
    pairs = (each.partition(": ") for each in lines)
    return int(line.split(" ")[1]), {name: text for name, _, text in pairs}


def _response(status: int, headers: Mapping[str, str], body: bytes, max_bytes: int) -> Response:
    lower = {name.lower(): text for name, text in headers.items()}
    if lower.get("content-encoding") == "gzip":
        body = zlib.decompressobj(wbits=31).decompress(body, max_bytes + 1)
    if len(body) > max_bytes:
        return Response(status, lower, cut=_fault(FaultKind.TOO_LARGE))
    return Response(status, lower, body)


def _fault(kind: FaultKind) -> Fault:
    code = _REASONS.get(kind)
    reason = kind.value if code is None else os.strerror(code)
    cause = ConnectionError(reason) if code is None else OSError(code, reason)
    return Fault(kind=kind, detail=f"{kind.value} ({reason})", cause=cause)

"""How a request comes in and its answer goes out, over a socket or in memory.

A platform can end a connection in ways that HTTP has no word for. Each is written here once, in
terms of a `Connection`, so that a fault is the same fault whatever carries it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from sigmamind_async.sandbox.faults import Fault, Faults
from sigmamind_async.sandbox.messages import Answer

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds, or until the sandbox closes."""

_NOT_HTTP = b"\x16\x03\x01\x02\x00this is not HTTP\r\n\r\n"


LARGEST_BODY = 1 << 20
"""Bytes of a request's body."""


class BodyTooLargeError(Exception):
    """The request's body is larger than the sandbox reads."""


class Incoming(Protocol):
    """One request whose head has been read."""

    @property
    def method(self) -> str:
        """In upper case."""
        ...

    @property
    def origin(self) -> str:
        """Where the caller sent it: scheme, host and port."""
        ...

    @property
    def path(self) -> str:
        """Percent-encoded, without the query."""
        ...

    @property
    def query_string(self) -> str:
        """Percent-encoded; empty if there is none."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Decoded."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""
        ...

    async def read(self) -> bytes:
        """Return the body.

        Raises `ConnectionError` if the caller has left, `BodyTooLargeError` for too much.
        """
        ...


class Connection(Protocol):
    """What a request came over."""

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""
        ...

    def reset(self) -> None:
        """End it with RST: whatever is unsent or unread is lost on both sides."""
        ...

    def close(self) -> None:
        """End it in good order, behind what was written."""
        ...

    def write(self, content: bytes) -> None:
        """Send raw bytes."""
        ...

    async def answer(self, answer: Answer) -> bool:
        """Send a whole answer; return whether it left for a connection that is open."""
        ...


Ending = Callable[[Connection, Answer, Faults, Pause], Awaitable[None]]


def head(answer: Answer, length: int) -> bytes:
    """Return the status line and headers of *answer*, announcing *length* bytes of body."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {length}",
        # Else a caller that got a whole answer keeps a connection that is about to close.
        "Connection: close",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        "\r\n",
    ]
    return "\r\n".join(lines).encode()


async def _reset(connection: Connection, _answer: Answer, _faults: Faults, _pause: Pause) -> None:
    """Reset without a byte of answer."""
    connection.reset()


async def _close(connection: Connection, _answer: Answer, _faults: Faults, _pause: Pause) -> None:
    """Close in good order without a byte of answer."""
    connection.close()


async def _hang(connection: Connection, _answer: Answer, faults: Faults, pause: Pause) -> None:
    """Send nothing for a while, then close."""
    await pause(faults.hang)
    connection.close()


async def _garbage(connection: Connection, _answer: Answer, _faults: Faults, _pause: Pause) -> None:
    """Send bytes that no HTTP parser takes, then close."""
    connection.write(_NOT_HTTP)
    connection.close()


async def _cut(connection: Connection, answer: Answer, _faults: Faults, _pause: Pause) -> None:
    """Announce more body than is sent, send half of the honest one, then close."""
    connection.write(head(answer, len(answer.body) + 1) + answer.body[: len(answer.body) // 2])
    connection.close()


async def _drip(connection: Connection, answer: Answer, faults: Faults, pause: Pause) -> None:
    """Send the honest answer one byte at a time; give up after ``Faults.hang`` seconds."""
    connection.write(head(answer, len(answer.body)))
    most = int(faults.hang / faults.drip) if faults.drip else len(answer.body)
    for position in range(min(most, len(answer.body))):
        if connection.is_closing():
            return
        connection.write(answer.body[position : position + 1])
        await pause(faults.drip)
    connection.close()


ENDINGS: Mapping[Fault, Ending] = {
    Fault.REFUSE: _reset,
    Fault.RESET_BEFORE_COMMIT: _reset,
    Fault.RESET_AFTER_COMMIT: _reset,
    Fault.CLOSE_AFTER_COMMIT: _close,
    Fault.HANG_BEFORE_COMMIT: _hang,
    Fault.HANG_AFTER_COMMIT: _hang,
    Fault.GARBAGE_HEAD: _garbage,
    Fault.CUT_BODY: _cut,
    Fault.SLOW_BODY: _drip,
}

"""Endings that HTTP has no word for, written straight to the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from sigmamind_async.sandbox.faults import Fault, Faults
from sigmamind_async.sandbox.tower import Answer

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds, or until the sandbox closes."""

Ending = Callable[[asyncio.Transport, Answer, Faults, Pause], Awaitable[None]]

_LINGER_ZERO = struct.pack("ii", 1, 0)
_NOT_HTTP = b"\x16\x03\x01\x02\x00this is not HTTP\r\n\r\n"


def reset(transport: asyncio.Transport) -> None:
    """End the connection with RST: whatever is unsent or unread is lost on both sides."""
    # With a linger time of zero the kernel answers close() with RST in place of FIN.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


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


async def end_reset(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Reset without a byte of answer."""
    del answer, faults, pause
    reset(transport)


async def end_close(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Close in good order without a byte of answer."""
    del answer, faults, pause
    transport.close()


async def end_hang(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Say nothing for a while, then close."""
    del answer
    await pause(faults.hang)
    transport.close()


async def end_garbage(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Send bytes that no HTTP parser takes, then close."""
    del answer, faults, pause
    transport.write(_NOT_HTTP)
    transport.close()


async def end_cut(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Announce more body than is sent, send half of the honest one, then close."""
    del faults, pause
    transport.write(head(answer, len(answer.body) + 1) + answer.body[: len(answer.body) // 2])
    transport.close()


async def end_drip(
    transport: asyncio.Transport,
    answer: Answer,
    faults: Faults,
    pause: Pause,
) -> None:
    """Send the honest answer one byte at a time; give up after ``Faults.hang`` seconds."""
    transport.write(head(answer, len(answer.body)))
    most = int(faults.hang / faults.drip) if faults.drip else len(answer.body)
    for position in range(min(most, len(answer.body))):
        if transport.is_closing():
            return
        transport.write(answer.body[position : position + 1])
        await pause(faults.drip)
    transport.close()


ENDINGS: Mapping[Fault, Ending] = {
    Fault.REFUSE: end_reset,
    Fault.RESET_BEFORE_COMMIT: end_reset,
    Fault.RESET_AFTER_COMMIT: end_reset,
    Fault.CLOSE_AFTER_COMMIT: end_close,
    Fault.HANG_BEFORE_COMMIT: end_hang,
    Fault.HANG_AFTER_COMMIT: end_hang,
    Fault.GARBAGE_HEAD: end_garbage,
    Fault.CUT_BODY: end_cut,
    Fault.SLOW_BODY: end_drip,
}

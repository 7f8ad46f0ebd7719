"""One attempt from bytes to a value: sent, timed, read and explained.

The whole attempt has one time limit, kept by an `Alarm`; of aiohttp's own limits only that for
connecting is set.
"""

from __future__ import annotations

import asyncio
import re

import aiohttp

from sigmamind_async.loops import PerLoop
from sigmamind_async.operation import Fault, FaultKind, Mark, Response
from sigmamind_async.transport.outgoing import Outgoing
from sigmamind_async.transport.parts import AiohttpOptions, DroppedError
from sigmamind_async.transport.sessions import OwnSession, TheirSession


class _TooLargeError(Exception):
    """An answer's body went past its cap."""


class AiohttpTransport:
    """The real `Transport`. Needs neither a loop nor a network to be made."""

    def __init__(
        self, options: AiohttpOptions | None = None, session: aiohttp.ClientSession | None = None
    ) -> None:
        """Use *session* if one is given, and leave it open; else open one in each loop."""
        options = options or AiohttpOptions()
        self._own = PerLoop(lambda: OwnSession(options, self._own), OwnSession.forget)
        self._theirs = None if session is None else TheirSession(options, session)

    async def send(self, outgoing: Outgoing, mark: Mark, seconds: float) -> Response | Fault:
        """Send *outgoing* once, within *seconds* for connecting, sending and reading together."""
        answer: aiohttp.ClientResponse | None = None
        session = self._theirs or self._own.get()
        alarm = session.alarm
        limit = alarm.start(seconds)
        marks, task = session.marks, limit.task
        marks[task] = mark
        if self._theirs is None:
            mark.connected = False  # our connector says when that changes
        try:
            if not session.is_open:
                await session.open()
            answer = await session.request(outgoing)
            stream, most = answer.content, outgoing.max_bytes
            # What came whole with its head, as short bodies do, is read without waiting.
            body = stream.read_nowait() if stream.is_eof() else await _read(stream, most)
            if len(body) > most:
                raise _TooLargeError  # noqa: TRY301 - made a value of below, like every fault
            return Response(answer.status, answer.headers, body)
        except asyncio.CancelledError as cancelled:
            if not limit.is_why():
                # The frames below hold headers and body; they end here.
                cancelled.__traceback__ = None
                raise
            kind, cause = _explained(TimeoutError(), connected=mark.connected)
        except Exception as error:  # noqa: BLE001 - every one becomes a value
            kind, cause = _explained(error, connected=mark.connected)
        finally:
            alarm.stop(limit)
            marks.pop(task, None)
            if answer is not None and not answer.closed:
                # Gives the connection back after a whole answer, closes it after half of one.
                answer.release()
        if answer is not None:
            return Response(status=answer.status, headers=answer.headers, cut=kind)
        return Fault(kind=kind, detail=f"{kind.value} ({cause})")

    async def aclose(self) -> None:
        """Close the running loop's session, if this transport opened it."""
        opened = self._own.pop()
        if opened is not None:
            await opened.aclose()


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes:
    """Return the body; raise `_TooLargeError` at *most* bytes, counted after decompression."""
    chunks: list[bytes] = []
    size = 0
    while not stream.at_eof():
        chunk = await stream.readany()
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise _TooLargeError
    return b"".join(chunks)


def _explained(error: Exception, *, connected: bool) -> tuple[FaultKind, str]:
    """Return what *error* means, and its cause in words that hold nothing of the request."""
    cause = str(error) if isinstance(error, DroppedError) else type(error).__name__
    if speaks_http_2(error):
        cause = "the server speaks HTTP/2 only"
    return _kind(error, connected=connected), cause


_SETTINGS_FRAME = re.compile(r"b['\"]\\x00\\x00.{1,4}\\x04\\x00\\x00\\x00\\x00\\x00")
"""How a server of HTTP/2 begins, as aiohttp shows it where a status line should be."""


def speaks_http_2(error: Exception) -> bool:
    """Return whether *error* is about an answer that is HTTP/2, which nobody asked for."""
    if not isinstance(error, aiohttp.ClientResponseError):
        return False
    return _SETTINGS_FRAME.search(error.message) is not None


def _kind(error: Exception, *, connected: bool) -> FaultKind:
    if isinstance(error, _TooLargeError):
        return FaultKind.TOO_LARGE
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT if connected else FaultKind.CONNECT_TIMEOUT
    if not connected:
        return FaultKind.CONNECT
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientPayloadError)):
        return FaultKind.UNPARSABLE
    return FaultKind.DROPPED

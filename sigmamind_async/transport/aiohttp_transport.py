"""One attempt from bytes to a value: sent, timed, read and explained.

The whole attempt has one time limit, kept by a `TimeoutTimer`; of aiohttp's own limits only that
for connecting is set.
"""

from __future__ import annotations

import asyncio

import aiohttp

from sigmamind_async.operation import ConnectionFlag, Fault, Response
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.transport.aiohttp_hooks import AiohttpOptions, Attempt
from sigmamind_async.transport.faults import TooLargeError, fault_of
from sigmamind_async.transport.interface import HttpRequest
from sigmamind_async.transport.sessions import OwnSession, TheirSession, drain


class AiohttpTransport:
    """The real `Transport`. Needs neither a loop nor a network to be made."""

    def __init__(
        self, options: AiohttpOptions | None = None, session: aiohttp.ClientSession | None = None
    ) -> None:
        """Use *session* if one is given, and leave it open; else open one in each loop."""
        options = options or AiohttpOptions()
        self._proxy = options.proxy
        self._own = PerLoop(lambda: OwnSession(options, self._own), OwnSession.forget)
        self._theirs = None if session is None else TheirSession(options, session)

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        """Send *outgoing* once, within *seconds* for connecting, sending and reading together."""
        answer: aiohttp.ClientResponse | None = None
        session = self._theirs or self._own.get()
        alarm = session.alarm
        limit = alarm.start(seconds)
        session.attempts[limit.task] = attempt = Attempt(mark, outgoing)
        if self._theirs is None:
            mark.connected = False  # our connector says when that changes
        try:
            if not session.is_open:
                await session.open()
            answer = await session.request(outgoing)
            attempt.answered = True
            stream, most = answer.content, outgoing.max_bytes
            # What came whole with its head, as short bodies do, is read without waiting.
            body = stream.read_nowait() if stream.is_eof() else await _read(stream, most)
            if len(body) > most:
                raise TooLargeError  # noqa: TRY301 - made a value of below, like every fault
            return Response(answer.status, answer.headers, body)
        except asyncio.CancelledError as cancelled:
            if not limit.is_why():
                _bare(cancelled)
                raise
            fault = self._fault_of(TimeoutError(), outgoing, mark, answer)
        except Exception as error:  # noqa: BLE001 - every one becomes a value
            fault = self._fault_of(error, outgoing, mark, answer)
        except BaseException as interruption:
            _bare(interruption)
            raise
        finally:
            alarm.stop(limit)
            if answer is not None and not answer.closed:
                # Gives the connection back after a whole answer, closes it after half of one.
                answer.release()
            _end(session, limit.task, attempt)
        if answer is not None:
            return Response(status=answer.status, headers=answer.headers, cut=fault)
        return fault

    def _fault_of(
        self,
        error: Exception,
        outgoing: HttpRequest,
        mark: ConnectionFlag,
        answer: aiohttp.ClientResponse | None,
    ) -> Fault:
        connected = bool(mark.connected) or answer is not None
        return fault_of(error, outgoing.url, self._proxy, connected=connected)

    async def aclose(self, grace: float = 0.0) -> None:
        """Close the running loop's session, if this transport opened it.

        Attempts under way may end first, for *grace* seconds at most. Those that begin meanwhile
        are made in a session of their own. Those in a session of the caller's are waited for, too:
        the caller may be about to close it.
        """
        if self._theirs is not None:
            await drain(self._theirs, grace)
        opened = self._own.pop()
        if opened is not None:
            await opened.aclose(grace)


def _end(session: OwnSession | TheirSession, task: asyncio.Task[object], attempt: Attempt) -> None:
    """Take *attempt* from those under way, and its connection for idle."""
    attempts, guard = session.attempts, attempt.guard
    del attempts[task]
    if session.drained is not None and not attempts:
        session.drained.set()
    # Another attempt may have it already.
    if guard is not None and guard.attempt is attempt:
        guard.attempt = None
        # Of several pieces the last may have come after the answer's end.
        if attempt.chunks > 1 and guard.protocol.should_close:
            guard.transport.abort()


def _bare(interruption: BaseException) -> None:
    """Take from *interruption* the frames below, and what it interrupted: they hold headers."""
    interruption.__traceback__ = None
    interruption.__cause__ = interruption.__context__ = None


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes:
    """Return the body; raise `TooLargeError` at *most* bytes, counted after decompression."""
    chunks: list[bytes] = []
    size = 0
    while not stream.at_eof():
        chunk = await stream.readany()
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise TooLargeError
    return b"".join(chunks)

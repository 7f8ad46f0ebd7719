"""One attempt, from bytes to a value: send, time, read, and explain what failed.

An `AttemptTracker` limits the whole attempt; of aiohttp's own timeouts only that for connecting is
set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from sigmamind_async.operation import ConnectionFlag, Fault, HttpRequest, Response
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.transport.faults import TooLargeError, fault_of
from sigmamind_async.transport.options import AiohttpOptions
from sigmamind_async.transport.sessions import CallerSession, LoopSession


class AiohttpTransport:
    """The real `Transport`; it can be created without a loop or a network."""

    def __init__(
        self, options: AiohttpOptions | None = None, session: aiohttp.ClientSession | None = None
    ) -> None:
        """Use *session*, and leave it open; without one open a session in each loop."""
        options = options or AiohttpOptions()
        self._proxy = options.proxy_url
        self._own = PerLoop(lambda: LoopSession(options, self._own), LoopSession.abandon)
        self._callers = None if session is None else CallerSession(options, session)

    async def send(
        self, request: HttpRequest, flag: ConnectionFlag, seconds: float, /
    ) -> Response | Fault:
        """Send *request* once; connecting, sending and reading may take *seconds* together."""
        response: aiohttp.ClientResponse | None = None
        session = self._callers or self._own.get()
        attempts = session.attempts
        attempt = attempts.begin(request, flag, seconds)
        if self._callers is None:
            flag.connected = False  # until our connector sets it
        try:
            if not session.is_open:
                await session.open()
            response = await session.request(attempt)
            attempt.has_head = True
            attempt.is_followed = response.status == 204 and _announces_body(response.headers)
            stream, max_bytes = response.content, request.max_bytes
            # A short body arrives whole with its head, and is read without waiting.
            body = stream.read_nowait() if stream.is_eof() else await _read_body(stream, max_bytes)
            if len(body) > max_bytes:
                raise TooLargeError  # noqa: TRY301 - becomes a value below, like every fault
            return Response(response.status, response.headers, body)
        except asyncio.CancelledError as cancelled:
            if not attempt.caused_cancellation():
                _strip(cancelled)
                raise
            fault = self._fault_of(TimeoutError(), request, flag, response)
        except Exception as error:  # noqa: BLE001 - every one becomes a value
            fault = self._fault_of(error, request, flag, response)
        except BaseException as interruption:
            _strip(interruption)
            raise
        finally:
            if response is not None and not response.closed:
                # Returns the connection to the pool after a whole response, else closes it.
                response.release()
            attempts.end(attempt)
        if response is not None:
            return Response(status=response.status, headers=response.headers, cut=fault)
        return fault

    def _fault_of(
        self,
        error: Exception,
        request: HttpRequest,
        flag: ConnectionFlag,
        response: aiohttp.ClientResponse | None,
    ) -> Fault:
        connected = bool(flag.connected) or response is not None
        return fault_of(error, request.url, self._proxy, connected=connected)

    async def aclose(self, grace: float = 0.0) -> None:
        """Close the running loop's session, if this transport opened it.

        Attempts under way may end first, for *grace* seconds at most; attempts that begin meanwhile
        get a new session. Attempts in a caller's session are waited for, too, because the caller
        may be about to close it.
        """
        if self._callers is not None:
            await self._callers.attempts.drain(grace)
        opened = self._own.pop()
        if opened is not None:
            await opened.aclose(grace)


def _announces_body(headers: Mapping[str, str]) -> bool:
    """Return whether a response that has no body names one, which would be read as the next."""
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


def _strip(interruption: BaseException) -> None:
    """Remove frames and causes from *interruption*: they hold headers."""
    interruption.__traceback__ = None
    interruption.__cause__ = interruption.__context__ = None


async def _read_body(stream: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """Return the body; raise `TooLargeError` above *max_bytes*, counted after decompression."""
    chunks: list[bytes] = []
    size = 0
    while not stream.at_eof():
        chunk = await stream.readany()
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
    return b"".join(chunks)

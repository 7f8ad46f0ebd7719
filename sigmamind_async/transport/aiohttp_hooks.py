"""Replacements for parts of aiohttp that cost too much, or send a request twice."""

from __future__ import annotations

from http.cookies import BaseCookie, SimpleCookie
from typing import ClassVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL


class BytesBody(aiohttp.Payload):
    """A body that is bytes already.

    aiohttp's own class creates a collection of headers for each body: 4 microseconds.
    """

    # Plain attributes where aiohttp has properties: they are read three times per call.
    headers: ClassVar[CIMultiDict[str]] = CIMultiDict(  # pyright: ignore[reportIncompatibleMethodOverride]
        {"Content-Type": "application/json"}
    )
    """aiohttp requires some; those of the request take precedence."""
    size: int = 0

    def __init__(self, body: bytes) -> None:
        self._bytes = body
        self.size = len(body)  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def autoclose(self) -> bool:
        """True: there is nothing to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: D102
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:  # noqa: D102
        await writer.write(self._bytes)

    async def write_with_length(  # noqa: D102
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        del content_length  # it is `size`
        await writer.write(self._bytes)


class NoCookies(aiohttp.DummyCookieJar):
    """A jar that does not create an empty collection of cookies for each request, either."""

    _empty: ClassVar[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002, D102
        return self._empty


class DroppedError(aiohttp.ClientError):
    """A connection broke. Not one of the classes on which aiohttp sends the request again."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DroppedError(type(error).__name__) from error


NO_RESEND: dict[str, tuple[aiohttp.ClientMiddlewareType, ...]] = {
    "GET": (_send_once,),
    "PUT": (_send_once,),
    "DELETE": (_send_once,),
}
"""The middlewares of the methods that aiohttp would send a second time."""

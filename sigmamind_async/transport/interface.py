"""One request as bytes, and whoever carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from sigmamind_async.operation import ConnectionFlag, Fault, Response


@attrs.define
class HttpRequest:
    """One request as bytes, addressed and authorized."""

    method: str
    url: str
    """Absolute and percent-encoded."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    max_bytes: int
    body: bytes | None = attrs.field(default=None, repr=False)
    fresh: bool = False
    """Whether it goes over a new connection, or one that was in use a moment ago: what must not be
    repeated does, because a server may just be closing a connection that is idle."""


class Transport(Protocol):
    """Carries one request to a platform and one answer back."""

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        """Return what came back within *seconds*.

        Sets ``mark.connected`` to false before it connects, and to true before the first byte can
        leave. Where it sets neither, or a status line came, the request counts as sent, whatever
        the kind of its fault: a purchase is then not made again. Raises nothing but
        `asyncio.CancelledError`; the mark then tells whether the request may have gone out.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; it may be used again afterwards."""
        ...

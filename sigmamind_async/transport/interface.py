"""One request as bytes, and the protocol of what carries it."""

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
    """True if it must not be repeated, and so goes over a connection that is new or was in use a
    moment ago: a server may be closing one that has been idle."""


class Transport(Protocol):
    """Carries one request to a platform and one response back."""

    async def send(
        self, request: HttpRequest, flag: ConnectionFlag, seconds: float, /
    ) -> Response | Fault:
        """Return the response, or why there is none, within *seconds*.

        Set ``flag.connected`` to false before connecting, and to true before the first byte can
        leave. If it is never set, or a status line came, the request counts as sent whatever the
        fault, and a purchase is not repeated. Raise nothing but `asyncio.CancelledError`; the flag
        then shows whether the request may have left.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; it can be used again afterwards."""
        ...

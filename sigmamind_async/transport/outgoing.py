"""One request as bytes, and whoever carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from sigmamind_async import static
from sigmamind_async.operation import Fault, Mark, Response


@static.frozen
class Outgoing:
    """One request as bytes, addressed and authorized."""

    method: str
    url: str
    """Absolute and percent-encoded."""
    headers: Mapping[str, str] = attrs.field(repr=False, hash=False)
    max_bytes: int
    body: bytes | None = attrs.field(default=None, repr=False)


class Transport(Protocol):
    """Carries one request to a platform and one answer back."""

    async def send(self, outgoing: Outgoing, mark: Mark, seconds: float) -> Response | Fault:
        """Return what came back within *seconds*.

        Sets ``mark.connected`` before the first byte can leave. Raises nothing but
        `asyncio.CancelledError`; the mark then tells whether the request may have gone out.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; it may be used again afterwards."""
        ...

"""The API key of a client: a fixed one, or one that a coroutine function supplies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.loops import PerLoop
from sigmamind_async.values import Secret, concealed

KeyProvider = Callable[[], Awaitable[str | Secret]]


def checked_key(key: Secret) -> Secret:
    """Return *key* if it can stand in a header: visible ASCII, no space, no line break."""
    if not _fits_header(key.reveal()):
        raise ConfigurationError(
            "api_key: the key is empty, or holds a space, a line break or a character outside"
            " ASCII; copy it again, without what surrounds it"
        )
    return key


def _fits_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


class Credentials:
    """Hands out the key; a supplied one is asked for again when the platform rejects it."""

    def __init__(self, source: Secret | KeyProvider) -> None:
        if isinstance(source, Secret):
            self.known: Secret | None = checked_key(source)
            """The key in use, `None` before it was asked for."""
            self._provider: KeyProvider | None = None
        else:
            self.known = None
            self._provider = source
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def key(self) -> Secret:
        """Return the key in use, asking for it the first time."""
        return self.known if self.known is not None else await self._asked(None)

    async def renewed(self, rejected: Secret) -> bool:
        """Ask for another key after *rejected*; return whether there is one to try.

        Calls that were rejected together ask once.
        """
        if self._provider is None:
            return False
        return await self._asked(rejected) is not rejected

    async def _asked(self, rejected: Secret | None) -> Secret:
        async with self._locks.get():
            if self.known is not None and self.known is not rejected:
                return self.known
            if self._provider is None:
                raise ConfigurationError("api_key: there is none")
            given = concealed(await self._provider())
            self.known = checked_key(given)
            return self.known

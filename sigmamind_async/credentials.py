"""The API key of a client: a fixed one, or one that a coroutine function supplies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from sigmamind_async.errors import APITimeoutError, ConfigurationError
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.values import Secret, as_secret

KeyProvider = Callable[[], Awaitable[str | Secret]]


def checked_key(key: Secret, whose: str = "the key") -> Secret:
    """Return *key* if it can stand in a header: visible ASCII, no space, no line break."""
    if not key.known or not _fits_header(key.reveal()):
        raise ConfigurationError(
            f"api_key: {whose} is empty, or holds a space, a line break or a character outside"
            " ASCII; copy it again, without what surrounds it"
        )
    return key


def _fits_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


class Credentials:
    """Hands out the key; a supplied one is asked for again when the platform rejects it."""

    def __init__(self, source: Secret | KeyProvider, limit: float = 60.0) -> None:
        """Take the key or its provider, and the seconds that it may take where a call says none."""
        if isinstance(source, Secret):
            self.known: Secret | None = checked_key(source)
            """The key in use, `None` before it was asked for."""
            self._provider: KeyProvider | None = None
        elif not callable(cast("object", source)):
            kind = type(source).__name__
            raise ConfigurationError(f"api_key: must be text or an async function, not {kind}")
        else:
            self.known = None
            self._provider = source
        self._limit = limit
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def key(self, seconds: float | None = None) -> Secret:
        """Return the key in use, asking for it the first time.

        Raises `APITimeoutError` when there is none after *seconds*.
        """
        return self.known if self.known is not None else await self._in_time(None, seconds)

    async def renewed(self, rejected: Secret, seconds: float | None = None) -> bool:
        """Ask for another key after *rejected*; return whether there is one to try.

        Calls that were rejected together ask once. Raises `APITimeoutError` as `key` does.
        """
        if self._provider is None:
            return False
        return await self._in_time(rejected, seconds) is not rejected

    async def _in_time(self, rejected: Secret | None, seconds: float | None) -> Secret:
        scope = asyncio.timeout(self._limit if seconds is None else seconds)
        try:
            async with scope:
                return await self._asked(rejected)
        except TimeoutError:
            if not scope.expired():  # the provider's own
                raise
        raise APITimeoutError(
            f"api_key: the deadline passed before {_name(self._provider)} returned a key"
        )

    async def _asked(self, rejected: Secret | None) -> Secret:
        # Not a task that all wait for: a caller that is cancelled ends its own question, and the
        # next in line asks again.
        async with self._locks.get():
            if self.known is not None and self.known is not rejected:
                return self.known
            if self._provider is None:
                raise ConfigurationError("api_key: there is none")
            self.known = await _supplied(self._provider)
            return self.known


async def _supplied(provider: KeyProvider) -> Secret:
    """Return what *provider* supplies; no frame holds it as text when it is refused."""
    answer = _wrapped(provider())
    if isinstance(answer, Awaitable):
        answer = _wrapped(await cast("Awaitable[object]", answer))
        if isinstance(answer, Secret):
            return checked_key(answer, f"the key that {_name(provider)} returned")
    kind = answer if isinstance(answer, str) else type(answer).__name__
    raise ConfigurationError(
        f"api_key: {_name(provider)} returned {kind}; it must be an async function that returns"
        " text or a Secret"
    )


def _wrapped(answer: object) -> object:
    """Return what can be kept in a frame: a secret, an awaitable, or the name of a type."""
    if isinstance(answer, str):
        return as_secret(answer)
    if isinstance(answer, Secret | Awaitable):
        return cast("object", answer)
    return type(answer).__name__


def _name(provider: object) -> str:
    function = getattr(provider, "func", provider)  # of a partial
    return str(getattr(function, "__qualname__", type(function).__qualname__))

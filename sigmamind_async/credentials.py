"""The API key of a client: a fixed one, or one that a coroutine function supplies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from sigmamind_async.errors import APITimeoutError, ConfigurationError
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.values import Secret, as_secret

KeyProvider = Callable[[], Awaitable[str | Secret]]


def check_key(key: Secret, source: str = "the key") -> Secret:
    """Return *key* if it fits a header: visible ASCII, no space, no line break."""
    text = key.reveal() if key.known else ""
    # `docker --env-file` and some readers of .env files keep the quotes around a value.
    quoted = text[:1] in {"'", '"'} and text[:1] == text[-1:]
    fits = bool(text) and text.isascii() and text.isprintable() and " " not in text and not quoted
    del text
    if fits:
        return key
    raise ConfigurationError(
        f"api_key: {source} is empty, quoted, or holds a space, a line break or a character outside"
        " ASCII; copy it again, without what surrounds it"
    )


class Credentials:
    """Holds the key; one that was supplied is asked for again when the platform rejects it."""

    def __init__(self, source: Secret | KeyProvider, timeout: float = 60.0) -> None:
        """*timeout* is the seconds that the provider may take unless a call sets them."""
        self.known: Secret | None = None
        """The key in use, `None` before it was asked for."""
        self._provider: KeyProvider | None = None
        if isinstance(source, Secret):
            self.known = check_key(source)
        elif callable(cast("object", source)):
            self._provider = source
        else:
            kind = type(source).__name__
            raise ConfigurationError(f"api_key: must be text or an async function, not {kind}")
        self._timeout = timeout
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def key(self, seconds: float | None = None) -> Secret:
        """Return the key in use, asking for it the first time.

        Raises `APITimeoutError` when there is none after *seconds*.
        """
        return self.known if self.known is not None else await self._ask(None, seconds)

    async def refresh(self, rejected: Secret, seconds: float | None = None) -> bool:
        """Ask for another key after *rejected*; return whether there is one to try.

        Calls that were rejected together ask once. Raises `APITimeoutError` as `key` does.
        """
        if self._provider is None:
            return False
        return await self._ask(rejected, seconds) is not rejected

    async def _ask(self, rejected: Secret | None, seconds: float | None) -> Secret:
        timeout = asyncio.timeout(self._timeout if seconds is None else seconds)
        try:
            # Not a task that all wait for: a caller that is cancelled ends its own question, and
            # the next in line asks again.
            async with timeout, self._locks.get():
                if self.known is None or self.known is rejected:
                    self.known = await _key_from(self._provider)
                return self.known
        except TimeoutError:
            if not timeout.expired():  # the provider's own
                raise
        name = _name_of(self._provider)
        raise APITimeoutError(f"api_key: the deadline passed before {name} returned a key")


async def _key_from(provider: KeyProvider | None) -> Secret:
    """Return what *provider* supplies; no frame holds it as text when it is refused."""
    if provider is None:
        raise ConfigurationError("api_key: there is none")
    answer = _hide(provider())
    if isinstance(answer, Awaitable):
        answer = _hide(await cast("Awaitable[object]", answer))
        if isinstance(answer, Secret):
            return check_key(answer, f"the key that {_name_of(provider)} returned")
    kind = answer if isinstance(answer, str) else type(answer).__name__
    raise ConfigurationError(
        f"api_key: {_name_of(provider)} returned {kind}; it must be an async function that returns"
        " text or a Secret"
    )


def _hide(answer: object) -> object:
    """Return what a frame may hold: a secret, an awaitable, or the name of a type."""
    if isinstance(answer, str):
        return as_secret(answer)
    if isinstance(answer, Secret | Awaitable):
        return cast("object", answer)
    return type(answer).__name__


def _name_of(provider: object) -> str:
    function = getattr(provider, "func", provider)  # of a partial
    return str(getattr(function, "__qualname__", type(function).__qualname__))

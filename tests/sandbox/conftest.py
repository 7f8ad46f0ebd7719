"""A sandbox on real sockets, and a plain way to talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from sigmamind_async.sandbox import Sandbox

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
async def send(box: Sandbox) -> AsyncIterator[Send]:
    """Send a request with the key and return the response, read to its end."""
    async with aiohttp.ClientSession() as session:

        async def request(
            method: str,
            path: str,
            *,
            json: object = None,
            headers: dict[str, str] | None = None,
        ) -> aiohttp.ClientResponse:
            response = await session.request(
                method,
                box.sigmamind.base_url + path,
                json=json,
                headers={"X-API-Key": box.sigmamind.api_key} | (headers or {}),
                allow_redirects=False,
            )
            await response.read()
            return response

        yield request

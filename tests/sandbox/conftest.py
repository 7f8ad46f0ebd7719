"""A sandbox on real sockets, and a plain way to talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import SIGMAMIND, Json, Send, Vendor


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
def vendor() -> Vendor:
    """The platform ``send`` talks to, unless the test is run for every one."""
    return SIGMAMIND


@pytest.fixture
async def send(box: Sandbox, vendor: Vendor) -> AsyncIterator[Send]:
    """Send a request with the key and return the response, read to its end."""
    endpoint = vendor.endpoint(box)
    async with aiohttp.ClientSession() as session:

        async def request(
            method: str,
            path: str,
            *,
            json: Json = None,
            headers: dict[str, str] | None = None,
        ) -> aiohttp.ClientResponse:
            response = await session.request(
                method,
                endpoint.base_url + path,
                json=json,
                headers=vendor.headers(endpoint.api_key) | (headers or {}),
                allow_redirects=False,
            )
            await response.read()
            return response

        yield request

"""The same update, made in three ways: as plain aiohttp, as lean aiohttp, and with a client.

The same PATCH with six fields, the same record back, the same connection limit.

- plain: aiohttp as most people write it, ``json=`` and ``await response.json()``
- lean: aiohttp with bytes in and out, orjson, an encoded URL, no cookies
- ours: ``client.phone_numbers.update(...)``: local checks, gate, verdict, deadline, typed record
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import orjson
from yarl import URL

from benchmarks.measure import Block, concurrently
from sigmamind_async import SigmaMind

Call = Callable[[int], Awaitable[object]]
"""Makes one call; is told its number."""

NUMBER = "+14155550100"
PATH = "/v1/phone-numbers/%2B14155550100"
CHANGE = {
    "friendlyName": "Support Line - US",
    "inboundAgentId": "agent_D5D0p7TUs66TTAEAx",
    "outboundAgentId": None,
    "terminationSipUri": "sip.telnyx.com",
    "trunkUsername": "my_trunk_user",
    "outboundPhoneNumber": "+14155550199",
}
WIDTH = 100
"""Calls under way at once."""


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[dict[str, Call]]:
    """Give each way of making the call, with its session open."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as simple,
        aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as bare,
        SigmaMind("key", base_url=base_url) as client,
    ):
        yield {
            "plain": plain(simple, base_url),
            "lean": lean(bare, base_url),
            "ours": ours(client),
        }


def plain(session: aiohttp.ClientSession, base_url: str) -> Call:
    headers = {"X-API-Key": "key"}

    async def call(_: int) -> None:
        async with session.patch(base_url + PATH, json=CHANGE, headers=headers) as response:
            await response.json()

    return call


def lean(session: aiohttp.ClientSession, base_url: str) -> Call:
    url = URL(base_url + PATH, encoded=True)
    headers = {"X-API-Key": "key", "Content-Type": "application/json"}

    async def call(_: int) -> None:
        body = orjson.dumps(CHANGE)
        async with session.patch(url, data=body, headers=headers) as response:
            orjson.loads(await response.read())

    return call


def ours(client: SigmaMind) -> Call:
    async def call(_: int) -> None:
        await client.phone_numbers.update(
            NUMBER,
            friendly_name="Support Line - US",
            inbound_agent_id="agent_D5D0p7TUs66TTAEAx",
            outbound_agent_id=None,
            termination_sip_uri="sip.telnyx.com",
            trunk_username="my_trunk_user",
            outbound_phone_number="+14155550199",
        )

    return call


def wide(call: Call) -> Block:
    """Return a block of such calls, `WIDTH` at a time."""
    return lambda calls: concurrently(call, calls, WIDTH)

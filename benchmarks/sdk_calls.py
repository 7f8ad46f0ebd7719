"""Makes updates with other platforms' clients; run by an interpreter that has them: see `sdks`."""

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from benchmarks.calls import Call, opened, wide
from benchmarks.measure import alternate, on_first_core

Opening = Callable[[str, AsyncExitStack], Awaitable[Call]]


def retell(*, aiohttp: bool) -> Opening:
    async def enter(base_url: str, stack: AsyncExitStack) -> Call:
        package = importlib.import_module("retell")
        over = {"http_client": package.DefaultAioHttpClient()} if aiohttp else {}
        client = await stack.enter_async_context(
            package.AsyncRetell(api_key="key", base_url=base_url, **over)
        )
        agents = [{"agent_id": "agent_D5D0p7TUs66TTAEAx", "weight": 1}]
        return lambda _: client.phone_number.update(
            "+14155550100",
            nickname="Support Line - US",
            inbound_agents=agents,
            outbound_agents=None,
            termination_uri="sip.telnyx.com",
            auth_username="my_trunk_user",
            inbound_webhook_url="https://example.com/inbound",
        )

    return enter


def telnyx(*, aiohttp: bool) -> Opening:
    async def enter(base_url: str, stack: AsyncExitStack) -> Call:
        package = importlib.import_module("telnyx")
        over = {"http_client": package.DefaultAioHttpClient()} if aiohttp else {}
        client = await stack.enter_async_context(
            package.AsyncTelnyx(api_key="key", base_url=f"{base_url}/v2", **over)
        )
        return lambda _: client.phone_numbers.update(
            "1293384261075731499",
            customer_reference="desk-1",
            connection_id="1293384261075731500",
            billing_group_id="1293384261075731501",
            external_pin="1234",
            hd_voice_enabled=True,
            tags=["support", "us"],
        )

    return enter


async def vapi(base_url: str, stack: AsyncExitStack) -> Call:
    package = importlib.import_module("vapi")
    # What it makes by itself where it is installed alone: beside the aiohttp extra of the others
    # it would take aiohttp without being asked.
    plain = await stack.enter_async_context(package.DefaultAsyncHttpxClient())
    client = package.AsyncVapi(token="key", base_url=base_url, httpx_client=plain)
    change = importlib.import_module("vapi.phone_numbers").UpdatePhoneNumbersRequestBody_Vapi
    return lambda _: client.phone_numbers.update(
        "d0b7a4c5-6f5a-4f0e-9d43-0f5a8f8a4b10",
        request=change(
            name="Support Line - US",
            assistant_id="a2c9a4c5-6f5a-4f0e-9d43-0f5a8f8a4b12",
            workflow_id="a2c9a4c5-6f5a-4f0e-9d43-0f5a8f8a4b13",
            squad_id="a2c9a4c5-6f5a-4f0e-9d43-0f5a8f8a4b14",
            sip_uri="sip:support@sip.vapi.ai",
        ),
    )


async def twilio(base_url: str, stack: AsyncExitStack) -> Call:
    over: Any = importlib.import_module("twilio.http.async_http_client").AsyncTwilioHttpClient()
    await stack.enter_async_context(over)
    account, number = "AC00000000000000000000000000000000", "PN00000000000000000000000000000000"
    client: Any = importlib.import_module("twilio.rest").Client(account, "key", http_client=over)
    client.api.base_url = base_url
    return lambda _: client.incoming_phone_numbers(number).update_async(
        friendly_name="Support Line - US",
        voice_url="https://example.com/voice",
        voice_method="POST",
        status_callback="https://example.com/status",
        status_callback_method="POST",
        sms_url="https://example.com/sms",
    )


PEERS: dict[str, Opening] = {
    "twilio": twilio,
    "retell-sdk, aiohttp": retell(aiohttp=True),
    "telnyx, aiohttp": telnyx(aiohttp=True),
    "retell-sdk": retell(aiohttp=False),
    "telnyx": telnyx(aiohttp=False),
    "vapi_server_sdk": vapi,
}
"""As installed, unless the name says that the client was asked to use aiohttp."""


@asynccontextmanager
async def everyone(base_url: str) -> AsyncIterator[dict[str, Call]]:
    async with AsyncExitStack() as stack:
        calls = await stack.enter_async_context(opened(base_url))
        for name, enter in PEERS.items():
            calls[name] = await enter(base_url, stack)
        yield calls


async def measure(base_url: str, calls: int, rounds: int) -> None:
    with on_first_core():
        async with everyone(base_url) as cases:
            samples = await alternate(
                {name: wide(call) for name, call in cases.items()}, calls=calls, rounds=rounds
            )
    json.dump(
        {name: [attrs.asdict(one) for one in taken] for name, taken in samples.items()}, sys.stdout
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("calls", type=int)
    parser.add_argument("rounds", type=int)
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.base_url, chosen.calls, chosen.rounds))


if __name__ == "__main__":
    main()

"""What one typed ``update`` costs beside the aiohttp call it is made of.

Three cases do the same work: the same PATCH with six fields, the same record back, the same
connection limit, 100 calls under way.

- plain: aiohttp as most people write it, ``json=`` and ``await response.json()``
- lean: aiohttp with bytes in and out, orjson, an encoded URL, no cookies
- ours: ``client.phone_numbers.update(...)``: local checks, gate, verdict, deadline, typed record
"""

import aiohttp
import attrs
import orjson
from yarl import URL

from benchmarks.measure import (
    Quartiles,
    alternate,
    concurrently,
    quartiles,
    ratios,
    server_process,
    stay_on_first_core,
)
from sigmamind_async import SigmaMind

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


@attrs.frozen(kw_only=True)
class Cost:
    """Quartiles of each case."""

    cpu_us: dict[str, Quartiles]
    speed: dict[str, Quartiles]
    """Calls a second."""
    to_plain: dict[str, Quartiles]
    """Calls a second relative to plain aiohttp, round by round."""


async def compare(*, calls: int = 1000, rounds: int = 30) -> Cost:
    """Measure all three cases."""
    stay_on_first_core()
    with server_process() as base_url:
        timeout = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=timeout) as plain,
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as lean,
            SigmaMind("key", base_url=base_url) as client,
        ):
            headers = {"X-API-Key": "key"}
            url = URL(base_url + PATH, encoded=True)
            json_headers = {**headers, "Content-Type": "application/json"}

            async def plain_call(_: int) -> None:
                async with plain.patch(base_url + PATH, json=CHANGE, headers=headers) as response:
                    await response.json()

            async def lean_call(_: int) -> None:
                body = orjson.dumps(CHANGE)
                async with lean.patch(url, data=body, headers=json_headers) as response:
                    orjson.loads(await response.read())

            async def our_call(_: int) -> None:
                await client.phone_numbers.update(
                    NUMBER,
                    friendly_name="Support Line - US",
                    inbound_agent_id="agent_D5D0p7TUs66TTAEAx",
                    outbound_agent_id=None,
                    termination_sip_uri="sip.telnyx.com",
                    trunk_username="my_trunk_user",
                    outbound_phone_number="+14155550199",
                )

            samples = await alternate(
                {
                    "plain": lambda count: concurrently(plain_call, count, WIDTH),
                    "lean": lambda count: concurrently(lean_call, count, WIDTH),
                    "ours": lambda count: concurrently(our_call, count, WIDTH),
                },
                calls=calls,
                rounds=rounds,
            )
    return Cost(
        cpu_us={
            name: quartiles([one.cpu * 1e6 for one in taken]) for name, taken in samples.items()
        },
        speed={name: quartiles([1 / one.wall for one in taken]) for name, taken in samples.items()},
        to_plain={
            name: quartiles(ratios(taken, samples["plain"])) for name, taken in samples.items()
        },
    )

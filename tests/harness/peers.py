"""Buys numbers with another platform's own client; run by an interpreter that has it installed.

Everything is as the client does it by itself, but for its address and a shorter timeout. Prints
the labels of what was confirmed. Imports nothing of this project.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Buy = Callable[[str], Awaitable[Any]]
"""Buys one number under a label."""


def retell(url: str, key: str, timeout: float) -> Buy:
    client = importlib.import_module("retell").AsyncRetell(
        api_key=key, base_url=url, timeout=timeout
    )
    return lambda label: client.phone_number.create(country_code="US", nickname=label)


def telnyx(url: str, key: str, timeout: float) -> Buy:
    client = importlib.import_module("telnyx").AsyncTelnyx(
        api_key=key, base_url=f"{url}/v2", timeout=timeout
    )
    return lambda label: client.number_orders.create(
        phone_numbers=[{"phone_number": "+14155550100"}], customer_reference=label
    )


def vapi(url: str, key: str, timeout: float) -> Buy:
    client = importlib.import_module("vapi").AsyncVapi(token=key, base_url=url, timeout=timeout)
    request = importlib.import_module("vapi.phone_numbers").CreatePhoneNumbersRequest_Vapi
    return lambda label: client.phone_numbers.create(
        request=request(name=label, number_desired_area_code="415")
    )


CLIENTS = {"retell": retell, "telnyx": telnyx, "vapi": vapi}


async def buy_all(buy: Buy, count: int, width: int) -> list[str]:
    """Return the labels of what was confirmed."""
    labels = (f"row-{number}" for number in range(count))
    told: list[str] = []

    async def work() -> None:
        for label in labels:
            try:
                await buy(label)
            except Exception as error:  # noqa: BLE001 - each client has errors of its own
                print(f"{label}: {type(error).__name__}", file=sys.stderr)
            else:
                told.append(label)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())
    return told


async def main(name: str, url: str, key: str, *numbers: str) -> None:
    count, width, timeout = numbers
    buy = CLIENTS[name](url, key, float(timeout))
    print(json.dumps(await buy_all(buy, int(count), int(width))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

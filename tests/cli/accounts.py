"""Numbers that the sandbox's account has before a command runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sigmamind_async import SigmaMind
from sigmamind_async.sandbox import Sandbox


def import_numbers(box: Sandbox, numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """Import *numbers*, with their fields, into the account on SigmaMind, one after the other."""

    async def import_all() -> None:
        endpoint = box.sigmamind
        async with SigmaMind(endpoint.api_key, base_url=endpoint.base_url) as client:
            for number, fields in numbers.items():
                await client.phone_numbers.import_(number, **fields)

    asyncio.run(import_all())

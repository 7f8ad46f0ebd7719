"""Five hundred calls at once: whoever was told "done" was served, and everyone was told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import tenacity

from sigmamind_async import Gate, SigmaMindError
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.limiter.rate import AdaptiveRate
from tests.functional.faultserver import Exchange, FaultServer, always, response
from tests.functional.support import ONCE, client_of, record_at

CALLS = 500


class Platform:
    """Updates numbers, and fails before acting by seeded chance."""

    def __init__(self, share: float) -> None:
        self.updated: Counter[str] = Counter()
        self.failures = 0
        self._share = share
        self._chance = random.Random(1)

    async def treat(self, exchange: Exchange) -> None:
        request = await exchange.read()
        if self._chance.random() < self._share:
            self.failures += 1
            await exchange.write(response(500))
            return
        self.updated[request.path] += 1
        await exchange.write(response(200, record_at(request.path, friendlyName=request.path)))


def path_of(number: str) -> str:
    return f"/v1/phone-numbers/%2B{number[1:]}"


Update = Callable[[str], Awaitable[bool]]
"""Updates a number and returns whether the answer was its own; raises where it cannot."""


async def wrongly_told(update: Update, platform: Platform) -> tuple[set[str], set[str]]:
    """Return the numbers told "done" without an update, and those updated and told otherwise."""
    numbers = [f"+1415555{index:04}" for index in range(CALLS)]
    told = await asyncio.gather(*map(update, numbers), return_exceptions=True)
    assert all(one is True or isinstance(one, SigmaMindError) for one in told)
    done = {path_of(number) for number, one in zip(numbers, told, strict=True) if one is True}
    updated = set(platform.updated)
    return done - updated, updated - done


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
async def test_every_call_that_returned_was_carried_out(share: float) -> None:
    """And got its own answer; every other raised, and was not carried out."""
    platform = Platform(share)
    async with FaultServer(always(platform.treat)) as server, client_of(server.url) as client:

        async def update(number: str) -> bool:
            changed = await client.phone_numbers.update(number, friendly_name="Support")
            return changed.friendly_name == path_of(number)

        assert await wrongly_told(update, platform) == (set(), set())
    assert platform.failures > 0


def all_at_once() -> Gate:
    """Return a gate that begins wide and learns nothing: the calls must run into one another."""

    class Unlearned(AdaptiveRate):
        def refused(self, now: float, ticket: Admitted, pause: float, jitter: float = 1.0) -> float:
            return pause

    lanes = RateByKind(Unlearned(width=1_000.0))
    return Gate(admission=Admission(rates=lanes, failures_to_open=1_000_000))


async def test_a_retrying_object_that_all_calls_share_loses_some() -> None:
    """The usual way to write it, on the same server: calls return that were never carried out."""
    platform = Platform(0.5)
    shared = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(5), reraise=True)
    async with (
        FaultServer(always(platform.treat)) as server,
        client_of(server.url, retry=ONCE, gate=all_at_once()) as client,
    ):

        async def update(number: str) -> bool:
            async for attempt in shared:
                with attempt:
                    await client.phone_numbers.update(number, friendly_name="Support")
            return True

        told_wrong, _ = await wrongly_told(update, platform)
    assert told_wrong

"""The real aiohttp client in a simulated network: one purchase each, whatever becomes of packets.

The other tests of this folder put a model in place of the transport. Here nothing of ours is
replaced: sessions, sockets, timeouts and connection marks are the ones of a program, and only the
event loop is a simulated one, whose network and schedule follow from a seed.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import attrs
import pytest

from sigmamind_async import Gate, SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.provisioning.tags import find_tag

simloop = pytest.importorskip("simloop", reason="needs Python 3.12")

SEEDS = range(25)
NUMBERS = 8
LATE = 2.0
"""Seconds by which the platform may be late; the settle time is longer."""

pytestmark = pytest.mark.usefixtures("unmeasured")


class Platform:
    """Sells numbers over raw streams, and loses, delays or spoils some of its answers."""

    def __init__(self, seed: int) -> None:
        self.sold: list[dict[str, Any]] = []
        self._random = random.Random(seed)

    async def serve(self) -> None:
        async with await asyncio.start_server(self._handle, port=8080) as server:
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = json.loads(await reader.readexactly(int(length))) if length else {}
        if head.startswith(b"get"):
            self._send(writer, 200, {"data": self.sold})
            return True
        fate = self._random.choice(["well", "well", "late", "lost", "error", "garbage", "none"])
        if fate == "none":
            return False
        if fate == "late":
            await asyncio.sleep(self._random.uniform(0.0, LATE))
        number = {"sipPhoneNumber": f"+1415555{len(self.sold):04}", **body}
        self.sold.append(number)
        if fate == "lost":
            return False
        status = {"error": 500, "garbage": 201}.get(fate, 201)
        self._send(writer, status, "?" if fate == "garbage" else number)
        return True

    def _send(self, writer: asyncio.StreamWriter, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


async def buy(seed: int, settle_time: float) -> Platform:
    """Buy some numbers in a loop that is simulated, and return who sold them."""
    loop: Any = asyncio.get_running_loop()
    platform = Platform(seed)
    serving = loop.net.host("server").create_task(platform.serve())
    await asyncio.sleep(1.0)
    async with SigmaMind(
        "key",
        attempt_timeout=0.5,
        deadline=120.0,
        gate=Gate(clock=loop.time),
    ) as client:
        # No public setting changes a client's time, or lets it speak plain HTTP to a server.
        client._bind(  # noqa: SLF001
            attrs.evolve(
                client.runner.engine,
                base_url="http://server:8080",
                clock=loop.time,
                wall_clock=loop.time,
            )
        )
        provisioner = Provisioner(
            client, MemoryJournal(), settle_time=settle_time, retry_unconfirmed=True
        )
        value = CreatePhoneNumber(country_code="US")
        job = provisioner.run_many((f"row-{n}", value) for n in range(NUMBERS))
        ends = [(outcome.status, outcome.error) async for outcome in job]
        assert ends == [("done", None)] * NUMBERS
    await asyncio.sleep(LATE)
    serving.cancel()
    await asyncio.wait([serving])
    return platform


def bought_twice(seed: int, settle_time: float) -> int:
    loop = simloop.SimLoop(seed=seed)
    asyncio.set_event_loop(loop)
    loop.net.set_defaults(latency=(0.001, 0.06))
    try:
        platform = loop.run_until_complete(buy(seed, settle_time))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    tags = [find_tag(number["friendlyName"]) for number in platform.sold]
    sold = Counter(tag[0] for tag in tags if tag is not None)
    assert len(sold) == NUMBERS
    return sum(count - 1 for count in sold.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_each_number_is_bought_once(seed: int) -> None:
    assert bought_twice(seed, settle_time=LATE + 1.0) == 0


def test_without_the_settle_time_some_are_bought_twice() -> None:
    """The negative control."""
    assert sum(bought_twice(seed, settle_time=0.0) for seed in SEEDS) > 0

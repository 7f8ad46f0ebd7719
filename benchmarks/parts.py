"""Parts of a call in isolation: gate, retry and observer; and the signal behind a verdict.

Gate and observer: the same update, answered by a script in this process, with an observer and a
real gate, and without the one and with a gate that asks nothing. Retry: what is left of it on a
call that succeeds at once, which is one look at the result and one at the quota.

The signal: a kept-alive connection taken from the pool and given back, by our connector, with the
mark that it sets, and by aiohttp's own.
"""

import asyncio
from typing import cast

import aiohttp

from benchmarks.calls import NUMBER
from benchmarks.goals import Figure, figure
from benchmarks.measure import (
    Block,
    Samples,
    alternate,
    differences,
    on_first_core,
    quartiles,
    server_process,
    times,
)
from sigmamind_async import Gate, SigmaMind
from sigmamind_async.allowance import Remaining
from sigmamind_async.engine import Done
from sigmamind_async.events import Event
from sigmamind_async.operation import Mark
from sigmamind_async.pace import Ticket
from sigmamind_async.retry import Again, RetryQuota
from sigmamind_async.testing import ScriptedTransport, reply
from sigmamind_async.transport import AiohttpOptions, _Connector

RECORD = {"sipPhoneNumber": NUMBER, "friendlyName": "Support"}


class Open(Gate):
    """A gate that asks nothing and learns nothing."""

    entered = 0

    def try_enter(self, width: int, kind: str = "") -> Ticket:
        del width
        self.entered += 1
        return (0.0, 1, kind)

    def passed(self, ticket: Ticket, said: Remaining | None = None) -> None:
        pass


def observe(_: Event) -> None:
    pass


def updates(client: SigmaMind) -> Block:
    async def block(calls: int) -> None:
        for _ in range(calls):
            await client.phone_numbers.update(NUMBER, friendly_name="Support")

    return block


async def success_path(*, calls: int = 2_000, rounds: int = 30) -> Figure:
    """Measure gate, retry and observer on a call that succeeds at once."""
    transport = ScriptedTransport(lambda _: reply(200, RECORD), remember=1)
    gate = Open()
    cases = {
        "with": updates(SigmaMind("key", transport=transport, observer=observe)),
        "without": updates(SigmaMind("key", transport=transport, gate=gate)),
        "retry": looking_back,
        "nothing": nothing,
    }
    with on_first_core():
        samples = await alternate(cases, calls=calls, rounds=rounds)
    assert gate.entered >= calls * rounds, "the engine passes the gate by"
    spent = [
        a + b
        for a, b in zip(
            _more(samples, "with", "without"), _more(samples, "retry", "nothing"), strict=True
        )
    ]
    return figure("parts", quartiles(times(1e6, spent)))


def _more(samples: Samples, one: str, other: str) -> list[float]:
    return differences(samples[one], samples[other])


async def looking_back(calls: int) -> None:
    """Do what a call does about retries when its first attempt succeeds."""
    quota, end = RetryQuota(), cast("Done[None] | Again", Done(None))
    for _ in range(calls):
        if not isinstance(end, Again):
            quota.refund(None)


async def nothing(calls: int) -> None:
    for _ in range(calls):
        pass


async def signal(*, calls: int = 2_000, rounds: int = 30) -> Figure:
    """Measure taking a connection from the pool with and without the mark."""
    with server_process() as base_url, on_first_core():
        marking, bare = _Connector(AiohttpOptions()), aiohttp.TCPConnector(limit=100)
        async with marking, bare:
            request = await prepared(base_url, marking)
            await prepared(base_url, bare)
            timeout = aiohttp.ClientTimeout()

            async def marked(count: int) -> None:
                task = asyncio.current_task()
                for _ in range(count):
                    marking.marks[task] = Mark()
                    (await marking.connect(request, [], timeout)).release()
                    marking.marks.pop(task, None)

            async def unmarked(count: int) -> None:
                for _ in range(count):
                    (await bare.connect(request, [], timeout)).release()

            cases = {"marked": marked, "unmarked": unmarked}
            samples = await alternate(cases, calls=calls, rounds=rounds)
    return figure("signal", quartiles(times(1e6, _more(samples, "marked", "unmarked"))))


async def prepared(base_url: str, connector: aiohttp.BaseConnector) -> aiohttp.ClientRequest:
    """Leave a kept-alive connection in *connector*; return the request that made it."""
    seen: list[aiohttp.ClientRequest] = []

    async def see(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        seen.append(request)
        return await handler(request)

    async with (
        aiohttp.ClientSession(
            connector=connector, connector_owner=False, middlewares=(see,)
        ) as session,
        session.get(f"{base_url}/opened") as response,
    ):
        await response.read()
    return seen[0]

"""Parts of a call in isolation: gate, retry and observer; and the signal behind a verdict.

By themselves: what the engine does about the three in a call that succeeds at once, line by line
and nothing else, above an empty loop. The gate is entered, told of the answer and of its headers,
and left; retrying is one look at the result and one at the quota; two events are made and handed to
an observer that does nothing.

In a call: the same update, answered by a script in this process, with an observer and a real gate,
and without the one and with a gate that asks nothing. That is dearer, because it counts what the
engine does to find out what the events say, and caches that are shared with the rest of a call.

The signal: a kept-alive connection taken from the pool and given back, by our connector, with the
mark that it sets, and by aiohttp's own.
"""

from __future__ import annotations

import time
from typing import Any, cast

import aiohttp
import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks.calls import NUMBER
from benchmarks.goals import Figure, figure
from benchmarks.measure import (
    Block,
    Quartiles,
    alternate,
    differences,
    functions_called,
    on_first_core,
    quartiles,
    server_process,
    times,
)
from sigmamind_async import Gate, SigmaMind
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Event,
    Observer,
    next_call_id,
    notify,
)
from sigmamind_async.limiter.gate import Permit
from sigmamind_async.operation import ConnectionFlag, Verdict
from sigmamind_async.responses.headers import Remaining, remaining
from sigmamind_async.retry import Retry, RetryQuota
from sigmamind_async.testing import ScriptedTransport, reply
from sigmamind_async.transport import AiohttpOptions, HttpRequest
from sigmamind_async.transport.attempts import AttemptTracker
from sigmamind_async.transport.connections import Connector

URL = f"https://api.sigmamind.ai/v1/phone-numbers/{NUMBER}"
RECORD = {"sipPhoneNumber": NUMBER, "friendlyName": "Support"}
HEADERS = CIMultiDictProxy(
    CIMultiDict(
        {
            "Date": "Sat, 21 Nov 2026 12:00:00 GMT",
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": "331",
            "Connection": "keep-alive",
            "Cache-Control": "no-store",
            "X-Request-Id": "7c1a0b52-5a0e-4f6f-8e0a-3f6f4ce1a3b7",
        }
    )
)
"""Those of an answer that says nothing of a limit."""


@attrs.frozen(kw_only=True)
class Success:
    """What gate, retry and observer take of a call that succeeds at once; microseconds."""

    alone: dict[str, Quartiles]
    """By themselves: all three, and each of them."""
    functions: dict[str, int]
    """How many functions, of Python and of C, each calls for one call."""
    in_a_call: Quartiles
    """All three, in a whole call."""
    traced: Quartiles
    """What OpenTelemetry's observer adds to a whole call, its SDK included, nothing exported."""


async def success_path(*, calls: int = 2_000, rounds: int = 30) -> tuple[Success, Figure]:
    """Measure gate, retry and observer on a call that succeeds at once."""
    with on_first_core():
        alone, functions = await by_themselves(calls=10 * calls, rounds=rounds)
        in_a_call = await inside(calls=calls, rounds=rounds)
        traced = await tracing(calls=calls, rounds=rounds)
    note = (
        f"by themselves; an observer adds {alone[OBSERVER][1]:.2g},"
        f" traces and metrics of OpenTelemetry {traced[1]:.0f}"
    )
    success = Success(alone=alone, functions=functions, in_a_call=in_a_call, traced=traced)
    return success, figure("parts", alone[UNSEEN], note)


# --- by themselves ---------------------------------------------------------------------------

ALL, UNSEEN, OBSERVER = "gate, retry and observer", "gate and retry, no observer", "observer"


async def by_themselves(*, calls: int, rounds: int) -> tuple[dict[str, Quartiles], dict[str, int]]:
    """Return microseconds a call, and functions called, of all three and of each."""
    cases = {
        ALL: succeeding(observe),
        UNSEEN: succeeding(None),
        "gate": passing,
        "retry": looking_back,
        OBSERVER: telling,
    }
    functions = {name: await functions_of(block) for name, block in cases.items()}
    samples = await alternate({**cases, "nothing": nothing}, calls=calls, rounds=rounds)
    spent = {
        name: quartiles(times(1e6, differences(samples[name], samples["nothing"])))
        for name in cases
    }
    return spent, functions


def succeeding(observer: Observer | None) -> Block:
    """Return what calls do about all three; it stands in one piece, as it does in the engine."""
    gate, quota, clock, wall_clock = Gate(), RetryQuota(), time.monotonic, time.time
    end = cast("Retry | SigmaMindError | None", None)

    async def block(calls: int) -> None:
        for _ in range(calls):
            began = clock()
            if observer is not None:
                tell_start(observer)
            place = gate.try_acquire(100, "PATCH") or await gate.acquire(width=100, deadline=0.0)
            gate.complete(place, remaining(HEADERS, wall_clock))
            if isinstance(end, (Retry, SigmaMindError)):
                raise TypeError(end)
            if observer is not None:
                tell_end(observer, clock() - began)
            quota.refund(None)

    return block


async def passing(calls: int) -> None:
    """Do what calls do about the gate."""
    gate, wall_clock = Gate(), time.time
    for _ in range(calls):
        place = gate.try_acquire(100, "PATCH") or await gate.acquire(width=100, deadline=0.0)
        gate.complete(place, remaining(HEADERS, wall_clock))


async def looking_back(calls: int) -> None:
    """Do what calls do about retries."""
    quota, end = RetryQuota(), cast("Retry | SigmaMindError | None", None)
    for _ in range(calls):
        if isinstance(end, (Retry, SigmaMindError)):
            raise TypeError(end)
        quota.refund(None)


async def telling(calls: int) -> None:
    """Do what calls do for an observer."""
    clock, observer = time.monotonic, cast("Observer | None", observe)
    for _ in range(calls):
        began = clock()
        if observer is not None:
            tell_start(observer)
        if observer is not None:
            tell_end(observer, clock() - began)


def tell_start(observer: Observer) -> None:
    about: dict[str, Any] = {"call": next_call_id(), "subject": NUMBER, "op_id": None}
    notify(observer, CallStarted("update", **about))
    notify(observer, AttemptStarted("update", 1, "PATCH", URL, 0.0, None, **about))


def tell_end(observer: Observer, elapsed: float) -> None:
    about: dict[str, Any] = {"call": 1, "subject": NUMBER, "op_id": None}
    notify(observer, AttemptFinished("update", 1, Verdict.CONFIRMED, 200, elapsed, None, **about))
    notify(observer, CallFinished("update", 1, elapsed, None, **about))


async def nothing(calls: int) -> None:
    for _ in range(calls):
        pass


def observe(_: Event) -> None:
    pass


async def functions_of(block: Block) -> int:
    """Return how many functions *block* calls for a call more."""
    await block(1)  # a gate that has stood idle asks more
    counts = [await functions_called(block, calls) for calls in (10, 11)]
    return counts[1] - counts[0]


# --- in a call -------------------------------------------------------------------------------


class Open(Gate):
    """A gate that asks nothing and learns nothing."""

    entered = 0

    def try_acquire(self, width: int, kind: str = "") -> Permit:
        del width
        self.entered += 1
        return (0.0, 1, kind, self._queues.get())

    def complete(self, permit: Permit, said: Remaining | None = None) -> None:
        pass


async def inside(*, calls: int, rounds: int) -> Quartiles:
    """Return the microseconds of all three in a whole call."""
    transport = ScriptedTransport(lambda _: reply(200, RECORD), remember=1)
    gate = Open()
    cases = {
        "with": updates(SigmaMind("key", transport=transport, observer=observe)),
        "without": updates(SigmaMind("key", transport=transport, gate=gate)),
        "retry": looking_back,
        "nothing": nothing,
    }
    samples = await alternate(cases, calls=calls, rounds=rounds)
    assert gate.entered >= calls * rounds, "the engine passes the gate by"
    more = zip(
        differences(samples["with"], samples["without"]),
        differences(samples["retry"], samples["nothing"]),
        strict=True,
    )
    return quartiles(times(1e6, map(sum, more)))


async def tracing(*, calls: int, rounds: int) -> Quartiles:
    """Return the microseconds that spans and metrics take of a whole call."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from sigmamind_async.integrations.opentelemetry import OpenTelemetryObserver

    transport = ScriptedTransport(lambda _: reply(200, RECORD), remember=1)
    observer = OpenTelemetryObserver(
        tracer_provider=TracerProvider(), meter_provider=MeterProvider()
    )
    cases = {
        "with": updates(SigmaMind("key", transport=transport, observer=observer)),
        "without": updates(SigmaMind("key", transport=transport)),
    }
    samples = await alternate(cases, calls=calls, rounds=rounds)
    return quartiles(times(1e6, differences(samples["with"], samples["without"])))


def updates(client: SigmaMind) -> Block:
    async def block(calls: int) -> None:
        for _ in range(calls):
            await client.phone_numbers.update(NUMBER, friendly_name="Support")

    return block


# --- the signal ------------------------------------------------------------------------------


async def signal(*, calls: int = 2_000, rounds: int = 30) -> Figure:
    """Measure taking a connection from the pool with and without the mark."""
    with server_process() as base_url, on_first_core():
        attempts = AttemptTracker()
        marking, bare = Connector(AiohttpOptions(), attempts), aiohttp.TCPConnector(limit=100)
        outgoing = HttpRequest("GET", base_url, {}, 0)
        async with marking, bare:
            first = attempts.begin(outgoing, ConnectionFlag(), 60.0)
            request = await prepared(base_url, marking)
            attempts.end(first)
            await prepared(base_url, bare)
            timeout = aiohttp.ClientTimeout()

            async def marked(count: int) -> None:
                for _ in range(count):
                    attempt = attempts.begin(outgoing, ConnectionFlag(), 60.0)
                    (await marking.connect(request, [], timeout)).release()
                    attempts.end(attempt)

            async def unmarked(count: int) -> None:
                for _ in range(count):
                    (await bare.connect(request, [], timeout)).release()

            cases = {"marked": marked, "unmarked": unmarked}
            samples = await alternate(cases, calls=calls, rounds=rounds)
    return figure(
        "signal", quartiles(times(1e6, differences(samples["marked"], samples["unmarked"])))
    )


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

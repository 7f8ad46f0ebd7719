"""Reading a listing of 10,000 numbers: the time for one record, and how long the loop stands still.

Decoding is measured on pages as they come, without a network. The stall is the longest time for
which nothing else in the loop runs while a client reads the same listing over a socket.
"""

import asyncio
import time

import attrs

from benchmarks.goals import Figure, figure
from benchmarks.measure import alternate, on_first_core, quartiles, server_process, times
from benchmarks.server import LISTED, page
from sigmamind_async import SigmaMind
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind import ListPhoneNumbers
from sigmamind_async.platforms.sigmamind.operations import list_phone_numbers

SIZE = 100
"""Records a page, which is what `list` asks for by itself."""


@attrs.frozen(kw_only=True)
class Listing:
    """A listing of `LISTED` numbers."""

    records: int
    stall_ms: float
    """Longest time for which the loop did nothing else, over all rounds."""


async def decoding(*, rounds: int = 10) -> Figure:
    """Measure decoding every page of the listing; a round is the whole of it."""
    operation = list_phone_numbers(ListPhoneNumbers(page=0, size=SIZE))
    bodies = [body_of(number) for number in range(LISTED // SIZE)]
    answers = [Response(status=200, body=body) for body in bodies]

    async def block(_: int) -> None:
        for answer in answers:
            operation.decode(answer)

    with on_first_core():
        samples = await alternate({"decode": block}, calls=LISTED, rounds=rounds)
    return figure("decode", quartiles(times(1e6, [one.cpu for one in samples["decode"]])))


def body_of(number: int) -> bytes:
    """Return the body of a page, without its head."""
    return page(f"page={number}&size={SIZE}").partition(b"\r\n\r\n")[2]


async def longest_stall(*, rounds: int = 5) -> Listing:
    """Read the listing over a socket, again and again."""
    longest, records = 0.0, 0
    with server_process() as base_url, on_first_core():
        async with SigmaMind("key", base_url=base_url) as client:
            for _ in range(rounds):
                records = 0
                watch = asyncio.create_task(_watch())
                async for _number in client.phone_numbers.list():
                    records += 1
                watch.cancel()
                (ended,) = await asyncio.gather(watch, return_exceptions=True)
                assert isinstance(ended, float)
                longest = max(longest, ended)
    return Listing(records=records, stall_ms=1000 * longest)


async def _watch() -> float:
    """Return, once cancelled, the longest processor time between two turns of the loop."""
    longest, before = 0.0, time.process_time()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            longest, before = max(longest, now - before), now
    except asyncio.CancelledError:
        return longest

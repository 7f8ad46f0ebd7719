"""Whether a job of 1,000 updates at once treats its rows alike: the 99th percentile by the median.

A row's time runs from its being taken up to its end. The job that is measured follows one on the
same client that opens the connections and the gate.
"""

from collections.abc import Iterator

import attrs

from benchmarks.goals import Figure
from benchmarks.measure import on_first_core, server_process
from sigmamind_async import SigmaMind
from sigmamind_async.bulk import collect
from sigmamind_async.platforms.sigmamind import UpdatePhoneNumber

AT_ONCE = 1_000


@attrs.frozen(kw_only=True)
class Fairness:
    """Milliseconds of a row."""

    median: float
    p99: float
    rows: int


def values(count: int) -> Iterator[UpdatePhoneNumber]:
    for place in range(count):
        yield UpdatePhoneNumber(phone_number=f"+1415{5_550_000 + place}", friendly_name="Support")


async def job(*, rows: int = 10_000, at_once: int = AT_ONCE) -> tuple[Fairness, Figure]:
    """Run a job and return how its rows fared."""
    with server_process() as base_url, on_first_core():
        async with SigmaMind("key", base_url=base_url, max_connections=at_once) as client:
            await collect(client.run_many(values(rows)))
            measured = await collect(client.run_many(values(rows)))
    measured.raise_for_failures()
    ordered = sorted(one.elapsed for one in measured.outcomes)
    fairness = Fairness(
        median=1000 * ordered[len(ordered) // 2],
        p99=1000 * ordered[int(0.99 * (len(ordered) - 1))],
        rows=len(ordered),
    )
    return fairness, Figure(goal="fairness", value=fairness.p99 / fairness.median)

"""What one typed ``update`` costs beside the aiohttp call it is made of: see `calls`."""

import attrs

from benchmarks.calls import opened, wide
from benchmarks.goals import Figure, figure
from benchmarks.measure import (
    Quartiles,
    Samples,
    alternate,
    differences,
    on_first_core,
    quartiles,
    ratios,
    server_process,
    times,
)


@attrs.frozen(kw_only=True)
class Cost:
    """Quartiles by case, as every comparison of calls shows them."""

    cpu_us: dict[str, Quartiles]
    speed: dict[str, Quartiles]
    """Calls a second."""
    to_plain: dict[str, Quartiles]
    """Speed on one core as a multiple of plain aiohttp's, round by round."""


async def compare(*, calls: int = 500, rounds: int = 30) -> tuple[Cost, list[Figure]]:
    """Measure all three cases."""
    with server_process() as base_url, on_first_core():
        async with opened(base_url) as cases:
            samples = await alternate(
                {name: wide(call) for name, call in cases.items()}, calls=calls, rounds=rounds
            )
    cost = cost_of(samples)
    above = quartiles(times(1e6, differences(samples["ours"], samples["lean"])))
    return cost, [figure("plain", cost.to_plain["ours"]), figure("lean", above)]


def cost_of(samples: Samples, *, plain: str = "plain") -> Cost:
    """Return what *samples* say of each case, beside the one called *plain*."""
    return Cost(
        cpu_us={name: quartiles(one.cpu * 1e6 for one in taken) for name, taken in samples.items()},
        speed={name: quartiles(1 / one.wall for one in taken) for name, taken in samples.items()},
        to_plain={
            name: quartiles(ratios(samples[plain], taken)) for name, taken in samples.items()
        },
    )

"""The same update on uvloop, beside plain aiohttp on asyncio's own loop: the extra ``speed``."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager

from benchmarks.calls import Call, opened, wide
from benchmarks.cost import Cost, cost_of
from benchmarks.goals import Figure, figure
from benchmarks.measure import Block, alternate_loops, on_first_core, server_process


def compare(*, calls: int = 500, rounds: int = 30) -> tuple[Cost, list[Figure]]:
    """Measure plain aiohttp and ours on both loops; raises `ImportError` without uvloop."""
    import uvloop

    factories = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    with server_process() as base_url, on_first_core(), ExitStack() as stack:
        cases: dict[str, tuple[asyncio.Runner, Block]] = {}
        for loop, factory in factories.items():
            runner = stack.enter_context(asyncio.Runner(loop_factory=factory))
            ways = stack.enter_context(_opened(runner, base_url))
            cases |= {f"{name}, {loop}": (runner, wide(call)) for name, call in ways.items()}
        samples = alternate_loops(cases, calls=calls, rounds=rounds)
    cost = cost_of(samples, plain="plain, asyncio")
    return cost, [figure("uvloop", cost.to_plain["ours, uvloop"])]


@contextmanager
def _opened(runner: asyncio.Runner, base_url: str) -> Iterator[dict[str, Call]]:
    """Open every way of making the call in the loop of *runner*."""
    sessions = AsyncExitStack()
    try:
        yield runner.run(sessions.enter_async_context(opened(base_url)))
    finally:
        runner.run(sessions.aclose())

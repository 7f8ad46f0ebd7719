"""Whether a call has become dearer: ratios of this checkout beside those of a stored baseline.

``python -m benchmarks regression`` compares ratios, never times, so that it can run on a busy
machine and on another one than the baseline comes from. There are two kinds:

- processor time of an update by that of plain aiohttp's, of a job's row by a bare loop's, of a
  listed record's reading by orjson's; all from alternated blocks in one process
- functions called in an update by those called in plain aiohttp's, and modules imported by those
  that aiohttp imports; they are counted, so that they hardly vary, and show what is too small to
  be seen in the time

Each comparison of time has a control beside it in the same rounds: the same with 30 % planted on
top. Where the control is not found, the machine is too restless to tell anything, and nothing
passes. What looks dearer is measured again before it counts.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path

import aiohttp
import attrs
import orjson
from tenacity import AsyncRetrying, stop_after_attempt

from benchmarks.calls import Call, opened, ours, wide
from benchmarks.listing import SIZE, body_of
from benchmarks.measure import (
    Block,
    alternate,
    functions_called,
    on_first_core,
    ratios,
    server_process,
)
from benchmarks.scheduling import bare, job
from sigmamind_async import SigmaMind
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind import ListPhoneNumbers
from sigmamind_async.platforms.sigmamind.operations import list_phone_numbers

BASELINE = Path(__file__).parent / "results" / "baseline.json"
PLANTED = 0.3
"""Share of its processor time that the control takes longer."""
TRIES = 3
"""Most measurements of one ratio."""
UPDATE = "update, CPU of plain aiohttp = 1"
ROW = "a job's row, CPU of a bare loop's = 1"
RECORD = "a listed record, CPU of orjson's = 1"
FUNCTIONS = "functions called in an update, in plain aiohttp's = 1"
MODULES = "modules of a first client, of aiohttp = 1"
TOLERANCES = {UPDATE: 0.15, ROW: 0.15, RECORD: 0.15, FUNCTIONS: 0.04, MODULES: 0.05}
"""Shares by which each ratio may be above the baseline."""
ELSEWHERE = 0.10
"""The least of them where the baseline was made with other versions: what is counted depends on
the interpreter and on aiohttp."""


@attrs.frozen(kw_only=True)
class Reading:
    """One ratio as it was measured."""

    ratio: float
    control: float | None = None
    """The same with `PLANTED` on top; `None` for what is counted."""


@attrs.frozen(kw_only=True)
class Judgement:
    """One ratio beside its baseline."""

    name: str
    reading: Reading
    baseline: float
    tolerance: float

    @property
    def limit(self) -> float:
        return self.baseline * (1 + self.tolerance)

    @property
    def dearer(self) -> bool:
        return self.reading.ratio > self.limit

    @property
    def blind(self) -> bool:
        """Whether what was planted would have gone unnoticed."""
        control = self.reading.control
        return control is not None and control <= self.reading.ratio * (1 + self.tolerance)

    @property
    def passed(self) -> bool:
        return not (self.dearer or self.blind)

    @property
    def words(self) -> str:
        if self.dearer:
            return "DEARER"
        return "TOO RESTLESS TO TELL" if self.blind else "as before"


Measuring = Callable[[], Reading]


def judge(
    measuring: Mapping[str, Measuring], baseline: Mapping[str, float], *, same_versions: bool
) -> Iterator[Judgement]:
    """Measure every ratio and hold it against its baseline; up to `TRIES` times while it fails."""
    for name, measure in measuring.items():
        tolerance = TOLERANCES[name] if same_versions else max(TOLERANCES[name], ELSEWHERE)
        judge_one = partial(Judgement, name=name, baseline=baseline[name], tolerance=tolerance)
        judgement = judge_one(reading=measure())
        for _ in range(TRIES - 1):
            if judgement.passed:
                break
            judgement = judge_one(reading=measure())
        yield judgement


def measuring(plant: Plant | None = None) -> dict[str, Measuring]:
    """Return how each ratio is measured; with *plant*, of updates that are dearer by it."""
    return {
        UPDATE: lambda: asyncio.run(_update(plant)),
        FUNCTIONS: lambda: asyncio.run(functions(plant)),
        ROW: lambda: asyncio.run(_row()),
        RECORD: lambda: asyncio.run(_record()),
        MODULES: _modules,
    }


# --- the baseline ----------------------------------------------------------------------------


def versions() -> dict[str, str]:
    return {"python": "{}.{}".format(*sys.version_info), "aiohttp": version("aiohttp")}


def read_baseline() -> tuple[dict[str, float], bool]:
    """Return the stored ratios, and whether they were measured with the versions of today."""
    stored = json.loads(BASELINE.read_text())
    return stored["ratios"], stored["versions"] == versions()


def write_baseline() -> dict[str, float]:
    """Measure every ratio several times, and store the medians."""
    ratios = {
        name: statistics.median(measure().ratio for _ in range(TRIES))
        for name, measure in measuring().items()
    }
    BASELINE.parent.mkdir(exist_ok=True)
    stored = {"versions": versions(), "ratios": ratios}
    BASELINE.write_text(json.dumps(stored, indent=2) + "\n")
    return ratios


# --- processor time --------------------------------------------------------------------------


async def _update(plant: Plant | None, *, calls: int = 250, rounds: int = 12) -> Reading:
    with server_process() as base_url, on_first_core():
        async with opened(base_url) as ways, AsyncExitStack() as stack:
            ours = ways["ours"] if plant is None else await plant(base_url, stack)
            cases = {"base": wide(ways["plain"]), "ours": wide(ours)}
            return await _compared(cases, calls=calls, rounds=rounds)


async def _row(*, rows: int = 5_000, rounds: int = 10) -> Reading:
    with on_first_core():
        return await _compared({"base": bare, "ours": job}, calls=rows, rounds=rounds)


async def _record(*, rounds: int = 10) -> Reading:
    body = body_of(0)
    decode = list_phone_numbers(ListPhoneNumbers(page=0, size=SIZE)).decode
    answer = Response(status=200, body=body)

    async def base(records: int) -> None:
        for _ in range(0, records, SIZE):
            orjson.loads(body)

    async def ours(records: int) -> None:
        for _ in range(0, records, SIZE):
            decode(answer)

    with on_first_core():
        return await _compared({"base": base, "ours": ours}, calls=20 * SIZE, rounds=rounds)


async def _compared(cases: dict[str, Block], *, calls: int, rounds: int) -> Reading:
    """Return the ratio of *ours* to *base*, and that of the control, which does more of ours."""
    cases["control"] = lambda count: cases["ours"](round(count * (1 + PLANTED)))
    samples = await alternate(cases, calls=calls, rounds=rounds)
    return Reading(
        ratio=statistics.median(ratios(samples["ours"], samples["base"])),
        control=statistics.median(ratios(samples["control"], samples["base"])),
    )


# --- counting --------------------------------------------------------------------------------


async def functions(plant: Plant | None, *, calls: int = 300) -> Reading:
    with server_process() as base_url:
        async with opened(base_url) as ways, AsyncExitStack() as stack:
            ours = ways["ours"] if plant is None else await plant(base_url, stack)
            counts = [await _count(wide(call), calls) for call in (ours, ways["plain"])]
    return Reading(ratio=counts[0] / counts[1])


async def _count(block: Block, calls: int) -> int:
    await block(calls)
    # The least of three: on a busy machine calls wait for one another, and that is counted too.
    return min([await functions_called(block, calls) for _ in range(3)])


def _modules() -> Reading:
    client = _loaded("from sigmamind_async import SigmaMind; SigmaMind('key')")
    return Reading(ratio=client / _loaded("import aiohttp"))


def _loaded(statement: str) -> int:
    program = f"import sys; {statement}; print(len(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    return int(ran.stdout)


# --- what a regression looks like ------------------------------------------------------------

Plant = Callable[[str, AsyncExitStack], Awaitable[Call]]
"""Gives an update that is dearer than it should be."""


async def tenacity_around(base_url: str, stack: AsyncExitStack) -> Call:
    client = await stack.enter_async_context(SigmaMind("key", base_url=base_url))
    call = ours(client)

    async def retried(number: int) -> None:
        async for attempt in AsyncRetrying(stop=stop_after_attempt(3)):
            with attempt:
                await call(number)

    return retried


async def trace_config(base_url: str, stack: AsyncExitStack) -> Call:
    session = await stack.enter_async_context(
        aiohttp.ClientSession(trace_configs=[aiohttp.TraceConfig()])
    )
    return ours(SigmaMind("key", base_url=base_url, session=session))


async def another_timer(base_url: str, stack: AsyncExitStack) -> Call:
    client = await stack.enter_async_context(SigmaMind("key", base_url=base_url))
    call = ours(client)

    async def timed(number: int) -> None:
        async with asyncio.timeout(60.0):
            await call(number)

    return timed


PLANTS: dict[str, Plant] = {
    "tenacity": tenacity_around,
    "trace": trace_config,
    "timer": another_timer,
}

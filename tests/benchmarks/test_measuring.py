"""Every benchmark runs, in small: what it measures is still there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from urllib.request import Request, urlopen

import pytest

from benchmarks import cost, fairness, imports, listing, loops, memory, parts, scheduling, sdks
from benchmarks.goals import Figure
from benchmarks.measure import (
    CORES,
    Sample,
    differences,
    on_first_core,
    ratios,
    server_process,
    turns,
)

# Each sample begins with a collection.
pytestmark = pytest.mark.usefixtures("unmeasured")


def first(figures: list[Figure]) -> Figure:
    return figures[0]


SMALL: dict[str, Callable[[], Figure]] = {
    "plain": lambda: first(asyncio.run(cost.compare(calls=20, rounds=2))[1]),
    "uvloop": lambda: first(loops.compare(calls=20, rounds=2)[1]),
    "bulk": lambda: asyncio.run(scheduling.scheduling(rows=500, rounds=2)),
    "parts": lambda: asyncio.run(parts.success_path(calls=50, rounds=2))[1],
    "signal": lambda: asyncio.run(parts.signal(calls=50, rounds=2)),
    "fairness": lambda: asyncio.run(fairness.job(rows=200, at_once=20))[1],
    "decode": lambda: asyncio.run(listing.decoding(rounds=2)),
    "growth": lambda: memory.stream(2_000)[1],
}


@pytest.mark.parametrize("goal", SMALL)
def test_a_benchmark_measures_its_figure(goal: str) -> None:
    measured = SMALL[goal]()

    assert measured.goal == goal
    assert measured.judged is (goal != "growth")


def test_imports_are_compared_round_by_round() -> None:
    """Above a bare interpreter, and a first client beside the aiohttp of the same round."""
    spent = {
        "nothing": [10.0, 10.0],
        "import sigmamind_async": [15.0, 15.0],
        "import aiohttp": [110.0, 210.0],
        "a first client": [130.0, 250.0],
    }
    found = imports.figures(imports.above_bare(spent))

    assert [(one.goal, one.value) for one in found] == [("import", 5.0), ("client", 1.2)]


def test_imports_are_measured_compiled() -> None:
    """As an installer leaves them, whatever the benchmark itself runs under."""
    assert imports.compiling({"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_listing_is_read_to_its_end() -> None:
    assert asyncio.run(listing.longest_stall(rounds=1)).records == 10_000


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/phone-numbers/%2B14155550100", "sipPhoneNumber"),
        ("/update-phone-number/%2B14155550100", "phone_number"),
        ("/v2/phone_numbers/1293384261075731499", "data"),
        ("/phone-number/d0b7a4c5", "number"),
        ("/2010-04-01/Accounts/AC0/IncomingPhoneNumbers/PN0.json", "phone_number"),
    ],
)
def test_the_server_answers_each_platform_in_its_words(path: str, field: str) -> None:
    with server_process() as url, urlopen(Request(url + path, b"{}", method="PATCH")) as answer:
        assert field in json.load(answer)


def test_every_round_has_every_case_once() -> None:
    order = list(turns("abc", 40))
    rounds = [order[at : at + 3] for at in range(0, 120, 3)]

    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len({"".join(each) for each in rounds}) > 1


def test_cases_are_compared_within_a_round() -> None:
    """A machine that slows down in the middle changes no ratio."""
    ours = [Sample(cpu=cpu, wall=1.0) for cpu in (2.0, 20.0)]
    theirs = [Sample(cpu=cpu, wall=1.0) for cpu in (1.0, 10.0)]

    assert ratios(ours, theirs) == [2.0, 2.0]
    assert differences(ours, theirs) == [1.0, 10.0]


@pytest.mark.skipif(len(CORES) < 2, reason="one processor, or a system that does not say")
def test_the_affinity_of_this_process_is_as_before() -> None:
    with on_first_core():
        assert os.sched_getaffinity(0) == set(CORES[:1])
    assert os.sched_getaffinity(0) == set(CORES)


def test_peers_that_cannot_be_had_are_told_in_words() -> None:
    """Without a network: what failed, what was said, and what is needed; no traceback."""
    with pytest.raises(sdks.NotInstalledError) as caught:
        sdks.run(sys.executable, "-c", "raise SystemExit('no route to the index')")

    assert "failed: no route to the index" in str(caught.value)
    assert "needs a network" in str(caught.value)

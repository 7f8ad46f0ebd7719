"""What importing costs, in processor time above a bare interpreter.

Everything is imported as pip leaves it: compiled. aiohttp is installed and has been; a checkout of
this package is compiled by its first import, and where ``PYTHONDONTWRITEBYTECODE`` is set by each
one again, which takes a sixth of the time of aiohttp's import and no user's.
"""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.goals import Figure, figure
from benchmarks.measure import quartiles, turns

STATEMENTS = {
    "nothing": "pass",
    "import sigmamind_async": "import sigmamind_async",
    "its SigmaMind models": "import sigmamind_async.platforms.sigmamind",
    "import aiohttp": "import aiohttp",
    "a first client": "from sigmamind_async import SigmaMind; SigmaMind('key')",
}


def costs(*, rounds: int = 11) -> dict[str, list[float]]:
    """Return the milliseconds of each statement, round by round, in an order drawn anew."""
    spent: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():
        cpu_ms(statement)  # the first one compiles
    for name in turns(STATEMENTS, rounds):
        spent[name].append(cpu_ms(STATEMENTS[name]))
    return spent


def above_bare(spent: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the same above the median of a bare interpreter."""
    bare = statistics.median(spent["nothing"])
    return {name: [ms - bare for ms in taken] for name, taken in spent.items() if name != "nothing"}


def figures(above: dict[str, list[float]]) -> list[Figure]:
    first, aiohttp = above["a first client"], above["import aiohttp"]
    return [
        figure("import", quartiles(above["import sigmamind_async"])),
        figure("client", quartiles(one / other for one, other in zip(first, aiohttp, strict=True))),
    ]


def compiling(environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* for an interpreter that keeps what it compiles."""
    return {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cpu_ms(statement: str, *words: str, exit_code: int = 0) -> float:
    """Return the processor time of a new interpreter that runs *statement*, in milliseconds."""
    environment = compiling(os.environ)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", statement, *words], check=False, env=environment, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != exit_code:
        raise RuntimeError(f"{statement} {words}: exit code {done.returncode}: {done.stderr!r}")
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

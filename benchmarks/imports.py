"""What importing costs, in processor time above a bare interpreter."""

import os
import random
import subprocess
import sys

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
    for _ in range(rounds):
        for name in random.sample(list(STATEMENTS), len(STATEMENTS)):
            spent[name].append(_cpu_ms(STATEMENTS[name]))
    return spent


def _cpu_ms(statement: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    children = after.children_user + after.children_system
    return 1000 * (children - before.children_user - before.children_system)

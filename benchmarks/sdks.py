"""The same kind of update through other platforms' own clients, beside ours and plain aiohttp.

``python -m benchmarks peers`` makes an environment of its own with their packages, at the versions
below, and with what this library needs, at the versions that are installed here. All are measured
in one process of that environment (`sdk_calls`), in alternated blocks with 100 calls under way.
Each makes its platform's update of a number through its public method, with its defaults, and gets
a record of its own platform's shape.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import attrs

from benchmarks.cost import Cost, cost_of
from benchmarks.goals import Figure, figure
from benchmarks.measure import Sample, Samples, quartiles, ratios, server_process

ROOT = Path(__file__).parent.parent
PINNED = {
    "httpx": "0.28.1",
    "retell-sdk[aiohttp]": "6.2.13",
    "telnyx[aiohttp]": "4.189.0",
    "twilio": "9.13.0",
    "vapi_server_sdk": "3.0.0",
}
AS_INSTALLED = ("retell-sdk", "telnyx", "vapi_server_sdk")
OVER_AIOHTTP = ("retell-sdk, aiohttp", "telnyx, aiohttp")


class NotInstalledError(Exception):
    """The environment of the peers could not be made."""


@attrs.frozen(kw_only=True)
class Peers:
    """Quartiles by client."""

    cost: Cost
    ours: dict[str, tuple[float, float, float]]
    """Our speed on one core as a multiple of each client's, round by round."""
    versions: dict[str, str]


def compare(*, calls: int = 250, rounds: int = 12) -> tuple[Peers, list[Figure]]:
    """Measure all clients; raises `NotInstalledError` where they cannot be had."""
    python = environment()
    with server_process() as base_url:
        command = [str(python), "-m", "benchmarks.sdk_calls", base_url, str(calls), str(rounds)]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    samples: Samples = {
        name: [Sample(**one) for one in taken] for name, taken in json.loads(ran.stdout).items()
    }
    ours = {name: quartiles(ratios(taken, samples["ours"])) for name, taken in samples.items()}
    peers = Peers(cost=cost_of(samples), ours=ours, versions=PINNED)
    return peers, [
        figure("twilio", ours["twilio"]),
        _slowest_of(ours, "stainless", OVER_AIOHTTP),
        _slowest_of(ours, "installed", AS_INSTALLED),
    ]


def _slowest_of(
    ours: dict[str, tuple[float, float, float]], goal: str, names: tuple[str, ...]
) -> Figure:
    """Return the figure of the client that we are least ahead of."""
    nearest = min(names, key=lambda name: ours[name][1])
    return figure(goal, ours[nearest], f"the nearest: {nearest}")


def environment() -> Path:
    """Return the interpreter of the peers' environment, made when it is first asked for."""
    wanted = [f"{name}=={pinned}" for name, pinned in PINNED.items()] + _as_here()
    name = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sigmamind-async" / f"peers-{name}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        run(sys.executable, "-m", "venv", "--clear", str(folder))
        run(str(python), "-m", "pip", "install", "-q", *wanted)
        # For its version only: what is measured is the code beside this file.
        run(str(python), "-m", "pip", "install", "-q", "--no-deps", str(ROOT))
        finished.touch()
    return python


def _as_here() -> list[str]:
    """Return what this library needs, at the versions that are installed here."""
    needed = [
        re.split(r"[^\w.-]", line)[0]
        for line in requires("sigmamind-async") or []
        if "extra ==" not in line
    ]
    return [f"{name}=={version(name)}" for name in needed]


def run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines() or ["no reason given"]
        raise NotInstalledError(
            f"{' '.join(command[1:4])} failed: {said[-1]}\n"
            "The other clients come from the package index: this needs a network, or a mirror that"
            " pip knows."
        )

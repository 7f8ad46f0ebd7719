"""Memory of a process that streams updates through a job, and of one with 100 TLS connections.

Each is measured in a process of its own, which this module runs as well: nothing else has been
imported or allocated there. What is read is the resident memory that Linux reports.
"""

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from benchmarks.goals import Figure
from benchmarks.measure import server_process
from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import UpdatePhoneNumber

MIB = 1024  # the system counts in KiB
MILLION = 1_000_000
SETTLED = 1_000
"""Calls after which growth counts: by then the connections are open."""
CONNECTIONS = 100
TLS_DELAY = 0.05
"""Seconds before an answer over TLS: so long that every worker needs a connection of its own."""


@attrs.frozen(kw_only=True)
class Stream:
    """A job of real calls whose outcomes nobody keeps."""

    calls: int
    done: int
    growth_mib: float
    """Highest resident memory after the first `SETTLED` calls, above what it was then."""
    peak_mib: float
    seconds: float


@attrs.frozen(kw_only=True)
class Tls:
    """A process that has made calls over many TLS connections at once."""

    connections: int
    """Still open on the server's side when the calls had ended."""
    peak_mib: float


def stream(calls: int) -> tuple[Stream, Figure]:
    """Stream so many updates; only a million of them are judged by the goal."""
    with server_process() as base_url:
        streamed = Stream(**_child("stream", base_url, str(calls)))
    assert streamed.done == calls
    note = f"over {calls:,} calls" + ("" if calls >= MILLION else "; the goal is for a million")
    value = streamed.growth_mib
    return streamed, Figure(goal="growth", value=value, note=note, judged=calls >= MILLION)


def tls() -> tuple[Tls, Figure]:
    """Make calls over `CONNECTIONS` TLS connections; needs trustme, of the extra ``test``."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        trusted, certificate = Path(folder, "ca.pem"), Path(folder, "server.pem")
        authority.cert_pem.write_to_path(trusted)
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        options = ("--certificate", str(certificate), "--delay", str(TLS_DELAY))
        with server_process(*options, scheme="https") as base_url:
            held = Tls(**_child("tls", base_url, str(trusted)))
    assert held.connections == CONNECTIONS
    return held, Figure(goal="tls", value=held.peak_mib, note=f"{held.connections} connections")


def _child(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    printed: dict[str, Any] = json.loads(ran.stdout)
    return printed


# --- in the other process --------------------------------------------------------------------


def resident(field: str = "VmRSS") -> float:
    """Return the resident memory of this process, or its peak (``VmHWM``), in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / MIB


def updates(count: int) -> Iterator[UpdatePhoneNumber]:
    for place in range(count):
        yield UpdatePhoneNumber(phone_number=f"+1{2_000_000_000 + place}", friendly_name="Support")


async def streaming(base_url: str, calls: int) -> Stream:
    done, before, most = 0, 0.0, 0.0
    async with SigmaMind("key", base_url=base_url, max_connections=CONNECTIONS) as client:
        job = client.run_many(updates(calls))
        began = job.progress.clock()
        async for outcome in job:
            done += outcome.status == "done"
            if done == SETTLED:
                before = most = resident()
            elif done % SETTLED == 0:
                most = max(most, resident())
        seconds = job.progress.clock() - began
    return Stream(
        calls=calls,
        done=done,
        growth_mib=most - before,
        peak_mib=resident("VmHWM"),
        seconds=seconds,
    )


async def over_tls(base_url: str, trusted: str) -> Tls:
    context = ssl.create_default_context(cafile=trusted)
    client = SigmaMind("key", base_url=base_url, ssl=context, max_connections=CONNECTIONS)
    async with client:
        async for outcome in client.run_many(updates(50 * CONNECTIONS)):
            assert outcome.status == "done", outcome.error
        peak = resident("VmHWM")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{base_url}/opened", ssl=context) as response,
        ):
            opened = await response.json() - 1
    return Tls(connections=opened, peak_mib=peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["stream", "tls"])
    parser.add_argument("base_url")
    parser.add_argument("argument", help="how many calls; the file of the trusted authority")
    chosen = parser.parse_args()
    result: Stream | Tls = (
        asyncio.run(streaming(chosen.base_url, int(chosen.argument)))
        if chosen.what == "stream"
        else asyncio.run(over_tls(chosen.base_url, chosen.argument))
    )
    print(json.dumps(attrs.asdict(result)))


if __name__ == "__main__":
    main()

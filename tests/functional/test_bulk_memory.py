"""Any number of rows streams through one client in flat memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, pathlib, sys

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import GetPhoneNumber
from sigmamind_async.testing import ScriptedTransport, reply


def resident() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def main(rows: int, keep: bool) -> None:
    answer = reply(json={"sipPhoneNumber": "+14155550100", "active": True})
    transport = ScriptedTransport(lambda _: answer, remember=None if keep else 1)
    client = SigmaMind("sk", transport=transport)
    values = (GetPhoneNumber(phone_number=f"+1{2_000_000_000 + row}") for row in range(rows))
    done, before, most = 0, 0, 0
    async for outcome in client.run_many(values):
        done += outcome.status == "done"
        if done == 20_000:
            before = resident()
        elif done % 10_000 == 0:
            most = max(most, resident())
    print(done, most - before)


asyncio.run(main(int(sys.argv[1]), sys.argv[2] == "keep"))
"""

MIB = 1 << 20

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status"),
    # Measuring coverage inside would take memory, and several times as long.
    pytest.mark.usefixtures("unmeasured"),
]


def streamed(rows: int, mode: str) -> tuple[int, int]:
    """Return the rows that were done, and by how many bytes the process grew after the start."""
    command = [sys.executable, "-c", PROGRAM, str(rows), mode]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)
    done, grown = ran.stdout.split()
    return int(done), int(grown)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_many_rows_take_no_more_memory_than_a_few() -> None:
    """16 bytes a row at most: a million would take less than 16 MiB."""
    done, grown = streamed(200_000, "stream")

    assert done == 200_000
    assert grown <= 3 * MIB


def test_the_control_what_keeps_every_request_grows() -> None:
    done, grown = streamed(60_000, "keep")

    assert done == 60_000
    assert grown > 3 * MIB

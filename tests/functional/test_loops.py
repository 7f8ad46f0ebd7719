"""One client for the whole program: any number of loops and threads, and a fork.

What must leave no warning, no descriptor and no trace at exit runs in a Python of its own that
takes every warning for an error; the server stays here and counts.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import pytest

from tests.functional.conftest import Run
from tests.functional.faultserver import FaultServer, always, answer
from tests.functional.support import KEY, LOOPS, NUMBER, client_of, record, run_script

pytestmark = pytest.mark.usefixtures("covered_processes")  # no test outlives its own loop

PREAMBLE = f"""
import asyncio, gc, logging, os, sys, time
from pathlib import Path
from sigmamind_async import SigmaMind

# In debug mode asyncio also warns of a slow machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)

client = SigmaMind({KEY!r}, base_url=sys.argv[1])
if sys.argv[2] == "uvloop":
    import uvloop
    new_event_loop = uvloop.new_event_loop
else:
    new_event_loop = asyncio.new_event_loop

async def look_up():
    return (await client.phone_numbers.get({NUMBER!r})).active

def descriptors():
    held = Path("/proc/self/fd")
    return len(list(held.iterdir())) if held.exists() else 0

def grown(before):
    # The resolver's descriptors are closed by a thread of its own.
    for _ in range(200):
        gc.collect()
        if descriptors() <= before:
            break
        time.sleep(0.01)
    return max(0, descriptors() - before)
"""

RUNNERS = """
def run():
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(look_up())

run()
before = descriptors()
for _ in range(99):
    run()
print(grown(before))
"""

PLAIN_LOOPS = """
def run():
    loop = new_event_loop()
    assert loop.run_until_complete(look_up())
    loop.close()

run()
before = descriptors()
for _ in range(19):
    run()
print(grown(before))
"""

FORK = """
async def look_up_around_a_fork():
    await look_up()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                code = 0 if runner.run(look_up()) else 2
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    await look_up()

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(look_up_around_a_fork())
"""

LEFT_OPEN = """
import aiohttp
async def look_up_and_leave():
    session = aiohttp.ClientSession()
    await (await session.get(sys.argv[1])).read()

asyncio.run(look_up_and_leave())
"""


@pytest.fixture(params=LOOPS)
def loop_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbers_server() -> FaultServer:
    return FaultServer(always(answer(200, record())))


@pytest.mark.parametrize(
    ("script", "calls"), [(RUNNERS, 100), (PLAIN_LOOPS, 20)], ids=["runners", "plain"]
)
async def test_every_loop_is_served(script: str, calls: int, loop_kind: str) -> None:
    """As many loops as calls: each succeeds, with no warning and no descriptor left behind."""
    async with numbers_server() as server:
        # A loop of uvloop that is closed as it is complains itself, before we could.
        strict = (script, loop_kind) != (PLAIN_LOOPS, "uvloop")
        grown = await run_script(PREAMBLE + script, server.url, loop_kind, strict=strict)
    assert (len(server.received), int(grown)) == (calls, 0)


async def test_a_session_that_is_left_open_is_noticed() -> None:
    async with numbers_server() as server:
        with pytest.raises(AssertionError, match="Unclosed client session"):
            await run_script(PREAMBLE + LEFT_OPEN, server.url, "asyncio")


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
async def test_a_fork_leaves_the_parent_its_connection(loop_kind: str) -> None:
    """The child opens its own; the parent's serves on, and the child's bytes are not on it."""
    async with numbers_server() as server:
        code = await run_script(PREAMBLE + FORK, server.url, loop_kind)
    assert int(code) == 0
    assert [request.connection for request in server.received] == [1, 2, 1]


async def test_two_threads_use_one_client_at_once() -> None:
    async with numbers_server() as server:
        client = client_of(server.url)

        async def look_up() -> bool:
            found = await asyncio.gather(*(client.phone_numbers.get(NUMBER) for _ in range(50)))
            return all(number.active for number in found)

        threads = (asyncio.to_thread(asyncio.run, look_up()) for _ in range(2))
        assert await asyncio.gather(*threads) == [True, True]
        assert len(server.received) == 100


def test_a_closed_client_opens_again(run: Run[int]) -> None:
    async def main() -> int:
        async with numbers_server() as server:
            client = client_of(server.url)
            for _ in range(3):
                async with client:
                    await client.phone_numbers.get(NUMBER)
            await client.close()
            return server.connections

    assert run(main()) == 3


def test_a_session_that_was_handed_in_stays_as_it_is(run: Run[None]) -> None:
    """It stays open, and keeps its own headers and cookies."""

    async def main() -> None:
        async with (
            numbers_server() as server,
            aiohttp.ClientSession(headers={"X-Own": "1"}, cookies={"own": "2"}) as session,
        ):
            async with client_of(server.url, session=session) as client:
                await client.phone_numbers.get(NUMBER)
            assert not session.closed
            await session.get(server.url)
            ours, theirs = server.received
            assert (ours.headers["x-own"], ours.headers["x-api-key"]) == ("1", KEY)
            assert "x-api-key" not in theirs.headers
            assert ours.connection == theirs.connection

    run(main())

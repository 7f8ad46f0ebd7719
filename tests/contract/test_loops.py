"""One client for the whole program, in any number of loops and threads."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from sigmamind_async.sandbox import Sandbox
from tests.contract.dialects import Dialect, numbers
from tests.functional.support import run_script

MANY_LOOPS = """
import asyncio, logging, sys
from tests.contract.dialects import DIALECTS, numbers

logging.getLogger("asyncio").setLevel(logging.ERROR)  # in debug mode it warns of a slow machine
dialect = DIALECTS[sys.argv[1]]
client = dialect.client(sys.argv[3], base_url=sys.argv[2])
for number in numbers(100):
    asyncio.run(client.run(dialect.buy(number)))
"""


async def test_a_hundred_loops_make_a_hundred_commits(box: Sandbox, dialect: Dialect) -> None:
    """With one client, no warning, and nothing left behind."""
    endpoint = dialect.endpoint(box)
    await run_script(MANY_LOOPS, dialect.name, endpoint.base_url, endpoint.api_key)
    assert [each.phone_number for each in box.ledger.purchases] == numbers(100)
    assert all(each.delivered for each in box.ledger.purchases)


async def test_two_threads_use_one_client_at_once(box: Sandbox, dialect: Dialect) -> None:
    client = dialect.connect(box)

    async def buy(wanted: list[str]) -> list[str]:
        bought = await asyncio.gather(*(client.run(dialect.buy(each)) for each in wanted))
        return [dialect.number_of(each) for each in bought]

    halves = numbers(100)[::2], numbers(100)[1::2]
    threads = (asyncio.to_thread(asyncio.run, buy(half)) for half in halves)
    assert await asyncio.gather(*threads) == [*halves]
    assert sorted(each.phone_number or "" for each in box.ledger.purchases) == numbers(100)


async def test_a_session_of_one_loop_would_fail_in_another(box: Sandbox, dialect: Dialect) -> None:
    """What a client without a session for each loop would do."""
    async with aiohttp.ClientSession() as session:
        client = dialect.connect(box, session=session, deadline=0.5)
        await client.run(dialect.buy(numbers(1)[0]))
        with pytest.raises(Exception, match=r".+"):
            await asyncio.to_thread(asyncio.run, client.run(dialect.buy(numbers(2)[1])))
    assert len(box.ledger.purchases) == 1

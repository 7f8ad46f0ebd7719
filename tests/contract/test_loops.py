"""One client for the whole program, in any number of loops and threads."""

from __future__ import annotations

import asyncio

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


ONE_SESSION = """
import asyncio, os, sys
import aiohttp
from sigmamind_async import SigmaMindError
from tests.contract.dialects import DIALECTS, numbers

dialect = DIALECTS[sys.argv[1]]
held = []

async def buy(number):
    if not held:
        held.append(aiohttp.ClientSession())
    options = {"base_url": sys.argv[2], "session": held[0], "deadline": 1.0}
    await dialect.client(sys.argv[3], **options).run(dialect.buy(number))

asyncio.run(buy(numbers(2)[0]))
try:
    asyncio.run(buy(numbers(2)[1]))
except SigmaMindError as error:
    print(type(error).__name__, flush=True)
os._exit(0)
"""


async def test_a_session_of_one_loop_loses_an_answer_in_the_next(
    box: Sandbox, dialect: Dialect
) -> None:
    """What a client without a session for each loop would do."""
    endpoint = dialect.endpoint(box)
    arguments = (dialect.name, endpoint.base_url, endpoint.api_key)
    printed = await run_script(ONE_SESSION, *arguments, strict=False)
    assert printed.strip() == "OutcomeUnknownError"

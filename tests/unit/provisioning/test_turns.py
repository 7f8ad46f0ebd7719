"""One at a time for each name, in the order of asking, and nothing kept afterwards."""

import asyncio

import pytest

from sigmamind_async.provisioning.turns import KeyedLock


async def test_one_at_a_time_for_a_name_and_others_beside_it() -> None:
    turns = KeyedLock()
    order: list[str] = []

    async def visit(name: str, who: str) -> None:
        async with turns.of(name):
            order.append(f"{who} in")
            await asyncio.sleep(1)
            order.append(f"{who} out")

    await asyncio.gather(visit("a", "1"), visit("a", "2"), visit("b", "3"))
    assert order.index("1 out") < order.index("2 in")
    assert order.index("3 in") < order.index("1 out")


async def test_an_empty_name_waits_for_nobody() -> None:
    turns = KeyedLock()
    async with turns.of(""), turns.of(""):
        pass


async def test_nothing_is_kept_of_names_that_nobody_wants() -> None:
    turns = KeyedLock()
    for index in range(100):
        async with turns.of(f"row-{index}"):
            assert len(turns._turns.get()) == 1  # noqa: SLF001 - what it keeps is what is tested
    assert not turns._turns.get()  # noqa: SLF001 - likewise


async def test_who_is_cancelled_while_waiting_holds_up_nobody() -> None:
    turns = KeyedLock()
    async with turns.of("a"):
        waiting = asyncio.create_task(turns.of("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(1), turns.of("a"):
        pass

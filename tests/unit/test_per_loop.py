"""One value per loop and process, and one lock per key."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.per_loop import KeyedLock, PerLoop

T = TypeVar("T")


def in_a_new_loop(get: Callable[[], T]) -> T:
    async def ask() -> T:
        return get()

    with asyncio.Runner() as runner:
        return runner.run(ask())


async def test_a_loop_gets_one_value_and_keeps_it() -> None:
    values = PerLoop(object)

    assert values.get() is values.get()


def test_another_loop_gets_another_value_and_that_of_a_closed_loop_is_discarded() -> None:
    """A closed loop's value cannot be used again, and would otherwise never be let go."""
    discarded: list[object] = []
    values = PerLoop(object, discarded.append)

    first = in_a_new_loop(values.get)
    second = in_a_new_loop(values.get)

    assert first is not second
    assert discarded == [first]


def test_a_hundred_loops_leave_one_value_behind() -> None:
    discarded: list[object] = []
    values = PerLoop(object, discarded.append)

    made = [in_a_new_loop(values.get) for _ in range(100)]

    assert discarded == made[:-1]


def test_values_of_closed_loops_are_dropped_without_a_callback() -> None:
    values = PerLoop(object)

    assert in_a_new_loop(values.get) is not in_a_new_loop(values.get)


async def test_another_process_gets_another_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the copy of a loop's value belongs to the parent."""
    discarded: list[object] = []
    values = PerLoop(object, discarded.append)
    parents = values.get()

    monkeypatch.setattr("sigmamind_async.per_loop._forks", -1)
    childs = values.get()

    assert childs is not parents
    assert discarded == [parents]


async def test_a_lock_that_the_parent_held_does_not_hang_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Lock()
    monkeypatch.setattr("sigmamind_async.per_loop.threading.Lock", lambda: held)
    values = PerLoop(object)
    held.acquire()

    monkeypatch.undo()
    monkeypatch.setattr("sigmamind_async.per_loop._forks", -1)

    assert values.get() is values.get()


async def test_a_value_can_be_taken_out_once() -> None:
    values = PerLoop(object)
    value = values.get()

    assert values.pop() is value
    assert values.pop() is None


async def test_a_discarded_value_is_made_anew_and_not_reported() -> None:
    discarded: list[object] = []
    values = PerLoop(object, discarded.append)
    value = values.get()

    values.discard(asyncio.get_running_loop(), value)
    values.discard(asyncio.get_running_loop(), value)

    assert values.get() is not value
    assert discarded == []


def test_loops_in_threads_have_their_own_values() -> None:
    """All loops stay open while the others ask, so none can be mistaken for a dead one."""
    values = PerLoop(object)
    barrier = threading.Barrier(8)
    seen: list[object] = []

    def ask() -> object:
        value = values.get()
        barrier.wait()
        return value

    threads = [threading.Thread(target=lambda: seen.append(in_a_new_loop(ask))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(value) for value in seen}) == 8


def test_asking_without_a_loop_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no asyncio event loop is running"):
        PerLoop(object).get()


# ---------------------------------------------------------------- KeyedLock


async def test_one_holder_at_a_time_for_a_key_and_others_beside_it() -> None:
    locks = KeyedLock()
    order: list[str] = []

    async def visit(key: str, who: str) -> None:
        async with locks.hold(key):
            order.append(f"{who} in")
            await asyncio.sleep(1)
            order.append(f"{who} out")

    await asyncio.gather(visit("a", "1"), visit("a", "2"), visit("b", "3"))
    assert order.index("1 out") < order.index("2 in")
    assert order.index("3 in") < order.index("1 out")


async def test_an_empty_key_locks_nothing() -> None:
    locks = KeyedLock()
    async with locks.hold(""), locks.hold(""):
        pass


async def test_unused_locks_are_dropped() -> None:
    locks = KeyedLock()
    for index in range(100):
        async with locks.hold(f"row-{index}"):
            assert len(locks._locks.get()) == 1  # noqa: SLF001 - what it keeps is what is tested
    assert not locks._locks.get()  # noqa: SLF001 - as above


async def test_a_cancelled_waiter_blocks_no_other() -> None:
    locks = KeyedLock()
    async with locks.hold("a"):
        waiting = asyncio.create_task(locks.hold("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(1), locks.hold("a"):
        pass


def test_without_a_loop_of_asyncio_the_error_names_what_works() -> None:
    """As under trio, which runs coroutines itself."""
    with pytest.raises(RuntimeError, match=r"under trio.* use the client .*sigmamind_async\.sync"):
        SigmaMind("sk").phone_numbers.get("+14155550100").send(None)

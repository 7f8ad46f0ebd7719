"""The deadlines of attempts beside `asyncio.timeout`, which they replace: both behave the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from sigmamind_async.operation import ConnectionFlag, HttpRequest
from sigmamind_async.transport.attempts import MIN_INTERVAL, Attempt, AttemptTracker

Within = Callable[[float], AbstractAsyncContextManager[object]]


REQUEST = HttpRequest("GET", "http://127.0.0.1/", {}, 1)


class Ours:
    """Adapts the tracker to the form of `asyncio.timeout`, so that both run the same cases."""

    def __init__(self) -> None:
        self.trackers: dict[asyncio.AbstractEventLoop, AttemptTracker] = {}

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncGenerator[Attempt, None]:
        loop = asyncio.get_running_loop()
        tracker = self.trackers.setdefault(loop, AttemptTracker())
        attempt = tracker.begin(REQUEST, ConnectionFlag(), seconds)
        try:
            yield attempt
        except asyncio.CancelledError:
            if attempt.caused_cancellation():
                raise TimeoutError from None
            raise
        finally:
            tracker.end(attempt)


@pytest.fixture(params=["ours", "asyncio"])
def within(request: pytest.FixtureRequest) -> Within:
    """Give each way of keeping time; the second shows that the case itself is right."""
    return Ours().within if request.param == "ours" else asyncio.timeout


async def end_of(work: Awaitable[object]) -> tuple[str, float, int]:
    """Return how *work* ended, when, and how many cancellations were left in its task."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except TimeoutError:
        how = "timeout"
    except asyncio.CancelledError:
        how = "cancelled"
    else:
        how = "done"
    return how, round(loop.time() - began, 6), task.cancelling() if how != "cancelled" else 0


async def test_what_ends_in_time_is_left_alone(within: Within) -> None:
    async def work() -> None:
        async with within(1.0):
            await asyncio.sleep(0.5)
        await asyncio.sleep(9.0)

    assert await end_of(work()) == ("done", 9.5, 0)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05, 1.0, 20.0])
async def test_a_time_is_up_when_it_is_up(within: Within, seconds: float) -> None:
    """To the moment, if nothing rang just before; 5 ms late at most."""

    async def work() -> None:
        async with within(seconds):
            await asyncio.sleep(99.0)

    assert await end_of(work()) == ("timeout", seconds, 0)


async def test_a_shorter_time_that_begins_later_is_kept(within: Within) -> None:
    async def work(seconds: float) -> None:
        async with within(seconds):
            await asyncio.sleep(99.0)

    ends = await asyncio.gather(*(end_of(work(seconds)) for seconds in (20.0, 0.05, 1.0)))
    assert ends == [("timeout", 20.0, 0), ("timeout", 0.05, 0), ("timeout", 1.0, 0)]


async def test_the_inner_time_ends_alone(within: Within) -> None:
    async def work() -> None:
        async with within(2.0):
            with contextlib.suppress(TimeoutError):
                async with within(1.0):
                    await asyncio.sleep(99.0)
            await asyncio.sleep(0.5)

    assert await end_of(work()) == ("done", 1.5, 0)


async def test_the_outer_time_ends_both(within: Within) -> None:
    ended: list[str] = []

    async def work() -> None:
        async with within(1.0):
            try:
                async with within(2.0):
                    await asyncio.sleep(99.0)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    assert await end_of(work()) == ("timeout", 1.0, 0)
    assert ended == ["cancelled"]


@pytest.mark.parametrize("ours_is_outside", [True, False])
async def test_it_nests_with_a_timeout_of_asyncio(ours_is_outside: bool) -> None:
    outside, inside = (
        (Ours().within, asyncio.timeout)
        if ours_is_outside
        else (
            asyncio.timeout,
            Ours().within,
        )
    )

    async def work(first: float, second: float) -> None:
        async with outside(first), inside(second):
            await asyncio.sleep(99.0)

    assert await end_of(work(1.0, 2.0)) == ("timeout", 1.0, 0)
    assert await end_of(work(2.0, 1.0)) == ("timeout", 1.0, 0)


@pytest.mark.parametrize("at", [0.5, 1.0])
async def test_whoever_cancels_from_outside_is_obeyed(within: Within, at: float) -> None:
    """Also at the very moment at which the time is up."""

    async def work() -> None:
        async with within(1.0):
            await asyncio.sleep(99.0)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(at, task.cancel)
    assert await end_of(task) == ("cancelled", at, 0)


async def test_a_cancellation_from_before_stays_counted(within: Within) -> None:
    """A task that is being cancelled, and cleans up within a time, goes on being cancelled."""
    left: list[int] = []

    async def work() -> None:
        try:
            await asyncio.sleep(99.0)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with within(1.0):
                    await asyncio.sleep(99.0)
            current = asyncio.current_task()
            assert current is not None
            left.append(current.cancelling())
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await end_of(task) == ("cancelled", 1.0, 0)
    assert left == [1]


async def test_a_time_that_is_up_when_the_work_is_done_leaves_no_trace(within: Within) -> None:
    """The cancellation was caught inside: it must not strike later, nor stay counted."""

    async def work() -> str:
        async with within(1.0):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(99.0)
        await asyncio.sleep(1.0)
        return "done"

    assert await end_of(work()) == ("done", 2.0, 0)


async def test_a_task_group_outlives_a_time_that_is_up_inside(within: Within) -> None:
    async def hurried() -> None:
        with contextlib.suppress(TimeoutError):
            async with within(1.0):
                await asyncio.sleep(99.0)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(hurried())
            group.create_task(asyncio.sleep(3.0))

    assert await end_of(work()) == ("done", 3.0, 0)


async def test_without_counting_an_outer_cancellation_would_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: a timeout that believes every cancellation to be its own swallows one."""

    def believes(attempt: Attempt) -> bool:
        return attempt.overdue

    monkeypatch.setattr(Attempt, "caused_cancellation", believes)

    async def work() -> None:
        async with Ours().within(1.0):
            await asyncio.sleep(99.0)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(1.0, task.cancel)
    assert (await end_of(task))[0] == "timeout"


async def test_many_ends_close_together_ring_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand attempts that hang, begun one after the other, end within 5 ms of their times."""
    loop = asyncio.get_running_loop()
    rung: list[float] = []
    late: list[float] = []
    ours = Ours()
    fire = AttemptTracker._fire  # noqa: SLF001 - counted

    def counted(tracker: AttemptTracker) -> None:
        rung.append(loop.time())
        fire(tracker)

    monkeypatch.setattr(AttemptTracker, "_fire", counted)

    async def work(turn: int) -> None:
        await asyncio.sleep(turn * 0.0001)
        due = loop.time() + 1.0
        with contextlib.suppress(TimeoutError):
            async with ours.within(1.0):
                await asyncio.sleep(99.0)
        late.append(loop.time() - due)

    await asyncio.gather(*map(work, range(1_000)))
    assert min(late) > -0.001
    assert max(late) <= MIN_INTERVAL + 0.001
    assert len(rung) < 30


async def test_an_alarm_at_rest_keeps_nothing() -> None:
    ours = Ours()
    async with ours.within(1.0):
        pass
    (tracker,) = ours.trackers.values()
    assert tracker.by_task == {}
    await asyncio.sleep(2.0)
    assert tracker._handle is None  # noqa: SLF001 - not visible from outside


async def test_a_loop_whose_clock_leaps_ends_what_is_overdue(within: Within) -> None:
    """A machine that slept: everything that is out of time ends at the next turn."""
    loop: Any = asyncio.get_running_loop()

    async def work() -> None:
        async with within(5.0):
            await asyncio.sleep(99.0)

    task = asyncio.ensure_future(end_of(work()))
    await asyncio.sleep(0.1)
    loop._selector_clock.now += 3_600.0  # noqa: SLF001 - the virtual clock
    assert (await task)[0] == "timeout"


def test_loops_and_threads_have_alarms_of_their_own() -> None:
    """Each keeps the times of its own tasks; a second loop starts without what the first left."""
    ours = Ours()

    async def main() -> str:
        async def work() -> None:
            async with ours.within(0.01):
                await asyncio.sleep(99.0)

        return (await end_of(work()))[0]

    async def in_threads() -> list[str]:
        return list(await asyncio.gather(*(asyncio.to_thread(asyncio.run, main()) for _ in "ab")))

    assert [asyncio.run(main()), asyncio.run(main())] == ["timeout", "timeout"]
    assert asyncio.run(in_threads()) == ["timeout", "timeout"]


def test_without_a_task_there_is_no_time_to_keep() -> None:
    async def main() -> AttemptTracker:
        return AttemptTracker()

    tracker = asyncio.run(main())
    with pytest.raises(RuntimeError, match="needs a task"):
        tracker.begin(REQUEST, ConnectionFlag(), 1.0)

"""The gate in virtual time: against simulated platforms, and as a queue."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from sigmamind_async.errors import APIConnectionError, CircuitOpenError, ConfigurationError
from sigmamind_async.limiter.gate import MAX_PAUSE, Admission, Gate, Permit
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.limiter.window import RateLimitWindow
from sigmamind_async.responses.headers import Remaining

DEADLINE = math.inf


def now() -> float:
    return asyncio.get_running_loop().time()


def one() -> Admitted:
    """Return the permit of a request that goes now, alone."""
    return now(), 1, ""


def virtual_gate(max_wait: float | None = None) -> Gate:
    """Return a gate on the loop's virtual time, with a jitter that can be repeated."""
    return Gate(clock=now, jitter=random.Random(5).random, max_wait=max_wait)


# ---------------------------------------------------------------- simulated platforms

Verdict = tuple[int, float | None]
"""Status, and the wait asked for."""


class Server:
    """A platform with a limit; counts what it was sent and refused, and when."""

    def __init__(self) -> None:
        self.sent = self.refused = 0
        self.arrivals: list[float] = []
        self._chance = random.Random(7)

    async def call(self) -> Verdict:
        await asyncio.sleep(0.05 + 0.1 * self._chance.random())
        self.sent += 1
        self.arrivals.append(now())
        verdict = self.decide(now())
        self.refused += verdict[0] == 429
        return verdict

    def decide(self, at: float) -> Verdict:
        return 200, None


class Outage(Server):
    """Down in a span of time, without a limit otherwise."""

    def __init__(self, begins: float, ends: float) -> None:
        super().__init__()
        self._begins, self._ends = begins, ends

    def decide(self, at: float) -> Verdict:
        return (500 if self._begins <= at < self._ends else 200), None


class TenASecond(Server):
    """Admits ten requests a second, and two more at once."""

    def __init__(self) -> None:
        super().__init__()
        self._tokens, self._seen = 2.0, 0.0

    def decide(self, at: float) -> Verdict:
        self._tokens = min(2.0, self._tokens + (at - self._seen) * 10.0)
        self._seen = at
        if self._tokens < 1.0:
            return 429, None
        self._tokens -= 1.0
        return 200, None


async def treated(gate: Gate, server: Server, permit: Permit) -> int:
    """Send a request that the gate has admitted, and let the gate learn how it fared."""
    try:
        status, asked = await server.call()
    finally:
        gate.release(permit)
    if status == 429:
        gate.throttled(permit, asked)
    else:
        gate.succeeded(permit)
    return status


async def bulk_through(gate: Gate, server: Server, rows: int) -> None:
    """Send so many updates with 50 workers; each until it has passed."""
    left = iter(range(rows))

    async def work() -> None:
        for _ in left:
            status = 429
            while status == 429:
                permit = await gate.acquire(
                    width=100, deadline=DEADLINE, unbounded=True, kind="PATCH"
                )
                status = await treated(gate, server, permit)

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(work())


async def one_call(gate: Gate, server: Server, width: int) -> None:
    """Send until it is done, as the engine does for an unbounded call that may be repeated."""
    while True:
        permit = await gate.acquire(width=width, deadline=DEADLINE, unbounded=True)
        try:
            status, _ = await server.call()
        finally:
            gate.release(permit)
        if status == 200:
            return gate.succeeded(permit)
        gate.failed(permit)
        await asyncio.sleep(0.05)


async def job(gate: Gate, server: Server, calls: int, workers: int = 20) -> float:
    """Run *calls* calls with that many workers; return the seconds it took."""
    began, rows = now(), iter(range(calls))

    async def work() -> None:
        for _ in rows:
            await one_call(gate, server, workers)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return now() - began


async def test_an_unlimited_platform_is_not_slowed() -> None:
    server = Server()

    assert await job(virtual_gate(), server, 2_000) < 1.15 * 2_000 * 0.1 / 20
    assert server.refused == 0


async def test_an_outage_is_met_with_probes_and_left_at_once() -> None:
    """Twenty workers in an outage of 30 s send few requests, and go on when it ends."""
    server = Outage(1.0, 31.0)
    seconds = await job(virtual_gate(), server, 1_000)
    during = [at for at in server.arrivals if 1.0 <= at < 31.0]

    # About 20 that were under way, 20 failures to open the circuit, then 1, 2, 4, 8 ... seconds.
    assert len(during) < 60
    assert seconds < 31.0 + 16.0 + 1_000 * 0.1 / 20


async def test_after_a_pause_requests_leave_spaced_and_not_as_a_herd() -> None:
    gate = virtual_gate()
    left: list[float] = []

    async def call() -> None:
        permit = await gate.acquire(width=100, deadline=DEADLINE)
        left.append(now())
        gate.release(permit)

    gate.admission.rates.common.rate = 10.0
    gate.throttled(one(), 1.0)
    await asyncio.gather(*(call() for _ in range(50)))
    gaps = [after - before for before, after in itertools.pairwise(left)]

    assert left[0] == pytest.approx(1.0)
    rate = gate.admission.rates.common.rate
    assert rate is not None
    assert min(gaps) > 0.9 / rate


async def test_a_client_that_was_never_throttled_leaves_as_a_herd() -> None:
    """The control: it is the rate that spaces them."""
    gate, left = virtual_gate(), list[float]()
    gate.admission.paused_until = 1.0

    async def call() -> None:
        await gate.acquire(width=100, deadline=DEADLINE)
        left.append(now())

    tasks = await started(*(call() for _ in range(10)))
    await asyncio.gather(*tasks)

    assert left == pytest.approx([1.0] * 10)


# ---------------------------------------------------------------- the queue


async def entered(gate: Gate, order: list[int], index: int, width: int = 1) -> Permit:
    permit = await gate.acquire(width=width, deadline=DEADLINE)
    order.append(index)
    return permit


async def started(*coroutines: Coroutine[object, object, Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    await asyncio.sleep(0)
    return tasks


async def test_callers_go_in_the_order_they_came() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(*(entered(gate, order, index) for index in range(10)))

    for task in tasks:
        gate.release(await task)
        await asyncio.sleep(0)

    assert order == list(range(10))
    assert all(task.done() for task in tasks)


async def test_no_newcomer_overtakes_the_queue() -> None:
    """A place that falls free goes to the first in line, even if somebody asks at that moment."""
    gate, order = virtual_gate(), list[int]()
    first, _ = await started(entered(gate, order, 0), entered(gate, order, 1))

    gate.release(await first)
    late = await started(entered(gate, order, 2))

    assert order == [0, 1]
    late[0].cancel()


async def test_no_more_than_the_width_are_under_way() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(*(entered(gate, order, index, 3) for index in range(10)))
    assert order == [0, 1, 2]

    gate.release(await tasks[0])
    await asyncio.sleep(0)
    assert order == [0, 1, 2, 3]
    for task in tasks:
        task.cancel()


async def test_a_wider_caller_raises_the_width() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(entered(gate, order, 0), entered(gate, order, 1))

    await started(entered(gate, order, 2, 3))
    await asyncio.gather(*tasks)

    assert sorted(order) == [0, 1, 2]


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
async def test_a_caller_cancelled_in_the_queue_leaves_no_gap(cancelled: int) -> None:
    gate, order = virtual_gate(), list[int]()
    permit = await gate.acquire(width=1, deadline=DEADLINE)
    tasks = await started(*(entered(gate, order, index) for index in range(4)))

    tasks[cancelled].cancel()
    for _ in range(4):
        gate.release(permit)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert order == [index for index in range(4) if index != cancelled]


async def test_a_permit_that_is_cancelled_at_once_goes_to_the_next_waiter() -> None:
    gate, order = virtual_gate(), list[int]()
    permit = await gate.acquire(width=1, deadline=DEADLINE)
    first, _ = await started(entered(gate, order, 1), entered(gate, order, 2))

    gate.release(permit)
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert order == [2]


async def test_cancelling_callers_at_any_moment_leaks_no_permit() -> None:
    gate = virtual_gate()
    chance = random.Random(3)

    async def call() -> None:
        permit = await gate.acquire(width=5, deadline=DEADLINE)
        try:
            await asyncio.sleep(chance.random())
        finally:
            gate.release(permit)

    tasks = [asyncio.create_task(call()) for _ in range(200)]
    for task in tasks:
        await asyncio.sleep(0.03 * chance.random())
        if chance.random() < 0.5:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    order: list[int] = []
    rest = await started(*(entered(gate, order, index, 5) for index in range(6)))

    assert order == [0, 1, 2, 3, 4]
    rest[-1].cancel()


async def test_try_acquire_never_overtakes_the_queue() -> None:
    """Fails if `try_acquire` looks at the permits alone: there are four free ones."""
    gate = virtual_gate()
    await gate.acquire(width=1, deadline=DEADLINE)
    (waiting,) = await started(gate.acquire(width=1, deadline=DEADLINE))

    assert gate.try_acquire(width=5) is None
    waiting.cancel()


async def test_try_acquire_succeeds_when_there_is_nothing_to_wait_for() -> None:
    gate = virtual_gate()
    entered = [gate.try_acquire(width=2, kind="GET") for _ in range(3)]

    assert [place and place[:3] for place in entered] == [
        (now(), 1, "GET"),
        (now(), 2, "GET"),
        None,
    ]


async def test_try_acquire_gets_no_second_probe() -> None:
    """Fails if `try_acquire` does not ask the circuit."""
    gate = Gate(clock=now, admission=Admission(failures_to_open=1))
    gate.failed(one())
    closed = gate.try_acquire(width=10)
    await asyncio.sleep(1.0)
    probe, second = gate.try_acquire(width=10), gate.try_acquire(width=10)

    assert (closed, probe and probe[:3], second) == (None, (now(), 1, ""), None)


async def test_complete_records_a_success_and_admits_the_next_waiter() -> None:
    gate, order = virtual_gate(), list[int]()
    permit = await gate.acquire(width=1, deadline=DEADLINE)
    await started(entered(gate, order, 1))
    await asyncio.sleep(1.0)

    gate.complete(permit)
    await asyncio.sleep(0)

    assert (order, gate.admission.last_success) == ([1], now())


async def test_a_deadline_ends_the_wait_in_the_queue() -> None:
    gate = virtual_gate()
    await gate.acquire(width=1, deadline=DEADLINE)

    with pytest.raises(APIConnectionError, match="deadline passed in the queue; nothing was sent"):
        await gate.acquire(width=1, deadline=5.0)
    assert now() == pytest.approx(5.0)


async def test_a_caller_that_gives_up_does_not_hold_up_the_others() -> None:
    gate, order = virtual_gate(), list[int]()
    permit = await gate.acquire(width=1, deadline=DEADLINE)
    with pytest.raises(APIConnectionError):
        await gate.acquire(width=1, deadline=5.0)
    await started(entered(gate, order, 1))

    gate.release(permit)
    await asyncio.sleep(0)

    assert order == [1]


async def test_a_pause_holds_everyone_not_only_the_call_that_was_told() -> None:
    gate = virtual_gate()
    gate.throttled(one(), 12.0)

    await gate.acquire(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(12.0)


# ---------------------------------------------------------------- shares


async def waits_of(gate: Gate, calls: int, kind: str, *, patient: bool = False) -> list[float]:
    """Return how long each of some calls, made one after the other, waited."""
    waits: list[float] = []
    for _ in range(calls):
        began = now()
        permit = await gate.acquire(width=100, deadline=DEADLINE, unbounded=patient, kind=kind)
        waits.append(now() - began)
        gate.release(permit)
    return waits


async def bulk(gate: Gate, rows: int) -> None:
    """Send so many updates with 50 workers, as fast as the gate lets them."""
    left = iter(range(rows))

    async def work() -> None:
        for _ in left:
            permit = await gate.acquire(width=100, deadline=DEADLINE, unbounded=True, kind="PATCH")
            gate.release(permit)

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(work())


async def beside_a_bulk_job(kind: str, *, patient: bool = False) -> list[float]:
    """Return the waits of five calls of that kind beside 1,000 updates at 10 a second."""
    gate = virtual_gate()
    gate.admission = Admission(rates=RateByKind(AdaptiveRate(rate=10.0)))
    job = asyncio.create_task(bulk(gate, 1_000))
    await asyncio.sleep(5.0)
    waits = await waits_of(gate, 5, kind, patient=patient)
    job.cancel()
    return waits


@pytest.mark.parametrize("kind", ["PATCH", "GET"])
async def test_a_single_call_does_not_wait_behind_the_rows_of_a_job(kind: str) -> None:
    """It waits for the request before it, or for one row more; ones like it, as a rule, do so."""
    assert max(await beside_a_bulk_job(kind)) <= 2 / 10.0 + 0.01


async def test_a_row_of_a_late_small_job_waits_for_one_queue_and_not_for_the_big_job() -> None:
    """The control: fifty workers are before it each time, not the rows they will come back with."""
    waits = await beside_a_bulk_job("PATCH", patient=True)

    assert 40 / 10.0 < max(waits) <= 50 / 10.0 + 0.2


async def test_rows_of_another_kind_take_turns_with_a_job() -> None:
    assert max(await beside_a_bulk_job("GET", patient=True)) <= 2 / 10.0 + 0.01


async def rows_done_beside_a_flood() -> int:
    """Return how many rows go in 20 s beside three times as many calls as there is room for."""
    gate, sent = virtual_gate(), 0
    gate.admission = Admission(rates=RateByKind(AdaptiveRate(rate=10.0)))

    async def rows() -> None:
        nonlocal sent
        while True:
            permit = await gate.acquire(width=100, deadline=DEADLINE, unbounded=True, kind="PATCH")
            gate.release(permit)
            sent += 1

    async def calls() -> None:
        while True:
            permit = await gate.acquire(width=100, deadline=DEADLINE, kind="PATCH")
            gate.release(permit)

    tasks = [asyncio.create_task(each) for each in [rows(), *(calls() for _ in range(30))]]
    await asyncio.sleep(20.0)
    for task in tasks:
        task.cancel()
    return sent


async def test_a_flood_of_single_calls_does_not_starve_a_job() -> None:
    assert await rows_done_beside_a_flood() == pytest.approx(20.0 * 10.0 / 4, abs=3)


async def test_without_a_turn_of_their_own_rows_would_starve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control."""
    monkeypatch.setattr("sigmamind_async.limiter.gate.CALLS_PER_ROW", 10**9)

    assert await rows_done_beside_a_flood() <= 1


@pytest.mark.parametrize("max_wait", [0.2, 0.5])
@pytest.mark.parametrize("rows", [0, 5_000])
async def test_no_call_outwaits_its_deadline_while_the_rate_is_being_learned(
    max_wait: float, rows: int
) -> None:
    """Twenty single calls a second where ten are admitted, alone and beside a job of that kind.

    Fails, with waits of seconds, if the wait is estimated at the door alone.
    """
    gate, server, waits = virtual_gate(max_wait), TenASecond(), list[float]()
    job = asyncio.create_task(bulk_through(gate, server, rows))

    async def handle() -> None:
        began = now()
        try:
            permit = await gate.acquire(width=100, deadline=began + 60.0, kind="PATCH")
        except CircuitOpenError:
            assert now() - began <= max_wait + 0.001
            return
        waits.append(now() - began)
        await treated(gate, server, permit)

    async with asyncio.TaskGroup() as group:
        for _ in range(1_200):
            group.create_task(handle())
            await asyncio.sleep(0.05)
    job.cancel()

    assert max(waits) <= max_wait + 0.001
    assert len(waits) > (400 if rows == 0 else 250)


async def test_two_jobs_on_one_client_share_its_rate() -> None:
    gate = virtual_gate()
    gate.admission = Admission(rates=RateByKind(AdaptiveRate(rate=10.0)))
    first, second = bulk(gate, 200), bulk(gate, 200)
    ended: list[float] = []

    async def note(job: Coroutine[None, None, None]) -> None:
        await job
        ended.append(now())

    await asyncio.gather(note(first), note(second))

    assert ended == pytest.approx([40.0, 40.0], abs=5.5)


# ---------------------------------------------------------------- refusing at once


async def test_a_pause_past_the_deadline_refuses_newcomers_and_waiters_at_once() -> None:
    """Nobody sits out a wait that is known to be in vain."""
    gate = virtual_gate()
    permit = await gate.acquire(width=1, deadline=100.0)
    (short, long) = await started(
        gate.acquire(width=1, deadline=20.0), gate.acquire(width=1, deadline=100.0)
    )
    gate.throttled(one(), 30.0)
    gate.release(permit)

    with pytest.raises(CircuitOpenError, match="ends too late"):
        await short
    with pytest.raises(CircuitOpenError, match="ends too late"):
        await gate.acquire(width=1, deadline=20.0)
    assert now() == 0.0
    await long
    assert now() == pytest.approx(30.0)


async def test_a_pause_of_one_kind_is_told_while_another_goes_on() -> None:
    """Fails if the queue is told of pauses only when nobody in it may go."""
    gate = virtual_gate()
    gate.admission.rates.separate["POST"] = AdaptiveRate(rate=2.0)
    permit = await gate.acquire(width=1, deadline=100.0, kind="PATCH")
    (paused, passing) = await started(
        gate.acquire(width=1, deadline=20.0, kind="POST"),
        gate.acquire(width=1, deadline=20.0, kind="PATCH"),
    )
    gate.throttled((0.0, 1, "POST"), 30.0)
    gate.release(permit)

    with pytest.raises(CircuitOpenError, match="ends too late"):
        await paused
    await passing
    with pytest.raises(CircuitOpenError, match="ends too late"):
        await gate.acquire(width=1, deadline=20.0, kind="POST")
    assert now() == 0.0


async def test_a_caller_refused_and_cancelled_at_once_holds_no_permit() -> None:
    gate = virtual_gate()
    permit = await gate.acquire(width=1, deadline=100.0)
    (waiting,) = await started(gate.acquire(width=1, deadline=20.0))
    gate.throttled(one(), 30.0)
    gate.release(permit)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await gate.acquire(width=1, deadline=100.0)
    assert now() == pytest.approx(30.0)


async def test_a_wait_longer_than_allowed_is_refused_at_once() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.throttled(one(), 7.0)

    with pytest.raises(CircuitOpenError, match="admits no more requests for now") as caught:
        await gate.acquire(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(7.0)
    assert (caught.value.committed, caught.value.retryable, now()) == ("no", True, 0.0)


async def test_the_queue_counts_in_the_expected_wait() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.admission = Admission(rates=RateByKind(AdaptiveRate(rate=0.7)), paused_until=1.0)
    waiting = await started(gate.acquire(width=10, deadline=DEADLINE))

    with pytest.raises(CircuitOpenError) as caught:
        await gate.acquire(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(1.0 + 1 / 0.7)
    waiting[0].cancel()


async def test_a_short_wait_is_not_refused() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.throttled(one(), 1.0)

    await gate.acquire(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(1.0)


def broken(gate: Gate) -> Gate:
    for _ in range(gate.admission.failures_to_open):
        gate.failed(one())
    return gate


async def test_an_open_circuit_refuses_single_calls() -> None:
    gate = broken(virtual_gate())

    with pytest.raises(CircuitOpenError, match="the platform keeps failing") as caught:
        await gate.acquire(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(1.0)


async def test_unbounded_callers_wait_through_an_open_circuit() -> None:
    gate = broken(virtual_gate())

    await gate.acquire(width=10, deadline=DEADLINE, unbounded=True)

    assert now() == pytest.approx(1.0)


async def test_one_probe_goes_at_a_time() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    await gate.acquire(width=10, deadline=DEADLINE)

    with pytest.raises(CircuitOpenError):
        await gate.acquire(width=10, deadline=DEADLINE)


async def test_a_probe_that_succeeds_lets_everyone_in() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    await gate.acquire(width=10, deadline=DEADLINE)
    gate.succeeded(one())

    await asyncio.gather(*(gate.acquire(width=10, deadline=DEADLINE) for _ in range(9)))

    assert now() == pytest.approx(1.0)


async def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    permit = await gate.acquire(width=10, deadline=DEADLINE)
    gate.abandoned(permit)
    gate.release(permit)

    await gate.acquire(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(1.0)


# ---------------------------------------------------------------- a pause that is too long


FOREVER = [86_400.0, 1e9, 1.7e12 - 1.7e9]
"""A day, thirty years, and a reset in milliseconds that is read as seconds."""


async def refused_for(gate: Gate, seconds: float) -> None:
    """Let one request go, and be refused with that wait."""
    permit = await gate.acquire(width=100, deadline=DEADLINE, unbounded=True)
    gate.release(permit)
    gate.throttled(permit, seconds)


@pytest.mark.parametrize("asked", FOREVER)
async def test_nothing_that_a_platform_says_stops_a_client_for_longer_than_its_cap(
    asked: float,
) -> None:
    gate = virtual_gate()
    await refused_for(gate, asked)
    with pytest.raises(CircuitOpenError, match="ends too late") as caught:
        await gate.acquire(width=9, deadline=now() + 60.0)
    assert caught.value.retry_after == pytest.approx(MAX_PAUSE)

    await asyncio.sleep(MAX_PAUSE)
    gate.complete(await gate.acquire(width=9, deadline=now() + 60.0))
    await gate.acquire(width=9, deadline=now() + 60.0)

    assert now() == pytest.approx(MAX_PAUSE, abs=11.0)


async def test_a_cap_of_a_day_lets_a_client_pause_for_a_day() -> None:
    """The control."""
    gate = Gate(clock=now, max_pause=86_400.0)
    await refused_for(gate, 1e9)
    await gate.acquire(width=9, deadline=DEADLINE, unbounded=True)

    assert now() == pytest.approx(86_400.0)


async def tried(max_pause: float, asked: float) -> tuple[Gate, list[Permit], list[object]]:
    """Let ten rows wait until a pause is over; return who has been let in."""
    gate, permits = Gate(clock=now, max_pause=max_pause), list[Permit]()
    await refused_for(gate, asked)
    limit, known = gate.admission.rates.common, AdaptiveRate(rate=100.0)
    assert isinstance(limit, AdaptiveRate)
    limit.rate, limit.bucket = known.rate, known.bucket

    async def row() -> None:
        permits.append(await gate.acquire(width=100, deadline=DEADLINE, unbounded=True))

    tasks: list[object] = [*(await started(*(row() for _ in range(10))))]
    await asyncio.sleep(min(asked, max_pause) + 0.5)
    return gate, permits, tasks


async def test_after_a_pause_that_was_cut_one_request_tries_and_the_others_follow() -> None:
    gate, permits, _ = await tried(300.0, 1e9)
    assert len(permits) == 1

    gate.succeeded(permits[0])
    gate.release(permits[0])
    await asyncio.sleep(1.0)
    assert len(permits) == 10


async def test_after_a_pause_that_was_not_cut_all_go() -> None:
    """The control."""
    _, permits, _ = await tried(300.0, 299.0)

    assert len(permits) == 10


async def test_a_pause_goes_on_where_the_one_that_tries_is_refused() -> None:
    gate, permits, _ = await tried(300.0, 1e9)
    gate.throttled(permits[0], 1e9)
    gate.release(permits[0])
    await asyncio.sleep(299.0)
    assert len(permits) == 1

    await asyncio.sleep(2.0)
    assert len(permits) == 2
    assert permits[1][0] == pytest.approx(now(), abs=2.0)


@pytest.mark.parametrize("how", ["failed", "abandoned", "told of a short wait"])
async def test_another_tries_where_the_first_has_found_out_nothing(how: str) -> None:
    """Fails, with a gate that admits nobody ever again, if the try stays taken."""
    gate, permits, _ = await tried(300.0, 1e9)
    if how == "failed":
        gate.failed(permits[0])
    elif how == "abandoned":
        gate.abandoned(permits[0])
    else:
        gate.throttled(permits[0], 1.0)
    gate.release(permits[0])
    await asyncio.sleep(3.0)
    assert len(permits) == (10 if how == "told of a short wait" else 2)

    await asyncio.sleep(60.0)  # nothing has passed yet, so they go one by one
    assert (len(permits) > 2) is (how == "told of a short wait")


async def test_an_earlier_request_that_ends_is_not_taken_for_the_try() -> None:
    """A request from before the pause, which took its time."""
    gate, permits, _ = await tried(300.0, 1e9)
    old: Admitted = (0.0, 1, "")
    gate.succeeded(old)
    gate.abandoned(old)
    gate.failed(old)
    gate.release(permits[0])
    await asyncio.sleep(3.0)

    assert len(permits) == 1


async def test_a_kind_that_is_refused_for_a_day_holds_only_itself() -> None:
    gate = virtual_gate()
    gate.admission.rates.separate["POST"] = AdaptiveRate(rate=2.0)
    gate.throttled((0.0, 1, "POST"), 1e9)

    await gate.acquire(width=9, deadline=DEADLINE, kind="PATCH")
    assert now() == 0.0
    with pytest.raises(CircuitOpenError):
        await gate.acquire(width=9, deadline=60.0, kind="POST")


async def test_a_window_that_ends_late_is_cut_as_well() -> None:
    """By the gate of someone who cannot wait as long as a window that is believed may be."""
    gate = Gate(clock=now, max_pause=20.0)
    gate.complete(await gate.acquire(width=9, deadline=DEADLINE), Remaining(0, 250.0))

    assert gate.admission.paused_until == 20.0


def test_a_pause_is_announced_once() -> None:
    """For those who say so in a log: the hundred under way are told the same."""
    time = [0.0]
    gate = Gate(clock=lambda: time[0])
    gate.admission.rates.separate["POST"] = AdaptiveRate()
    told = [gate.announces("PATCH", 30.0)]
    time[0] = 0.5
    told += [gate.announces("PATCH", 30.0), gate.announces("POST", 30.0)]
    time[0] = 31.0
    told += [gate.announces("PATCH", 30.0)]

    assert told == [True, False, True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_pause": 0.0},
        {"max_pause": math.inf},
        {"max_wait": -1.0},
        {"refusal_statuses": {200}},
        {"refusal_statuses": {503, 600}},
        {"refusal_statuses": ["503"]},
        {"refusal_statuses": 503},
        {"refusal_statuses": None},
        {"refusal_statuses": (each for each in [503])},
        {"max_wait": "1"},
        {"max_pause": None},
        {"admission": "x"},
        {"admission": Admission},
    ],
)
def test_a_gate_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Gate(**wrong)


# ---------------------------------------------------------------- sharing


def test_two_loops_share_rate_and_pause_but_not_the_queue() -> None:
    """What was learned in one thread is heeded in the other; its queue is not."""
    time = [0.0]
    gate = Gate(clock=lambda: time[0], max_wait=1.0)
    refused: list[float | None] = []

    async def fill_up_and_throttle() -> None:
        await gate.acquire(width=1, deadline=DEADLINE)
        gate.throttled(one(), 30.0)

    async def ask() -> None:
        try:
            await gate.acquire(width=1, deadline=DEADLINE)
        except CircuitOpenError as error:
            refused.append(error.retry_after)
        time[0] = 40.0
        await gate.acquire(width=1, deadline=DEADLINE)

    for coroutine in (fill_up_and_throttle, ask):
        thread = threading.Thread(target=asyncio.run, args=(coroutine(),), daemon=True)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()

    assert refused == [30.0]


# ---------------------------------------------------------------- the rules alone


def just_used(pace: AdaptiveRate) -> RateByKind:
    """Return lanes whose latest request went a moment ago, as where few questions are asked."""
    pace.ready = max(pace.ready, 0.9)
    return RateByKind(pace)


@pytest.mark.parametrize(
    ("admission", "admits"),
    [
        (Admission(rates=just_used(AdaptiveRate())), True),
        (Admission(rates=just_used(AdaptiveRate(width=1.0))), False),
        (Admission(rates=just_used(AdaptiveRate(rate=1.0, ready=5.0))), False),
        (Admission(rates=just_used(AdaptiveRate()), paused_until=5.0), False),
        (Admission(rates=just_used(AdaptiveRate()), open_until=5.0), False),
        (
            Admission(
                rates=just_used(AdaptiveRate()), window=RateLimitWindow(spacing=1.0, due=5.0)
            ),
            False,
        ),
    ],
    ids=["nothing", "width", "rate", "pause", "circuit", "allowance"],
)
def test_a_request_goes_at_once_where_nothing_holds_it_back(
    admission: Admission, *, admits: bool
) -> None:
    """Fails for each of these if the short way in does not look at it."""
    assert admission.try_take(1.0, 2, "GET") is admits


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    admission = Admission()
    admission.throttled(0.0, (0.0, 1, ""), 30.0, 0.0)
    admission.throttled(1.0, (1.0, 1, ""), 2.0, 0.0)

    assert admission.wait(1.0) == pytest.approx(29.0)


def test_probes_become_rarer_up_to_10_seconds() -> None:
    admission = Admission(failures_to_open=1)
    waits = []
    at = 0.0
    for _ in range(8):
        admission.failed(at, (at, 1, ""))
        waits.append(admission.wait(at))
        at += waits[-1]
        admission.take(at)

    assert waits == pytest.approx([1, 2, 4, 8, 10, 10, 10, 10])


def test_a_success_between_failures_keeps_the_circuit_closed() -> None:
    admission = Admission()
    for _ in range(5):
        for _ in range(19):
            admission.failed(0.0, (0.0, 1, ""))
        admission.succeeded(0.0, (0.0, 1, ""))

    assert admission.refuses(0.0) is None


def test_being_throttled_is_a_sign_of_life() -> None:
    admission = Admission(failures_to_open=1)
    admission.failed(0.0, (0.0, 1, ""))
    admission.throttled(0.5, (0.0, 1, ""), None, 0.0)

    assert admission.refuses(0.5) is None


def test_while_a_probe_is_under_way_the_rest_is_refused() -> None:
    admission = Admission(failures_to_open=1)
    admission.failed(0.0, (0.0, 1, ""))
    assert admission.refuses(0.4) == pytest.approx(0.6)
    assert admission.refuses(1.0) is None

    admission.take(1.0)
    assert admission.refuses(1.0) == 1.0


# ---------------------------------------------------------------- what the caller knows


async def admitted_times(gate: Gate, count: int) -> list[float]:
    """Return when each of *count* requests got its permit, all having asked at once."""
    times: list[float] = []

    async def go() -> None:
        permit = await gate.acquire(width=100, deadline=DEADLINE, unbounded=True)
        times.append(now())
        await asyncio.sleep(0.01)
        gate.complete(permit)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(go())
    return times


@pytest.mark.parametrize(("rate", "burst"), [(10.0, 1.0), (10.0, 5.0), (0.5, 3.0), (250.0, 40.0)])
async def test_a_known_rate_bounds_every_stretch_of_time(rate: float, burst: float) -> None:
    """From the first request on, and no slower than it has to be."""
    gate = Gate(max_rate=rate, burst=burst, clock=now)
    times = await admitted_times(gate, 60)

    for (i, first), (j, last) in itertools.combinations(enumerate(times), 2):
        assert j - i + 1 <= burst + rate * (last - first) + 1e-6
    assert times[-1] - times[0] == pytest.approx((60 - burst) / rate)


async def test_without_a_known_rate_they_all_go_at_once() -> None:
    """The control: it is the setting that spaces them."""
    gate = Gate(clock=now)
    gate.admission.rates.common.width = 100.0

    assert set(await admitted_times(gate, 60)) == {0.0}


async def test_what_was_saved_up_is_never_more_than_the_burst() -> None:
    gate = Gate(max_rate=10.0, burst=3.0, clock=now)
    await admitted_times(gate, 3)
    await asyncio.sleep(100.0)
    times = await admitted_times(gate, 5)

    assert [time - times[0] for time in times] == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.2])


async def test_a_refusal_slows_a_known_rate_down() -> None:
    """The platform has the last word."""
    gate = Gate(max_rate=1000.0, burst=10.0, clock=now)
    permits = [gate.try_acquire(width=100) for _ in range(10)]
    await asyncio.sleep(0.1)
    for permit in filter(None, permits):
        gate.throttled(permit, None)
        gate.release(permit)

    assert gate.state.rate is not None
    assert gate.state.rate < 1000.0


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, True, "10"])
def test_an_impossible_rate_is_refused_at_once(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_rate: must be"):
        Gate(max_rate=bad)
    with pytest.raises(ConfigurationError, match="burst: must be"):
        Gate(max_rate=10, burst=0.5 if bad == 10 else bad)


def test_a_burst_needs_a_rate() -> None:
    with pytest.raises(ConfigurationError, match="burst: needs max_rate as well"):
        Gate(burst=10)


async def test_the_state_shows_what_the_gate_does() -> None:
    gate = Gate(max_rate=10.0, burst=2.0, clock=now)
    before = gate.state
    permits = [gate.try_acquire(width=2), gate.try_acquire(width=2)]
    waiting = asyncio.create_task(gate.acquire(width=2, deadline=DEADLINE, unbounded=True))
    await asyncio.sleep(0)
    busy = gate.state
    assert permits[0] is not None
    gate.throttled(permits[0], 30.0)
    paused = gate.state
    waiting.cancel()

    assert (before.rate, before.under_way, before.queued) == (10.0, 0, 0)
    assert (busy.under_way, busy.queued, busy.pause, busy.circuit) == (2, 1, 0.0, "closed")
    assert paused.pause == pytest.approx(30.0)


async def test_the_state_tells_an_open_circuit_from_a_probe() -> None:
    gate = Gate(clock=now)
    for _ in range(gate.admission.failures_to_open):
        gate.failed(one())
    is_open = gate.state.circuit
    await asyncio.sleep(1.0)
    gate.try_acquire(width=1)

    assert (is_open, gate.state.circuit) == ("open", "probing")

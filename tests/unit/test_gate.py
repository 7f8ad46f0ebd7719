"""The gate in virtual time: against simulated platforms, and as a queue."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
from collections.abc import Callable

import attrs
import pytest

from sigmamind_async.errors import APIConnectionError, CircuitOpenError
from sigmamind_async.gate import PATIENCE, SLOWEST, Admission, Gate

DEADLINE = math.inf


def now() -> float:
    return asyncio.get_running_loop().time()


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

    @property
    def share_refused(self) -> float:
        return self.refused / self.sent


class Bucket(Server):
    """A token bucket that says nothing about itself."""

    def __init__(self, rate: Callable[[float], float], burst: float = 20.0) -> None:
        super().__init__()
        self._rate, self._burst, self._tokens, self._at = rate, burst, burst, 0.0

    def decide(self, at: float) -> Verdict:
        self._tokens = min(self._burst, self._tokens + (at - self._at) * self._rate(at))
        self._at = at
        if self._tokens < 1:
            return 429, None
        self._tokens -= 1
        return 200, None


class Window(Server):
    """150 requests in each minute, and a Retry-After to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._window = self._used = 0

    def decide(self, at: float) -> Verdict:
        if int(at // 60) != self._window:
            self._window, self._used = int(at // 60), 0
        if self._used >= 150:
            return 429, math.ceil((self._window + 1) * 60 - at)
        self._used += 1
        return 200, None


class Outage(Server):
    """Down in a span of time, without a limit otherwise."""

    def __init__(self, begins: float, ends: float) -> None:
        super().__init__()
        self._begins, self._ends = begins, ends

    def decide(self, at: float) -> Verdict:
        return (500 if self._begins <= at < self._ends else 200), None


async def one_call(gate: Gate, server: Server, width: int) -> None:
    """Send until it is done, as the engine does for a patient call that may be repeated."""
    while True:
        await gate.enter(width=width, deadline=DEADLINE, patient=True)
        try:
            status, wait = await server.call()
        finally:
            gate.leave()
        if status == 200:
            return gate.succeeded()
        if status == 429:
            gate.throttled(wait)
        else:
            gate.failed()
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


@attrs.frozen
class Case:
    make: Callable[[], Server]
    calls: int
    ideal: float
    """Seconds at exactly the platform's rate."""
    most_refused: float
    """Over 30 seeds the shares were at most 0.015, 0.043 and 0.024, the times 1.03 of the ideal."""


CASES = {
    "20 a second, silent": Case(lambda: Bucket(lambda _: 20.0), 1_500, (1_500 - 20) / 20, 0.025),
    "150 a minute, with Retry-After": Case(Window, 1_500, 540.0, 0.06),
    "a limit that halves": Case(
        lambda: Bucket(lambda at: 20.0 if at < 30 else 10.0), 1_500, 30 + (1_500 - 620) / 10, 0.035
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_job_finishes_near_the_ideal_without_a_configured_rate(case: Case) -> None:
    """The promise: the speed that the platform allows, and few requests that are refused."""
    server = case.make()
    seconds = await job(virtual_gate(), server, case.calls)

    assert seconds <= 1.15 * case.ideal
    assert server.share_refused <= case.most_refused


async def test_without_a_gate_most_requests_would_be_refused() -> None:
    """The control: what the same workers do when each only waits for itself."""

    class Open(Gate):
        def throttled(self, retry_after: float | None) -> float:
            return 0.0

    server = Bucket(lambda _: 20.0)
    await job(Open(clock=now), server, 1_500)

    assert server.share_refused > 0.5


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
        await gate.enter(width=100, deadline=DEADLINE)
        left.append(now())
        gate.leave()

    for _ in range(10):
        gate.succeeded()
    gate.throttled(30.0)
    await asyncio.gather(*(call() for _ in range(50)))
    gaps = [after - before for before, after in itertools.pairwise(left)]

    assert left[0] == pytest.approx(30.0)
    assert min(gaps) == pytest.approx(1 / 7)


# ---------------------------------------------------------------- the queue


async def entered(gate: Gate, order: list[int], index: int, width: int = 1) -> None:
    await gate.enter(width=width, deadline=DEADLINE)
    order.append(index)


async def started(*coroutines: object) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(each) for each in coroutines]  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return tasks


async def test_callers_go_in_the_order_they_came() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(*(entered(gate, order, index) for index in range(10)))

    for _ in range(10):
        gate.leave()
        await asyncio.sleep(0)

    assert order == list(range(10))
    assert all(task.done() for task in tasks)


async def test_no_newcomer_overtakes_the_queue() -> None:
    """A place that falls free goes to the first in line, even if somebody asks at that moment."""
    gate, order = virtual_gate(), list[int]()
    await started(entered(gate, order, 0), entered(gate, order, 1))

    gate.leave()
    late = await started(entered(gate, order, 2))

    assert order == [0, 1]
    late[0].cancel()


async def test_no_more_than_the_width_are_under_way() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(*(entered(gate, order, index, 3) for index in range(10)))
    assert order == [0, 1, 2]

    gate.leave()
    await asyncio.sleep(0)
    assert order == [0, 1, 2, 3]
    for task in tasks:
        task.cancel()


async def test_a_wider_caller_widens_the_line() -> None:
    gate, order = virtual_gate(), list[int]()
    tasks = await started(entered(gate, order, 0), entered(gate, order, 1))

    await started(entered(gate, order, 2, 3))
    await asyncio.gather(*tasks)

    assert sorted(order) == [0, 1, 2]


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
async def test_a_caller_that_is_cancelled_in_the_queue_leaves_no_gap(cancelled: int) -> None:
    gate, order = virtual_gate(), list[int]()
    await gate.enter(width=1, deadline=DEADLINE)
    tasks = await started(*(entered(gate, order, index) for index in range(4)))

    tasks[cancelled].cancel()
    for _ in range(4):
        gate.leave()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert order == [index for index in range(4) if index != cancelled]


async def test_a_turn_that_is_given_and_cancelled_at_once_goes_to_the_next() -> None:
    gate, order = virtual_gate(), list[int]()
    await gate.enter(width=1, deadline=DEADLINE)
    first, _ = await started(entered(gate, order, 1), entered(gate, order, 2))

    gate.leave()
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert order == [2]


async def test_cancelling_everybody_at_every_moment_leaks_no_place() -> None:
    gate = virtual_gate()
    chance = random.Random(3)

    async def call() -> None:
        await gate.enter(width=5, deadline=DEADLINE)
        try:
            await asyncio.sleep(chance.random())
        finally:
            gate.leave()

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


async def test_a_deadline_ends_the_wait_in_the_queue() -> None:
    gate = virtual_gate()
    await gate.enter(width=1, deadline=DEADLINE)

    with pytest.raises(APIConnectionError, match="deadline passed in the queue; nothing was sent"):
        await gate.enter(width=1, deadline=5.0)
    assert now() == pytest.approx(5.0)


async def test_who_gives_up_in_the_queue_does_not_hold_up_the_others() -> None:
    gate, order = virtual_gate(), list[int]()
    await gate.enter(width=1, deadline=DEADLINE)
    with pytest.raises(APIConnectionError):
        await gate.enter(width=1, deadline=5.0)
    await started(entered(gate, order, 1))

    gate.leave()
    await asyncio.sleep(0)

    assert order == [1]


async def test_a_pause_holds_everyone_not_only_the_call_that_was_told() -> None:
    gate = virtual_gate()
    gate.throttled(12.0)

    await gate.enter(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(12.0)


# ---------------------------------------------------------------- refusing at once


async def test_a_pause_past_the_deadline_is_refused_at_once_to_who_comes_and_who_waits() -> None:
    """Nobody sits out a wait that is known to be in vain."""
    gate = virtual_gate()
    await gate.enter(width=1, deadline=100.0)
    (short, long) = await started(
        gate.enter(width=1, deadline=20.0), gate.enter(width=1, deadline=100.0)
    )
    gate.throttled(30.0)
    gate.leave()

    with pytest.raises(CircuitOpenError, match="ends too late"):
        await short
    with pytest.raises(CircuitOpenError, match="ends too late"):
        await gate.enter(width=1, deadline=20.0)
    assert now() == 0.0
    await long
    assert now() == pytest.approx(30.0)


async def test_a_patient_caller_waits_out_a_pause_but_not_a_day() -> None:
    gate = virtual_gate()
    gate.throttled(PATIENCE - 1)
    await gate.enter(width=9, deadline=DEADLINE, patient=True)
    assert now() == pytest.approx(PATIENCE - 1)

    gate.throttled(86_400.0)
    with pytest.raises(CircuitOpenError) as caught:
        await gate.enter(width=9, deadline=DEADLINE, patient=True)
    assert caught.value.retry_after == pytest.approx(86_400.0)


async def test_who_is_refused_in_the_queue_and_cancelled_at_once_holds_no_place() -> None:
    gate = virtual_gate()
    await gate.enter(width=1, deadline=100.0)
    (waiting,) = await started(gate.enter(width=1, deadline=20.0))
    gate.throttled(30.0)
    gate.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await gate.enter(width=1, deadline=100.0)
    assert now() == pytest.approx(30.0)


async def test_a_wait_longer_than_allowed_is_refused_at_once() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.throttled(7.0)

    with pytest.raises(CircuitOpenError, match="admits no more requests for now") as caught:
        await gate.enter(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(7.0)
    assert (caught.value.committed, caught.value.retryable, now()) == ("no", True, 0.0)


async def test_the_queue_counts_in_the_expected_wait() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.throttled(1.0)
    assert gate.admission.rate == pytest.approx(0.7)
    waiting = await started(gate.enter(width=10, deadline=DEADLINE))

    with pytest.raises(CircuitOpenError) as caught:
        await gate.enter(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(1.0 + 1 / 0.7)
    waiting[0].cancel()


async def test_a_short_wait_is_not_refused() -> None:
    gate = virtual_gate(max_wait=2.0)
    gate.throttled(1.0)

    await gate.enter(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(1.0)


def broken(gate: Gate) -> Gate:
    for _ in range(gate.admission.failures_to_open):
        gate.failed()
    return gate


async def test_an_open_circuit_refuses_the_impatient() -> None:
    gate = broken(virtual_gate())

    with pytest.raises(CircuitOpenError, match="the platform keeps failing") as caught:
        await gate.enter(width=10, deadline=DEADLINE)

    assert caught.value.retry_after == pytest.approx(1.0)


async def test_an_open_circuit_is_waited_out_by_the_patient() -> None:
    gate = broken(virtual_gate())

    await gate.enter(width=10, deadline=DEADLINE, patient=True)

    assert now() == pytest.approx(1.0)


async def test_one_probe_goes_at_a_time() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    await gate.enter(width=10, deadline=DEADLINE)

    with pytest.raises(CircuitOpenError):
        await gate.enter(width=10, deadline=DEADLINE)


async def test_a_probe_that_succeeds_lets_everyone_in() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    await gate.enter(width=10, deadline=DEADLINE)
    gate.succeeded()

    await asyncio.gather(*(gate.enter(width=10, deadline=DEADLINE) for _ in range(9)))

    assert now() == pytest.approx(1.0)


async def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    gate = broken(virtual_gate())
    await asyncio.sleep(1.0)
    await gate.enter(width=10, deadline=DEADLINE)
    gate.abandoned()
    gate.leave()

    await gate.enter(width=10, deadline=DEADLINE)

    assert now() == pytest.approx(1.0)


# ---------------------------------------------------------------- sharing


def test_two_loops_share_rate_and_pause_and_have_lines_of_their_own() -> None:
    """What was learned in one thread is heeded in the other; its queue is not."""
    time = [0.0]
    gate = Gate(clock=lambda: time[0], max_wait=1.0)
    refused: list[float | None] = []

    async def fill_up_and_throttle() -> None:
        await gate.enter(width=1, deadline=DEADLINE)
        gate.throttled(30.0)

    async def ask() -> None:
        try:
            await gate.enter(width=1, deadline=DEADLINE)
        except CircuitOpenError as error:
            refused.append(error.retry_after)
        time[0] = 40.0
        await gate.enter(width=1, deadline=DEADLINE)

    for coroutine in (fill_up_and_throttle, ask):
        thread = threading.Thread(target=asyncio.run, args=(coroutine(),), daemon=True)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()

    assert refused == [30.0]


# ---------------------------------------------------------------- the rules alone


def test_without_a_throttle_there_is_no_rate() -> None:
    admission = Admission()
    for _ in range(1_000):
        admission.take(0.0)

    assert admission.wait(0.0) == 0.0
    assert admission.rate is None


def test_the_first_throttle_sets_a_rate_a_little_below_what_passed() -> None:
    admission = Admission()
    for index in range(40):
        admission.succeeded(index / 40)

    admission.throttled(1.0, None, 0.0)

    assert admission.rate == pytest.approx(0.7 * 40)


def test_a_burst_of_refusals_cuts_once_a_second() -> None:
    admission = Admission(rate=20.0)
    for at in (5.0, 5.1, 5.9):
        admission.throttled(at, None, 0.0)
    assert admission.rate == pytest.approx(14.0)

    admission.throttled(6.0, None, 0.0)
    assert admission.rate == pytest.approx(9.8)


def test_a_success_lets_the_rate_creep_up() -> None:
    admission = Admission(rate=10.0)
    for _ in range(10):
        admission.succeeded(0.0)

    assert admission.rate == pytest.approx(10.5, abs=0.02)


def test_no_cut_goes_below_the_slowest_rate() -> None:
    admission = Admission(rate=0.21)
    admission.throttled(5.0, None, 0.0)

    assert admission.rate == SLOWEST


def test_a_pause_is_what_was_asked_or_a_short_one_drawn_at_random() -> None:
    admission = Admission()

    assert admission.throttled(0.0, 7.0, 0.9) == 7.0
    assert admission.throttled(0.0, None, 0.9) == pytest.approx(0.45)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    admission = Admission()
    admission.throttled(0.0, 30.0, 0.0)
    admission.throttled(1.0, 2.0, 0.0)

    assert admission.wait(1.0) == pytest.approx(29.0)


def test_probes_become_rarer_up_to_30_seconds() -> None:
    admission = Admission(failures_to_open=1)
    waits = []
    at = 0.0
    for _ in range(8):
        admission.failed(at)
        waits.append(admission.wait(at))
        at += waits[-1]
        admission.take(at)

    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


def test_a_success_between_failures_keeps_the_circuit_closed() -> None:
    admission = Admission()
    for _ in range(5):
        for _ in range(19):
            admission.failed(0.0)
        admission.succeeded(0.0)

    assert admission.refuses(0.0) is None


def test_being_throttled_is_a_sign_of_life() -> None:
    admission = Admission(failures_to_open=1)
    admission.failed(0.0)
    admission.throttled(0.5, None, 0.0)

    assert admission.refuses(0.5) is None


def test_while_a_probe_is_under_way_the_rest_is_refused() -> None:
    admission = Admission(failures_to_open=1)
    admission.failed(0.0)
    assert admission.refuses(0.4) == pytest.approx(0.6)
    assert admission.refuses(1.0) is None

    admission.take(1.0)
    assert admission.refuses(1.0) == 1.0

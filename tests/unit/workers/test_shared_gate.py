"""The gate that several processes share, in virtual time: one loop stands for all of them."""

from __future__ import annotations

import asyncio
import bisect
import math
import random
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest

from sigmamind_async.errors import APIConnectionError, CircuitOpenError, JournalError
from sigmamind_async.limiter.gate import MAX_PAUSE, Gate
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.workers import rates
from sigmamind_async.workers.rates import HORIZON, POLL, RateReport, SharedModel
from sigmamind_async.workers.shared_gate import (
    REPLY_TIMEOUT,
    TTL,
    LeasedRate,
    SharedGate,
)
from tests.harness.limits import Bucket, Limit, SlidingLog, Window, constant, retry_after
from tests.harness.simulator import Job, Server
from tests.unit.workers.meeting import Meeting, Row

DEADLINE = math.inf


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run of a test be the same."""
    monkeypatch.setattr(rates, "random", random.Random(5).random)


def now() -> float:
    return asyncio.get_running_loop().time()


def gate_of(
    meeting: Meeting, account: str = "sigmamind", max_wait: float | None = None
) -> SharedGate:
    """Return the gate of one more process, which counts its seconds from another start."""
    start = 1_000.0 * random.Random(meeting.asked).random()
    return SharedGate(
        account,
        meeting,
        max_wait=max_wait,
        clock=lambda: now() + start,
        jitter=random.Random(5).random,
    )


def knowing(rate: float) -> Meeting:
    """Return a row that knows a rate already."""
    return Meeting(rates={"sigmamind": Row(rate=rate)})


async def entered(gate: Gate, *, deadline: float = DEADLINE) -> Admitted:
    ticket = await gate.acquire(width=100, deadline=deadline, unbounded=True)
    gate.release(ticket)
    return ticket


async def moments(gate: Gate, count: int) -> list[float]:
    """Return when each of *count* callers that came at once was admitted."""
    admitted: list[float] = []

    async def call() -> None:
        await entered(gate)
        admitted.append(now())

    await asyncio.gather(*(call() for _ in range(count)))
    return admitted


async def kind_of(awaitable: Awaitable[object]) -> type[BaseException]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller compares it
        await awaitable
    return caught.type


def worst_second(times: list[float]) -> int:
    ordered = sorted(times)
    return max(bisect.bisect_left(ordered, at + 1.0) - index for index, at in enumerate(ordered))


# ---------------------------------------------------------------- one rate for all


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("rate", [3.0, 20.0, 100.0, 700.0])
async def test_three_processes_keep_to_one_rate(rate: float) -> None:
    """The promise: within 5 % of it over all, and at most 10 % above it in any second."""
    meeting = knowing(rate)
    count = int(4 * rate)

    times = await asyncio.gather(*(moments(gate_of(meeting), count) for _ in range(3)))

    admitted = sorted(at for some in times for at in some)
    assert (len(admitted) - 1) / (admitted[-1] - admitted[0]) == pytest.approx(rate, rel=0.05)
    assert worst_second(admitted) <= max(1.1 * rate, rate + 1)


async def test_with_rows_of_their_own_they_send_three_times_as_fast() -> None:
    """The control."""
    meetings = [knowing(100.0) for _ in range(3)]

    times = await asyncio.gather(*(moments(gate_of(one), 300) for one in meetings))

    assert worst_second([at for some in times for at in some]) > 250


async def test_processes_that_wait_get_the_same_part() -> None:
    meeting = knowing(50.0)

    times = await asyncio.gather(*(moments(gate_of(meeting), 200) for _ in range(3)))

    assert max(some[-1] for some in times) - min(some[-1] for some in times) < 0.5


async def test_one_process_gets_it_all_while_the_others_are_idle() -> None:
    meeting = knowing(50.0)
    idle = [gate_of(meeting) for _ in range(2)]
    await asyncio.gather(*(entered(gate) for gate in idle))

    assert max(await moments(gate_of(meeting), 201)) == pytest.approx(4.0, abs=0.2)


async def test_accounts_do_not_hold_one_another_up() -> None:
    meeting = knowing(1.0)
    meeting.rates["verbex"] = Row(rate=100.0)

    slow, quick = await asyncio.gather(
        moments(gate_of(meeting), 4), moments(gate_of(meeting, "verbex"), 101)
    )

    assert (slow[-1], quick[-1]) == pytest.approx((3.0, 1.0), abs=0.1)


async def test_callers_go_in_the_order_they_came() -> None:
    gate, order = gate_of(knowing(30.0)), list[int]()

    async def call(index: int) -> None:
        await entered(gate)
        order.append(index)

    await asyncio.gather(*(call(index) for index in range(50)))

    assert order == list(range(50))


# ---------------------------------------------------------------- what is asked


async def test_without_a_refusal_no_call_waits_for_the_database() -> None:
    """One question to begin with, then four looks a second, whatever is sent."""
    meeting = Meeting()
    gate = gate_of(meeting)

    for _ in range(1_000):
        gate.succeeded(await entered(gate))
        await asyncio.sleep(0.005)

    assert now() == pytest.approx(5.0, abs=0.1)
    assert meeting.asked <= 22


async def test_a_queue_of_callers_is_asked_for_at_once() -> None:
    meeting = knowing(200.0)

    await moments(gate_of(meeting), 400)

    assert meeting.asked < 50


async def test_a_gate_that_is_not_used_asks_nothing() -> None:
    meeting = knowing(200.0)
    await moments(gate_of(meeting), 10)
    await asyncio.sleep(1.0)
    asked = meeting.asked

    await asyncio.sleep(100.0)

    assert meeting.asked == asked


async def test_a_call_after_an_idle_time_asks_first() -> None:
    """An old reply is not believed: all processes may have been paused meanwhile."""
    meeting = Meeting()
    gate = gate_of(meeting)
    await entered(gate)
    await asyncio.sleep(2 * TTL)
    meeting.rates["sigmamind"].paused_until = now() + 5.0

    await entered(gate)

    assert now() == pytest.approx(2 * TTL + 5.0, abs=0.1)


async def test_the_grant_of_a_caller_that_left_serves_the_next() -> None:
    """What was granted for a caller that was cancelled is not lost."""
    meeting = knowing(10.0)
    gate = gate_of(meeting)
    calls = [asyncio.create_task(entered(gate)) for _ in range(4)]
    await asyncio.sleep(0.05)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    asked = meeting.asked

    await entered(gate)

    assert meeting.asked == asked


async def test_a_moment_that_is_too_far_ahead_is_not_taken() -> None:
    """No worker holds more than a moment of an account, however slow that is."""
    meeting = knowing(0.5)

    others = [asyncio.create_task(entered(gate_of(meeting))) for _ in range(20)]
    await asyncio.sleep(1.0)
    slots = meeting.rates["sigmamind"].restored(now()).slots
    await asyncio.gather(*others)

    assert all(at <= 1.0 + HORIZON for at in slots)
    assert now() == pytest.approx(38.0, abs=3.0)


async def test_a_clock_that_was_set_back_stops_no_process() -> None:
    meeting = knowing(10.0)
    meeting.rates["sigmamind"].exchange(3_600.0, RateReport(gate="earlier", wanted=1))

    await moments(gate_of(meeting), 10)

    assert now() < 2.0


async def test_a_batch_that_is_granted_after_an_idle_time_goes_at_the_rate() -> None:
    """From now on, not from when the row was last used: none of it lapses or is hurried."""
    meeting = knowing(50.0)
    await asyncio.sleep(10.0)

    times = await moments(gate_of(meeting), 5)

    assert [at - times[0] for at in times] == pytest.approx(
        [0.0, 0.02, 0.04, 0.06, 0.08], abs=0.003
    )


@pytest.mark.parametrize(("late", "left"), [(0.0, 9), (0.05, 9), (0.08, 6), (1.0, 0)])
def test_a_process_that_was_kept_from_running_does_not_make_up_for_it(
    late: float, left: int
) -> None:
    """Its moments lapse: the others have sent all the while. A twentieth of a second is allowed."""
    leased = LeasedRate(version=1, grants=deque(5.0 + count / 100.0 for count in range(10)))

    leased.take(5.0 + late)

    assert len(leased.grants) == left
    assert len(leased.unsent) == 10 - left - bool(left)


# ---------------------------------------------------------------- what is learned


async def jobs(limit: Limit, rows: int, gates: list[Gate]) -> tuple[Server, list[Job]]:
    """Run a job of *rows* in each of several processes; return the platform, and the jobs."""
    server = Server(limit, 0.1, random.Random(1))
    running = [Job(gate, server, rows, random.Random(n)) for n, gate in enumerate(gates)]
    await asyncio.gather(*(job.run() for job in running))
    assert [job.done for job in running] == [rows] * len(gates)
    return server, running


CASES = {
    "20 a second": (partial(Bucket, 20, 20), 3, 1_500 / 20),
    "20 a second, two": (partial(Bucket, 20, 20), 2, 1_500 / 20),
    "20 a second, five": (partial(Bucket, 20, 20), 5, 1_500 / 20),
    "20 a second, Retry-After": (partial(Bucket, 20, 20, report=retry_after), 3, 1_500 / 20),
    "5 a second, Retry-After 5": (partial(Bucket, 5, 10, report=constant(5)), 3, 1_500 / 5),
    "150 a minute, Retry-After": (partial(Window, 150, 60, report=retry_after), 3, 600.0),
    "100 in 10 seconds, one": (partial(Window, 100, 10), 1, 1_500 / 10),
    "100 in any 10 seconds, one": (partial(SlidingLog, 100, 10), 1, 1_500 / 10),
    "100 in any 10 seconds, five": (partial(SlidingLog, 100, 10), 5, 1_500 / 10),
}


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("limit", "count", "ideal"), CASES.values(), ids=CASES)
async def test_jobs_that_share_a_rate_run_near_what_the_platform_admits(
    limit: partial[Limit], count: int, ideal: float
) -> None:
    """All rows done, near the ideal time, in fair shares, few refused, no told wait undercut."""
    meeting, rows = Meeting(), 1_500 // count

    server, done = await jobs(limit(), rows, [gate_of(meeting) for _ in range(count)])

    ends = [job.ended for job in done]
    assert max(ends) <= 1.15 * ideal
    assert max(ends) <= 1.2 * min(ends)
    assert server.refused <= 0.10 * len(server.arrivals)
    assert [job.early for job in done] == [0] * count


async def refused(gate: Gate, retry_after: float | None = None) -> float:
    """Have one request refused; return the pause."""
    return gate.throttled(await entered(gate), retry_after)


async def test_a_cut_that_one_makes_holds_for_all() -> None:
    meeting = knowing(100.0)
    one, other = gate_of(meeting), gate_of(meeting)
    await asyncio.gather(*(jobs(Limit(), 100, [gate]) for gate in (one, other)))
    before = other.admission.rate

    await refused(one, 0.5)
    await asyncio.sleep(1.0)
    await entered(one)
    await entered(other)

    assert before is not None
    assert one.admission.rate is not None
    assert one.admission.rate < 0.8 * before
    assert other.admission.rate is not None
    assert other.admission.rate < 0.8 * before


async def refused_together(meeting: Meeting) -> int:
    """Have a request of each of three processes refused at one moment; return the cuts."""
    gates = [gate_of(meeting) for _ in range(3)]
    tickets = [await entered(gate) for gate in gates]
    before = meeting.rates["sigmamind"].restored(now()).version
    for gate, ticket in zip(gates, tickets, strict=True):
        gate.throttled(ticket, 0.2)
    await asyncio.sleep(2 * POLL)
    return meeting.rates["sigmamind"].restored(now()).version - before


async def test_refusals_for_one_reason_cut_once() -> None:
    """The first makes a new version; the others were sent before the cut, and teach nothing."""
    assert await refused_together(knowing(100.0)) == 1


async def test_without_the_time_of_the_cut_each_process_cuts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: a model that forgets when it was cut takes each refusal for a new one."""
    restore = SharedModel.restore

    def never(*event: Any) -> bool:
        del event
        return False

    def forgetful(*row: Any) -> SharedModel:
        model = restore(*row)
        model.rate.cut = -math.inf
        return model

    monkeypatch.setattr(SharedModel, "restore", forgetful)
    monkeypatch.setattr(SharedModel, "is_old", never)

    assert await refused_together(knowing(100.0)) == 3


async def test_a_process_that_starts_later_knows_what_was_learned() -> None:
    meeting = Meeting()
    await jobs(Bucket(20, 20), 500, [gate_of(meeting)])
    new = gate_of(meeting)

    await entered(new)

    assert new.admission.rate == pytest.approx(20.0, rel=0.3)


@pytest.mark.parametrize("model", ["", '{"_spell": 0}', '["0.0.1", {}]', "not JSON", "[NaN, 1]"])
async def test_what_another_release_has_learned_is_ignored(model: str) -> None:
    """Its rate and its pause hold all the same."""
    meeting = Meeting(rates={"sigmamind": Row(rate=40.0, paused_until=5.0, model=model)})

    times = await moments(gate_of(meeting), 81)

    assert times[0] >= 5.0 - 1e-6
    assert worst_second(times) <= 44


async def test_successes_raise_the_rate_for_all() -> None:
    meeting = knowing(10.0)
    gates = [gate_of(meeting) for _ in range(3)]

    await jobs(Limit(), 50, list(gates))

    rate = meeting.rates["sigmamind"].rate
    assert rate is not None
    assert rate > 20.0


# ---------------------------------------------------------------- a common pause


async def sends_on(gate: Gate, until: float) -> list[float]:
    """Send twenty requests a second; return when they went."""
    sent: list[float] = []
    while now() < until:
        gate.succeeded(await entered(gate))
        sent.append(now())
        await asyncio.sleep(0.05)
    return sent


@pytest.mark.parametrize("rate", [None, 50.0])
async def test_a_pause_that_one_is_asked_for_holds_all(rate: float | None) -> None:
    """The others hear of it at their next look, and go on when it is over."""
    meeting = Meeting(rates={"sigmamind": Row(rate=rate)})
    other = asyncio.create_task(sends_on(gate_of(meeting), 31.0))
    await asyncio.sleep(1.0)

    assert await refused(gate_of(meeting), 29.0) == 29.0
    sent = [at for at in await other if at > 1.1]

    assert len([at for at in sent if at < 29.9]) <= 20 * POLL
    assert sent[-1] > 29.9


async def test_without_the_row_the_others_go_on() -> None:
    """The control: two gates that know nothing of one another."""
    other = asyncio.create_task(sends_on(Gate(clock=now), 3.0))
    await asyncio.sleep(1.0)

    await refused(Gate(clock=now), 29.0)

    assert len([at for at in await other if at > 1.1]) > 30


async def test_a_caller_kept_too_long_by_the_pause_of_another_process_is_refused() -> None:
    meeting = knowing(1.0)
    one, other = gate_of(meeting), gate_of(meeting)
    await entered(other)
    waiting = asyncio.create_task(
        other.acquire(width=100, deadline=other._clock() + 20.0)  # noqa: SLF001 - each has its own
    )
    await asyncio.sleep(0.1)

    one.throttled((one._clock(), 1, ""), 30.0)  # noqa: SLF001 - likewise

    assert await kind_of(waiting) is CircuitOpenError
    assert now() < 1.0


@pytest.mark.parametrize("rate", [None, 20.0])
async def test_no_pause_holds_a_set_of_processes_for_longer_than_its_cap(
    rate: float | None,
) -> None:
    """The pause is capped before it is shared; one until the year 58882 would outlive them."""
    meeting = Meeting(rates={"sigmamind": Row(rate=rate)})
    gates = [gate_of(meeting) for _ in range(3)]
    sent = [asyncio.create_task(sends_on(gate, 325.0)) for gate in gates]
    await asyncio.sleep(1.0)
    began = now()
    await refused(gates[0], 1.7e12)
    after = [[at for at in times if at > began + 1.0] for times in await asyncio.gather(*sent)]

    assert meeting.rates["sigmamind"].paused_until <= began + MAX_PAUSE + 1.0
    assert all(times[0] == pytest.approx(began + MAX_PAUSE, abs=12.0) for times in after)


async def test_a_process_that_begins_in_a_pause_sends_nothing() -> None:
    meeting = knowing(50.0)
    await refused(gate_of(meeting), 30.0)

    await entered(gate_of(meeting))

    assert now() == pytest.approx(30.0, abs=0.1)


# ---------------------------------------------------------------- without the database


async def test_without_the_database_a_gate_goes_on_at_its_share() -> None:
    meeting = knowing(60.0)
    gates = [gate_of(meeting) for _ in range(3)]
    await asyncio.gather(*(moments(gate, 100) for gate in gates))

    meeting.problem = "cannot be reached"
    began = now()
    times = await asyncio.gather(*(moments(gate, 100) for gate in gates))

    assert {gate.problem for gate in gates} == {"cannot be reached"}
    assert worst_second([at for some in times for at in some if at > began + TTL]) <= 70


async def test_a_gate_that_never_had_the_database_is_a_gate_of_its_own() -> None:
    meeting = Meeting(problem="cannot be reached")
    gate = gate_of(meeting)

    server, [job] = await jobs(Bucket(20, 20), 300, [gate])

    assert gate.problem == "cannot be reached"
    assert job.ended < 20.0
    assert server.refused < 60


async def test_a_database_that_comes_back_is_followed_again() -> None:
    """What the gate has learned alone meanwhile is not reported."""
    meeting = knowing(60.0)
    gate = gate_of(meeting)
    await moments(gate, 20)
    meeting.problem = "cannot be reached"
    await moments(gate, 60)
    await refused(gate)
    meeting.problem = ""

    await moments(gate, 120)

    assert gate.problem is None
    assert gate.admission.rate == pytest.approx(60.0, rel=0.01)  # alone it would be half or less


async def test_a_database_that_says_nothing_is_not_waited_for() -> None:
    """A second at most, and never past a deadline."""
    meeting = knowing(60.0)
    meeting.latency = math.inf
    hasty, patient = gate_of(meeting), gate_of(meeting)

    with pytest.raises(APIConnectionError, match="nothing was sent"):
        await hasty.acquire(width=1, deadline=hasty._clock() + 0.3)  # noqa: SLF001 - each has its own
    assert now() == pytest.approx(0.3)
    await entered(patient)

    assert now() == pytest.approx(0.3 + REPLY_TIMEOUT)
    assert patient.problem == "no answer came in time"


async def test_a_journal_that_is_not_open_is_an_error_for_every_caller() -> None:
    meeting = knowing(1.0)
    gate = gate_of(meeting)
    waiting = [asyncio.create_task(entered(gate)) for _ in range(3)]
    await asyncio.sleep(0.1)
    meeting.misuse = "is not open"

    assert await kind_of(entered(gate)) is JournalError
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [tuple, JournalError, JournalError]
    meeting.misuse = ""
    await entered(gate)


# ---------------------------------------------------------------- as any gate


async def test_a_caller_that_cannot_wait_is_refused_at_once() -> None:
    """By what the row said last of the requests before."""
    meeting = knowing(0.5)
    gate = gate_of(meeting, max_wait=1.0)
    waiting = [asyncio.create_task(entered(gate)) for _ in range(3)]
    await asyncio.sleep(0.1)

    assert await kind_of(gate.acquire(width=100, deadline=DEADLINE)) is CircuitOpenError
    await asyncio.gather(*waiting)
    await asyncio.sleep(2.0)
    await gate.acquire(width=100, deadline=DEADLINE)


async def test_the_circuit_is_this_processs_own() -> None:
    meeting = knowing(100.0)
    one, other = gate_of(meeting), gate_of(meeting)
    for _ in range(20):
        one.failed(await entered(one))

    assert await kind_of(one.acquire(width=100, deadline=DEADLINE)) is CircuitOpenError
    await other.acquire(width=100, deadline=DEADLINE)


async def test_no_more_than_the_width_are_under_way() -> None:
    gate = gate_of(knowing(1_000.0))
    calls = [asyncio.create_task(gate.acquire(width=3, deadline=DEADLINE)) for _ in range(9)]
    await asyncio.sleep(1.0)

    assert sum(call.done() for call in calls) == 3
    for call in calls:
        call.cancel()


def test_a_gate_serves_one_loop_after_another() -> None:
    """What the first had asked is forgotten with it."""
    meeting = knowing(100.0)
    gate = SharedGate("sigmamind", meeting)

    async def main() -> None:
        await asyncio.wait_for(entered(gate), 60.0)

    for _ in range(3):
        asyncio.run(main())

"""Delays and quota.

The vectors are the published test cases of the retry behaviour that the AWS SDKs share since 2026,
with the jitter fixed to 1. A step is: what came, what follows, the quota then, the delay.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.engine import Engine
from sigmamind_async.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
)
from sigmamind_async.operation import FaultKind, Method, Operation, Request
from sigmamind_async.retry import (
    Retry,
    RetryPolicy,
    RetryQuota,
    StandardStop,
    StandardWait,
    retrying,
)
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, reply

# ---------------------------------------------------------------- the published vectors

Step = tuple[int, float | None, str, int, float | None]
"""Status, seconds asked for, what follows, quota afterwards, seconds to wait."""

VECTORS: list[tuple[str, dict[str, float], list[Step]]] = [
    (
        "two failures then success",
        {},
        [
            (500, None, "retry", 486, 0.05),
            (500, None, "retry", 472, 0.1),
            (200, None, "success", 486, None),
        ],
    ),
    (
        "attempts used up",
        {},
        [
            (502, None, "retry", 486, 0.05),
            (502, None, "retry", 472, 0.1),
            (502, None, "max_attempts", 472, None),
        ],
    ),
    (
        "quota for one retry",
        {"tokens": 14},
        [(500, None, "retry", 0, 0.05), (500, None, "quota", 0, None)],
    ),
    ("quota zero", {"tokens": 0}, [(500, None, "quota", 0, None)]),
    (
        "exponential",
        {"max_attempts": 5},
        [
            (500, None, "retry", 486, 0.05),
            (500, None, "retry", 472, 0.1),
            (500, None, "retry", 458, 0.2),
            (500, None, "retry", 444, 0.4),
            (500, None, "max_attempts", 444, None),
        ],
    ),
    (
        "cap of 0.2 s",
        {"max_attempts": 5, "cap": 0.2},
        [
            (500, None, "retry", 486, 0.05),
            (500, None, "retry", 472, 0.1),
            (500, None, "retry", 458, 0.2),
            (500, None, "retry", 444, 0.2),
            (500, None, "max_attempts", 444, None),
        ],
    ),
    (
        "quota runs out midway",
        {"max_attempts": 5, "tokens": 20},
        [(500, None, "retry", 6, 0.05), (502, None, "quota", 6, None)],
    ),
    ("throttle", {}, [(429, None, "retry", 495, 1.0), (200, None, "success", 500, None)]),
    (
        "asked to wait 1.5 s",
        {},
        [(500, 1.5, "retry", 486, 1.5), (200, None, "success", 500, None)],
    ),
    (
        "asked to wait 0 s, the backoff is the least",
        {},
        [(500, 0.0, "retry", 486, 0.05), (200, None, "success", 500, None)],
    ),
    (
        # The vector says 5.05: the standard cuts a wait at the backoff and 5 s. Ours is obeyed.
        "asked to wait 10 s, ours differs on purpose: never cut",
        {},
        [(500, 10.0, "retry", 486, 10.0), (200, None, "success", 500, None)],
    ),
    (
        # Garbage and negative waits are dropped by `retry_after` before they come here.
        "asked for nothing usable",
        {},
        [(500, None, "retry", 486, 0.05), (200, None, "success", 500, None)],
    ),
    (
        "two calls share the quota",
        {"max_attempts": 5, "tokens": 30},
        [
            (500, None, "retry", 16, 0.05),
            (502, None, "retry", 2, 0.1),
            (200, None, "success", 16, None),
            (500, None, "retry", 2, 0.05),
            (200, None, "success", 16, None),
        ],
    ),
    (
        "a smaller base and four attempts, as for DynamoDB",
        {"max_attempts": 4, "base": 0.025},
        [
            (500, None, "retry", 486, 0.025),
            (500, None, "retry", 472, 0.05),
            (500, None, "retry", 458, 0.1),
            (500, None, "max_attempts", 458, None),
        ],
    ),
    (
        # The standard counts throttled attempts and fails them on an empty quota.
        "throttles, ours differs on purpose: they neither count nor fail on the quota",
        {"max_attempts": 2, "tokens": 5},
        [
            (429, None, "retry", 0, 1.0),
            (429, None, "retry", 0, 2.0),
            (429, None, "retry", 0, 4.0),
            (200, None, "success", 1, None),
        ],
    ),
]


def after(count: int, *, throttled: bool = False) -> tenacity.RetryCallState:
    """Return the state that strategies are given after so many failures, or 429s."""
    state = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
    state.attempt_number = count
    state.set_result(Retry(429 if throttled else 500, throttled=throttled))
    return state


def longest() -> float:
    return 1.0


class Caller:
    """The order in which one call asks policy and quota."""

    def __init__(self, policy: RetryPolicy, quota: RetryQuota) -> None:
        self.policy, self.quota = policy, quota
        self.failures = self.throttles = 0
        self.cost: int | None = None

    def step(self, status: int, asked: float | None) -> tuple[str, float | None]:
        if status == 200:
            self.quota.refund(self.cost)
            self.failures, self.throttles, self.cost = 0, 0, None
            return "success", None
        throttled = status == 429
        self.throttles += throttled
        self.failures += not throttled
        if self.policy.must_stop(after(self.failures)):
            return "max_attempts", None
        self.cost = self.quota.spend(throttled=throttled)
        if self.cost is None and not throttled:
            return "quota", None
        count = self.throttles if throttled else self.failures
        delay = self.policy.pause(after(count, throttled=throttled), longest)
        return "retry", max(delay, asked or 0.0)


def caller(given: dict[str, float]) -> Caller:
    settings = dict(given)
    tokens = int(settings.pop("tokens", 500))
    policy = RetryPolicy(
        max_attempts=int(settings.pop("max_attempts", 3)),
        base=settings.pop("base", 0.05),
        cap=settings.pop("cap", 20.0),
    )
    # The vectors fill the quota up to what it began with.
    return Caller(
        policy, RetryQuota(capacity=max(tokens, 1) if tokens < 500 else 500, tokens=tokens)
    )


@pytest.mark.parametrize(("given", "steps"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_a_published_vector(given: dict[str, float], steps: list[Step]) -> None:
    call = caller(given)

    for status, asked, follows, quota, delay in steps:
        outcome, waited = call.step(status, asked)
        assert (outcome, call.quota.tokens) == (follows, quota)
        assert waited == (None if delay is None else pytest.approx(delay))


def test_the_published_vector_of_two_calls_at_once() -> None:
    """Two calls share one quota: 500, 500, 200 and 500, 200."""
    quota = RetryQuota()
    first, second = Caller(RetryPolicy(), quota), Caller(RetryPolicy(), quota)

    for call, status in [(first, 500), (second, 500), (first, 500), (second, 200), (first, 200)]:
        call.step(status, None)

    assert quota.tokens == 486


def test_the_published_backoff_of_attempts_1_to_11() -> None:
    wait = StandardWait(jitter=longest)
    delays = [wait(after(count)) for count in range(1, 12)]

    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20]


def test_the_published_constants() -> None:
    policy, quota = RetryPolicy(), RetryQuota()

    assert policy.wait == StandardWait(base=0.05, throttle_base=1.0, cap=20.0)
    assert policy.stop == StandardStop(max_attempts=3)
    assert (quota.capacity, quota.fault_cost, quota.throttle_cost) == (500, 14, 5)
    assert (quota.first_try_refund, quota.tokens) == (1, 500)


# ---------------------------------------------------------------- policy and quota


@given(st.integers(1, 10**6), st.booleans(), st.floats(0, 1))
def test_a_delay_is_at_most_the_cap(count: int, throttled: bool, jitter: float) -> None:
    delay = RetryPolicy().pause(after(count, throttled=throttled), lambda: jitter)

    assert 0 <= delay <= 20.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"base": 0},
        {"base": math.nan},
        {"throttle_base": True},
        {"cap": -1},
        {"cap": "20"},
        {"wait": 5},
        {"wait": tenacity.wait_fixed},
        {"stop": tenacity.stop_after_attempt},
        {"stop": asyncio.sleep},
    ],
    ids="-".join,
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"RetryPolicy: {next(iter(wrong))}: must be"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    ("both", "names"),
    [
        ({"wait": tenacity.wait_none(), "base": 0.1, "cap": 1.0}, "wait and base, cap"),
        ({"stop": tenacity.stop_never, "max_attempts": 3}, "stop and max_attempts"),
    ],
)
def test_both_forms_for_one_thing_are_refused(both: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{names} exclude each other"):
        RetryPolicy(**both)


def test_a_strategy_and_the_simple_form_of_the_other_thing_go_together() -> None:
    policy = RetryPolicy(wait=tenacity.wait_fixed(2), max_attempts=7)

    assert (policy.pause(after(1), longest), policy.stop) == (2.0, StandardStop(7))


def test_a_standard_wait_may_have_its_own_jitter() -> None:
    own, shared = RetryPolicy(wait=StandardWait(jitter=lambda: 0.5)), RetryPolicy()

    assert (own.pause(after(1), longest), shared.pause(after(1), longest)) == (0.025, 0.05)


def test_the_standard_strategies_combine_with_those_of_tenacity() -> None:
    wait = StandardWait(jitter=longest) + tenacity.wait_fixed(1)

    assert wait(after(2)) == pytest.approx(1.1)


# ---------------------------------------------------------------- a caller's own strategies

Make = Callable[..., Engine]


def nothing(_: object) -> object:
    return {}


def operation(method: Method, *, repeatable: bool = True) -> Operation[object]:
    request = Request(method=method, path="/v1/things/1")
    return Operation("acme.call", request, nothing, repeatable)


READ, UPDATE = operation("GET"), operation("PATCH")
BUY = operation("POST", repeatable=False)


async def test_strategies_of_tenacity_time_and_end_a_call(
    make_engine: Make, clock: FakeClock
) -> None:
    policy = RetryPolicy(wait=tenacity.wait_incrementing(1, 2), stop=tenacity.stop_after_attempt(4))
    engine = make_engine(ScriptedTransport(lambda _: reply(500)), policy=policy)
    with pytest.raises(ServerError) as caught:
        await engine.begin(UPDATE).run()

    assert (clock.slept, caught.value.attempts) == ([1.0, 3.0, 5.0], 4)


async def test_a_strategy_knows_times_and_what_came(make_engine: Make, clock: FakeClock) -> None:
    """Times are those of the whole call, the first attempt included."""
    seen: list[tuple[object, ...]] = []

    def wait(state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        came: Retry = state.outcome.result()
        seen.append((state.attempt_number, state.seconds_since_start, came.status, came.throttled))
        return 2.0

    transport = ScriptedTransport(
        [reply(500), reply(429), reply(502), reply(json={})], latency=1.0, sleep=clock.sleep
    )
    policy = RetryPolicy(wait=wait, stop=tenacity.stop_never)
    await make_engine(transport, policy=policy).begin(UPDATE).run()

    assert seen == [(1, 1.0, 500, False), (1, 4.0, 429, True), (2, 7.0, 502, False)]


async def test_a_429_counts_for_no_stop_after_attempts(make_engine: Make) -> None:
    policy = RetryPolicy(wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(1))
    transport = ScriptedTransport([reply(429)] * 5 + [reply(json={})])

    assert await make_engine(transport, policy=policy).begin(UPDATE).run() == {}


@pytest.mark.parametrize(
    "stop", [tenacity.stop_after_delay(10), tenacity.stop_before_delay(12)], ids=["after", "before"]
)
async def test_a_stop_by_time_ends_a_call_that_is_throttled(
    make_engine: Make, clock: FakeClock, stop: Any
) -> None:
    policy = RetryPolicy(wait=tenacity.wait_fixed(4), stop=stop)
    with pytest.raises(RateLimitError):
        await make_engine(ScriptedTransport(lambda _: reply(429)), policy=policy).begin(READ).run()

    assert clock.slept == ([4.0] * 3 if isinstance(stop, tenacity.stop_after_delay) else [4.0] * 2)


async def test_a_wait_that_the_platform_asks_for_is_not_undercut(
    make_engine: Make, clock: FakeClock
) -> None:
    policy = RetryPolicy(wait=tenacity.wait_none())
    transport = ScriptedTransport([reply(503, headers={"retry-after": "7"}), reply(json={})])
    await make_engine(transport, policy=policy).begin(READ).run()

    assert clock.slept == [7.0]


async def test_no_strategy_gets_past_deadline_and_quota(
    make_engine: Make, clock: FakeClock
) -> None:
    endless = RetryPolicy(wait=tenacity.wait_fixed(25), stop=tenacity.stop_never)
    for quota, slept in ((RetryQuota(), [25.0, 25.0]), (RetryQuota(tokens=14), [25.0])):
        clock.slept.clear()
        engine = make_engine(ScriptedTransport(lambda _: reply(500)), policy=endless, quota=quota)
        with pytest.raises(ServerError):
            await engine.begin(UPDATE).run()
        assert clock.slept == slept


async def test_no_strategy_sends_a_purchase_again(make_engine: Make) -> None:
    endless = RetryPolicy(wait=tenacity.wait_none(), stop=tenacity.stop_never)
    transport = ScriptedTransport([fault(FaultKind.DROPPED)])
    with pytest.raises(OutcomeUnknownError):
        await make_engine(transport, policy=endless).begin(BUY).run()

    assert len(transport.sent) == 1


def breaks(_: object) -> Any:
    raise ZeroDivisionError


def no_argument() -> float:
    return 0.0


def always(answer: object) -> Callable[[object], object]:
    return lambda _: answer


@pytest.mark.parametrize(
    "wait",
    [
        *(breaks, no_argument, always(math.nan), always(-1.0), always(None), always(True)),
        *(always("5"), always(10**400)),
        StandardWait(jitter=lambda: math.nan),
        StandardWait(jitter=lambda: -1.0),
        StandardWait(jitter=lambda: 1 // 0),
    ],
)
async def test_a_wait_that_says_nothing_usable_is_the_default(
    make_engine: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture, wait: Any
) -> None:
    transport = ScriptedTransport([reply(500), reply(json={})])
    await make_engine(transport, policy=RetryPolicy(wait=wait)).begin(READ).run()

    assert clock.slept == [0.05]
    assert "the default pause is taken" in caplog.text


@pytest.mark.parametrize(("status", "unbounded"), [(502, False), (429, False), (429, True)])
async def test_an_infinite_wait_ends_the_call(
    make_engine: Make, clock: FakeClock, status: int, unbounded: bool
) -> None:
    engine = make_engine(
        ScriptedTransport([reply(status)]), policy=RetryPolicy(wait=lambda _: math.inf)
    )
    with pytest.raises((ServerError, RateLimitError)):
        await engine.begin(UPDATE, unbounded=unbounded).run()

    assert clock.slept == []


async def test_a_stop_that_raises_ends_the_call_with_its_own_error(
    make_engine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(ScriptedTransport([reply(500)]), policy=RetryPolicy(stop=breaks))
    with pytest.raises(ServerError) as caught:
        await engine.begin(READ).run()

    assert (caught.value.__context__, caught.value.attempts) == (None, 1)
    assert "the call is not tried again" in caplog.text


def test_a_first_try_earns_little_and_never_past_the_capacity() -> None:
    quota = RetryQuota(tokens=498)

    for _ in range(5):
        quota.refund(None)

    assert quota.tokens == 500


def test_an_outage_ends_repetitions_after_35_calls() -> None:
    """Without the quota, 1,000 failing calls would be sent 2,000 times more."""
    quota = RetryQuota()

    assert sum(quota.spend(throttled=False) is not None for _ in range(1_000)) == 500 // 14


# ---------------------------------------------------------------- tenacity


def repeat(sleep: Callable[[float], Awaitable[None]]) -> tenacity.AsyncRetrying:
    """Return what repeats for ever, with a pause of half a second."""

    async def nothing(_: object) -> None:
        pass

    return retrying(
        wait=tenacity.wait_fixed(0.5),
        stop=tenacity.stop_never,
        before_sleep=nothing,
        retry_error_callback=lambda _: None,
        sleep=sleep,
    )


async def test_retrying_ends_with_the_first_outcome_that_is_final() -> None:
    slept: list[float] = []
    outcomes: Iterator[Retry | str] = iter([Retry(), Retry(), "done"])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def attempt() -> Retry | str:
        return next(outcomes)

    assert await repeat(sleep)(attempt) == "done"
    assert slept == [0.5, 0.5]


async def test_retrying_lets_an_exception_through_unchanged() -> None:
    async def attempt() -> Retry:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await repeat(asyncio.sleep)(attempt)


async def silently_skipped(retrying: Retrying) -> int:
    """Run 500 calls at once, half of which fail once; count those that never got done."""
    chance = random.Random(1)

    async def call(index: int) -> bool:
        needed = 1 if chance.random() > 0.5 else 2
        tried, done = 0, False
        async for attempt in retrying():
            with attempt:
                tried += 1
                await asyncio.sleep(0.001 * (index % 7))
                if tried < needed:
                    raise OSError("transient")
                done = True
        return done

    return sum(not done for done in await asyncio.gather(*map(call, range(500))))


class Retrying:
    """Gives the `tenacity.AsyncRetrying` to use for one call."""

    def __init__(self) -> None:
        self.shared = self.fresh()

    def __call__(self) -> tenacity.AsyncRetrying:
        return self.shared

    @staticmethod
    def fresh() -> tenacity.AsyncRetrying:
        return tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(5), wait=tenacity.wait_fixed(0.01), reraise=True
        )


async def test_a_shared_tenacity_object_would_skip_calls_without_a_word() -> None:
    """The control: why every call gets one of its own."""
    assert await silently_skipped(Retrying()) > 50


async def test_an_object_for_each_call_skips_none() -> None:
    class Fresh(Retrying):
        def __call__(self) -> tenacity.AsyncRetrying:
            return self.fresh()

    assert await silently_skipped(Fresh()) == 0


async def test_500_calls_that_repeat_at_once_all_end() -> None:
    """Ours, under the load that breaks a shared one."""
    chance = random.Random(1)

    async def call(index: int) -> str:
        left = 1 if chance.random() > 0.5 else 2

        async def attempt() -> Retry | str:
            nonlocal left
            await asyncio.sleep(0.001 * (index % 7))
            left -= 1
            return Retry() if left else "done"

        return str(await repeat(asyncio.sleep)(attempt))

    assert await asyncio.gather(*map(call, range(500))) == ["done"] * 500

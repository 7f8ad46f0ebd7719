"""Delays and quota.

The vectors are the published test cases of the retry behaviour that the AWS SDKs share since 2026,
with the jitter fixed to 1. A step is: what came, what follows, the quota then, the delay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.retry import Again, RetryPolicy, RetryQuota, repeating

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
        if self.failures >= self.policy.max_attempts:
            return "max_attempts", None
        self.cost = self.quota.spend(throttled=throttled)
        if self.cost is None and not throttled:
            return "quota", None
        count = self.throttles if throttled else self.failures
        delay = self.policy.delay(count, throttled=throttled, jitter=1.0, retry_after=asked)
        return "retry", delay


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
    policy = RetryPolicy()
    delays = [policy.delay(n, throttled=False, jitter=1.0) for n in range(1, 12)]

    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20]


def test_the_published_constants() -> None:
    policy, quota = RetryPolicy(), RetryQuota()

    assert (policy.max_attempts, policy.base, policy.throttle_base, policy.cap) == (3, 0.05, 1, 20)
    assert (quota.capacity, quota.fault_cost, quota.throttle_cost) == (500, 14, 5)
    assert (quota.first_try_refund, quota.tokens) == (1, 500)


# ---------------------------------------------------------------- policy and quota


@given(
    st.integers(1, 10**6),
    st.booleans(),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(0, 1e9)),
)
def test_a_delay_is_at_least_what_was_asked_and_else_at_most_the_cap(
    failures: int, throttled: bool, jitter: float, asked: float | None
) -> None:
    delay = RetryPolicy().delay(failures, throttled=throttled, jitter=jitter, retry_after=asked)

    assert delay >= (asked or 0.0)
    assert delay <= max(20.0, asked or 0.0)


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"base": 0}, {"throttle_base": 0}, {"cap": -1}]
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be >"):
        RetryPolicy(**wrong)


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


async def test_repeating_ends_with_the_first_outcome_that_is_final() -> None:
    slept: list[float] = []
    outcomes: Iterator[Again | str] = iter([Again(delay=0.5), Again(delay=0.0), "done"])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def attempt() -> Again | str:
        return next(outcomes)

    assert await repeating(sleep)(attempt) == "done"
    assert slept == [0.5, 0.0]


async def test_repeating_lets_an_exception_through_unchanged() -> None:
    async def attempt() -> Again:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await repeating(asyncio.sleep)(attempt)


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

        async def attempt() -> Again | str:
            nonlocal left
            await asyncio.sleep(0.001 * (index % 7))
            left -= 1
            return Again(delay=0.01) if left else "done"

        return str(await repeating(asyncio.sleep)(attempt))

    assert await asyncio.gather(*map(call, range(500))) == ["done"] * 500

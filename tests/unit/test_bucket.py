"""What refusals teach about the rate and the burst of a platform."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.limiter.bucket import FASTEST, SLOWEST, TokenBucket
from sigmamind_async.limiter.pacing import SendRecord
from sigmamind_async.limiter.rate import AdaptiveRate


class Platform:
    """A token bucket, and a client that sends to it as its learner lets it, without latency."""

    def __init__(self, rate: float, burst: float, wait: float) -> None:
        self.rate, self.burst, self.wait = rate, burst, wait
        self.tokens, self.at = burst, 0.0
        self.now, self.refused = 0.0, 0
        self.learner = AdaptiveRate()

    def send(self) -> bool:
        """Send one request as soon as it may go; return whether it was admitted."""
        learner = self.learner
        self.now = max(self.now + 0.001, learner.paused_until, learner.ready)
        learner.take(self.now)
        self.tokens = min(self.burst, self.tokens + (self.now - self.at) * self.rate)
        self.at = self.now
        if self.tokens >= 1.0 - 1e-9:
            self.tokens -= 1.0
            learner.passed(self.now, (self.now, 1, ""))
            return True
        self.refused += 1
        learner.refused(self.now, (self.now, 1, ""), self.wait)
        if self.wait:
            learner.pause(self.now + self.wait)
        return False

    def send_until(self, refused: int) -> None:
        """Send until so many were refused, and learn from the last of them."""
        while self.refused < refused:
            self.send()
        while not self.send():
            pass


@pytest.mark.parametrize(
    ("rate", "burst", "wait"), [(20, 5, 1), (10, 10, 5), (100, 1, 1), (50, 200, 60)]
)
def test_three_refusals_with_a_wait_give_rate_and_burst(
    rate: float, burst: float, wait: float
) -> None:
    platform = Platform(rate, burst, wait)
    platform.send_until(3)

    assert platform.learner.bucket.center == pytest.approx(rate, rel=0.15)
    assert platform.learner.bucket.burst == pytest.approx(burst, rel=0.3, abs=2)


@pytest.mark.parametrize(("rate", "burst"), [(20, 20), (20, 1), (200, 50)])
def test_a_dozen_refusals_without_a_wait_give_the_rate(rate: float, burst: float) -> None:
    platform = Platform(rate, burst, 0.0)
    platform.send_until(12)

    assert platform.learner.bucket.center == pytest.approx(rate, rel=0.05)
    assert platform.learner.bucket.doubt < 0.1


def test_a_rate_that_is_known_is_refused_once_in_a_hundred_requests_or_two() -> None:
    platform = Platform(20, 20, 0.0)
    platform.send_until(12)
    before, sent = platform.refused, 0
    while platform.now < 300.0:
        sent += platform.send()

    assert 1 / 300 < (platform.refused - before) / sent < 1 / 50


def test_a_constant_wait_costs_three_refusals_of_a_job() -> None:
    """600 rows at 10 a second, 5 s lost with each refusal: not many more than 60 seconds."""
    platform = Platform(10, 10, 5)
    done = 0
    while done < 600:
        done += platform.send()

    assert platform.refused <= 4
    assert platform.now < 60 + 4 * 5


def test_a_limit_that_halves_is_found_out() -> None:
    platform = Platform(20, 20, 0.0)
    platform.send_until(12)
    platform.rate = 10
    platform.send_until(platform.refused + 12)

    assert platform.learner.bucket.center == pytest.approx(10, rel=0.1)


def test_waits_that_differ_show_when_the_next_of_a_few_will_pass() -> None:
    """One each 10 s: a request 0.5 s after one that passed is told 10 s, the next after 2 s 8."""
    bucket = TokenBucket()
    bucket.begin([(0.0, 1)], attempted=100.0, seconds=0.1, wait=10.0)
    bucket.measure([(0.5, 1)], seconds=10.5, asked=2.0, most=math.inf, wait=10.0)
    bucket.measure([(2.0, 1)], seconds=11.5, asked=0.5, most=math.inf, wait=8.0)

    assert bucket.center == pytest.approx(0.1, rel=0.1)
    assert bucket.doubt < 0.1


def test_less_was_saved_up_because_the_rate_is_another_not_the_burst() -> None:
    """50 at once and 50 a second become 10 a second: after that is measured, the burst is back."""
    bucket = TokenBucket(center=50.0, burst=50.0)
    bucket.use_less_at_once(11, seconds=1.1, wait=1.0)
    assert bucket.spare < 10.0
    bucket.measure([(1.0, 10), (2.0, 20)], seconds=2.0, asked=12.0, most=math.inf, wait=1.0)

    assert bucket.center == pytest.approx(10.0, rel=0.2)
    assert bucket.spare == math.inf


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1_000),
            st.floats(1e-3, 1e4),
            st.floats(1e-3, 1e6),
            st.sampled_from([0.0, 1.0, 300.0]),
        ),
        max_size=30,
    )
)
def test_whatever_is_measured_the_estimate_is_positive_and_finite(
    measured: list[tuple[int, float, float, float]],
) -> None:
    bucket = TokenBucket()
    bucket.begin([(0.5, 10)], attempted=100.0, seconds=1.0, wait=0.0)
    for count, seconds, asked, wait in measured:
        stretches = [(seconds * n / 4, count * n // 4) for n in range(1, 5)]
        bucket.measure(stretches, seconds=seconds, asked=asked, most=math.inf, wait=wait)
        bucket.settle(wait)

    assert SLOWEST <= bucket.center <= FASTEST
    assert 0.0 < bucket.doubt < math.inf
    assert bucket.burst >= 1.0
    assert 0.0 < bucket.plateau < math.inf
    assert all(0.0 < bucket.curve(seconds) < math.inf for seconds in (0.0, 1.0, 1e6))


def test_a_record_keeps_its_size_and_its_count() -> None:
    record = SendRecord()
    for index in range(10_000):
        record.add(float(index), 1.0)
    record.strike(5_000.0)

    assert len(record.stretches(-1.0, math.inf)) <= 257
    assert record.count(-1.0, math.inf) == 9_999

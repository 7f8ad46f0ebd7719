"""What refusals with a wait teach about rate and burst."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.limiter.bucket import FASTEST, TokenBucketRate
from sigmamind_async.limiter.rate import AdaptiveRate, SendRecord


class Platform:
    """A token bucket, and a client that sends to it as its learner lets it, without latency."""

    def __init__(self, rate: float, burst: float, wait: float) -> None:
        self.rate, self.burst, self.wait = rate, burst, wait
        self.tokens, self.at = burst, 0.0
        self.now, self.refused = 0.0, 0
        self.learner: AdaptiveRate | TokenBucketRate = AdaptiveRate()

    def send(self) -> bool:
        """Send one request as soon as it may go; return whether it was admitted."""
        learner = self.learner
        self.now = max(self.now + 0.001, learner.paused_until)
        if learner.rate is not None:
            self.now = max(self.now, learner.ready)
        learner.take(self.now)
        self.tokens = min(self.burst, self.tokens + (self.now - self.at) * self.rate)
        self.at = self.now
        if self.tokens >= 1.0 - 1e-9:
            self.tokens -= 1.0
            learner.passed(self.now, (self.now, 1, ""))
            return True
        self.refused += 1
        if isinstance(learner, AdaptiveRate):
            self.learner = learner = TokenBucketRate.after(self.now, learner)
        learner.refused(self.now, (self.now, 1, ""), self.wait)
        learner.pause(self.now + self.wait)
        return False

    @property
    def bucket(self) -> TokenBucketRate:
        assert isinstance(self.learner, TokenBucketRate)
        return self.learner


@pytest.mark.parametrize(
    ("rate", "burst", "wait"), [(20, 5, 1), (10, 10, 5), (100, 1, 1), (50, 200, 60)]
)
def test_three_refusals_give_the_rate_and_the_burst(rate: float, burst: float, wait: float) -> None:
    platform = Platform(rate, burst, wait)
    while platform.refused < 3:
        platform.send()
    while not platform.send():  # it is learned when the next goes
        pass

    assert platform.bucket.center == pytest.approx(rate, rel=0.15)
    assert platform.bucket.burst == pytest.approx(burst, rel=0.3, abs=2)


def test_a_constant_wait_costs_three_refusals_of_a_job() -> None:
    """600 rows at 10 a second, 5 s lost with each refusal: not many more than 60 seconds."""
    platform = Platform(10, 10, 5)
    done = 0
    while done < 600:
        done += platform.send()

    assert platform.refused <= 4
    assert platform.now < 60 + 4 * 5


def test_a_window_is_used_up_at_once_when_it_begins() -> None:
    """1,000 in each 300 s are a bucket that a pause refills: what it has saved goes at once."""
    learner = AdaptiveRate()
    for index in range(1_000):
        learner.take(index / 1_000)
        learner.passed(index / 1_000, (index / 1_000, 1, ""))
    bucket = TokenBucketRate.after(1.0, learner)
    bucket.refused(1.0, (1.0, 1, ""), 299.0)
    bucket.pause(300.0)
    went = 0
    while went < 1_000 and (went == 0 or bucket.ready <= 301.0):
        bucket.take(max(300.0, bucket.ready))
        went += 1

    assert went >= 990


def test_a_request_that_was_sent_before_a_cut_teaches_nothing() -> None:
    platform = Platform(20, 5, 1)
    while platform.refused < 2:
        platform.send()
    platform.send()
    bucket = platform.bucket
    before = (bucket.center, bucket.doubt, bucket.burst, bucket.rate)
    for _ in range(50):
        bucket.refused(platform.now, (bucket.cut - 0.01, 1, ""), 1.0)
    bucket.take(platform.now + 2.0)

    assert (bucket.center, bucket.doubt, bucket.burst) == before[:3]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["pass", "refuse", "refuse late", "idle"]),
        st.floats(0.0, 500.0),  # seconds until then
        st.sampled_from([0.0, 0.001, 1.0, 30.0, 300.0, 1e9]),  # the wait that is reported
        st.integers(1, 100),  # under way
    ),
    max_size=60,
)


@given(EVENTS)
def test_after_any_events_the_rate_is_positive_and_finite_and_the_next_request_may_go(
    events: list[tuple[str, float, float, int]],
) -> None:
    now, bucket = 0.0, TokenBucketRate.after(0.0, AdaptiveRate())
    for what, seconds, wait, level in events:
        began, now = now, now + seconds
        if what != "idle":
            bucket.take(began)
        if what == "pass":
            bucket.passed(now, (began, level, ""))
        elif what == "refuse":
            bucket.pause(now + min(300.0, bucket.refused(now, (began, level, ""), wait)))
        elif what == "refuse late":
            bucket.refused(now, (began - 100.0, level, ""), wait)
    after = max(now, bucket.paused_until)
    bucket.take(after)

    assert bucket.rate is None or 0.0 < bucket.rate <= FASTEST
    assert 0.0 <= bucket.doubt < math.inf
    assert bucket.burst >= 1.0
    assert bucket.ready <= after + 120.0


def test_a_record_keeps_its_size_and_its_count() -> None:
    record = SendRecord()
    for index in range(10_000):
        record.add(float(index), 1.0)
    record.strike(5_000.0)

    assert len(record.stretches(-1.0, math.inf)) <= 257
    assert record.count(-1.0, math.inf) == 9_999


def test_a_kind_of_its_own_begins_at_its_share() -> None:
    """Its bucket is as large, its rate not known better than within a fifth, its pause the same."""
    platform = Platform(20, 5, 1)
    while platform.refused < 3:
        platform.send()
    whole = platform.bucket
    half = whole.separate(platform.now, 0.5)

    assert half.center == pytest.approx(0.5 * whole.center, rel=0.3)
    assert half.burst == whole.burst
    assert half.paused_until == whole.paused_until
    assert half.progress == 0

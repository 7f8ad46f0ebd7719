"""When requests may go, by what has passed and what was refused."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.limiter.bucket import FASTEST
from sigmamind_async.limiter.pacing import FIRST
from sigmamind_async.limiter.rate import AdaptiveRate
from tests.harness.pacing import answered


def test_without_a_refusal_there_is_no_rate() -> None:
    learner = AdaptiveRate()
    answered(learner, 1_000, rate=1_000)

    assert learner.rate is None


def test_a_limit_on_what_is_under_way_is_learned_on_a_clock_that_stands_still() -> None:
    """As a test's does: requests are answered in the moment in which they were sent."""
    rate = AdaptiveRate()
    for begins in (0.0, 10.0, 20.0, 30.0):
        answered(rate, 10, rate=10.0, begins=begins, level=19)
        rate.refused(begins + 5.0, (begins + 5.0, 20, ""), 1.0)
    width = rate.width

    answered(rate, 1, rate=1.0, begins=100.0, level=20)

    assert rate.rate is None
    assert width < rate.width < width + 0.1


def test_the_width_begins_small_and_grows_with_each_round() -> None:
    """A new client does not open with as many requests as it has connections."""
    learner = AdaptiveRate()
    answered(learner, 10, rate=10)

    assert (FIRST, learner.width) == (10.0, 15.0)


def test_a_rate_does_not_rise_past_what_is_known_unless_requests_pass() -> None:
    passing, silent = AdaptiveRate(rate=20.0), AdaptiveRate(rate=20.0)
    answered(passing, 500, rate=20)
    for index in range(500):
        silent.take(index / 20)

    assert passing.rate is not None
    assert silent.rate is not None
    assert passing.rate > 25.0
    assert silent.rate == pytest.approx(20.0, rel=0.01)


def test_refusals_of_requests_sent_before_a_cut_are_answered_by_it() -> None:
    learner = AdaptiveRate(rate=100.0)
    answered(learner, 100, rate=100)
    for index in range(50):
        learner.take(1.0 + index / 100)
    learner.refused(2.0, (1.0, 1, ""), 0.0)
    before = (learner.bucket.center, learner.bucket.doubt, learner.rate)
    for index in range(1, 50):
        learner.refused(2.0 + index / 100, (1.0 + index / 100, 1, ""), 0.0)

    assert (learner.bucket.center, learner.bucket.doubt, learner.rate) == before


def test_a_window_is_used_up_at_once_when_it_begins() -> None:
    """1,000 in each 300 s are a bucket that a pause refills: what it has saved goes at once."""
    learner = AdaptiveRate()
    answered(learner, 1_000, rate=1_000)
    learner.take(1.0)
    learner.refused(1.0, (1.0, 1, ""), 299.0)
    learner.pause(300.0)
    went = 0
    while went < 1_000 and (went == 0 or learner.ready <= 301.0):
        learner.take(max(300.0, learner.ready))
        went += 1

    assert went >= 990


def test_what_a_wait_has_saved_up_does_not_all_go_in_one_moment() -> None:
    """Were the wait too short, the first refusal stops the others."""
    learner = AdaptiveRate()
    answered(learner, 1_000, rate=1_000)
    learner.latency = 0.1
    learner.take(1.0)
    learner.refused(1.0, (1.0, 1, ""), 299.0)
    learner.pause(300.0)
    at, went = 300.0, list[float]()
    while len(went) < 900:
        went.append(at)
        learner.take(at)
        at = max(at, learner.ready)

    assert 0.05 < went[-1] - went[0] < 0.2


def test_where_nothing_passes_single_requests_try_ever_later() -> None:
    learner = AdaptiveRate(rate=20.0)
    at = answered(learner, 200, rate=20)
    tries = list[float]()
    while at < 210.0:
        at = max(at + 0.001, learner.ready)
        tries.append(at)
        learner.take(at)
        learner.refused(at, (at, 1, ""), 0.0)

    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert len(tries) < 80
    assert max(gaps) <= 5.0
    assert gaps[-1] > 3.0


def test_after_an_outage_the_rate_is_what_it_was() -> None:
    learner = AdaptiveRate(rate=20.0)
    at = answered(learner, 200, rate=20)
    while at < 60.0:
        at = max(at + 0.001, learner.ready)
        learner.take(at)
        learner.refused(at, (at, 1, ""), 0.0)
    for _ in range(250):
        at = max(at, learner.ready)
        learner.take(at)
        learner.passed(at, (at, 1, ""))

    assert learner.rate is not None
    assert learner.rate >= 15.0


def test_a_kind_of_its_own_begins_at_its_share() -> None:
    """Its bucket is as large, its rate not known better than within a fifth, its pause the same."""
    whole = AdaptiveRate(rate=20.0, paused_until=7.0)
    half = whole.separate(5.0, 0.5)

    assert half.bucket.center == pytest.approx(10.0, rel=0.01)
    assert half.bucket.burst == whole.bucket.burst
    assert half.paused_until == 7.0
    assert half.progress == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["pass", "refuse", "refuse late", "idle"]),
        st.floats(0.0, 500.0),  # seconds until then
        st.sampled_from([0.0, 0.0, 0.001, 1.0, 30.0, 300.0, 1e9]),  # the wait that is reported
        st.integers(1, 100),  # under way
    ),
    max_size=60,
)


AT_ONCE = [
    ("refuse late", 0.0, 0.001, 1),
    ("refuse", 0.0, 0.0, 1),
    ("pass", 1.0, 0.0, 1),
    ("pass", 0.0, 0.0, 1),
    ("pass", 0.0, 0.0, 1),
    ("refuse", 0.0, 0.0, 1),
]
"""A window that opens and is used up in one moment once divided by zero."""


@given(EVENTS)
@example(AT_ONCE)
def test_after_any_events_the_rate_is_positive_and_finite_and_the_next_request_may_go(
    events: list[tuple[str, float, float, int]],
) -> None:
    now, learner = 0.0, AdaptiveRate()
    for what, seconds, wait, level in events:
        began, now = now, now + seconds
        if what != "idle":
            learner.take(began)
        if what == "pass":
            learner.passed(now, (began, level, ""))
        elif what == "refuse":
            learner.pause(now + min(300.0, learner.refused(now, (began, level, ""), wait)))
        elif what == "refuse late":
            learner.refused(now, (began - 100.0, level, ""), wait)
    after = max(now, learner.paused_until)
    learner.take(after)

    assert learner.rate is None or 0.0 < learner.rate <= FASTEST
    assert 0.0 <= learner.bucket.doubt < math.inf
    assert learner.bucket.burst >= 1.0
    assert learner.width >= 1.0
    assert learner.ready <= after + 400.0


@given(EVENTS)
def test_after_any_events_it_comes_back_once_everything_passes(
    events: list[tuple[str, float, float, int]],
) -> None:
    now, learner = 0.0, AdaptiveRate()
    for what, seconds, wait, level in events:
        began, now = now, now + min(seconds, 20.0)
        if what != "idle":
            learner.take(began)
        if what == "pass":
            learner.passed(now, (began, level, ""))
        elif what.startswith("refuse"):
            learner.refused(now, (began, level, ""), min(wait, 30.0))
    now = max(now, learner.paused_until) + 1.0
    begins = now
    for _ in range(300):
        now = max(now, learner.ready)
        learner.take(now)
        learner.passed(now + 0.01, (now, 1, ""))

    assert now - begins < 3_000.0


def test_a_request_that_was_planned_ahead_while_more_may_go_never_slows_the_rate() -> None:
    """What may go at once as a closed window opens is more than the time since the last one."""
    learner = AdaptiveRate(rate=1.0, lag=0.25)
    learner.rate = 0.5
    for index in range(200):
        learner._tokens = 50.0  # noqa: SLF001 - as the opening of a window leaves it
        learner.take(index / 1000)

    assert learner.rate >= 0.5

"""The rules by which processes learn a rate; `test_shared_gate` shows what they add up to."""

from __future__ import annotations

import pytest

from sigmamind_async.limiter.pacing import FIRST
from sigmamind_async.workers.shared_rate import SLOWEST, TOLERATED, FixedWindow, SharedRate
from tests.harness.pacing import answered


def test_without_a_refusal_there_is_no_rate() -> None:
    pace = SharedRate()
    answered(pace, 1_000, rate=1_000)

    assert pace.rate is None


def test_the_width_begins_small_and_doubles_with_each_round() -> None:
    """A new client does not open with as many requests as it has connections."""
    pace = SharedRate()
    answered(pace, 10, rate=10)

    assert (FIRST, pace.width) == (10.0, 20.0)


def test_a_refusal_sets_the_rate_near_what_was_delivered() -> None:
    """400 passed at an even 20 a second: one refusal at 30 is no reason for 15."""
    pace = SharedRate(rate=30.0, known=20.0)
    at = answered(pace, 400, rate=20)
    pace.rate = 30.0  # what has grown meanwhile is not the point
    pace._credit = 0.0  # noqa: SLF001 - nothing else brings the case about as quickly
    pace.refused(at, (at, 1, ""), 0.0)

    assert pace.rate == pytest.approx((20 * 30) ** 0.5, rel=0.02)


def test_a_refusal_costs_at_least_a_few_percent() -> None:
    pace = SharedRate(rate=20.0, known=20.0)
    at = answered(pace, 400, rate=20)
    pace.rate = 20.0
    pace._credit = 0.0  # noqa: SLF001 - likewise
    pace.refused(at, (at, 1, ""), 0.0)

    assert pace.rate == pytest.approx(0.96 * 20.0)


def test_refusals_of_requests_sent_before_a_cut_are_answered_by_it() -> None:
    pace = SharedRate(rate=100.0)
    for index in range(50):
        pace.refused(5.0 + index / 100, (4.0 + index / 100, 1, ""), 1.0)

    assert pace.rate == pytest.approx(25.0)


def test_one_refusal_in_a_hundred_cuts_nothing() -> None:
    pace = SharedRate(rate=20.0, known=20.0)
    at = 0.0
    for _ in range(50):
        at = answered(pace, 99, rate=20, begins=at)
        before = pace.rate
        pace.refused(at, (at, 1, ""), 0.0)
        assert pace.rate == before


def test_where_refusals_come_at_half_the_rate_as_often_more_are_tolerated() -> None:
    """They are drawn by lot: one in thirty would cut for good, and slower is no better."""
    pace = SharedRate(rate=20.0, known=20.0, best=100.0)
    at = answered(pace, 100, rate=20)
    pace.rate, pace._credit = 20.0, 0.0  # noqa: SLF001 - likewise
    pace.refused(at, (at, 1, ""), 0.0)

    assert pace.rate == 20.0
    assert pace._tolerated > TOLERATED  # noqa: SLF001 - it shows in thousands of requests


def test_a_refusal_that_asks_for_a_wait_is_never_tolerated() -> None:
    """Each stops everybody, so it is worth a slower rate to have fewer."""
    pace = SharedRate(rate=20.0, known=20.0)
    at = answered(pace, 99, rate=20)
    before = pace.rate
    pace.refused(at, (at, 1, ""), 1.0)

    assert before is not None
    assert pace.rate is not None
    assert pace.rate <= 0.96 * before


def test_a_window_that_is_used_up_gives_its_rate_at_once() -> None:
    """150 pass in a second, and the next is told to wait 59 seconds: 2.5 a second."""
    pace = SharedRate()
    at = answered(pace, 150, rate=150)
    pace.refused(at, (at, 1, ""), 59.0)

    assert pace.rate == pytest.approx(2.5, rel=0.02)


def test_a_success_lets_a_rate_grow_only_where_it_holds_requests_back() -> None:
    """A rate that nobody needs is no rate that passed."""
    needed, idle = SharedRate(rate=20.0), SharedRate(rate=20.0)
    answered(needed, 50, rate=20)
    answered(idle, 50, rate=2)

    assert needed.rate is not None
    assert needed.rate > 20.0
    assert idle.rate == 20.0


def test_no_cut_goes_below_the_slowest_rate() -> None:
    pace = SharedRate(rate=0.21, known=0.21, credit=0.0)
    pace.refused(5.0, (5.0, 1, ""), 0.0)

    assert pace.rate == SLOWEST


def test_where_nothing_passes_at_any_rate_there_is_a_pause_that_grows() -> None:
    """And the rate is what it was as soon as something does: it is not what was wrong."""
    pace = SharedRate(rate=20.0, known=20.0, usual=20.0, credit=0.0)
    pauses = [pace.refused(at, (at, 1, ""), 0.0, jitter=1.0) for at in map(float, range(10))]
    assert pauses == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]

    pace.passed(10.0, (9.5, 1, ""))
    assert pace.rate == pytest.approx(20.0, rel=0.02)


def test_a_silent_window_gives_its_rate_when_it_opens_again() -> None:
    """150 pass at once, then nothing until a minute has gone: 2.5 a second."""
    pace = SharedRate()
    at = answered(pace, 150, rate=150)
    while at < 60.0:
        at += 0.1 + pace.refused(at, (at, 1, ""), 0.0)
    pace.take(at)
    pace.passed(at, (at, 1, ""))

    assert pace.rate == pytest.approx(150 / at, rel=0.05)


def test_refusals_at_one_number_under_way_set_the_width_and_not_the_rate() -> None:
    """Five places: four pass freely, the sixth is refused, again and again."""
    pace = SharedRate(rate=50.0, known=50.0)
    at = 0.0
    for _ in range(8):
        at += 0.1
        for index in range(100):
            at += 0.02
            pace.take(at)
            pace.passed(at, (at, 1 + index % 5, ""))
        pace._credit = 0.0  # noqa: SLF001 - nothing else brings the case about as quickly
        pace.refused(at, (at, 6, ""), 0.0)

    assert pace.width == 5.0
    assert pace.rate is not None
    assert pace.rate > 45.0


# ---------------------------------------------------------------- limits of other kinds


def test_a_window_that_opens_again_gives_its_rate() -> None:
    """150 pass at once, then nothing for the rest of a minute: 2.5 a second, less one percent."""
    window = FixedWindow()
    window.begin(0.0, 150)
    refused = [window.refused(1.0, passed=150, is_known=False)]
    refused += [window.refused(at, passed=0, is_known=False) for at in (1.5, 2.0, 2.5, 3.0)]
    rate = window.reopen(60.0)

    assert refused == [False, False, False, False, True]
    assert rate == pytest.approx(0.99 * 150 / 60)
    assert not window.is_closed


def test_a_window_that_has_repeated_is_tried_when_it_opens() -> None:
    window = FixedWindow()
    window.begin(0.0, 150)
    for opens in (60.0, 120.0):
        window.refused(opens - 59.0, passed=150, is_known=True)
        for _ in range(4):
            window.refused(opens - 58.0, passed=0, is_known=True)
        window.reopen(opens)
    window.refused(121.0, passed=150, is_known=True)

    assert window.length == pytest.approx(60.0)
    assert 121.0 + window.next_try(121.0, jitter=0.0) == pytest.approx(120.0 + 0.96 * 60.0)


def test_a_pause_of_a_second_after_a_few_requests_is_no_window() -> None:
    """The control: a bucket that was empty for a moment."""
    window = FixedWindow()
    window.begin(0.0, 5)
    for at in (10.0, 10.1, 10.2, 10.3):
        window.refused(at, passed=5 if at == 10.0 else 0, is_known=True)

    assert window.reopen(11.0) is None

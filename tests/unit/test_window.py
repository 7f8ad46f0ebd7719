"""Reports of a rate limit's window: spread, and believed while they are consistent."""

from __future__ import annotations

import math
from collections import Counter

import attrs
import pytest

from sigmamind_async.limiter.window import RateLimitWindow
from sigmamind_async.responses.headers import Remaining
from tests.harness.servers import BASE
from tests.harness.simulator import run

REPORTING = BASE["150 a minute, told with every answer"]


def report(
    window: RateLimitWindow, at: float, left: int, reset: float, began: float | None = None
) -> float:
    """Report the response to a request that was sent just now, or at *began*."""
    sent = at if began is None else began
    return window.update(at, (sent, 1, ""), Remaining(left, reset))


# ---------------------------------------------------------------- spreading


def test_what_is_left_is_spread_over_the_time_that_is_left() -> None:
    window = RateLimitWindow()
    report(window, 0.0, 120, 60.0)
    for _ in range(13):  # those ahead of their time
        window.take(0.0)

    assert window.spacing == pytest.approx(0.5)
    assert window.due == pytest.approx(0.5)


def test_a_window_that_is_used_up_is_a_pause_for_all_requests() -> None:
    assert report(RateLimitWindow(), 0.0, 0, 45.0) == 45.0


def test_a_window_without_further_reports_is_forgotten() -> None:
    window = RateLimitWindow()
    report(window, 0.0, 10, 60.0)
    window.take(1_000.0)

    assert (window.spacing, window.due) == (0.0, -math.inf)


def early(counts: list[float]) -> float:
    """Return the most requests, of 150, that came in the first tenth of one window."""
    return max(Counter(int(at // 60) for at in counts if at % 60 < 6).values()) / 150


def test_no_window_begins_with_a_burst() -> None:
    """A tenth ahead of time, a tenth in its time; before the first answer a few more."""
    came = run(attrs.evolve(REPORTING, rows=900), seed=1).arrivals

    assert early(came) <= 0.3
    assert early([at for at in came if at >= 60]) <= 0.2


def test_without_hints_the_first_window_begins_with_a_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control."""
    monkeypatch.setattr("tests.harness.simulator.remaining", lambda *_: None)

    assert early(run(attrs.evolve(REPORTING, rows=300), seed=1).arrivals) > 0.9


# ---------------------------------------------------------------- believing


def is_believed(window: RateLimitWindow) -> bool:
    """Whether another answer is heeded."""
    report(window, 1_000.0, 10, 60.0)
    return window.spacing > 0.0


def test_a_window_that_is_used_up_evenly_is_believed() -> None:
    """Its end is told in whole seconds, and answers come out of order."""
    window = RateLimitWindow()
    for second in range(1, 50):
        report(window, float(second), 100 - second, math.ceil(60 - second + 0.9))
        report(window, float(second), 101 - second, math.ceil(60 - second + 0.9), second - 1.5)

    assert is_believed(window)


def test_an_end_that_moves_on_is_a_bucket_and_no_window() -> None:
    window = RateLimitWindow()
    for index in range(8):
        report(window, index / 10, 100 - index, 2.0 + index / 2)

    assert not is_believed(window)


def test_a_number_that_never_becomes_less_is_made_up() -> None:
    window = RateLimitWindow()
    for index in range(8):
        report(window, float(index), 1, 60.0 - index)

    assert not is_believed(window)


def test_a_new_window_that_is_used_up_already_is_made_up() -> None:
    """Such headers may stop a job once, and not for good."""
    window = RateLimitWindow()
    pauses = [report(window, at, 0, 60.0) for at in (0.0, 60.0, 120.0)]

    assert pauses == [60.0, 0.0, 0.0]
    assert not is_believed(window)


def test_a_second_rounded_up_begins_no_window() -> None:
    window = RateLimitWindow()
    report(window, 0.0, 3, 1.0)

    assert window.spacing == 0.0

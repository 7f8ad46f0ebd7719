"""What platforms say of their windows: read, spread, and believed while it holds together."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from benchmarks.throttles import EPOCH, Window, arrivals
from sigmamind_async import allowance
from sigmamind_async.allowance import Allowance, Remaining, remaining

TOLD = {
    "x-ratelimit-limit": "150",
    "x-ratelimit-remaining": "90",
    "x-ratelimit-reset": "30",
}


def read(**changed: str | None) -> Remaining | None:
    """Read the headers above, some of them changed."""
    changes = {"x-ratelimit-" + name: value for name, value in changed.items()}
    headers = {name: value for name, value in {**TOLD, **changes}.items() if value is not None}
    return remaining(headers, lambda: EPOCH)


def hear(heard: Allowance, at: float, left: int, reset: float, began: float | None = None) -> float:
    """Let the allowance hear an answer that was sent at once, or at *began*."""
    sent = at if began is None else began
    return heard.learn(at, (sent, 1, ""), Remaining(left, reset))


# ---------------------------------------------------------------- reading


def test_a_reset_is_read_in_seconds_and_as_the_time_of_day() -> None:
    assert read() == Remaining(90, 30.0)
    assert read(reset=str(EPOCH + 30)) == Remaining(90, 30.0)


def test_the_headers_without_an_x_say_the_same() -> None:
    headers = {name.removeprefix("x-"): value for name, value in TOLD.items()}

    assert remaining(headers, lambda: EPOCH) == Remaining(90, 30.0)


def test_the_limit_need_not_be_said() -> None:
    assert read(limit=None) == Remaining(90, 30.0)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-1", "1e999", "0x10", "30, 30;w=60"])
def test_a_value_that_is_no_count_is_ignored(value: str) -> None:
    assert read(remaining=value) is None
    assert read(reset=value) is None


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [("151", "30"), ("90", "0"), ("90", "301"), ("90", str(EPOCH - 1)), ("90", str(EPOCH + 301))],
)
def test_what_cannot_be_or_is_no_short_window_is_ignored(remaining: str, reset: str) -> None:
    """More than the limit, an end that has passed, and a day's quota."""
    assert read(remaining=remaining, reset=reset) is None


def test_an_answer_that_says_nothing_is_no_hint() -> None:
    assert remaining({"content-type": "text/html"}, lambda: EPOCH) is None
    assert read(reset=None) is None


# ---------------------------------------------------------------- spreading


def test_what_is_left_is_spread_over_the_time_that_is_left() -> None:
    heard = Allowance()
    hear(heard, 0.0, 120, 60.0)
    for _ in range(13):  # those ahead of their time
        heard.take(0.0)

    assert heard.spacing == pytest.approx(0.5)
    assert heard.due == pytest.approx(0.5)


def test_what_is_used_up_is_a_pause_for_everybody() -> None:
    assert hear(Allowance(), 0.0, 0, 45.0) == 45.0


def test_a_window_that_nobody_speaks_of_any_more_is_forgotten() -> None:
    heard = Allowance()
    hear(heard, 0.0, 10, 60.0)
    heard.take(1_000.0)

    assert (heard.spacing, heard.due) == (0.0, -math.inf)


def early(counts: list[float]) -> float:
    """Return the most requests, of 150, that came in the first tenth of one window."""
    return max(Counter(int(at // 60) for at in counts if at % 60 < 6).values()) / 150


def test_no_window_begins_with_a_burst() -> None:
    """A tenth ahead of time, a tenth in its time; before the first answer a few more."""
    came = arrivals(lambda: Window("seconds", always=True), rows=900)

    assert early(came) <= 0.3
    assert early([at for at in came if at >= 60]) <= 0.2


def test_without_hints_the_first_window_begins_with_a_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control."""
    monkeypatch.setattr("benchmarks.throttles.remaining", lambda *_: None)

    assert early(arrivals(lambda: Window("seconds", always=True), rows=300)) > 0.9


# ---------------------------------------------------------------- believing


def is_believed(heard: Allowance) -> bool:
    """Whether another answer is heeded."""
    hear(heard, 1_000.0, 10, 60.0)
    return heard.spacing > 0.0


def test_a_window_that_is_used_up_evenly_is_believed() -> None:
    """Its end is told in whole seconds, and answers come out of order."""
    heard = Allowance()
    for second in range(1, 50):
        hear(heard, float(second), 100 - second, math.ceil(60 - second + 0.9))
        hear(heard, float(second), 101 - second, math.ceil(60 - second + 0.9), second - 1.5)

    assert is_believed(heard)


def test_an_end_that_moves_on_is_a_bucket_and_no_window() -> None:
    heard = Allowance()
    for index in range(8):
        hear(heard, index / 10, 100 - index, 2.0 + index / 2)

    assert not is_believed(heard)


def test_a_number_that_never_becomes_less_is_made_up() -> None:
    heard = Allowance()
    for index in range(8):
        hear(heard, float(index), 1, 60.0 - index)

    assert not is_believed(heard)


def test_a_new_window_that_is_used_up_already_is_made_up() -> None:
    """Such headers may stop a job once, and not for good."""
    heard = Allowance()
    pauses = [hear(heard, at, 0, 60.0) for at in (0.0, 60.0, 120.0)]

    assert pauses == [60.0, 0.0, 0.0]
    assert not is_believed(heard)


def test_a_second_rounded_up_begins_no_window() -> None:
    heard = Allowance()
    hear(heard, 0.0, 3, 1.0)

    assert heard.spacing == 0.0


def test_a_days_quota_is_not_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with no longest window it would be."""
    assert read(reset="86400") is None

    monkeypatch.setattr(allowance, "LONGEST", 100_000.0)
    assert read(reset="86400") == Remaining(90, 86_400.0)

"""Limits that are no bucket: what finds them, and what speaks against them."""

from __future__ import annotations

import pytest

from sigmamind_async.limiter.detectors import ConcurrencyLimit, RandomRefusals, WindowLimit

# ---------------------------------------------------------------- requests under way


def refused_at(
    limit: ConcurrencyLimit, level: int, *, times: int, passing: int, told: bool = False
) -> list[bool]:
    found = list[bool]()
    for turn in range(times):
        for _ in range(10):
            limit.passed(passing)
        found.append(limit.refused(turn + 0.5, turn, level, told=told))
    return found


def found_limit(level: int) -> ConcurrencyLimit:
    limit = ConcurrencyLimit()
    assert refused_at(limit, level, times=6, passing=level - 1)[-1]
    return limit


def test_refusals_at_one_number_under_way_find_a_concurrency_limit() -> None:
    found = refused_at(ConcurrencyLimit(), 6, times=4, passing=5)

    assert found == [False, False, True, True]


def test_fewer_are_needed_where_each_costs_a_pause() -> None:
    assert refused_at(ConcurrencyLimit(), 20, times=3, passing=19, told=True) == [
        False,
        True,
        True,
    ]


def test_refusals_of_one_moment_are_one() -> None:
    limit = ConcurrencyLimit()

    assert not any(limit.refused(1.0, 0.5, 6, told=True) for _ in range(20))


def test_requests_that_pass_at_that_number_speak_against_a_concurrency_limit() -> None:
    """Then refusals depend on the rate, and the number is an accident."""
    assert not any(refused_at(ConcurrencyLimit(), 6, times=20, passing=9))


def test_refusals_at_any_number_find_no_concurrency_limit() -> None:
    limit = ConcurrencyLimit()

    assert not any(
        limit.refused(turn + 0.5, turn, 5 + turn % 5 * 5, told=True) for turn in range(40)
    )


def test_a_refusal_of_a_single_request_is_no_concurrency_limit() -> None:
    assert not any(refused_at(ConcurrencyLimit(), 1, times=20, passing=0))


@pytest.mark.parametrize(("level", "passing", "times"), [(10, 19, 1), (20, 0, 8), (19, 0, 8)])
def test_refusals_that_another_limit_makes_end_it(level: int, passing: int, times: int) -> None:
    """They come far below that number, or though nothing has passed."""
    limit = found_limit(20)
    for turn in range(times):
        if passing:
            limit.passed(passing)
        limit.refused(100.5 + turn, 100.0 + turn, level, told=False)

    assert not limit.is_found
    assert not any(refused_at(limit, 20, times=2, passing=19)), "it must be found anew"


def test_one_that_is_overtaken_by_one_too_many_does_not_end_it() -> None:
    limit = found_limit(6)
    limit.passed(5)

    assert limit.refused(100.5, 100.0, 5, told=False)
    assert limit.most == 6


# ---------------------------------------------------------------- windows


def silent_window(size: int, length: float, *, cycles: int) -> tuple[WindowLimit, bool]:
    """Use up some windows at once, and try in between whether they have opened."""
    window, found = WindowLimit(opened=0.0), False
    for cycle in range(cycles):
        opened = cycle * length
        sent = [opened + index / 100 for index in range(size)]
        found = window.close(opened + size / 100, size, wait=0.0, sent=sent)
        window.refuse(opened + 0.9 * length)
        window.open(opened + length)
    return window, found


@pytest.mark.parametrize(("size", "length"), [(3, 1.0), (150, 60.0), (20, 7.0)])
def test_two_silent_windows_that_admit_as_many_are_windows(size: int, length: float) -> None:
    window, found = silent_window(size, length, cycles=2)

    assert found
    assert window.size == size
    assert window.length == pytest.approx(length, rel=0.05)


def test_one_window_is_none() -> None:
    assert not silent_window(150, 60.0, cycles=1)[1]


def test_what_a_bucket_can_have_gained_is_no_window() -> None:
    """The control: 20 pass in each of two seconds, of which it was silent for a twentieth."""
    window = WindowLimit(opened=0.0)
    found = list[bool]()
    for at in (0.0, 1.05, 2.1):
        sent = [at + index / 20 for index in range(20)]
        found.append(window.close(at + 1.0, 20, wait=0.0, sent=sent))
        window.refuse(at + 1.04)
        window.open(at + 1.05)

    assert found == [False, False, False]


def test_a_known_window_is_never_used_twice() -> None:
    """In no stretch of its length do more go than it admits, but for one that tests it."""
    window, _ = silent_window(20, 10.0, cycles=2)
    now, sent = 20.0, list[float]()
    while now < 200.0:
        sent.append(now)
        now = max(now, window.take(now))
        window.passed(sent[-1] - 1.0)

    most = max(sum(at <= other < at + 10.0 for other in sent) for at in sent)
    assert most <= 21
    assert len(sent) >= 20 * 17


def sizes_while_all_pass(size: int) -> list[int]:
    """Return the sizes that a window is believed to have, until it is believed no more."""
    window, _ = silent_window(size, 10.0, cycles=2)
    now, sizes = 20.0, [size]
    for _ in range(500 * size):
        sent, now = now, max(now, window.take(now))
        if not window.passed(sent):
            return sizes
        if window.size > sizes[-1]:
            sizes.append(window.size)
    pytest.fail("it was never tested")


@pytest.mark.parametrize(
    ("size", "believed"), [(3, [3]), (20, [20, 21]), (100, [*range(100, 105)])]
)
def test_requests_more_than_its_size_that_pass_disprove_a_window(
    size: int, believed: list[int]
) -> None:
    """One in 25 may have been missed when it was counted; what is more is another limit."""
    assert sizes_while_all_pass(size) == believed


def test_what_is_late_refused_makes_no_room_in_a_window() -> None:
    """A request sent before the window was found to be full took none, and frees none."""
    window, found, sent = WindowLimit(opened=0.0), False, list[float]()
    for opened in (0.0, 10.0):
        sent = [opened + index / 100 for index in range(110)]
        found = window.close(opened + 1.1, 100, wait=0.0, sent=sent)
        window.refuse(opened + 9.0)
        window.open(opened + 10.0)
    full_until = window.ready(11.2)
    for at in sent[-10:]:
        window.refused(11.3, at, late=True)

    assert found
    assert 20.0 <= window.ready(11.3) <= full_until


def test_refusals_of_its_own_requests_disprove_a_window() -> None:
    window, _ = silent_window(20, 10.0, cycles=2)
    still = list[bool]()
    for at in (30.0, 40.0, 50.0, 60.0):
        window.take(at)
        still.append(window.refused(at, at, late=False))

    assert still == [True, True, True, False]


# ---------------------------------------------------------------- refusals by lot


def test_three_refusals_of_a_hundred_below_a_rate_that_has_passed_say_nothing() -> None:
    lot = RandomRefusals()
    tolerated = list[bool]()
    for _ in range(50):
        for _ in range(33):
            lot.passed()
        tolerated.append(lot.tolerates(below=True))

    assert all(tolerated)


def test_refusals_above_every_rate_that_has_passed_are_never_by_lot() -> None:
    lot = RandomRefusals()
    for _ in range(1_000):
        lot.passed()

    assert not any(lot.tolerates(below=False) for _ in range(50))


def test_one_refusal_in_five_is_more_than_a_lot_explains() -> None:
    lot = RandomRefusals()
    tolerated = 0
    for _ in range(100):
        for _ in range(4):
            lot.passed()
        tolerated += lot.tolerates(below=True)

    assert tolerated < 25


def test_the_first_two_refusals_of_all_change_nothing() -> None:
    lot = RandomRefusals()

    assert [lot.forgives() for _ in range(4)] == [True, True, False, False]

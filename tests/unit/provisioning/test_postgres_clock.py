"""The database's clock, as well as it can be known from answers that take their time."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.postgres.journal import CLOCK_STALE, DatabaseClock
from sigmamind_async.provisioning.journal.protocol import clock_for


@attrs.define
class Here:
    """A monotonic clock that goes when it is told to."""

    moment: float = 100.0

    def __call__(self) -> float:
        return self.moment


def test_the_first_answer_is_taken_for_half_way_back() -> None:
    here = Here()
    clock = DatabaseClock(here)
    clock.learn(100.0, 5_001.0, 102.0)
    assert clock.now() == 5_000.0
    here.moment = 110.0
    assert clock.now() == 5_010.0


def test_an_answer_that_took_long_moves_nothing() -> None:
    clock = DatabaseClock(Here())
    clock.learn(100.0, 5_000.0, 100.0)
    clock.learn(100.0, 5_000.5, 160.0)
    assert clock.now() == 5_000.0


@pytest.mark.parametrize(("told", "now"), [(5_003.0, 5_002.0), (4_997.0, 4_998.0)])
def test_one_that_contradicts_moves_as_little_as_need_be(told: float, now: float) -> None:
    clock = DatabaseClock(Here())
    clock.learn(100.0, 5_000.0, 100.0)
    clock.learn(99.0, told, 101.0)
    assert clock.now() == now


def test_it_is_stale_until_it_was_told_lately() -> None:
    here = Here()
    clock = DatabaseClock(here)
    stale = [clock.is_stale]
    clock.learn(100.0, 5_000.0, 100.0)
    for seconds in (CLOCK_STALE, 1.0):
        here.moment += seconds
        stale.append(clock.is_stale)
    assert stale == [True, False, True]


_DELAYS = st.floats(0.0, 30.0)


@given(st.lists(st.tuples(_DELAYS, _DELAYS), min_size=1), st.floats(-1e6, 1e6))
def test_it_is_never_farther_off_than_the_quickest_answer_allows(
    delays: list[tuple[float, float]], offset: float
) -> None:
    here = Here()
    clock = DatabaseClock(here)
    for there, back in delays:
        asked = here.moment
        here.moment += there + back
        clock.learn(asked, asked + there + offset, here.moment)
    bound = min(there + back for there, back in delays)
    assert abs(clock.now() - (here.moment + offset)) <= bound + 1e-6


def test_a_journal_without_a_clock_leaves_each_to_his_own() -> None:
    assert clock_for(MemoryJournal(), lambda: 7.0)() == 7.0

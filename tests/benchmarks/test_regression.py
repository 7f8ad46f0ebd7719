"""Finding out that a call has become dearer, without a clock of one's own."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.regression import (
    FUNCTIONS,
    PLANTS,
    TOLERANCES,
    TRIES,
    UPDATE,
    Judgement,
    Measuring,
    Reading,
    functions,
    judge,
    read_baseline,
)


def once(*readings: Reading) -> tuple[Measuring, list[Reading]]:
    """Return what measures *readings* one after the other, and what is left of them."""
    left = list(readings)
    return lambda: left.pop(0), left


def judged(measure: Measuring, name: str = UPDATE, *, same: bool = True) -> Judgement:
    [one] = judge({name: measure}, {name: 1.0}, same_versions=same)
    return one


def test_a_ratio_within_its_tolerance_passes_at_once() -> None:
    measure, left = once(Reading(ratio=1.14, control=1.5), Reading(ratio=9.0))

    assert judged(measure).passed
    assert len(left) == 1


def test_what_stays_dearer_fails() -> None:
    measure, left = once(*[Reading(ratio=1.16, control=1.5)] * TRIES)

    assert judged(measure).words == "DEARER"
    assert left == []


def test_what_was_dearer_only_once_passes() -> None:
    measure, _ = once(Reading(ratio=1.3, control=1.7), Reading(ratio=1.0, control=1.3))

    assert judged(measure).passed


def test_nothing_passes_where_the_control_goes_unnoticed() -> None:
    """On a machine that cannot tell 30 % from nothing, "as before" would be a guess."""
    measure, _ = once(*[Reading(ratio=1.0, control=1.1)] * TRIES)

    assert judged(measure).words == "TOO RESTLESS TO TELL"


@pytest.mark.parametrize(("same", "passed"), [(True, False), (False, True)])
def test_what_is_counted_is_held_less_strictly_against_other_versions(
    same: bool, passed: bool
) -> None:
    assert judged(lambda: Reading(ratio=1.05), FUNCTIONS, same=same).passed is passed


def test_the_baseline_holds_every_ratio() -> None:
    ratios, _ = read_baseline()

    assert set(ratios) == set(TOLERANCES)


def functions_of(plant: str | None = None) -> float:
    """Return the functions that an update calls, as a multiple of plain aiohttp's."""
    planted = None if plant is None else PLANTS[plant]
    return asyncio.run(functions(planted)).ratio


@pytest.mark.usefixtures("unmeasured")
def test_what_makes_an_update_dearer_is_found_by_counting_alone() -> None:
    """Tenacity round each call, an empty TraceConfig, one timer more. The control: no change."""
    limit = functions_of() * (1 + TOLERANCES[FUNCTIONS])

    assert functions_of() <= limit
    assert {plant for plant in PLANTS if functions_of(plant) > limit} == set(PLANTS)

"""How a figure stands to its goal."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS, Figure, Goal, Standing, figure

FASTER = Goal(what="speed", unit="x", least=1.05, reach=1.15)
CHEAPER = Goal(what="cost", unit="us", least=10, reach=5)


@pytest.mark.parametrize(
    ("goal", "value", "standing"),
    [
        (FASTER, 1.15, Standing.REACHED),
        (FASTER, 1.1, Standing.MET),
        (FASTER, 1.05, Standing.MET),
        (FASTER, 1.0499, Standing.NOT_MET),
        (CHEAPER, -3.0, Standing.REACHED),
        (CHEAPER, 5.0, Standing.REACHED),
        (CHEAPER, 5.1, Standing.MET),
        (CHEAPER, 10.1, Standing.NOT_MET),
    ],
)
def test_more_or_less_is_better_as_the_goal_says(
    goal: Goal, value: float, standing: Standing
) -> None:
    """No rounding lifts a figure over its bar."""
    assert goal.standing(value) is standing


def test_a_figure_of_less_than_the_goal_is_about_is_not_judged() -> None:
    """A thousand calls in flat memory say nothing of a million."""
    few = Figure(goal="growth", value=0.0, judged=False)

    assert few.standing is Standing.NOT_JUDGED
    assert Figure(goal="growth", value=0.0).standing is Standing.REACHED


def test_the_median_is_what_is_judged() -> None:
    assert figure("bulk", (0.5, 3.5, 4.0)).standing is Standing.NOT_MET


def test_every_goal_asks_for_more_than_will_do() -> None:
    assert all(goal.least != goal.reach for goal in GOALS.values())

"""What the guide shows is what was measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.chart import svg
from benchmarks.goals import GOALS
from benchmarks.publish import PAGE, RESULTS, charts, with_table


@pytest.fixture
def results() -> Any:
    return json.loads((RESULTS / "results.json").read_text())


def test_the_guide_shows_the_stored_figures(results: Any) -> None:
    """A figure is measured, never typed."""
    page = PAGE.read_text()

    assert with_table(page, results) == page


def test_a_figure_that_was_changed_by_hand_is_found(results: Any) -> None:
    """The negative control."""
    page = PAGE.read_text()
    results["figures"][0]["value"] += 1.0

    assert with_table(page, results) != page


def test_the_charts_are_drawn_from_the_stored_figures(results: Any) -> None:
    drawn = {name: svg(chart) for name, chart in charts(results).items()}

    assert drawn == {path.stem: path.read_text() for path in RESULTS.glob("*.svg")}
    assert set(drawn) == {"peers", "update"}


def test_every_goal_has_a_figure(results: Any) -> None:
    assert {one["goal"] for one in results["figures"]} == set(GOALS)


def test_the_guide_shows_the_stored_figures_of_growth() -> None:
    """Those of `python -m benchmarks scale`, each with its spread, machine and load."""
    scale = pytest.importorskip("benchmarks.scale", reason="needs the extra postgres")
    results, page = json.loads(scale.FILE.read_text()), scale.PAGE.read_text()
    assert scale.with_table(page, results) == page
    next(iter(results.values()))["machine"] = "another"
    assert scale.with_table(page, results) != page

"""Charts: honest axes, proportional bars, well-formed documents."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import LEFT, Bar, Chart, axis, lines_of, svg

NS = {"svg": "http://www.w3.org/2000/svg"}


def drawn(*bars: Bar, foot: str = "on a machine") -> ET.Element:
    return ET.fromstring(svg(Chart(title="a < b", subtitle="s", bars=bars, foot=foot)))


def bar(value: float, *, name: str = "n", remark: str = "", ours: bool = False) -> Bar:
    return Bar(name=name, value=value, low=value, high=value, remark=remark, ours=ours)


@pytest.mark.parametrize(
    ("most", "end", "step"), [(7, 8, 2), (100, 100, 20), (4_670, 5_000, 1_000), (0.9, 1.0, 0.2)]
)
def test_an_axis_holds_the_longest_in_round_steps(most: float, end: float, step: float) -> None:
    assert axis(most) == pytest.approx((end, step))


def test_bars_begin_at_zero_and_are_as_long_as_their_values() -> None:
    """The control: a cut axis would show another ratio."""
    shapes = drawn(bar(50), bar(100)).findall("svg:rect[@x]", NS)
    widths = [float(shape.get("width", "")) for shape in shapes]

    assert {shape.get("x") for shape in shapes} == {str(LEFT)}
    assert widths[1] / widths[0] == pytest.approx(2.0, rel=0.001)


def test_ours_stands_out_and_every_value_is_written() -> None:
    root = drawn(bar(50, name="ours", ours=True), bar(1_234, name="theirs", remark="24.7 x ours"))
    words = ["".join(each.itertext()) for each in root.findall("svg:text", NS)]

    assert [shape.get("class") for shape in root.findall("svg:rect[@x]", NS)] == ["ours", "other"]
    assert {"a < b", "ours", "theirs", "50", "1,234 24.7 x ours", "on a machine"} <= set(words)


def test_a_long_foot_is_broken_between_words() -> None:
    lines = lines_of("word " * 60)

    assert len(lines) > 1
    assert " ".join(lines).split() == ["word"] * 60
    assert max(map(len, lines)) <= 112

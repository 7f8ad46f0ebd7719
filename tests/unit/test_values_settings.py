"""Seconds and counts, wherever they are set."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sigmamind_async.bulk import StopOn
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.values import check_count, check_seconds


@pytest.mark.parametrize("value", [0.001, 1, 86_400.0])
def test_seconds(value: float) -> None:
    check_seconds("deadline", value)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("1", "must be a number of seconds"),
        (None, "must be a number of seconds"),
        (True, "must be a number of seconds"),
        (0, "must be more than 0 seconds, and finite"),
        (-1.0, "must be more than 0 seconds, and finite"),
        (math.inf, "must be more than 0 seconds, and finite"),
        (math.nan, "must be more than 0 seconds, and finite"),
        (10**400, "must be more than 0 seconds, and finite"),
    ],
)
def test_what_is_no_number_of_seconds(value: object, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=f"deadline: {rule}"):
        check_seconds("deadline", value)


def test_seconds_from_0() -> None:
    check_seconds("settle_time", 0, zero=True)

    with pytest.raises(ConfigurationError, match="must be 0 seconds or more, and finite"):
        check_seconds("settle_time", math.nan, zero=True)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(ConfigurationError, match="concurrency: must be a whole number from 1"):
        check_count("concurrency", value)


@pytest.mark.parametrize(
    "wrong", [{"share": True}, {"share": math.nan}, {"least": -1}, {"least": 0}, {"least": "20"}]
)
def test_a_stop_that_cannot_be_counted_is_refused(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(ConfigurationError, match=f"StopOn: {name}: must be"):
        StopOn(**wrong)


@pytest.mark.parametrize("seconds", [True, math.nan, math.inf])
def test_a_patience_that_never_ends_is_refused(seconds: float) -> None:
    """`None` says so."""
    with pytest.raises(ConfigurationError, match="StopOn: patience: must be"):
        StopOn(patience=seconds)

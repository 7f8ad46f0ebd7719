"""What a gate has learned: stored by one process, read by another, maybe of another release."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.limiter.snapshot import VERSION, RateSnapshot
from sigmamind_async.workers.shared_rate import SharedRate

TEXT = SharedRate().snapshot().to_text()


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(TEXT), **values})


def test_a_snapshot_survives_being_stored() -> None:
    """With a value in every field that is not the default."""
    fields = [field.name for field in attrs.fields(RateSnapshot) if field.name != "version"]
    values: dict[str, Any] = {name: 0.01 * count for count, name in enumerate(fields, start=1)}
    snapshot = RateSnapshot(**values)

    rate = SharedRate()
    rate.adopt(5.0, 40.0, RateSnapshot.from_text(snapshot.to_text()))

    assert rate.snapshot() == snapshot
    assert rate.rate == 40.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1, 2]",
        "[" * 100_000,
        '{"_spell": 80.0, "_goal": 9.0, "_firm": false}',
        changed(version=VERSION + 1),
        changed(version=VERSION + 1, something_new=1.0),
        changed(something_new=1.0),
        changed(probation=0.0),
        changed(tolerated=1.5),
        changed(best_rate=math.nan),
        changed(target_rate=-1.0),
        changed(target_rate=math.inf),
        changed(usual_rate="fast"),
        changed(best_rate=None),
    ],
)
def test_what_cannot_be_used_is_ignored(text: str) -> None:
    """Another version's, or a value that would divide by zero: then the rate alone is adopted."""
    rate = SharedRate()
    before = rate.snapshot()

    snapshot = RateSnapshot.from_text(text)
    rate.adopt(5.0, 40.0, snapshot)

    assert snapshot is None
    assert rate.snapshot() == before
    assert rate.rate == 40.0


def test_the_text_that_the_others_change_can_be_used() -> None:
    """The control."""
    assert RateSnapshot.from_text(changed(probation=80.0)) is not None


@given(st.text() | st.dictionaries(st.text(), st.floats()).map(json.dumps))
def test_no_text_raises(text: str) -> None:
    assert RateSnapshot.from_text(text) is None

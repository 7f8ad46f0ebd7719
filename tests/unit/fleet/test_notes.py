"""What is remembered of a row, and what is left to write once a request has been answered."""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async.errors import JournalError
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.step import (
    Change,
    after_release,
    after_sync,
    find_changes,
    merge_shown,
    note_creation,
    remaining_changes,
)
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import NUMBER, bought, found, imported, note, row

# ---------------------------------------------------------------- notes


def test_a_note_is_read_as_it_was_written() -> None:
    """Null, texts and numbers keep their kinds."""
    applied = note(
        bought(label="\u00e9", area_code=415, inbound_agent_id=None), shown={"label": None}
    )

    assert LastApplied.load("a", applied.dump()) == applied


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"platform": "x"}', '{"newer": 1}'])
def test_a_note_that_cannot_be_read(text: str) -> None:
    """Another version may have written it: nothing is done on half of one."""
    with pytest.raises(JournalError) as caught:
        LastApplied.load("a", text)

    assert str(caught.value) == "the journal's note about 'a' cannot be read by this version"


@pytest.mark.parametrize(
    ("cell", "kept"),
    [("x", "x"), ("", None), (None, None), (0, 0), (415, 415), (Secret("pw"), "***")],
)
def test_what_is_remembered(cell: Any, kept: Any) -> None:
    """Of a secret that it was there; an empty text is nothing."""
    assert normalize_cell(cell) == kept


def test_no_secret_is_in_a_note() -> None:
    """Neither one in the open, nor what stands behind a reference."""
    made = imported(trunk_password=Secret("hunter22"), twilio_auth_token="env:TOKEN")

    text = after_sync(made, found(), None, 1).dump()

    assert "hunter22" not in text
    assert '"trunk_password":"***","twilio_auth_token":"env:TOKEN"' in text


# ---------------------------------------------------------------- numbers that have just come


def test_a_number_that_has_just_come() -> None:
    """What its request said is remembered, and nothing more."""
    made = bought(label="L", inbound_agent_id=None)

    assert note_creation(made, {"country_code": "US", "label": "L"}, 3, found()) == LastApplied(
        platform="sigmamind",
        record=NUMBER,
        phone_number=NUMBER,
        source="purchase",
        sequence=3,
        fields={"country_code": "US", "label": "L"},
    )


@pytest.mark.parametrize("platform", ["sigmamind", "verbex"])
def test_a_number_that_came_as_it_was_asked_for(platform: str) -> None:
    """Nothing is left to write."""
    made = bought("a", platform, label="L")
    there = found(platform, label="L")

    assert remaining_changes(made, there, note_creation(made, made.fields, 1, there)) == ()


def test_what_the_request_did_not_take() -> None:
    """It is written behind it."""
    made = bought("a", "dialnexa", label="L", inbound_agent_id="x", accounting_label="9")
    there = found("dialnexa", label=None)

    assert remaining_changes(
        made, there, note_creation(made, {"country_code": "US"}, 1, there)
    ) == (
        Change("label", None, "L"),
        Change("inbound_agent_id", None, "x"),
        Change("accounting_label", None, "9"),
    )


def test_what_the_platform_made_otherwise() -> None:
    """It is written once more, and nobody else is blamed for it."""
    made = bought(label="L")
    there = found(label="Cut\u2026")

    assert remaining_changes(made, there, note_creation(made, made.fields, 1, there)) == (
        Change("label", "Cut\u2026", "L"),
    )


# ---------------------------------------------------------------- numbers that are as wanted


def test_a_row_as_it_was_applied() -> None:
    """All that it says, and what the platform shows otherwise."""
    made = bought(label="L", inbound_agent_id="x")
    there = found(label="l", inbound_agent_id="x", test_number="+1")

    assert after_sync(made, there, None, 2) == LastApplied(
        platform="sigmamind",
        record=NUMBER,
        phone_number=NUMBER,
        source="purchase",
        sequence=2,
        fields={"country_code": "US", "label": "L", "inbound_agent_id": "x"},
        shown={"label": "l"},
    )


def test_the_source_is_the_first_one() -> None:
    """A bought number stays a bought one: it could not be told later."""
    assert after_sync(imported(), found(), note(bought()), 2).source == "purchase"


def test_another_platform_has_another_memory() -> None:
    """What was said there was never said here."""
    before = note(bought(area_code=415, label="L", trunk_password="env:A"))

    now = after_sync(imported("a", "verbex"), found("verbex", label="X"), before, 2)

    assert (now.fields, now.shown, now.source) == ({"phone_number": NUMBER}, {}, "import")


def test_what_a_row_says_no_more_is_forgotten() -> None:
    """Said again, it is written again, whatever the platform shows by then."""
    made = row("a", label="L", trunk_username="u")
    there = found(label="Others")
    silent = after_sync(row("a"), there, note(made), 2)

    assert silent.fields == {}
    assert [*find_changes(made, VENDORS["sigmamind"], there, silent)] == [
        Change("label", "Others", "L"),
        Change("trunk_username", None, "u"),
    ]


def test_what_counts_only_when_a_number_comes_is_not_forgotten() -> None:
    """It can never be said again, and what was said first is what counted."""
    before = note(bought(area_code=415, label="L"))

    assert after_sync(row(), found(), before, 2).fields == {"country_code": "US", "area_code": 415}
    assert after_sync(bought(area_code=212), found(), before, 2).fields["area_code"] == 415


def test_what_was_kept_is_still_drift() -> None:
    """The memory stays as it was: the field is neither applied nor forgotten."""
    made = row(label="L", test_number="+1")
    before = note(row(label="L"), shown={"label": "l"})
    there = found(label="X", test_number="+1")
    kept = [Change("label", "X", "M", drifted=True)]

    now = after_sync(row(label="M", test_number="+1"), there, before, 2, kept)

    assert (now.fields, now.shown) == ({"label": "L", "test_number": "+1"}, {"label": "l"})
    assert [*find_changes(made, VENDORS["sigmamind"], there, now)] == [
        Change("label", "X", "L", drifted=True)
    ]


def test_a_field_that_the_platform_ignores() -> None:
    """It is written once, and normalize_cell as it is shown."""
    made = row("a", label="L")
    now = after_sync(made, found(label=None), None, 1)

    assert now.shown == {"label": None}
    assert [*find_changes(made, VENDORS["sigmamind"], found(label=None), now)] == []


# ---------------------------------------------------------------- numbers that are gone


def test_a_number_that_was_released() -> None:
    """Its row has none any more, and counts on."""
    assert after_release(bought(), "sigmamind", 5) == LastApplied(
        platform="sigmamind", record="", phone_number="", source="purchase", sequence=5
    )


# ---------------------------------------------------------------- answers


def test_an_answer_that_is_shorter_than_the_listing() -> None:
    """What only the listing told is still known; what both tell is as the answer says."""
    before, now = found(label="L", test_number="+1"), found(label="M")

    assert merge_shown(before, now) == found(label="M", test_number="+1")
    assert merge_shown(None, now) == now

"""Wanted, last applied and found: what an update must write, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change, find_changes, find_fixed_changes
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import bought, found, imported, note, row

NOTHING: list[Change] = []
DETACHED = "inbound_agent_id"


def changes(
    made: FleetRow, applied: LastApplied | None, *, rewrite_secrets: bool = False, **shown: Any
) -> list[Change]:
    one = found(made.platform, **shown)
    capability = VENDORS[made.platform]
    return [*find_changes(made, capability, one, applied, rewrite_secrets=rewrite_secrets)]


# ---------------------------------------------------------------- three sides


@pytest.mark.parametrize(
    ("wanted", "applied", "shown", "expected"),
    [
        ("A", "A", "A", NOTHING),
        ("B", "A", "A", [Change("label", "A", "B")]),
        ("A", "A", "B", [Change("label", "B", "A", drifted=True)]),
        ("C", "A", "B", [Change("label", "B", "C", drifted=True)]),
        ("B", "A", "B", NOTHING),
        ("A", "A", None, [Change("label", None, "A", drifted=True)]),
        (None, "A", "A", [Change("label", "A", None)]),
        (None, "A", "B", [Change("label", "B", None, drifted=True)]),
        (None, "A", None, NOTHING),
        ("A", None, None, [Change("label", None, "A")]),
        ("A", None, "B", [Change("label", "B", "A", drifted=True)]),
    ],
)
def test_a_field_that_is_shown(
    wanted: str | None, applied: str | None, shown: str | None, expected: list[Change]
) -> None:
    """Drift is what is found and is neither applied nor wanted."""
    before = note(row("a", "verbex", label=applied))

    assert changes(row("a", "verbex", label=wanted), before, label=shown) == expected


@pytest.mark.parametrize(
    ("wanted", "shown", "expected"),
    [
        ("A", "A", NOTHING),
        ("A", "B", [Change("label", "B", "A")]),
        (None, "B", [Change("label", "B", None)]),
        (None, None, NOTHING),
        ("", None, NOTHING),
    ],
)
def test_a_field_that_was_never_applied(
    wanted: str | None, shown: str | None, expected: list[Change]
) -> None:
    """Nobody can have changed behind our back what we never wrote."""
    made = row("a", "verbex", label=wanted)

    assert changes(made, None, label=shown) == expected
    assert changes(made, note(row("a", "verbex")), label=shown) == expected


@pytest.mark.parametrize(
    ("wanted", "applied", "expected"),
    [
        ("A", "A", NOTHING),
        ("B", "A", [Change("trunk_username", "A", "B")]),
        (None, "A", [Change("trunk_username", "A", None)]),
        (None, None, NOTHING),
        ("", None, NOTHING),
        ("A", None, [Change("trunk_username", None, "A")]),
    ],
)
def test_a_field_that_is_not_shown(
    wanted: str | None, applied: str | None, expected: list[Change]
) -> None:
    """It is as it was applied last: nothing else is known."""
    before = note(row(trunk_username=applied))

    assert changes(row(trunk_username=wanted), before) == expected


def test_a_hidden_field_that_was_never_applied() -> None:
    """It is written, unless it is to be empty."""
    assert changes(row(trunk_username="A"), None) == [Change("trunk_username", None, "A")]
    assert changes(row("a", "verbex", trunk_username=None), None) == NOTHING


def test_what_a_row_does_not_say() -> None:
    """It is left alone, whatever was applied and whatever is found."""
    assert changes(row(), note(row(label="A")), label="B") == NOTHING


def test_what_no_update_takes() -> None:
    """It is no change: see `find_fixed_changes`."""
    assert changes(bought(area_code=415), None, label="B") == NOTHING


@pytest.mark.parametrize("shown", ["a", None])
def test_a_spelling_of_the_platforms_own(shown: str | None) -> None:
    """Where it still shows what it did then, nothing has changed; a new wish is written."""
    before = note(row(label="A"), shown={"label": shown})

    assert changes(row(label="A"), before, label=shown) == NOTHING
    assert changes(row(label="B"), before, label=shown) == [Change("label", shown, "B")]
    assert changes(row(label="A"), before, label="x") == [Change("label", "x", "A", drifted=True)]


def test_an_empty_text_that_the_platform_ignores() -> None:
    """It is not written again and again: it means the same as null."""
    before = note(row(label=normalize_cell("")), shown={"label": "Old"})

    assert changes(row(label=""), before, label="Old") == NOTHING
    assert changes(row("a", "dialnexa", accounting_label=""), note(row("a", "dialnexa"))) == NOTHING


# ---------------------------------------------------------------- secrets


def test_a_secret_behind_the_same_reference() -> None:
    """A new one is not noticed, and is written only where that is asked for."""
    made = row(trunk_password="env:A")

    assert changes(made, note(made)) == NOTHING
    assert changes(made, note(made), rewrite_secrets=True) == [
        Change("trunk_password", "env:A", "env:A")
    ]


def test_a_secret_behind_another_reference() -> None:
    """It is written; the change tells references only."""
    before = note(row(trunk_password="env:A"))

    assert changes(row(trunk_password="env:B"), before) == [
        Change("trunk_password", "env:A", "env:B")
    ]


def test_a_secret_in_the_open() -> None:
    """Nothing of it is in a change."""
    made = row(trunk_password=Secret("12345678"))

    assert changes(made, None) == [Change("trunk_password", None, "***")]
    assert changes(made, note(row(trunk_password="***"))) == NOTHING


def test_other_fields_are_not_written_with_the_secrets() -> None:
    """Only passwords cannot be compared."""
    made = row(trunk_username="u")

    assert changes(made, note(made), rewrite_secrets=True) == NOTHING


# ---------------------------------------------------------------- fixed when the number came


def fixed(made: FleetRow, applied: LastApplied | None) -> list[str]:
    return [*find_fixed_changes(made, VENDORS[made.platform], applied)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (bought(area_code=415), bought(area_code=212), ["area_code"]),
        (bought(area_code=415), bought(area_code=415), []),
        (bought(area_code=415), bought(), []),
        (bought(), bought(area_code=212), ["area_code"]),
        (row(), bought(area_code=212), []),
        (
            bought("a", "dialnexa", type="local"),
            bought("a", "dialnexa", type="mobile", country_code="GB"),
            ["country_code", "type"],
        ),
        (imported("a", "verbex"), imported("a", "verbex", trunk_username="u"), []),
        (
            imported("a", "verbex", sip_infra_region="bd"),
            imported("a", "verbex", sip_infra_region="global"),
            ["sip_infra_region"],
        ),
    ],
)
def test_what_counts_only_when_a_number_comes(
    before: FleetRow, after: FleetRow, expected: list[str]
) -> None:
    """Said otherwise later it would have no effect, and nobody would know."""
    assert fixed(after, note(before)) == expected


def test_a_fixed_field_of_a_number_that_nothing_is_known_of() -> None:
    """It may well have come so."""
    assert fixed(bought(area_code=415), None) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("env:A", "env:B", ["trunk_password"]),
        ("env:A", Secret("x"), []),
        ("***", "env:A", []),
        ("***", Secret("x"), []),
    ],
)
def test_a_password_that_counts_only_when_a_number_comes(
    before: str, after: Any, expected: list[str]
) -> None:
    """DialNexa takes it with the import alone; in the open it cannot be compared."""
    made = imported("a", "dialnexa", trunk_username="u", trunk_password=before)

    assert fixed(imported("a", "dialnexa", trunk_password=after), note(made)) == expected

"""What a person reads of an operation: the request, what happened, what can be decided."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from sigmamind_async.cli.journal_location import FileJournal
from sigmamind_async.cli.output.events import JournalRow, JournalStatus, UnsettledRow
from sigmamind_async.cli.output.journal_status import (
    journal_row_of,
    journal_status_of,
    row_id_of,
    summary,
)
from sigmamind_async.provisioning.journal.protocol import Status
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Kind, Row, State, Step
from tests.cli.rendering import drawn

ROW = Row(
    op_id="row-7 #1",
    account="sigmamind",
    kind=Kind.PURCHASE,
    request_type="CreatePhoneNumber",
    request_fields={"country_code": "US", "friendly_name": "Support"},
    token="7Q2MX4KDJWPTB",
    state=State.UNCONFIRMED,
    attempt=1,
    unconfirmed_since=1_000.0,
    absent_listings=2,
    error="sigmamind.create_phone_number: the connection broke",
    history=(Step(990.0, "attempt 1: sending"), Step(1_000.0, "attempt 1: the connection broke")),
)
UNDECIDED = attrs.evolve(ROW, state=State.NEEDS_DECISION)
PLACE = FileJournal("a.csv", Path("a.csv.journal.db"))


def event_of(row: Row) -> JournalRow:
    return journal_row_of(row, 900.0, PLACE)


def unsettled(row: Row) -> UnsettledRow:
    found = event_of(row).unsettled
    assert found is not None
    return found


def decisions(row: Row) -> list[str]:
    return [each.decision for each in unsettled(row).resolutions]


def status_of(*rows: Row) -> JournalStatus:
    status = Status(
        account="sigmamind",
        counts={row.state: 1200 for row in rows},
        purchase_count=1202,
        unconfirmed=[row for row in rows if row.state in UNSETTLED],
        need_decision=[row for row in rows if row.state in NEED_DECISION],
        settle_time=900.0,
    )
    return journal_status_of(status, PLACE, "sigmamind", 1_010.0)


def test_a_request_is_one_line_without_secrets() -> None:
    assert summary(ROW) == "buy any number country_code='US' friendly_name='Support'"
    imported = attrs.evolve(
        ROW,
        kind=Kind.IMPORT,
        key="+14155550100",
        request_fields={"phone_number": "+14155550100"},
        secret_fields=("trunk_password",),
    )
    assert summary(imported) == "import +14155550100 trunk_password=***"


@pytest.mark.parametrize(
    ("op_id", "row_id"),
    [
        ("desk #1", "desk"),
        ("desk #12.release", "desk"),
        ("desk #1.0a1b2c3d", "desk"),
        ("desk #2 #1", "desk #2"),
        ("order-1042", "order-1042"),
        ("#1", "#1"),
    ],
)
def test_a_row_has_the_name_that_it_has_in_the_file(op_id: str, row_id: str) -> None:
    assert row_id_of(op_id) == row_id


def test_every_state_that_needs_a_decision_has_its_resolutions_and_no_other() -> None:
    assert decisions(ROW) == []
    assert decisions(UNDECIDED) == ["adopt", "retry_unconfirmed", "abandon"]
    duplicate = attrs.evolve(ROW, state=State.DUPLICATE, duplicates=("b",))
    assert decisions(duplicate) == ["adopt", "release_duplicates"]
    kept = attrs.evolve(duplicate, phone_number="+14155550100")
    assert decisions(kept) == ["release_duplicates", "abandon"]
    settled = set(State) - UNSETTLED - NEED_DECISION
    assert all(event_of(attrs.evolve(ROW, state=state)).unsettled is None for state in settled)


def test_a_status_begins_with_what_needs_a_decision() -> None:
    text = drawn(status_of(ROW, UNDECIDED))
    lines = text.splitlines()

    assert lines[0] == "a.csv.journal.db (sigmamind): 1 row needs a decision, 1 unconfirmed"
    assert lines[2:5] == [
        "  1,200  unconfirmed",
        "  1,200  needs a decision",
        "  1,202  numbers count as bought",
    ]
    assert "    sigmamind reconcile a.csv --only row-7 --retry-unconfirmed" in lines
    assert "  the label of its number would end in [sm:7Q2MX4KDJWPTB.1]" in lines
    assert text.index("row-7: needs a decision") < text.index("row-7: unconfirmed since")
    assert 'safe to conclude "not bought" after ' in text
    assert "(14:50 left)" in text
    assert "sigmamind.create_phone_number" not in text


@pytest.mark.parametrize(("row", "hidden"), [(UNDECIDED, 30), (ROW, 45)])
def test_many_rows_are_cut_for_a_person(row: Row, hidden: int) -> None:
    """Earlier where there is nothing to decide."""
    many = status_of(*(attrs.evolve(row, op_id=f"r{number}") for number in range(50)))

    assert len(many.rows) == 50
    assert f"and {hidden} more of these; --json shows all" in drawn(many)


@pytest.mark.parametrize("width", [40, 80])
def test_a_command_is_never_broken(width: int) -> None:
    row = attrs.evolve(UNDECIDED, op_id="x" * 60)
    command = unsettled(row).resolutions[0].command

    assert any(line.strip() == command for line in drawn(status_of(row), width).splitlines())


def test_who_sends_what_is_left_is_named_once() -> None:
    planned = status_of(attrs.evolve(ROW, state=State.PLANNED))
    assert "The next apply sends planned rows and retries failed ones." in drawn(planned)
    handed_on = attrs.evolve(planned, sender="a worker")
    assert "A worker sends planned rows; the next apply retries failed ones." in drawn(handed_on)

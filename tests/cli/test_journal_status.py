"""What a person reads of an operation: what was asked, what happened, what can be done."""

import re

import attrs

from sigmamind_async.cli.output.journal_status import describe, operator_choices, summary
from sigmamind_async.provisioning.row import Kind, Row, State, Step

ROW = Row(
    op_id="row-7",
    account="sigmamind",
    kind=Kind.PURCHASE,
    request_type="CreatePhoneNumber",
    request_fields={"country_code": "US", "friendly_name": "Support"},
    token="7Q2MX4KD9WPTB",
    state=State.UNCONFIRMED,
    attempt=1,
    unconfirmed_since=1_000.0,
    absent_listings=2,
    history=(Step(990.0, "attempt 1: sending"), Step(1_000.0, "attempt 1: the connection broke")),
)


def words(row: Row) -> list[str]:
    return [word for word, _ in operator_choices(row)]


def test_what_was_asked_is_one_line_without_secrets() -> None:
    assert summary(ROW) == (
        "to buy a number that the platform picks country_code='US' friendly_name='Support'"
    )
    imported = attrs.evolve(
        ROW,
        kind=Kind.IMPORT,
        key="+14155550100",
        request_fields={"phone_number": "+14155550100"},
        secret_fields=("trunk_password",),
    )
    assert summary(imported) == "to import +14155550100 trunk_password=***"


def test_the_story_tells_each_step_and_until_when_absence_proves_nothing() -> None:
    lines = describe(ROW, 900.0)
    assert lines[0].startswith("asked to buy")
    assert re.fullmatch(r"1970-01-\d\d \d\d:\d\d:\d\d  attempt 1: sending", lines[1])
    assert lines[3] == "its number would carry [sm:7Q2MX4KD9WPTB.1] in its label"
    assert "2 listings" in lines[4]
    assert "proves nothing before" in lines[5]
    assert len(describe(attrs.evolve(ROW, state=State.DONE), 900.0)) == 4


def test_every_state_that_waits_for_a_person_has_a_way_out_and_no_other() -> None:
    ways = {state: words(attrs.evolve(ROW, state=state)) for state in State}
    assert ways.pop(State.NEEDS_DECISION) == ["adopt", "retry-unconfirmed", "abandon"]
    assert ways.pop(State.DUPLICATE) == ["adopt", "release-duplicates"]
    assert not any(ways.values())
    kept = attrs.evolve(ROW, state=State.DUPLICATE, phone_number="+14155550100", duplicates=("b",))
    assert words(kept) == ["release-duplicates", "abandon"]

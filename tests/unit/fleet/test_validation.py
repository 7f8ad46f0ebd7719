"""Rows by themselves: what a platform does not take is named before anything is sent."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.row_parser import problems_of
from sigmamind_async.fleet.spec import FIELDS, DesiredState, FleetRow
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import NUMBER, PLATFORMS, absent, bought, imported, row

TRUNK = {
    "termination_uri": "sip.example",
    "trunk_username": "u",
    "trunk_password": "env:PASSWORD",
}
TWILIO = {"twilio_account_sid": "AC1", "twilio_auth_token": "env:TOKEN"}


def saying(platform: str, field: str, cell: Any, make: Any = row) -> FleetRow:
    made: FleetRow = make("a", platform, **{field: cell})
    return made


def told(made: FleetRow) -> list[str]:
    return [str(problem) for problem in problems_of(made)]


# ---------------------------------------------------------------- what is right


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("make", [bought, imported])
def test_a_row_that_says_the_least(make: Any, platform: str) -> None:
    """It needs nothing more."""
    assert told(make("a", platform)) == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_existing_number_needs_its_number_only(platform: str) -> None:
    """Even that is not asked for here: the journal may know it."""
    assert told(row("a", platform, phone_number=NUMBER)) == []
    assert told(row("a", platform)) == []


@pytest.mark.parametrize(
    "made",
    [
        imported("a", "sigmamind", label="L", test_number="+14155550199", **TRUNK),
        imported("a", "verbex", label="L", sip_infra_region="bd", **TRUNK),
        imported("a", "verbex", label="L", inbound_agent_id="x", **TWILIO),
        imported(
            "a", "dialnexa", label="L", accounting_label="9", **{**TRUNK, "auth_mode": "userpass"}
        ),
        bought("a", "sigmamind", area_code=415, label="L", inbound_agent_id="x"),
        bought("a", "verbex", label="L", outbound_agent_id="x"),
        bought("a", "dialnexa", type="local", label="L", inbound_agent_id="x"),
        bought("a", "dialnexa", phone_number=NUMBER),
    ],
    ids=lambda made: f"{made.platform}-{made.source.value}",
)
def test_a_row_that_says_the_most(made: FleetRow) -> None:
    """Secrets are references, which are not looked at yet."""
    assert told(made) == []


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("+1415555", "has too few digits: after +1 come 10, not 6"),
        ("+141555501000", "has too many digits: after +1 come 10, not 11"),
        ("+7495555010", "has too few digits: after +7 come 10, not 9"),
        ("+14155550100", ""),
        ("+74955550100", ""),
        ("+44207946", ""),
    ],
)
def test_a_number_has_the_digits_of_its_country_code(number: str, problem: str) -> None:
    """Where every number has as many. Control: what the account has already is as it is."""
    wrong = [problem] if problem else []
    assert told(imported(phone_number=number)) == [f"a phone_number: {each}" for each in wrong]
    assert told(row(test_number=number)) == [f"a test_number: {each}" for each in wrong]
    assert told(row(phone_number=number)) == []


def test_a_secret_in_the_open() -> None:
    """Whoever allows it may say it so."""
    assert told(imported(trunk_password=Secret("12345678"))) == []


# ---------------------------------------------------------------- the row


@pytest.mark.parametrize(
    ("made", "field", "message"),
    [
        (row("a", "acme", phone_number="1"), "platform", "'acme' is unknown"),
        (row("", phone_number=NUMBER), "id", "must be text of 1 to 128 printable characters"),
        (row("x" * 129), "id", "must be text of 1 to 128 printable characters"),
        (row("two\nlines"), "id", "contains a line end, U+000A, as character 4; delete it"),
        (row(lable="x"), "", "unknown field 'lable'; did you mean 'label'?"),
        (row(label=7), "label", "is a number here; write it as text, in quotes"),
        (row(label=True), "label", "is true or false here; write it as text, in quotes"),
        (row(label=Secret("x")), "label", "is a secret here; write it as text, in quotes"),
        (row(trunk_password=12345678), "trunk_password", "is a number here; write it as text"),
        (bought(area_code="x"), "area_code", "must be a whole number like 415"),
        (bought(area_code=True), "area_code", "must be a whole number like 415"),
        (bought(area_code=41.5), "area_code", "must be a whole number like 415"),
    ],
)
def test_a_row_made_in_code_of_which_no_platform_is_asked(
    made: FleetRow, field: str, message: str
) -> None:
    """Its names and types are those that a file may have, with the place that it says."""
    (problem,) = fleet_of([attrs.evolve(made, line=7)]).problems

    assert (problem.field, problem.line) == (field, 7)
    assert problem.message.startswith(message)


def test_an_id_as_long_as_may_be() -> None:
    """128 characters, in any script."""
    assert told(row("\u00e9" * 128, phone_number=NUMBER)) == []


@pytest.mark.parametrize("state", [*DesiredState])
def test_a_number_that_is_none(state: DesiredState) -> None:
    """Rows that give it up are looked at as well: no other number may be meant."""
    (problem,) = problems_of(attrs.evolve(row(phone_number="4155550100"), state=state))

    assert problem.field == "phone_number"
    assert problem.message == (
        "'4155550100' is not a phone number like '+14155550100' ('+', then 7 to 15 digits, no"
        " spaces)"
    )


def test_what_an_absent_row_says_beside_its_number() -> None:
    """It is of no account: nothing of it is written."""
    assert told(absent(row(label="", nonsense="x", phone_number=NUMBER))) == []


# ---------------------------------------------------------------- what platforms take


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            row("a", "dialnexa", outbound_agent_id="x"),
            "a outbound_agent_id: does not exist on dialnexa, only on sigmamind and verbex",
        ),
        (
            bought("a", "dialnexa", outbound_agent_id="x"),
            "a outbound_agent_id: does not exist on dialnexa, only on sigmamind and verbex",
        ),
        (
            row("a", "verbex", test_number=NUMBER),
            "a test_number: does not exist on verbex, only on sigmamind",
        ),
        (
            row("a", "sigmamind", accounting_label="9"),
            "a accounting_label: does not exist on sigmamind, only on dialnexa",
        ),
        (
            imported("a", "sigmamind", **TWILIO),
            "a twilio_account_sid: does not exist on sigmamind, only on verbex",
        ),
        (
            row("a", "dialnexa", termination_uri="sip.example"),
            "a termination_uri: is for source import on dialnexa, not for existing",
        ),
        (
            bought("a", "dialnexa", trunk_username="u"),
            "a trunk_username: is for source import on dialnexa, not for purchase",
        ),
        (
            imported("a", "sigmamind", area_code=415),
            "a area_code: is for source purchase on sigmamind, not for import",
        ),
        (
            bought("a", "verbex", country_code="US"),
            "a country_code: does not exist on verbex, only on sigmamind and dialnexa",
        ),
        (
            row("a", "verbex", sip_infra_region="bd"),
            "a sip_infra_region: is for source import on verbex, not for existing",
        ),
    ],
)
def test_a_field_of_somewhere_else(made: FleetRow, message: str) -> None:
    """It says where the field is taken."""
    assert message in told(made)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            imported("a", "verbex", **TWILIO, termination_uri="sip.example"),
            "a termination_uri: does not apply to this import on verbex; leave it blank",
        ),
        (
            imported("a", "verbex", twilio_account_sid="AC1"),
            "a twilio_account_sid: does not apply to this import on verbex; leave it blank",
        ),
        (
            imported("a", "verbex", **TWILIO, sip_infra_region="bd"),
            "a sip_infra_region: does not apply to this import on verbex; leave it blank",
        ),
        (
            bought("a", "verbex", trunk_username="u"),
            "a trunk_username: does not apply to this purchase on verbex; leave it blank",
        ),
        (
            bought("a", "verbex", **TWILIO),
            "a twilio_account_sid: does not apply to this purchase on verbex; leave it blank",
        ),
        (
            bought("a", "sigmamind", termination_uri="sip.example"),
            "a termination_uri: does not apply to this purchase on sigmamind; leave it blank",
        ),
        (
            bought("a", "dialnexa", phone_number=NUMBER, type="local"),
            "a type: does not apply to this purchase on dialnexa; leave it blank",
        ),
    ],
)
def test_fields_of_two_ways_to_bring_a_number(made: FleetRow, message: str) -> None:
    """A platform would drop one of them without a word."""
    assert message in told(made)


def test_fields_of_two_kinds_of_an_existing_number() -> None:
    """No one update may say both, and it is known before anything is sent."""
    made = row("a", "verbex", phone_number=NUMBER, termination_uri="sip.example", **TWILIO)

    assert told(made) == [
        "a twilio_account_sid: no kind of number takes it with sip_termination_uri"
    ]


# ---------------------------------------------------------------- what a number needs to come


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            row("a", "sigmamind", "purchase"),
            "a: purchase on sigmamind needs phone_number or country_code",
        ),
        (row("a", "sigmamind", "import"), "a: import on sigmamind needs phone_number"),
        (row("a", "verbex", "import"), "a: import on verbex needs phone_number"),
        (
            row("a", "dialnexa", "purchase", phone_number=NUMBER),
            "a: purchase on dialnexa needs country_code and telephony_provider_id",
        ),
        (
            row("a", "dialnexa", "import", phone_number=NUMBER),
            "a: import on dialnexa needs phone_number and termination_uri",
        ),
    ],
)
def test_what_is_missing(made: FleetRow, message: str) -> None:
    """All ways that the platform has are named."""
    assert told(made) == [message]


@pytest.mark.parametrize(
    ("auth_mode", "message"),
    [
        ("ip", "a trunk_username: must be left out with auth_mode 'ip'"),
        ("userpass", "a trunk_password: is needed, or auth_mode 'ip'"),
    ],
)
def test_a_trunk_that_does_not_fit_its_mode(auth_mode: str, message: str) -> None:
    """What the platform says of fields taken together is said of the row's own fields."""
    assert told(imported("a", "dialnexa", auth_mode=auth_mode, trunk_username="u")) == [message]


# ---------------------------------------------------------------- what may be cleared


@pytest.mark.parametrize(
    ("platform", "field"),
    [
        ("sigmamind", "label"),
        ("sigmamind", "test_number"),
        ("sigmamind", "termination_uri"),
        ("sigmamind", "trunk_password"),
        ("verbex", "twilio_account_sid"),
        ("verbex", "twilio_auth_token"),
        ("dialnexa", "accounting_label"),
    ],
)
def test_what_cannot_be_cleared(platform: str, field: str) -> None:
    """It is said at once, not by the platform."""
    assert told(saying(platform, field, None)) == [
        f"a {field}: cannot be cleared on {platform}; leave it blank to leave it alone"
    ]


@pytest.mark.parametrize(
    ("platform", "field"),
    [
        ("sigmamind", "inbound_agent_id"),
        ("sigmamind", "outbound_agent_id"),
        ("verbex", "label"),
        ("verbex", "inbound_agent_id"),
        ("verbex", "termination_uri"),
        ("verbex", "trunk_password"),
        ("dialnexa", "label"),
        ("dialnexa", "inbound_agent_id"),
    ],
)
def test_what_can_be_cleared(platform: str, field: str) -> None:
    """Null is a value of its own."""
    assert told(saying(platform, field, None)) == []


@pytest.mark.parametrize("source", ["purchase", "existing"])
def test_a_number_that_is_cleared(source: str) -> None:
    """A row stands for one number, or for one that the platform picks."""
    made = row("a", "verbex", source, phone_number=None)

    assert told(made) == [
        "a phone_number: cannot be cleared; leave it blank where the platform picks the number"
    ]


# ---------------------------------------------------------------- what a field may be


@pytest.mark.parametrize(
    ("field", "cell", "message"),
    [
        ("label", "x" * 129, "has 129 characters, allowed are 0 to 128"),
        (
            "label",
            "Support [sm:AAAAAAAAAAAAA.1]",
            "must not end in text like [sm:...], the tag of a purchase",
        ),
        (
            "test_number",
            "911",
            (
                "'911' is not a phone number like '+14155550100' ('+', then 7 to 15 digits, no"
                " spaces)"
            ),
        ),
    ],
)
def test_a_field_of_the_wrong_kind(field: str, cell: Any, message: str) -> None:
    """In the platform's own words where it has some."""
    (problem,) = problems_of(saying("sigmamind", field, cell))

    assert problem.message == message


def test_every_field_is_taken_somewhere() -> None:
    """Negative control of all the refusals above: no field is refused everywhere."""
    rows = [
        saying(platform, field, 415 if field == "area_code" else NUMBER, make)
        for field in FIELDS
        if field not in {"phone_number", "auth_mode"}
        for platform in PLATFORMS
        for make in (row, bought, imported)
    ]
    refused = "does not exist|is for source"
    taken = {
        name
        for made in rows
        for name in made.fields
        if not any(
            word in problem.message
            for word in refused.split("|")
            for problem in problems_of(made)
            if problem.field == name
        )
    }

    assert taken == {*FIELDS}

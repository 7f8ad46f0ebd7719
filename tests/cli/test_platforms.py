"""The same commands on every platform: each in its own words, against its own sandbox tower."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest

from sigmamind_async.cli.errors import advice_for
from sigmamind_async.cli.rows import BadRow, Reading, Row, read_csv, read_row
from sigmamind_async.cli.vendors import PLATFORMS, PlatformName
from sigmamind_async.errors import AuthenticationError
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.secret_references import SecretResolver

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside

OWN, SPARE, BOUGHT = "+14155550123", "+14155550124", "+14155550125"
PASSWORD = "env:TRUNK_PASSWORD"
SIP = {"action": "create", "provider": "sip"}
PURCHASE = {
    "action": "purchase",
    "telephony_provider_id": "tp_12345678901",
    "country_iso": "US",
}


@attrs.frozen(kw_only=True)
class Case:
    """One platform, and rows in its words."""

    name: str
    buy: Mapping[str, object]
    own: Mapping[str, object]
    """Imports `OWN`, with a password."""
    spare: Mapping[str, object]
    """Imports `SPARE`, without an agent."""
    agent: str
    label: str
    prefix: str
    calls: tuple[str, str]
    """What the sandbox calls a purchase, and an import."""

    @property
    def words(self) -> tuple[str, str]:
        return ("--platform", self.name)


CASES = [
    Case(
        name="sigmamind",
        buy={"action": "create", "phone_number": BOUGHT},
        own={
            "action": "import",
            "phone_number": OWN,
            "inbound_agent_id": "agent_1",
            "trunk_username": "user",
            "trunk_password": PASSWORD,
            "termination_sip_uri": "sip.telnyx.com",
        },
        spare={"action": "import", "phone_number": SPARE, "friendly_name": "Spare"},
        agent="inbound_agent_id",
        label="friendly_name",
        prefix="SIGMAMIND",
        calls=("create", "import"),
    ),
    Case(
        name="verbex",
        buy={"action": "create", "provider": "pia", "phone_number": BOUGHT},
        own={
            **SIP,
            "phone_number": OWN,
            "inbound_agent_id": "agent_1",
            "sip_trunk_username": "user",
            "sip_trunk_password": PASSWORD,
            "sip_termination_uri": "sip.telnyx.com",
        },
        spare={
            "action": "create",
            "provider": "twilio",
            "phone_number": SPARE,
            "friendly_name": "Spare",
            "twilio_account_sid": "AC1",
            "twilio_auth_token": PASSWORD,
        },
        agent="inbound_agent_id",
        label="friendly_name",
        prefix="VERBEX",
        calls=("create", "create"),
    ),
    Case(
        name="dialnexa",
        buy={**PURCHASE, "phone_number": BOUGHT},
        own={
            "action": "import",
            "phone_number": OWN,
            "termination_uri": "sip.telnyx.com",
            "sip_trunk_user_name": "user",
            "sip_trunk_password": PASSWORD,
        },
        spare={
            "action": "import",
            "phone_number": SPARE,
            "termination_uri": "sip.telnyx.com",
            "auth_mode": "ip",
            "nickname": "Spare",
        },
        agent="agent_id",
        label="nickname",
        prefix="DIALNEXA",
        calls=("purchase", "import"),
    ),
]
every_platform = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def tower(box: Sandbox, case: Case) -> Endpoint:
    return next(each for each in box.endpoints if each.tower.name == case.name)


def apply(cli: Cli, inside: Inside, case: Case, *rows: Mapping[str, object], most: int = 0) -> Done:
    text = "\n".join(map(json.dumps, rows))
    path = cli.write(f"rows-{hash(text)}.jsonl", text)
    agreed = ("--max-purchases", most, "--yes") if most else ()
    return inside("apply", path, *case.words, *agreed, "--json")


def listed(inside: Inside, case: Case, *words: str) -> dict[str, dict[str, Any]]:
    done = inside("numbers", "list", "--json", *case.words, *words)
    assert (done.code, done.err) == (0, "")
    return {each["phone_number"]: each for each in done.objects}


def key_of(number: Mapping[str, Any]) -> str:
    """Return what ``numbers get`` takes, out of a line of ``numbers list --json``."""
    return str(number["record_id"] or number["phone_number"])


def change(case: Case, key: str, **said: object) -> dict[str, object]:
    return {
        "action": "update",
        ("phone_number" if case.name == "sigmamind" else "phone_number_id"): key,
        **said,
    }


# ---------------------------------------------------------------- the table


def test_the_table_has_every_platform() -> None:
    assert tuple(PLATFORMS) == get_args(PlatformName)
    assert {case.name for case in CASES} == set(PLATFORMS)


@every_platform
def test_a_platform_has_its_own_variables(case: Case) -> None:
    """Advice is given by the name of a call alone, and names the same ones."""
    platform = PLATFORMS[case.name]
    error = AuthenticationError("401")
    error.operation = f"{case.name}.list_phone_numbers"

    assert platform.key_variable == f"{case.prefix}_API_KEY"
    assert platform.url_variable == f"{case.prefix}_BASE_URL"
    assert platform.key_variable in advice_for(error)
    assert platform.url_variable in advice_for(error)


@pytest.mark.parametrize(
    ("platform", "cells", "spends"),
    [
        ("sigmamind", {"action": "create", "country_code": "US"}, True),
        ("sigmamind", {"action": "import", "phone_number": OWN}, False),
        ("verbex", {"action": "create", "provider": "pia"}, True),
        ("verbex", {**SIP, "phone_number": OWN}, False),
        ("dialnexa", {**PURCHASE, "phone_number": OWN}, True),
        ("dialnexa", {"action": "update", "phone_number_id": "phn_1", "label": "x"}, False),
    ],
)
def test_what_costs_money_is_known(platform: str, cells: dict[str, object], spends: bool) -> None:
    row = read_row(1, cells, Reading(PLATFORMS[platform], SecretResolver()))

    assert isinstance(row, Row)
    assert row.spends is spends


# ---------------------------------------------------------------- apply


@every_platform
def test_a_file_is_applied(cli: Cli, inside: Inside, case: Case) -> None:
    """Bought, brought in and changed, each in the platform's words; no other platform is asked."""
    first = apply(cli, inside, case, {**case.buy, "id": "b"}, case.own, case.spare, most=1)
    bought = next(row for row in first.rows if row["id"] == "b")
    key = bought.get("record_id") or bought["phone_number"]
    agent_id = "agt_abc123"
    second = apply(
        cli, inside, case, change(case, key, **{case.agent: agent_id, case.label: "New"})
    )
    number = listed(inside, case)[BOUGHT]
    apply(cli, inside, case, change(case, key, **{case.agent: None}))

    assert (first.code, second.code) == (0, 0)
    assert sorted(cli.box.ledger.owned(case.name)) == [OWN, SPARE, BOUGHT]
    assert [commit.phone_number for commit in cli.box.ledger.purchases] == [BOUGHT]
    assert (number["inbound_agent_id"], number["label"]) == (agent_id, "New")
    assert listed(inside, case)[BOUGHT]["inbound_agent_id"] is None
    assert {commit.platform for commit in cli.box.ledger.commits} == {case.name}


@every_platform
def test_a_purchase_must_be_agreed_to(cli: Cli, inside: Inside, case: Case) -> None:
    """Only what costs money is counted."""
    done = apply(cli, inside, case, case.buy, case.own)
    allowed = apply(cli, inside, case, case.own)

    assert (done.code, done.out) == (2, "")
    assert "buys 1 numbers: agree with --max-purchases 1 --yes" in done.err
    assert allowed.code == 0
    assert cli.box.ledger.purchases == []


@every_platform
def test_a_lost_answer_is_found(cli: Cli, inside: Inside, case: Case) -> None:
    cli.box.script(case.calls[0], ["reset_after_commit"], platform=case.name)
    done = apply(cli, inside, case, case.buy, most=1)

    assert done.code == 0
    assert done.rows[0]["phone_number"] == BOUGHT
    assert len(cli.box.ledger.purchases) == 1


@every_platform
def test_a_row_in_doubt_is_told_with_its_platform(cli: Cli, inside: Inside, case: Case) -> None:
    """The commands that are named lead to the same journal and the same platform."""
    platform = PLATFORMS[case.name]
    cli.box.script(case.calls[0], ["reset_after_commit"], platform=case.name)
    path = cli.write("a.jsonl", json.dumps(case.buy))
    cli.box.list_lag = 3600.0
    words = (*case.words, "--deadline", 0.5)
    done = inside("apply", path, *words, "--max-purchases", 1, "--yes")
    cli.box.list_lag = 0.0
    settled = inside("reconcile", path, *case.words)

    assert done.code == 3
    assert f"sigmamind reconcile {path}{platform.flag} --wait" in done.err
    assert (settled.code, len(cli.box.ledger.purchases)) == (0, 1)


@every_platform
def test_a_refused_key_names_its_variable(cli: Cli, inside: Inside, case: Case) -> None:
    wrong = {f"{case.prefix}_API_KEY": "canary-key"}
    path = cli.write("a.jsonl", json.dumps(case.own))
    applied = inside("apply", path, *case.words, **wrong)
    shown = inside("numbers", "list", *case.words, **wrong)

    assert (applied.code, shown.code) == (2, 2)
    assert f"the platform refuses the key, see {case.prefix}_API_KEY" in applied.err
    assert f"check {case.prefix}_API_KEY, and that {case.prefix}_BASE_URL" in shown.err
    assert "canary-key" not in applied.out + applied.err + shown.err


@every_platform
def test_a_missing_key_names_its_variable(inside: Inside, case: Case) -> None:
    done = inside("numbers", "list", *case.words, **{f"{case.prefix}_API_KEY": ""})

    assert done.code == 2
    assert f"set {case.prefix}_API_KEY in the environment" in done.err


# ---------------------------------------------------------------- what a platform does not know


@pytest.mark.parametrize(
    ("platform", "cells", "message"),
    [
        ("verbex", {"action": "import"}, "action: 'import' is unknown; known are create, update;"),
        ("verbex", {"action": "import"}, "--platform sigmamind or dialnexa has it"),
        ("dialnexa", {"action": "create"}, "known are import, purchase, update"),
        ("sigmamind", {"action": "purchase"}, "--platform dialnexa has it"),
        ("verbex", {"action": "create"}, "provider: is missing: say one of sip, pia, twilio"),
        ("verbex", {"action": "create", "provider": "tvilio"}, "did you mean 'twilio'?"),
        ("verbex", {"action": "create", "provider": 1}, "must be one of sip, pia, twilio"),
        ("verbex", {**SIP, "phone_number": OWN, "agent_id": "a"}, "--platform dialnexa has it"),
        (
            "verbex",
            {**SIP, "phone_number": OWN, "twilio_account_sid": "a"},
            "belongs to create with provider twilio and update, not to create with provider sip",
        ),
        (
            "verbex",
            {"action": "update", "phone_number_id": "1", "provider": "sip"},
            "provider: belongs to create, not to update",
        ),
        ("verbex", SIP, "phone_number: is missing: create with provider sip needs it"),
        ("dialnexa", {"action": "update", "label": "x"}, "phone_number_id: is missing"),
        (
            "dialnexa",
            {"action": "update", "phone_number_id": "a/../b", "label": "x"},
            "phone_number_id: ",
        ),
        (
            "dialnexa",
            {"action": "purchase", "phone_number": OWN, "country_iso": "US"},
            "telephony_provider_id: the newer body needs it",
        ),
        (
            "dialnexa",
            {"action": "purchase", "phone_number": OWN, "older_body": "yes"},
            "older_body: must be true or false",
        ),
        ("dialnexa", {**PURCHASE, "inbound_agent_id": "a"}, "inbound_agent_id: is unknown"),
    ],
)
def test_a_wrong_word_is_told_with_the_right_ones(
    platform: str, cells: dict[str, object], message: str
) -> None:
    row = read_row(1, cells, Reading(PLATFORMS[platform], SecretResolver()))

    assert isinstance(row, BadRow)
    assert message in row.message


@pytest.mark.parametrize(
    ("platform", "header", "told"),
    [
        ("sigmamind", "action,sip_trunk_username", "--platform verbex has it"),
        ("dialnexa", "action,inbound_agent_id", "--platform sigmamind or verbex has it"),
        ("verbex", "phone_number", "each row says one of create, update"),
    ],
)
def test_a_wrong_header_is_told_with_the_right_one(
    cli: Cli, inside: Inside, platform: str, header: str, told: str
) -> None:
    done = inside("apply", cli.write("a.csv", f"{header}\n"), "--platform", platform)

    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_the_row_and_the_record_have_an_id_each() -> None:
    """A field that is called like the row's own column goes by another name."""
    lines = [(1, "id,action,phone_number_id,agent_id"), (2, "7,update,phn_1,null")]
    [row] = read_csv(lines, Reading(PLATFORMS["dialnexa"], SecretResolver()))

    assert isinstance(row, Row)
    assert (row.id, row.record_id, row.phone_number) == ("7", "phn_1", None)


def test_true_and_false_are_words_in_csv() -> None:
    lines = [(1, "action,phone_number,older_body"), (2, f"purchase,{OWN},true")]
    [row] = read_csv(lines, Reading(PLATFORMS["dialnexa"], SecretResolver()))

    assert isinstance(row, Row)
    assert row.value.older_body is True  # type: ignore[attr-defined]


def test_a_secret_that_can_be_cleared_is_cleared() -> None:
    cells = {"action": "update", "phone_number_id": "1", "sip_trunk_password": None}
    row = read_row(1, cells, Reading(PLATFORMS["verbex"], SecretResolver()))

    assert isinstance(row, Row)
    assert row.value.sip_trunk_password is None  # type: ignore[attr-defined]

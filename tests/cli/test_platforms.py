"""The same commands on every platform, against its own sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest

from sigmamind_async.cli.accounts import PLATFORMS
from sigmamind_async.cli.errors import advice_for
from sigmamind_async.cli.options import PlatformName
from sigmamind_async.errors import AuthenticationError

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside

OWN, SPARE, BOUGHT = "+14155550123", "+14155550124", "+14155550125"
PASSWORD = "env:TRUNK_PASSWORD"
TRUNK = {"termination_uri": "sip.telnyx.com", "trunk_username": "user", "trunk_password": PASSWORD}


@attrs.frozen(kw_only=True)
class Case:
    """One platform, and what its rows need."""

    name: str
    buy: Mapping[str, object] = {}
    spare: Mapping[str, object] = {}
    """Beside the number, to import `SPARE`."""
    agent: str
    prefix: str
    call: str
    """What the sandbox calls a purchase."""

    @property
    def words(self) -> tuple[str, str]:
        return ("--platform", self.name)

    @property
    def purchase(self) -> dict[str, object]:
        return {"id": "bought", "source": "purchase", "phone_number": BOUGHT, **self.buy}

    @property
    def own(self) -> dict[str, object]:
        return {"id": "own", "source": "import", "phone_number": OWN, **TRUNK}


CASES = [
    Case(
        name="sigmamind",
        spare=TRUNK,
        agent="agent_D5D0p7TUs66TTAEAx",
        prefix="SIGMAMIND",
        call="create",
    ),
    Case(
        name="verbex",
        spare={"twilio_account_sid": "AC1", "twilio_auth_token": PASSWORD},
        agent="agt_abc123",
        prefix="VERBEX",
        call="create",
    ),
    Case(
        name="dialnexa",
        buy={"country_code": "US", "telephony_provider_id": "tp_12345678901"},
        spare={"termination_uri": "sip.telnyx.com", "auth_mode": "ip"},
        agent="agt_abc123",
        prefix="DIALNEXA",
        call="purchase",
    ),
]
every_platform = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
BUY = ("--max-purchases", 1, "--yes")


def apply(cli: Cli, inside: Inside, case: Case, *rows: Mapping[str, object], most: int = 0) -> Done:
    """Apply *rows* of a platform that no row names."""
    path = cli.write("fleet.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return inside("apply", path, *case.words, *(BUY if most else ()), "--json")


def listed(inside: Inside, case: Case, *words: str) -> dict[str, dict[str, Any]]:
    done = inside("numbers", "list", "--json", *case.words, *words)
    assert (done.code, done.err) == (0, "")
    return {each["phone_number"]: each for each in done.objects}


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
    assert platform.key_variable in advice_for(error)
    assert f"{case.prefix}_BASE_URL" in advice_for(error)


# ---------------------------------------------------------------- apply


@every_platform
def test_a_file_is_applied(cli: Cli, inside: Inside, case: Case) -> None:
    """Bought, brought in and changed; no other platform is asked."""
    spare = {"id": "spare", "source": "import", "phone_number": SPARE, **case.spare}
    rows = (case.purchase, case.own, spare)
    first = apply(cli, inside, case, *rows, most=1)
    agent = {"inbound_agent_id": case.agent}
    second = apply(cli, inside, case, {**case.purchase, **agent, "label": "New"}, *rows[1:])
    number = listed(inside, case)[BOUGHT]
    apply(cli, inside, case, {**case.purchase, "inbound_agent_id": None}, *rows[1:])

    assert (first.code, second.code) == (0, 0), (first, second)
    assert sorted(cli.box.ledger.owned(case.name)) == [OWN, SPARE, BOUGHT]
    assert [commit.phone_number for commit in cli.box.ledger.purchases] == [BOUGHT]
    assert (number["inbound_agent_id"], number["label"]) == (case.agent, "New")
    assert listed(inside, case)[BOUGHT]["inbound_agent_id"] is None
    assert {commit.platform for commit in cli.box.ledger.commits} == {case.name}


@every_platform
def test_a_purchase_must_be_agreed_to(cli: Cli, inside: Inside, case: Case) -> None:
    """Only what costs money is counted."""
    done = apply(cli, inside, case, case.purchase, case.own)
    allowed = apply(cli, inside, case, case.own)

    assert done.code == 2
    assert "buys 1 number: agree with --max-purchases 1 --yes" in done.err
    assert allowed.code == 0
    assert cli.box.ledger.purchases == []


@every_platform
def test_a_lost_answer_is_found(cli: Cli, inside: Inside, case: Case) -> None:
    cli.box.script(case.call, ["reset_after_commit"], platform=case.name)
    done = apply(cli, inside, case, case.purchase, most=1)

    assert done.code == 0
    assert done.rows[0]["phone_number"] == BOUGHT
    assert len(cli.box.ledger.purchases) == 1


@every_platform
def test_an_unconfirmed_row_is_told_with_its_journal(cli: Cli, inside: Inside, case: Case) -> None:
    """The commands that are named lead to the same journal, and settle it."""
    cli.box.script(case.call, ["reset_after_commit"], platform=case.name)
    path = cli.write("a.jsonl", json.dumps(case.purchase))
    cli.box.list_lag = 3600.0
    done = inside("apply", path, *case.words, "--deadline", 2, *BUY)
    cli.box.list_lag = 0.0
    settled = inside("reconcile", path, *case.words)

    assert done.code == 3
    assert f"sigmamind reconcile {path} --wait" in done.err
    assert (settled.code, len(cli.box.ledger.purchases)) == (0, 1)


@every_platform
def test_a_refused_key_names_its_variable(cli: Cli, inside: Inside, case: Case) -> None:
    wrong = {f"{case.prefix}_API_KEY": "canary-key"}
    path = cli.write("a.jsonl", json.dumps(case.own))
    applied = inside("apply", path, *case.words, **wrong)
    shown = inside("numbers", "list", *case.words, **wrong)

    assert (applied.code, shown.code) == (2, 2)
    assert f"check {case.prefix}_API_KEY" in applied.err
    assert f"check {case.prefix}_API_KEY, and that {case.prefix}_BASE_URL" in shown.err
    assert "canary-key" not in applied.out + applied.err + shown.err


@every_platform
def test_a_missing_key_names_its_variable(inside: Inside, case: Case) -> None:
    done = inside("numbers", "list", *case.words, **{f"{case.prefix}_API_KEY": ""})

    assert done.code == 2
    assert f"{case.prefix}_API_KEY" in done.err


@pytest.mark.parametrize(
    ("platform", "field", "told"),
    [
        ("sigmamind", "sip_infra_region", "verbex"),
        ("dialnexa", "outbound_agent_id", "dialnexa"),
        ("verbex", "telephony_provider_id", "verbex"),
    ],
)
def test_a_field_that_a_platform_does_not_take_is_a_problem(
    cli: Cli, inside: Inside, platform: str, field: str, told: str
) -> None:
    row = {"id": "x", "platform": platform, "source": "purchase", field: "y"}
    done = inside("apply", cli.write("a.jsonl", json.dumps(row)), *BUY)

    assert (done.code, len(cli.box.ledger)) == (1, 0)
    assert field in done.out
    assert told in done.out

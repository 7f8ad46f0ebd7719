"""``sigmamind plan``: what would be done, and that nothing is."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import TRUNK_PASSWORD

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

HEADER = (
    "id,platform,source,state,phone_number,country_code,area_code,label,termination_uri,"
    "trunk_username,trunk_password\n"
)
FLEET = (
    HEADER
    + """\
desk,sigmamind,purchase,,,US,415,Support,,,
night,verbex,purchase,,,,,Night,,,
own,dialnexa,import,,+14155550188,,,Own,trunk.example.com,user,env:TRUNK_PASSWORD
"""
)


def test_a_plan_tells_first_what_costs_money_and_sends_nothing(cli: Cli, inside: Inside) -> None:
    done = inside("plan", cli.write("fleet.csv", FLEET))

    headline, _, *steps, _, counts = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert headline == f"{cli.folder / 'fleet.csv'}: 3 changes"
    assert counts == "Plan: 2 to buy, 1 to import."
    assert steps == [
        (
            "  + buy     desk   sigmamind  (any)         "
            "country_code 'US', area_code 415, label 'Support'"
        ),
        "  + buy     night  verbex     (any)         label 'Night'",
        (
            "  > import  own    dialnexa   +14155550188  label 'Own', termination_uri"
            " 'trunk.example.com', trunk_username 'user', trunk_password env:TRUNK_PASSWORD"
        ),
    ]
    assert len(cli.box.ledger) == 0
    assert [path.name for path in cli.folder.iterdir()] == ["fleet.csv"]


def test_a_plan_for_programs_is_one_object_a_line(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.csv", FLEET + "bad,sigmamind,import,,+14155550123,,x1,,,,\n")
    done = inside("plan", path, "--json")

    steps = [each for each in done.objects if each["type"] == "plan_step"]
    [problem] = [each for each in done.objects if each["type"] == "file_problem"]
    assert (done.code, done.err) == (1, "")
    assert [(step["id"], step["action"], step["writes"]) for step in steps] == [
        ("desk", "purchase", True),
        ("night", "purchase", True),
        ("own", "import", True),
    ]
    assert (problem["id"], problem["field"], problem["line"]) == ("bad", "area_code", 5)
    assert done.summary == {
        "type": "plan_summary",
        "version": 1,
        "file": str(path),
        "actions": {"purchase": 2, "import": 1},
        "writes": 3,
        "blocked": 0,
        "problems": 1,
        "unmanaged": [],
    }


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("own,sigmamind,import,,+14155550188,,,,,,hunter2", "must not be in plain text"),
        ("own,sigmamind,import,,+14155550188,,,,,,env:NOWHERE", "set the variable NOWHERE"),
        ("own,sigmamind,existing,,+14155550188,,,,,,", "is not in the account"),
    ],
)
def test_problems_name_file_line_row_and_field(
    cli: Cli, inside: Inside, row: str, told: str
) -> None:
    """Those that the file shows and those that only the account does."""
    done = inside("plan", cli.write("fleet.csv", HEADER + row + "\n"))

    assert done.code == 1
    assert "1 problem:" in done.out
    assert f"{cli.folder / 'fleet.csv'}:2" in done.out
    assert told in done.out
    assert "hunter2" not in done.out


def test_a_missing_key_names_its_variable(cli: Cli, inside: Inside) -> None:
    done = inside("plan", cli.write("fleet.csv", FLEET), DIALNEXA_API_KEY="")

    assert (done.code, done.out) == (2, "")
    assert "DIALNEXA_API_KEY" in done.err


def test_a_platform_can_be_said_for_all_rows(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.yaml", "- {id: desk, source: purchase, country_code: US}\n")

    assert inside("plan", path).code == 1
    assert inside("plan", path, "--platform", "sigmamind").code == 0


@pytest.mark.parametrize("words", [("--on-drift", "perhaps"), ("--platform", "other")])
def test_a_wrong_option_is_a_usage_error(cli: Cli, inside: Inside, words: tuple[str, ...]) -> None:
    assert inside("plan", cli.write("fleet.csv", FLEET), *words).code == 2


# ---------------------------------------------------------------- saved


def test_a_saved_plan_is_its_owners_alone(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.csv", FLEET)
    done = inside("plan", path, "--out", "fleet.json")
    saved = cli.folder / "fleet.json"

    assert done.code == 0
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert TRUNK_PASSWORD not in saved.read_text()
    assert json.loads(saved.read_text().splitlines()[0])["saved_from"] == {
        "file": str(path),
        "journal": None,
    }
    assert sorted(each.name for each in cli.folder.iterdir()) == ["fleet.csv", "fleet.json"]


@pytest.mark.parametrize(
    ("text", "out", "told"),
    [
        (FLEET + "bad,sigmamind,import,,+1,,,,,,\n", "fleet.json", "because of the problems"),
        (FLEET, "fleet.csv", "is a name for rows"),
        (FLEET, "nowhere/fleet.json", "cannot be written"),
    ],
)
def test_what_cannot_be_saved_is_told(
    cli: Cli, inside: Inside, text: str, out: str, told: str
) -> None:
    path = cli.write("fleet.csv", text)
    done = inside("plan", path, "--out", out)

    assert done.code in {1, 2}
    assert told in done.err
    assert [each.name for each in cli.folder.iterdir()] == ["fleet.csv"]
    assert path.read_text() == text


def test_a_password_in_the_file_is_not_saved(cli: Cli, inside: Inside) -> None:
    """Negative control: without the password the same plan is saved."""
    row = "own,sigmamind,import,,+14155550188,,,,,,{}\n"
    words = ("--allow-inline-secrets", "--out", "fleet.json")
    open_ = inside("plan", cli.write("fleet.csv", HEADER + row.format("hunter2")), *words)
    kept = inside("plan", cli.write("fleet.csv", HEADER + row.format("")), *words)

    assert (open_.code, kept.code) == (2, 0)
    assert "hunter2" not in open_.out + open_.err
    assert "use env:NAME" in open_.err


def test_a_saved_plan_is_not_planned(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.csv", FLEET)
    assert inside("plan", path, "--out", "fleet.plan").code == 0
    done = inside("plan", "fleet.plan")

    assert (done.code, done.out) == (2, "")
    assert done.error.endswith("fleet.plan is a saved plan; plan the file that it is from")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fleet.csv", ""),
        ("fleet.csv", "id,platform,source,country_code,label\n"),
        ("fleet.csv", "id,platform,source,state,phone_number\n"),  # the export of an empty account
        ("fleet.csv", "id;platform;source\r\n\r\n;;\r\n"),
        ("fleet.jsonl", "\n"),
        ("fleet.json", "[]"),
        ("fleet.yaml", "numbers: []\n"),
    ],
)
def test_a_file_without_a_row_is_an_error(
    cli: Cli, inside: Inside, name: str, content: str
) -> None:
    path = cli.write(name, content)
    for command in ("plan", "apply"):
        done = inside(command, path)
        assert done.code == 1
        assert f"{path}: has no rows; a file lists at least one number" in done.out


@pytest.mark.parametrize("rest", [(), ("--journal", "orders.db")])
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_empty_name_is_no_folder(inside: Inside, command: str, rest: tuple[str, ...]) -> None:
    """As of ``"$FILE"`` where that is not set."""
    done = inside(command, "", *rest)

    assert done.code == 2
    assert done.err.startswith("sigmamind: FILE is empty; name a file\n")

"""``sigmamind numbers reassign``: one agent's numbers, given to another."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox.sigmamind.records import AGENTS
from tests.cli.accounts import import_numbers
from tests.cli.conftest import Terminal
from tests.cli.test_terminal import ESCAPES, on_terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside

pytestmark = pytest.mark.usefixtures("covered_processes")

OLD, NEW = (agent.agent_id for agent in AGENTS[:2])
WORDS = ("numbers", "reassign", "--from-agent", OLD, "--to-agent", NEW)
FIRST, SECOND, THIRD = (f"+1415555012{digit}" for digit in range(3))


@pytest.fixture(autouse=True)
def held(cli: Cli) -> None:
    """Three numbers: the agent answers one, makes the calls of another, and has no third."""
    import_numbers(
        cli.box,
        {
            FIRST: {"inbound_agent_id": OLD, "outbound_agent_id": "a3"},
            SECOND: {"outbound_agent_id": OLD},
            THIRD: {},
        },
    )


def agents_of(inside: Inside) -> dict[str, tuple[str | None, str | None]]:
    return {
        each["phone_number"]: (each["inbound_agent_id"], each["outbound_agent_id"])
        for each in inside("numbers", "list", "--json").objects
    }


def moved(done: Done) -> set[str]:
    return {row["phone_number"] for row in done.rows if row.get("status") == "done"}


@pytest.mark.parametrize(
    ("side", "changed"),
    [
        (("--side", "inbound"), {FIRST: (NEW, "a3")}),
        (("--side", "outbound"), {SECOND: (None, NEW)}),
        ((), {FIRST: (NEW, "a3"), SECOND: (None, NEW)}),
    ],
)
def test_only_what_is_the_agents_is_moved(
    inside: Inside, side: tuple[str, ...], changed: dict[str, tuple[str | None, str | None]]
) -> None:
    before = agents_of(inside)
    done = inside(*WORDS, *side, "--yes", "--json")

    assert (done.code, moved(done)) == (0, set(changed))
    assert agents_of(inside) == before | changed
    again = inside(*WORDS, *side, "--yes", "--json")
    assert (again.code, again.summary["writes"]) == (0, 0)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--dry-run",), 0, "2 to change"),
        ((), 2, ". Agree with --yes; nothing was sent"),
        (("--to-agent", "nobody", "--yes"), 1, "the account has no agent 'nobody'"),
        (("--to-agent", OLD, "--yes"), 2, "are the same"),
        (("--journal", "none.db", "--yes"), 2, "there is no journal none.db"),
        (("--platform", "dialnexa", "--side", "outbound"), 2, "have no outbound agent"),
        (("--platform", "verbex", "--yes"), 0, "no changes"),
    ],
)
def test_what_changes_nothing(
    cli: Cli, inside: Inside, words: tuple[str, ...], code: int, told: str
) -> None:
    commits = len(cli.box.ledger)
    said = [*WORDS[:4], *words] if "--to-agent" in words else [*WORDS, *words]
    done = inside(*said)

    assert done.code == code
    assert told in done.out + done.err
    assert len(cli.box.ledger) == commits


@pytest.mark.parametrize(("typed", "code"), [("2\n", 0), ("y\n", 2)])
def test_a_move_is_shown_and_confirmed_by_its_count(
    cli: Cli, inside: Inside, typed: str, code: int
) -> None:
    got, seen = on_terminal(cli, WORDS, typed)
    text = ESCAPES.sub("", seen)

    assert got == code
    assert f"inbound_agent_id '{OLD}'" in text
    assert f"This changes 2 numbers on sigmamind at {cli.box.sigmamind.base_url}, key ..." in text
    assert (agents_of(inside)[FIRST][0] == NEW) is (code == 0)


def test_numbers_that_changed_before_the_answer_are_left_alone(cli: Cli, inside: Inside) -> None:
    """What was shown is what is sent, or nothing is."""
    with Terminal(cli, *WORDS) as terminal:
        terminal.read_until("cancel: ")
        assert inside("numbers", "update", THIRD, "--inbound-agent-id", OLD).code == 0
        before = agents_of(inside)
        terminal.type("2\n")

    assert terminal.code == 2
    assert "the numbers have changed since; nothing was sent" in terminal.seen
    assert agents_of(inside) == before


def test_a_fleet_is_kept_up_to_date(cli: Cli, inside: Inside) -> None:
    """What its journal knows was moved is no drift, and its file has the last word."""
    row = f"desk,sigmamind,existing,{FIRST},{{}}\n"
    header = "id,platform,source,phone_number,inbound_agent_id\n"
    path = cli.write("fleet.csv", header + row.format(OLD))
    inside("apply", path)
    inside(*WORDS, "--yes", "--journal", f"{path}.journal.db")

    cli.write("fleet.csv", header + row.format(NEW))
    assert inside("plan", path, "--json").summary["actions"] == {"unchanged": 1}
    cli.write("fleet.csv", header + row.format(OLD))
    assert inside("plan", path, "--json").summary["actions"] == {"update": 1}


def test_the_example_runs(inside: Inside) -> None:
    [example] = re.findall(r"Example: sigmamind (.+)", inside("numbers", "reassign", "--help").out)

    assert inside(*shlex.split(example)).code == 0

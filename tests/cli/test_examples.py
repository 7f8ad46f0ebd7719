"""What ``--help`` shows as an example does what it says, command by command.

Those of the other commands run beside their tests.
"""

from __future__ import annotations

import re
import shlex
import signal

import pytest

from sigmamind_async.sandbox import Fault
from tests.cli.conftest import Cli, Inside

NUMBER = "+14155550100"
BUY = ("--max-purchases", "7", "--yes", "--deadline", "1")


def example(inside: Inside, *command: str) -> list[str]:
    [text] = re.findall(r"Example: sigmamind (.+)", inside(*command, "--help").out)
    assert text.split()[: len(command)] == list(command)
    return shlex.split(text)


@pytest.fixture
def owned(cli: Cli, inside: Inside) -> Inside:
    """The account has the number that the examples name."""
    path = cli.write("have.csv", f"action,phone_number\nimport,{NUMBER}\n")
    assert inside("apply", path).code == 0
    return inside


@pytest.mark.parametrize("command", ["list", "get", "update"])
def test_of_one_number(owned: Inside, command: str) -> None:
    assert owned(*example(owned, "numbers", command)).code == 0


def test_of_a_release_which_is_agreed_to(owned: Inside, cli: Cli) -> None:
    assert owned(*example(owned, "numbers", "release"), "--yes").code == 0
    assert cli.box.ledger.owned("sigmamind") == []


def orders(cli: Cli, rows: int) -> None:
    lines = [f"row-{place},create,US,n{place}" for place in range(1, rows + 1)]
    cli.write("orders.csv", "\n".join(["id,action,country_code,friendly_name", *lines]))


def test_of_status(cli: Cli, inside: Inside) -> None:
    orders(cli, 1)
    assert inside("apply", "orders.csv", *BUY).code == 0
    assert inside(*example(inside, "status")).code == 0


def test_of_a_decision(cli: Cli, owned: Inside) -> None:
    orders(cli, 7)
    cli.box.script("create", [None] * 6 + [Fault.RESET_BEFORE_COMMIT])
    assert owned("apply", "orders.csv", *BUY).code == 3
    [doubtful] = owned("status", "orders.csv", "--json").open_rows
    assert owned("reconcile", "orders.csv", "--settle-time", 0, "--wait").code == 3

    words = [doubtful["id"] if word == "row-7" else word for word in example(owned, "reconcile")]
    done = owned(*words)
    assert done.code == 0
    assert f"done (operator's decision: adopted {NUMBER})" in done.out


def test_of_the_sandbox(cli: Cli, inside: Inside) -> None:
    process = cli.start(*example(inside, "sandbox"))
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(11)]
    process.send_signal(signal.SIGINT)
    assert cli.ended(process).code == 0
    assert b"export SIGMAMIND_BASE_URL" in b"".join(said)

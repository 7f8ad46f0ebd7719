"""What ``--help`` shows as an example does what it says, command by command.

That every example is a command line is checked in `test_help`; those of `plan`, `export`, `worker`,
`demo`, `numbers buy`, `import`, `reassign` and `verify` run beside the tests of these commands.
"""

from __future__ import annotations

import re
import shlex
import signal

import pytest

from sigmamind_async.sandbox import Fault
from tests.cli.conftest import Cli, Inside

NUMBER = "+14155550100"
HEAD = "id,platform,source,phone_number,country_code,label"


def example(inside: Inside, *command: str) -> list[str]:
    [text] = re.findall(r"^Example: sigmamind (.+)$", inside(*command, "--help").out, re.MULTILINE)
    assert text.split()[: len(command)] == list(command)
    return shlex.split(text)


@pytest.fixture
def owned(cli: Cli, inside: Inside) -> Inside:
    """The account has the number that the examples name."""
    path = cli.write("have.csv", f"{HEAD}\nhave,sigmamind,import,{NUMBER},,\n")
    assert inside("apply", path).code == 0
    return inside


def fleet(cli: Cli, *ids: str) -> None:
    """Write the file that the examples name."""
    cli.write("fleet.csv", "\n".join([HEAD, *(f"{id_},sigmamind,purchase,,US,n" for id_ in ids)]))


@pytest.mark.parametrize("command", ["list", "get", "update"])
def test_of_one_number(owned: Inside, command: str) -> None:
    assert owned(*example(owned, "numbers", command)).code == 0


def test_of_a_release_which_is_agreed_to(owned: Inside, cli: Cli) -> None:
    assert owned(*example(owned, "numbers", "release"), "--yes").code == 0
    assert cli.box.ledger.owned("sigmamind") == []


def test_of_apply_and_status(cli: Cli, inside: Inside) -> None:
    fleet(cli, "desk-1", "desk-2")

    assert inside(*example(inside, "apply")).code == 0
    assert len(cli.box.ledger.purchases) == 2
    assert inside(*example(inside, "status")).code == 0


def test_of_a_decision(cli: Cli, owned: Inside) -> None:
    fleet(cli, "desk-7")
    cli.box.sigmamind.script("create", [Fault.RESET_BEFORE_COMMIT])
    assert owned(*example(owned, "apply"), "--deadline", 1).code == 3
    assert owned("reconcile", "fleet.csv", "--settle-time", 0, "--wait").code == 3
    done = owned(*example(owned, "reconcile"))

    assert done.code == 0
    assert f"done (operator's decision: adopted {NUMBER})" in done.out


def test_of_the_sandbox(cli: Cli, inside: Inside) -> None:
    process = cli.start(*example(inside, "sandbox"))
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)

    assert cli.ended(process).code == 0
    assert first.startswith(b"export SIGMAMIND_")

"""A job that ends before its rows do: by Ctrl-C, by a closed pipe, by a platform that dies."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside, Wait

pytestmark = pytest.mark.usefixtures("covered_processes", "unmeasured")  # only processes matter

ROWS = 400
BUY = ("--max-purchases", ROWS, "--yes", "--json")


def agrees(done: Done, box: Sandbox) -> bool:
    """Whether every row is told once, and nothing was bought behind anybody's back."""
    labels = {remove_tag(commit.friendly_name or "") for commit in box.ledger.purchases}
    ends = {f"n{row['line'] - 1}": row["status"] for row in done.rows}
    certain = {label for label, status in ends.items() if status == "done"}
    possible = {label for label, status in ends.items() if status in {"done", "unconfirmed"}}
    told_once = len(ends) == len(done.rows) == ROWS
    return told_once and certain <= labels <= possible and not box.ledger.bought_twice(remove_tag)


def test_the_first_ctrl_c_settles_what_is_under_way(cli: Cli, until: Wait) -> None:
    cli.box.latency = (1.0, 1.0)
    process = cli.start("apply", cli.fleet(ROWS), *BUY)
    until(lambda: len(cli.box.ledger.purchases) >= 50)
    process.send_signal(signal.SIGINT)
    done = cli.ended(process)

    assert done.code == 130
    assert agrees(done, cli.box)
    assert done.summary["stopped"] == "interrupted"
    assert done.summary["unconfirmed"] == 0
    assert done.summary["skipped"] >= 100


def test_what_an_interrupted_job_left_can_be_finished(
    cli: Cli, inside: Inside, until: Wait
) -> None:
    """Twice applied, once bought."""
    cli.box.latency = (1.0, 1.0)
    path = cli.fleet(ROWS)
    process = cli.start("apply", path, *BUY)
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    process.send_signal(signal.SIGINT)
    cli.ended(process)
    cli.box.latency = (0.0, 0.0)
    done = inside("apply", path, *BUY)

    assert done.code == 0
    assert done.summary["unchanged"] >= 1
    assert len(cli.box.ledger.purchases) == ROWS
    assert cli.box.ledger.bought_twice(remove_tag) == {}


def test_a_person_is_told_how_to_go_on(cli: Cli, until: Wait) -> None:
    cli.box.latency = (1.0, 1.0)
    process = cli.start("apply", cli.fleet(ROWS), *BUY[:-1])
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    process.send_signal(signal.SIGINT)
    done = cli.ended(process)

    assert done.code == 130
    assert "settling requests under way; Ctrl-C again leaves them unconfirmed" in done.err
    assert "not sent: buy-" in done.err
    assert "to continue, run the same command again; nothing is sent twice:" in done.err


@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGHUP], [signal.SIGHUP] * 3])
def test_other_ends_are_a_ctrl_c(cli: Cli, until: Wait, numbers: list[signal.Signals]) -> None:
    """What a container runtime, or a lost line, sends must not cost a purchase its answer.

    A second Ctrl-C is the control: it leaves rows unconfirmed.
    """
    cli.box.latency = (1.0, 1.0)
    process = cli.start("apply", cli.fleet(ROWS), *BUY)
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.01)  # or the system takes several of one kind for one
    done = cli.ended(process)

    assert done.code == 130
    assert agrees(done, cli.box)
    assert done.summary["unconfirmed"] == 0


def test_under_nohup_the_end_of_the_line_is_no_end(cli: Cli, until: Wait) -> None:
    cli.box.latency = (0.05, 0.05)
    path = cli.fleet(60)
    words = ("apply", path, "--max-purchases", 60, "--yes", "--json")
    process = cli.start(*words, before=["nohup"])
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    process.send_signal(signal.SIGHUP)
    done = cli.ended(process)

    assert (done.code, done.summary["done"]) == (0, 60)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="gives a process a terminal")
def test_a_terminal_that_is_closed_settles_what_is_under_way(
    cli: Cli, inside: Inside, until: Wait
) -> None:
    """An ssh connection that breaks: a signal comes, and every write fails from then on."""
    cli.box.latency = (1.0, 1.0)
    path = cli.fleet(ROWS)
    ours, theirs = pty.openpty()
    process = cli.start(
        *("apply", path, *BUY[:-1]),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        before=["setsid", "--ctty"],
    )
    os.close(theirs)
    until(lambda: len(cli.box.ledger.purchases) >= 20)
    os.close(ours)
    process.wait(60)
    bought = len(cli.box.ledger.purchases)
    cli.box.latency = (0.0, 0.0)
    standing = inside("status", path)
    again = inside("apply", path, *BUY)

    assert process.returncode == 130
    assert bought < ROWS
    assert standing.code == 0, "nothing is sending or unconfirmed"
    assert (again.code, again.summary["unchanged"]) == (0, bought)
    assert not cli.box.ledger.bought_twice(remove_tag)


def test_a_platform_that_dies_is_given_up_in_time(cli: Cli, until: Wait) -> None:
    """After a deadline without one answer the rest is skipped, not tried for hours."""
    server = cli.start("sandbox", "--json", "--state", "state.jsonl", "--rate", "100")
    assert server.stdout is not None
    ready = json.loads(server.stdout.readline())
    state = cli.folder / "state.jsonl"
    process = cli.start(
        "apply",
        cli.fleet(ROWS),
        *BUY,
        *("--deadline", "1.5", "--attempt-timeout", "0.5"),
        environment=ready["environment"],
    )
    until(lambda: state.exists() and state.read_text().count('"commit"') >= 20)
    server.kill()
    server.communicate()
    done = cli.ended(process)

    bought = {
        remove_tag(json.loads(line)["commit"]["friendly_name"])
        for line in state.read_text().splitlines()
        if '"commit"' in line
    }
    ends = {f"n{row['line'] - 1}": row["status"] for row in done.rows}
    assert done.summary["stopped"] == "platform_unreachable"
    assert done.code == (3 if done.summary["unconfirmed"] else 1)
    assert len(ends) == ROWS
    assert {label for label, end in ends.items() if end == "done"} <= bought
    assert bought <= {label for label, end in ends.items() if end in {"done", "unconfirmed"}}


def test_a_listing_into_head_ends_quietly(cli: Cli, inside: Inside) -> None:
    inside("apply", cli.fleet(300), "--max-purchases", 300, "--yes")
    process = cli.start("numbers", "list", "--json")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"type":"number')
    process.stdout.close()
    process.stdout = None
    done_err = process.communicate(timeout=120)[1]

    assert done_err == b""
    assert process.returncode == 0


def test_an_apply_into_head_stops_and_settles(cli: Cli, until: Wait) -> None:
    """Nobody reads how rows end: no more are begun, and those begun are not torn off."""
    cli.box.latency = (1.0, 1.0)
    reading, writing = os.pipe()
    process = cli.start("apply", cli.fleet(ROWS), *BUY[:-1], stdout=writing)
    os.close(writing)
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    os.close(reading)
    done_err = process.communicate(timeout=120)[1].decode()

    assert process.returncode == 130
    assert "stopping: standard output takes no more" in done_err
    assert "Traceback" not in done_err
    assert len(cli.box.ledger.purchases) < ROWS


def test_a_terminal_goes_away_once(cli: Cli, inside: Inside, until: Wait) -> None:
    """Its output fails first and its signal comes after that: what was sent is waited for.

    Fails where the signal counts as a second interrupt, which leaves all that unconfirmed.
    """
    cli.box.latency = (1.0, 1.0)
    path = cli.fleet(ROWS)
    reading, writing = os.pipe()
    process = cli.start("apply", path, *BUY[:-1], stdout=writing)
    os.close(writing)
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    os.close(reading)
    assert process.stderr is not None
    for line in process.stderr:
        if b"standard output takes no more" in line:
            break
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    cli.box.latency = (0.0, 0.0)

    assert process.returncode == 130
    assert inside("status", path).code == 0, "nothing is sending or unconfirmed"


def test_a_full_disk_behind_stdout_tears_nothing_off(cli: Cli) -> None:
    """Rows that were begun are settled, and those unconfirmed still told, on stderr."""
    cli.box.latency = (0.1, 0.1)
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        process = cli.start("apply", cli.fleet(ROWS), *BUY[:-1], stdout=full)
        err = process.communicate(timeout=120)[1].decode()

    assert process.returncode == 130
    assert "standard output takes no more" in err
    assert "unconfirmed, may have been carried out: buy-" in err
    assert cli.box.sigmamind.in_flight == 0
    assert len(cli.box.ledger.purchases) < ROWS

"""What a person sees: the same commands on a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox import Faults

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BUY_3 = ("--max-purchases", "3", "--yes")


def on_terminal(
    cli: Cli, words: Sequence[object], typed: str = "", interrupt_at: str | None = None
) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its code and all that appeared there."""
    ours, theirs = pty.openpty()
    process = cli.start(*words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    if typed:
        os.write(ours, typed.encode())
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
            if interrupt_at is not None and interrupt_at.encode() in seen:
                _wait_until_it_waits(process.pid)
                process.send_signal(signal.SIGINT)
                interrupt_at = None
    except OSError:  # how Linux says that the other side has gone
        pass
    os.close(ours)
    return process.wait(30), seen.decode()


def _wait_until_it_waits(pid: int) -> None:
    """Return once that process sleeps, as it does while it reads what is typed.

    A signal in the microseconds between a prompt and the reading ends no read: Python looks for
    signals before it and after it. Nobody types that fast, but this test would.
    """
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "S":
        time.sleep(0.001)


@pytest.mark.usefixtures("covered_processes")
def test_a_terminal_shows_a_progress_bar_and_a_table(cli: Cli) -> None:
    cli.box.latency = (0.2, 0.2)
    code, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3])
    text = ESCAPES.sub("", seen)

    assert code == 0
    assert "━━━" in text
    assert "0/3" in text
    assert "3 rows in " in text
    assert ": 3 done" in text


def test_a_terminal_shows_what_went_wrong(cli: Cli) -> None:
    cli.box.script("create", ["reset_before_commit"])
    _, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3, "--deadline", "0.5"])

    assert "buy-" in ESCAPES.sub("", seen)
    assert "\x1b[33munconfirmed" in seen


def test_verbose_shows_every_row(cli: Cli) -> None:
    _, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3, "--verbose"])

    assert ESCAPES.sub("", seen).count("done         create  buy-") == 3


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code", "bought"), [("3\n", 0, 3), ("y\n", 2, 0)])
def test_a_purchase_is_confirmed_by_its_count(cli: Cli, typed: str, code: int, bought: int) -> None:
    got, seen = on_terminal(cli, ["apply", cli.fleet(3)], typed)

    assert (got, len(cli.box.ledger.purchases)) == (code, bought)
    assert "It buys 3 numbers." in seen
    assert "Type 3 to go on:" in seen


def test_ctrl_c_at_the_question_sends_nothing(cli: Cli) -> None:
    code, seen = on_terminal(cli, ["apply", cli.fleet(3)], interrupt_at="go on: ")

    assert code == 130
    assert "Traceback" not in seen
    assert cli.box.sigmamind.requests.total == 0


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code"), [("+14155550123\n", 0), ("yes\n", 2)])
def test_a_release_is_confirmed_by_the_number(
    cli: Cli, inside: Inside, typed: str, code: int
) -> None:
    inside("apply", cli.write("a.jsonl", '{"action": "import", "phone_number": "+14155550123"}'))
    got, _ = on_terminal(cli, ["numbers", "release", "+14155550123"], typed)

    assert got == code
    assert cli.box.ledger.owned() == ([] if code == 0 else ["+14155550123"])


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code"), [("release\n", 0), ("y\n", 2)])
def test_duplicates_are_released_by_a_word(
    cli: Cli, inside: Inside, until: Wait, typed: str, code: int
) -> None:
    cli.box.faults = Faults(late=0.5)
    cli.box.script("create", ["late_commit"])
    path = cli.fleet(1)
    inside("apply", path, *BUY_3, "--settle-time", 0, "--retry-unconfirmed")
    until(lambda: len(cli.box.ledger.purchases) == 2)
    inside("reconcile", path)
    words = ["reconcile", path, "--only", "buy-0", "--release-duplicates"]
    got, seen = on_terminal(cli, words, typed)

    assert got == code
    assert "is permanent. Type release to go on:" in seen
    assert len(cli.box.ledger.owned()) == (1 if code == 0 else 2)


@pytest.mark.usefixtures("covered_processes")
def test_a_standing_is_coloured(cli: Cli, inside: Inside) -> None:
    cli.box.script("create", ["reset_before_commit"])
    path = cli.fleet(2)
    inside("apply", path, *BUY_3, "--deadline", 0.5)
    code, seen = on_terminal(cli, ["status", path])

    assert code == 3
    assert "\x1b[33m" in seen
    assert f"sigmamind reconcile {path} --wait" in ESCAPES.sub("", seen)


def test_a_label_cannot_command_the_terminal(cli: Cli, inside: Inside) -> None:
    """Escape sequences, line ends and markup in a label are shown, not obeyed."""
    label = "\\u001b]0;owned\\u0007\\u202e[red]x"
    row = f'{{"action": "import", "phone_number": "+14155550123", "friendly_name": "{label}"}}'
    inside("apply", cli.write("a.jsonl", row))
    _, seen = on_terminal(cli, ["numbers", "list"])
    plain = inside("numbers", "list").out

    for text in (seen, plain):
        assert "\x1b]0;" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "[red]x" in text

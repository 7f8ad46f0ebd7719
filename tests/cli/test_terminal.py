"""What a person sees: the same commands on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

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
def test_a_terminal_shows_progress_new_numbers_and_a_sum(cli: Cli) -> None:
    cli.box.latency = (0.2, 0.2)
    code, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3])
    text = ESCAPES.sub("", seen)

    assert code == 0
    assert "━━━" in text
    assert "0/3" in text
    assert "3 rows in " in text
    assert ": 3 done" in text
    for number in cli.box.ledger.owned():
        assert number in text


def test_a_terminal_shows_twenty_new_numbers_and_counts_the_others(cli: Cli) -> None:
    words = ["apply", cli.fleet(23), "--max-purchases", "23", "--yes"]
    _, first = on_terminal(cli, words)
    _, again = on_terminal(cli, words)

    assert ESCAPES.sub("", first).count("done         buy") == 20
    assert "and 3 more rows done; all of them: sigmamind status" in ESCAPES.sub("", first)
    assert "done         buy" not in ESCAPES.sub("", again)


def test_a_terminal_shows_what_went_wrong(cli: Cli) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    _, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3, "--deadline", "2"])

    assert "buy-" in ESCAPES.sub("", seen)
    assert "\x1b[33munconfirmed" in seen


def test_verbose_shows_every_row(cli: Cli) -> None:
    _, seen = on_terminal(cli, ["apply", cli.fleet(3), *BUY_3, "--verbose"])

    assert ESCAPES.sub("", seen).count("done         buy  buy-") == 3


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code"), [("+14155550123\n", 0), ("yes\n", 2)])
def test_a_release_is_confirmed_by_the_number(cli: Cli, held: None, typed: str, code: int) -> None:
    got, _ = on_terminal(cli, ["numbers", "release", "+14155550123"], typed)

    assert got == code
    assert cli.box.ledger.owned() == ([] if code == 0 else ["+14155550123"])


@pytest.mark.usefixtures("covered_processes")
def test_a_status_is_coloured(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    path = cli.fleet(2)
    inside("apply", path, *BUY_3, "--deadline", 2)
    code, seen = on_terminal(cli, ["status", path])

    assert code == 3
    assert "\x1b[33m" in seen
    assert f"sigmamind reconcile {path} --wait" in ESCAPES.sub("", seen)


HEADER = "id,platform,source,phone_number,label\n"


@pytest.fixture
def held(cli: Cli, inside: Inside) -> None:
    """An account that holds one number of its own."""
    row = "desk,sigmamind,import,+14155550123,Support for customers in Europe and beyond\n"
    assert inside("apply", cli.write("held.csv", HEADER + row)).code == 0


@pytest.mark.usefixtures("covered_processes", "held")
@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_list_fits_the_terminal_and_no_number_is_cut(cli: Cli, columns: str) -> None:
    cli.environment["COLUMNS"] = columns
    code, seen = on_terminal(cli, ["numbers", "list"])
    lines = ESCAPES.sub("", seen).splitlines()

    assert code == 0
    assert all(len(line) <= int(columns) for line in lines)
    assert lines[1].startswith("+14155550123 ") or lines[0] == "+14155550123"
    assert lines[-1] == "1 number"


def test_no_colour_is_used_where_none_is_wanted(cli: Cli) -> None:
    cli.environment["NO_COLOR"] = "1"
    _, seen = on_terminal(cli, ["apply", cli.fleet(1), "--max-purchases", "1", "--yes"])

    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", seen)


def test_a_label_cannot_command_the_terminal(cli: Cli, inside: Inside) -> None:
    """Escape sequences, line ends and markup in a label are shown, not obeyed."""
    label = "\x1b]0;owned\x07\u202e[red]x"
    value = ImportPhoneNumber(phone_number="+14155550123", friendly_name=label)

    async def bring() -> None:
        place = cli.box.sigmamind
        async with SigmaMind(place.api_key, base_url=place.base_url) as client:
            await client.run(value)

    asyncio.run(bring())
    _, seen = on_terminal(cli, ["numbers", "list"])
    plain = inside("numbers", "list").out

    for text in (seen, plain):
        assert "\x1b]0;" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "[red]x" in text


@pytest.mark.parametrize("columns", ["40", "80"])
def test_messages_break_between_words_and_commands_do_not(cli: Cli, columns: str) -> None:
    """At 40 columns it fails where `log_width` says that there is no terminal."""
    cli.environment["COLUMNS"] = columns
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    words = ["apply", "fleet.jsonl", "--max-purchases", "1", "--yes", "--deadline", "2"]
    cli.fleet(1)
    code, seen = on_terminal(cli, words)
    lines = [line.rstrip() for line in ESCAPES.sub("", seen).split("\r\n")]
    said = [line.split("\r")[-1] for line in lines if "sigmamind " not in line]

    assert code == 3
    assert "  sigmamind apply fleet.jsonl --max-purchases 1 --yes --deadline 2" in lines
    assert any(line.endswith("sigmamind reconcile fleet.jsonl --wait") for line in lines)
    assert all(len(line) <= int(columns) for line in said if " " in line.strip()), said

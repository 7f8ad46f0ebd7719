"""``sigmamind sandbox``: a platform of one's own."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside


PLATFORMS = ("sigmamind", "verbex", "dialnexa")


def test_what_it_prints_can_be_pasted(cli: Cli, inside: Inside) -> None:
    """The export lines are all that another shell needs."""
    with cli.start("sandbox", "--seed", "3") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().strip() for _ in range(6)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        listings = [
            inside("numbers", "list", "--json", "--platform", name, **exports) for name in PLATFORMS
        ]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)

    assert [(done.code, done.out) for done in listings] == [(0, "")] * 3
    assert process.returncode == 0
    assert err.decode().splitlines()[1:] == [
        "OK     0 purchases, 0 numbers held",
        "OK     0 bought twice",
    ]


@pytest.mark.usefixtures("covered_processes")
def test_its_state_outlives_it(cli: Cli, inside: Inside) -> None:
    held: list[int] = []
    for _ in range(2):
        with cli.start("sandbox", "--json", "--state", "state.jsonl") as process:
            assert process.stdout is not None
            ready = [json.loads(process.stdout.readline()) for _ in PLATFORMS]
            where = ready[0]["environment"]
            path = cli.purchases(1, f"orders-{len(held)}.jsonl")
            inside("apply", path, "--max-purchases", 1, "--yes", **where)
            held.append(len(inside("numbers", "list", "--json", **where).objects))
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=120)[1] == b""

            assert [each["platform"] for each in ready] == [*PLATFORMS]

    assert held == [1, 2]


@pytest.mark.parametrize("words", [("--faults", "2"), ("--rate", "0"), ("--port", "70000")])
def test_a_setting_out_of_range_is_exit_2(inside: Inside, words: tuple[str, str]) -> None:
    done = inside("sandbox", *words)

    assert (done.code, done.out) == (2, "")
    assert words[0] in done.err


def test_a_port_in_use_is_one_line(cli: Cli, inside: Inside) -> None:
    done = inside("sandbox", "--port", cli.box.sigmamind.base_url.rpartition(":")[2])

    assert done.code == 2
    assert "in use" in done.err
    assert done.err.count("\n") == 1


def test_a_state_file_of_something_else_is_exit_2(cli: Cli, inside: Inside) -> None:
    """Such as the rows of a fleet, without an end to their last line."""
    rows = cli.write("fleet.csv", "id,platform\na,sigmamind")
    done = inside("sandbox", "--state", rows)

    assert (done.code, done.out) == (2, "")
    assert "fleet.csv: line 1 is not that of a sandbox's state file" in done.err
    assert done.err.count("\n") == 1
    assert rows.read_text() == "id,platform\na,sigmamind"

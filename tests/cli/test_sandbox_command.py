"""``sigmamind sandbox``: a platform of one's own."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMAND

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait


PLATFORMS = ("sigmamind", "verbex", "dialnexa")
HEADER = "id,platform,source,country_code,label"


def test_what_it_prints_can_be_sourced(cli: Cli, until: Wait) -> None:
    """Stdout is what another shell needs, and nothing else; the rest is for a person."""
    script = cli.folder / "sandbox.sh"
    own = {name: text for name, text in cli.environment.items() if "_API_KEY" not in name}
    listing = f"{shlex.join(COMMAND)} numbers list --json --platform"
    lines = f". ./{script.name}; for p in {shlex.join(PLATFORMS)}; do {listing} $p; done"
    with script.open("wb") as out, cli.start("sandbox", "--seed", "3", stdout=out) as process:
        until(lambda: script.read_bytes().count(b"\n") == 2 * len(PLATFORMS))
        sourced = subprocess.run(
            ["sh", "-ec", f"{lines}; echo $VERBEX_BASE_URL"],
            cwd=cli.folder,
            env=own,
            capture_output=True,
            check=False,
            timeout=120,
        )
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)

    assert (sourced.returncode, sourced.stderr) == (0, b"")
    told = err.decode().splitlines()
    assert [line.split()[0] for line in told[:4]] == ["platform", *PLATFORMS]
    assert sourced.stdout.decode().strip() == told[2].split()[1]
    assert process.returncode == 0
    assert told[-2:] == ["OK     0 purchases, 0 numbers held", "OK     0 bought twice"]


@pytest.mark.usefixtures("covered_processes")
def test_its_state_outlives_it(cli: Cli, inside: Inside) -> None:
    held: list[int] = []
    for _ in range(2):
        with cli.start("sandbox", "--json", "--state", "state.jsonl") as process:
            assert process.stdout is not None
            ready = [json.loads(process.stdout.readline()) for _ in PLATFORMS]
            where = ready[0]["environment"]
            row = f"buy-{len(held)},sigmamind,purchase,US,desk {len(held)}\n"
            path = cli.write(f"fleet-{len(held)}.csv", f"{HEADER}\n{row}")
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

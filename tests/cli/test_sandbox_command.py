"""``sigmamind sandbox``: a platform of one's own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMAND, Done

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait


pytestmark = pytest.mark.usefixtures("covered_processes")

PLATFORMS = ("sigmamind", "verbex", "dialnexa")
HEADER = "id,platform,source,country_code,label"


def run_shell(cli: Cli, script: str, shell: str = "sh") -> Done:
    """Run *script*, which ends at the first command that fails."""
    own = {name: text for name, text in cli.environment.items() if "_API_KEY" not in name}
    done = subprocess.run(
        [shell, "-ec", script],
        cwd=cli.folder,
        env=own,
        capture_output=True,
        check=False,
        timeout=240,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_what_it_prints_can_be_sourced(cli: Cli, until: Wait) -> None:
    """Stdout is what another shell needs, and nothing else; the rest is for a person."""
    script = cli.folder / "sandbox.sh"
    listing = f"{shlex.join(COMMAND)} numbers list --json --platform"
    lines = f". ./{script.name}; for p in {shlex.join(PLATFORMS)}; do {listing} $p; done"
    with script.open("wb") as out, cli.start("sandbox", "--seed", "3", stdout=out) as process:
        until(lambda: b"_PID=" in script.read_bytes())
        sourced = run_shell(cli, f"{lines}; echo $VERBEX_BASE_URL")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)

    assert (sourced.code, sourced.err) == (0, "")
    told = err.decode().splitlines()
    assert [line.split()[0] for line in told[:4]] == ["platform", *PLATFORMS]
    assert sourced.out.strip() == told[2].split()[1]
    assert told[4] == "Each serves its OpenAPI document at /openapi.json."
    assert process.returncode == 0
    assert told[-2:] == ["OK     0 purchases, 0 numbers held", "OK     0 bought twice"]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_evaluates_what_a_detached_one_prints(cli: Cli, shell: str) -> None:
    """It goes on after the command that started it, until its process is ended."""
    program = shlex.join(COMMAND)
    script = f"""
        eval "$({program} sandbox --detach --seed 3 2>table)"
        {program} numbers list --json --platform verbex
        kill $SIGMAMIND_SANDBOX_PID
        while kill -0 $SIGMAMIND_SANDBOX_PID 2>/dev/null; do sleep 0.05; done
        cat table
    """
    done = run_shell(cli, script, shell)

    table = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in table[:4]] == ["platform", *PLATFORMS]
    assert "kill" in table[-1]


@pytest.mark.parametrize("words", ["--state fleet.csv", "--port $PORT", "--no-such-option"])
def test_a_shell_that_evaluates_a_failure_fails(cli: Cli, words: str) -> None:
    """What would follow might reach the platforms themselves."""
    cli.write("fleet.csv", "id,platform\na,sigmamind")
    port = cli.box.sigmamind.base_url.rpartition(":")[2]
    words = words.replace("$PORT", port)
    script = f'eval "$({shlex.join(COMMAND)} sandbox --detach {words})"; echo reached'
    done = run_shell(cli, script)

    assert (done.code == 0, done.out) == (False, "")
    assert done.err.startswith("sigmamind: ")


def test_one_whose_address_nobody_reads_does_not_go_on(cli: Cli, until: Wait) -> None:
    """Nobody could reach it, or end it."""
    reader, writer = os.pipe()
    os.close(reader)
    process = cli.start("sandbox", "--detach", stdout=writer)
    os.close(writer)
    done = cli.ended(process)
    port = int(done.err.splitlines()[1].split()[1].rpartition(":")[2])

    def is_refused() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) != 0

    assert (done.code, "Running" in done.err) == (0, False)
    until(is_refused)


def test_a_command_runs_with_the_environment_set(cli: Cli) -> None:
    """Whatever follows ``--`` is the command's; its exit code is returned."""
    script = 'cat - && echo "$@" && echo $VERBEX_BASE_URL $DIALNEXA_API_KEY && exit 7'
    words = ("--debug", "--json", "--help", "--postgres", "--", "-")
    done = cli("sandbox", "--seed", 3, "--", "sh", "-c", script, "sh", *words, stdin="in\n")

    given, shown, where = done.out.splitlines()
    assert (done.code, given, shown) == (7, "in", " ".join(words))
    assert where.startswith("http://127.0.0.1:")
    assert not where.startswith(cli.box.verbex.base_url)
    assert done.err.splitlines() == ["OK     0 purchases, 0 numbers held", "OK     0 bought twice"]


@pytest.mark.parametrize("how", ["command", "detached", "option"])
def test_no_profile_leads_out_of_a_sandbox(cli: Cli, how: str) -> None:
    """A command would buy from the platform itself."""
    folder = cli.folder / "config/sigmamind"
    folder.mkdir(parents=True)
    (folder / "key").write_text("sk-real")
    real = f'SIGMAMIND_API_KEY = "file:{folder / "key"}"\nSIGMAMIND_BASE_URL = "http://127.0.0.1:9"'
    (folder / "profiles.toml").write_text(f"[prod]\n{real}\n")
    program = shlex.join(COMMAND)
    listing = f"{program} numbers list --json"
    script = {
        "command": f"export SIGMAMIND_PROFILE=prod; {program} sandbox -- {listing}",
        "option": f"{program} sandbox --profile prod -- {listing}",
        "detached": f"export SIGMAMIND_PROFILE=prod; {listing} 2>/dev/null && exit 9;"
        f' eval "$({program} sandbox --detach)"; {listing}; kill $SIGMAMIND_SANDBOX_PID',
    }[how]
    done = run_shell(cli, f"export XDG_CONFIG_HOME={shlex.quote(str(folder.parent))}; {script}")

    assert done.code == 0, done.err


@pytest.mark.parametrize("how", ["command", "detached"])
def test_no_database_of_the_environment_is_used_in_a_sandbox(cli: Cli, how: str) -> None:
    """A command would write what the sandbox sold into the journal of the platform's account."""
    program = shlex.join(COMMAND)
    status = f"{program} status --postgres"
    script = {
        "command": f"{program} sandbox -- {status}",
        "detached": f'eval "$({program} sandbox --detach)"; {status} || code=$?;'
        " kill $SIGMAMIND_SANDBOX_PID; exit $code",
    }[how]
    real = "export SIGMAMIND_POSTGRES=postgresql://127.0.0.1:9/production"
    done = run_shell(cli, f"{real}; {script}")
    control = run_shell(cli, f"{real}; {status}")

    assert (done.code, control.code) == (2, 2)
    assert "name a database: give --postgres DSN" in done.err
    assert "production" in control.err
    assert "production" not in done.err


@pytest.mark.parametrize(
    ("command", "code"),
    [(("no-such-command",), 127), (("/",), 126), (("sh", "-c", "kill $$"), 143)],
)
def test_a_command_that_fails_to_run_is_as_in_a_shell(
    cli: Cli, command: tuple[str, ...], code: int
) -> None:
    assert cli("sandbox", "--", *command).code == code


@pytest.mark.parametrize(("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_the_command_decides_what_an_interrupt_means(
    cli: Cli, number: signal.Signals, to_group: bool
) -> None:
    """Ctrl-C reaches both; what ends the sandbox alone is passed on."""
    script = (
        f"trap 'echo stopped; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.02; done"
    )
    with cli.start("sandbox", "--", "sh", "-c", script, before=("setsid",)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, _ = process.communicate(timeout=120)

    assert (out, process.returncode) == (b"stopped\n", 5)


@pytest.mark.parametrize("option", ["--json", "--detach"])
def test_an_option_that_says_nothing_to_a_command_is_exit_2(inside: Inside, option: str) -> None:
    done = inside("sandbox", option, "--", "true")

    assert done.code == 2
    assert f"{option} does not apply with a command" in done.err


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
    port = cli.box.sigmamind.base_url.rpartition(":")[2]
    done = inside("sandbox", "--port", port)

    assert done.code == 2
    assert f":{port}: Address already in use\n" in done.err
    assert done.error


def test_a_state_file_of_something_else_is_exit_2(cli: Cli, inside: Inside) -> None:
    """Such as the rows of a fleet, without an end to their last line."""
    rows = cli.write("fleet.csv", "id,platform\na,sigmamind")
    done = inside("sandbox", "--state", rows)

    assert (done.code, done.out) == (2, "")
    assert "fleet.csv: line 1 is not that of a sandbox's state file" in done.err
    assert done.error
    assert rows.read_text() == "id,platform\na,sigmamind"

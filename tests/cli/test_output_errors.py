"""Standard output that takes no more: an error for every command, unless its reader went away."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.cli.conftest import COMMAND
from tests.cli.test_rendering import SCHEMA

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

FLEET = "id,platform,source,country_code,label\n" + "".join(
    f"desk-{number},sigmamind,purchase,US,n{number}\n" for number in range(3)
)
BUY = ("--max-purchases", "3", "--yes")
NEEDS_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")

COMMANDS: list[tuple[str, ...]] = [
    ("numbers", "list"),
    ("numbers", "list", "--json"),
    ("export",),
    ("plan", "fleet.csv"),
    ("plan", "fleet.csv", "--json"),
    ("status", "fleet.csv"),
    ("status", "fleet.csv", "--json"),
    ("reconcile", "fleet.csv"),
    ("apply", "fleet.csv", *BUY),
    ("apply", "fleet.csv", *BUY, "--json"),
    ("--help",),
    ("apply", "--help"),
    ("--version",),
]


@pytest.fixture
def applied(cli: Cli, inside: Inside) -> Cli:
    """An account with three numbers, and their file."""
    assert inside("apply", cli.write("fleet.csv", FLEET), *BUY).code == 0
    return cli


def run(cli: Cli, *words: str, redirect: str) -> tuple[int, str]:
    """Run a command in a shell with a redirection; return its code and stderr."""
    line = f"{shlex.join([*COMMAND, *words])} {redirect}"
    done = subprocess.run(
        line,
        shell=True,
        env=cli.environment,
        cwd=cli.folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode()


def run_onto_full_disk(cli: Cli, *words: str) -> tuple[int, str]:
    """Run a command whose output finds no space left; return its code and stderr."""
    with Path("/dev/full").open("wb") as full, cli.start(*words, stdout=full) as process:
        _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


@NEEDS_DEVICE
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_an_error(
    applied: Cli, inside: Inside, words: tuple[str, ...]
) -> None:
    """Negative control: where it can be, the same command ends with 0."""
    code, err = run_onto_full_disk(applied, *words)
    control = inside(*words).code

    assert code != 0
    assert "sigmamind: cannot write the output: No space left on device" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert control == 0


@pytest.mark.parametrize("redirect", [">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_at_the_start_are_no_crash(applied: Cli, redirect: str) -> None:
    """As if they led to /dev/null; and the journal never becomes standard output."""
    for words in COMMANDS[::2]:
        code, err = run(applied, *words, redirect=redirect)
        assert (words, code, err.count("Traceback")) == (words, 0, 0)
    assert run(applied, "status", "fleet.csv", redirect="> /dev/null") == (0, "")


@pytest.mark.parametrize("words", COMMANDS[:8], ids=" ".join)
def test_a_reader_that_went_away_is_no_error(applied: Cli, words: tuple[str, ...]) -> None:
    """It is gone before the command begins. Negative control: a full disk, above."""
    reading, writing = os.pipe()
    os.close(reading)
    process = applied.start(*words, stdout=writing)
    os.close(writing)
    with process:
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, b"")


@NEEDS_DEVICE
@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_a_full_disk_stops_a_job_and_tears_no_row_off(
    cli: Cli, inside: Inside, flag: tuple[str, ...]
) -> None:
    """Rows under way are settled, no more are sent, and the same command goes on."""
    rows = "".join(f"row-{n},sigmamind,purchase,US,n{n}\n" for n in range(200))
    cli.write("fleet.csv", "id,platform,source,country_code,label\n" + rows)
    cli.box.latency = (0.05, 0.05)
    words = ("apply", "fleet.csv", "--max-purchases", "200", "--yes")
    code, err = run_onto_full_disk(cli, *words, *flag)
    bought = len(cli.box.ledger.purchases)
    status = inside("status", "fleet.csv", "--json")

    assert code != 0
    assert "cannot write the output: No space left on device" in err
    assert 0 < bought < 200
    assert status.code == 0
    counts = status.objects[0]["counts"]
    assert counts["done"] == bought
    assert counts.keys() <= {"done", "planned"}  # what was to be next, and was not sent
    cli.box.latency = (0.0, 0.0)
    again = inside(*words, "--json")
    assert (again.code, len(cli.box.ledger.purchases)) == (0, 200)


# ---------------------------------------------------------------- errors for programs


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        (("plan", "nowhere.csv", "--json"), "", 2),
        (("numbers", "get", "+14155550199", "--json"), "NotFoundError", 1),
        (("numbers", "list", "--json", "--nonsense"), "UsageError", 2),
        (("status", "nowhere.csv", "--json"), "UsageError", 2),
    ],
)
def test_an_error_is_an_object_for_a_program_and_a_sentence_for_a_person(
    inside: Inside, words: tuple[str, ...], error: str, code: int
) -> None:
    done = inside(*words)
    [failed] = done.objects

    jsonschema.validate(failed, SCHEMA)
    assert (done.code, failed["type"], failed["exit_code"]) == (code, "command_failed", code)
    assert not error or failed["error"] == error
    assert done.err.startswith("sigmamind: ")


def test_everything_that_commands_print_is_of_the_schema(applied: Cli, inside: Inside) -> None:
    """Negative control: an object with an unknown word in ``state`` is refused."""
    check = jsonschema.Draft202012Validator(SCHEMA)
    edited = FLEET.replace("n1", "n9") + "bad,sigmamind,import,x,y\n"
    applied.write("edited.csv", edited)
    printed: dict[str, Any] = {}
    for words in (
        ("numbers", "list", "--json"),
        ("numbers", "list", "--platform", "verbex", "--platform", "sigmamind", "--json"),
        ("plan", "fleet.csv", "--json"),
        ("plan", "edited.csv", "--json"),
        ("status", "fleet.csv", "--json"),
        ("reconcile", "fleet.csv", "--json"),
        ("apply", "fleet.csv", *BUY, "--json"),
        ("apply", "edited.csv", *BUY, "--json"),
        ("numbers", "verify", "--json"),
    ):
        for each in inside(*words).objects:
            check.validate(each)
            printed[each["type"]] = each

    assert {"number_record", "plan_step", "plan_summary", "row_result", "summary"} <= set(printed)
    assert {"file_problem", "journal_status"} <= set(printed)
    assert not check.is_valid({**printed["row_result"], "status": "settled"})


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "fleet.csv", "--out"),
        ("apply", "fleet.csv", *BUY, "--report"),
        ("export", "--platform", "sigmamind", "--force", "--out"),
    ],
    ids=lambda words: words[0],
)
def test_a_device_is_not_replaced_by_a_file(
    applied: Cli, inside: Inside, words: tuple[str, ...]
) -> None:
    """As root, ``--out /dev/null`` could. Negative control: a link to a file is written through."""
    pipe, page = applied.folder / "pipe.csv", applied.folder / "link.csv"
    os.mkfifo(pipe)
    page.symlink_to("target.csv")
    (applied.folder / "target.csv").touch()
    suffix = ".csv" if words[0] == "export" else ".json"
    for path in (pipe, page):
        path.rename(path.with_suffix(suffix))
    done = inside(*words, pipe.with_suffix(suffix))
    control = inside(*words, page.with_suffix(suffix))
    loop = applied.folder / f"loop{suffix}"
    loop.symlink_to(loop.name)
    assert inside(*words, loop).code == 0, "what leads to itself is replaced"

    assert done.code == 2
    assert "is a device or a pipe; name a file; nothing was sent" in done.err
    assert pipe.with_suffix(suffix).is_fifo()
    assert control.code == 0, control
    assert page.with_suffix(suffix).is_symlink()
    assert (applied.folder / "target.csv").stat().st_size > 0

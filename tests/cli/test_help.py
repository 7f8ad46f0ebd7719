"""``--help`` of every command, and the guide that it names."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sigmamind_async import fleet
from sigmamind_async.cli import main
from sigmamind_async.cli.app import arguments_of, bind
from sigmamind_async.cli.commands.explain import page_names, read_page
from sigmamind_async.cli.help import COMMANDS, GROUPS, command_help, find_command
from sigmamind_async.cli.process import take_settings
from tests.harness.journal import write_journal

NAMES = sorted(COMMANDS)
LONGEST_SENTENCE = 90


def help_of(name: str) -> str:
    return command_help(name, arguments_of(name))


def check_command(line: str) -> None:
    """Raise unless *line* is a command line that its command takes."""
    program, *words = shlex.split(line.partition(" > ")[0], comments=True)
    assert program == "sigmamind"
    name, rest = find_command(take_settings(words)[0])
    bind(name, rest)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_a_sentence_options_in_groups_an_example_and_a_page(name: str) -> None:
    text = help_of(name)
    sentence, usage, *sections, end = text.split("\n\n")
    [(example, page)] = re.findall(r"^Example: (.+)\nGuide: sigmamind explain ?(.*)$", end)

    assert len(sentence) <= LONGEST_SENTENCE
    assert sentence.endswith(".")
    assert usage.startswith(f"Usage: sigmamind {name} ")
    assert sections
    assert all(re.match(r"[A-Z][\w ]+:\n  ", section) for section in sections)
    assert page in {"", *page_names()}
    check_command(example)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_meaning(name: str) -> None:
    for argument in arguments_of(name):
        if argument.show:
            assert (argument.parameter.help or "").endswith("."), argument.name


def test_an_example_that_does_not_parse_is_seen() -> None:
    """The control of the tests above and below."""
    with pytest.raises(Exception, match="--frobnicate"):
        check_command("sigmamind status fleet.csv --frobnicate")


def test_the_root_lists_every_command_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", out, re.MULTILINE)

    assert out == bare
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group]) == 0
    out = capsys.readouterr().out

    assert [name for name in COMMANDS if name.split()[0] == group] == [
        f"{group} {word}" for word in re.findall(r"^  ([a-z]+) {2,}", out, re.MULTILINE)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["aply", "x.csv"], "there is no command 'aply'; did you mean 'apply'?"),
        (["numbers", "lst"], "there is no command 'numbers lst'; did you mean 'list'?"),
        (["--platform", "verbex", "plan"], "'--platform': options come after a command"),
        (["numbers", "--yes"], "'--yes': options come after a command"),
        (["status", "--jsn"], "--jsn"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()

    assert out == ""
    [line, more] = err.splitlines()
    assert message in line
    assert more.startswith("More: sigmamind ")
    assert more.endswith("--help")


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", NAMES)
def test_help_fits_the_terminal(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Except for what must stay in one piece: an option with its choices, the example."""
    monkeypatch.setenv("COLUMNS", str(columns))
    body, _, _ = help_of(name).rpartition("\n\n")
    usage = f"Usage: sigmamind {name}"

    for line in body.splitlines():
        if not line.startswith((usage, "  -", "  [")):
            assert len(line) <= max(columns, 50)


# ---------------------------------------------------------------- the guide


def blocks(page: str, language: str) -> list[str]:
    text = read_page(page)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


COMMAND_LINES = [
    (page, line)
    for page in page_names()
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("sigmamind ")
]
FLEETS = [
    (page, format_, text)
    for page in page_names()
    for format_ in ("csv", "yaml", "jsonl")
    for text in blocks(page, format_)
]


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_every_command_of_the_guide_is_one(page: str, line: str) -> None:
    check_command(line)


def test_every_command_of_the_readme_is_one() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(sigmamind .+)$", text, re.MULTILINE)

    assert len(lines) >= 3
    for line in lines:
        check_command(line)


@pytest.mark.parametrize(("page", "format_", "text"), FLEETS)
def test_every_file_of_the_guide_is_a_fleet(
    page: str, format_: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{page}.{format_}"
    path.write_text(text, encoding="utf-8")

    assert not fleet.load(path).problems


# ---------------------------------------------------------------- what a command loads

HEAVY = {
    "aiohttp",
    "jinja2",
    "openpyxl",
    "procrastinate",
    "psycopg",
    "sigmamind_async.bulk",
    "sigmamind_async.cli.report",
    "sigmamind_async.cli.accounts",
    "sigmamind_async.client",
    "sigmamind_async.engine",
    "sigmamind_async.fleet",
    "sigmamind_async.limiter",
    "sigmamind_async.platforms",
    "sigmamind_async.sandbox",
    "sigmamind_async.workers",
    "yaml",
}
"""Packages and modules that take long to import, and that help has no use for."""

CYCLOPTS = {"asyncio", "attrs", "cyclopts", "pathlib", "rich"}


def loaded_by(*words: str, cwd: Path | None = None) -> set[str]:
    """Return the modules that a command line has imported when it ends, and their packages."""
    program = (
        "import sys; bare = set(sys.modules); from sigmamind_async.cli import main\n"
        "main(sys.argv[1:]); print(*(set(sys.modules) - bare), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1"},
    )
    modules = done.stderr.splitlines()[-1].split()
    return {name.rsplit(".", cut)[0] for name in modules for cut in range(name.count(".") + 1)}


def test_version_and_the_roots_help_load_almost_nothing() -> None:
    assert not loaded_by("--version") & (HEAVY | CYCLOPTS | {"importlib.metadata"})
    assert not loaded_by("--help") & (HEAVY | CYCLOPTS)
    assert "cyclopts" not in loaded_by("aply")


@pytest.mark.parametrize("name", NAMES)
def test_help_loads_nothing_that_only_the_command_needs(name: str) -> None:
    loaded = loaded_by(*name.split(), "--help")

    assert not loaded & (HEAVY | {"asyncio", "rich.console"})
    assert "cyclopts" in loaded  # the control


STATUS_NEEDS_NOT = HEAVY | {
    "asyncio",
    "logging",
    "rich.console",
    "sigmamind_async.convert",
    "sigmamind_async.provisioning.provisioner",
}


@pytest.mark.parametrize("words", [[], ["--json"], ["--rows"]], ids=str)
def test_status_loads_no_platform_and_no_event_loop(tmp_path: Path, words: list[str]) -> None:
    asyncio.run(write_journal(tmp_path / "fleet.db"))
    loaded = loaded_by("status", "fleet.db", *words, cwd=tmp_path)

    assert not loaded & STATUS_NEEDS_NOT
    assert "sigmamind_async.provisioning.journal.sqlite.snapshot" in loaded  # the control


def test_a_wrong_option_loads_the_options_and_no_more() -> None:
    assert not loaded_by("apply", "fleet.csv", "--jsn") & (HEAVY | {"asyncio", "rich.text"})


@pytest.mark.parametrize("words", [[], ["apply"], ["numbers", "list"]])
def test_help_is_a_command_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", *words]) == 0
    by_command = capsys.readouterr().out

    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out == by_command

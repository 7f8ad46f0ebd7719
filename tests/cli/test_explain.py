"""``sigmamind explain``: the guide in the terminal, page by page and name by name."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sigmamind_async import errors
from sigmamind_async.cli import main
from sigmamind_async.cli.app import arguments_of
from sigmamind_async.cli.commands.explain import GUIDE, SECTIONS, page_names, read_page
from sigmamind_async.cli.errors import Exit
from sigmamind_async.cli.help import COMMANDS
from sigmamind_async.fleet.spec import FIELDS
from sigmamind_async.provisioning.row import State
from tests.cli.conftest import Cli, Terminal

ROOT = Path(__file__).parents[2]
CLASSES = [
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.SigmaMindError)
]
TOPICS = [
    *page_names(),
    *CLASSES,
    *(state.value for state in State),
    *(str(code.value) for code in Exit),
    *COMMANDS,
    *FIELDS,
]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_name_is_explained(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *topic.split()]) == 0
    title, *rest = capsys.readouterr().out.split("\n\n")

    assert title.startswith("#")
    assert rest


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for argument in arguments_of(command):
        if argument.show and argument.index is None:
            for name in argument.names:
                test_every_name_is_explained(name, capsys)


@pytest.mark.parametrize("topic", ["OutcomeUnknown", "setle-time", "fleetfile", "needs_decisions"])
def test_a_misspelled_topic_has_a_suggestion(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control of the test above: what is not in the guide is an error."""
    assert main(["explain", topic]) == 2

    assert f"the guide has nothing about '{topic}'; did you mean '" in capsys.readouterr().err


def test_a_topic_like_no_other_is_led_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "qqqqqqqq"]) == 2

    assert "'qqqqqqqq'; sigmamind explain lists its pages" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["outcomeunknownerror"], "## `OutcomeUnknownError`"),
        (["settle-time"], "## `--settle-time`"),
        (["needs", "decision"], "## `needs_decision`"),
        (["429"], "## `RateLimitError`, `429`"),
        (["saved", "plans"], "## Saved plans"),
        (["drift"], "## Drift"),
        (["plan"], "## `sigmamind plan`"),
        (["--help-me"], ""),
    ],
)
def test_a_topic_may_be_spelled_freely(
    words: list[str], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["explain", *words])

    assert (code, capsys.readouterr().out.partition("\n")[0]) == (0 if seen else 2, seen)


def test_a_section_ends_where_the_next_one_begins(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "planned"])

    assert "sending" not in capsys.readouterr().out


def test_explain_prints_markdown_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "plans"]) == 0

    assert capsys.readouterr().out.strip() == read_page("plans").strip()


def test_explain_is_rendered_on_a_terminal(cli: Cli) -> None:
    with Terminal(cli, "explain", "plans") as terminal:
        pass

    assert terminal.code == 0
    assert "Saved plans" in terminal.seen
    assert "## " not in terminal.seen
    assert "```" not in terminal.seen


def test_explain_alone_lists_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0

    assert re.findall(r"^- `([\w-]+)`: \S", capsys.readouterr().out, re.MULTILINE) == page_names()


# ---------------------------------------------------------------- the pages


@pytest.mark.parametrize("page", page_names())
def test_a_page_begins_with_its_title_and_a_sentence(page: str) -> None:
    title, sentence, *_ = read_page(page).split("\n\n")

    assert re.fullmatch(r"# [A-Z][\w ,-]+", title)
    assert re.match(r"[A-Z`]", sentence)
    assert sentence.endswith(".")


def test_every_page_is_in_a_section() -> None:
    """A page in another folder would be shipped, and shown by nothing."""
    assert sorted(path.stem for path in GUIDE.rglob("*.md")) == sorted(page_names())
    assert len(set(page_names())) == len(page_names())
    assert {path.name for path in GUIDE.iterdir() if path.is_dir()} == {*SECTIONS, "api"}


@pytest.mark.parametrize("path", sorted(GUIDE.rglob("*.md")), ids=lambda path: path.stem)
def test_every_link_and_every_topic_of_a_page_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
        assert (path.parent / target).is_file(), target
    for topic in re.findall(r"`sigmamind explain ([\w -]+)`", text):
        assert topic == "PAGE" or main(["explain", *topic.split()]) == 0, topic


def test_every_topic_that_a_message_names_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(path.read_text("utf-8") for path in GUIDE.parent.rglob("*.py"))
    topics = {word.strip("-.") for word in re.findall(r"sigmamind explain ([\w-]+)", code)}

    assert len(topics) > 3
    assert [each for each in topics - {"PAGE", "lists"} if main(["explain", each])] == []


def test_a_link_to_another_page_is_a_command_in_the_terminal() -> None:
    assert "fleet file (`sigmamind explain fleet-files`)" in read_page("numbers")


# ---------------------------------------------------------------- the reference


def check_reference(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci/docs/reference.py", "--check", *options],
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    """After a change of options, columns, errors or output: ``poe reference``."""
    done = check_reference()

    assert (done.returncode, done.stdout, done.stderr) == (0, "stale: none\n", "")


def test_a_stale_page_is_seen(tmp_path: Path) -> None:
    """The control."""
    for page in (GUIDE / "reference").glob("*.md"):
        (tmp_path / page.name).write_bytes(page.read_bytes())
    with (tmp_path / "options.md").open("a") as file:
        file.write("## `--frobnicate`\n")

    assert check_reference("--to", str(tmp_path)).stdout == "stale: options\n"


# ---------------------------------------------------------------- the API on the site

PACKAGES = [
    "sigmamind_async",
    *(f"sigmamind_async.{name}" for name in ("provisioning", "fleet", "workers", "sync")),
    *(f"sigmamind_async.platforms.{name}" for name in ("sigmamind", "verbex", "dialnexa")),
    *(f"sigmamind_async.{name}" for name in ("sandbox", "testing")),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_on_the_site_with_a_docstring(package: str) -> None:
    text = "\n".join(path.read_text() for path in (GUIDE / "api").glob("*.rst"))
    module = importlib.import_module(package)

    assert f".. automodule:: {package}\n   :imported-members:\n" in text
    for name in module.__all__:
        value = getattr(module, name)
        if name in CLASSES:
            assert f".. autoexception:: {package}.{name}\n" in text, name
        elif not (inspect.isclass(value) or inspect.isroutine(value)):
            # autodoc finds no constants that are imported
            assert f".. autodata:: {package}.{name}\n" in text, name
            continue
        assert inspect.getdoc(value), name

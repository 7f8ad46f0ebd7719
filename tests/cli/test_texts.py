"""What commands print, at 80 columns: read `golden/` from top to bottom in ten minutes.

``GOLDEN=write pytest tests/cli/test_texts.py`` writes the files again; look at ``git diff`` then.
A second test keeps the tics of translated English out of every text of the package.
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.cli import main
from sigmamind_async.cli.commands.explain import GUIDE
from sigmamind_async.cli.help import COMMANDS, GROUPS
from sigmamind_async.sandbox import Faults
from tests.cli.conftest import Terminal
from tests.cli.test_terminal import ESCAPES

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

GOLDEN = Path(__file__).with_name("golden")
PACKAGE = GUIDE.parent

# ---------------------------------------------------------------- golden texts

AGENT = "agent_D5D0p7TUs66TTAEAx"
FLEET = f"""\
id,platform,source,phone_number,country_code,area_code,label,inbound_agent_id,termination_uri
desk-1,sigmamind,purchase,,US,415,Support,{AGENT},
desk-2,sigmamind,purchase,,US,212,Night desk,,
desk-3,verbex,purchase,,,,Sales,,
own,sigmamind,import,+14155550188,,,Reception,,sip.example.com
"""
BUY = "--max-purchases 9 --yes"
LOST = "apply lost.csv --max-purchases 1 --yes --settle-time 0 --deadline 30"
SCENES: dict[str, tuple[str, ...]] = {
    "1-first-look": (
        "doctor",
        "init",
        "init",
        "plan fleet.yaml",
        "plan fleet.csv",
        "plan wrong.csv",
        "plan missing.csv",
        "agents list",
        f"agents get {AGENT}",
    ),
    "2-apply": (
        "apply fleet.csv",
        f"apply fleet.csv {BUY}",
        f"apply fleet.csv {BUY}",
        "apply wrong.csv",
        "status fleet.csv",
        "status fleet.csv --rows",
        f"apply copy.csv {BUY}",
        "apply changed.csv --journal fleet.csv.journal.db",
        "plan changed.csv --journal fleet.csv.journal.db --allow-release",
        "export --platform sigmamind --out account.csv",
        "plan account.csv",
        "export --platform verbex",
    ),
    "3-decisions": (
        LOST,
        "status lost.csv",
        "reconcile lost.csv --settle-time 0 --wait",
        "apply lost.csv",
        "reconcile lost.csv --retry-unconfirmed",
        "reconcile lost.csv --only none --abandon",
        "reconcile lost.csv --only a --abandon",
        "apply lost.csv",
        "status lost.csv",
    ),
    "4-numbers": (
        f"apply fleet.csv {BUY}",
        "numbers list",
        "numbers list --platform verbex",
        "numbers list --unassigned --platform dialnexa",
        "numbers get +14155550188",
        "numbers get +14155550100",
        "numbers update +14155550188 --label Front",
        "numbers update +14155550188",
        f"numbers reassign --from-agent {AGENT} --to-agent agent_Kq27RmBxT9wYcV4Le --dry-run",
        f"numbers reassign --from-agent {AGENT} --to-agent agent_Kq27RmBxT9wYcV4Le --yes",
        f"numbers reassign --from-agent {AGENT} --to-agent agent_0",
        f"numbers buy --country US --area-code 415 --count 2 --order desk {BUY}",
        f"numbers buy --country US --area-code 415 --count 2 {BUY}",
        "numbers import +14155550177 --termination-uri sip.example.com --label Own",
        "numbers import +14155550177 --termination-uri sip.example.com --label Own",
        "numbers release +14155550188",
        "numbers release +14155550188 --yes",
        "numbers verify --max-calls 0",
    ),
    "5-wrong": (
        "aply fleet.csv",
        "apply",
        "apply fleet.csv --max-purchase 3",
        "apply fleet.csv --settle-time soon",
        "apply fleet.csv --workers",
        "status",
        "status fleet.csv",
        "numbers",
        "agents",
        "explain pages",
        "plan operations.csv",
    ),
    "6-json": (
        "plan fleet.csv --json",
        f"apply fleet.csv {BUY} --json",
        "status fleet.csv --json",
        "numbers list --json",
        "apply missing.csv --json",
    ),
}
FILES = {
    "fleet.csv": FLEET,
    "copy.csv": FLEET,
    "changed.csv": FLEET.replace("Night desk", "Late desk").replace(
        "own,sigmamind,import,+14155550188", "own,sigmamind,import,+14155550188"
    ),
    "lost.csv": "id,platform,source,country_code,label\na,sigmamind,purchase,US,First\n",
    "wrong.csv": "id,platform,source,phone_number,label,inbound_agent_id\n"
    "a,sigmamind,purchase,1.41556E+10,x,\nb,sigmind,purchase,,y,\n"
    "c,sigmamind,existing,+14155550111,z,agent_9\n",
    "operations.csv": "action,country_code\ncreate,US\n",
}
VARYING = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:8000"),
    (r"\b\d+\.\d s\b", "0.1 s"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?", "2026-01-02 03:04:05"),
    (r'("elapsed_ms"):\d+', r"\1:100"),
    (r'("requests"):\d+', r"\1:9"),
    (r"\b\d+ requests\b", "9 requests"),
    (r"key \.\.\.\w{4}", "key ...1234"),
    (r"sigmamind-async \S+, Python [\d.]+.*", "sigmamind-async 0.1.0, Python 3.11.7"),
    (r"\[sm:\w+\.1\]", "[sm:7Q2MX4KDJWPTB.1]"),
    (r"\+(1\d{3})(?!555)\d{7}", r"+\g<1>5550123"),
    (r"\b[0-9a-f]{24}\b", "0c7cb4ca3e844302b0a52ddb"),
    (r"\b(twilio|vonage|plivo )\b", "telnyx"),
    (r"within .* of \w+'s", "within 1.0 s of verbex's"),
    (r"--order [bcdfghjkmnpqrstvwxz]{8}\b", "--order bcdfghjk"),
)
"""What differs from run to run, or from machine to machine."""


class Screen(io.TextIOWrapper):
    """A terminal, for what is written to it."""

    def __init__(self) -> None:
        self._written = io.BytesIO()
        super().__init__(self._written, "utf-8", write_through=True)

    def getvalue(self) -> str:
        return self._written.getvalue().decode()

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Run commands in this process, as if standard output were a terminal of 80 columns."""
    monkeypatch.chdir(cli.folder)
    environment = {"COLUMNS": "80", "NO_COLOR": "1", "TRUNK_PASSWORD": "x", "TZ": "UTC"}
    for name, value in (cli.environment | environment).items():
        monkeypatch.setenv(name, value)
    for name, text in FILES.items():
        cli.write(name, text)
    return Screen()


class Log(io.TextIOBase):
    """Standard error, which is no terminal, but ends up on the same screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, text: str) -> int:
        return self._screen.write(text)


def run(screen: Screen, words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command; the screen then has what was typed, all that was printed, and the code."""
    screen.write(f"$ sigmamind {' '.join(words)}\n")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        # It has no progress, which differs from run to run, and no questions.
        patch.setattr(sys, "stderr", Log(screen))
        return main(words)


def settled(text: str, folder: Path) -> str:
    """Return *text* without what differs from run to run."""
    text = text.replace(f"{folder}/", "")
    for pattern, stable in VARYING:
        text = re.sub(pattern, stable, text)
    lines = [f"{line.rstrip()}\n" for line in text.splitlines()]
    return "".join(
        line for is_row, run in groupby(lines, _is_row) for line in (sorted(run) if is_row else run)
    )


def _is_row(line: str) -> bool:
    """Return whether *line* is one of several rows that end in any order."""
    kinds = "row_result|number_record|journal_row"
    pattern = rf'done  |desk-\d  |own  |\+\d{{11}}  |{{"type":"({kinds})"'
    return re.match(pattern, line) is not None


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", SCENES)
def test_what_commands_print(
    cli: Cli, shown: Screen, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is lost, and a purchase that is not made, are the sandbox's doing."""
    for words in SCENES[name]:
        if words == LOST:
            cli.box.faults = Faults(hang=0.5)
            cli.box.script("create", ["reset_before_commit"], platform="sigmamind")
        code = run(shown, words.split(), monkeypatch)
        shown.write(f"[exit code {int(code)}]\n\n")
    compare(name, settled(shown.getvalue(), cli.folder))


def test_what_help_says(shown: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["", *GROUPS, *COMMANDS]
    for name in names:
        run(shown, [*name.split(), "--help"], monkeypatch)
        shown.write("\n")
    compare("7-help", "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines()))


def test_a_question_before_money_is_spent(cli: Cli) -> None:
    cli.environment.update(COLUMNS="80", NO_COLOR="1")
    cli.write("fleet.csv", FLEET)
    with Terminal(cli, "apply", "fleet.csv") as terminal:
        terminal.read_until("cancel: ")
        terminal.type("no\n")
    text = ESCAPES.sub("", terminal.seen).replace("\r\n", "\n")
    compare("0-question", settled(f"$ sigmamind apply fleet.csv\n{text}", cli.folder))


# ---------------------------------------------------------------- tics

TICS = re.compile(
    r"\bmend(s|ed|ing)?\b|\bfor good\b|\bone too many\b|\bsurplus\b|\bg(ives?|iven|iving|ave) up\b"
    r"|\bstands? (in|nowhere)\b|\bis told\b|\btells\b|\bis said\b|\bsomebody\b|\bwhoever\b"
    r"|\bnobody\b(?!$)|\bwhat (was asked|is done|came)\b|\b(of|by) its(elf)? own\b|\bby itself\b"
    r"|\blikewise\b|\bas far as\b|\bquarantine\b|\bin doubt\b|\bbooks\b",
    re.IGNORECASE,
)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each literal of a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*ast.walk(tree)]
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def tics_in(texts: Iterator[tuple[int, str]], name: object) -> list[str]:
    return [f"{name}:{line}: {found[0]}" for line, text in texts for found in TICS.finditer(text)]


def test_no_text_reads_as_translated() -> None:
    found = [tic for path in PACKAGE.rglob("*.py") for tic in tics_in(texts_of(path), path.name)]
    for path in GOLDEN.glob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        found += tics_in(iter([*enumerate(lines, 1)]), path.name)

    assert found == []


def test_a_tic_is_seen(tmp_path: Path) -> None:
    """The control of the test above."""
    path = tmp_path / "x.py"
    path.write_text('"""It mends itself."""\nx = "the number is given up for good"\n')

    assert tics_in(texts_of(path), "x") == ["x:2: given up", "x:2: for good"]

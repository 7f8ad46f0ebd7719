"""``sigmamind demo``: the promise, judged by the platforms' own ledger."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from sigmamind_async import fleet
from sigmamind_async.cli.accounts import PLATFORMS
from sigmamind_async.cli.demo.sample import FILE, PASSWORD_FILE, sample_fleet
from sigmamind_async.cli.demo.stage import audit
from sigmamind_async.provisioning import row as journal
from tests.cli.test_terminal import ESCAPES, on_terminal
from tests.ledgers import ledger_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli, Inside

AGENTS = ("agent_1", "agent_2")


def audit_result(purchases: int) -> dict[str, Any]:
    """Return the JSON object about a fleet of which every number was bought once."""
    return {
        "type": "audit_result",
        "version": 1,
        "purchases": purchases,
        "bought": purchases,
        "bought_twice": 0,
        "lost": 0,
        "not_done": 0,
        "passed": True,
    }


@pytest.mark.long
def test_the_demo_kills_and_resumes(inside: Inside) -> None:
    """Nothing bought twice, nothing lost, with the words that its help shows."""
    [example] = re.findall(r"Example: sigmamind (.+)", inside("demo", "--help").out)
    words = (*example.split(), "--rows", 48, "--json")
    done = inside(*words, SIGMAMIND_API_KEY="", SIGMAMIND_BASE_URL="")
    *killed, result = done.objects

    assert (done.code, done.err) == (0, "")
    assert [each["platform"] for each in killed] == list(PLATFORMS)
    assert any(each["in_progress"] for each in killed)
    assert result == audit_result(28)


@pytest.mark.long
def test_what_the_demo_shows_is_what_it_runs(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process that it starts notes its command line; they are the lines that are printed."""
    notes = tmp_path / "notes"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {notes}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    kept = tmp_path / "kept"
    done = inside("demo", "--rows", 24, "--keep", kept)
    shown = re.findall(r"\$ (sigmamind .+)", done.err.replace("\\\n", " "))

    assert done.code == 0
    assert len(shown) >= 2
    assert re.search(r"it bought \d+ numbers: (1 duplicate|(?!1 )\d+ duplicates)\.", done.err)
    assert notes.read_text().splitlines() == [
        shlex.join(["-m", "sigmamind_async", *shlex.split(line)[1:]]) for line in shown
    ]
    # What it leaves can be looked at, as its last lines say.
    [status] = re.findall(r"  sigmamind (status \S+)", done.err)
    assert inside(*status.split()).code == 0
    assert inside("demo", "--keep", kept).error.endswith("exists already; name a new folder")


@pytest.mark.long
@pytest.mark.usefixtures("covered_processes")
def test_a_terminal_shows_how_far_the_demo_is(cli: Cli) -> None:
    """While it waits it says for what, and no line is wider than the terminal."""
    cli.environment["COLUMNS"] = "80"
    code, seen = on_terminal(cli, ["demo", "--rows", 24])
    lines = [line.rpartition("\r")[2] for line in ESCAPES.sub("", seen).split("\r\n")]

    assert code == 0
    assert re.search(r"of 14 numbers bought; \d+ purchases? ha(s|ve) no answer yet", seen)
    assert re.search(r"14 +14 +0 +0 +0 +PASS", "\n".join(lines))
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.long
def test_the_demo_kills_a_worker_and_others_take_over(inside: Inside) -> None:
    """Killed while it was sending; nothing bought twice, nothing lost."""
    done = inside("demo", "--workers", 2, "--rows", 48, "--json")
    killed, result = done.objects

    assert (done.code, done.err) == (0, "")
    assert killed["in_progress"] > 0
    assert killed["done"] < killed["rows"] == 48
    assert result == audit_result(28)


# ---------------------------------------------------------------- the sample


@pytest.mark.parametrize("count", [12, 13, 240])
def test_a_sample_has_an_id_for_each_row(count: int) -> None:
    sample = sample_fleet(1, count, AGENTS)

    assert len({row["id"] for row in sample.rows}) == len(sample.rows) == count
    assert sample_fleet(1, count, AGENTS) == sample != sample_fleet(2, count, AGENTS)


def test_a_sample_is_a_fleet_without_problems(tmp_path: Path) -> None:
    """It has rows of every source, on every platform that has it."""
    (tmp_path / PASSWORD_FILE).write_text("secret")
    (tmp_path / FILE).write_text(sample_fleet(1, 60, AGENTS).csv())
    loaded = fleet.load(tmp_path / FILE)

    assert not loaded.problems
    assert {(row.platform, row.source.value) for row in loaded.rows} == {
        *((name, source) for name in PLATFORMS for source in ("purchase", "import")),
        ("sigmamind", "existing"),
    }


# ---------------------------------------------------------------- the judge, and its control


def known(
    number: str, state: journal.State = journal.State.DONE, op_id: str = "a #1"
) -> journal.Row:
    return journal.Row(
        op_id=op_id,
        account="sigmamind",
        kind=journal.Kind.PURCHASE,
        request_type="CreatePhoneNumber",
        request_fields={},
        token="A" * 13,
        state=state,
        phone_number=number,
    )


TAG = "[sm:AAAAAAAAAAAAA."


def test_the_judge_accepts_the_truth() -> None:
    ledger = ledger_of((f"A {TAG}1]", "+1"))

    assert audit([known("+1")], ledger, wanted=1, purchases=1).passed


def test_an_update_without_an_answer_is_done_if_the_ledger_has_it() -> None:
    """The second result is the control: the ledger has an update of another number."""
    update = attrs.evolve(
        known("+1", journal.State.UNCONFIRMED), kind=journal.Kind.UPDATE, key="+1", phone_number=""
    )
    results: list[int] = []
    for number in ("+1", "+2"):
        ledger = ledger_of(("", number))
        [commit] = ledger.commits
        ledger.clear()
        ledger.append(attrs.evolve(commit, kind="update"))
        results.append(audit([update], ledger, wanted=1, purchases=0).not_done)

    assert results == [0, 1]


def cases() -> Iterator[tuple[list[tuple[str, str]], list[journal.Row], set[str]]]:
    twice = [(f"A {TAG}1]", "+1"), (f"A {TAG}2]", "+2")]
    yield twice, [known("+1")], {"bought_twice", "lost"}
    yield twice[:1], [known("+2")], {"lost"}
    yield [], [known("+1")], {"lost"}
    yield twice[:1], [], {"lost", "not_done"}
    yield [], [known("+1", journal.State.UNCONFIRMED)], {"not_done"}
    # Bought, and what follows the purchase is not done.
    yield twice[:1], [known("+1"), known("", journal.State.FAILED, "a #1.fields")], {"not_done"}


@pytest.mark.parametrize(("entries", "rows", "findings"), list(cases()))
def test_the_judge_finds_what_is_wrong(
    entries: list[tuple[str, str]], rows: list[journal.Row], findings: set[str]
) -> None:
    """The control: each way in which the promise can be broken makes the verdict say no."""
    result = audit(rows, ledger_of(*entries), wanted=1, purchases=1)

    assert not result.passed
    wrong = {name for name in ("bought_twice", "lost", "not_done") if getattr(result, name)}
    assert wrong == findings

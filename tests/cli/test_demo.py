"""``sigmamind demo``: the promise, judged by the platforms' own ledger."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sigmamind_async import fleet
from sigmamind_async.cli.demo.sample import FILE, PASSWORD_FILE, sample_fleet
from sigmamind_async.cli.demo.stage import Sale, judge, unheard
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.provisioning import row as journal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Inside

AGENTS = ("agent_1", "agent_2")


@pytest.mark.long
def test_the_demo_kills_and_resumes(inside: Inside) -> None:
    """Nothing bought twice, nothing lost, with the words that its help shows."""
    [example] = re.findall(r"Example: sigmamind (.+)", inside("demo", "--help").out)
    words = (*example.split(), "--rows", 60, "--json")
    done = inside(*words, SIGMAMIND_API_KEY="", SIGMAMIND_BASE_URL="")
    *crashes, verdict = done.objects

    assert (done.code, done.err) == (0, "")
    assert [each["crash"]["platform"] for each in crashes] == list(PLATFORMS)
    assert any(each["crash"]["under_way"] for each in crashes)
    assert verdict["verdict"] == {
        "asked_to_buy": 35,
        "bought": 35,
        "bought_twice": 0,
        "lost": 0,
        "unknown": 0,
        "holds": True,
    }


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
    assert notes.read_text().splitlines() == [
        shlex.join(["-m", "sigmamind_async", *shlex.split(line)[1:]]) for line in shown
    ]
    # What it leaves can be looked at, as its last lines say.
    [status] = re.findall(r"  sigmamind (status \S+)", done.err)
    assert inside(*status.split()).code == 0
    assert inside("demo", "--keep", kept).err.endswith("exists already; name a new folder\n")


@pytest.mark.long
def test_the_demo_kills_a_worker_and_others_take_over(inside: Inside) -> None:
    """Killed while it was sending; nothing bought twice, nothing lost."""
    done = inside("demo", "--workers", 2, "--rows", 36, "--json")
    killed, verdict = done.objects

    assert (done.code, done.err) == (0, "")
    assert killed["killed"]["under_way"] > 0
    assert killed["killed"]["done"] < 36
    assert verdict["verdict"] == {
        "asked_to_buy": 21,
        "bought": 21,
        "bought_twice": 0,
        "lost": 0,
        "unknown": 0,
        "holds": True,
    }


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


def sales_of(*entries: tuple[str, str]) -> list[Sale]:
    return [Sale("sigmamind", number, label) for label, number in entries]


TAG = "[sm:AAAAAAAAAAAAA."


def test_the_judge_accepts_the_truth() -> None:
    sales = sales_of((f"A {TAG}1]", "+1"))

    assert judge([known("+1")], sales, asked=1, asked_to_buy=1).holds
    assert unheard([], sales) == 1


def cases() -> Iterator[tuple[list[tuple[str, str]], list[journal.Row], set[str]]]:
    twice = [(f"A {TAG}1]", "+1"), (f"A {TAG}2]", "+2")]
    yield twice, [known("+1")], {"bought_twice", "lost"}
    yield twice[:1], [known("+2")], {"lost"}
    yield [], [known("+1")], {"lost"}
    yield twice[:1], [], {"lost", "unknown"}
    yield [], [known("+1", journal.State.UNCONFIRMED)], {"unknown"}
    # Bought, and what follows the purchase is not done.
    yield twice[:1], [known("+1"), known("", journal.State.FAILED, "a #1.fields")], {"unknown"}


@pytest.mark.parametrize(("entries", "rows", "findings"), list(cases()))
def test_the_judge_finds_what_is_wrong(
    entries: list[tuple[str, str]], rows: list[journal.Row], findings: set[str]
) -> None:
    """The control: each way in which the promise can be broken makes the verdict say no."""
    verdict = judge(rows, sales_of(*entries), asked=1, asked_to_buy=1)

    assert not verdict.holds
    wrong = {name for name in ("bought_twice", "lost", "unknown") if getattr(verdict, name)}
    assert wrong == findings

"""``sigmamind demo``: the promise, judged by the platforms' own ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.cli.demo.audit import Sale, judge, unheard
from sigmamind_async.cli.demo.fleet import PASSWORD_FILE, sample_fleet
from sigmamind_async.cli.rows import Reading, Row, read_row
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.provisioning import row as journal
from sigmamind_async.secret_references import SecretResolver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Inside


@pytest.mark.long
def test_the_demo_kills_and_resumes(inside: Inside) -> None:
    """Nothing bought twice, nothing lost, with the words that its help shows."""
    [example] = re.findall(r"Example: sigmamind (.+)", inside("demo", "--help").out)
    words = (*example.split(), "--rows", 60, "--json")
    done = inside(*words, SIGMAMIND_API_KEY="", SIGMAMIND_BASE_URL="")
    *crashes, verdict = done.objects

    assert (done.code, done.err) == (0, "")
    assert [each["platform"] for each in crashes] == list(PLATFORMS)
    assert any(each["in_progress"] for each in crashes)
    assert verdict == {
        "type": "audit_result",
        "version": 1,
        "purchases": 35,
        "bought": 35,
        "bought_twice": 0,
        "lost": 0,
        "not_done": 0,
        "passed": True,
    }


@pytest.mark.long
def test_the_demo_kills_a_worker_and_others_take_over(inside: Inside) -> None:
    """Killed while it was sending; nothing bought twice, nothing lost."""
    done = inside("demo", "--workers", 2, "--rows", 36, "--json")
    killed, verdict = done.objects

    assert (done.code, done.err) == (0, "")
    assert killed["in_progress"] > 0
    assert killed["done"] < 36
    assert verdict == {
        "type": "audit_result",
        "version": 1,
        "purchases": 21,
        "bought": 21,
        "bought_twice": 0,
        "lost": 0,
        "not_done": 0,
        "passed": True,
    }


# ---------------------------------------------------------------- the sample


@pytest.mark.parametrize("count", [12, 13, 240])
def test_a_sample_has_an_id_for_each_row(count: int) -> None:
    fleet = sample_fleet(1, count)
    ids = {row["id"] for sample in fleet for row in sample.rows}

    assert len(ids) == sum(len(sample.rows) for sample in fleet) == count
    assert sample_fleet(1, count) == fleet != sample_fleet(2, count)


def test_a_sample_can_be_sent(tmp_path: Path) -> None:
    (tmp_path / PASSWORD_FILE).write_text("secret")
    for sample in sample_fleet(1, 60):
        reading = Reading(PLATFORMS[sample.platform], SecretResolver(folder=tmp_path))
        read = [read_row(1, cells, reading) for cells in sample.rows]
        rows = [row for row in read if isinstance(row, Row)]

        assert len(rows) == len(read)
        assert sum(row.spends for row in rows) == sample.purchases


# ---------------------------------------------------------------- the judge, and its control


def known(number: str, state: journal.State = journal.State.DONE) -> journal.Row:
    return journal.Row(
        op_id=number,
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

    assert judge([known("+1")], sales, asked=1, asked_to_buy=1).passed
    assert unheard([], sales) == 1


def cases() -> Iterator[tuple[list[tuple[str, str]], list[journal.Row], set[str]]]:
    twice = [(f"A {TAG}1]", "+1"), (f"A {TAG}2]", "+2")]
    yield twice, [known("+1")], {"bought_twice", "lost"}
    yield twice[:1], [known("+2")], {"lost"}
    yield [], [known("+1")], {"lost"}
    yield twice[:1], [], {"lost", "not_done"}
    yield [], [known("+1", journal.State.UNCONFIRMED)], {"not_done"}


@pytest.mark.parametrize(("entries", "rows", "findings"), list(cases()))
def test_the_judge_finds_what_is_wrong(
    entries: list[tuple[str, str]], rows: list[journal.Row], findings: set[str]
) -> None:
    """The control: each way in which the promise can be broken makes the verdict say no."""
    verdict = judge(rows, sales_of(*entries), asked=1, asked_to_buy=1)

    assert not verdict.passed
    wrong = {name for name in ("bought_twice", "lost", "not_done") if getattr(verdict, name)}
    assert wrong == findings

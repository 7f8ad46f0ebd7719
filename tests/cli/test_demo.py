"""``sigmamind demo``: the promise, judged by the platform's own ledger."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from sigmamind_async.bulk import Status
from sigmamind_async.cli.demo import Demo, commits_by_label
from sigmamind_async.cli.ending import Exit
from sigmamind_async.cli.output import Form, Output
from sigmamind_async.cli.platforms import PLATFORMS
from sigmamind_async.cli.records import RowResult
from sigmamind_async.cli.references import References
from sigmamind_async.cli.rows import Reading, Row, read_row
from sigmamind_async.cli.sample import sample_fleet
from sigmamind_async.cli.settle import Told, judge, settled
from sigmamind_async.platforms.sigmamind.models import PhoneNumber
from sigmamind_async.sandbox import Commit, Ledger, Sandbox

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside


def test_the_demo_accounts_for_every_row(cli: Cli) -> None:
    """Nothing bought twice, every row done, in far less than a minute, without any setting."""
    began = time.monotonic()
    done = cli("demo", "--rows", 40, "--json", SIGMAMIND_API_KEY="", SIGMAMIND_BASE_URL="")
    summary, verdict = done.objects[-2]["summary"], done.objects[-1]["verdict"]

    assert done.code == 0
    assert (summary["asked"], summary["done"]) == (40, 40)
    assert verdict == {
        "asked_to_buy": 20,
        "bought": 20,
        "bought_twice": 0,
        "told_wrong": 0,
        "unaccounted": 0,
        "holds": True,
    }
    assert time.monotonic() - began < 45


def test_the_demo_ends_with_two_tables(inside: Inside) -> None:
    done = inside("demo", "--rows", 8)

    assert done.code == 0
    assert done.out.splitlines()[-1].split() == ["4", "4", "0", "0", "0", "holds"]
    assert "The fleet has 8 rows: 4 numbers to buy, 2 to import, 2 to change." in done.err


def test_a_sample_follows_from_its_seed() -> None:
    assert sample_fleet(1, 40) == sample_fleet(1, 40)
    assert sample_fleet(1, 40) != sample_fleet(2, 40)


@pytest.mark.parametrize("count", [4, 5, 240])
def test_a_sample_has_a_label_for_each_row(count: int) -> None:
    rows = sample_fleet(1, count).rows

    assert len({row["friendly_name"] for row in rows}) == len(rows) == count


# ---------------------------------------------------------------- the judge, and its control


def told(status: Status, number: str | None = None, action: str = "create") -> Told:
    cells: dict[str, object] = {"action": action, "country_code": "US", "friendly_name": "A"}
    if action != "create":
        cells = {"action": action, "phone_number": "+14155550100", "friendly_name": "A"}
    row = read_row(1, cells, Reading(PLATFORMS["sigmamind"], References()))
    assert isinstance(row, Row)
    result = RowResult(line=1, id="1", action=action, status="done", phone_number=number)
    return Told(row, attrs.evolve(result, status=status))


def ledger_of(*entries: tuple[str, str, str]) -> Ledger:
    ledger = Ledger()
    for sequence, (kind, label, number) in enumerate(entries, 1):
        commit = Commit(
            sequence=sequence,
            time=0.0,
            platform="sigmamind",
            operation="create",
            kind=kind,  # type: ignore[arg-type]
            phone_number=number,
            friendly_name=label,
            body={},
            fingerprint="",
            fault=None,
        )
        ledger.append(commit)
    return ledger


def test_the_judge_accepts_the_truth() -> None:
    commits = commits_by_label(ledger_of(("purchase", "A", "+1"), ("update", "B", "+2")))

    assert judge([told("done", "+1")], commits).holds


@pytest.mark.parametrize(
    ("entries", "status", "number", "finding"),
    [
        ([("purchase", "A", "+1"), ("purchase", "A", "+2")], "done", "+1", "bought_twice"),
        ([("purchase", "A", "+2")], "done", "+1", "told_wrong"),
        ([], "done", "+1", "told_wrong"),
        ([("purchase", "A", "+1")], "failed", None, "told_wrong"),
        ([("purchase", "A", "+1")], "skipped", None, "told_wrong"),
        ([("purchase", "A", "+1")], "unknown", None, "unaccounted"),
    ],
)
def test_the_judge_finds_what_is_wrong(
    entries: list[tuple[str, str, str]], status: Status, number: str | None, finding: str
) -> None:
    """The control: each way in which the promise can be broken makes the verdict say no."""
    verdict = judge([told(status, number)], commits_by_label(ledger_of(*entries)))

    assert not verdict.holds
    assert getattr(verdict, finding) == 1


def test_a_broken_promise_is_exit_1(box: Sandbox, tmp_path: Path) -> None:
    output = Output(form=Form.JSON)
    demo = Demo(output=output, box=box, sample=sample_fleet(1, 4), folder=tmp_path)
    demo.told = {str(place): told("done", "+1") for place in range(4)}
    twice = ledger_of(("purchase", "A", "+1"), ("purchase", "A", "+2"))

    assert demo.exit_code(judge([told("done", "+1")], commits_by_label(twice))) == Exit.FAILED
    once = ledger_of(("purchase", "A", "+1"))
    assert demo.exit_code(judge([told("done", "+1")], commits_by_label(once))) == Exit.DONE


def test_a_repeated_update_is_one_change() -> None:
    entries = [("update", "A", "+14155550100")] * 3

    assert commits_by_label(ledger_of(*entries)) == {"A": ["+14155550100"]}


@pytest.mark.parametrize(
    ("action", "number", "label", "status"),
    [
        ("create", "+14155550177", "A", "done"),
        ("create", "+14155550177", "B", "skipped"),
        ("update", "+14155550100", "A", "done"),
        ("update", "+14155550100", "old", "skipped"),
        ("import", "+14155550101", "A", "skipped"),
    ],
)
def test_a_row_in_doubt_is_settled_by_its_label(
    action: str, number: str, label: str, status: str
) -> None:
    found = [PhoneNumber(sip_phone_number=number, friendly_name=label)]
    after = settled(told("unknown", action=action), found).result

    assert after.status == status
    assert after.phone_number == (number if status == "done" else None)

"""A buyer that is killed again and again buys everything once; the platform's ledger is the judge.

The same machinery with more of everything is ``python -m benchmarks purchases``.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Kind, Provisioner, Row, SqliteJournal
from sigmamind_async.sandbox import Fault, Faults, Sandbox
from tests.harness.purchases import Plan, Verdict, judge, run
from tests.ledgers import ledger_of

# The settle time is longer than the platform can take to commit late and to show what it did.
PLAN = Plan(count=200, faults=0.2, kills=3, width=20, late=0.4, lag=0.2, settle_time=2.0)
LATE = 3.0


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.usefixtures("unmeasured")
def test_a_killed_buyer_buys_each_number_once(tmp_path: Path, soak: bool) -> None:
    """Of all numbers none is bought twice, lost, paid for and unknown, or invented."""
    plan = attrs.evolve(PLAN, count=2_000, kills=12) if soak else PLAN
    report = run(plan, tmp_path / "orders.db")
    assert report.verdict == Verdict(twice=0, lost=0, unknown=0, phantom=0)
    assert report.kills >= plan.kills
    assert len(report.faults) >= 11


def test_the_judge_sees_all_four() -> None:
    """That a clean verdict means something: each fault is found, and counted as what it is."""
    ledger = ledger_of(
        ("row-0 [sm:A.1]", "+14155550100"),
        ("row-0 [sm:A.2]", "+14155550101"),
        ("row-1 [sm:B.1]", "+14155550110"),
    )
    rows = [
        row("row-0", "+14155550101"),
        row("row-1", "+14155550110"),
        row("row-2", "+14155550120"),
    ]
    assert judge(3, ledger, rows) == Verdict(twice=1, lost=1, unknown=1, phantom=1)
    assert not judge(3, ledger, rows).clean


def row(op_id: str, number: str) -> Row:
    return Row(
        op_id=op_id,
        account="sigmamind",
        kind=Kind.PURCHASE,
        request_type="CreatePhoneNumber",
        request_fields={},
        token="A",
        phone_number=number,
    )


@pytest.mark.parametrize(("settle_time", "bought"), [(0.0, 2), (LATE + 1.0, 1)])
async def test_the_settle_time_is_what_prevents_a_second_purchase(
    tmp_path: Path, settle_time: float, bought: int
) -> None:
    """A request that is carried out late is bought a second time by who does not wait for it."""
    async with Sandbox(faults=Faults(late=LATE)) as box:
        box.sigmamind.script("create", [Fault.LATE_COMMIT])
        async with (
            SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
            SqliteJournal(tmp_path / "orders.db") as journal,
        ):
            provisioner = Provisioner(
                client, journal, settle_time=settle_time, retry_unconfirmed=True
            )
            await provisioner.run("order-1", CreatePhoneNumber(country_code="US"))
            await box.settled()
            status = await provisioner.sweep()
        assert len(box.ledger.purchases) == bought
        assert [row.duplicates for row in status.need_decision] == [
            (commit.phone_number,) for commit in box.ledger.purchases[1:]
        ]

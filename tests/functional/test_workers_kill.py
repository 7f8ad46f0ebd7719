"""Workers that are killed and frozen buy each number once; the platform's ledger is the judge.

The same machinery with more of everything is ``python -m benchmarks workers``.
"""

from __future__ import annotations

import time

import attrs
import pytest

from tests.functional.test_kill9 import row
from tests.functional.workers import database
from tests.harness.postgres import Server, running
from tests.harness.purchases import Verdict
from tests.harness.workers import Plan, judge, run
from tests.ledgers import ledger_of

pytestmark = pytest.mark.usefixtures("unmeasured")  # what it runs, others measure

# The settle time is longer than the platform can take to commit late and to show what it did.
PLAN = Plan(
    count=200, kills=2, apply_kills=2, stops=1, frozen=4.0, late=0.4, lag=0.2, settle_time=2.0
)
CLEAN = Verdict(twice=0, lost=0, unknown=0, phantom=0)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.usefixtures("unmeasured")
def test_a_fleet_is_bought_once_through_kills(postgres: Server, soak: bool) -> None:
    """Workers and the applying process are killed, one is frozen; the same command goes on.

    Of all numbers none is held twice, lost, paid for and unknown, or invented. In the end nothing
    is unsettled, and a new plan has nothing left to do, or the applying process would not end.
    """
    plan = attrs.evolve(PLAN, count=2_000, kills=8, apply_kills=4, stops=3) if soak else PLAN
    with database(postgres) as made:
        report = run(plan, made.dsn)
    assert (report.verdict, report.unsettled) == (CLEAN, 0)
    assert len(report.faults) >= 11


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
def test_workers_outlive_a_crash_of_their_database() -> None:
    """It is gone for a second, with everything that was not committed; no worker ends."""
    plan = attrs.evolve(PLAN, count=100, kills=0, apply_kills=0, stops=0)
    with running() as server:

        def crash() -> None:
            server.stop("immediate")
            time.sleep(1.0)
            server.start()

        report = run(plan, server.dsn(), meanwhile=crash)
    assert report.verdict == CLEAN
    assert report.ended == 0


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
def test_the_ids_are_what_lets_the_same_command_go_on(postgres: Server) -> None:
    """The control: with new ids at each start, what was handed over before is bought again."""
    plan = attrs.evolve(PLAN, count=60, faults=0.0, kills=0, stops=0, apply_kills=1, forgetful=True)
    with database(postgres) as made:
        report = run(plan, made.dsn)
    assert report.verdict.twice > 0


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
def test_the_journal_is_what_prevents_a_second_purchase(postgres: Server) -> None:
    """The control: the same queue, which tries again what went unanswered, buys some twice."""
    plan = attrs.evolve(PLAN, count=100, kills=1, stops=0, bare=True)
    with database(postgres) as made:
        report = run(plan, made.dsn)
    assert report.verdict.twice > 0


def test_what_was_bought_twice_counts_as_long_as_it_is_held() -> None:
    """Given up again, it is settled; what else the judge sees is tested with one process."""
    ledger = ledger_of(("row-0 [sm:A.1]", "+14155550100"), ("row-0 [sm:A.2]", "+14155550101"))
    rows = [row("row-0", "+14155550101")]
    assert judge(1, ledger, rows) == attrs.evolve(CLEAN, twice=1, unknown=1)
    released = attrs.evolve(ledger.commits[0], sequence=3, operation="delete", kind="release")
    ledger.append(released)
    assert judge(1, ledger, [attrs.evolve(rows[0], released=("+14155550100",))]) == CLEAN

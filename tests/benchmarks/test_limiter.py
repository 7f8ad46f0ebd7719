"""What the gate promises against simulated platforms, in virtual time: one row for each of them."""

from __future__ import annotations

import attrs
import pytest

from benchmarks.limiter import misses
from benchmarks.timeline import timeline
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.limiter.rate import AdaptiveRate
from tests.harness.servers import BASE, KEPT_ASIDE, NEW, OTHERS, Case, bucket
from tests.harness.simulator import run

pytestmark = pytest.mark.long

QUICK: dict[str, Case] = {name: case for name, case in BASE.items() if case.rows <= 6_000} | {
    name: case
    for name, case in (OTHERS | NEW | KEPT_ASIDE).items()
    if case.rows * case.clients <= 1_500
}
"""The others take seconds: ``python -m benchmarks limiter`` runs them all."""

MISSED = {
    "shared by two such clients",
    "fixed 20 per 1 s RA, 600 rows",
    "200/s halves at 3 s, b50 RA",
    "4/s b20 RA constant 10, 400 rows",
    "fixed 5 per 1 s RA, 150 rows",
    "0.1/s b1 RA, 20 rows",
    "fixed 50 per 5 s RA constant 5, 1000 rows",
    "punishing 5/s b5, 300 rows",
    "5/s and 100 a minute, silent, 400 rows",
    "0.1/s b5, 25 rows",
}
"""Servers on which a job takes longer, or is refused more often, than it should."""


REACH_ALL = {
    "20 a second, latency 3 s",
    "punishing 20/s b20, 1000 rows",
    "fixed 20 per 1 s, 600 rows",
}
"""Between them these reach most lines of the limiter, so that coverage need not slow the others."""


@pytest.mark.parametrize("name", QUICK)
def test_a_job_runs_near_what_the_platform_admits(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The promise: every row done, near the ideal time, few refused, and no wait undercut."""
    if name not in REACH_ALL:
        request.getfixturevalue("unmeasured")
    ran = run(QUICK[name], seed=1)

    assert ran.done == 1.0
    assert not ran.early
    assert misses(QUICK[name], ran) == [] or name in MISSED


def test_a_rate_that_learns_nothing_is_refused_far_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def learn_nothing(
        self: AdaptiveRate, now: float, ticket: Admitted, wait: float, jitter: float = 0.5
    ) -> float:
        return wait

    monkeypatch.setattr(AdaptiveRate, "refused", learn_nothing)
    short = attrs.evolve(BASE["20 a second, burst 20"], rows=500)
    ran = run(short, seed=1)

    assert ran.refused > 0.3 * ran.sent
    assert "refusals" in misses(short, ran)


def test_clients_that_others_locked_out_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each learns a rate near nothing while another takes all; the control stays with it."""
    shared = bucket(14, 4, 329, clients=4)
    assert run(shared, seed=1).seconds < 2 * shared.ideal

    monkeypatch.setattr("sigmamind_async.limiter.bucket._LONGEST_PLATEAU", 120.0)
    monkeypatch.setattr("sigmamind_async.limiter.rate._SLOW_STEP", 0.3)
    assert run(shared, seed=1).seconds > 2 * shared.ideal


def test_a_picture_shows_what_was_admitted_and_refused() -> None:
    picture = timeline("5 < 6", run(NEW["5/s b5 RA, 30 rows"], seed=1))

    assert picture.startswith("<svg")
    assert "5 &lt; 6" in picture
    assert 'class="refused"' in picture

"""What the gate promises against simulated platforms, in virtual time: one row for each of them."""

from __future__ import annotations

import attrs
import pytest

from benchmarks.throttles import CASES, Case, run
from sigmamind_async.limiter.rate import AdaptiveRate, Admitted

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("unmeasured")]  # the same many times

QUICK = {name: case for name, case in CASES.items() if case.rows <= 6_000}
"""The others take seconds: ``python -m benchmarks gate`` runs them all."""


@pytest.mark.parametrize("case", QUICK.values(), ids=QUICK)
def test_a_job_runs_near_what_the_platform_admits(case: Case) -> None:
    """The promise: every row done, near the ideal time, and few requests refused."""
    ran = run(case, seed=1)

    assert ran.done == 1.0
    assert ran.slower <= case.slower
    assert ran.refused <= case.refused


def test_a_pace_that_learns_nothing_is_refused_far_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def learn_nothing(
        self: AdaptiveRate, now: float, ticket: Admitted, pause: float, jitter: float = 1.0
    ) -> float:
        return pause

    monkeypatch.setattr(AdaptiveRate, "refused", learn_nothing)
    short = attrs.evolve(CASES["20 a second, burst 20"], rows=500)

    assert run(short, seed=1).refused > 0.3

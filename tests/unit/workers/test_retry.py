"""When a job comes back, for every way in which it can have ended."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    CircuitOpenError,
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    RateLimitError,
    SigmaMindError,
    SpendLimitError,
)
from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.provisioning.transitions import Policy
from sigmamind_async.workers.context import next_attempt_at

NOW = 10_000.0
POLICY = Policy(settle_time=900.0, exact_settle_time=20.0)


def a_row(state: State, kind: Kind = Kind.PURCHASE, **changed: Any) -> Row:
    row = Row(
        op_id="order-1",
        account="sigmamind",
        kind=kind,
        request_type="CreatePhoneNumber",
        request_fields={},
        token="A",
        state=state,
        lease_until=NOW + 7.0,
        unconfirmed_since=NOW - 10.0,
    )
    return attrs.evolve(row, **changed)


def error(kind: type[SigmaMindError], **fields: Any) -> SigmaMindError:
    made = kind("words")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def after(ended: SigmaMindError, row: Row | None = None, attempts: int = 0) -> float | None:
    """Return the seconds until the job is run again."""
    at = next_attempt_at(ended, row, POLICY, NOW, attempts)
    return None if at is None else at - NOW


DOUBT = error(OutcomeUnknownError)


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        (a_row(State.SENDING), 7.0),
        (a_row(State.SENDING, lease_until=NOW - 1.0), 0.0),
        (a_row(State.UNCONFIRMED), 890.0),
        (a_row(State.UNCONFIRMED, accepted=True), 890.0),
        (a_row(State.UNCONFIRMED, Kind.EXACT_PURCHASE), 10.0),
        (a_row(State.UNCONFIRMED, Kind.IMPORT), 10.0),
        (a_row(State.UNCONFIRMED, Kind.IMPORT, rejection="409"), 890.0),
        (a_row(State.UNCONFIRMED, Kind.IMPORT, accepted=True), 890.0),
        (a_row(State.UNCONFIRMED, unconfirmed_since=NOW - 900.1), 1.0),
        (a_row(State.UNCONFIRMED, unconfirmed_since=NOW - 910.0), 10.0),
        (a_row(State.UNCONFIRMED, unconfirmed_since=NOW - 9000.0), 60.0),
        (a_row(State.UNCONFIRMED, Kind.UPDATE), 1.0),
        (a_row(State.UNCONFIRMED, Kind.RELEASE, accepted=True), 1.0),
        (a_row(State.PLANNED), 0.0),
        (a_row(State.DONE), 0.0),
        (a_row(State.DUPLICATE, record="+14155550100"), 0.0),
        (a_row(State.DUPLICATE), None),
        (a_row(State.NEEDS_DECISION), None),
        (a_row(State.ABANDONED), None),
        (None, 1.0),
    ],
)
def test_what_is_in_doubt_waits_until_it_can_be_settled(
    row: Row | None, seconds: float | None
) -> None:
    """Until the end of the lease or the settle time; what is overdue, the longer ago the longer."""
    found = after(DOUBT, row)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=0.01))


def test_a_purchase_that_could_not_be_written_down_is_in_doubt() -> None:
    ended = error(JournalError, op_id="order-1", committed="yes")
    assert after(ended, a_row(State.SENDING)) == 7.0


@pytest.mark.parametrize(
    "ended",
    [
        error(AuthenticationError, status=401),
        error(InvalidRequestError),
        error(SpendLimitError),
        error(JournalError, op_id="order-1"),
    ],
)
def test_what_was_refused_does_not_come_back(ended: SigmaMindError) -> None:
    assert after(ended, a_row(State.PLANNED)) is None


@pytest.mark.parametrize(
    "ended",
    [
        error(APIConnectionError),
        error(CircuitOpenError),
        error(RateLimitError),
        error(JournalError, op_id="order-1", retryable=True),
        error(JournalError),
    ],
)
def test_what_was_not_sent_comes_back_less_and_less_often(ended: SigmaMindError) -> None:
    row = a_row(State.PLANNED)
    waits = [after(ended, row, attempts) for attempts in (0, 1, 2, 5, 6, 10**6)]
    assert waits == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]


def test_a_platforms_wish_is_never_undercut() -> None:
    assert after(error(RateLimitError, retry_after=300.0), a_row(State.PLANNED)) == 300.0
    assert after(error(RateLimitError, retry_after=0.5), a_row(State.PLANNED)) == 1.0


@pytest.mark.parametrize("asked", [86_400.0, 1e9, 1.7e12])
def test_a_platforms_wish_puts_a_job_off_no_longer_than_a_gate_pauses(asked: float) -> None:
    """It is stored as a date; the year 58882 would outlive every worker."""
    assert after(error(RateLimitError, retry_after=asked)) == MAX_PAUSE

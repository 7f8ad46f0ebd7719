"""What the result of an unconfirmed row says once the journal has been read."""

from __future__ import annotations

import asyncio

import pytest

from sigmamind_async.cli.jobs.results import left_to_workers, row_error, with_journal_state
from sigmamind_async.cli.output.events import RowResult
from sigmamind_async.errors import OutcomeUnknownError
from sigmamind_async.provisioning.row import State, Step
from tests.functional.journals import a_row

UNCONFIRMED = RowResult(
    line=2,
    id="desk",
    action="buy",
    status="unconfirmed",
    error=row_error(OutcomeUnknownError("no answer in time")),
)


@pytest.mark.parametrize(
    ("state", "status", "message"),
    [
        (State.ABANDONED, "failed", "was abandoned by an operator: it is not sent again"),
        (State.NEEDS_DECISION, "unconfirmed", "not in the account"),
        (State.SENDING, "unconfirmed", "another run has sent it"),
        (State.UNCONFIRMED, "unconfirmed", "no answer in time"),
    ],
    ids=lambda each: each.value if isinstance(each, State) else "",
)
def test_what_the_journal_says(state: State, status: str, message: str) -> None:
    history = (Step(at=1_000.0, text="not in the account"),)
    stored = a_row("desk", state, error="no answer in time", history=history)
    found = with_journal_state(UNCONFIRMED, stored)

    assert found.status == status
    assert found.error is not None
    assert found.error.message.startswith(message)


def test_a_result_stays_as_it_is_without_a_row_or_an_error() -> None:
    done = RowResult(line=2, id="desk", action="buy", status="done")

    assert with_journal_state(UNCONFIRMED, None) is UNCONFIRMED
    assert with_journal_state(done, a_row("desk")) is done
    assert left_to_workers(done) is done


def test_a_row_that_workers_still_carry_out() -> None:
    error = left_to_workers(UNCONFIRMED).error

    assert error is not None
    assert error.message == "still with the workers, who carry it out"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (asyncio.CancelledError(), "stopped while it was under way; it may have been carried out"),
        (ValueError("s3cret"), "unexpected ValueError"),
    ],
    ids=["stopped", "unexpected"],
)
def test_an_error_that_is_not_of_this_package(error: BaseException, message: str) -> None:
    """Its text may hold anything."""
    assert row_error(error).message == message
    assert row_error(error).committed == "unknown"

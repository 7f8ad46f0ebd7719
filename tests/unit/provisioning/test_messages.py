"""Why an operation is not sent, in words, and what the caller may do."""

from __future__ import annotations

import pytest

from sigmamind_async.errors import APIConnectionError
from sigmamind_async.provisioning import messages
from sigmamind_async.provisioning.row import Kind, Row, State
from tests.unit.provisioning.test_transitions import PURCHASE, a_row


@pytest.mark.parametrize(
    ("row", "words", "committed"),
    [
        (a_row(PURCHASE, State.SENDING), "another worker is sending it", "unknown"),
        (a_row(PURCHASE, State.UNCONFIRMED), "reconcile() looks for it", "unknown"),
        (a_row(PURCHASE, State.UNCONFIRMED, accepted=True), "reconcile() looks for it", "yes"),
        (a_row(PURCHASE, State.ABANDONED), "it was abandoned", "unknown"),
        (a_row(PURCHASE, State.NEEDS_DECISION), "it needs a decision, see status()", "unknown"),
    ],
)
def test_an_operation_that_is_not_settled_says_who_settles_it(
    row: Row, words: str, committed: str
) -> None:
    error = messages.outcome_unknown(row, None)

    assert str(error).startswith(f"{row.op_id}: ")
    assert words in str(error)
    assert error.committed == committed


def test_what_waits_for_the_account_may_be_called_again() -> None:
    row = a_row(Kind.PURCHASE, State.PLANNED)
    for error, words in (
        (messages.account_unreadable(row, APIConnectionError("no route")), "could not be read"),
        (messages.record_without_key(row), "without its key"),
    ):
        assert "not sent" in str(error)
        assert words in str(error)
        assert (error.op_id, error.committed, error.retryable) == (row.op_id, "no", True)

"""When the operations of an account wait for it to be accepted again."""

from __future__ import annotations

import pytest

pytest.importorskip("procrastinate")

from sigmamind_async.errors import (
    AuthenticationError,
    InsufficientFundsError,
    NotFoundError,
    SigmaMindError,
)
from sigmamind_async.workers.context import FIRST_PAUSE, LONGEST_PAUSE, AccountPause


def refused(pause: AccountPause, *errors: SigmaMindError, now: float = 0.0) -> AccountPause:
    for error in errors:
        pause.failed(error, now)
    return pause


def other() -> SigmaMindError:
    error = NotFoundError("404: none")
    error.status = 404
    return error


POOR = InsufficientFundsError("402: no money")


def test_three_in_a_row_let_an_account_rest() -> None:
    pause = refused(AccountPause(account="a"), POOR, POOR)
    assert pause.admits(0.0)

    refused(pause, POOR)
    assert (pause.admits(0.0), pause.admits(FIRST_PAUSE - 1)) == (False, False)


def test_another_answer_or_a_success_between_is_no_row() -> None:
    """The control of the one above."""
    assert refused(AccountPause(account="a"), POOR, POOR, other(), POOR, POOR).admits(0.0)
    pause = refused(AccountPause(account="a"), POOR, POOR)
    pause.succeeded()
    assert refused(pause, POOR, POOR).admits(0.0)


def test_one_operation_finds_out_for_all() -> None:
    pause = refused(AccountPause(account="a"), POOR, POOR, POOR)

    assert [
        pause.admits(FIRST_PAUSE),
        pause.admits(FIRST_PAUSE),
        pause.admits(FIRST_PAUSE + 1),
    ] == [True, False, False]
    pause.succeeded()
    assert [pause.admits(FIRST_PAUSE + 1)] * 3 == [True] * 3


def test_each_rest_is_longer_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pause, now, lengths = refused(AccountPause(account="a"), POOR, POOR, POOR), 0.0, []
    for _ in range(6):
        lengths.append(pause.until - now)
        now = pause.until
        assert pause.admits(now)
        refused(pause, AuthenticationError("401: no"), now=now)

    assert lengths == [FIRST_PAUSE, 120.0, 240.0, 480.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert len(caplog.messages) == 7
    assert caplog.messages[0].endswith("so the others wait 60 s: 402: no money")


def test_those_that_were_under_way_do_not_lengthen_it() -> None:
    pause = refused(AccountPause(account="a"), *([POOR] * 20), now=1.0)

    assert pause.until == 1.0 + FIRST_PAUSE

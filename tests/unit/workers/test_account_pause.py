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
from sigmamind_async.workers.context import FIRST, LONGEST, Rest


def refused(rest: Rest, *errors: SigmaMindError, now: float = 0.0) -> Rest:
    for error in errors:
        rest.failed(error, now)
    return rest


def other() -> SigmaMindError:
    error = NotFoundError("404: none")
    error.status = 404
    return error


POOR = InsufficientFundsError("402: no money")


def test_three_in_a_row_let_an_account_rest() -> None:
    rest = refused(Rest(account="a"), POOR, POOR)
    assert rest.over(0.0)

    refused(rest, POOR)
    assert (rest.over(0.0), rest.over(FIRST - 1)) == (False, False)


def test_another_answer_or_a_success_between_is_no_row() -> None:
    """The control of the one above."""
    assert refused(Rest(account="a"), POOR, POOR, other(), POOR, POOR).over(0.0)
    rest = refused(Rest(account="a"), POOR, POOR)
    rest.done()
    assert refused(rest, POOR, POOR).over(0.0)


def test_one_operation_finds_out_for_all() -> None:
    rest = refused(Rest(account="a"), POOR, POOR, POOR)

    assert [rest.over(FIRST), rest.over(FIRST), rest.over(FIRST + 1)] == [True, False, False]
    rest.done()
    assert [rest.over(FIRST + 1)] * 3 == [True] * 3


def test_each_rest_is_longer_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rest, now, lengths = refused(Rest(account="a"), POOR, POOR, POOR), 0.0, []
    for _ in range(6):
        lengths.append(rest.until - now)
        now = rest.until
        assert rest.over(now)
        refused(rest, AuthenticationError("401: no"), now=now)

    assert lengths == [FIRST, 120.0, 240.0, 480.0, LONGEST, LONGEST]
    assert len(caplog.messages) == 7
    assert caplog.messages[0].endswith("so all others wait 60 s: 402: no money")


def test_those_that_were_under_way_do_not_lengthen_it() -> None:
    rest = refused(Rest(account="a"), *([POOR] * 20), now=1.0)

    assert rest.until == 1.0 + FIRST

"""``--refusal-status``: a limiter before the platform that refuses with another status than 429."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox import RateLimit

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

ROWS = 40
LIMIT = RateLimit(per_second=40.0, burst=5, retry_after=None, status=503)
"""As nginx's ``limit_req`` does by default: it hands on nothing that it refuses."""


def test_purchases_pass_a_limiter_that_refuses_with_503(cli: Cli) -> None:
    cli.box.rate_limit = LIMIT
    words = ("--max-purchases", ROWS, "--yes")
    done = cli("apply", cli.fleet(ROWS), *words, "--refusal-status", 503)

    assert done.code == 0
    assert len(cli.box.ledger.purchases) == ROWS


def test_a_503_leaves_a_purchase_in_doubt_where_nobody_says_that_it_refuses(cli: Cli) -> None:
    """The control."""
    cli.box.rate_limit = LIMIT
    words = ("--max-purchases", ROWS, "--yes", "--deadline", 3)
    done = cli("apply", cli.fleet(ROWS), *words)

    assert done.code == 3


@pytest.mark.parametrize("wrong", ["200", "600", "x"])
def test_a_status_that_cannot_refuse_is_a_usage_error(inside: Inside, wrong: str) -> None:
    assert inside("numbers", "list", "--refusal-status", wrong).code == 2


def test_workers_are_told_themselves(cli: Cli, inside: Inside) -> None:
    """An option that does not apply is refused."""
    words = ("--postgres", "postgresql://127.0.0.1:1/none", "--workers", "--refusal-status", 503)
    done = inside("apply", cli.fleet(1), *words)

    assert done.code == 2
    assert "--refusal-status must be given to sigmamind worker" in done.err

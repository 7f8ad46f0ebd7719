"""What the journals of a fleet say, held against what the platforms sold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from sigmamind_async.cli.output.events import AuditResult
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.provisioning.tags import remove_tag


@attrs.frozen
class Sale:
    """One number that a platform sold."""

    platform: str
    phone_number: str
    label: str
    """What the buyer called it; empty where the platform takes no label."""


def judge(
    rows: Iterable[Row], sales: Sequence[Sale], *, asked: int, asked_to_buy: int
) -> AuditResult:
    """Return the verdict on *rows* of all journals, of which there ought to be *asked*."""
    done = [row for row in rows if row.state is State.DONE]
    sold = {(sale.platform, sale.phone_number) for sale in sales}
    kept = {(row.account, row.phone_number) for row in done if row.kind.costs}
    labels = Counter((sale.platform, remove_tag(sale.label)) for sale in sales if sale.label)
    return AuditResult(
        purchases=asked_to_buy,
        bought=len(sales),
        bought_twice=sum(count > 1 for count in labels.values()),
        lost=len(sold ^ kept),
        not_done=asked - len(done),
    )


def unheard(rows: Iterable[Row], sales: Iterable[Sale]) -> int:
    """Return how many of the *sales* no row knows of."""
    heard = {(row.account, row.phone_number) for row in rows}
    return sum((sale.platform, sale.phone_number) not in heard for sale in sales)

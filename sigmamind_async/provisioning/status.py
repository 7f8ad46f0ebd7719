"""What a journal says about an account, in numbers and in words for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

import attrs

from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import (
    NEED_DECISION,
    UNSETTLED,
    Kind,
    Row,
    State,
)


@attrs.frozen(kw_only=True)
class Status:
    """How the operations of one account stand."""

    account: str
    counts: Mapping[State, int] = attrs.field(hash=False)
    """Operations by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""
    unconfirmed: Sequence[Row] = attrs.field(hash=False)
    """Operations that are being sent, or were sent and not answered: the next run, or
    `Provisioner.reconcile`, settles them."""
    need_decision: Sequence[Row] = attrs.field(hash=False)
    """Operations that nobody but a person can settle."""
    settle_time: float
    """Seconds during which "not in the account" proves nothing."""

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.counts.values())

    @property
    def settled(self) -> bool:
        """Whether nothing is in doubt and nobody has to decide anything."""
        return not self.unconfirmed and not self.need_decision

    @classmethod
    async def of(cls, journal: Journal, account: str, settle_time: float) -> Self:
        """Return how the operations of *account* in *journal* stand."""
        counts = await journal.counts(account)
        waiting = await journal.in_states(account, NEED_DECISION)
        return cls(
            account=account,
            counts=counts.rows,
            purchase_count=counts.purchase_count,
            unconfirmed=await open_rows(journal, account),
            need_decision=waiting,
            settle_time=settle_time,
        )


async def open_rows(journal: Journal, account: str) -> list[Row]:
    """Return the rows of *account* that a listing may still change."""
    rows = await journal.in_states(account, UNSETTLED | {State.PLANNED})
    return [row for row in rows if row.is_open]


_ASKED = {
    Kind.PURCHASE: "to buy a number that the platform picks",
    Kind.EXACT_PURCHASE: "to buy",
    Kind.IMPORT: "to import",
    Kind.UPDATE: "to change",
    Kind.RELEASE: "to release",
}


def summary(row: Row) -> str:
    """Return in one line what *row* asked for."""
    details = [
        f"{name}={value!r}" for name, value in row.request_fields.items() if value != row.key
    ] + [f"{name}=***" for name in row.secret_fields]
    return " ".join([_ASKED[row.kind], row.key, *details]).replace("  ", " ")


def describe(row: Row, settle_time: float) -> list[str]:
    """Return what happened to *row* and what is known, line by line."""
    lines = [f"asked {summary(row)}"]
    lines += [f"{_moment(step.at)}  {step.text}" for step in row.history]
    if row.kind is Kind.PURCHASE and row.attempt:
        lines.append(f"its number would carry {row.tag} in its label")
    if row.state is State.UNCONFIRMED:
        lines.append(f"not seen in {row.absent_listings} listings since then")
        lines.append(f'"not in the account" proves nothing before {_until(row, settle_time)}')
    return lines


def _until(row: Row, settle_time: float) -> str:
    return _moment(row.unconfirmed_since + settle_time)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def operator_choices(row: Row) -> list[tuple[str, str]]:
    """Return what a person can do about *row*: the word of the decision, and what it means."""
    match row.state:
        case State.NEEDS_DECISION:
            return [
                ("adopt", "a number of the account is the one: keep it for this operation"),
                (
                    "retry-unconfirmed",
                    "send it again; should the first request still come, sweep finds it",
                ),
                ("abandon", "leave it; it is not sent again"),
            ]
        case State.DUPLICATE if row.phone_number:
            extra = ", ".join(row.duplicates)
            return [
                ("release-duplicates", f"give up {extra} for good, and keep {row.phone_number}"),
                ("abandon", "keep them all"),
            ]
        case State.DUPLICATE:
            return [
                ("adopt", f"keep one of {', '.join(row.duplicates)} after all"),
                ("release-duplicates", f"give up {', '.join(row.duplicates)} for good"),
            ]
        case _:
            return []

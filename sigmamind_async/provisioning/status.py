"""What a journal says about an account, in numbers and in words for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

import attrs

from sigmamind_async.provisioning.account_journal import Books
from sigmamind_async.provisioning.row import (
    IN_DOUBT,
    WAITS_FOR_A_PERSON,
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
    bought: int
    """Numbers that were paid for, or may have been."""
    in_doubt: Sequence[Row] = attrs.field(hash=False)
    """Operations that are being sent, or were sent and not answered: the next run, or
    `Provisioner.reconcile`, settles them."""
    for_a_person: Sequence[Row] = attrs.field(hash=False)
    """Operations that nobody but a person can settle."""
    quarantine: float
    """Seconds during which "not in the account" proves nothing."""

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.counts.values())

    @property
    def settled(self) -> bool:
        """Whether nothing is in doubt and nobody has to decide anything."""
        return not self.in_doubt and not self.for_a_person

    @classmethod
    async def of(cls, books: Books) -> Self:
        """Return how the operations in *books* stand."""
        counts = await books.journal.counts(books.account)
        waiting = await books.journal.in_states(books.account, WAITS_FOR_A_PERSON)
        return cls(
            account=books.account,
            counts=counts.rows,
            bought=counts.bought,
            in_doubt=await books.open_rows(),
            for_a_person=waiting,
            quarantine=books.policy.quarantine,
        )


_ASKED = {
    Kind.PURCHASE: "to buy a number that the platform picks",
    Kind.EXACT_PURCHASE: "to buy",
    Kind.IMPORT: "to import",
    Kind.UPDATE: "to change",
    Kind.RELEASE: "to release",
}


def asked(row: Row) -> str:
    """Return in one line what *row* asked for."""
    details = [f"{name}={value!r}" for name, value in row.asked.items() if value != row.key] + [
        f"{name}=***" for name in row.hidden
    ]
    return " ".join([_ASKED[row.kind], row.key, *details]).replace("  ", " ")


def story(row: Row, quarantine: float) -> list[str]:
    """Return what happened to *row* and what is known, line by line."""
    lines = [f"asked {asked(row)}"]
    lines += [f"{_moment(step.at)}  {step.text}" for step in row.history]
    if row.kind is Kind.PURCHASE and row.attempt:
        lines.append(f"its number would carry {row.tag} in its label")
    if row.state in IN_DOUBT:
        lines.append(f"not seen in {row.absences} listings since then")
        lines.append(f'"not in the account" proves nothing before {_until(row, quarantine)}')
    return lines


def _until(row: Row, quarantine: float) -> str:
    return _moment(row.doubt_since + quarantine)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def ways_out(row: Row) -> list[tuple[str, str]]:
    """Return what a person can do about *row*: the word of the decision, and what it means."""
    match row.state:
        case State.NEEDS_OPERATOR:
            return [
                ("adopt", "a number of the account is the one: keep it for this operation"),
                ("resend", "send it again; should the first request still come, sweep finds it"),
                ("give-up", "leave it; it is not sent again"),
            ]
        case State.SURPLUS if row.phone_number:
            extra = ", ".join(row.surplus)
            return [
                ("release-surplus", f"give up {extra} for good, and keep {row.phone_number}"),
                ("give-up", "keep them all"),
            ]
        case State.SURPLUS:
            return [
                ("adopt", f"keep one of {', '.join(row.surplus)} after all"),
                ("release-surplus", f"give up {', '.join(row.surplus)} for good"),
            ]
        case _:
            return []

"""The state of an account's operations, for an operator."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

import attrs

from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Kind, Row, State
from sigmamind_async.provisioning.tags import attempt_tag


@attrs.frozen(kw_only=True)
class Status:
    """The state of the operations of one account."""

    account: str
    counts: Mapping[State, int] = attrs.field(hash=False)
    """Operations by state."""
    purchase_count: int
    """Numbers that were paid for, or may have been."""
    unconfirmed: Sequence[Row] = attrs.field(hash=False)
    """Operations that are being sent, or went unanswered: the next run, or
    `Provisioner.reconcile`, settles them."""
    need_decision: Sequence[Row] = attrs.field(hash=False)
    """Operations that only an operator can settle."""
    settle_time: float
    """Seconds during which "not in the account" proves nothing."""

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.counts.values())

    @property
    def is_settled(self) -> bool:
        """True if nothing is unconfirmed and nothing needs a decision."""
        return not self.unconfirmed and not self.need_decision

    @classmethod
    async def of(cls, journal: Journal, account: str, settle_time: float) -> Self:
        """Return the state of the operations of *account* in *journal*."""
        counts = await journal.counts(account)
        return cls(
            account=account,
            counts=counts.rows,
            purchase_count=counts.purchase_count,
            unconfirmed=await open_rows(journal, account),
            need_decision=await journal.in_states(account, NEED_DECISION),
            settle_time=settle_time,
        )


async def open_rows(journal: Journal, account: str) -> list[Row]:
    """Return the rows of *account* that a listing may still change."""
    rows = await journal.in_states(account, UNSETTLED | {State.PLANNED})
    return [row for row in rows if row.is_open]


_VERBS = {
    Kind.PURCHASE: "to buy a number that the platform picks",
    Kind.EXACT_PURCHASE: "to buy",
    Kind.IMPORT: "to import",
    Kind.UPDATE: "to change",
    Kind.RELEASE: "to release",
}


def summary(row: Row) -> str:
    """Return the request of *row* in one line."""
    fields = (f"{name}={value!r}" for name, value in row.request_fields.items() if value != row.key)
    secrets = (f"{name}=***" for name in row.secret_fields)
    return " ".join(filter(None, [_VERBS[row.kind], row.key, *fields, *secrets]))


def describe(row: Row, settle_time: float) -> list[str]:
    """Return what happened to *row*, line by line."""
    lines = [f"asked {summary(row)}"]
    lines += [f"{_moment(step.at)}  {step.text}" for step in row.history]
    if row.kind is Kind.PURCHASE and row.attempt:
        lines.append(f"its number would carry {attempt_tag(row.token, row.attempt)} in its label")
    if row.state is State.UNCONFIRMED:
        lines.append(f"not seen in {row.absent_listings} listings since then")
        until = _moment(row.unconfirmed_since + settle_time)
        lines.append(f'"not in the account" proves nothing before {until}')
    return lines


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def operator_choices(row: Row) -> list[tuple[str, str]]:
    """Return the decisions that an operator can make about *row*, and what each means."""
    duplicates = ", ".join(row.duplicates)
    match row.state:
        case State.NEEDS_DECISION:
            return [
                ("adopt", "a number of the account is its result: keep it"),
                ("retry-unconfirmed", "send it again; sweep finds the first request if it is late"),
                ("abandon", "leave it as it is; it is not sent again"),
            ]
        case State.DUPLICATE if row.phone_number:
            return [
                (
                    "release-duplicates",
                    f"release {duplicates} permanently, keep {row.phone_number}",
                ),
                ("abandon", "keep them all"),
            ]
        case State.DUPLICATE:
            return [
                ("adopt", f"keep one of {duplicates} after all"),
                ("release-duplicates", f"release {duplicates} permanently"),
            ]
        case _:
            return []

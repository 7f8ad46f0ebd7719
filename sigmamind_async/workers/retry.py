"""When a job that has not come to an end is to be run again, and whether. Pure.

What is in doubt is settled by `reconcile`, for all operations with one listing. So a job that finds
its operation in doubt comes back when waiting can have helped: at the end of the lease of whoever
is sending, or of the settle time. What has merely not been sent comes back soon, and then less and
less often. What was refused, and what a person has to decide, does not come back.
"""

from __future__ import annotations

from typing import Final

from sigmamind_async.errors import JournalError, OutcomeUnknownError, SigmaMindError
from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.provisioning.transitions import Policy

SOON: Final = 1.0
"""Seconds until the first repetition of what may succeed at any moment; they double."""
LATEST: Final = 60.0
"""Most seconds until such a repetition."""

_WAITS: Final = frozenset({State.NEEDS_DECISION, State.ABANDONED})


def next_run(
    error: SigmaMindError, row: Row | None, policy: Policy, now: float, attempts: int
) -> float | None:
    """Return the moment from which the job may be run again, `None` where it has ended.

    Args:
        error: How it ended this time.
        row: The operation as it is now; `None` where that cannot be read.
        policy: Of its account.
        now: Seconds since the epoch.
        attempts: How often the job was run before.
    """
    soon = now + min(SOON * 2.0 ** min(attempts, 16), LATEST)
    match error:
        case JournalError(op_id=None):
            return soon  # the database is away
        case OutcomeUnknownError() | JournalError(committed="yes"):
            return soon if row is None else _settled(row, policy, now, soon)
        case SigmaMindError(retryable=True):
            asked: float | None = getattr(error, "retry_after", None)
            # Stored as a date, and no date that a platform names may stop the job: see `MAX_PAUSE`.
            return max(soon, now + min(asked or 0.0, MAX_PAUSE))
        case _:
            return None


def _settled(row: Row, policy: Policy, now: float, soon: float) -> float | None:
    """Return when *row*, which was in doubt, may be so no more."""
    if row.state in _WAITS or (row.state is State.DUPLICATE and not row.record):
        return None
    if row.state is State.SENDING:
        return max(now, row.lease_until)
    if row.state is State.UNCONFIRMED and row.kind.repeatable:
        return soon  # it is simply sent again
    if row.state is not State.UNCONFIRMED:
        return now  # somebody has settled it meanwhile
    once = row.kind.owned_once and not (row.accepted or row.rejection)
    due = row.unconfirmed_since + (policy.exact_settle_time if once else policy.settle_time)
    # What is overdue waits for the next reconciliation: the longer ago, the longer.
    return due if due > now else now + min(max(SOON, now - due), LATEST)

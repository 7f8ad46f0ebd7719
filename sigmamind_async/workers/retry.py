"""When to run a job again that has not finished its operation. Pure.

Unconfirmed operations are settled by `reconcile`, all of them with one listing. The job of one
comes back when waiting can have helped: at the end of the sender's lease, or of the settle time.
A job whose request was not sent comes back soon, and then ever more rarely. A job that was refused,
or needs a decision, does not come back.
"""

from __future__ import annotations

from typing import Final

from sigmamind_async.errors import JournalError, OutcomeUnknownError, SigmaMindError
from sigmamind_async.limiter.gate import MAX_PAUSE
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.provisioning.transitions import Policy

FIRST_DELAY: Final = 1.0
"""Seconds until a job is first run again; each further delay is twice as long."""
MAX_DELAY: Final = 60.0

_WAITS_FOR_DECISION: Final = frozenset({State.NEEDS_DECISION, State.ABANDONED})


def next_attempt_at(
    error: SigmaMindError, row: Row | None, policy: Policy, now: float, attempts: int
) -> float | None:
    """Return when the job may be run again; `None` if it has ended.

    Args:
        error: How it ended this time.
        row: The operation as it is now; `None` if it cannot be read.
        policy: The policy of its account.
        now: Seconds since the epoch.
        attempts: How often the job was run before.
    """
    soon = now + min(FIRST_DELAY * 2.0 ** min(attempts, 16), MAX_DELAY)
    match error:
        case JournalError(op_id=None):
            return soon  # the database is away
        case OutcomeUnknownError() | JournalError(committed="yes"):
            return soon if row is None else _when_settled(row, policy, now, soon)
        case SigmaMindError(retryable=True):
            retry_after: float | None = getattr(error, "retry_after", None)
            # It is stored as a date, and no date that a platform names may stop a job for years.
            return max(soon, now + min(retry_after or 0.0, MAX_PAUSE))
        case _:
            return None


def _when_settled(row: Row, policy: Policy, now: float, soon: float) -> float | None:
    """Return when *row*, which was unconfirmed when its job ended, may be settled."""
    if row.state in _WAITS_FOR_DECISION or (row.state is State.DUPLICATE and not row.record):
        return None
    if row.state is State.SENDING:
        return max(now, row.lease_until)
    if row.state is State.UNCONFIRMED and row.kind.repeatable:
        return soon  # it is sent again
    if row.state is not State.UNCONFIRMED:
        return now  # another process has settled it meanwhile
    once = row.kind.owned_once and not (row.accepted or row.rejection)
    due = row.unconfirmed_since + (policy.exact_settle_time if once else policy.settle_time)
    # An overdue row waits for the next reconciliation: the longer overdue, the longer.
    return due if due > now else now + min(max(FIRST_DELAY, now - due), MAX_DELAY)

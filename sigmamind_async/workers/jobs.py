"""What stands in the queue: which job, of which operation, and what it may not run beside.

A job says whose operation it is and nothing else. The request is in the journal, in the row of the
operation, where it is compared with what is asked for under the same id again; so the queue and
the journal cannot disagree, and nothing of a request stands in two places.
"""

from __future__ import annotations

from typing import Final

from procrastinate.jobs import Job

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.row import Row

NAMESPACE: Final = "sigmamind"
"""Begins the name of every task."""
PROVISION: Final = "provision"
FIRST: Final = 10
"""Priority of what looks after the others: it must not wait behind ten thousand of them."""
_LONGEST: Final = 100
"""Most characters of an account's name: a queue's name has a bound."""


def check_account_name(account: str) -> None:
    """Require what can be part of a queue's name."""
    if not account.isprintable() or len(account) > _LONGEST:
        raise ConfigurationError(f"account: must be at most {_LONGEST} printable characters")


def queue_of(account: str) -> str:
    """Return the queue of an account: a worker serves those of which it has the keys."""
    return f"{NAMESPACE}/{account}"


def lock_of(row: Row) -> str | None:
    """Return what only one job at a time may hold: the number that the operation is about.

    A purchase of a number that the platform picks is about none yet.
    """
    return f"{NAMESPACE}/{row.account} number {row.key}" if row.key else None


def waiting_lock(account: str, op_id: str) -> str:
    """Return what only one waiting job may hold: that of the operation."""
    return f"{NAMESPACE}/{account} operation {op_id}"


def job_for(row: Row) -> Job:
    """Return the job that carries out the operation of *row*."""
    return Job(
        queue=queue_of(row.account),
        task_name=f"{NAMESPACE}:{PROVISION}",
        lock=lock_of(row),
        queueing_lock=waiting_lock(row.account, row.op_id),
        task_kwargs={"account": row.account, "op_id": row.op_id},
    )

"""What is reported about an operation: its new state, or why it cannot continue and what to do."""

from __future__ import annotations

import time

from sigmamind_async.errors import (
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
)
from sigmamind_async.events import OperationChanged
from sigmamind_async.provisioning.fingerprint import digests_differ
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import redacted


def journal_error(op_id: str, problem: str, *, retryable: bool = False) -> JournalError:
    """Return the error for one operation."""
    error = JournalError(f"{op_id}: {problem}")
    error.op_id = op_id
    error.retryable = retryable
    return error


def outcome_unknown(row: Row, value: object) -> OutcomeUnknownError:
    """Return the error for an operation whose outcome is not known."""
    if row.state is State.SENDING:
        known = "another worker is sending it; call again when it has ended"
    elif row.state is State.UNCONFIRMED:
        known = f"{row.error}; reconcile() looks for it, and so does the same call made again"
    elif row.state is State.ABANDONED:
        known = "it was abandoned; it is sent again only after retry_unconfirmed()"
    else:
        known = f"{row.error or row.state.value}; it needs a decision, see status()"
    error = OutcomeUnknownError(f"{row.op_id}: {known}")
    if row.state is State.UNCONFIRMED and row.accepted:
        error.committed = "yes"
    error.value = redacted(value)
    return error


def change_of(row: Row, before: str = "", *, found: bool = False) -> OperationChanged:
    """Return the event of the new state of *row*; *found* if a record of the account led to it."""
    is_done = row.state is State.DONE
    return OperationChanged(
        op_id=row.op_id,
        account=row.account,
        kind=row.kind.value,
        state=row.state.value,
        before=before,
        adopted=found and is_done,
        subject=row.phone_number or row.record or row.key or None,
        attempts=row.attempt,
        error="" if is_done else row.error,
    )


def request_mismatch(stored: Row, requested: Row) -> JournalError | None:
    """Return the error for an id under which the journal holds a different request, if it does."""
    if stored.request_type != requested.request_type:
        difference = f"a {stored.request_type}, not a {requested.request_type}"
    elif names := _differing_fields(stored, requested):
        difference = f"the same with another {' and '.join(names)}"
    elif digests_differ(stored.secret_digest, requested.secret_digest):
        difference = f"the same with another {' or '.join(requested.secret_fields)}"
    else:
        return None
    return journal_error(
        stored.op_id,
        f"the journal holds another request under this id ({difference});"
        " give a new request a new id",
    )


def _differing_fields(stored: Row, requested: Row) -> list[str]:
    unset = object()
    old, new = stored.request_fields, requested.request_fields
    names = {*old, *new, *stored.secret_fields, *requested.secret_fields}
    return sorted(
        name
        for name in names
        if old.get(name, unset) != new.get(name, unset)
        or (name in stored.secret_fields) is not (name in requested.secret_fields)
        or _refer_to_different_secrets(
            stored.secret_references.get(name), requested.secret_references.get(name)
        )
    )


def _refer_to_different_secrets(stored: str | None, requested: str | None) -> bool:
    # Where one was given literally, only the digests show it.
    return stored is not None and requested is not None and stored != requested


def already_owned(row: Row) -> InvalidRequestError:
    """Return the error for buying a number that the account owns."""
    return InvalidRequestError(
        f"phone_number: {row.key} belongs to the account already, so {row.op_id} was not sent;"
        " update it instead",
        "phone_number",
        "not owned yet",
    )


def number_in_use(row: Row, other: Row, settle_time: float) -> JournalError:
    """Return the error for a number that another operation may still change."""
    until = time.strftime("%H:%M:%S", time.localtime(other.unconfirmed_since + settle_time))
    when = f"until {until} " if other.unconfirmed_since else ""
    return journal_error(
        row.op_id,
        f"not sent, because {other.op_id} went unanswered and may {when}still change {row.key};"
        " make the call again later",
        retryable=True,
    )


def account_unreadable(row: Row, error: SigmaMindError) -> JournalError:
    """Return the error for a purchase that may have been made already, in an unreadable account."""
    return journal_error(
        row.op_id,
        "not sent, because the account could not be read to see whether a later state of this"
        f" journal bought the number already: {error.message}",
        retryable=True,
    )


def record_without_key(row: Row) -> JournalError:
    """Return the error for a number that the operation bought and that is listed without a key."""
    return journal_error(
        row.op_id,
        "not sent, because the account lists a number that it bought already, without its key;"
        " make the call again later",
        retryable=True,
    )

"""Why an operation does not go on, in words that say what to do."""

from __future__ import annotations

import time

from sigmamind_async.errors import (
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
)
from sigmamind_async.provisioning.fingerprint import digests_differ
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import redacted


def journal_error(op_id: str, problem: str) -> JournalError:
    """Return the error for one operation that the journal contradicts."""
    error = JournalError(f"{op_id}: {problem}")
    error.op_id = op_id
    return error


def outcome_unknown(row: Row, value: object) -> OutcomeUnknownError:
    """Return the error for an operation whose outcome is not known."""
    if row.state is State.SENDING:
        known = "another worker is sending it; ask again when it has ended"
    elif row.state is State.UNCONFIRMED:
        known = f"{row.error}; reconcile() looks for it, and so does the same call made again"
    elif row.state is State.ABANDONED:
        known = "it was given up, and is not sent again unless somebody says so"
    else:
        known = f"{row.error or row.state.value}; a person has to decide, see status()"
    error = OutcomeUnknownError(f"{row.op_id}: {known}")
    if row.state is State.UNCONFIRMED and row.accepted:
        error.committed = "yes"
    error.value = redacted(value)
    return error


def request_mismatch(stored: Row, asked: Row) -> JournalError | None:
    """Return the error for an id that the journal holds with another request, if it does."""
    if stored.request_type != asked.request_type:
        difference = f"a {stored.request_type}, not a {asked.request_type}"
    elif names := _differing(stored, asked):
        difference = f"the same with another {' and '.join(names)}"
    elif digests_differ(stored.secret_digest, asked.secret_digest):
        difference = f"the same with another {' or '.join(asked.secret_fields)}"
    else:
        return None
    return journal_error(
        stored.op_id,
        f"the journal holds another request under this id ({difference});"
        " give a new request a new id",
    )


def _differing(stored: Row, asked: Row) -> list[str]:
    names = {
        *stored.request_fields,
        *asked.request_fields,
        *stored.secret_fields,
        *asked.secret_fields,
    }
    return sorted(
        name
        for name in names
        if stored.request_fields.get(name, _NOT_SAID) != asked.request_fields.get(name, _NOT_SAID)
        or (name in stored.secret_fields) is not (name in asked.secret_fields)
        or _refer_elsewhere(stored.secret_references.get(name), asked.secret_references.get(name))
    )


_NOT_SAID = object()


def _refer_elsewhere(stored: str | None, asked: str | None) -> bool:
    """Return whether two references prove that the secrets are not the same."""
    return stored is not None and asked is not None and stored != asked


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
    error = journal_error(
        row.op_id,
        f"not sent, because {other.op_id} went unanswered and may {when}still change {row.key};"
        " make the call again later",
    )
    error.retryable = True
    return error


def account_unreadable(row: Row, error: SigmaMindError) -> JournalError:
    """Return the error for a purchase that an unreadable account may show to be made already."""
    refusal = journal_error(
        row.op_id,
        "not sent, because the account could not be read, to see whether a later state of this"
        f" journal bought it already: {error.message}",
    )
    refusal.retryable = True
    return refusal


def record_without_key(row: Row) -> JournalError:
    """Return the error for a number that the operation bought, listed without a key."""
    refusal = journal_error(
        row.op_id,
        "not sent, because the account lists a number that it bought already, without its key;"
        " make the call again later",
    )
    refusal.retryable = True
    return refusal

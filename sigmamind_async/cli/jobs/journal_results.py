"""What an operation that workers carry out has come to, as the end of a row. Pure.

The journal keeps the words of an error and not its class, so a row that a worker has failed at says
`REFUSED` in its place.
"""

from __future__ import annotations

from typing import Final

import attrs

from sigmamind_async.cli.jobs.operations import in_plain_words
from sigmamind_async.cli.output.events import RowError, RowResult
from sigmamind_async.cli.output.journal_status import without_call
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.provisioning.row import Row as Entry
from sigmamind_async.provisioning.row import State

REFUSED: Final = "Refused"
UNFINISHED: Final = "Unfinished"
"""Stands for the class of an error where a row was not followed to its end."""

_FINAL: Final = frozenset(
    {State.DONE, State.FAILED, State.NEEDS_DECISION, State.DUPLICATE, State.ABANDONED}
)
_STILL_TO_LOOK_FOR: Final = "OutcomeUnknownError"


def is_final(entry: Entry) -> bool:
    """Return whether no worker gets further with *entry* by itself."""
    return entry.state in _FINAL


def result_of_entry(entry: Entry, row: RowResult) -> RowResult:
    """Return *row* completed with the outcome that *entry* records."""
    told = attrs.evolve(
        row,
        phone_number=entry.phone_number or row.phone_number,
        record_id=_record(entry) or row.record_id,
        attempts=entry.attempt,
    )
    if entry.state is State.DONE or (entry.state is State.DUPLICATE and entry.record):
        return attrs.evolve(told, status="done")
    message = without_call(entry.error)
    if entry.state is State.FAILED:
        fault = RowError(type=REFUSED, message=message, committed="no")
        return attrs.evolve(told, status="failed", error=fault)
    fault = RowError(type=_STILL_TO_LOOK_FOR, message=message, committed="unknown")
    return in_plain_words(attrs.evolve(told, status="unconfirmed", error=fault), entry)


def unfinished(row: RowResult) -> RowResult:
    """Return the end of a row that is left to the workers."""
    fault = RowError(type=UNFINISHED, message="stays with the workers", committed="unknown")
    return attrs.evolve(row, status="unconfirmed", error=fault)


def row_of_entry(entry: Entry) -> RowResult:
    """Return the row of *entry*, of which no file is known, as if nothing had become of it."""
    kinds = PLATFORMS[_platform_name(entry)].kinds
    actions = [kind.action for kind in kinds if kind.value.__name__ == entry.request_type]
    return RowResult(
        line=0,
        id=entry.op_id,
        platform=entry.account,
        action=actions[0] if actions else entry.kind.value,
        status="unconfirmed",
    )


def _platform_name(entry: Entry) -> str:
    return entry.account.partition(":")[0]


def _record(entry: Entry) -> str | None:
    """Return the id of the record, where that is not the number itself."""
    return None if PLATFORMS[_platform_name(entry)].keyed_by_number else entry.record or None

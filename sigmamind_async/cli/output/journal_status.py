"""What a journal holds, for an operator who has to act on it: as events, and as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, get_args

from sigmamind_async.cli.options import PlatformName, settle_words
from sigmamind_async.cli.output import events
from sigmamind_async.cli.output.text import (
    Line,
    Span,
    action_word,
    count_of,
    format_clock,
    format_timestamp,
    line,
    prose,
    render,
    table,
)
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Kind, Row, State
from sigmamind_async.provisioning.tags import add_tag

if TYPE_CHECKING:
    from sigmamind_async.cli.journal_location import JournalLocation
    from sigmamind_async.provisioning.journal.protocol import Status

MOST_UNDECIDED: Final = 20
MOST_UNCONFIRMED: Final = 5
"""Rows that are shown to a person with all that is known; nothing can be done about these."""

# ---------------------------------------------------------------- as events


def journal_status_of(
    status: Status, place: JournalLocation, platform: str, now: float
) -> events.JournalStatus:
    """Return the status of *platform* in the journal at *place*."""
    rows = (*status.need_decision, *status.unconfirmed)
    return events.JournalStatus(
        journal=place.name,
        platform=platform,
        now=_time(now),
        counts={state: count for state in State if (count := status.counts.get(state, 0))},
        purchased=status.purchase_count,
        is_settled=status.is_settled,
        reconcile_command=place.command(
            "reconcile", platform, "--wait", *settle_words(status.settle_time)
        ),
        sender=place.sender,
        rows=tuple(journal_row_of(row, status.settle_time, place) for row in rows),
    )


def journal_row_of(row: Row, settle_time: float, place: JournalLocation) -> events.JournalRow:
    """Return an operation of a journal; what is not settled about it included."""
    is_open = row.state in UNSETTLED or row.state in NEED_DECISION
    return events.JournalRow(
        row=row_id_of(row.op_id),
        op_id=row.op_id,
        platform=_platform_of(row),
        action=row.kind.name.lower(),
        state=row.state,
        phone_number=row.phone_number or None,
        record_id=row.record if row.record not in {"", row.phone_number} else None,
        error=without_call(row.error),
        unsettled=_unsettled(row, settle_time, place) if is_open else None,
    )


def _platform_of(row: Row) -> str:
    """Return the platform in the name of an account, which is `PLATFORM` or `PLATFORM:LABEL`."""
    return row.account.partition(":")[0]


_STEP: Final = re.compile(r"(.+) #\d+(\.\w+)?", re.DOTALL)


def row_id_of(op_id: str) -> str:
    """Return the id of the file's row that an operation is part of: ``desk`` for ``desk #2``."""
    found = _STEP.fullmatch(op_id)
    return found[1] if found else op_id


def settles_at(row: Row, settle_time: float) -> float:
    """Return when the absence of an unsettled *row* from the account proves something."""
    # A process that was killed while it sent is given as long as its request may have lasted.
    since = row.lease_until if row.state is State.SENDING else row.unconfirmed_since
    return since + settle_time


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _unsettled(row: Row, settle_time: float, place: JournalLocation) -> events.UnsettledRow:
    is_tagged = row.kind is Kind.PURCHASE and row.attempt
    return events.UnsettledRow(
        request=summary(row),
        since=_time(row.unconfirmed_since if row.state is State.UNCONFIRMED else row.sent_at),
        settles_at=_time(settles_at(row, settle_time)) if row.state in UNSETTLED else None,
        listings=row.absent_listings,
        message=_SENDING if row.state is State.SENDING else without_call(row.error),
        history=tuple(
            events.HistoryEntry(at=_time(each.at), message=each.text) for each in row.history
        ),
        tag=add_tag("", row.token, row.attempt) if is_tagged else "",
        duplicates=row.duplicates,
        resolutions=tuple(_resolutions(row, place)),
    )


_SENDING: Final = "sent, and its end was not recorded: still in progress, or its process was killed"

_VERBS: Final = {
    Kind.PURCHASE: "buy any number",
    Kind.EXACT_PURCHASE: "buy",
    Kind.IMPORT: "import",
    Kind.UPDATE: "change",
    Kind.RELEASE: "release",
}


def summary(row: Row) -> str:
    """Return the request of *row* in one line."""
    fields = (f"{name}={value!r}" for name, value in row.request_fields.items() if value != row.key)
    secrets = (f"{name}=***" for name in row.secret_fields)
    return " ".join(filter(None, [_VERBS[row.kind], row.key, *fields, *secrets]))


_CALL: Final = re.compile(rf"\b(?:{'|'.join(get_args(PlatformName))})\.[a-z_]+: ")


def without_call(text: str) -> str:
    """Return *text* without names of calls, which are those of the library."""
    return _CALL.sub("", text)


_LATE: Final = "if the first purchase turns up later, reconcile reports it as a duplicate"


def _resolutions(row: Row, place: JournalLocation) -> Iterator[events.Resolution]:
    duplicates = ", ".join(row.duplicates)
    keep = f", keep {row.phone_number}" if row.phone_number else ""
    release = f"release {duplicates} permanently{keep}"
    sender = "a worker" if row.enqueued else "the next apply"
    meanings: dict[events.Decision, str] = {}
    if row.state is State.NEEDS_DECISION:
        meanings["adopt"] = "link a number of the account to the row: it is the one that was bought"
        meanings["retry_unconfirmed"] = f"{sender} sends it again; {_LATE}"
        meanings["abandon"] = "stop working on the row; it is not sent again"
    elif row.state is State.DUPLICATE and row.phone_number:
        meanings |= {"release_duplicates": release, "abandon": "keep them all"}
    elif row.state is State.DUPLICATE:
        meanings |= {"adopt": f"keep one of {duplicates}", "release_duplicates": release}
    for decision, meaning in meanings.items():
        option = f"--{decision.replace('_', '-')}"
        number = ("+NUMBER",) if decision == "adopt" else ()
        words = ("--only", row_id_of(row.op_id), option, *number)
        command = place.command("reconcile", _platform_of(row), *words)
        yield events.Resolution(decision=decision, command=command, meaning=meaning)


# ---------------------------------------------------------------- as text


def state_name(state: State) -> str:
    """Return the name of a state in prose."""
    return "needs a decision" if state is State.NEEDS_DECISION else state.value


@render.register(events.JournalRows)
def _(shown: events.JournalRows, width: int | None) -> Iterator[Line]:
    rows: list[dict[str, str | Span]] = [
        {
            "row": row.row,
            "number": row.phone_number or "",
            "record id": row.record_id or "",
            "action": action_word(row.action),
            "state": (state_name(row.state), row.state.value),
        }
        for row in shown.events
    ]
    yield line()
    yield from table(rows, width)


@render.register(events.StateChanged)
def _(shown: events.StateChanged, width: int | None) -> Iterable[Line]:
    change = f"{state_name(shown.before)} -> {state_name(shown.after)}"
    text = f"{shown.row}: {change} ({without_call(shown.message)})"
    return prose(text, width, shown.after.value)


@render.register(events.JournalStatus)
def _(status: events.JournalStatus, width: int | None) -> Iterator[Line]:
    open_rows = [(row, row.unsettled) for row in status.rows if row.unsettled]
    undecided = [(row, known) for row, known in open_rows if known.resolutions]
    unconfirmed = [(row, known) for row, known in open_rows if not known.resolutions]
    text, word = _headline(status, len(undecided), len(unconfirmed))
    yield from prose(f"{status.journal} ({status.platform}): {text}", width, word)
    yield line()
    for state, count in status.counts.items():
        yield line((f"{count:>7,}  {state_name(state)}", state.value))
    # Those that are unconfirmed or were abandoned may have been bought.
    is_known = status.counts.keys() <= {State.DONE, State.FAILED, State.PLANNED}
    numbers = "number" if status.purchased == 1 else "numbers"
    verb = "bought" if is_known else f"count{'s' if status.purchased == 1 else ''} as bought"
    yield line((f"{status.purchased:>7,}  {numbers} {verb}", "dim"))
    for rows, most in ((undecided, MOST_UNDECIDED), (unconfirmed, MOST_UNCONFIRMED)):
        for row, known in rows[:most]:
            yield line()
            yield from _unsettled_lines(row, known, status.now, width)
        if len(rows) > most:
            yield line()
            yield line((f"and {len(rows) - most:,} more of these; --json shows all", "dim"))
    if unconfirmed:
        yield line()
        yield line(("To settle unconfirmed rows:", "dim"))
        yield line((f"  {status.reconcile_command}", "command"))
    if status.counts.keys() & {State.PLANNED, State.FAILED}:
        yield line()
        link = " and" if status.sender == "the next apply" else "; the next apply"
        text = f"{status.sender} sends planned rows{link} retries failed ones"
        yield from prose(f"{text[0].upper()}{text[1:]}.", width, "dim")


def _headline(status: events.JournalStatus, undecided: int, unconfirmed: int) -> tuple[str, str]:
    if undecided:
        also = f", {unconfirmed:,} unconfirmed" if unconfirmed else ""
        return f"{count_of(undecided, 'row needs', 'rows need')} a decision{also}", "needs_decision"
    if unconfirmed:
        return f"{count_of(unconfirmed, 'row')} unconfirmed", "unconfirmed"
    if planned := status.counts.get(State.PLANNED, 0):
        return f"nothing is unconfirmed, {planned:,} planned", "planned"
    return "all settled" if status.counts else "no rows yet", "done"


def _unsettled_lines(
    row: events.JournalRow, known: events.UnsettledRow, now: datetime, width: int | None
) -> Iterator[Line]:
    since = "" if known.resolutions else f" since {format_timestamp(known.since.timestamp())}"
    yield from prose(f"{row.row}: {state_name(row.state)}{since}", width, row.state.value)
    yield from prose(f"request: {known.request}", width, indent=2, hang=2)
    for text in _decision_texts(known) if known.resolutions else _waiting_texts(known, now):
        yield from prose(text, width, indent=2, hang=2)
    if known.resolutions:
        yield line(("  decide with one of:", "dim"))
    for resolution in known.resolutions:
        yield line((f"    {resolution.command}", "command"))
        yield from prose(resolution.meaning, width, "dim", indent=6)


def _decision_texts(known: events.UnsettledRow) -> Iterator[str]:
    for entry in known.history:
        yield f"{format_timestamp(entry.at.timestamp())}  {without_call(entry.message)}"
    if known.tag:
        yield f"the label of its number would end in {known.tag}"


def _waiting_texts(known: events.UnsettledRow, now: datetime) -> Iterator[str]:
    yield known.message
    if known.settles_at is None:
        return
    if known.listings:
        yield f"not in {count_of(known.listings, 'listing')} of the account since then"
    left = (known.settles_at - now).total_seconds()
    at = f"{format_timestamp(known.settles_at.timestamp())} ({format_clock(left)} left)"
    yield f'safe to conclude "not bought" {f"after {at}" if left > 0 else "now"}'

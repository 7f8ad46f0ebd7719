"""What a journal holds, for an operator who has to act on it: as events, and as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, get_args

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.options import PlatformName
from sigmamind_async.cli.output.events import (
    Decision,
    HistoryEntry,
    JournalRow,
    JournalRows,
    JournalStatus,
    Resolution,
    StateChanged,
    UnsettledRow,
)
from sigmamind_async.cli.output.text import (
    Line,
    Span,
    TableColumn,
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

MOST: Final = 20
"""Most rows of one kind that are shown to a person."""

# ---------------------------------------------------------------- as events


def journal_status_of(
    status: Status, place: JournalLocation, platform: str, now: float
) -> JournalStatus:
    """Return the status of *platform* in the journal at *place*."""
    rows = (*status.need_decision, *status.unconfirmed)
    return JournalStatus(
        journal=place.name,
        platform=platform,
        now=_time(now),
        counts={state: count for state in State if (count := status.counts.get(state, 0))},
        purchased=status.purchase_count,
        is_settled=status.is_settled,
        reconcile_command=place.command("reconcile", platform, "--wait"),
        sender=place.sender,
        rows=tuple(journal_row_of(row, status.settle_time, place) for row in rows),
    )


def journal_row_of(row: Row, settle_time: float, place: JournalLocation) -> JournalRow:
    """Return an operation of a journal; what is not settled about it included."""
    is_open = row.state in UNSETTLED or row.state in NEED_DECISION
    return JournalRow(
        row=row_id_of(row.op_id),
        op_id=row.op_id,
        platform=platform_of(row),
        action=row.kind.name.lower(),
        state=row.state,
        phone_number=row.phone_number or None,
        record_id=row.record if row.record not in {"", row.phone_number} else None,
        error=without_call(row.error),
        unsettled=_unsettled(row, settle_time, place) if is_open else None,
    )


def platform_of(row: Row) -> str:
    """Return the platform of an account, which may have a label of its own behind that."""
    return row.account.partition(":")[0]


_STEP: Final = re.compile(r"(.+) #\d+(\.\w+)?", re.DOTALL)


def row_id_of(op_id: str) -> str:
    """Return the id of the file's row that an operation is part of: ``desk`` for ``desk #2``."""
    found = _STEP.fullmatch(op_id)
    return found[1] if found else op_id


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _unsettled(row: Row, settle_time: float, place: JournalLocation) -> UnsettledRow:
    in_doubt_since = row.unconfirmed_since if row.state is State.UNCONFIRMED else row.sent_at
    # A process that was killed while it sent is given as long as its request may have lasted.
    counts_from = row.unconfirmed_since if row.state is State.UNCONFIRMED else row.lease_until
    return UnsettledRow(
        request=summary(row),
        since=_time(in_doubt_since),
        settles_at=None if row.state in NEED_DECISION else _time(counts_from + settle_time),
        listings=row.absent_listings,
        message=_SENDING if row.state is State.SENDING else without_call(row.error),
        history=tuple(HistoryEntry(at=_time(each.at), message=each.text) for each in row.history),
        tag=add_tag("", row.token, row.attempt)
        if row.kind is Kind.PURCHASE and row.attempt
        else "",
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


def _resolutions(row: Row, place: JournalLocation) -> Iterator[Resolution]:
    duplicates = ", ".join(row.duplicates)
    keep = f", keep {row.phone_number}" if row.phone_number else ""
    release = f"release {duplicates} permanently{keep}"
    sender = "a worker" if row.enqueued else "the next apply"
    meanings: dict[Decision, str] = {}
    if row.state is State.NEEDS_DECISION:
        meanings["adopt"] = "link a number of the account to the row: it is the one that was bought"
        meanings["retry_unconfirmed"] = f"{sender} sends it again; {_LATE}"
        meanings["abandon"] = "stop working on the row; it is not sent again"
    elif row.state is State.DUPLICATE and row.phone_number:
        meanings["release_duplicates"] = release
        meanings["abandon"] = "keep them all"
    elif row.state is State.DUPLICATE:
        meanings["adopt"] = f"keep one of {duplicates}"
        meanings["release_duplicates"] = release
    for decision, meaning in meanings.items():
        option = f"--{decision.replace('_', '-')}"
        number = ("+NUMBER",) if decision == "adopt" else ()
        words = ("--only", row_id_of(row.op_id), option, *number)
        command = place.command("reconcile", platform_of(row), *words)
        yield Resolution(decision=decision, command=command, meaning=meaning)


# ---------------------------------------------------------------- as text


def state_name(state: State) -> str:
    """Return the name of a state in prose."""
    return "needs a decision" if state is State.NEEDS_DECISION else state.value


_COLUMNS: Final = tuple(map(TableColumn, ("row", "number", "record id", "action", "state")))


@render.register(JournalRows)
def _(shown: JournalRows, width: int | None) -> Iterable[Line]:
    return [line(), *table(_COLUMNS, [_row_cells(row) for row in shown.rows], width)]


@render.register(JournalRow)
def _(shown: JournalRow, width: int | None) -> Iterable[Line]:
    return table(_COLUMNS, [_row_cells(shown)], width)


@render.register(StateChanged)
def _(shown: StateChanged, width: int | None) -> Iterable[Line]:
    change = f"{state_name(shown.before)} -> {state_name(shown.after)}"
    text = f"{shown.row}: {change} ({without_call(shown.message)})"
    return prose(text, width, shown.after.value)


def _row_cells(row: JournalRow) -> list[str | Span]:
    cells = (row.row, row.phone_number, row.record_id, row.action.replace("_", " "))
    state = (state_name(row.state), row.state.value)
    return [*(sanitize(cell or "") for cell in cells), state]


@render.register(JournalStatus)
def _(status: JournalStatus, width: int | None) -> Iterator[Line]:
    text, word = _headline(status)
    yield from prose(f"{status.journal} ({status.platform}): {text}", width, word)
    yield line()
    for state, count in status.counts.items():
        yield line((f"{count:>7,}  {state_name(state)}", state.value))
    included = " or unconfirmed" if status.rows else ""
    numbers = "number" if status.purchased == 1 else "numbers"
    yield line((f"{status.purchased:>7,}  {numbers} bought{included}", "dim"))
    for row in status.undecided[:MOST]:
        yield from _decision_lines(row, width)
    yield from _more(len(status.undecided))
    for row in status.unconfirmed[:MOST]:
        yield from _unconfirmed_lines(row, status.now, width)
    yield from _more(len(status.unconfirmed))
    if status.unconfirmed:
        yield line()
        yield line(("To settle unconfirmed rows:", "dim"))
        yield line((f"  {status.reconcile_command}", "command"))
    if status.counts.keys() & {State.PLANNED, State.FAILED}:
        yield line()
        text = f"{status.sender} sends planned rows; the next apply retries failed ones"
        yield from prose(f"{text[0].upper()}{text[1:]}.", width, "dim")


def _headline(status: JournalStatus) -> tuple[str, str]:
    undecided, unconfirmed = len(status.undecided), len(status.unconfirmed)
    parts: list[str] = []
    if undecided:
        parts.append(f"{undecided:,} {'row needs' if undecided == 1 else 'rows need'} a decision")
    if unconfirmed:
        noun = "" if parts else "row " if unconfirmed == 1 else "rows "
        parts.append(f"{unconfirmed:,} {noun}unconfirmed")
    if parts:
        return ", ".join(parts), "needs_decision" if undecided else "unconfirmed"
    if planned := status.counts.get(State.PLANNED, 0):
        return f"nothing is unconfirmed, {planned:,} planned", "planned"
    return "all settled" if status.counts else "no rows yet", "done"


def _decision_lines(row: JournalRow, width: int | None) -> Iterator[Line]:
    known = row.unsettled
    if known is None:
        return
    yield line()
    yield line((f"{sanitize(row.row)}: {state_name(row.state)}", row.state.value))
    yield from prose(f"request: {known.request}", width, indent=2)
    for entry in known.history:
        at = format_timestamp(entry.at.timestamp())
        yield from prose(f"{at}  {without_call(entry.message)}", width, indent=2, hang=2)
    if known.tag:
        yield from prose(f"the label of its number would end in {known.tag}", width, indent=2)
    yield line(("  decide with one of:", "dim"))
    for resolution in known.resolutions:
        yield line((f"    {resolution.command}", "command"))
        yield from prose(resolution.meaning, width, "dim", indent=6)


def _unconfirmed_lines(row: JournalRow, now: datetime, width: int | None) -> Iterator[Line]:
    known = row.unsettled
    if known is None:
        return
    since = format_timestamp(known.since.timestamp())
    yield line()
    yield line((f"{sanitize(row.row)}: {state_name(row.state)} since {since}", row.state.value))
    yield from prose(f"request: {known.request}", width, indent=2)
    yield from prose(known.message, width, indent=2)
    if known.settles_at is None:
        return
    if known.listings:
        listings = count_of(known.listings, "listing")
        yield from prose(f"not in {listings} of the account since then", width, indent=2)
    left = (known.settles_at - now).total_seconds()
    at = f"{format_timestamp(known.settles_at.timestamp())} ({format_clock(left)} left)"
    when = f"after {at}" if left > 0 else "now"
    yield from prose(f'safe to conclude "not bought" {when}', width, indent=2)


def _more(count: int) -> Iterator[Line]:
    if count > MOST:
        yield line()
        yield line((f"and {count - MOST:,} more of these; --json lists all", "dim"))

"""What a journal says, for an operator who has to act on it. Pure."""

from __future__ import annotations

import re
import time
from typing import Final

from sigmamind_async.cli.journal_location import Place
from sigmamind_async.cli.output.events import OpenRow, Standing, Way
from sigmamind_async.cli.vendors import PLATFORMS, Platform
from sigmamind_async.provisioning.journal.protocol import Status
from sigmamind_async.provisioning.row import NEED_DECISION, Kind, Row, State
from sigmamind_async.provisioning.tags import add_tag


def standing_of(status: Status, place: Place, platform: Platform, now: float) -> Standing:
    """Return how the rows of *platform* in the journal at *place* stand."""
    rows = (*status.need_decision, *status.unconfirmed)
    return Standing(
        journal=place.name,
        platform=platform.name,
        counts={state: number for state in State if (number := status.counts.get(state, 0))},
        bought=status.purchase_count,
        rows=tuple(_open_row(row, status.settle_time, place, platform) for row in rows),
        settle=place.command("reconcile", platform, "--wait"),
        sender=place.sender,
        now=now,
    )


def _open_row(row: Row, settle_time: float, place: Place, platform: Platform) -> OpenRow:
    return OpenRow(
        id=row.op_id,
        state=row.state,
        asked=summary(row),
        since=row.unconfirmed_since if row.state is State.UNCONFIRMED else row.sent_at,
        believable=_believable(row, settle_time),
        listings=row.absent_listings,
        known=_known(row),
        story=tuple(map(without_call, describe(row, settle_time))),
        ways=tuple(_ways(row, place, platform)),
    )


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
        lines.append(f"its number would carry {add_tag('', row.token, row.attempt)} in its label")
    if row.state is State.UNCONFIRMED:
        lines.append(f"not seen in {row.absent_listings} listings since then")
        until = _moment(row.unconfirmed_since + settle_time)
        lines.append(f'"not in the account" proves nothing before {until}')
    return lines


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _believable(row: Row, settle_time: float) -> float | None:
    if row.state in NEED_DECISION:
        return None
    # A process that was killed while it sent is given as long as its request may have lasted.
    since = row.unconfirmed_since if row.state is State.UNCONFIRMED else row.lease_until
    return since + settle_time


def _known(row: Row) -> str:
    if row.state is State.SENDING:
        return "sent, and no end of it is written down: under way, or its process was killed"
    return without_call(row.error)


def without_call(text: str) -> str:
    """Return *text* without names of calls, which are those of the library."""
    return _CALL.sub("", text)


_CALL: Final = re.compile(rf"\b(?:{'|'.join(PLATFORMS)})\.[a-z_]+: ")


def _ways(row: Row, place: Place, platform: Platform) -> list[Way]:
    return [
        Way(
            command=place.command("reconcile", platform, "--only", row.op_id, *_OPTIONS[word]),
            meaning=meaning,
        )
        for word, meaning in operator_choices(row)
    ]


def operator_choices(row: Row) -> list[tuple[str, str]]:
    """Return the decisions that an operator can make about *row*, and what each means."""
    duplicates = ", ".join(row.duplicates)
    match row.state:
        case State.NEEDS_DECISION:
            return [
                ("adopt", "a number of the account is its result: keep it"),
                ("retry-unconfirmed", f"{sender_of(row)} sends it again; {_LATE}"),
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


def sender_of(row: Row) -> str:
    """Return who sends *row* once it may be sent again."""
    return "a worker" if row.enqueued else "the next apply"


_OPTIONS: Final = {
    "adopt": ("--adopt", "+NUMBER"),
    "retry-unconfirmed": ("--retry-unconfirmed",),
    "abandon": ("--abandon",),
    "release-duplicates": ("--release-duplicates",),
}
_LATE: Final = "should the first one still come, reconcile finds it"

"""What a journal says, for an operator who has to act on it. Pure."""

from __future__ import annotations

import re
from typing import Final

from sigmamind_async.cli.journals import Place
from sigmamind_async.cli.platforms import PLATFORMS, Platform
from sigmamind_async.cli.records import OpenRow, Standing, Way
from sigmamind_async.provisioning.row import NEED_DECISION, Row, State
from sigmamind_async.provisioning.status import Status, describe, operator_choices, summary


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
            meaning=_MEANINGS.get(word, meaning).format(sender=sender_of(row)),
        )
        for word, meaning in operator_choices(row)
    ]


def sender_of(row: Row) -> str:
    """Return who sends *row* once it may be sent again."""
    return "a worker" if row.enqueued else "the next apply"


_MEANINGS: Final = {
    "retry-unconfirmed": (
        "{sender} sends it again; should the first one still come, reconcile finds it"
    ),
}
"""What is said in other words here than to those who call the library."""
_OPTIONS: Final = {
    "adopt": ("--adopt", "+NUMBER"),
    "retry-unconfirmed": ("--retry-unconfirmed",),
    "abandon": ("--abandon",),
    "release-duplicates": ("--release-duplicates",),
}

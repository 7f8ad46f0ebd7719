"""Numbers, times and sentences as a person reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from sigmamind_async.bulk import Status
from sigmamind_async.cli.report.model import Header, Tally

STATUSES: Final[dict[Status, str]] = {
    "done": "done",
    "failed": "failed",
    "unconfirmed": "unconfirmed",
    "skipped": "not sent",
}
"""What the page calls each status, in the order in which it shows them."""

_SPACE: Final = "\N{NO-BREAK SPACE}"
"""Keeps a number and its unit on one line."""

PURCHASES: Final = {"create", "purchase"}
"""Actions that cost money."""


def count(number: int, one: str, many: str) -> str:
    """Return a number with its noun, such as ``1,000 rows``."""
    return f"{number:,} {one if number == 1 else many}"


def rows(number: int) -> str:
    """Return a number of rows."""
    return count(number, "row", "rows")


def present(counts: Mapping[Status, int]) -> list[Status]:
    """Return the statuses that rows have."""
    found: list[Status] = [status for status in STATUSES if counts.get(status)]
    return found


def lasting(seconds: float) -> str:
    """Return a length of time, such as ``4.2 s``, ``12 min 5 s`` or ``3 h 0 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        _units((hours, "h"), (minutes, "min")) if hours else _units((minutes, "min"), (rest, "s"))
    )


def _units(*parts: tuple[int, str]) -> str:
    return " ".join(f"{number:,}{_SPACE}{unit}" for number, unit in parts)


def moment(at: float, zone: tzinfo | None = None) -> str:
    """Return a time with its distance from UTC; of this place unless *zone* is given."""
    local = datetime.fromtimestamp(at, zone).astimezone(zone)
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M:%S} (UTC{offset[:3]}:{offset[3:5]})"


def summary(header: Header, tally: Tally) -> str:
    """Return all that happened, in one sentence."""
    if not tally.asked:
        return f"No rows asked; {_purchase_words(header)}."
    parts = [f"{rows(tally.asked)} asked", f"{tally.counts['done']:,} done"]
    parts += [
        f"{tally.counts[status]:,} {STATUSES[status]}"
        for status in present(tally.counts)
        if status != "done"
    ]
    return f"{', '.join(parts)}; {_purchase_words(header)}."


def _purchase_words(header: Header) -> str:
    return f"{count(header.bought, 'number', 'numbers')} bought"


def verdict(header: Header, tally: Tally) -> tuple[Status, str]:
    """Return how the job ended, in a few words, and the status whose colour they have."""
    doubtful, waiting = tally.counts["unconfirmed"], tally.attention.count
    if doubtful:
        return "unconfirmed", f"{rows(doubtful)} {'is' if doubtful == 1 else 'are'} unconfirmed"
    if waiting:
        return "unconfirmed", f"{rows(waiting)} {'needs' if waiting == 1 else 'need'} a decision"
    if header.stopped is not None:
        return "failed", "The job ended early"
    if failed := tally.counts["failed"]:
        return "failed", f"{rows(failed)} failed"
    if skipped := tally.counts["skipped"]:
        return "skipped", f"{rows(skipped)} {'was' if skipped == 1 else 'were'} not sent"
    return "done", "Everything is done" if tally.asked else "Nothing was asked"


def money(header: Header, tally: Tally) -> list[str]:
    """Return what was spent, in sentences; prices are the platforms' affair."""
    said = [f"{_purchase_words(header).capitalize()}."]
    if header.max_purchases is not None:
        left = max(0, header.max_purchases - header.bought)
        said = [
            f"{_purchase_words(header).capitalize()} of at most {header.max_purchases:,} allowed."
        ]
        said.append(f"{left:,} left." if left else "Nothing is left to spend.")
    doubtful = sum(
        each["unconfirmed"] for (_, action), each in tally.kinds.items() if action in PURCHASES
    )
    if doubtful:
        noun = count(doubtful, "purchase is", "purchases are")
        said.append(f"{noun} unconfirmed: each may have been paid for.")
    return said

"""What the report shows: a job, its rows and its requests over time, collected in flat memory.

Every row is counted; only the first rows of each group are kept. What is kept is what is shown, so
the page of 100,000 rows is as large as the page of 5,000.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import attrs

from sigmamind_async.bulk import Status
from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.output.events import RowResult, Summary
from sigmamind_async.events import AttemptFinished, Event, Throttled

MOST_CAUSES: Final = 20
"""Groups in one section; rows of any further cause are counted together."""
MOST_ROWS: Final = {"attention": 500, "failed": 500, "done": 1_000, "skipped": 100}
"""Rows that each section lists."""
FEW: Final = 2
"""Rows that each group lists in any case."""
OTHER: Final = "other causes"


def _plain_or_empty(text: str) -> str:
    return text if sanitize(text, None) == text else ""


@attrs.frozen(kw_only=True)
class Header:
    """The job as a whole."""

    file: str
    journal: str
    accounts: tuple[tuple[str, str], ...] = ()
    """Name of each, and its base URL with the end of the key."""
    started: float
    """Seconds since the epoch."""
    summary: Summary
    resume: str = attrs.field(converter=_plain_or_empty)
    """The command that continues it; empty where there is none, or it cannot be shown."""
    bought: int
    """Numbers that count against `max_purchases`."""
    max_purchases: int | None


@attrs.frozen
class ReportRow:
    """How one row ended, and the commands that settle it."""

    result: RowResult
    commands: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """Where the report lists it, a key of `MOST_ROWS`."""
        status = self.result.status
        return "attention" if status == "unconfirmed" or self.commands else status

    @property
    def cause(self) -> str:
        """Why it is not done, on one line."""
        error = self.result.error
        return sanitize(self.result.note if error is None else error.message)


@attrs.define(kw_only=True)
class Group:
    """Rows with one cause: how many, and the first of them."""

    status: Status
    cause: str
    example: str
    """What the first row says."""
    hint: str
    commands: tuple[str, ...]
    """Those that all of its rows share."""
    varies: bool = False
    """Whether other rows say it in other words."""
    count: int = 0
    rows: list[ReportRow] = attrs.field(factory=list[ReportRow])

    @property
    def title(self) -> str:
        """The cause in full, where all rows have the same."""
        return self.cause if self.varies else self.example or self.cause


@attrs.define
class Tally:
    """Collects the rows of a job, however many."""

    counts: Counter[Status] = attrs.field(factory=Counter[Status])
    kinds: defaultdict[tuple[str, str], Counter[Status]] = attrs.field(
        factory=lambda: defaultdict(Counter)
    )
    """Rows by platform and action."""
    room: dict[str, int] = attrs.field(factory=lambda: dict(MOST_ROWS))
    """Rows that each section may still list."""
    _sections: defaultdict[str, dict[tuple[Status, str], Group]] = attrs.field(
        factory=lambda: defaultdict(dict)
    )

    def add(self, result: RowResult, commands: Iterable[str] = ()) -> None:
        """Count a row, and keep what the page may show of it."""
        # A command that is cut, or in which a character is replaced, is another command.
        shown = (each if sanitize(each) == each else "" for each in islice(commands, 4))
        row = ReportRow(result, tuple(shown))
        self.counts[result.status] += 1
        self.kinds[result.platform or "", result.action][result.status] += 1
        group = self._group_of(row)
        group.count += 1
        group.varies = group.varies or group.example not in {"", row.cause}
        group.commands = tuple(each for each in group.commands if each in row.commands)
        if len(group.rows) < FEW or self.room[row.section] > 0:
            self.room[row.section] -= 1
            group.rows.append(row)

    def groups(self, section: str) -> list[Group]:
        """Return the groups of *section*, those with most rows first."""
        found = self._sections[section].values()
        return sorted(found, key=lambda each: (each.cause == OTHER, -each.count))

    def _group_of(self, row: ReportRow) -> Group:
        groups, status, example = self._sections[row.section], row.result.status, row.cause
        hint = "" if row.result.error is None else sanitize(row.result.error.hint)
        cause = cause_of(example, row.result.id or "") or "no reason is known"
        if status == "done":
            cause = ""
        elif (status, cause) not in groups and len(groups) >= MOST_CAUSES:
            cause, example, hint = OTHER, "", ""
        new = Group(status=status, cause=cause, example=example, hint=hint, commands=row.commands)
        return groups.setdefault((status, cause), new)


# ---------------------------------------------------------------- causes

DETAIL: Final = "\N{HORIZONTAL ELLIPSIS}"
"""Replaces what differs between messages of one cause."""
_PARTS: Final = re.compile(
    r"(?P<status>(?:\A|(?<=answered )|(?<=HTTP )|(?<=status ))[1-5]\d\d(?!\w))"
    r"""|(?P<quoted>(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`|“[^”]*”)"""
    r"|[\w+@./:#-]+"
)


def cause_of(message: str, row: str = "") -> str:
    """Return *message* without its details: the id *row*, what is quoted, and words with digits.

    An HTTP status is no detail: 409 and 503 are two causes.
    """
    # A shorter id may be an ordinary word.
    return _PARTS.sub(_without_detail, message.replace(row, DETAIL) if len(row) > 3 else message)


def _without_detail(found: re.Match[str]) -> str:
    text = found[0]
    if found["status"] or found["quoted"]:
        return text if found["status"] else DETAIL
    bare = text.rstrip(".:/-")
    differs = any(character.isdigit() or character == "_" for character in bare)
    return DETAIL + text[len(bare) :] if differs else text


# ---------------------------------------------------------------- requests over time


@attrs.frozen
class Point:
    """What was counted in one stretch of time."""

    start: float
    """Seconds since the first event."""
    seconds: float
    requests: int
    """Requests that were sent and ended, rate-limited ones included."""
    throttled: int


@attrs.define(kw_only=True)
class Timeline:
    """Counts requests and 429s per stretch of time, as an observer of clients.

    Time begins with the first event. When there are too many stretches, each two become one: a
    job of a minute is seen by the second, a job of a day by the quarter of an hour.
    """

    clock: Callable[[], float] = time.monotonic
    most: int = 120
    _seconds: float = 1.0
    _began: float | None = None
    _counts: list[Counter[str]] = attrs.field(factory=list[Counter[str]])

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        if isinstance(event, AttemptFinished | Throttled):
            kind = "throttled" if isinstance(event, Throttled) else "requests"
            self._counts_now()[kind] += 1

    def points(self) -> list[Point]:
        """Return what was counted, from the first event to the last."""
        width = self._seconds
        return [
            Point(index * width, width, counts["requests"], counts["throttled"])
            for index, counts in enumerate(self._counts)
        ]

    def _counts_now(self) -> Counter[str]:
        now = self.clock()
        self._began = now if self._began is None else self._began
        passed = max(0.0, now - self._began)
        while passed >= self.most * self._seconds:
            self._seconds *= 2
            pairs = range(0, len(self._counts), 2)
            self._counts = [sum(self._counts[at : at + 2], Counter[str]()) for at in pairs]
        index = int(passed / self._seconds)
        self._counts += [Counter() for _ in range(index + 1 - len(self._counts))]
        return self._counts[index]

"""What the page is about: the head of a job, and its rows, counted and sampled in flat memory.

Every row is counted; only the first of them are kept, per group and up to an allowance of bytes.
Both are limits of the page as well: what is kept is what is shown, so a job over 100,000 rows has
a page of the same size as one over 5,000.
"""

from __future__ import annotations

import html
from collections import Counter
from typing import Final, TypeAlias

import attrs

from sigmamind_async.bulk import Status
from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.report.error_grouping import cause_of

MOST_LISTED: Final = 200
"""Rows of one group that are kept."""
FEW: Final = 2
"""Rows that every group keeps, whatever the allowance."""
MOST_CAUSES: Final = 500
"""Causes that are told apart; rows of any further one are counted together."""
MOST_COMMANDS: Final = 4
"""Commands of one row that are kept."""
MOST_KINDS: Final = 40
"""Pairs of platform and action that are told apart."""

OTHER: Final = "other causes"
UNSAID: Final = "no reason is known"

LONGEST_ID = 128
LONGEST_WORD = 40
_ROW_BYTES = 160
"""What a row takes on the page beside its texts."""

Kind: TypeAlias = tuple[str, str]
"""Platform and action."""


@attrs.frozen(kw_only=True)
class Header:
    """What the page says of the job as a whole."""

    file: str
    journal: str
    started: float
    """Seconds since the epoch."""
    seconds: float
    stopped: str | None
    """Why the job ended before its rows did."""
    resume: str
    """The command that goes on with it; empty where there is none."""
    requests: int
    throttled: int
    bought: int
    """Numbers that count against `max_purchases`."""
    max_purchases: int | None


@attrs.frozen(kw_only=True)
class ReportRow:
    """One row of the job."""

    id: str
    platform: str
    action: str
    """Such as ``purchase``, ``import``, ``update``, ``adopt``, ``release``, ``unchanged``."""
    status: Status
    phone_number: str = ""
    cause: str = ""
    """Why it failed or is unconfirmed, on one line; without any secret."""
    advice: str = ""
    commands: tuple[str, ...] = ()
    """Commands that settle it, to be copied."""
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds."""

    @property
    def needs_attention(self) -> bool:
        """Whether it needs a decision now."""
        return self.status == "unconfirmed" or bool(self.commands)


@attrs.define
class Allowance:
    """Bytes that listed rows may still take on the page, all groups together."""

    left: int

    def take(self, line: ReportRow) -> bool:
        """Make room for *line*; return whether there was any left."""
        if self.left <= 0:
            return False
        texts = (line.id, line.platform, line.action, line.phone_number, *line.commands)
        self.left -= _ROW_BYTES + sum(map(_size, texts))
        return True


def _size(text: str) -> int:
    return len(html.escape(text).encode())


@attrs.define(kw_only=True)
class Group:
    """Rows with one cause: how many, and the first of them."""

    status: Status
    """How its rows ended."""
    cause: str
    example: str = ""
    """The first row's own words."""
    varies: bool = False
    """Whether other rows say it in other words."""
    advice: str = ""
    commands: tuple[str, ...] = ()
    """Those that all of its rows share."""
    count: int = 0
    lines: list[ReportRow] = attrs.field(factory=list[ReportRow])

    def add(self, line: ReportRow, allowance: Allowance) -> None:
        """Count *line*, and keep it where there is room."""
        self._share(line.commands)
        self.count += 1
        self.varies = self.varies or (self.example not in {"", line.cause})
        few = len(self.lines) < FEW
        if len(self.lines) < MOST_LISTED and (allowance.take(line) or few):
            self.lines.append(line)

    @property
    def title(self) -> str:
        """The cause in its own words, where all rows have the same."""
        return self.cause if self.varies else self.example or self.cause

    def _share(self, commands: tuple[str, ...]) -> None:
        if self.count == 0:
            self.commands = commands
        elif self.commands and self.commands != commands:
            self.commands = tuple(each for each in self.commands if each in commands)


@attrs.define
class Groups:
    """Groups of rows by cause, the number of groups bounded."""

    allowance: Allowance
    _groups: dict[tuple[Status, str], Group] = attrs.field(factory=dict[tuple[Status, str], Group])

    def add(self, line: ReportRow) -> None:
        """Put *line* to the rows of its cause."""
        key = line.status, cause_of(line.cause, line.id) or UNSAID
        if key not in self._groups and len(self._groups) >= MOST_CAUSES:
            key = key[0], OTHER
        group = self._groups.get(key)
        if group is None:
            group = Group(status=key[0], cause=key[1])
            if key[1] != OTHER:
                group.example, group.advice = line.cause, line.advice
            self._groups[key] = group
        group.add(line, self.allowance)

    @property
    def count(self) -> int:
        """Rows in all groups."""
        return sum(each.count for each in self._groups.values())

    def largest(self, most: int) -> tuple[list[Group], Group | None]:
        """Return the *most* groups with the most rows, and the sum of the rest, if any.

        *most* is less than `MOST_CAUSES`, so that other causes are never among those shown.
        """
        ordered = sorted(self._groups.values(), key=lambda each: (each.cause == OTHER, -each.count))
        shown, rest = ordered[:most], ordered[most:]
        return shown, _together(rest) if rest else None


def _together(groups: list[Group]) -> Group:
    return Group(
        cause=OTHER,
        status=groups[0].status,
        count=sum(each.count for each in groups),
        lines=[line for each in groups for line in each.lines][:FEW],
    )


@attrs.define
class Tally:
    """Collects the rows of a job, however many."""

    counts: Counter[Status] = attrs.field(factory=Counter[Status])
    kinds: dict[Kind, Counter[Status]] = attrs.field(factory=dict[Kind, Counter[Status]])
    attention: Groups = attrs.field(factory=lambda: Groups(Allowance(250_000)))
    """Rows that are unconfirmed or need a decision."""
    failures: Groups = attrs.field(factory=lambda: Groups(Allowance(250_000)))
    done: Group = attrs.field(factory=lambda: Group(status="done", cause="done"))
    skipped: Group = attrs.field(factory=lambda: Group(status="skipped", cause="not sent"))
    _allowance: Allowance = attrs.field(factory=lambda: Allowance(100_000))

    def add(self, line: ReportRow) -> None:
        """Count *line*, and keep what the page may show of it."""
        line = _bounded(line)
        self.counts[line.status] += 1
        self._count_kind(line)
        if line.needs_attention:
            self.attention.add(line)
        elif line.status == "failed":
            self.failures.add(line)
        else:
            listed = self.done if line.status == "done" else self.skipped
            listed.example = listed.example or line.cause
            listed.add(line, self._allowance)

    def _count_kind(self, line: ReportRow) -> None:
        kind = line.platform, line.action
        if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
            kind = "others", ""
        self.kinds.setdefault(kind, Counter())[line.status] += 1

    @property
    def asked(self) -> int:
        """Rows of the job."""
        return self.counts.total()


def _bounded(line: ReportRow) -> ReportRow:
    """Return *line* with texts that are fit to be shown, and short."""
    return attrs.evolve(
        line,
        id=sanitize(line.id)[:LONGEST_ID],
        platform=sanitize(line.platform)[:LONGEST_WORD],
        action=sanitize(line.action)[:LONGEST_WORD],
        phone_number=sanitize(line.phone_number)[:LONGEST_WORD],
        cause=sanitize(line.cause),
        advice=sanitize(line.advice),
        commands=tuple(map(_whole, line.commands[:MOST_COMMANDS])),
    )


def _whole(command: str) -> str:
    """Return *command*, or nothing where it cannot be shown as it is.

    A command that is cut, or in which a character is replaced, is another command.
    """
    return command if sanitize(command) == command else ""

"""Records as lines of plain text: for files, pipes and logs. Pure."""

from __future__ import annotations

import functools
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import attrs

from sigmamind_async.cli.output.events import (
    Crash,
    Killed,
    NumberList,
    NumberRecord,
    Ready,
    Record,
    Released,
    RowError,
    RowResult,
    SandboxReady,
    Summary,
    Verdict,
    Verification,
    Verifications,
    VerificationSummary,
)

STATUS_WIDTH = 11
NUMBER_WIDTH = 16
LONGEST_SHOWN = 300
"""Most characters of one text that came from elsewhere."""


@attrs.frozen(kw_only=True)
class Widths:
    """Columns of row results, as wide as the file at hand needs them."""

    line: int = 1
    """0 where the rows are of no file."""
    id: int = 0
    action: int = 6
    platform: int = 0
    """0 where all rows are of one platform."""

    @classmethod
    def of(cls, last_line: int, id_width: int, actions: Iterable[str] = ()) -> Widths:
        """Return the widths for a file with so many lines, ids that long and these *actions*."""
        action = max(map(len, actions), default=6)
        return cls(line=len(str(last_line)), id=min(id_width, 32), action=action)


def clean(text: str) -> str:
    """Return *text* fit for a terminal: on one line, without control or direction characters."""
    if text.isascii() and text.isprintable():
        return _cut(text)
    return _cut("".join("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _is_control(character: str) -> bool:
    # Cc: escape sequences; Cf: marks that reverse the text; Zl, Zp: line ends; Cs: half characters.
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def lines_text(lines: Iterable[int], most: int = 8) -> str:
    """Return line numbers as ranges: ``line 3``, or ``lines 3, 7-12``, the first *most* of them."""
    ranges: list[tuple[int, int]] = []
    for line in sorted(lines):
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in ranges[:most]]
    more = f" and {len(ranges) - most} more ranges" if len(ranges) > most else ""
    word = "line" if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else "lines"
    return f"{word} {', '.join(shown)}{more}"


def row_columns(result: RowResult, widths: Widths) -> list[str]:
    """Return the cells of one row's line, as wide as they are to be, the explanation last."""
    id_cell = [f"{clean(result.id or ''):<{widths.id}}"] if widths.id else []
    platform = [f"{result.platform or '':<{widths.platform}}"] if widths.platform else []
    line = [f"line {result.line:>{widths.line}}"] if widths.line else []
    return [
        *line,
        f"{result.status:<{STATUS_WIDTH}}",
        *platform,
        f"{result.action:<{widths.action}}",
        *id_cell,
        f"{clean(result.phone_number or result.record_id or ''):<{NUMBER_WIDTH}}",
        _explanation(result),
    ]


def _explanation(result: RowResult) -> str:
    if result.fault is not None:
        return explained(result.fault)
    if result.earlier:
        return "sent by an earlier run, not again"
    return clean(result.remark)


def row_line(result: RowResult, widths: Widths) -> str:
    """Return one row's result as a line under those of other rows."""
    return "  ".join(row_columns(result, widths)).rstrip()


def explained(fault: RowError) -> str:
    """Return what went wrong, and what to do about it."""
    advice = f" - {fault.advice}" if fault.advice and fault.advice not in fault.message else ""
    return clean(fault.message) + advice


def summary_cells(summary: Summary) -> list[tuple[str, str]]:
    """Return heading and content of each column of the table at the end."""
    if summary.unchanged is not None:
        return _fleet_summary_cells(summary, summary.unchanged)
    return [
        ("asked", f"{summary.asked:,}"),
        ("done", f"{summary.done:,}"),
        ("failed", f"{summary.failed:,}"),
        ("unconfirmed", f"{summary.unconfirmed:,}"),
        ("skipped", f"{summary.skipped:,}"),
        *_traffic_cells(summary),
        ("rate", f"{summary.rate:.1f}/s"),
        ("secs", f"{summary.seconds:.1f}"),
    ]


def _traffic_cells(summary: Summary) -> list[tuple[str, str]]:
    """Return what was sent, unless others have sent it."""
    if summary.requests is None or summary.throttled is None:
        return []
    return [("sent", f"{summary.requests:,}"), ("429s", f"{summary.throttled:,}")]


def _fleet_summary_cells(summary: Summary, unchanged: int) -> list[tuple[str, str]]:
    return [
        ("done", f"{summary.done:,}"),
        ("unchanged", f"{unchanged:,}"),
        ("failed", f"{summary.failed:,}"),
        ("unconfirmed", f"{summary.unconfirmed:,}"),
        ("skipped", f"{summary.skipped:,}"),
        *_traffic_cells(summary),
        ("secs", f"{summary.seconds:.1f}"),
    ]


def verdict_cells(verdict: Verdict) -> list[tuple[str, str]]:
    """Return heading and content of each column of the ledger's verdict."""
    return [
        ("asked to buy", f"{verdict.asked_to_buy:,}"),
        ("bought", f"{verdict.bought:,}"),
        ("bought twice", f"{verdict.bought_twice:,}"),
        ("lost", f"{verdict.lost:,}"),
        ("unknown", f"{verdict.unknown:,}"),
        ("verdict", "holds" if verdict.holds else "BROKEN"),
    ]


def crash_text(crash: Crash) -> str:
    """Return what a killed job left behind."""
    return (
        f"{crash.platform:<9}  {crash.done:>3,} done, {crash.under_way:>3,} on their way,"
        f" {crash.untouched:>3,} not begun; {crash.unheard:,} sold unknown to it"
    )


@attrs.frozen
class NumberColumn:
    """One column of a list of numbers."""

    heading: str
    width: int
    read: Callable[[NumberRecord], str | None]
    blank: str = "-"
    is_name: bool = False
    """Whether commands take what stands there, so that it must stay in one piece."""
    is_optional: bool = False
    """Whether it is left out where no number has anything there."""

    def cell(self, number: NumberRecord) -> str:
        """Return what stands in the column for *number*."""
        return clean(self.read(number) or self.blank)


_STATES = {True: "active", False: "inactive", None: None}
_NUMBER_COLUMNS = (
    NumberColumn("platform", 9, lambda number: number.platform, is_optional=True),
    NumberColumn(
        "phone number", NUMBER_WIDTH, lambda number: number.phone_number, "?", is_name=True
    ),
    NumberColumn("record id", 24, lambda number: number.record_id, is_name=True, is_optional=True),
    NumberColumn("side", 8, lambda number: number.side, is_optional=True),
    NumberColumn("provider", 8, lambda number: number.provider),
    NumberColumn("inbound agent", 20, lambda number: number.inbound_agent_id),
    NumberColumn("outbound agent", 20, lambda number: number.outbound_agent_id),
    NumberColumn("state", 8, lambda number: _STATES[number.active]),
    NumberColumn("label", 0, lambda number: number.friendly_name, ""),
)


def number_columns(numbers: Iterable[NumberRecord]) -> list[NumberColumn]:
    """Return the columns of a list of *numbers*, such as ids only where a platform has them."""
    numbers = list(numbers)
    return [
        column
        for column in _NUMBER_COLUMNS
        if not column.is_optional or any(column.read(number) is not None for number in numbers)
    ]


def number_lines(numbers: Iterable[NumberRecord]) -> Iterator[str]:
    """Yield the headings, then one aligned line for each number."""
    numbers = list(numbers)
    columns = number_columns(numbers)
    yield "  ".join(f"{each.heading:<{each.width}}" for each in columns).rstrip()
    for number in numbers:
        yield "  ".join(f"{each.cell(number):<{each.width}}" for each in columns).rstrip()


def number_fields(number: NumberRecord) -> list[tuple[str, str]]:
    """Return every field of a number that has a value."""
    fields = attrs.asdict(number).items()
    return [(name, clean(str(value))) for name, value in fields if value is not None]


def verification_cells(result: Verification) -> tuple[str, str, str, str]:
    """Return the number, what became of it, whom its call rings, and why it is so."""
    return (
        clean(result.phone_number or "?"),
        result.status,
        clean(result.destination or "-"),
        verification_text(result),
    )


def verification_text(result: Verification) -> str:
    """Return why a test call had the result it had."""
    if result.fault is not None:
        return explained(result.fault)
    end = [f"{result.call_status}: {result.termination_reason}"] if result.call_status else []
    end += [f"{result.duration:g} s"] if result.duration is not None else []
    return clean(" - ".join(filter(None, (", ".join(end), result.remark))))


def verification_summary_cells(summary: VerificationSummary) -> list[tuple[str, str]]:
    """Return heading and content of each column of the sum of test calls."""
    words = ("asked", "passed", "failed", "unconfirmed", "skipped")
    return [(word, f"{getattr(summary, word):,}") for word in words]


def table(cells: Iterable[tuple[str, str]]) -> str:
    """Return headings and contents as two aligned lines."""
    widths = [(name, text, max(len(name), len(text))) for name, text in cells]
    headings = "  ".join(f"{name:>{width}}" for name, _, width in widths)
    return headings + "\n" + "  ".join(f"{text:>{width}}" for _, text, width in widths)


@functools.singledispatch
def plain(record: Record) -> str:
    """Return *record* as text without a line end; a row's result as wide as it is."""
    raise TypeError(type(record).__name__)


@plain.register
def _(record: RowResult) -> str:
    return row_line(record, Widths())


@plain.register
def _(record: Summary) -> str:
    return table(summary_cells(record))


@plain.register
def _(record: Verdict) -> str:
    return table(verdict_cells(record))


@plain.register
def _(record: Ready) -> str:
    return (
        f"serves {', '.join(record.accounts)} from {clean(record.database)};"
        f" {record.concurrency} operations at once"
    )


@plain.register
def _(record: Crash) -> str:
    return crash_text(record)


@plain.register
def _(record: Killed) -> str:
    sending = f"{record.under_way:,} {'request' if record.under_way == 1 else 'requests'}"
    return (
        f"  kill -9 of worker {record.worker}, while it was sending {sending};"
        f" {record.done:,} of {record.asked:,} rows were done"
    )


@plain.register
def _(record: NumberList) -> str:
    return "\n".join(number_lines(record.numbers))


@plain.register
def _(record: NumberRecord) -> str:
    fields = number_fields(record)
    width = max((len(name) for name, _ in fields), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in fields)


@plain.register
def _(record: Released) -> str:
    return f"{clean(record.phone_number or record.record_id or '')}  released"


@plain.register
def _(record: SandboxReady) -> str:
    variables = [pair for each in record.entrances for pair in each.environment.items()]
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables)


@plain.register
def _(record: Verification) -> str:
    number, status, destination, text = verification_cells(record)
    return (
        f"{number:<{NUMBER_WIDTH}}  {status:<{STATUS_WIDTH}}  {destination:<{NUMBER_WIDTH}}  {text}"
    ).rstrip()


@plain.register
def _(record: Verifications) -> str:
    return "\n".join(map(plain, record.results))


@plain.register
def _(record: VerificationSummary) -> str:
    return table(verification_summary_cells(record))

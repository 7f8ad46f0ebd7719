"""Events as lines of text, for people: on a terminal, in a pipe, in a log. Pure.

Lines fit a width in columns; `None`, for what is no terminal, sets no limit. A phone number or a
command is never cut or broken. Texts from elsewhere are never markup, so that a label cannot style
itself.
"""

from __future__ import annotations

import functools
import itertools
import re
import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import attrs

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.output.events import (
    AuditResult,
    Event,
    Exported,
    JobKilled,
    NumberList,
    NumberRecord,
    NumberReleased,
    OrderPlaced,
    RowError,
    RowResult,
    SandboxStarted,
    Summary,
    Verification,
    VerificationList,
    VerificationSummary,
    View,
    WorkerKilled,
    WorkerStarted,
)

NUMBER_WIDTH: Final = 12
"""Columns of most numbers in E.164; longer ones push the rest of their line aside."""
WIDEST_ID: Final = 32
NARROWEST: Final = 20
"""Columns in which a sentence can be read; with less it goes below what it is about."""

STYLES: Final = {
    "done": "green",
    "passed": "green",
    "failed": "red",
    "unconfirmed": "yellow",
    "skipped": "dim",
    "planned": "cyan",
    "sending": "yellow",
    "needs_decision": "bold red",
    "duplicate": "bold red",
    "abandoned": "dim",
    "purchase": "bold yellow",
    "move": "bold red",
    "release": "bold red",
    "import": "cyan",
    "adopt": "cyan",
    "update": "cyan",
    "drifted": "yellow",
    "unchanged": "dim",
    "blocked": "yellow",
    "heading": "bold",
    "command": "bold",
    "dim": "dim",
    "PASS": "bold green",
    "FAIL": "bold white on red",
}
"""How a word looks, wherever it is."""

# ---------------------------------------------------------------- words


def count_of(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def ranges_text(lines: Iterable[int], most: int = 8) -> str:
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


def ids_text(ids: Sequence[str], most: int = 5) -> str:
    """Return the first of *ids*, and how many more there are."""
    more = f" and {len(ids) - most:,} more" if len(ids) > most else ""
    return ", ".join(map(sanitize, ids[:most])) + more


def format_timestamp(at: float) -> str:
    """Return a time in the local zone, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: ``0.4 s``, ``12 s``, ``1 min 40 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def format_clock(seconds: float) -> str:
    """Return a time that is left, as a clock shows it: ``0:52``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe_error(error: RowError) -> str:
    """Return what went wrong, and what to do about it."""
    hint = f"; {error.hint}" if error.hint and error.hint not in error.message else ""
    return sanitize(error.message) + hint


_TAG: Final = re.compile(r" ?\[sm:[0-9A-Z]+\.\d+\]$")


def label_text(label: str | None) -> str:
    """Return a label without the tag by which a purchase is recognized."""
    return _TAG.sub("", label or "")


# ---------------------------------------------------------------- lines

Span: TypeAlias = tuple[str, str]
"""A text, and the word whose style it has."""
Line: TypeAlias = tuple[Span, ...]


def line(*cells: str | Span) -> Line:
    """Return a line of texts, of which some have a style."""
    return tuple((cell, "") if isinstance(cell, str) else cell for cell in cells)


def plain(shown: Line) -> str:
    """Return a line without styles."""
    return "".join(text for text, _ in shown).rstrip()


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # knows which characters are two columns wide, or none

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    """Return *text*, with an ellipsis if it is wider than *width*."""
    if _columns(text) <= width:
        return text
    while _columns(text) >= width:
        text = text[: width - 1] if text.isascii() else text[:-1]
    return f"{text}…"


def prose(
    text: str, width: int | None, word: str = "", indent: int = 0, hang: int = 0
) -> list[Line]:
    """Return a sentence in lines of *width*; those after the first begin *hang* further right."""
    text = sanitize(text, None)
    room = None if width is None else max(width - indent, NARROWEST + hang)
    texts = [text] if room is None else list(_wrap(text, room, hang))
    left = " " * (indent + hang)
    return [(((left if place else " " * indent) + each, word),) for place, each in enumerate(texts)]


def _wrap(text: str, width: int, hang: int) -> Iterator[str]:
    """Yield *text* broken at blanks; a long word, or a command at the end, stays in one piece."""
    text, colon, command = text.partition(": sigmamind ")
    current, *words = f"{text}{colon and ':'}".split(" ")
    for word in (*words, *([f"sigmamind {command}"] if colon else ())):
        if _columns(current) + 1 + _columns(word) > width:
            yield current
            current, width = word, width - hang
            hang = 0
        else:
            current += f" {word}"
    yield current


def with_note(cells: Sequence[str | Span], note: str, width: int | None) -> list[Line]:
    """Return cells as one line, with a sentence behind them, or below them if it does not fit."""
    head = line(*itertools.chain.from_iterable((cell, "  ") for cell in cells))
    if not note:
        return [head]
    if width is None or sum(_columns(text) for text, _ in head) + _columns(note) <= width:
        return [(*head, (note, ""))]
    return [head, *prose(note, width, indent=4)]


@attrs.frozen
class TableColumn:
    """One column of a table."""

    heading: str
    shrinks: bool = False
    """True if its text may be cut; numbers, ids and counts may not."""
    right: bool = False


def table(
    columns: Sequence[TableColumn], rows: Iterable[Sequence[str | Span]], width: int | None
) -> list[Line]:
    """Return headings and rows; without empty columns, and as blocks where *width* is too small."""
    spans = [line(*row) for row in rows]
    kept = [index for index in range(len(columns)) if any(row[index][0] for row in spans)]
    columns = [columns[index] for index in kept]
    spans = [tuple(row[index] for index in kept) for row in spans]
    widths = [
        max([len(column.heading), *(_columns(row[index][0]) for row in spans)])
        for index, column in enumerate(columns)
    ]
    spare = 0 if width is None else width - sum(widths) - 2 * (len(columns) - 1)
    if spare < 0:
        shrinking = [index for index, column in enumerate(columns) if column.shrinks]
        if not shrinking or widths[shrinking[-1]] + spare < len(columns[shrinking[-1]].heading):
            return [each for row in spans for each in _block(columns, row, width or 0)]
        widths[shrinking[-1]] += spare
    headings = tuple((column.heading, "heading") for column in columns)
    return [_table_line(columns, row, widths) for row in (headings, *spans)]


def _table_line(columns: Sequence[TableColumn], row: Line, widths: Sequence[int]) -> Line:
    cells: list[str | Span] = []
    for column, (text, word), width in zip(columns, row, widths, strict=True):
        shown = _cut(text, width)
        blank = " " * (width - _columns(shown))
        cells += [(blank + shown if column.right else shown + blank, word), "  "]
    return line(*cells)


def _block(columns: Sequence[TableColumn], row: Line, width: int) -> Iterator[Line]:
    """Yield one row of a table as lines: its first cell, and the others with their headings."""
    yield (row[0],)
    widest = max((len(column.heading) for column in columns[1:]), default=0)
    for column, (text, word) in zip(columns[1:], row[1:], strict=True):
        shown = _cut(text, max(width - widest - 4, NARROWEST)) if column.shrinks else text
        if text:
            yield line("  ", (f"{column.heading:<{widest}}", "dim"), "  ", (shown, word))


# ---------------------------------------------------------------- rows of a job


@functools.singledispatch
def render(shown: Event | View, width: int | None) -> Iterable[Line]:
    """Return the lines that a person sees of an event; each module adds those of its kind."""
    raise TypeError(f"{type(shown).__name__} at width {width}")


@attrs.frozen(kw_only=True)
class Widths:
    """Columns of row results, as wide as the job at hand needs them."""

    id: int = 0
    action: int = 0
    platform: int = 0
    """0 where all rows are of one platform."""

    @classmethod
    def of(
        cls, ids: Iterable[str], actions: Iterable[str], platforms: Iterable[str] = ()
    ) -> Widths:
        """Return the widths for rows with these ids, actions and, if they differ, platforms."""
        several = {*platforms} if len({*platforms}) > 1 else set[str]()
        widest_id, action, platform = (
            max(map(len, words), default=0) for words in (ids, actions, several)
        )
        return cls(id=min(widest_id, WIDEST_ID), action=action, platform=platform)


@render.register(RowResult)
def row_lines(result: RowResult, width: int | None, widths: Widths = Widths()) -> list[Line]:
    """Return how one row ended, in line with other rows."""
    number = sanitize(result.phone_number or result.record_id or "")
    cells: list[str | Span] = [
        (f"{result.status:<11}", result.status),
        *([f"{result.platform or '':<{widths.platform}}"] if widths.platform else []),
        f"{result.action:<{widths.action}}",
        *([f"{sanitize(result.id):<{widths.id}}"] if result.id else []),
        *([f"{number:<{NUMBER_WIDTH}}"] if number else []),
    ]
    if result.error is not None:
        return with_note(cells, describe_error(result.error), width)
    note = "done by an earlier run" if result.already_done else sanitize(result.note)
    return with_note(cells, note, width)


STOP_TEXTS: Final = {
    "interrupted": "interrupted",
    "key_refused": "the platform refused the API key",
    "cannot_pay": "the account cannot pay",
    "not_the_api": "the responses are not the API's",
    "platform_unreachable": "the platform cannot be reached",
    "journal_unusable": "the journal cannot be written",
    "output_closed": "standard output takes no more",
}


@render.register(Summary)
def _summary_lines(summary: Summary, width: int | None) -> Iterator[Line]:
    now = summary.done - summary.already_done
    counts = [
        (now, "done"),
        (summary.already_done, "done by an earlier run"),
        (summary.unchanged or 0, "unchanged"),
        (summary.failed, "failed"),
        (summary.unconfirmed, "unconfirmed"),
        (summary.skipped, "skipped"),
    ]
    parts = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    took = format_duration(summary.elapsed_ms / 1000)
    text = f"{count_of(summary.rows, 'row')} in {took}" + (f": {parts}" if parts else "")
    yield from prose(text, width, _worst(summary))
    if summary.requests:
        limited = f", {summary.rate_limited:,} rate-limited" if summary.rate_limited else ""
        yield from prose(f"{count_of(summary.requests, 'request')}{limited}", width, "dim")
    if summary.stopped is not None:
        yield from prose(f"Stopped early: {STOP_TEXTS[summary.stopped]}.", width, "failed")


def _worst(summary: Summary | VerificationSummary) -> str:
    if summary.failed:
        return "failed"
    return "unconfirmed" if summary.unconfirmed else "skipped" if summary.skipped else "done"


# ---------------------------------------------------------------- numbers

_NUMBER_COLUMNS: Final = (
    TableColumn("phone number"),
    TableColumn("record id"),
    TableColumn("platform"),
    TableColumn("side"),
    TableColumn("provider"),
    TableColumn("inbound agent"),
    TableColumn("outbound agent"),
    TableColumn("state"),
    TableColumn("label", shrinks=True),
)


def _number_cells(number: NumberRecord, *, platform: bool) -> list[str]:
    cells = (
        number.phone_number or "(unknown)",
        number.record_id,
        number.platform if platform else None,
        number.side,
        number.provider,
        number.inbound_agent_id,
        number.outbound_agent_id,
        "inactive" if number.active is False else None,
        label_text(number.label),
    )
    return [sanitize(cell or "") for cell in cells]


@render.register(NumberList)
def _number_list_lines(shown: NumberList, width: int | None) -> Iterator[Line]:
    if not shown.numbers:
        yield line("No numbers match.")
        return
    several = len({number.platform for number in shown.numbers}) > 1
    cells = [_number_cells(number, platform=several) for number in shown.numbers]
    yield from table(_NUMBER_COLUMNS, cells, width)
    yield line()
    yield line((count_of(len(shown.numbers), "number"), "dim"))


@render.register(NumberRecord)
def _number_lines(number: NumberRecord, _: int | None) -> Iterator[Line]:
    fields = attrs.asdict(number) | {"label": label_text(number.label) or None}
    shown = {name: value for name, value in fields.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        yield line((f"{name:<{width}}", "dim"), "  ", sanitize(text))


@render.register(NumberReleased)
def _(shown: NumberReleased, _: int | None) -> Iterable[Line]:
    return [line(f"Released {sanitize(shown.phone_number or shown.record_id or '')}")]


@render.register(OrderPlaced)
def _(shown: OrderPlaced, width: int | None) -> Iterable[Line]:
    numbers = f"{count_of(shown.count, 'number')} on {shown.platform}"
    yield from prose(f"Order {shown.name}: {numbers}, kept in {shown.file}", width)
    yield from prose("If this run ends early, go on with:", width, "dim")
    yield line((f"  {shown.resume_command}", "command"))


@render.register(Exported)
def _(shown: Exported, width: int | None) -> Iterable[Line]:
    return prose(f"Wrote {count_of(shown.rows, 'number')} to {shown.file}", width)


# ---------------------------------------------------------------- test calls


@render.register(Verification)
def verification_lines(result: Verification, width: int | None) -> list[Line]:
    """Return how one test call ended."""
    cells: list[str | Span] = [
        (f"{result.status:<11}", result.status),
        f"{sanitize(result.phone_number or '(unknown)'):<{NUMBER_WIDTH}}",
    ]
    if result.destination:
        cells.append(f"to {sanitize(result.destination):<{NUMBER_WIDTH}}")
    return with_note(cells, _verification_note(result), width)


def _verification_note(result: Verification) -> str:
    if result.error is not None:
        return describe_error(result.error)
    end = [f"{result.call_status}: {result.termination_reason}"] if result.call_status else []
    if result.duration_ms is not None:
        end.append(format_duration(result.duration_ms / 1000))
    return sanitize("; ".join(filter(None, (", ".join(end), result.note))))


@render.register(VerificationList)
def _verification_list_lines(shown: VerificationList, width: int | None) -> Iterator[Line]:
    """Yield test calls; numbers that were left out for one reason are named together."""
    left_out: defaultdict[str, list[Verification]] = defaultdict(list)
    for result in shown.results:
        if result.status == "skipped":
            left_out[result.note.replace(result.phone_number or "", "+NUMBER")].append(result)
    for note, (first, *others) in left_out.items():
        if not others:
            yield from verification_lines(first, width)
            continue
        numbers = [each.phone_number or "(unknown)" for each in (first, *others)]
        head = f"skipped      {count_of(len(numbers), 'number')}: {ids_text(numbers)}"
        yield from prose(head, width, "skipped", hang=13)
        yield from prose(note, width, indent=4)
    for result in shown.results:
        if result.status != "skipped":
            yield from verification_lines(result, width)


@render.register(VerificationSummary)
def _(summary: VerificationSummary, width: int | None) -> Iterable[Line]:
    words = ("passed", "failed", "unconfirmed", "skipped")
    counts = [f"{count:,} {word}" for word in words if (count := getattr(summary, word))]
    text = f"{count_of(summary.numbers, 'number')}: {', '.join(counts) or 'nothing to do'}"
    return prose(text, width, _worst(summary))


# ---------------------------------------------------------------- demo


@render.register(AuditResult)
def _audit_lines(audit: AuditResult, width: int | None) -> list[Line]:
    cells = {
        "to buy": audit.purchases,
        "bought": audit.bought,
        "bought twice": audit.bought_twice,
        "lost": audit.lost,
        "not done": audit.not_done,
    }
    columns = [*(TableColumn(heading, right=True) for heading in cells), TableColumn("verdict")]
    verdict = "PASS" if audit.passed else "FAIL"
    row: list[str | Span] = [*(f"{count:,}" for count in cells.values()), (verdict, verdict)]
    title = line(("The platforms' own ledger:", "dim"))
    return [title, *table(columns, [row], width)]


@render.register(JobKilled)
def _(killed: JobKilled, width: int | None) -> Iterable[Line]:
    text = (
        f"{killed.platform:<9}  {killed.done:>3,} done, {killed.in_progress:>3,} in progress,"
        f" {killed.not_started:>3,} not started; {killed.unrecorded:,} bought, unrecorded"
    )
    return prose(text, width)


@render.register(WorkerKilled)
def _(killed: WorkerKilled, width: int | None) -> Iterable[Line]:
    text = (
        f"kill -9 of worker {killed.worker} while it was sending"
        f" {count_of(killed.in_progress, 'request')};"
        f" {killed.done:,} of {count_of(killed.rows, 'row')} were done"
    )
    return prose(text, width)


@render.register(SandboxStarted)
def _(shown: SandboxStarted, _: int | None) -> Iterable[Line]:
    variables = [pair for each in shown.endpoints for pair in each.environment.items()]
    return [line(f"export {name}={shlex.quote(value)}") for name, value in variables]


@render.register(WorkerStarted)
def _(shown: WorkerStarted, width: int | None) -> Iterable[Line]:
    accounts, limit = ", ".join(shown.accounts), count_of(shown.concurrency, "operation")
    return prose(f"Serving {accounts} from {shown.database}, up to {limit} at once", width)

"""Events as lines of text, for people: on a terminal, in a pipe, in a log. Pure.

Lines fit a width in columns; `None`, for what is no terminal, sets no limit. A phone number or a
command is never cut or broken. Texts from elsewhere are never markup, so that a label cannot style
itself.
"""

from __future__ import annotations

import functools
import re
import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.output import events
from sigmamind_async.cli.output.events import Event, View

if TYPE_CHECKING:  # ``status`` shows no plan
    from sigmamind_async.fleet.plan import Plan
    from sigmamind_async.fleet.spec import Problem
    from sigmamind_async.fleet.step import Change, Step

NUMBER_WIDTH: Final = 12
"""Columns of most numbers in E.164; longer ones push the rest of their line aside."""
STATUS_WIDTH: Final = 11
WIDEST_ID: Final = 32
NARROWEST: Final = 20
"""Columns in which a sentence can be read; with less it goes below what it is about."""
MOST_PROBLEMS: Final = 20
"""Kinds of problems that are shown to a person."""
MOST_STEPS: Final = 200
"""Steps of a plan that are shown on a terminal."""

STYLES: Final = {
    word: style
    for style, words in {
        "green": ("done", "passed", "ok"),
        "red": ("failed",),
        "yellow": ("unconfirmed", "warning", "sending", "drifted", "blocked", "update"),
        "cyan": ("planned", "import", "adopt"),
        "dim": ("dim", "skipped", "abandoned", "unchanged"),
        "bold": ("heading", "command"),
        "bold red": ("needs_decision", "duplicate", "move", "release"),
        "bold green": ("PASS", "purchase"),
        "bold white on red": ("FAIL",),
    }.items()
    for word in words
}
"""How a word looks, wherever it is."""

# ---------------------------------------------------------------- words


def count_of(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


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


# ---------------------------------------------------------------- lines

Span: TypeAlias = tuple[str, str]
"""A text, and the word whose style it has."""
Line: TypeAlias = tuple[Span, ...]
Cell: TypeAlias = tuple[str, int, str]
"""A text, the columns that it has at least, and the word whose style it has."""


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


def _pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return *text* in a field of *columns*; an ellipsis ends it if it is wider."""
    if _columns(text) > columns:
        while _columns(text) >= columns:
            text = text[: columns - 1] if text.isascii() else text[:-1]
        text += "…"
    blank = " " * (columns - _columns(text))
    return blank + text if right else text + blank


def prose(
    text: str, width: int | None, word: str = "", indent: int = 0, hang: int = 0
) -> list[Line]:
    """Return a sentence in lines of *width*; those after the first begin *hang* further right."""
    text = sanitize(text, None)
    room = None if width is None else max(width - indent, NARROWEST + hang)
    texts = [text] if room is None else list(_wrap(text, room, hang))
    left = " " * (indent + hang)
    return [(((left if place else " " * indent) + each, word),) for place, each in enumerate(texts)]


_COMMAND: Final = re.compile(r"(?<=:)( +)(sigmamind .*)")


def _wrap(text: str, width: int, hang: int) -> Iterator[str]:
    """Yield *text* broken at blanks; a long word, or a command at the end, stays in one piece."""
    command = _COMMAND.search(text)
    current, *words = text[: command.start()].split(" ") if command else text.split(" ")
    pieces = [(" ", word) for word in words]
    for gap, word in (*pieces, *([(command[1], command[2])] if command else ())):
        if _columns(current) + len(gap) + _columns(word) > width:
            yield current
            current, width, hang = word, width - hang, 0
        else:
            current += gap + word
    yield current


def aligned(cells: Iterable[Cell], note: str, width: int | None) -> list[Line]:
    """Return cells as one line, without those that are empty.

    A sentence about them is behind them, or below them if it does not fit.
    """
    head = tuple(
        (_pad(shown, max(columns, _columns(shown))) + "  ", word)
        for text, columns, word in cells
        if (shown := sanitize(text))
    )
    note = sanitize(note, None)
    if width is None or sum(_columns(text) for text, _ in head) + _columns(note) <= width:
        return [(*head, (note, ""))]
    return [head, *(prose(note, width, indent=4) if note else ())]


def table(
    rows: Sequence[Mapping[str, str | Span]],
    width: int | None,
    shrinks: str = "",
    drops: Sequence[str] = (),
) -> Iterator[Line]:
    """Yield headings, which are the keys, and rows; without empty columns.

    Where *width* is too small, the column that *shrinks* is cut, then those of *drops* are left out
    and named in the end; where that does not help, each row becomes a block.
    """
    columns: dict[str, list[Span]] = {}
    for heading in rows[0]:
        cells = [(sanitize(text), word) for text, word in line(*(row[heading] for row in rows))]
        if any(text for text, _ in cells):
            columns[heading] = cells
    widths = {
        heading: max(map(_columns, (heading, *(text for text, _ in cells))))
        for heading, cells in columns.items()
    }
    kept, dropped = dict(columns), list[str]()
    while (spare := _spare(width, [widths[heading] for heading in kept])) < 0:
        room = widths.get(shrinks, 0) + spare
        if room >= max(len(shrinks), min(widths.get(shrinks, 0), NARROWEST), 1):
            widths[shrinks] = room
            break
        if not (left := [heading for heading in drops if heading in kept]):
            for row in zip(*columns.values(), strict=True):
                yield from _block(dict(zip(columns, row, strict=True)), width or 0, shrinks)
            return
        dropped.append(left[0])
        del kept[left[0]]
    columns = kept
    counts = {
        heading
        for heading, cells in columns.items()
        if all(text.replace(",", "").isdecimal() for text, _ in cells)
    }
    titles = [(heading, "heading") for heading in columns]
    for spans in (titles, *zip(*columns.values(), strict=True)):
        yield tuple(
            (_pad(text, widths[heading], right=heading in counts) + "  ", word)
            for heading, (text, word) in zip(columns, spans, strict=True)
        )
    if dropped:
        yield line()
        text = f"too wide for this terminal: {', '.join(dropped)}; --json shows all"
        yield from prose(text, width, "dim")


def _spare(width: int | None, columns: Sequence[int]) -> int:
    """Return how many columns of the terminal are left beside those of a table."""
    return 0 if width is None else width - sum(columns) - 2 * (len(columns) - 1)


def _block(row: Mapping[str, Span], width: int, shrinks: str) -> Iterator[Line]:
    """Yield one row of a table as lines: its first cell, and the others with their headings."""
    first, *others = row
    yield (row[first],)
    widest = max(map(len, others), default=0)
    for heading in others:
        text, word = row[heading]
        room = max(width - widest - 4, NARROWEST) if heading == shrinks else _columns(text)
        if text:
            yield line((f"  {heading:<{widest}}  ", "dim"), (_pad(text, room).rstrip(), word))


# ---------------------------------------------------------------- sentences


@functools.singledispatch
def render(shown: Event | View, width: int | None) -> Iterable[Line]:
    """Return the lines that a person sees of an event: a sentence, unless it is registered."""
    return prose(_sentence(shown), width)


def _sentence(shown: Event | View) -> str:
    match shown:
        case events.NumberReleased():
            return f"Released {shown.phone_number or shown.record_id or ''}"
        case events.FileCreated():
            return f"Wrote {shown.file}; edit it, then run: {shown.next_command}"
        case events.Exported():
            return f"Wrote {count_of(shown.rows, 'number')} to {shown.file}"
        case events.JobKilled():
            return (
                f"{shown.platform:<9}  {shown.done:>3,} done, {shown.in_progress:>3,} in progress"
                f" ({shown.unrecorded:>2,} bought, unrecorded), {shown.not_started:>3,} not started"
            )
        case events.WorkerKilled():
            return (
                f"kill -9 of worker {shown.worker} while it was sending"
                f" {count_of(shown.in_progress, 'request')};"
                f" {shown.done:,} of {count_of(shown.rows, 'row')} were done"
            )
        case events.WorkerStarted():
            limit = count_of(shown.concurrency, "operation")
            accounts = ", ".join(shown.accounts)
            return f"Serving {accounts} from {shown.database}, up to {limit} at once"
        case _:
            raise TypeError(f"{type(shown).__name__} is shown to no person")


@render.register(events.OrderPlaced)
def _(shown: events.OrderPlaced, width: int | None) -> Iterator[Line]:
    numbers = f"{count_of(shown.count, 'number')} on {shown.platform}"
    yield from prose(f"Order {shown.name}: {numbers}, kept in {shown.file}", width)
    yield from prose("If this run ends early, continue with:", width, "dim")
    yield line((f"  {shown.resume_command}", "command"))


@render.register(events.SandboxStarted)
def _(shown: events.SandboxStarted, _: int | None) -> Iterable[Line]:
    variables = {key: text for each in shown.events for key, text in each.environment.items()}
    variables |= {"SIGMAMIND_SANDBOX_PID": str(shown.events[0].pid)}
    return [line(f"export {name}={shlex.quote(text)}") for name, text in variables.items()]


@render.register(events.AuditResult)
def _(audit: events.AuditResult, width: int | None) -> Iterator[Line]:
    verdict = "PASS" if audit.passed else "FAIL"
    row: dict[str, str | Span] = {
        "to buy": f"{audit.purchases:,}",
        "bought": f"{audit.bought:,}",
        "bought twice": f"{audit.bought_twice:,}",
        "lost": f"{audit.lost:,}",
        "not done": f"{audit.not_done:,}",
        "verdict": (verdict, verdict),
    }
    yield line(("The platforms' own ledger:", "dim"))
    yield from table([row], width)


# ---------------------------------------------------------------- rows of a job


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
            max(map(len, words), default=0) for words in (ids, map(action_word, actions), several)
        )
        return cls(id=min(widest_id, WIDEST_ID), action=action, platform=platform)


@render.register(events.RowResult)
def row_lines(result: events.RowResult, width: int | None, widths: Widths = Widths()) -> list[Line]:
    """Return how one row ended, in line with other rows."""
    cells = [
        (result.status, STATUS_WIDTH, result.status),
        (result.platform or "" if widths.platform else "", widths.platform, ""),
        (action_word(result.action), widths.action, ""),
        (result.id or "", widths.id, ""),
        (result.phone_number or result.record_id or "", NUMBER_WIDTH, ""),
    ]
    if result.error is not None:
        return aligned(cells, describe_error(result.error), width)
    return aligned(cells, "done by an earlier run" if result.already_done else result.note, width)


def describe_error(error: events.RowError) -> str:
    """Return what went wrong, and what to do about it."""
    hint = f"; {error.hint}" if error.hint and error.hint not in error.message else ""
    return f"{error.message}{hint}"


STOP_TEXTS: Final = {
    "interrupted": "interrupted",
    "key_refused": "the platform refused the API key",
    "cannot_pay": "the account cannot pay",
    "not_the_api": "the responses are not the API's",
    "platform_unreachable": "the platform cannot be reached",
    "journal_unusable": "the journal cannot be written",
    "output_closed": "standard output takes no more",
}


@render.register(events.Summary)
def _(summary: events.Summary, width: int | None) -> Iterator[Line]:
    counts = {
        "done": summary.done - summary.already_done,
        "done by an earlier run": summary.already_done,
        "unchanged": summary.unchanged or 0,
        "failed": summary.failed,
        "unconfirmed": summary.unconfirmed - summary.needs_decision,
        "needs a decision" if summary.needs_decision == 1 else "need a decision": (
            summary.needs_decision
        ),
        "skipped": summary.skipped - summary.abandoned,
        "abandoned": summary.abandoned,
    }
    parts = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    took = format_duration(summary.elapsed_ms / 1000)
    text = f"{count_of(summary.rows, 'row')} in {took}" + (f": {parts}" if parts else "")
    yield from prose(text, width, _worst(summary))
    if summary.requests:
        limited = f", {summary.rate_limited:,} rate-limited" if summary.rate_limited else ""
        yield from prose(f"{count_of(summary.requests, 'request')}{limited}", width, "dim")
    if summary.stopped is not None:
        yield from prose(f"Stopped early: {STOP_TEXTS[summary.stopped]}.", width, "failed")


def _worst(summary: events.Summary | events.VerificationSummary) -> str:
    words = ("failed", "needs_decision", "unconfirmed", "skipped")
    found = (word for word in words if getattr(summary, word, 0))
    return next(found, "done")


# ---------------------------------------------------------------- numbers


@render.register(events.NumberList)
def _(shown: events.NumberList, width: int | None) -> Iterator[Line]:
    if not shown.events:
        yield line("No numbers.")
        return
    several = len({number.platform for number in shown.events}) > 1
    rows = [
        {
            "phone number": number.phone_number or "(unknown)",
            "record id": number.record_id or "",
            "platform": number.platform or "" if several else "",
            "side": number.side or "",
            "provider": number.provider or "",
            "inbound agent": number.inbound_agent_id or "",
            "outbound agent": number.outbound_agent_id or "",
            "state": "inactive" if number.active is False else "",
            "label": number.label or "",
        }
        for number in shown.events
    ]
    yield from table(rows, width, shrinks="label", drops=("provider", "record id"))
    yield line()
    yield line((count_of(len(rows), "number"), "dim"))


@render.register(events.NumberRecord)
@render.register(events.AgentRecord)
def _(shown: events.NumberRecord | events.AgentRecord, _: int | None) -> Iterator[Line]:
    fields = {name: value for name, value in attrs.asdict(shown).items() if value is not None}
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        yield line((f"{name:<{width}}", "dim"), "  ", sanitize(text))


@render.register(events.AgentList)
def _(shown: events.AgentList, width: int | None) -> Iterator[Line]:
    rows = [
        {
            "agent id": agent.agent_id or "",
            "numbers": "" if agent.numbers is None else f"{agent.numbers:,}",
            "name": agent.name or "",
        }
        for agent in shown.events
    ]
    if rows:
        yield from table(rows, width, shrinks="name")
        yield line()
    yield line((count_of(len(rows), "agent"), "dim"))


@render.register(events.DiagnosisList)
def _(shown: events.DiagnosisList, width: int | None) -> Iterator[Line]:
    columns = max(len(each.name) for each in shown.events)
    for each in shown.events:
        cells = [(each.verdict, len("skipped"), each.verdict), (each.name, columns, "")]
        yield from aligned(cells, each.message, width)
        if each.fix:
            yield from prose(each.fix, width, "command", indent=4)


# ---------------------------------------------------------------- test calls


@render.register(events.Verification)
def _verification_lines(result: events.Verification, width: int | None) -> list[Line]:
    cells = [
        (result.status, STATUS_WIDTH, result.status),
        (result.phone_number or "(unknown)", NUMBER_WIDTH, ""),
        (f"to {result.destination}" if result.destination else "", NUMBER_WIDTH + 3, ""),
    ]
    if result.error is not None:
        return aligned(cells, describe_error(result.error), width)
    end = [f"{result.call_status}: {result.termination_reason}"] if result.call_status else []
    if result.duration_ms is not None:
        end.append(format_duration(result.duration_ms / 1000))
    return aligned(cells, "; ".join(filter(None, (", ".join(end), result.note))), width)


@render.register(events.VerificationSummary)
def _(summary: events.VerificationSummary, width: int | None) -> Iterable[Line]:
    words = ("passed", "failed", "unconfirmed", "skipped")
    counts = [f"{count:,} {word}" for word in words if (count := getattr(summary, word))]
    text = f"{count_of(summary.numbers, 'number')}: {', '.join(counts) or 'nothing to do'}"
    return prose(text, width, _worst(summary))


# ---------------------------------------------------------------- plans


def action_word(action: str) -> str:
    """Return the verb for an action of a plan, or for the kind of an operation."""
    return {"purchase": "buy", "exact_purchase": "buy", "update": "change"}.get(action, action)


_SYMBOLS: Final = {"purchase": "+", "move": "-/+", "release": "-", "import": ">", "update": "~"}
_COUNTED: Final = {
    "purchase": "to buy",
    "move": "to move to another platform",
    "release": "to release permanently",
    "import": "to import",
    "adopt": "to adopt",
    "update": "to change",
    "drifted": "drifted and left as it is",
    "unchanged": "unchanged",
}
"""First what costs money and what is permanent."""


def count_line(plan: Plan) -> str:
    """Return how many rows each action of the plan is for."""
    counts = {action.value: count for action, count in plan.counts.items()}
    parts = [f"{counts[action]:,} {word}" for action, word in _COUNTED.items() if action in counts]
    blocked = sum(bool(step.blocked) for step in plan.steps)
    return ", ".join(parts + ([f"{blocked:,} left out"] if blocked else [])) or "no changes"


@render.register(events.PlanView)
def _(shown: events.PlanView, width: int | None) -> Iterator[Line]:
    plan = shown.plan
    text, word = count_of(plan.writes, "change"), "heading"
    if plan.problems:
        text, word = f"{count_of(len(plan.problems), 'problem')}; it cannot be applied", "failed"
    elif not plan.writes:
        text, word = "no changes", "done"
    yield from prose(f"{shown.file}: {text}", width, word)
    # The others are only counted.
    steps = [step for step in plan.steps if step.writes or step.blocked or step_notes(step)]
    if steps:
        most = shown.most or (len(steps) if width is None else MOST_STEPS)
        yield line()
        yield from _step_lines(steps[:most], width)
        if len(steps) > most:
            others = (
                "; --json lists all" if shown.most is None else f": sigmamind plan {shown.file}"
            )
            yield line((f"and {len(steps) - most:,} more{others}", "dim"))
    if plan.problems:
        yield line()
        yield from _problem_lines(events.ProblemList(tuple(plan.problems)), width)
    if count := len(plan.unlisted):
        text = f"{count_of(count, 'number')} in the journal but in no row, left alone: "
        yield line()
        yield from prose(text + ids_text(plan.unlisted), width, "dim")
    if plan.steps:
        text = "Without them (apply --skip-bad)" if plan.problems else "Plan"
        yield line()
        yield from prose(f"{text}: {count_line(plan)}.", width, "heading")


def _step_lines(steps: Sequence[Step], width: int | None) -> Iterator[Line]:
    actions = {step.action.value for step in steps}
    widths = Widths.of((step.id for step in steps), actions)
    symbols = max(len(_SYMBOLS.get(action, "=")) for action in actions)
    platform = max(len(step.platform) for step in steps)
    for step in steps:
        action = step.action.value
        symbol = _SYMBOLS.get(action, "~" if step.writes else "=")
        word = "blocked" if step.blocked else action
        cells = [
            (f"  {symbol:<{symbols}} {action_word(action):<{widths.action}}", 0, word),
            (step.id, widths.id, ""),
            (step.platform, platform, ""),
            (step.phone_number or "(any)", NUMBER_WIDTH, ""),
        ]
        creates = action in {"purchase", "import"} or (action == "move" and not step.record)
        parts = [_change_text(change, creates=creates) for change in step.changes]
        if width is not None:  # a name stays on one line with its value, if there is room
            parts = [
                each.replace(" ", _NO_BREAK) if len(each) < width - 4 else each for each in parts
            ]
        notes = "; ".join(filter(None, [", ".join(parts), *step_notes(step)]))
        for each in aligned(cells, notes, width):
            yield tuple((text.replace(_NO_BREAK, " "), word) for text, word in each)


_NO_BREAK: Final = "\N{NO-BREAK SPACE}"


def step_notes(step: Step) -> list[str]:
    """Return what there is to say about a step beside its changes."""
    notes = [*step.remarks]
    if step.renamed_from:
        notes.append(f"was the row {step.renamed_from}")
    if step.moves_from is not None:
        notes.append(f"then released on {step.moves_from.platform}, permanently")
    for kept in step.kept_drift:
        shown, row = (_value(kept.field, each) for each in (kept.before, kept.after))
        notes.append(f"{kept.field} stays {shown}, changed outside this fleet; the row has {row}")
    if step.blocked:
        notes.append(f"left out: {step.blocked}")
    return notes


def _change_text(change: Change, *, creates: bool) -> str:
    after = _value(change.field, change.after)
    if creates:
        return f"{change.field} {after}"
    if _is_secret(change.field):
        return f"{change.field} -> {after}"
    drift = " (changed outside this fleet)" if change.drifted else ""
    return f"{change.field} {_value(change.field, change.before)}{drift} -> {after}"


def _value(field: str, value: str | int | None) -> str:
    if value is None or value == "":
        return "(empty)"
    shown = sanitize(str(value))
    return shown if isinstance(value, int) or _is_secret(field) else f"'{shown}'"


def _is_secret(field: str) -> bool:
    from sigmamind_async.fleet.spec import SECRETS  # loaded already where there is a plan

    return field in SECRETS


@render.register(events.ProblemList)
def _problem_lines(shown: events.ProblemList, width: int | None) -> Iterator[Line]:
    """Yield what is wrong; what many rows have in common only once."""
    problems = shown.problems
    yield line((f"{count_of(len(problems), 'problem')}:", "failed"))
    groups: defaultdict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        groups[problem.field, problem.message].append(problem)
    kinds = [*groups.values()]
    for first, *others in kinds[:MOST_PROBLEMS]:
        yield from prose(str(first), width, indent=2)
        if others:
            names = ids_text([each.id or f"line {each.line}" for each in others])
            text = f"and {count_of(len(others), 'other row')}: {names}"
            yield from prose(text, width, "dim", indent=4)
    if hidden := sum(map(len, kinds[MOST_PROBLEMS:])):
        yield line((f"  and {hidden:,} more; --json lists all", "dim"))

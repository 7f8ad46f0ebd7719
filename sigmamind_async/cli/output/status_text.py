"""How the rows of a journal stand, as lines under a headline: decisions first. Pure.

A line is its text and the word whose colour it has. Commands are never folded, so that they can be
copied.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, TypeAlias

from sigmamind_async.cli.output.events import OpenRow, RowChange, Standing
from sigmamind_async.cli.output.text import clean, plain
from sigmamind_async.provisioning.row import State

Line: TypeAlias = tuple[str, str]

_APPLY: Final = "the next apply"
MOST: Final = 20
"""Most rows of one kind that are shown."""


def standing_lines(standing: Standing) -> Iterator[Line]:
    """Yield the report of one journal."""
    yield _headline(standing)
    yield "", ""
    yield from _counts(standing)
    for row in standing.waiting[:MOST]:
        yield from _decision(row)
    yield from _more(len(standing.waiting))
    for row in standing.doubtful[:MOST]:
        yield from _doubt(row, standing.now)
    yield from _more(len(standing.doubtful))
    yield from _next(standing)


def change_line(change: RowChange) -> str:
    """Return what became of a row."""
    before, after = state_name(change.before), state_name(change.after)
    return f"{clean(change.id)}: {before} -> {after} ({clean(change.text)})"


def state_name(state: State) -> str:
    """Return the name of a state in prose."""
    return "needs a decision" if state is State.NEEDS_DECISION else state.value


def _headline(standing: Standing) -> Line:
    parts: list[str] = []
    if count := len(standing.waiting):
        parts.append(f"{count:,} {_needs(count)}")
    if count := len(standing.doubtful):
        noun = "" if parts else "row " if count == 1 else "rows "
        parts.append(f"{count:,} {noun}{'is' if count == 1 else 'are'} unconfirmed")
    where = f"{standing.journal} ({standing.platform})"
    if not parts and (count := standing.counts.get(State.PLANNED, 0)):
        return f"{where}: nothing is unconfirmed, {count:,} planned", "planned"
    if not parts:
        return f"{where}: all settled", "done"
    return f"{where}: {', '.join(parts)}", "needs_decision" if standing.waiting else "unconfirmed"


def _needs(count: int) -> str:
    return "row needs a decision" if count == 1 else "rows need a decision"


def _counts(standing: Standing) -> Iterator[Line]:
    for state, number in standing.counts.items():
        yield f"{number:>7,}  {state_name(state)}", state.value
    included = ", unconfirmed ones included" if standing.rows else ""
    yield f"{standing.bought:>7,}  numbers paid for{included}", "dim"


def _decision(row: OpenRow) -> Iterator[Line]:
    yield "", ""
    yield f"{clean(row.id)}: {state_name(row.state)}", row.state.value
    for line in row.story:
        yield f"  {clean(line)}", ""
    yield "  decide with one of:", "dim"
    for way in row.ways:
        yield f"    {way.command}", "command"
        yield f"      {clean(way.meaning)}", "dim"


def _doubt(row: OpenRow, now: float) -> Iterator[Line]:
    yield "", ""
    yield f"{clean(row.id)}: {state_name(row.state)} since {moment(row.since)}", row.state.value
    yield f"  asked {clean(row.asked)}", ""
    yield f"  {clean(row.known)}", ""
    if row.believable is None:
        return
    if row.listings:
        yield f"  not seen in {row.listings} listings since", ""
    left = row.believable - now
    when = f"from {moment(row.believable)}, in {span(left)}" if left > 0 else "by now"
    yield f'  "not in the account" can be believed {when}', ""


def _more(count: int) -> Iterator[Line]:
    if count > MOST:
        yield "", ""
        yield f"... and {count - MOST:,} more of these; --json shows all", "dim"


def _next(standing: Standing) -> Iterator[Line]:
    if standing.doubtful:
        yield "", ""
        yield "to settle what is unconfirmed:", "dim"
        yield f"  {standing.settle}", "command"
    if standing.counts.keys() & {State.PLANNED, State.FAILED}:
        yield "", ""
        again = "tries again what failed"
        also = again if standing.sender == _APPLY else f"{_APPLY} {again}"
        yield f"{standing.sender} sends planned rows, and {also}", "dim"


def moment(at: float) -> str:
    """Return a time of this place, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def span(seconds: float) -> str:
    """Return a length of time, such as ``1:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@plain.register
def _(record: Standing) -> str:
    return "\n".join(text for text, _ in standing_lines(record))


@plain.register
def _(record: RowChange) -> str:
    return change_line(record)

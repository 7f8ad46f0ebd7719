"""A plan for people: first what costs money and what is permanent, then row by row. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.output.events import PlanView, ProblemList
from sigmamind_async.cli.output.text import (
    NUMBER_WIDTH,
    Line,
    Span,
    count_of,
    ids_text,
    line,
    prose,
    ranges_text,
    render,
    with_note,
)
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import SECRETS, Problem
from sigmamind_async.fleet.step import Action, Change, Step

MOST_GROUPS: Final = 20
"""Kinds of problems that are shown to a person."""
MOST_STEPS: Final = 200
"""Steps that are shown on a terminal."""
WIDEST_ID: Final = 32

# ---------------------------------------------------------------- counts

_SENTENCES: Final[Mapping[Action, str]] = {
    Action.PURCHASE: "buys {n}",
    Action.MOVE: "moves {n} to another platform and releases {them} permanently on the old one",
    Action.RELEASE: "releases {n} permanently",
    Action.IMPORT: "imports {n}",
    Action.ADOPT: "adopts {n} that the account has already",
    Action.UPDATE: "changes {n}",
    Action.DRIFTED: "keeps changes made outside this fleet on {n}",
    Action.UNCHANGED: "leaves {n} unchanged",
}


def action_counts(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what the plan amounts to, each clause with the word of its action."""
    for action, sentence in _SENTENCES.items():
        if count := plan.counts.get(action, 0):
            yield (
                sentence.format(n=count_of(count, "number"), them="it" if count == 1 else "them"),
                action.value,
            )
    blocked = Counter(step.blocked for step in plan.steps if step.blocked)
    for reason, count in blocked.items():
        yield f"leaves out {count_of(count, 'row')}: {reason}", "blocked"


def one_line_summary(plan: Plan) -> str:
    """Return what the plan amounts to as one sentence."""
    return ", ".join(text for text, _ in action_counts(plan)) or "nothing to do"


# ---------------------------------------------------------------- steps


def _shown_steps(plan: Plan) -> list[Step]:
    """Return the steps that a person wants to see one by one; the others are only counted."""
    return [step for step in plan.steps if step.writes or step.blocked or step_notes(step)]


def step_notes(step: Step) -> list[str]:
    """Return what else there is to say about a step."""
    notes = [*step.remarks]
    if step.renamed_from:
        notes.append(f"was the row {step.renamed_from}")
    if step.moves_from is not None:
        notes.append(f"then released on {step.moves_from.platform}, permanently")
    for kept in step.kept_drift:
        shown, row = (_value(kept.field, each) for each in (kept.before, kept.after))
        notes.append(f"{kept.field} stays {shown}, changed outside this fleet; the row has {row}")
    if step.blocked:
        notes.append("left out, see above")
    return [sanitize(note) for note in notes]


def change_texts(step: Step) -> list[str]:
    """Return what a step changes, field by field."""
    creates = step.action in {Action.PURCHASE, Action.IMPORT} or (
        step.action is Action.MOVE and not step.record
    )
    return [_new_value(change) if creates else _change(change) for change in step.changes]


def _new_value(change: Change) -> str:
    return f"{change.field} {_value(change.field, change.after)}"


def _change(change: Change) -> str:
    after = _value(change.field, change.after)
    if change.field in SECRETS:
        return f"{change.field} -> {after}"
    drift = " (changed outside this fleet)" if change.drifted else ""
    return f"{change.field} {_value(change.field, change.before)}{drift} -> {after}"


def _value(field: str, value: str | int | None) -> str:
    if value is None or value == "":
        return "(empty)"
    shown = sanitize(str(value))
    return shown if field in SECRETS or isinstance(value, int) else f"'{shown}'"


def _step_lines(steps: Sequence[Step], width: int | None) -> Iterator[Line]:
    """Yield the steps, one under the other."""
    ids = min(max(len(sanitize(step.id)) for step in steps), WIDEST_ID)
    platforms, actions = (
        max(map(len, names))
        for names in ({step.platform for step in steps}, {step.action.value for step in steps})
    )
    for step in steps:
        cells: list[str | Span] = [
            f"{sanitize(step.id):<{ids}}",
            f"{step.platform:<{platforms}}",
            (f"{step.action.value:<{actions}}", _style(step)),
            f"{sanitize(step.phone_number) or '(any)':<{NUMBER_WIDTH}}",
        ]
        note = "; ".join(filter(None, [", ".join(change_texts(step)), *step_notes(step)]))
        yield from with_note(cells, note, width)


def _style(step: Step) -> str:
    return "blocked" if step.blocked else step.action.value


# ---------------------------------------------------------------- problems


def _problem_lines(problems: Sequence[Problem], width: int | None) -> Iterator[Line]:
    """Yield what is wrong; what many rows have in common only once."""
    if not problems:
        return
    yield line((f"{count_of(len(problems), 'problem')}:", "failed"))
    groups: defaultdict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        groups[problem.field, problem.message].append(problem)
    shown = [*groups.values()]
    for first, *others in shown[:MOST_GROUPS]:
        yield from prose(str(first), width, indent=2)
        if others:
            text = f"and {count_of(len(others), 'other row')}: {_places(others)}"
            yield from prose(text, width, "dim", indent=4)
    if hidden := sum(map(len, shown[MOST_GROUPS:])):
        yield line((f"  and {hidden:,} more; --json lists all", "dim"))


def _places(problems: Iterable[Problem]) -> str:
    lines = {problem.line for problem in problems if problem.line}
    return ranges_text(lines) if lines else ids_text([problem.id for problem in problems])


# ---------------------------------------------------------------- the whole


def _headline(plan: Plan) -> tuple[str, str]:
    if plan.problems:
        return f"{count_of(len(plan.problems), 'problem')}; it cannot be applied", "failed"
    if not plan.writes:
        return "nothing to do", "done"
    return count_of(plan.writes, "change"), "heading"


@render.register(ProblemList)
def _(shown: ProblemList, width: int | None) -> Iterable[Line]:
    return _problem_lines(shown.problems, width)


@render.register(PlanView)
def _(shown: PlanView, width: int | None) -> Iterator[Line]:
    plan = shown.plan
    text, word = _headline(plan)
    yield from prose(f"{shown.file}: {text}", width, word)
    for number, (text, word) in enumerate(action_counts(plan)):
        if not number:
            yield line()
        yield from prose(text, width, word, indent=2)
    if steps := _shown_steps(plan):
        most = len(steps) if width is None else MOST_STEPS
        yield line()
        yield from _step_lines(steps[:most], width)
        if len(steps) > most:
            yield line((f"and {len(steps) - most:,} more; --json lists all", "dim"))
    if plan.problems:
        yield line()
        yield from _problem_lines(plan.problems, width)
    if count := len(plan.unlisted):
        text = f"{count_of(count, 'number')} in the journal but in no row, left alone: "
        yield line()
        yield from prose(text + ids_text(plan.unlisted), width, "dim")

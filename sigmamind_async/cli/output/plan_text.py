"""A plan for a person: first what costs money and what is permanent, then row by row. Pure.

A line is its text and the word whose colour it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from sigmamind_async.cli.output.events import PlanShown, Problems
from sigmamind_async.cli.output.text import NUMBER_WIDTH, clean, lines_text, plain
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import SECRETS, Problem
from sigmamind_async.fleet.step import Action, Change, Step

Line: TypeAlias = tuple[str, str]

MOST_GROUPS: Final = 20
"""Kinds of problems that are shown to a person."""
MOST_STEPS: Final = 200
"""Steps that are shown on a terminal."""
MOST_IDS: Final = 5
"""Rows that are named in one sentence."""
WIDEST_ID: Final = 32
WIDEST_PLATFORM: Final = 9
WIDEST_ACTION: Final = 9

NOTHING: Final = "nothing to do"
LEFT_OUT: Final = "left out, see above"

# ---------------------------------------------------------------- counts

_COUNTED: Final[Mapping[Action, tuple[str, str]]] = {
    Action.PURCHASE: ("buys {n} number", "buys {n} numbers"),
    Action.MOVE: (
        "moves {n} number to another platform, and releases it where it was, permanently",
        "moves {n} numbers to other platforms, and releases them where they were, permanently",
    ),
    Action.RELEASE: ("releases {n} number, permanently", "releases {n} numbers, permanently"),
    Action.IMPORT: ("imports {n} number", "imports {n} numbers"),
    Action.ADOPT: (
        "takes over {n} number that the account has already",
        "takes over {n} numbers that the account has already",
    ),
    Action.UPDATE: ("changes {n} number", "changes {n} numbers"),
    Action.DRIFTED: (
        "leaves {n} number as somebody else has changed it",
        "leaves {n} numbers as somebody else has changed them",
    ),
    Action.UNCHANGED: ("{n} row is as it should be", "{n} rows are as they should be"),
}


def counted(plan: Plan) -> Iterator[Line]:
    """Yield what the plan comes to, each with the word of its action."""
    for action, words in _COUNTED.items():
        if count := plan.counts.get(action, 0):
            yield words[count != 1].format(n=f"{count:,}"), action.value
    for why, count in _withheld(plan).items():
        yield f"leaves {count:,} {'row' if count == 1 else 'rows'} out: {why}", "withheld"


def _withheld(plan: Plan) -> Mapping[str, int]:
    reasons: dict[str, int] = {}
    for step in plan.steps:
        if step.blocked:
            reasons[step.blocked] = reasons.get(step.blocked, 0) + 1
    return reasons


def sentence(plan: Plan) -> str:
    """Return the same as one sentence."""
    return ", ".join(text for text, _ in counted(plan)) or NOTHING


# ---------------------------------------------------------------- steps


def shown_steps(plan: Plan) -> list[Step]:
    """Return the steps that a person wants to see one by one; of the others the count will do."""
    return [step for step in plan.steps if step.action is not Action.UNCHANGED and _tells(step)]


def _tells(step: Step) -> bool:
    """Return whether there is more to say of *step* than of any other with its action."""
    return step.action is not Action.ADOPT or step.writes or bool(remarks(step))


def number_cell(step: Step) -> str:
    """Return the number of a step, or that the platform picks one."""
    return clean(step.phone_number) or "(any)"


def change_texts(step: Step) -> list[str]:
    """Return what changes, field by field."""
    bring = step.action in {Action.PURCHASE, Action.IMPORT} or (
        step.action is Action.MOVE and not step.record
    )
    return [_brought(change) if bring else _changed(change) for change in step.changes]


def _brought(change: Change) -> str:
    return f"{change.field} {_shown_value(change.field, change.after)}"


def _changed(change: Change) -> str:
    after = _shown_value(change.field, change.after)
    if change.field in SECRETS:
        return f"{change.field} -> {after}"
    before = _shown_value(change.field, change.before)
    drift = " (written by somebody else)" if change.drifted else ""
    return f"{change.field} {before}{drift} -> {after}"


def _shown_value(field: str, value: str | int | None) -> str:
    if value is None or value == "":
        return "(empty)"
    return clean(str(value)) if field in SECRETS or isinstance(value, int) else _quoted(value)


def _quoted(text: str) -> str:
    return f"'{clean(text)}'"


def remarks(step: Step) -> list[str]:
    """Return what else there is to say about a step."""
    said = [*step.remarks]
    if step.renamed_from:
        said.append(f"was the row {step.renamed_from}")
    if step.moves_from is not None:
        said.append(f"then released on {step.moves_from.platform}, permanently")
    for kept in step.kept_drift:
        found, wanted = (_shown_value(kept.field, each) for each in (kept.before, kept.after))
        said.append(f"{kept.field} stays {found}, written by somebody else; the row says {wanted}")
    if step.blocked:
        said.append(LEFT_OUT)
    return [clean(each) for each in said]


def style_of(step: Step) -> str:
    """Return the word whose colour a step has."""
    return "withheld" if step.blocked else step.action.value


def step_line(step: Step, width: int) -> str:
    """Return a step as one line, the ids of all being *width* wide."""
    columns = (
        f"{clean(step.id):<{width}}",
        f"{step.platform:<{WIDEST_PLATFORM}}",
        f"{step.action.value:<{WIDEST_ACTION}}",
        f"{number_cell(step):<{NUMBER_WIDTH}}",
        "; ".join(filter(None, [", ".join(change_texts(step)), *remarks(step)])),
    )
    return "  ".join(columns).rstrip()


def width_of(steps: Iterable[Step]) -> int:
    """Return how wide the ids of *steps* are, the longest ones aside."""
    return min(max((len(clean(step.id)) for step in steps), default=0), WIDEST_ID)


# ---------------------------------------------------------------- problems


@attrs.frozen
class _Group:
    """Problems that say the same of one field."""

    problems: list[Problem]

    @property
    def first(self) -> Problem:
        return self.problems[0]


def problem_lines(problems: Sequence[Problem]) -> Iterator[Line]:
    """Yield what is wrong, what is said of many rows only once."""
    if not problems:
        return
    count = len(problems)
    yield f"{count:,} {'problem' if count == 1 else 'problems'}:", "failed"
    groups = _groups(problems)
    for group in groups[:MOST_GROUPS]:
        yield f"  {clean(str(group.first))}", ""
        if rest := _rest(group):
            yield f"    {rest}", "dim"
    hidden = sum(len(group.problems) for group in groups[MOST_GROUPS:])
    if hidden:
        yield f"  and {hidden:,} more; --json shows all", "dim"


def _groups(problems: Iterable[Problem]) -> list[_Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for problem in problems:
        key = problem.field, problem.message
        groups.setdefault(key, _Group([])).problems.append(problem)
    return list(groups.values())


def _rest(group: _Group) -> str:
    others = group.problems[1:]
    if not others:
        return ""
    lines = sorted({problem.line for problem in others if problem.line})
    where = lines_text(lines) if lines else ids_text([problem.id for problem in others])
    return f"and {len(others):,} more that say the same: {where}"


def ids_text(ids: Sequence[str]) -> str:
    """Return the first of *ids*, and how many more there are."""
    more = f" and {len(ids) - MOST_IDS:,} more" if len(ids) > MOST_IDS else ""
    return ", ".join(map(clean, ids[:MOST_IDS])) + more


# ---------------------------------------------------------------- the whole


def headline(shown: PlanShown) -> Line:
    """Return whether there is anything to do, and whether it can be done."""
    plan = shown.plan
    if plan.problems:
        return f"{shown.file}: cannot be applied as it is", "failed"
    if not plan.writes:
        return f"{shown.file}: {NOTHING}", "done"
    steps = f"{plan.writes:,} {'row' if plan.writes == 1 else 'rows'}"
    return f"{shown.file}: something to do for {steps}", ""


def unlisted_line(plan: Plan) -> Iterator[Line]:
    """Yield what is said about numbers that are in no row."""
    if count := len(plan.unlisted):
        numbers, are = ("number", "is") if count == 1 else ("numbers", "are")
        ids = ids_text(plan.unlisted)
        yield (
            f"{count:,} {numbers} that the journal knows {are} in no row: left alone ({ids})",
            "dim",
        )


def lines_before(shown: PlanShown) -> Iterator[Line]:
    """Yield what stands above the steps."""
    yield headline(shown)
    counts = [*counted(shown.plan)]
    if counts:
        yield "", ""
        for text, word in counts:
            yield f"  {text}", word


def lines_after(shown: PlanShown) -> Iterator[Line]:
    """Yield what stands below the steps."""
    for lines in ([*problem_lines(shown.plan.problems)], [*unlisted_line(shown.plan)]):
        if lines:
            yield "", ""
            yield from lines


@plain.register
def _(record: PlanShown) -> str:
    steps = shown_steps(record.plan)
    width = width_of(steps)
    lines = [text for text, _ in lines_before(record)]
    if steps:
        lines += ["", *(step_line(step, width) for step in steps)]
    lines += [text for text, _ in lines_after(record)]
    return "\n".join(lines)


@plain.register
def _(record: Problems) -> str:
    return "\n".join(text for text, _ in problem_lines(record.problems))

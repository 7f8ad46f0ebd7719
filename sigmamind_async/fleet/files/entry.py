"""One row of a file: from its cells to a `FleetRow`, or to all that is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async.errors import suggest
from sigmamind_async.fleet.files.fields import CellError, Cells, field_of, kind_of
from sigmamind_async.fleet.spec import (
    FIELDS,
    LONGEST_ID,
    OWN_NAMES,
    SECRETS,
    Cell,
    DesiredState,
    FleetRow,
    Problem,
    Source,
)
from sigmamind_async.fleet.validation import problems_of
from sigmamind_async.values import Secret

PLATFORMS: Final = ("sigmamind", "verbex", "dialnexa")

Check: TypeAlias = Callable[[FleetRow], list[Problem]]

Place: TypeAlias = tuple[int, int]
"""Line and column, from 1; 0 where the format does not tell."""

Where: TypeAlias = Callable[[str], Place]
"""Where a row says a name."""

Word = TypeVar("Word")


@attrs.frozen(kw_only=True)
class Manner:
    """How rows are to be read."""

    default_platform: str | None = None
    """Whose the rows are that do not say it."""
    allow_inline: bool = False
    """Whether a secret may stand in the file itself."""
    check: Check = problems_of


@attrs.frozen(kw_only=True)
class Entry:
    """A row as it was found, with everything that is wrong with it."""

    line: int
    id: str = ""
    """Its own; empty where it has none that can be used."""
    row: FleetRow | None = None
    """As near as can be told: only that of a sound entry may be used."""
    problems: tuple[Problem, ...] = ()
    sound: bool = False

    @classmethod
    def broken(cls, line: int, message: str, *, id: str = "", column: int = 0) -> Entry:  # noqa: A002 - a row's id
        """Return a row that cannot even be taken apart, or what is wrong with the file."""
        problem = Problem(message=message, id=id, line=line, column=column)
        return cls(line=line, id=id, problems=(problem,))


def entry_of(cells: Cells, manner: Manner, line: int, where: Where) -> Entry:
    """Return the row that *cells* say, and all that is wrong with it."""
    own = {name: cells[name] for name in OWN_NAMES if name in cells}
    said = _own_words(own, manner) | {
        name: field_of(name, value, allow_inline=manner.allow_inline)
        for name, value in cells.items()
        if name not in own
    }
    faults = {name: value for name, value in said.items() if isinstance(value, CellError)}
    row = _draft(said, cells, line)
    row_id = "" if "id" in faults else str(said["id"])
    problems = tuple(_placed(_problems(faults, row, manner), row_id, line, where))
    return Entry(line=line, id=row_id, row=row, problems=problems, sound=not problems)


def _problems(
    faults: Mapping[str, CellError], row: FleetRow | None, manner: Manner
) -> Iterator[tuple[str, Problem]]:
    """Yield all problems, each with the name that it is about."""
    for name, fault in faults.items():
        field = name if name in FIELDS or name in OWN_NAMES else ""
        yield name, Problem(message=fault.message, field=field)
    for problem in manner.check(row) if row else ():
        if problem.field not in faults:
            yield problem.field, problem


def _placed(
    problems: Iterator[tuple[str, Problem]], row_id: str, line: int, where: Where
) -> Iterator[Problem]:
    for name, problem in problems:
        at, column = where(name)
        yield attrs.evolve(problem, id=row_id, line=at or line, column=column)


def _draft(said: Mapping[str, object], cells: Cells, line: int) -> FleetRow | None:
    """Return the row with a stand-in for each field that is wrong, to find what else is wrong."""
    platform, source, state = (said[name] for name in ("platform", "source", "state"))
    if (
        not isinstance(platform, str)
        or not isinstance(source, Source)
        or not isinstance(state, DesiredState)
    ):
        return None
    fields = {
        name: _stand_in(name, cells[name]) if isinstance(value, CellError) else cast("Cell", value)
        for name, value in said.items()
        if name in FIELDS
    }
    return FleetRow(
        id=said["id"] if isinstance(said["id"], str) else "?",
        platform=platform,
        source=source,
        state=state,
        fields=fields,
        line=line,
    )


def _stand_in(name: str, value: object) -> Cell:
    """Return something in the place of a wrong value: that it is said at all may matter."""
    if name in SECRETS:
        return Secret("?")
    return value if isinstance(value, str) else "?"


# ---------------------------------------------------------------- the row's own words


_PLATFORMS: Final[Mapping[str, str]] = {name: name for name in PLATFORMS}
_SOURCES: Final[Mapping[str, Source]] = {source.value: source for source in Source}
_STATES: Final[Mapping[str, DesiredState]] = {state.value: state for state in DesiredState}


def _own_words(own: Cells, manner: Manner) -> dict[str, object]:
    state = _one_of("state", own, _STATES) if "state" in own else DesiredState.PRESENT
    return {
        "id": id_of(own),
        "platform": _platform_of_cells(own, manner),
        "source": _source(own, state),
        "state": state,
    }


def id_of(cells: Cells) -> str | CellError:
    """Return the id that a row says; a whole number is one as well."""
    value = cells.get("id")
    if "id" not in cells:
        return CellError("is missing; a row needs its own id, which never changes")
    if isinstance(value, CellError):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable():
        return value
    return CellError(f"must be text of 1 to {LONGEST_ID} printable characters")


def _platform_of_cells(own: Cells, manner: Manner) -> str | CellError:
    if "platform" not in own and manner.default_platform is not None:
        return manner.default_platform
    return _one_of("platform", own, _PLATFORMS)


def _source(own: Cells, state: object) -> Source | CellError:
    if "source" not in own and state is not DesiredState.PRESENT:
        return Source.EXISTING
    return _one_of("source", own, _SOURCES)


def _one_of(name: str, own: Cells, words: Mapping[str, Word]) -> Word | CellError:
    value = own.get(name)
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, CellError):
        return value
    if name not in own:
        return CellError(f"is missing; say one of {', '.join(words)}")
    if isinstance(value, str):
        return CellError(f"{value[:64]!r} is unknown{suggest(value, words)}")
    what = "cannot be null" if value is None else f"is {kind_of(value)} here"
    return CellError(f"{what}; say one of {', '.join(words)}")

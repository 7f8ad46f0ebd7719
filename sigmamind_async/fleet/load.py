"""Whole fleets: from a file, a stream, or rows made in code; rows are compared with one another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import attrs

from sigmamind_async.fleet.files.entry import Entry, Manner, entry_of
from sigmamind_async.fleet.files.formats import SUFFIXES, Format, format_of
from sigmamind_async.fleet.files.reading import Source, entries, flat, manner_of
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Problem


def load(
    path: str | os.PathLike[str],
    *,
    default_platform: str | None = None,
    allow_inline: bool = False,
) -> Fleet:
    """Return the fleet that the file at *path* says; its suffix tells the form.

    A row with a problem is not among the rows, and a file that cannot be read is a fleet of one
    problem: look at ``problems`` before anything is done with ``rows``.

    YAML is a list of rows, or a mapping of ``numbers``, which is that list, and ``defaults``, which
    each row has where it does not say otherwise.

    Args:
        path: Ends in ``.csv``, ``.jsonl``, ``.ndjson``, ``.yaml`` or ``.yml``.
        default_platform: Whose the rows are that do not say it.
        allow_inline: Take a text that is no reference for the secret itself.

    Raises:
        ConfigurationError: *default_platform* is unknown, or YAML is to be read without PyYAML.
    """
    name = os.fspath(path)
    form = format_of(name)
    if form is None:
        manner_of(default_platform, allow_inline=allow_inline)
        problem = Problem(message=f"the name must end in {', '.join(SUFFIXES)}", file=name)
        return Fleet(rows=(), problems=(problem,))
    return load_from(
        path, name=name, format=form, default_platform=default_platform, allow_inline=allow_inline
    )


def load_from(
    source: Source,
    *,
    name: str,
    format: Format,  # noqa: A002 - the word everybody uses
    default_platform: str | None = None,
    allow_inline: bool = False,
) -> Fleet:
    """Return the fleet that *source* says, which may be open for bytes; else as `load` does."""
    manner = manner_of(default_platform, allow_inline=allow_inline)
    return _fleet(compared(entries(source, name, format, manner), name))


def fleet_of(rows: Iterable[FleetRow]) -> Fleet:
    """Return the fleet of *rows* made in code, with the checks that a file's rows have.

    A secret is a reference or a `Secret`.
    """
    return _fleet(compared((_entry_of(row) for row in rows), ""))


def compared(found: Iterable[Entry], name: str) -> Iterator[Entry]:
    """Yield each entry with what is wrong with it among the earlier ones.

    Kept are ids and numbers, nothing else.
    """
    ids: dict[str, _First] = {}
    numbers: dict[tuple[str, str], _First] = {}
    for place, entry in enumerate(found, 1):
        this = _First(place, entry.id, entry.line)
        clashes = [*_same_id(entry, ids, this), *_same_number(entry, numbers, this)]
        placed = [attrs.evolve(each, file=name, id=entry.id, line=entry.line) for each in clashes]
        yield _with(entry, placed) if placed else entry


@attrs.frozen
class _First:
    """The row that was the first to say something."""

    place: int
    id: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}" if self.line else f"row {self.place}"


def _same_id(entry: Entry, ids: dict[str, _First], this: _First) -> Iterator[Problem]:
    if entry.id and (first := ids.setdefault(entry.id, this)) is not this:
        yield Problem(field="id", message=f"{first} has the same; each row needs its own")


def _same_number(
    entry: Entry, numbers: dict[tuple[str, str], _First], this: _First
) -> Iterator[Problem]:
    row = entry.row
    if row is None or row.state is not DesiredState.PRESENT or not row.phone_number.startswith("+"):
        return
    first = numbers.setdefault((row.platform, row.phone_number), this)
    if first is not this:
        message = f"row {first.id!r}, {first}, has the same number on {row.platform}"
        yield Problem(field="phone_number", message=message)


def _with(entry: Entry, problems: list[Problem]) -> Entry:
    return attrs.evolve(entry, problems=(*entry.problems, *problems), sound=False)


def _fleet(found: Iterator[Entry]) -> Fleet:
    rows: list[FleetRow] = []
    problems: list[Problem] = []
    for each in flat(found):
        if isinstance(each, FleetRow):
            rows.append(each)
        else:
            problems.append(each)
    return Fleet(rows=rows, problems=problems)


def _entry_of(row: FleetRow) -> Entry:
    cells = {
        **row.fields,
        "id": row.id,
        "platform": row.platform,
        "source": getattr(row.source, "value", row.source),
        "state": getattr(row.state, "value", row.state),
    }
    return entry_of(cells, Manner(), row.line, lambda _: (row.line, 0))

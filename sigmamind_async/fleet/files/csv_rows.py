"""Rows of CSV under a header. A row is one line, so that a stray quote costs one row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from sigmamind_async.fleet.files.entry import Entry, Manner, Place, entry_of, id_of
from sigmamind_async.fleet.files.fields import KNOWN, CellError, unknown
from sigmamind_async.fleet.files.lines import Line
from sigmamind_async.fleet.files.texts import unescaped
from sigmamind_async.fleet.spec import WHOLE_NUMBERS

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_CELL = re.compile(r'"(?:[^"]|"")*"|[^,]*')


@attrs.frozen
class Header:
    """What the cells of each row are."""

    names: Sequence[str]
    """In order; empty for a column that cannot be used."""
    problems: Sequence[Entry] = ()

    @property
    def places(self) -> Mapping[str, int]:
        """The index of each column that can be used."""
        return {name: index for index, name in enumerate(self.names) if name}


def csv_entries(lines: Iterable[Line], manner: Manner) -> Iterator[Entry]:
    """Yield the problems of the header, then the rows.

    Under a header with an unknown column the rows are still looked at, so that all problems come
    at once; none of them is sound, because nobody can tell what the column was to say.
    """
    numbered = iter(lines)
    _, first = next(numbered, (1, ""))
    header = _header(first, manner)
    yield from header.problems
    if not header.names:
        return
    for line, text in numbered:
        entry = _csv_entry(line, text, header, manner)
        if entry is not None:
            yield attrs.evolve(entry, sound=False) if header.problems else entry


# ---------------------------------------------------------------- the header


def _header(text: str | CellError, manner: Manner) -> Header:
    if isinstance(text, CellError):
        return _no_header(f"the header {text.message}")
    try:
        names = [name.strip() for name in _split(text)]
    except csv.Error as error:
        return _no_header(f"the header is not CSV: {error}")
    if not any(names):
        return _no_header("there is no header; it names the columns: id, platform, source, ...")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        return _no_header("columns are separated by commas")
    wrong = dict(_wrong_columns(names))
    starts = _starts(text)
    problems = [Entry.broken(1, why, column=starts[place]) for place, why in wrong.items()]
    missing = [Entry.broken(1, why) for why in _missing_columns(names, manner)]
    if missing:
        return Header([], [*problems, *missing])
    return Header(["" if i in wrong else name for i, name in enumerate(names)], problems)


def _no_header(message: str) -> Header:
    return Header([], [Entry.broken(1, message)])


def _wrong_columns(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not name:
            yield place, f"column {place + 1} has no name"
        elif name not in KNOWN:
            yield place, unknown("column", name).message
        elif name in seen:
            yield place, f"column {name!r} is there twice"
        seen.add(name)


def _missing_columns(names: Sequence[str], manner: Manner) -> Iterator[str]:
    """Yield what every row would miss, once."""
    if "id" not in names:
        yield "there is no column 'id'; each row needs its own id, which never changes"
    if "platform" not in names and manner.default_platform is None:
        yield "there is no column 'platform'; each row says one of sigmamind, verbex, dialnexa"
    if "source" not in names and "state" not in names:
        yield "there is no column 'source'; each row says one of purchase, import, existing"


# ---------------------------------------------------------------- rows


def _csv_entry(line: int, text: str | CellError, header: Header, manner: Manner) -> Entry | None:
    """Return the row on a *line*, or none where it is blank."""
    if isinstance(text, CellError):
        return Entry.broken(line, text.message)
    try:
        texts = _split(text)
    except csv.Error as error:
        return Entry.broken(line, f"is not CSV: {error}; a cell and its quotes end on one line")
    if not any(cell.strip() for cell in texts):
        return None
    if len(texts) != len(header.names):
        return _wrong_count(line, texts, header)
    cells = {
        name: _cell_value(name, cell)
        for name, cell in zip(header.names, texts, strict=True)
        if name and cell.strip()
    }

    def where(name: str) -> Place:
        index = header.places.get(name)
        return line, 0 if index is None else _starts(text)[index]

    return entry_of(cells, manner, line, where)


def _wrong_count(line: int, texts: Sequence[str], header: Header) -> Entry:
    message = (
        f"has {len(texts)} cells, the header names {len(header.names)};"
        " a text with a comma stands in quotes"
    )
    # Further right, a cell may have been moved by the one that is too many.
    first = id_of({"id": _cell_value("id", texts[0])}) if header.names[0] == "id" else ""
    return Entry.broken(line, message, id=first if isinstance(first, str) else "")


def _cell_value(name: str, cell: str) -> object:
    text = cell.strip()
    if text == "null":
        return None
    if name in WHOLE_NUMBERS and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return unescaped(cell)


def _split(text: str) -> list[str]:
    return next(csv.reader([text], strict=True), list[str]())


def _starts(text: str) -> list[int]:
    """Return the number of each cell's first character."""
    starts, at = [1], 0
    while (found := _CELL.match(text, at)) and found.end() < len(text):
        at = found.end() + 1
        starts.append(at + 1)
    return starts

"""Rows of YAML: a list of them, or a mapping that holds the list and what they have in common.

    defaults:
      platform: sigmamind
      source: import
    numbers:
      - id: support-1
        phone_number: "+14155550100"

A row's own word wins over a default, ``null`` included. A line that says nothing is a problem: in
YAML it would clear the field, and everywhere else leave it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import attrs

from sigmamind_async.fleet.files.entry import Entry, Manner, Place, entry_of
from sigmamind_async.fleet.files.fields import CellError
from sigmamind_async.fleet.files.yaml_sheet import Said, Sheet, sheet_of
from sigmamind_async.fleet.files.yaml_tokens import YamlError, tokens
from sigmamind_async.fleet.spec import Problem

LARGEST: Final = 64 << 20
"""Most bytes of a YAML file, which is read as a whole."""


class Whole(Protocol):
    """What is read at once: a file opened for bytes."""

    def read(self, limit: int = ..., /) -> bytes:
        """Return at most *limit* bytes."""
        ...


def yaml_entries(stream: Whole, manner: Manner, largest: int = LARGEST) -> Iterator[Entry]:
    """Yield the rows, then what is wrong with the file as a whole."""
    try:
        sheet = sheet_of(tokens(_decode_file(stream.read(largest + 1), largest)))
    except YamlError as unreadable:
        sheet = Sheet(errors=[unreadable])
    yield from _entries(sheet, manner)
    for error in sheet.errors:
        yield Entry.broken(error.line, error.message, column=error.column)


def _decode_file(content: bytes, largest: int) -> str:
    if len(content) > largest:
        raise YamlError(f"is larger than {largest >> 20} MiB; write JSON Lines instead")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start)
        raise YamlError(
            f"byte {error.start - line_start} is not UTF-8; save the file as UTF-8",
            content.count(b"\n", 0, error.start) + 1,
        ) from None


def _entries(sheet: Sheet, manner: Manner) -> Iterator[Entry]:
    defaults = sheet.defaults[0] if sheet.defaults else Said(0)
    if "id" in defaults.cells:
        defaults.cells["id"] = CellError("cannot be the same for each row; leave it out")
    told: set[Problem] = set()
    for row in sheet.rows:
        entry = _yaml_entry(row, defaults, manner)
        shared = {place for name, place in defaults.places.items() if name not in row.cells}
        yield attrs.evolve(entry, problems=tuple(_untold(entry, shared, told)))


def _yaml_entry(row: Said, defaults: Said, manner: Manner) -> Entry:
    places = {**defaults.places, **row.places}
    cells = {**defaults.cells, **row.cells}
    return entry_of(cells, manner, row.line, lambda name: places.get(name, (row.line, 0)))


def _untold(entry: Entry, shared: set[Place], told: set[Problem]) -> Iterator[Problem]:
    """Yield the problems of *entry*; one of a default once, and without the id of the row."""
    for problem in entry.problems:
        if (problem.line, problem.column) not in shared:
            yield problem
            continue
        common = attrs.evolve(problem, id="")
        if common not in told:
            told.add(common)
            yield common

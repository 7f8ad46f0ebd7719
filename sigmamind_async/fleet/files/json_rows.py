"""Rows of JSON Lines: an object a line, and blank lines between them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import cast

import orjson

from sigmamind_async.fleet.files.entry import Entry, Manner, entry_of
from sigmamind_async.fleet.files.fields import CellError
from sigmamind_async.fleet.files.lines import Line


def json_entries(lines: Iterable[Line], manner: Manner) -> Iterator[Entry]:
    """Yield the rows."""
    for line, text in lines:
        if isinstance(text, CellError):
            yield Entry.broken(line, text.message)
        elif text.strip():
            yield _json_entry(line, text, manner)


def _json_entry(line: int, text: str, manner: Manner) -> Entry:
    try:
        found: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Entry.broken(line, f"is not JSON: {error.msg}", column=error.colno)
    if not isinstance(found, dict):
        return Entry.broken(line, 'is not a JSON object such as {"id": "support-1", ...}')
    cells = cast("dict[str, object]", found)
    # A key that is said twice costs one more colon than there are names.
    if text.count(":") > len(cells):
        cells |= {name: CellError("is said twice") for name in _repeated(text)}
    return entry_of(cells, manner, line, lambda _: (line, 0))


def _repeated(text: str) -> set[str]:
    """Return the names that the outermost object says more than once."""
    found: list[set[str]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        times = Counter(name for name, _ in pairs)
        found.append({name for name, count in times.items() if count > 1})

    try:
        json.loads(text, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        # Too deep: such a row is refused for its lists already.
        return set()
    return found[-1]

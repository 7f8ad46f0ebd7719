"""Tables: a header, and rows of cells under it. And CSV, in which a row is one line.

A table that `write_csv` wrote is known by its header: all leading columns, then others in the order
of the vocabulary. In such a table alone an apostrophe before a text may be a mark, which keeps
spreadsheets from rewriting the text; every other table is taken literally.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final, NamedTuple

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.rowfiles.cells import (
    LONGEST_LINE,
    CellError,
    FileError,
    FileRow,
    Header,
    Line,
    Vocabulary,
    Words,
    comment_problem,
)


class Cell(NamedTuple):
    """A cell as the file has it; an empty text is no cell."""

    text: str
    column: int
    quoted: bool = False
    error: CellError | None = None
    """Why its text is not known; `text` is any other one then."""


class Table:
    """Rows under a header."""

    def __init__(self, line: int, cells: Sequence[Cell], vocabulary: Vocabulary) -> None:
        cells = _trim(cells, 0)
        words = [cell.text.strip() for cell in cells]
        names = [vocabulary.find(word) or word for word in words]
        # A column that appears twice has a name only where it appears first.
        names = ["" if name in names[:at] else name for at, name in enumerate(names)]
        errors = [*_header_errors(line, cells, vocabulary)]
        self.header: Header = Header(line=line, names=names, errors=errors)
        self._verbatim = vocabulary.verbatim
        ours = [name for name in vocabulary.names if name in words[len(vocabulary.leading) :]]
        self._is_ours = words == [*vocabulary.leading, *ours]

    def row(self, line: int, cells: Sequence[Cell]) -> FileRow | FileError | None:
        """Return the row of *cells*; `None` where all are blank."""
        names = self.header.names
        cells = _trim(cells, len(names))
        if not _trim(cells, 0):
            return None
        if why := comment_problem(cells[0].text):
            return FileError(why, line, cells[0].column)
        if len(cells) != len(names):
            count = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
            what = (
                f"has {count}, the header names {len(names)}; put a text that holds the separator"
            )
            return FileError(f"{what} in quotes", line)
        columns: dict[str, int] = {}
        found: dict[str, object] = {}
        for name, (text, column, quoted, error) in zip(names, cells, strict=True):
            columns[name] = column
            value = text if name in self._verbatim else text.strip()
            if not value or not name:
                continue
            if value == "null" and not quoted:
                found[name] = error
            else:
                found[name] = error or (unescape(value) if self._is_ours else value)
        return FileRow(line=line, cells=found, place=lambda name: (line, columns.get(name, 0)))


def _trim(cells: Sequence[Cell], least: int) -> Sequence[Cell]:
    """Return *cells* without the blank ones at the end, but at least as many as *least*."""
    count = len(cells)
    while count > least and not cells[count - 1].text.strip():
        count -= 1
    return cells[:count]


def _header_errors(line: int, cells: Sequence[Cell], vocabulary: Vocabulary) -> Iterator[FileError]:
    seen: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        word = cell.text.strip()
        name = vocabulary.find(word)
        if cell.error:
            yield FileError(cell.error.message, line, cell.column)
        elif not word:
            yield FileError(f"column {number} has no name; name it or delete it", line, cell.column)
        elif name is None:
            yield FileError(vocabulary.unknown("column", word), line, cell.column)
        elif name in seen:
            what = "appears twice" if seen[name] == word else f"means the same as {seen[name]!r}"
            yield FileError(f"column {word!r} {what}; keep one", line, cell.column)
        else:
            seen[name] = word


# ---------------------------------------------------------------- reading CSV

_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}

_CELLS: Final = {
    mark: re.compile(rf'(?:"((?:[^"]++|"")*+)"|((?!")[^{mark}]*+))({mark}|\Z)')
    for mark in _SEPARATORS
}
_OPEN_QUOTE: Final = re.compile(r'"(?:[^"]++|"")*+\Z')
_BLANKS: Final = " ,;\t"
_SEPARATOR_LINE: Final = re.compile('"?sep=.?"?', re.IGNORECASE)
"""Written by spreadsheets above the header, which shows the separator as well."""


def read_csv(
    lines: Iterator[Line], vocabulary: Vocabulary
) -> Iterator[Header | FileRow | FileError]:
    """Yield the header, then the rows."""
    table, cell = None, _CELLS[","]
    for line, text in lines:
        if isinstance(text, FileError):
            if table is None:
                raise text
            yield text
        elif table is not None:
            found = _split_cells(line, text, cell)
            row = found if isinstance(found, FileError) else table.row(line, found)
            if isinstance(row, FileError) and row.message == _UNCLOSED:
                raise row
            if row is not None:
                yield row
        elif text.strip(_BLANKS) and not _SEPARATOR_LINE.fullmatch(text):
            cell, cells = _split_header(line, text, vocabulary)
            table = Table(line, cells, vocabulary)
            yield table.header


def _split_header(
    line: int, text: str, vocabulary: Vocabulary
) -> tuple[re.Pattern[str], Sequence[Cell]]:
    """Return the one way to split the header that gives names which are known."""
    if why := comment_problem(text):
        raise FileError(f"the header {why}", line, 1)
    ways = [(cell, _split_cells(line, text, cell)) for mark, cell in _CELLS.items() if mark in text]
    split = [(cell, cells) for cell, cells in ways if not isinstance(cells, FileError)]
    counts = [
        sum(vocabulary.find(each.text.strip()) is not None for each in way[1]) for way in split
    ]
    best = [way for way, count in zip(split, counts, strict=True) if count == max(counts)]
    if len(best) > 1:
        marks = ", ".join(_SEPARATORS.values())
        raise FileError(f"columns may be separated by {marks}; the header uses several", line)
    if best:
        return best[0]
    cells = _split_cells(line, text, _CELLS[","])
    if isinstance(cells, FileError):
        raise cells
    if vocabulary.find(cells[0].text.strip()) is None:
        raise FileError("has one column; separate columns by commas, semicolons or tabs", line)
    return _CELLS[","], cells


_UNCLOSED: Final = "a quote begins here and does not end on this line; rows below it are not read"


def _split_cells(line: int, text: str, cell: re.Pattern[str]) -> list[Cell] | FileError:
    cells, at = list[Cell](), 0
    while found := cell.match(text, at):
        quoted, plain, end = found.groups()
        value = plain if quoted is None else quoted.replace('""', '"')
        cells.append(Cell(value, at + 1, quoted is not None))
        at = found.end()
        if not end:
            return cells
    if _OPEN_QUOTE.match(text, at):
        return FileError(_UNCLOSED, line, at + 1)
    return FileError("a text follows the quote that ends this cell", line, at + 1)


# ---------------------------------------------------------------- texts that spreadsheets rewrite

_MONTHS: Final = (
    "jan feb mar apr may jun jul aug sep oct nov dec mär mai okt dez ene abr ago dic fév avr aoû"
    " déc gen mag giu lug set ott fev out"
).replace(" ", "|")
_REWRITTEN: Final = re.compile(
    r"[=@+\u2212-].*"
    r"|[\s\d.,:/()%$€£¥'eE+-]*\d[\s\d.,:/()%$€£¥'eE+-]*(?:[ap]\.?m\.?)?"
    rf"|[\d\s.,/-]*(?:{_MONTHS})\w{{0,8}}[\d\s.,/'-]*\d[\d\s.,/'-]*"
    rf"|\d[\d\s.,/-]*(?:{_MONTHS})\w{{0,8}}"
    r"|true|false",
    re.IGNORECASE | re.DOTALL,
)


_MOST_READ: Final = 64
"""Characters that the pattern is given: its time grows with their square."""


def is_rewritten(text: str) -> bool:
    """Return whether a spreadsheet may take *text* for a number, a date or a formula."""
    return _REWRITTEN.fullmatch(text, 0, _MOST_READ) is not None


def escape(text: str) -> str:
    """Return *text* as it is in a cell of CSV that survives a spreadsheet.

    Some drop the apostrophe when they read the file and others keep it; both are read back.
    """
    return f"'{text}" if _is_marked(text) else text


def unescape(text: str) -> str:
    """Undo `escape`."""
    return text[1:] if text.startswith("'") and _is_marked(text[1:]) else text


def _is_marked(text: str) -> bool:
    return text.startswith("'") or is_rewritten(text)


# ---------------------------------------------------------------- writing CSV


def write_csv(
    rows: Iterable[Words], stream: IO[bytes], columns: Sequence[str], separator: str = ","
) -> None:
    """Write a header of *columns*, then *rows*."""
    writer = csv.writer(LineWriter(stream), delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    for words in rows:
        cells = ((words.get(name), cell_text(words, name)) for name in columns)
        writer.writerow([escape(text) if text == value else text for value, text in cells])


def cell_text(words: Words, name: str) -> str:
    """Return the text of one cell; raise `ConfigurationError` where a cell cannot hold it."""
    value = words.get(name)
    if not isinstance(value, str):
        return "" if name not in words else "null" if value is None else str(value)
    if problem := _cell_problem(value):
        raise ConfigurationError(
            f"row {str(words['id'])[:128]!r} cannot be written: {name} {problem}"
        )
    return value


_SHEET_ESCAPE: Final = re.compile("_x[0-9A-Fa-f]{4}_")


def _cell_problem(text: str) -> str:
    if text in {"", "null"}:
        return "would be read as a cell without text"
    if text.startswith("'") and (text in {"'", "'null"} or _is_marked(text[1:])):
        return "begins with an apostrophe, which spreadsheets drop"
    if _SHEET_ESCAPE.search(text):
        return "has an escape of XLSX, which spreadsheets replace"
    return ""


class LineWriter:
    """Takes rows as lines of text and passes them on as bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a line with its end."""
        content = text.encode()
        if len(content) > LONGEST_LINE:
            raise ConfigurationError(
                f"a row cannot be written: it is longer than {LONGEST_LINE} bytes"
            )
        self._stream.write(content)

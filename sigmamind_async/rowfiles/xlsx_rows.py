"""Rows of an XLSX workbook: one sheet with a header. Cells hold text, or whole numbers as shown.

What a spreadsheet has made of a text is refused, never guessed back: dates, numbers that lost
digits, results of formulas, errors. So is what a reader of the sheet does not see.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from sigmamind_async.rowfiles.cells import (
    CellError,
    FileError,
    FileRow,
    Header,
    Vocabulary,
    Words,
    optional_library,
)
from sigmamind_async.rowfiles.csv_rows import Cell, Table, cell_text

if TYPE_CHECKING:
    from openpyxl.cell import Cell as SheetCell
    from openpyxl.cell import MergedCell
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

    SheetRows: TypeAlias = dict[int, dict[int, SheetCell | MergedCell]]

_OPENPYXL: Final = "openpyxl", 'XLSX needs openpyxl: pip install "sigmamind-async[xlsx]"'
_LARGEST_UNPACKED: Final = 256 << 20
_MOST_DIGITS: Final = 10**15
"""Whole numbers from here on have lost digits in a spreadsheet."""
_AS_SHOWN: Final = frozenset({"General", "0", "@", "#"})
"""Formats in which a whole number looks like what it is."""


def read_xlsx(content: bytes, vocabulary: Vocabulary) -> Iterator[Header | FileRow | FileError]:
    """Yield the header, then the rows."""
    sheet, rows = _only_sheet(_load(content))
    _require_plain(sheet, rows)
    table, width = None, 0
    for line, found in sorted(rows.items()):
        last = max(width, *found)
        cells = [_cell(found.get(at), at) for at in range(1, last + 1)]
        shape: Any = sheet.row_dimensions[line]  # its height has no type
        if shape.hidden or shape.height == 0:
            yield FileError(f"row {line} is hidden; show it or delete it", line)
        elif table is None:
            table = Table(line, cells, vocabulary)
            width = len(table.header.names)
            yield table.header
        elif (row := table.row(line, cells)) is not None:
            yield row


def _load(content: bytes) -> Workbook:
    import zipfile  # not needed for other formats

    openpyxl = optional_library(*_OPENPYXL)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size <= _LARGEST_UNPACKED:
            with warnings.catch_warnings(action="ignore"):  # about styles
                book: Workbook = openpyxl.load_workbook(
                    io.BytesIO(content), keep_links=False, rich_text=True
                )
            return book
    except Exception:  # noqa: BLE001 - openpyxl lets errors of many kinds out of a damaged file
        raise FileError(
            "is not an XLSX workbook, or a damaged one; save it again as .xlsx"
        ) from None
    raise FileError(f"is larger than {_LARGEST_UNPACKED >> 20} MiB unpacked; write CSV instead")


def _only_sheet(book: Workbook) -> tuple[Worksheet, SheetRows]:
    """Return the sheet that has cells, and these."""
    used = [(sheet, rows) for sheet in book.worksheets if (rows := _rows_of(sheet))]
    if len(used) > 1:
        names = ", ".join(repr(sheet.title) for sheet, _ in used)
        raise FileError(f"has {len(used)} sheets with cells: {names}; keep one, hidden ones count")
    if used and used[0][0].sheet_state != "visible":
        raise FileError(f"the sheet {used[0][0].title!r} is hidden; show it or delete it")
    return used[0] if used else (book.create_sheet(), {})


def _rows_of(sheet: Worksheet) -> SheetRows:
    """Return the cells that are not empty, by row and column."""
    rows: SheetRows = {}
    # iter_rows makes a cell of each place up to the last one, which may be very far away.
    for (line, column), cell in sheet._cells.items():  # noqa: SLF001
        if cell.value not in (None, ""):
            rows.setdefault(line, {})[column] = cell
    return rows


def _require_plain(sheet: Worksheet, rows: SheetRows) -> None:
    for area in sheet.merged_cells.ranges:
        what = f"the cells {area.coord} are merged, and only the first holds a value; split them"
        raise FileError(what, area.min_row, area.min_col)
    used = {column for row in rows.values() for column in row}
    for letter, group in sheet.column_dimensions.items():
        hidden = used & {*range(group.min or 0, (group.max or 0) + 1)}
        if hidden and (group.hidden or group.width == 0):
            what = f"column {letter} or one beside it is hidden; show it or delete it"
            raise FileError(what, min(rows), min(hidden))


def _cell(cell: SheetCell | MergedCell | None, column: int) -> Cell:
    text = "" if cell is None else _text_of(cell)
    return Cell("?", column, error=text) if isinstance(text, CellError) else Cell(text, column)


def _text_of(cell: SheetCell | MergedCell) -> str | CellError:
    """Return the text of *cell*, which is not empty."""
    value: Any = cell.value
    fonts: list[Any] = [cell.font]  # without types
    if isinstance(cell.value, list):  # parts of a text with fonts of their own
        parts: list[Any] = value
        fonts += [part.font for part in parts if not isinstance(part, str)]
        value = "".join(map(str, parts))
    if any(font.strike for font in fonts):
        return CellError("is struck through; delete the row, or remove the line through the text")
    if cell.data_type == "f":
        return CellError("is a formula; write its value in its place")
    if cell.data_type == "e":
        return CellError(f"{value!r} is an error of a spreadsheet; write the value itself")
    if isinstance(value, str):
        return value
    what = _number_problem(value, cell.number_format)
    again = "format the column as text and type it again"
    return CellError(f"{what}; {again}") if what else str(int(value))


def _number_problem(value: Any, shown_as: str) -> str:  # noqa: ANN401 - what is no text
    if isinstance(value, datetime | date | time | timedelta):
        return "is a date here"
    if isinstance(value, bool):
        return "is true or false here"
    if not abs(value) < _MOST_DIGITS:
        return "is a number that lost digits"
    if value != int(value):
        return "has a fraction"
    if shown_as not in _AS_SHOWN:
        return f"is the number {int(value)}, shown in the format {shown_as!r}"
    return ""


# ---------------------------------------------------------------- writing


def write_xlsx(rows: Iterable[Words], stream: IO[bytes], columns: Sequence[str]) -> None:
    """Write a sheet of text cells."""
    openpyxl = optional_library(*_OPENPYXL)
    table = [columns, *([cell_text(words, name) for name in columns] for words in rows)]
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("numbers")
    for texts in table:
        sheet.append([_text_cell(text, sheet) if text else None for text in texts])
    content = io.BytesIO()
    book.save(content)
    stream.write(content.getvalue())


def _text_cell(text: str, sheet: Any) -> Any:  # noqa: ANN401 - openpyxl is optional
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"  # also of what begins with an equals sign
    cell.number_format = "@"
    return cell

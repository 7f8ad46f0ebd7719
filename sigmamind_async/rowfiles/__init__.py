"""Files of rows: CSV, JSON Lines, a JSON array, YAML and XLSX, read with the place of each cell.

What the columns mean is the caller's: a `Vocabulary` names them. Nothing here knows of fleets.
"""

from sigmamind_async.rowfiles.cells import (
    CellError,
    FileError,
    FileRow,
    Header,
    Vocabulary,
    Words,
    text_problem,
)
from sigmamind_async.rowfiles.csv_rows import is_rewritten
from sigmamind_async.rowfiles.formats import SUFFIXES, Format, format_of, read_rows, write_rows

__all__ = [
    "CellError",
    "FileError",
    "FileRow",
    "Format",
    "Header",
    "SUFFIXES",
    "Vocabulary",
    "Words",
    "format_of",
    "is_rewritten",
    "read_rows",
    "text_problem",
    "write_rows",
]

"""The formats of a file of rows, and which of them a name ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final, Literal, TypeAlias

from sigmamind_async.rowfiles.cells import FileError, FileRow, Header, Vocabulary
from sigmamind_async.rowfiles.csv_rows import Words, Writable, read_csv, write_csv
from sigmamind_async.rowfiles.json_rows import (
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
)
from sigmamind_async.rowfiles.text import Readable, read_bytes, read_lines, read_text
from sigmamind_async.rowfiles.xlsx_rows import read_xlsx, write_xlsx
from sigmamind_async.rowfiles.yaml_rows import read_yaml, write_yaml

Format: TypeAlias = Literal["csv", "jsonl", "json", "yaml", "xlsx"]

SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".xlsx": "xlsx",
}

Item: TypeAlias = Header | FileRow | FileError

_READERS: Final[Mapping[Format, Callable[[Readable, Vocabulary], Iterator[Item]]]] = {
    "csv": lambda stream, vocabulary: read_csv(read_lines(stream), vocabulary),
    "jsonl": lambda stream, vocabulary: read_json_lines(read_lines(stream), vocabulary),
    "json": lambda stream, vocabulary: read_json(read_text(stream), vocabulary),
    "yaml": lambda stream, vocabulary: read_yaml(read_text(stream), vocabulary),
    "xlsx": lambda stream, vocabulary: read_xlsx(read_bytes(stream), vocabulary),
}

_WRITERS: Final[Mapping[Format, Callable[[Iterable[Words], Writable, Sequence[str]], None]]] = {
    "csv": write_csv,
    "jsonl": write_json_lines,
    "json": write_json,
    "yaml": write_yaml,
    "xlsx": write_xlsx,
}


NO_ROWS: Final = "has no rows; a file lists at least one number"


def format_of(name: str) -> Format | None:
    """Return the format of a file with this *name*."""
    return SUFFIXES.get(PurePath(name).suffix.lower())


def read_rows(
    stream: Readable,
    format: Format,  # noqa: A002 - the word everybody uses
    vocabulary: Vocabulary,
) -> Iterator[Item]:
    """Yield what *stream*, which is read once, holds: of a table the header first, then each row.

    CSV and JSON Lines are read row by row, the others as a whole. Nothing in the file raises. A
    file without a row is an error.

    Raises:
        ConfigurationError: The format needs a package that is not installed.
    """
    is_empty = True
    try:
        for item in _READERS[format](stream, vocabulary):
            is_empty = is_empty and isinstance(item, Header) and not item.errors
            yield item
    except FileError as error:
        is_empty = False
        yield error
    if is_empty:
        yield FileError(NO_ROWS)


def write_rows(
    rows: Iterable[Words],
    stream: Writable,
    format: Format,  # noqa: A002 - see above
    columns: Sequence[str],
) -> None:
    """Write *rows* to *stream* so that they are read back as they are.

    Raises:
        ConfigurationError: A row could not be read back, or a package is not installed.
    """
    _WRITERS[format](rows, stream, columns)

"""The formats of a file of rows: which one a name ends in, and from the bytes of each to rows.

Text is UTF-8, or UTF-16 with a byte order mark; CR, LF and CRLF end a line.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import IO, Any, Final, Literal, TypeAlias

from sigmamind_async.rowfiles.cells import (
    LONGEST_LINE,
    FileError,
    FileRow,
    Header,
    Line,
    Vocabulary,
    Words,
)
from sigmamind_async.rowfiles.csv_rows import read_csv, write_csv
from sigmamind_async.rowfiles.json_rows import (
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
)
from sigmamind_async.rowfiles.xlsx_rows import read_xlsx, write_xlsx
from sigmamind_async.rowfiles.yaml_rows import read_yaml, write_yaml

Format: TypeAlias = Literal["csv", "tsv", "jsonl", "json", "yaml", "xlsx"]

SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".xlsx": "xlsx",
}

LARGEST_OF_LINES: Final = 512 << 20
"""Most bytes of CSV and JSON Lines."""
LARGEST: Final = 64 << 20
"""Most bytes of the other formats, which take many times as much memory."""
_PIECE: Final = 1 << 20
NO_ROWS: Final = "has no rows; a file lists at least one number"

Item: TypeAlias = Header | FileRow | FileError


def format_of(name: str) -> Format | None:
    """Return the format of a file with this *name*."""
    return SUFFIXES.get(PurePath(name).suffix.lower())


def read_rows(
    stream: IO[bytes],
    format: Format,  # noqa: A002 - the word everybody uses
    vocabulary: Vocabulary,
) -> Iterator[Item]:
    """Yield what *stream*, which is read once, holds: of a table the header first, then each row.

    Nothing in the file raises. A file without a row is an error.

    Raises:
        ConfigurationError: The format needs a package that is not installed.
    """
    take, read, _ = _FORMATS[format]
    is_empty = True
    try:
        for item in read(take(stream), vocabulary):
            is_empty = is_empty and isinstance(item, Header) and not item.errors
            yield item
    except FileError as error:
        is_empty = False
        yield error
    if is_empty:
        yield FileError(NO_ROWS)


def read_lines(
    stream: IO[bytes], largest: int = LARGEST_OF_LINES, longest: int = LONGEST_LINE
) -> Iterator[Line]:
    """Yield each line; one that cannot be read does not keep the others from being read."""
    for number, raw in enumerate(_as_utf_8(read_bytes(stream, largest)).splitlines(), 1):
        if len(raw) > longest:
            why, column = f"is longer than {longest} bytes, too long for a row", 0
        elif b"\0" in raw:
            why, column = "contains a zero byte; save the file as UTF-8", raw.find(b"\0") + 1
        else:
            try:
                yield number, raw.decode()
                continue
            except UnicodeDecodeError as error:
                why, column = f"byte {error.start + 1} is not UTF-8; save the file as UTF-8", 0
        yield number, FileError(why, number, column)


def read_text(stream: IO[bytes], largest: int = LARGEST) -> str:
    """Return the text, in which LF ends each line."""
    lines: list[str] = []
    for _, line in read_lines(stream, largest, longest=largest):
        if isinstance(line, FileError):
            raise line
        lines.append(line)
    return "\n".join(lines)


def read_bytes(stream: IO[bytes], largest: int = LARGEST) -> bytes:
    """Return all that is left of *stream*."""
    pieces, size = list[bytes](), 0
    while piece := stream.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > largest:
            raise FileError(f"is larger than {largest >> 20} MiB; write several files")
    return b"".join(pieces)


def _as_utf_8(content: bytes) -> bytes:
    """Return *content* without the byte order mark at its start."""
    if content.startswith(b"PK\x03\x04"):
        raise FileError(
            "is a workbook or a ZIP file, not text; the name of a workbook ends in .xlsx"
        )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise FileError("is not valid UTF-16; save the file as UTF-8") from None
    return content.removeprefix(codecs.BOM_UTF8)


_Read: TypeAlias = Callable[[Any, Vocabulary], Iterator[Item]]
_Write: TypeAlias = Callable[[Iterable[Words], IO[bytes], Sequence[str]], None]
_FORMATS: Final[Mapping[Format, tuple[Callable[[IO[bytes]], Any], _Read, _Write]]] = {
    "csv": (read_lines, read_csv, write_csv),
    "tsv": (read_lines, read_csv, partial(write_csv, separator="\t")),
    "jsonl": (read_lines, read_json_lines, write_json_lines),
    "json": (read_text, read_json, write_json),
    "yaml": (read_text, read_yaml, write_yaml),
    "xlsx": (read_bytes, read_xlsx, write_xlsx),
}


def write_rows(
    rows: Iterable[Words],
    stream: IO[bytes],
    format: Format,  # noqa: A002 - see above
    columns: Sequence[str],
) -> None:
    """Write *rows* to *stream* so that they are read back as they are.

    Raises:
        ConfigurationError: A row could not be read back, or a package is not installed.
    """
    _FORMATS[format][2](rows, stream, columns)

"""The file of rows: opened, spooled if it can be read once only, and read line by line."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.journal_location import STDIN
from sigmamind_async.cli.rows import (
    BadRow,
    FileError,
    Line,
    Reading,
    Row,
    read_csv,
    read_json_lines,
    with_ids_of_their_own,
)
from sigmamind_async.fleet.files.lines import raw_lines

STDIN_NAME = "stdin"
"""What it is called in messages."""
LONGEST_LINE = 1 << 16
"""Most bytes of one row."""

Read = Callable[[Iterable[Line], Reading], Iterator[Row | BadRow]]

_READERS: dict[str, Read] = {
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}


@attrs.frozen(kw_only=True)
class Survey:
    """What a first reading of a file found."""

    rows: int = 0
    bad: int = 0
    purchases: int = 0
    id_width: int = 0
    last_line: int = 0


@attrs.frozen(kw_only=True)
class Source:
    """An open file of rows that can be read more than once."""

    name: str
    folder: Path
    stream: IO[bytes]
    read: Read

    def rows(self, reading: Reading) -> Iterator[Row | BadRow]:
        """Yield the rows from the first on; a `FileError` names the file."""
        self.stream.seek(0)
        try:
            yield from with_ids_of_their_own(self.read(_lines(self.stream), reading))
        except FileError as error:
            raise CommandError(f"{self.name}, {error}; nothing was sent") from None


@contextmanager
def stream_of(file: str) -> Generator[IO[bytes]]:
    """Open *file*; what can be read only once is kept in a nameless file until the end."""
    if file == STDIN:
        with _spooled(sys.stdin.buffer) as stream:
            yield stream
        return
    with _open_source(file) as stream:
        yield stream


def source_of(file: str, stream: IO[bytes]) -> Source:
    """Return *stream*, which is *file*, as a file of rows."""
    if file == STDIN:
        return Source(name=STDIN_NAME, folder=Path(), stream=stream, read=read_json_lines)
    return Source(name=file, folder=Path(file).parent, stream=stream, read=_reader(file))


def _reader(file: str) -> Read:
    read = _READERS.get(Path(file).suffix.lower())
    if read is None:
        raise CommandError(
            f"{file}: is no saved plan, or a damaged one; the name of a file of rows ends in .csv,"
            " .jsonl or .ndjson, or in .yaml or .yml where rows say what should be, or is - for"
            " JSON Lines on stdin"
        )
    return read


def survey(rows: Iterable[Row | BadRow]) -> Survey:
    """Read all *rows* and count them."""
    count = bad = purchases = id_width = last_line = 0
    for row in rows:
        count += 1
        bad += isinstance(row, BadRow)
        purchases += isinstance(row, Row) and row.spends
        id_width = max(id_width, len(row.id or ""))
        last_line = row.line
    return Survey(rows=count, bad=bad, purchases=purchases, id_width=id_width, last_line=last_line)


@contextmanager
def _open_source(file: str) -> Generator[IO[bytes]]:
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below, whatever it is
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    with stream:
        if stream.seekable():
            yield stream
            return
        with _spooled(stream) as copy:
            yield copy


@contextmanager
def _spooled(stream: IO[bytes]) -> Generator[IO[bytes]]:
    """Copy *stream* into a file only this user can read, which is gone when it is closed."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        yield copy


def _lines(stream: IO[bytes]) -> Iterator[Line]:
    """Yield every line with its number; raise `FileError` where the text is not UTF-8."""
    for number, raw in raw_lines(stream, LONGEST_LINE):
        yield number, None if raw is None else _decode_line(number, raw)


def _decode_line(number: int, raw: bytes) -> str:
    try:
        # A byte order mark stands at the start of what some spreadsheets write.
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise FileError(
            f"line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None

"""Lines of a stream, each with its number, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias

from sigmamind_async.fleet.files.fields import CellError

LONGEST_LINE: Final = 1 << 16
"""Most bytes of one row of CSV or JSON Lines, its end included."""

Line: TypeAlias = tuple[int, "str | CellError"]
"""Number from 1, and text without its end, or why there is none."""


class ByLine(Protocol):
    """What lines are read from: a file opened for bytes."""

    def readline(self, limit: int = ..., /) -> bytes:
        """Return the next line with its end, or its first *limit* bytes; empty at the end."""
        ...


def raw_lines(stream: ByLine, longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes | None]]:
    """Yield every line with its number and its end; `None` for one longer than *longest*."""
    number = 0
    while raw := stream.readline(longest):
        number += 1
        whole = raw.endswith(b"\n") or len(raw) < longest
        while not whole:
            more = stream.readline(longest)
            whole = more.endswith(b"\n") or not more
            raw = b""
        yield number, raw or None


def lines(stream: ByLine) -> Iterator[Line]:
    """Yield every line as text; one that is no text is a fault, and the next one follows."""
    for number, raw in raw_lines(stream):
        yield (
            number,
            CellError("is too long to be a row") if raw is None else _decode_line(number, raw),
        )


def _decode_line(number: int, raw: bytes) -> str | CellError:
    try:
        # A byte order mark stands at the start of what some spreadsheets write.
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return not_utf_8(error.start + 1)


def not_utf_8(byte: int) -> CellError:
    """Return the fault of a line whose *byte*, from 1, cannot be read."""
    return CellError(f"byte {byte} is not UTF-8; save the file as UTF-8")

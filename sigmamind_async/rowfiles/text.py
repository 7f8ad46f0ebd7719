"""The text of a stream that is read once: UTF-8, or UTF-16 with a byte order mark."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias

from sigmamind_async.rowfiles.cells import FileError

LONGEST_LINE: Final = 1 << 16
"""Most bytes of one row of CSV or JSON Lines."""
LARGEST: Final = 64 << 20
"""Most bytes of a file that is read as a whole."""

_CHUNK: Final = 1 << 16

Line: TypeAlias = tuple[int, "str | FileError"]
"""Number from 1, and text without its end, or why there is none."""


class Readable(Protocol):
    """A file that is open for bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most *size* bytes; none at the end."""
        ...


def read_lines(stream: Readable) -> Iterator[Line]:
    """Yield each line; CR, LF and CRLF end one. Memory does not grow with the file."""
    for number, raw in enumerate(_split_lines(_utf_8(stream)), 1):
        yield number, _decode(raw, number)


def read_text(stream: Readable, largest: int = LARGEST) -> str:
    """Return all of the text, in which LF ends each line."""
    content = b"".join(_utf_8(io.BytesIO(read_bytes(stream, largest))))
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        byte = error.start - content.rfind(b"\n", 0, error.start)
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"byte {byte} is not UTF-8; save the file as UTF-8", line) from None


def read_bytes(stream: Readable, largest: int = LARGEST) -> bytes:
    """Return all of the bytes."""
    content = bytearray()
    while chunk := stream.read(_CHUNK):
        content += chunk
        if len(content) > largest:
            raise FileError(f"is larger than {largest >> 20} MiB; write JSON Lines instead")
    return bytes(content)


def _utf_8(stream: Readable) -> Iterator[bytes]:
    """Yield the content as UTF-8, without the byte order mark at its start."""
    head = b""
    while len(head) < len(codecs.BOM_UTF8) and (more := stream.read(_CHUNK)):
        head += more
    if head.startswith(b"PK\x03\x04"):
        raise FileError(
            "is a workbook or a ZIP file, not text; the name of a workbook ends in .xlsx"
        )
    chunks = iter(lambda: stream.read(_CHUNK), b"")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from _transcode(head, chunks)
        return
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _transcode(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    try:
        yield decoder.decode(head).encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError:
        raise FileError("is not valid UTF-16; save the file as UTF-8") from None


def _split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each line without its end; one that is too long, cut."""
    rest, cut = b"", b""
    for chunk in chunks:
        lines = (rest + chunk).splitlines(keepends=True)
        # The last one may go on: also one that ends in CR, which may be half of a CRLF.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            yield cut or line.rstrip(b"\r\n")
            cut = b""
        if len(rest) > LONGEST_LINE + 1:
            cut, rest = rest, rest[-1:]
    if rest or cut:
        yield cut or rest.rstrip(b"\r\n")


def _decode(raw: bytes, number: int) -> str | FileError:
    if len(raw) > LONGEST_LINE:
        return FileError(f"is longer than {LONGEST_LINE} bytes, too long for a row", number)
    if b"\0" in raw:
        return FileError(
            "contains a zero byte; save the file as UTF-8", number, raw.find(b"\0") + 1
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        return FileError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8", number)

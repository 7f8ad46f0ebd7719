"""The text of a stream that is read once, in pieces of any size."""

from __future__ import annotations

import codecs
import io
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.rowfiles import FileError
from sigmamind_async.rowfiles.cells import LONGEST_LINE
from sigmamind_async.rowfiles.formats import read_lines, read_text


class Pieces(io.BytesIO):
    """A pipe: each read returns as much as there is, and nothing can be read again."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self.pieces = [piece for piece in pieces if piece]

    def read(self, size: int | None = -1, /) -> bytes:
        assert size != 0
        return self.pieces.pop(0) if self.pieces else b""


def lines(stream: IO[bytes]) -> list[str]:
    return [str(text) for _, text in read_lines(stream)]


TEXT = "id,label\r\na,Süd\rb,😀\n\nc,x"
LINES = ["id,label", "a,Süd", "b,😀", "", "c,x"]


@given(st.data(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_lines_are_the_same_in_pieces_of_any_size(data: st.DataObject, encoding: str) -> None:
    content = TEXT.encode(encoding)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)))))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    assert lines(Pieces(*pieces)) == LINES


@given(st.text(st.sampled_from("ab\r\n"), max_size=12))
def test_lines_end_as_python_says_they_do(text: str) -> None:
    """Cut anywhere: CR and LF of one CRLF may come in two pieces."""
    content = text.encode()
    for at in range(len(content) + 1):
        assert lines(Pieces(content[:at], content[at:])) == content.decode().splitlines()


def test_a_mark_in_the_middle_is_text() -> None:
    assert lines(Pieces("\ufeffa\n\ufeffb\n".encode())) == ["a", "\ufeffb"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b""])
def test_a_line_that_is_too_long_costs_itself_alone(end: bytes) -> None:
    content = b"a\n" + b"x" * (3 * LONGEST_LINE) + end + (b"b" if end else b"")
    read = list(read_lines(io.BytesIO(content)))

    assert [number for number, _ in read] == [1, 2, 3][: len(read)]
    assert isinstance(read[1][1], FileError)
    assert [text for _, text in read[2:]] == (["b"] if end else [])


def test_control_a_line_as_long_as_may_be_is_read() -> None:
    content = b"x" * LONGEST_LINE + b"\r\nb"

    assert lines(io.BytesIO(content)) == ["x" * LONGEST_LINE, "b"]


def test_what_never_ends_is_read_up_to_the_limit() -> None:
    class Endless(io.BytesIO):
        read_ = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.read_ += size or 0
            return b"x" * (size or 0)

    stream = Endless()
    with pytest.raises(FileError, match="is larger than 4 MiB; write several files"):
        [*read_lines(stream, 4 << 20)]
    assert stream.read_ <= 6 << 20


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"a\nb\xff", "byte 2 is not UTF-8; save the file as UTF-8", 2),
        (b"PK\x03\x04", "is a workbook or a ZIP file, not text", 0),
        (codecs.BOM_UTF16_LE + b"a", "is not valid UTF-16", 0),
    ],
)
def test_what_is_no_text_says_how_to_save_it(content: bytes, message: str, line: int) -> None:
    with pytest.raises(FileError, match=message) as caught:
        read_text(Pieces(content))
    assert caught.value.line == line


def test_the_whole_text_has_one_kind_of_line_end() -> None:
    assert read_text(Pieces(TEXT.encode())) == "\n".join(LINES)


def test_a_text_that_is_too_large_is_not_read() -> None:
    with pytest.raises(FileError, match="is larger than 1 MiB; write several files"):
        read_text(io.BytesIO(b"x" * (2 << 20)), largest=1 << 20)

"""JSON Lines, an object a line, and a JSON array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

import orjson

from sigmamind_async.rowfiles.cells import (
    FileError,
    FileRow,
    Line,
    Place,
    Vocabulary,
    Words,
    comment_problem,
)
from sigmamind_async.rowfiles.csv_rows import LineWriter

_EXAMPLE: Final = '{"id": "support-1", ...}'
_NOT_AN_OBJECT: Final = (
    f"is not a JSON object such as {_EXAMPLE}; if the file is not JSON Lines, name its format"
)
_NOT_AN_ARRAY: Final = (
    f"is not a JSON array of objects, [{_EXAMPLE}]; an object a line is the format jsonl"
)
_SPACE: Final = re.compile(r"[ \t\n]*")
_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')


class _Pairs(dict[str, object]):
    """An object with all that it holds, a key that is there twice included."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        super().__init__()
        self.pairs = pairs


def _refuse_constant(word: str) -> object:
    raise ValueError(word)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_refuse_constant)


def read_json_lines(lines: Iterator[Line], vocabulary: Vocabulary) -> Iterator[FileRow | FileError]:
    """Yield the rows; lines between them may be blank."""
    for line, text in lines:
        if isinstance(text, FileError):
            yield text
        elif text.strip():
            yield _read_line(line, text, vocabulary)


def _read_line(line: int, text: str, vocabulary: Vocabulary) -> FileRow | FileError:
    start = _skip_space(text, 0)
    if why := comment_problem(text):
        return FileError(why, line, start + 1)
    if not text.startswith("{", start):
        return FileError(_NOT_AN_OBJECT, line, start + 1)
    try:
        value, end = _decode_object(text, start)
    except FileError as error:
        return FileError(error.message, line, error.column)
    if _skip_space(text, end) < len(text):
        return FileError("is not JSON: more follows the object", line, end + 1)
    return _object_row(value, text, start, line, vocabulary)


def read_json(text: str, vocabulary: Vocabulary) -> Iterator[FileRow | FileError]:
    """Yield the rows of an array; what is before an error is read."""
    at = _skip_space(text, 0)
    if not text.startswith("[", at):
        if at == len(text):
            return
        raise _place_error(text, at, _NOT_AN_ARRAY)
    line, counted, at = 1, 0, _skip_space(text, at + 1)
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        value, end = _decode_object(text, at)
        yield _object_row(value, text, at, line, vocabulary)
        end = _skip_space(text, end)
        if not text.startswith((",", "]"), end):
            raise _place_error(text, end, "is not JSON: a comma or ] is missing here")
        at = end
        if text.startswith(",", end):
            at = _skip_space(text, end + 1)
            if text.startswith("]", at):
                raise _place_error(text, at, "is not JSON: an object is missing after the comma")
    if (rest := _skip_space(text, at + 1)) < len(text):
        raise _place_error(text, rest, "is not JSON: more follows the array")


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _decode_object(text: str, at: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _place_error(text, error.pos, f"is not JSON: {error.msg}") from None
    except RecursionError:
        raise _place_error(text, at, "is nested too deeply") from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise _place_error(text, at, f"is not JSON: {error}") from None


def _place_error(text: str, at: int, message: str) -> FileError:
    return FileError(message, *_place_of(text, at, 0, 1))


def _place_of(text: str, at: int, start: int, line: int) -> Place:
    """Return the place of the character *at*, after *start* on *line*."""
    return line + text.count("\n", start, at), at - text.rfind("\n", 0, at)


def _object_row(
    value: object, text: str, start: int, line: int, vocabulary: Vocabulary
) -> FileRow | FileError:
    if not isinstance(value, _Pairs):
        at = _place_of(text, start, start, line)
        return FileError(f"is not a JSON object such as {_EXAMPLE}", *at)

    def place(name: str) -> Place:
        # Only a row with an error is asked.
        offsets = {vocabulary.find(word) or word: at for word, at in _value_offsets(text, start)}
        return _place_of(text, offsets.get(name, start), start, line)

    return FileRow(line=line, cells=vocabulary.name_cells(value.pairs), place=place)


def _value_offsets(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield each key of the object that begins at *start*, with where its value begins."""
    depth, last, word = 0, "", ""
    for found in _PIECE.finditer(text, start):
        piece = found[0]
        if depth == 1 and last == ":":
            yield json.loads(word), found.start()
        if depth == 1 and piece == ":":
            word = last
        depth += (piece in {"{", "["}) - (piece in {"}", "]"})
        if depth == 0:
            return
        last = piece


def write_json_lines(rows: Iterable[Words], stream: IO[bytes], columns: Sequence[str]) -> None:
    """Write *rows*, an object a line."""
    del columns
    lines = LineWriter(stream)
    for words in rows:
        lines.write(orjson.dumps(words, option=orjson.OPT_APPEND_NEWLINE).decode())


def write_json(rows: Iterable[Words], stream: IO[bytes], columns: Sequence[str]) -> None:
    """Write *rows* as an array."""
    del columns
    before = b"[\n"
    for words in rows:
        stream.write(before + orjson.dumps(words))
        before = b",\n"
    stream.write(b"\n]\n" if before == b",\n" else b"[]\n")

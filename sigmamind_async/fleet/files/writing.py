"""Fleet files of every form, written so that they are read back as the same rows.

What cannot be read back is refused, not changed: a file that says something else than was asked
would be applied one day. A `Secret` is never written, and neither is a text in its place that is
no reference.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import attrs
import orjson

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.files.entry import PLATFORMS, id_of
from sigmamind_async.fleet.files.fields import CellError, field_of
from sigmamind_async.fleet.files.formats import Format
from sigmamind_async.fleet.files.lines import LONGEST_LINE
from sigmamind_async.fleet.files.texts import escaped
from sigmamind_async.fleet.spec import FIELDS, OWN_NAMES, FleetRow
from sigmamind_async.values import Secret

Words: TypeAlias = Mapping[str, "str | int | None"]
"""What is written of a row, by name."""

_MOST: Final = 10**18
"""Whole numbers below it, and above its negative, are read back."""

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""Not the tab, which any program takes in a cell."""


class Sink(Protocol):
    """What is written to: a file opened for bytes."""

    def write(self, content: bytes, /) -> object:
        """Take *content*."""
        ...


def write(
    rows: Iterable[FleetRow],
    stream: Sink,
    format: Format,  # noqa: A002 - the word everybody uses
    *,
    columns: Sequence[str] = FIELDS,
) -> None:
    """Write *rows*, as they come, to *stream* in UTF-8.

    Args:
        rows: Any iterable; none of it is kept.
        stream: A file that is open for bytes.
        format: ``csv``, ``jsonl`` or ``yaml``.
        columns: Fields that have a column in CSV; `columns_of` finds those that some row says.

    Raises:
        ConfigurationError: A row holds a secret, or what could not be read back. What was written
            before it stays: write to a new file and rename that.
    """
    _WRITERS[format]((_row_cells(row) for row in rows), stream, columns)


def columns_of(rows: Iterable[FleetRow]) -> tuple[str, ...]:
    """Return the fields that some of *rows* says, in the order of `FIELDS`."""
    said = {name for row in rows for name in row.fields}
    return tuple(name for name in FIELDS if name in said)


# ---------------------------------------------------------------- what a row says


def _row_cells(row: FleetRow) -> Words:
    own = {"id": id_of({"id": row.id}), "platform": _platform_cell(row.platform)}
    own |= {"source": row.source.value, "state": row.state.value}
    said = {name: row.fields[name] for name in sorted(row.fields, key=_place)}
    return {name: _word(row.id, name, value) for name, value in (own | said).items()}


def _platform_cell(name: str) -> str | CellError:
    return name if name in PLATFORMS else CellError("is unknown")


def _place(name: str) -> int:
    return FIELDS.index(name) if name in FIELDS else len(FIELDS)


def _word(row_id: str, name: str, value: object) -> str | int | None:
    """Return *value* as it will be read, or refuse it; a message never repeats a secret."""
    if isinstance(value, Secret):
        raise _unwritable(row_id, name, "is a secret; only env:NAME or file:PATH is written")
    found = value if name in OWN_NAMES else field_of(name, value, allow_inline=False)
    if isinstance(found, CellError):
        raise _unwritable(row_id, name, found.message)
    if isinstance(found, int) and not -_MOST < found < _MOST:
        raise _unwritable(row_id, name, "is too large")
    if found != value or not (found is None or isinstance(found, str | int)):
        raise _unwritable(row_id, name, "has spaces around it, which go when it is read")
    return found


def _unwritable(row_id: str, name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"row {row_id[:128]!r} cannot be written: {name} {why}")


# ---------------------------------------------------------------- the three forms


@attrs.frozen
class _Lines:
    """Takes rows as lines of text and passes them on as bytes."""

    stream: Sink

    def write(self, text: str) -> None:
        content = text.encode()
        if len(content) > LONGEST_LINE:
            raise ConfigurationError(
                f"a row cannot be written: it is longer than {LONGEST_LINE} bytes"
            )
        self.stream.write(content)


def _write_csv(rows: Iterator[Words], stream: Sink, columns: Sequence[str]) -> None:
    names = (*OWN_NAMES, *columns)
    writer = csv.writer(_Lines(stream), lineterminator="\n")
    writer.writerow(names)
    for words in rows:
        lost = [name for name in words if name not in names]
        if lost:
            raise _unwritable(str(words["id"]), lost[0], "has no column")
        writer.writerow([_csv_cell(words, name) for name in names])


def _csv_cell(words: Words, name: str) -> str:
    if name not in words:
        return ""
    value = words[name]
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    if _CONTROL.search(value):
        why = "has a line end or control character; JSON Lines and YAML can hold it"
        raise _unwritable(str(words["id"]), name, why)
    return escaped(value)


def _write_json(rows: Iterator[Words], stream: Sink, columns: Sequence[str]) -> None:
    del columns
    lines = _Lines(stream)
    for words in rows:
        lines.write(orjson.dumps(words, option=orjson.OPT_APPEND_NEWLINE).decode())


def _write_yaml(rows: Iterator[Words], stream: Sink, columns: Sequence[str]) -> None:
    del columns
    # A file without rows must be a list as well.
    empty = "[]\n"
    for words in rows:
        lines = [f"  {name}: {_scalar(value)}\n" for name, value in words.items()]
        stream.write("".join(["- ", lines[0][2:], *lines[1:]]).encode())
        empty = ""
    stream.write(empty.encode())


_UNSAFE = re.compile(
    '["\\\\]|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]'
)


def _scalar(value: str | int | None) -> str:
    """Return *value* for YAML: each text in quotes, because ``no`` and ``12`` are none without."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    return f'"{_UNSAFE.sub(_escape, value)}"'


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\{found[0]}" if found[0] in '"\\' else f"\\u{code:04x}"


_Writer: TypeAlias = Callable[[Iterator[Words], Sink, Sequence[str]], None]

_WRITERS: Final[Mapping[Format, _Writer]] = {
    "csv": _write_csv,
    "jsonl": _write_json,
    "yaml": _write_yaml,
}

"""One row of a file: from its cells to a request value, or to all that is wrong with it. Pure.

A row that is wrong is a value as well, so that the rows after it are not lost. What makes the
whole file unusable is a `FileError`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

import attrs
import orjson

from sigmamind_async.cli.columns import KEY_COLUMN, OWN_COLUMNS, Column, RowKind, Value
from sigmamind_async.cli.vendors import PLATFORMS, Platform
from sigmamind_async.convert import check_field
from sigmamind_async.errors import InvalidRequestError, suggest
from sigmamind_async.secret_references import SecretReferenceError
from sigmamind_async.values import Secret

Cells = Mapping[str, object]
"""What a row says by column, as JSON has it: a blank cell is left out, ``null`` is `None`."""

LONGEST_ID = 128
_NO_ID = "is missing: in a database, which rows of other files share, each needs its own"


class FileError(ValueError):
    """Nothing of the file can be used as it is."""


class Secrets(Protocol):
    """Knows what references lead to."""

    def resolve(self, text: str) -> Secret:
        """Return the secret that *text* refers to, or raise `SecretReferenceError`."""
        ...


@attrs.frozen
class Reading:
    """What rows are read with: whose they are, and where their secrets are kept."""

    platform: Platform
    references: Secrets
    shared: bool = False
    """Whether rows of other files stand in the same journal, so that each needs an id."""


@attrs.frozen(kw_only=True)
class Row:
    """A row that can be sent."""

    line: int
    id: str | None
    """Its own; among other rows each has one."""
    platform: Platform = attrs.field(repr=False)
    kind: RowKind = attrs.field(repr=False)
    value: Value
    cells: Cells = attrs.field(repr=False)
    """As it was read: secrets are references still."""

    @property
    def action(self) -> str:
        """What the row asks for."""
        return self.kind.action

    @property
    def spends(self) -> bool:
        """Whether carrying it out costs money."""
        return self.kind.spends

    @property
    def phone_number(self) -> str | None:
        """The number that the row names, if it does."""
        return self._said("phone_number")

    @property
    def record_id(self) -> str | None:
        """The id of the record that the row names, if the platform has such and it does."""
        return None if self.platform.keyed_by_number else self._said(KEY_COLUMN)

    @property
    def goes_by_its_place(self) -> bool:
        """Whether the file gives it no id."""
        return self.cells.get("id") is None

    def _said(self, name: str) -> str | None:
        column = self.kind.columns.get(name)
        text = None if column is None else getattr(self.value, column.field.name)
        return text if isinstance(text, str) else None


@attrs.frozen
class RowProblem:
    """One thing that is wrong with a row."""

    column: str | None
    """`None` for the row as a whole."""
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"{self.column}: {self.message}"


@attrs.frozen(kw_only=True)
class BadRow:
    """A row that cannot be sent, with everything that is wrong with it."""

    line: int
    problems: tuple[RowProblem, ...]
    id: str | None = None
    action: str = ""

    @property
    def message(self) -> str:
        """All problems in one line."""
        return "; ".join(str(problem) for problem in self.problems)


Line = tuple[int, str | None]
"""Number from 1, and text without its end; `None` for a line that is too long to be a row."""


# ---------------------------------------------------------------- the two kinds of files


def read_json_lines(lines: Iterable[Line], reading: Reading) -> Iterator[Row | BadRow]:
    """Yield the rows of a JSON Lines file; blank lines are none."""
    for line, text in lines:
        if text is None:
            yield _too_long(line)
        elif text.strip():
            yield _read_json(line, text, reading)


def read_csv(lines: Iterable[Line], reading: Reading) -> Iterator[Row | BadRow]:
    """Yield the rows of a CSV file with a header; a row is one line, so a stray quote costs one.

    Raises `FileError` for a header that cannot be used.
    """
    numbered = iter(lines)
    header = _read_header(next(numbered, (1, "")), reading.platform)
    for line, text in numbered:
        if text is None:
            yield _too_long(line)
            continue
        try:
            texts = _split(text)
        except csv.Error as error:
            yield _bad(line, None, f"is not CSV: {error}; a cell and its quotes end on one line")
            continue
        if any(cell.strip() for cell in texts):
            yield _read_texts(line, header, texts, reading)


def _read_json(line: int, text: str, reading: Reading) -> Row | BadRow:
    try:
        cells: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _bad(line, None, f"is not JSON: {error.msg}, at character {error.colno}")
    if not isinstance(cells, dict):
        example = f'{{"action": "{reading.platform.actions[0]}", ...}}'
        return _bad(line, None, f"is not a JSON object such as {example}")
    return read_row(line, cast("Cells", cells), reading)


def _read_header(first: Line, platform: Platform) -> list[str]:
    line, text = first
    try:
        names = [name.strip() for name in _split(text or "")]
    except csv.Error as error:
        raise FileError(f"line {line}: the header is not CSV: {error}") from None
    if not any(names):
        raise FileError(f"line {line}: there is no header; it names the columns: action, ...")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise FileError(f"line {line}: columns are separated by commas")
    problems = [*_header_problems(names, platform)]
    if problems:
        raise FileError(f"line {line}: " + "; ".join(problems))
    return names


def _header_problems(names: list[str], platform: Platform) -> Iterator[str]:
    for place, name in enumerate(names, 1):
        if not name:
            yield f"column {place} has no name"
        elif name in names[: place - 1]:
            yield f"column {name!r} is there twice"
        elif name not in platform.known:
            yield f"unknown column {name[:64]!r}{_right_column(name, platform)}"
    if "action" not in names:
        yield (
            f"there is no column 'action'; each row says one of {', '.join(platform.actions)},"
            " or, by columns id, platform and source, what should be"
        )


def _split(text: str) -> list[str]:
    return next(csv.reader([text], strict=True), list[str]())


def _read_texts(line: int, header: list[str], texts: list[str], reading: Reading) -> Row | BadRow:
    if len(texts) != len(header):
        return _bad(
            line,
            None,
            f"has {len(texts)} cells, the header names {len(header)};"
            " a text with a comma stands in quotes",
        )
    pairs = ((name, text.strip()) for name, text in zip(header, texts, strict=True))
    cells = {name: _parse_cell(name, text, reading.platform) for name, text in pairs if text}
    return read_row(line, cells, reading)


def _parse_cell(name: str, text: str, platform: Platform) -> object:
    if text == "null":
        return None
    if name in platform.flag_columns:
        return {"true": True, "false": False}.get(text, text)
    if name in platform.number_columns and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    return text


def _bad(line: int, column: str | None, message: str) -> BadRow:
    return BadRow(line=line, problems=(RowProblem(column, message),))


def _too_long(line: int) -> BadRow:
    return _bad(line, None, "is too long to be a row")


# ---------------------------------------------------------------- from cells to a value


def read_row(line: int, cells: Cells, reading: Reading) -> Row | BadRow:
    """Return the row that *cells* make, or everything that is wrong with them."""
    row_id = _row_id(cells.get("id"))
    kind = _kind_of_row(cells, reading.platform)
    if isinstance(kind, RowProblem):
        action = cells.get("action") if kind.column != "action" else ""
        return BadRow(line=line, id=row_id, action=str(action), problems=(kind,))
    problems: list[RowProblem] = []
    if row_id is None and cells.get("id") is not None:
        problems.append(RowProblem("id", f"must be text of 1 to {LONGEST_ID} printable characters"))
    if reading.shared and cells.get("id") is None:
        problems.append(RowProblem("id", _NO_ID))
    own = {*OWN_COLUMNS, *(kind.where or ())[:1]}
    said = {name: cell for name, cell in cells.items() if name not in own}
    fields = _checked_fields(kind, said, reading, problems)
    value = None if problems else _request_value(kind, fields, problems)
    if value is None:
        return BadRow(line=line, id=row_id, action=kind.action, problems=tuple(problems))
    return Row(line=line, id=row_id, platform=reading.platform, kind=kind, value=value, cells=cells)


def _row_id(said: object) -> str | None:
    if isinstance(said, int) and not isinstance(said, bool):
        said = str(said)
    if not isinstance(said, str) or not 0 < len(said) <= LONGEST_ID or not said.isprintable():
        return None
    return said


def _kind_of_row(cells: Cells, platform: Platform) -> RowKind | RowProblem:
    """Return the kind of row that *cells* are by their action and, where it matters, one more."""
    action = cells.get("action")
    kinds = platform.kinds_of(action)
    if not kinds:
        return RowProblem("action", _action_problem(action, platform))
    if kinds[0].where is None:
        return kinds[0]
    column = kinds[0].where[0]
    by_word = {kind.where[1]: kind for kind in kinds if kind.where is not None}
    word = cells.get(column)
    if isinstance(word, str) and word in by_word:
        return by_word[word]
    return RowProblem(column, _word_problem(word, by_word))


def _action_problem(said: object, platform: Platform) -> str:
    problem = _word_problem(said, platform.actions)
    return problem + _elsewhere(said, {other: other.actions for other in PLATFORMS.values()})


def _word_problem(said: object, known: Collection[str]) -> str:
    if said is None:
        return f"is missing: say one of {', '.join(known)}"
    if not isinstance(said, str):
        return f"must be one of {', '.join(known)}"
    return f"{said[:64]!r} is unknown{suggest(said, known)}"


def _right_column(name: str, platform: Platform) -> str:
    others = {other: other.known for other in PLATFORMS.values()}
    return suggest(name, platform.known) + _elsewhere(name, others)


def _elsewhere(word: object, known: Mapping[Platform, Collection[str]]) -> str:
    """Return which platforms know *word*: the likeliest mistake is a forgotten option."""
    names = [platform.name for platform, words in known.items() if word in words]
    return f"; --platform {' or '.join(names)} has it" if names else ""


def _checked_fields(
    kind: RowKind, said: Cells, reading: Reading, problems: list[RowProblem]
) -> dict[str, object]:
    """Return the checked fields; what is wrong with any of them is added to *problems*."""
    fields: dict[str, object] = {}
    for name, cell in said.items():
        column = kind.columns.get(name)
        if column is None:
            problems.append(RowProblem(name[:64], _misplaced(kind, name, reading.platform)))
            continue
        try:
            fields[column.field.name] = _field(column, cell, reading.references)
        except (InvalidRequestError, SecretReferenceError) as error:
            problems.append(RowProblem(name, _without_name(str(error), column.field.name)))
    for name, column in kind.columns.items():
        if column.required and name not in said:
            problems.append(RowProblem(name, f"is missing: {kind.title} needs it"))
    return fields


def _field(column: Column, cell: object, references: Secrets) -> object:
    """Return one field's value; raises what says why it has none."""
    if cell is None:
        if column.clearable:
            return None
        raise InvalidRequestError("cannot be cleared; leave it blank to leave it alone")
    if column.is_flag and not isinstance(cell, bool):
        raise InvalidRequestError("must be true or false")
    if column.is_secret:
        if not isinstance(cell, str):
            raise InvalidRequestError("must be a reference: env:NAME or file:PATH")
        cell = references.resolve(cell)
    check_field(column.owner, column.field.name, cell)
    return cell


def _misplaced(kind: RowKind, name: str, platform: Platform) -> str:
    takers = [other.title for other in platform.kinds if name in other.columns]
    takers += [other.action for other in platform.kinds if name in (other.where or ())[:1]]
    if takers:
        titles = " and ".join(dict.fromkeys(takers))
        return f"belongs to {titles}, not to {kind.title}; leave it blank"
    return f"is unknown{_right_column(name, platform)}"


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"{name}: ")


def _request_value(
    kind: RowKind, fields: Mapping[str, Any], problems: list[RowProblem]
) -> Value | None:
    make: Callable[..., Value] = kind.value
    try:
        return make(**fields)
    except InvalidRequestError as error:
        field = error.field or ""
        names = [name for name, column in kind.columns.items() if column.field.name == field]
        message = _without_name(str(error), field)
        problems.append(RowProblem(names[0] if names else None, message))
        return None


# ---------------------------------------------------------------- rows among others


def with_ids_of_their_own(rows: Iterable[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Yield *rows*; one without an id goes by its place, one whose id an earlier row has is bad.

    The place counts rows, not lines, so that a blank line more or less changes nothing.
    """
    lines: dict[str, int] = {}
    for place, given in enumerate(rows, 1):
        row = given
        if isinstance(row, Row) and row.id is None:
            row = attrs.evolve(row, id=f"row-{place}")
        first = row.line if row.id is None else lines.setdefault(row.id, row.line)
        yield row if first == row.line else _repeated(row, first)


def _repeated(row: Row | BadRow, first: int) -> BadRow:
    others = row.problems if isinstance(row, BadRow) else ()
    problem = RowProblem("id", f"line {first} has the same; each row needs its own")
    return BadRow(line=row.line, id=row.id, action=row.action, problems=(problem, *others))

"""The numbers of accounts as rows of a fleet, and rows as files that are read back as they were."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Final

import attrs

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.load import parse_rows
from sigmamind_async.fleet.row_parser import PLATFORMS, RowRules, field_of, id_of
from sigmamind_async.fleet.spec import FIELDS, OWN_NAMES, Cell, FleetRow, Problem, Source
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.rowfiles import CellError, Format, Words, write_rows
from sigmamind_async.values import Secret


def export(
    numbers: Iterable[RemoteNumber], applied: Mapping[str, LastApplied] | None = None
) -> Iterator[FleetRow]:
    """Yield a row for each of *numbers*; planned again, the rows change nothing.

    A number that *applied*, the journal's notes by row id, knows keeps its id. What an account does
    not show, passwords above all, and what is empty there, is not in a row. A row may hold what no
    file can: see `writable_rows`.
    """
    ids = {(one.platform, one.record): row_id for row_id, one in (applied or {}).items()}
    taken = set(ids.values())
    for number in numbers:
        row_id = ids.get((number.platform, number.record)) or _free_id(number, taken)
        taken.add(row_id)
        shown = {"phone_number": number.phone_number, **number.shown}
        fields = {name: shown[name] for name in FIELDS if shown.get(name)}
        yield FleetRow(id=row_id, platform=number.platform, source=Source.EXISTING, fields=fields)


TABLES: Final = frozenset({"csv", "tsv", "xlsx"})
"""Formats in which a row is cells under a header."""


def writable_rows(
    rows: Iterable[FleetRow],
    format: Format,  # noqa: A002 - the word everybody uses
) -> Iterator[FleetRow | Problem]:
    """Yield *rows* without the fields that a file in *format* cannot hold, and a problem for each.

    Accounts hold more than a fleet takes: a label longer than an update may write, say, or one
    number twice. A row that cannot be written without such a field is left out as a whole.
    """
    # Of the formats with a header, and of the others, one stands for all.
    form: Format = "csv" if format in TABLES else "jsonl"
    rows = [*rows]
    times = Counter((row.platform, row.phone_number) for row in rows)
    left = iter(rows)
    while some := [*islice(left, _AT_ONCE)]:
        are_sound = not _read_back(some, form)
        for row in some:
            errors = {} if are_sound else _unwritable_fields(row, form)
            for name, why in errors.items():
                message = f"{why.removeprefix(f'{name} ')}; left out"
                yield Problem(message=message, id=row.id, field=name)
            fields = {name: cell for name, cell in row.fields.items() if name not in errors}
            rest = attrs.evolve(row, fields=fields) if errors else row
            # A reader could not tell which number the row is about.
            if not rest.phone_number:
                why = "the account shows no phone number that a file can hold"
            elif times[row.platform, row.phone_number] > 1:
                why = f"the account has {row.phone_number} more than once"
            else:
                why = "" if are_sound else _read_back([rest], form)
            yield Problem(message=f"{why}; the number is left out", id=row.id) if why else rest


_AT_ONCE: Final = 500
"""Rows that are read back together; where one of them is not sound, each is read back alone."""


def _unwritable_fields(row: FleetRow, form: Format) -> dict[str, str]:
    """Return why each field that cannot be written cannot."""
    if not _read_back([row], form):
        return {}
    # Beside a number, without which no row is valid.
    alone: dict[str, dict[str, Cell]] = {
        name: {"phone_number": "+14155550100", name: cell} for name, cell in row.fields.items()
    }
    return {
        name: why
        for name, fields in alone.items()
        if (why := _read_back([attrs.evolve(row, fields=fields)], form))
    }


def _read_back(rows: Sequence[FleetRow], form: Format) -> str:
    """Return why *rows* are not read as they were written; empty where they are."""
    stream = io.BytesIO()
    try:
        write(rows, stream, form)
    except ConfigurationError as error:
        return str(error).partition(" cannot be written: ")[2] or str(error)
    stream.seek(0)
    found = [*parse_rows(stream, form, RowRules())]
    if problems := [problem for each in found for problem in each.problems]:
        return problems[0].message
    same = [each.row and attrs.evolve(each.row, line=0) for each in found]
    is_same = same == [attrs.evolve(row, line=0) for row in rows]
    return "" if is_same else "would be read as something else"


def _free_id(number: RemoteNumber, taken: set[str]) -> str:
    """Return an id that no other row has, and that no spreadsheet takes for a number."""
    name = f"{number.platform}-{number.phone_number.removeprefix('+') or number.record}"
    return name if name not in taken else f"{name}-{number.record}"


# ---------------------------------------------------------------- writing

_MOST: Final = 10**18
"""Whole numbers below it, and above its negative, are read back."""


def write(
    rows: Iterable[FleetRow],
    stream: IO[bytes],
    format: Format,  # noqa: A002 - the word everybody uses
    *,
    columns: Sequence[str] = FIELDS,
) -> None:
    """Write *rows*, as they come, to *stream* so that they are read back as they are.

    Args:
        rows: Any iterable; none of it is kept, but by XLSX.
        stream: A file that is open for bytes.
        format: ``csv``, ``tsv``, ``jsonl``, ``json``, ``yaml`` or ``xlsx``.
        columns: Fields that have a column in a table; `columns_of` finds those in use.

    Raises:
        ConfigurationError: A row holds a secret, or what could not be read back. What was written
            before it stays: write to a new file and rename that.
    """
    names = (*OWN_NAMES, *columns)
    has_columns = format in TABLES
    write_rows((_words(row, names if has_columns else None) for row in rows), stream, format, names)


def columns_of(rows: Iterable[FleetRow]) -> tuple[str, ...]:
    """Return the fields that some of *rows* sets, in the order of `FIELDS`."""
    used = {name for row in rows for name in row.fields}
    return tuple(name for name in FIELDS if name in used)


def _words(row: FleetRow, columns: Sequence[str] | None) -> Words:
    own = {"id": row.id, "platform": row.platform}
    own |= {"source": row.source.value, "state": row.state.value}
    order = [*FIELDS, *row.fields]
    fields = {name: row.fields[name] for name in sorted(row.fields, key=order.index)}
    words = {name: _word(row.id, name, value) for name, value in (own | fields).items()}
    if lost := [name for name in words if columns is not None and name not in columns]:
        raise _unwritable(row.id, lost[0], "has no column")
    return words


def _word(row_id: str, name: str, value: Cell) -> str | int | None:
    """Return *value* as it will be read, or refuse it; a message never repeats a secret."""
    if isinstance(value, Secret):
        raise _unwritable(row_id, name, "is a secret; only env:NAME or file:PATH is written")
    found: Cell | CellError
    if name == "platform":
        found = str(value) if value in PLATFORMS else CellError("is unknown")
    elif name in OWN_NAMES:
        found = id_of({"id": value}) if name == "id" else str(value)
    else:
        found = field_of(name, value, allow_inline=False)
    if isinstance(found, CellError):
        raise _unwritable(row_id, name, found.message)
    if isinstance(found, Secret):
        raise _unwritable(row_id, name, "is a secret")
    if isinstance(found, int) and not -_MOST < found < _MOST:
        raise _unwritable(row_id, name, "is too large")
    if type(found) is not type(value) or found != value:
        raise _unwritable(row_id, name, f"would be read as {found!r}")
    return found


def _unwritable(row_id: str, name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"row {row_id[:128]!r} cannot be written: {name} {why}")

"""Whole fleets: from a file, a stream, or rows made in code; rows are compared with one another."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Final, TypeAlias

import attrs

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.row_parser import (
    ACTION,
    PLATFORMS,
    VOCABULARY,
    ParsedRow,
    RowRules,
    parse_row,
)
from sigmamind_async.fleet.spec import (
    FIELDS,
    SECRETS,
    DesiredState,
    Fleet,
    FleetRow,
    Problem,
)
from sigmamind_async.rowfiles import (
    SUFFIXES,
    FileError,
    FileRow,
    Format,
    Header,
    format_of,
    is_rewritten,
    read_rows,
)

FileSource: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
"""A path, or a file that is open for bytes and stays open; it is read once."""


def load(
    source: FileSource,
    *,
    name: str | None = None,
    format: Format | None = None,  # noqa: A002 - the word everybody uses
    default_platform: str | None = None,
    allow_inline: bool = False,
    origin: str = "",
) -> Fleet:
    """Return the fleet in a file.

    A row with a problem is not among the rows, and a file that cannot be read is a fleet of one
    problem: look at ``problems`` before anything is done with ``rows``.

    Args:
        source: A path, or a file that is open for bytes. It is read once.
        name: What problems call the file. Default: the path.
        format: ``csv``, ``tsv``, ``jsonl``, ``json``, ``yaml`` or ``xlsx``. Default: by the suffix.
        default_platform: Platform of the rows that name none.
        allow_inline: Take a text that is no reference for the secret itself.
        origin: Name of the fleet among those that share a journal, see `Fleet.origin`.

    Raises:
        ConfigurationError: *default_platform* is unknown, or the format needs a package that is not
            installed.
    """
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    if default_platform not in {None, *PLATFORMS}:
        raise ConfigurationError(f"default_platform: must be one of {', '.join(PLATFORMS)}")
    rules = RowRules(file=name, default_platform=default_platform, allow_inline=allow_inline)
    chosen = format or format_of(name)
    if chosen is None:
        problem = Problem(message=f"the name must end in {', '.join(SUFFIXES)}", file=name)
        return Fleet(rows=(), problems=(problem,))
    try:
        fleet = _fleet(parse_rows(source, chosen, rules), name)
    except _OperationsError as error:
        return Fleet(rows=(), problems=(error.problem,))
    return attrs.evolve(fleet, warnings=tuple(_warnings(fleet.rows, name, chosen)), origin=origin)


def fleet_of(rows: Iterable[FleetRow]) -> Fleet:
    """Return the fleet of *rows* made in code, with the checks that a file's rows have.

    A secret is a reference or a `Secret`.
    """
    return _fleet((_parse_made(row) for row in rows), "")


def _parse_made(row: FleetRow) -> ParsedRow:
    cells = {
        **row.fields,
        "id": row.id,
        "platform": row.platform,
        "source": getattr(row.source, "value", row.source),
        "state": getattr(row.state, "value", row.state),
    }
    return parse_row(FileRow(line=row.line, cells=cells, place=lambda _: (row.line, 0)), RowRules())


def _fleet(found: Iterable[ParsedRow], name: str) -> Fleet:
    """Return the fleet of valid rows that differ from all earlier ones in id and number."""
    rows: list[FleetRow] = []
    problems: list[Problem] = []
    # The first row with each: its place among the rows, and its id.
    ids: dict[str, tuple[str, str]] = {}
    numbers: dict[tuple[str, str], tuple[str, str]] = {}
    for place, parsed in enumerate(found, 1):
        this = f"line {parsed.line}" if parsed.line else f"row {place}", parsed.id
        row, clashes = parsed.row, dict[str, str]()
        if parsed.id and (first := ids.setdefault(_sheet_id(parsed.id), this)) is not this:
            clashes["id"] = (
                f"{first[0]} has the same; each row needs its own"
                if first[1] == parsed.id
                else f"a spreadsheet rewrites it as the id {first[1]!r} of {first[0]}, or the other"
                " way; change one of them"
            )
        if row and row.state is DesiredState.PRESENT and row.phone_number.startswith("+"):
            first = numbers.setdefault((row.platform, row.phone_number), this)
            if first is not this:
                message = f"row {first[1]!r}, {first[0]}, has the same number on {row.platform}"
                clashes["phone_number"] = message
        problems += parsed.problems
        problems += [
            Problem(message=message, field=field, file=name, id=parsed.id, line=parsed.line)
            for field, message in clashes.items()
        ]
        if row is not None and parsed.is_valid and not clashes:
            rows.append(row)
    # A problem of a default is that of each row.
    return Fleet(rows=rows, problems=[*dict.fromkeys(problems)])


def _sheet_id(row_id: str) -> str:
    """Return what a spreadsheet may make of an id: ``0101`` becomes ``101``."""
    return (row_id.lstrip("0") or "0") if _DIGITS.fullmatch(row_id) else row_id


_DIGITS: Final = re.compile("[0-9]+", re.ASCII)

# ---------------------------------------------------------------- files


def parse_rows(source: FileSource, form: Format, rules: RowRules) -> Iterator[ParsedRow]:
    """Yield the rows of *source*, valid or not; they are not compared with one another."""
    try:
        with _open_source(source) as stream:
            yield from _parse_stream(stream, form, rules)
    except OSError as error:
        reason = error.strerror or "it is not readable"
        yield _broken(FileError(f"cannot be read: {reason}"), rules)


def _open_source(source: FileSource) -> AbstractContextManager[IO[bytes]]:
    if not isinstance(source, str | os.PathLike):
        return nullcontext(source)
    try:
        return Path(source).open("rb")
    except ValueError as error:  # a zero byte in the path
        raise OSError(0, str(error)) from None


def _parse_stream(stream: IO[bytes], form: Format, rules: RowRules) -> Iterator[ParsedRow]:
    header: Header | None = None
    for item in read_rows(stream, form, VOCABULARY):
        if isinstance(item, FileError):
            yield _broken(item, rules)
        elif isinstance(item, Header):
            header = item
            if ACTION in header.names:
                continue
            missing = [FileError(what, header.line) for what in _missing_columns(header, rules)]
            for error in (*header.errors, *missing):
                yield _broken(error, rules)
            if missing:
                return
        elif ACTION in (header.names if header else item.cells):
            raise _OperationsError(_operations_problem(item, header, rules))
        else:
            yield _parse_row(item, header, rules)


def _parse_row(found: FileRow, header: Header | None, rules: RowRules) -> ParsedRow:
    """Return the row, not valid under a wrong header."""
    if header is None or not header.errors:
        return parse_row(found, rules)
    known = {name: cell for name, cell in found.cells.items() if name in VOCABULARY.names}
    return attrs.evolve(parse_row(attrs.evolve(found, cells=known), rules), is_valid=False)


def _broken(error: FileError, rules: RowRules) -> ParsedRow:
    line, column = error.line, error.column
    problem = Problem(message=error.message, file=rules.file, line=line, column=column)
    return ParsedRow(line=line, problems=(problem,))


def _missing_columns(header: Header, rules: RowRules) -> Iterator[str]:
    """Yield what every row would miss, once."""
    names = header.names
    if "id" not in names:
        yield "there is no column 'id'; each row needs its own id, which never changes"
    if "platform" not in names and rules.default_platform is None:
        yield "there is no column 'platform'; each row names one of sigmamind, verbex, dialnexa"
    if "source" not in names and "state" not in names:
        yield "there is no column 'source'; each row names one of purchase, import, existing"


# ---------------------------------------------------------------- lists of operations


class _OperationsError(Exception):
    """The file is a list of operations; nothing of it is used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


_OWN_TRUNKS: Final = frozenset({"sip", "twilio"})


def _operations_problem(found: FileRow, header: Header | None, rules: RowRules) -> Problem:
    """Return the one problem of a list of operations, which shows *found* as a row of a fleet."""
    cells = _fleet_cells(found.cells, rules)
    texts = ["null" if value is None else str(value) for value in cells.values()]
    shown = f"{','.join(texts)} (under {','.join(cells)})"
    message = (
        f"has {'a column' if header else 'an'} {ACTION!r}: a file says what each number should be,"
        " not what to do; its first row would be"
        f" {shown if header else json.dumps(cells, ensure_ascii=False)}"
    )
    printable = "".join(letter if letter.isprintable() else "?" for letter in message)
    line, column = found.place(ACTION)
    at = header.line if header else line
    return Problem(message=printable, file=rules.file, line=at, column=column)


def _fleet_cells(cells: Mapping[str, object], rules: RowRules) -> dict[str, object]:
    action = str(cells.get(ACTION, "")).strip().lower()
    source = "import" if action == "import" else "existing"
    if action in {"create", "purchase", "buy"}:
        # A create of a number that one has already is an import: it must not be bought.
        is_own = str(cells.get("provider") or "").strip().lower() in _OWN_TRUNKS
        source = "import" if is_own else "purchase"
    fleet: dict[str, object] = {
        "id": cells.get("id") or "row-1",
        "platform": cells.get("platform") or rules.default_platform or PLATFORMS[0],
        "source": source,
    }
    if action in {"delete", "release"}:
        fleet["state"] = "absent"
    for name in FIELDS:
        if name in cells and isinstance(value := cells[name], str | int | None):
            is_inline = name in SECRETS and not str(value).startswith(("env:", "file:"))
            fleet[name] = f"env:{name.upper()}" if is_inline else value
    return fleet


# ---------------------------------------------------------------- warnings

_MOST_WARNINGS: Final = 20
_EXACT_DIGITS: Final = 15
"""Digits of a number that a spreadsheet keeps."""


def _warnings(rows: Sequence[FleetRow], name: str, form: Format) -> Iterator[Problem]:
    """Yield what is no problem, and may be a mistake."""
    if form in {"csv", "tsv"} and (fragile := [row for row in rows if _is_fragile(row.id)]):
        others = f" (and {len(fragile) - 1} more)" if len(fragile) > 1 else ""
        message = (
            "a spreadsheet rewrites such an id, and under another id a number is bought again;"
            f" begin ids with a letter, like row-1{others}"
        )
        yield Problem(message=message, id=fragile[0].id, file=name, line=fragile[0].line)
    odd = [row for row in rows if row.phone_number and not _is_plausible(row.phone_number)]
    for row in odd[:_MOST_WARNINGS]:
        message = f"{row.phone_number} is not assigned in its country's numbering plan; check it"
        yield Problem(message=message, id=row.id, field="phone_number", file=name, line=row.line)
    if len(odd) > _MOST_WARNINGS:
        yield Problem(message=f"{len(odd) - _MOST_WARNINGS} more numbers like these", file=name)


def _is_fragile(row_id: str) -> bool:
    is_stable = row_id.isdigit() and _sheet_id(row_id) == row_id and len(row_id) <= _EXACT_DIGITS
    return is_rewritten(row_id) and not is_stable


def _is_plausible(phone_number: str) -> bool:
    """Return whether the optional package phonenumbers knows numbers like this, or is missing."""
    try:
        import phonenumbers
    except ImportError:
        return True
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(phone_number))
    except phonenumbers.NumberParseException:
        return False

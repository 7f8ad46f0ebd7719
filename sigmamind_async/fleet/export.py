"""The numbers of accounts as rows of a fleet: what is there, said as if it were wanted."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.files.formats import Format
from sigmamind_async.fleet.files.writing import write
from sigmamind_async.fleet.load import load_from
from sigmamind_async.fleet.spec import FIELDS, Cell, FleetRow, Problem, Source
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.vendor_schema import RemoteNumber


def export(
    found: Iterable[RemoteNumber], applied: Mapping[str, LastApplied] | None = None
) -> Iterator[FleetRow]:
    """Yield a row for each number that was *found*; planned again, they change nothing.

    A number that the journal knows keeps the id it was applied under, any other goes by itself.
    What an account does not show, passwords above all, is not in a row, and what is empty there is
    not said. What no file can say, see `sayable`, still is.
    """
    ids = {(one.platform, one.record): row_id for row_id, one in (applied or {}).items()}
    taken = set(ids.values())
    for number in found:
        row_id = ids.get((number.platform, number.record)) or _free(number, taken)
        taken.add(row_id)
        yield FleetRow(
            id=row_id,
            platform=number.platform,
            source=Source.EXISTING,
            fields=_row_fields(number),
        )


def sayable(
    rows: Iterable[FleetRow],
    format: Format,  # noqa: A002 - the word everybody uses
) -> Iterator[FleetRow | Problem]:
    """Yield *rows* without what a file in *format* could not say, and a problem for each of that.

    Accounts hold more than a fleet takes: a label longer than an update may write, say, or one
    number twice. A row that cannot be said without that is left out as a whole.
    """
    told = [*rows]
    times = Counter((row.platform, row.phone_number) for row in told)
    for row in told:
        faults = _unsayable(row, format)
        for name, why in faults.items():
            yield Problem(message=f"{why}; left out", id=row.id, field=name)
        rest = {name: cell for name, cell in row.fields.items() if name not in faults}
        sound = attrs.evolve(row, fields=rest)
        why = _why_not(sound, times[row.platform, row.phone_number]) or _read_back(sound, format)
        if why:
            yield Problem(message=f"{why}; the number is left out", id=row.id)
        else:
            yield sound


def _why_not(row: FleetRow, times: int) -> str:
    """Return why nobody could tell which number *row* is about."""
    if not row.phone_number:
        return "the account shows no phone number that a file can say"
    return f"the account has {row.phone_number} more than once" if times > 1 else ""


def _unsayable(row: FleetRow, form: Format) -> dict[str, str]:
    """Return why each field that could not be said cannot; most rows have none."""
    if not _read_back(row, form):
        return {}
    alone = {name: attrs.evolve(row, fields=_alone(row, name)) for name in row.fields}
    return {name: why for name, part in alone.items() if (why := _read_back(part, form))}


def _alone(row: FleetRow, name: str) -> dict[str, Cell]:
    """Return a field of *row* beside its number, without which no row is sound."""
    return {"phone_number": _STAND_IN, name: row.fields[name]}


_STAND_IN: Final = "+14155550100"


def _read_back(row: FleetRow, form: Format) -> str:
    """Return why *row* is not read as it was written; empty where it is."""
    stream = io.BytesIO()
    try:
        write([row], stream, form)
    except ConfigurationError as error:
        return str(error).partition(" cannot be written: ")[2] or str(error)
    stream.seek(0)
    read = load_from(stream, name="", format=form)
    if read.problems:
        return read.problems[0].message
    return "" if [attrs.evolve(each, line=row.line) for each in read.rows] == [row] else _OTHERWISE


_OTHERWISE: Final = "would be read as something else"


def _free(number: RemoteNumber, taken: set[str]) -> str:
    """Return a name for *number* that no other row has: two platforms may have the same one."""
    name = number.phone_number or number.record
    return name if name not in taken else f"{number.platform} {name} {number.record}"


def _row_fields(number: RemoteNumber) -> dict[str, str | int | bool | None]:
    told = {"phone_number": number.phone_number, **number.shown}
    return {name: told[name] for name in FIELDS if told.get(name)}

"""What a fleet command is about: the rows of a file, or a plan that was saved from one."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import IO, Final, cast

import attrs
import orjson

from sigmamind_async.cli.atomic_write import PRIVATE, new_file
from sigmamind_async.cli.database import Database
from sigmamind_async.cli.dsn import OPTION
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.journal_location import FilePlace, Place, place_beside
from sigmamind_async.cli.source import LONGEST_LINE, STDIN, STDIN_NAME
from sigmamind_async.errors import PlanError
from sigmamind_async.fleet import plan_file
from sigmamind_async.fleet.load import load
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import Fleet
from sigmamind_async.rowfiles import SUFFIXES, format_of
from sigmamind_async.secret_references import SecretResolver

_TELLING: Final = frozenset({"platform", "source", "state"})
"""Columns that only rows of wanted state have."""

_PLAN_HEAD: Final = re.compile(
    rb'\s*\{\s*"kind"\s*:\s*"' + re.escape(plan_file.KIND.encode()) + b'"'
)

_MOST: Final = 1 << 29
"""Most bytes of a plan: of a million rows, about."""


@attrs.frozen(kw_only=True)
class Wanted:
    """A fleet as a command was given it."""

    name: str
    """What messages call it."""
    place: Place
    fleet: Fleet
    references: SecretResolver
    plan: Plan | None = None
    """The plan that was saved, where that was given."""


# ---------------------------------------------------------------- what kind of file


def is_fleet(file: str, stream: IO[bytes]) -> bool:
    """Return whether *stream*, which is *file*, holds wanted state or a saved plan."""
    if is_saved_plan(stream):
        return True
    form = "jsonl" if file == STDIN else format_of(file)
    if form in {"yaml", "json", "xlsx"}:
        return True
    names = _names_in_header(stream) if form == "csv" else _names_in_first_row(stream)
    if "action" in names:
        return False
    return bool(names & _TELLING)


def is_saved_plan(stream: IO[bytes]) -> bool:
    """Return whether *stream* is a plan that was saved."""
    stream.seek(0)
    return _PLAN_HEAD.match(stream.read(256)) is not None


def _names_in_header(stream: IO[bytes]) -> frozenset[str]:
    text = _decode(stream, "utf-8-sig")
    try:
        return frozenset(name.strip() for name in next(csv.reader([text]), list[str]())) - {""}
    except csv.Error:
        return frozenset()


def _names_in_first_row(stream: IO[bytes]) -> frozenset[str]:
    stream.seek(0)
    for raw in iter(lambda: stream.readline(LONGEST_LINE), b""):
        if raw.strip():
            return _names_in(raw)
    return frozenset()


def _names_in(row: bytes) -> frozenset[str]:
    try:
        found: object = json.loads(row.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(cast("dict[str, object]", found)) if isinstance(found, dict) else frozenset()


def _decode(stream: IO[bytes], encoding: str) -> str:
    stream.seek(0)
    return stream.readline(LONGEST_LINE).decode(encoding, "replace").rstrip("\r\n")


# ---------------------------------------------------------------- reading and saving


def wanted(
    file: str,
    stream: IO[bytes],
    *,
    journal: Path | None,
    database: Database | None,
    platform: str | None,
    allow_inline: bool,
) -> Wanted:
    """Return what *stream*, which is *file*, wants; its problems are in the fleet."""
    if is_saved_plan(stream):
        return _saved(file, stream, journal, database)
    form = "jsonl" if file == STDIN else format_of(file)
    name = STDIN_NAME if file == STDIN else file
    if form is None:
        raise CommandError(
            f"{file}: is no saved plan; the name of a file of rows ends in {', '.join(SUFFIXES)}"
        )
    stream.seek(0)
    fleet = load(
        stream, name=name, format=form, default_platform=platform, allow_inline=allow_inline
    )
    return Wanted(
        name=name,
        place=place_beside(file, journal, database),
        fleet=fleet,
        references=SecretResolver(folder=_folder(file), allow_inline=allow_inline),
    )


def _folder(file: str) -> Path:
    return Path() if file == STDIN else Path(file).parent


def _saved(file: str, stream: IO[bytes], journal: Path | None, database: Database | None) -> Wanted:
    stream.seek(0)
    content = stream.read(_MOST + 1)
    if len(content) > _MOST:
        raise CommandError(f"{file}: is too large for a saved plan; nothing was sent")
    try:
        plan = plan_file.load(content)
        origin = orjson.loads(content)["origin"]
        source, chosen = str(origin["file"]), origin["journal"] and Path(origin["journal"])
        home = origin.get("database")
    except (PlanError, TypeError, KeyError) as error:
        why = str(error) if isinstance(error, PlanError) else "does not tell the file it is from"
        raise CommandError(f"{file}: {why}; nothing was sent") from None
    if home != (None if database is None else database.name):
        where = f"{home}: name that with {OPTION}" if home else f"a file, and not in {OPTION}"
        raise CommandError(f"{file}: its journal is in {where}; nothing was sent")
    return Wanted(
        name=file,
        # What the plan's file was applied under before is in the file's own journal.
        place=database or place_beside(source, journal or chosen, None),
        fleet=Fleet(rows=[*plan.rows.values()]),
        references=SecretResolver(folder=_folder(source)),
        plan=plan,
    )


def save(plan: Plan, wanted: Wanted, file: str, path: Path) -> None:
    """Write *plan* to *path*, with where it is from: the same journal is needed to apply it."""
    try:
        content = plan_file.dump(plan)
    except PlanError as error:
        raise CommandError(f"{path}: {error}; not saved") from None
    if format_of(str(path)) not in {None, "json"}:
        raise CommandError(f"{path}: is a name for rows; save the plan as one that ends in .json")
    origin = {
        "file": file if file == STDIN else str(Path(file).absolute()),
        **_where(wanted.place, file),
    }
    with new_file(path, PRIVATE) as stream:
        stream.write(orjson.dumps({**orjson.loads(content), "origin": origin}))


def _where(place: Place, file: str) -> dict[str, str | None]:
    """Return where the journal of a plan is, as it is saved."""
    if not isinstance(place, FilePlace):
        return {"journal": None, "database": place.name}
    chosen = place.chosen or (place.path if file == STDIN else None)
    return {"journal": None if chosen is None else str(chosen.absolute())}

"""The files of the commands: rows or a saved plan to be applied, and files that are written.

A file is read once. What is shown is what is sent, whatever happens to the file meanwhile.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import attrs
import orjson

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.journal_location import (
    STDIN,
    Database,
    FileJournal,
    JournalLocation,
    database_of,
    journal_for,
)
from sigmamind_async.cli.options import (
    POSTGRES_OPTION,
    FileOptions,
    JournalOptions,
    given_options,
)
from sigmamind_async.errors import PlanError
from sigmamind_async.fleet import plan_file
from sigmamind_async.fleet.apply import Secrets
from sigmamind_async.fleet.load import load
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import Fleet
from sigmamind_async.rowfiles import SUFFIXES, FileError, format_of
from sigmamind_async.rowfiles.formats import read_bytes
from sigmamind_async.secret_references import SecretResolver

STDIN_NAME: Final = "stdin"
MOST_BYTES: Final = 1 << 29
"""Of one file: rows for about a million numbers."""

_READINGS: Final = 5
"""Times that a file is read which is being written."""
_PLAN_HEAD: Final = re.compile(
    rb'\s*\{\s*"kind"\s*:\s*"' + re.escape(plan_file.KIND.encode()) + b'"'
)


@attrs.frozen(kw_only=True)
class FleetInput:
    """A fleet, as a command was given it."""

    name: str
    """What messages call it."""
    place: JournalLocation
    fleet: Fleet
    references: Secrets
    plan: Plan | None = None
    """The plan that was saved, where that was given."""


def read_fleet(file: str, files: FileOptions, journal: JournalOptions) -> FleetInput:
    """Return what *file* says; the problems of its rows are in the fleet.

    Raises `CommandError` where it cannot be read, or an option does not apply to it.
    """
    place = journal_for(file, journal)
    content = read_once(file)
    if _PLAN_HEAD.match(content[:256]):
        if refused := given_options(files):
            raise CommandError(
                f"{file} is a saved plan: {' and '.join(refused)} must be given to sigmamind plan;"
                " nothing was sent"
            )
        return _saved(file, content, journal)
    form = files.format or ("jsonl" if file == STDIN else format_of(file))
    name = STDIN_NAME if file == STDIN else file
    if form is None:
        raise CommandError(
            f"{file}: is neither a fleet file nor an intact saved plan; name a file that ends in"
            f" {', '.join(SUFFIXES)}, or give --format"
        )
    fleet = load(
        io.BytesIO(content),
        name=name,
        format=form,
        default_platform=files.platform,
        allow_inline=files.allow_inline_secrets,
        origin=_origin(file, place),
    )
    references = SecretResolver(folder=Path(file).parent, allow_inline=files.allow_inline_secrets)
    return FleetInput(name=name, place=place, fleet=fleet, references=references)


def read_once(file: str) -> bytes:
    """Return the content of *file* as it was at one moment."""
    if file == STDIN:
        return _bounded(file, sys.stdin.buffer)
    try:
        with Path(file).open("rb") as stream:
            return _unchanged(file, stream)
    except OSError as error:
        what = f"{file}: {error.strerror}" if file else "FILE is empty; name a file"
        raise CommandError(what) from None


def _unchanged(file: str, stream: IO[bytes]) -> bytes:
    """Read *stream*, again where it was written meanwhile: half of the rows is another fleet."""
    for _ in range(_READINGS):
        before = os.fstat(stream.fileno())
        content = _bounded(file, stream)
        after = os.fstat(stream.fileno())
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if same or not stat.S_ISREG(after.st_mode):
            return content
        stream.seek(0)
    raise CommandError(f"{file} is being written; run the command again; nothing was sent")


def _bounded(file: str, stream: IO[bytes]) -> bytes:
    try:
        return read_bytes(stream, MOST_BYTES)
    except FileError as error:
        raise CommandError(f"{file}: {error.message}; nothing was sent") from None


@contextmanager
def new_file(path: Path, mode: int = 0o666) -> Generator[IO[bytes]]:
    """Open what becomes *path* when the block ends, unless that raises.

    It is made beside its name, so it is there as a whole or not at all. Raises `CommandError`, at
    once, where it could not be made, and for a device or a pipe.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        # Whoever may write to its folder would replace the device itself by a file.
        raise CommandError(f"{path}: is a device or a pipe; name a file; nothing was sent")
    # Unlike `resolve`, it raises no error where links form a loop.
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise CommandError(f"{path}: is a folder; nothing was sent")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"{path}: cannot be written: {why}; nothing was sent") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _origin(file: str, place: JournalLocation) -> str:
    """Return what tells the fleet of *file* from others in its journal; empty if nothing does.

    A file is the same one in another folder, such as a checkout, and saved in another format. A
    journal beside the file has no other fleet, whatever both were called before.
    """
    is_shared = not isinstance(place, FileJournal) or place.chosen is not None
    is_named = file != STDIN and Path(file).is_file()
    return Path(file).stem.casefold() if is_shared and is_named else ""


# ---------------------------------------------------------------- saved plans


def _saved(file: str, content: bytes, journal: JournalOptions) -> FleetInput:
    try:
        plan = plan_file.load_plan(content)
        saved_from = orjson.loads(content.partition(b"\n")[0])["saved_from"]
        source = str(saved_from["file"])
        chosen = saved_from["journal"] and Path(saved_from["journal"])
        home = saved_from.get("database")
    except (PlanError, TypeError, KeyError) as error:
        why = str(error) if isinstance(error, PlanError) else "does not name the file it is from"
        raise CommandError(f"{file}: {why}; nothing was sent") from None
    database = None if journal.postgres is None else database_of(journal.postgres)
    if home != (None if database is None else database.name):
        where = (
            f"the database {home}: name it with {POSTGRES_OPTION}"
            if home
            else f"a file: leave {POSTGRES_OPTION} out"
        )
        raise CommandError(f"{file}: its journal is in {where}; nothing was sent")
    return FleetInput(
        name=file,
        # What the plan's file was applied under before is in the file's own journal.
        place=database or FileJournal.beside(source, journal.journal or chosen),
        fleet=Fleet(rows=[*plan.rows.values()]),
        references=SecretResolver(folder=Path(source).parent),
        plan=plan,
    )


def save_plan(plan: Plan, given: FleetInput, file: str, path: Path) -> None:
    """Write *plan* to *path*, with where it is from: the same journal is needed to apply it."""
    if format_of(str(path)) not in {None, "json"}:
        raise CommandError(f"{path}: is a name for rows; save the plan as one that ends in .json")
    place = given.place
    chosen: Path | None = None
    if isinstance(place, FileJournal):
        chosen = place.chosen or (place.path if file == STDIN else None)
    saved_from = {
        "file": file if file == STDIN else str(Path(file).absolute()),
        "journal": None if chosen is None else str(chosen.absolute()),
    }
    if isinstance(place, Database):
        saved_from["database"] = place.name
    try:
        content = plan_file.dump_plan(plan, {"saved_from": saved_from})
    except PlanError as error:
        raise CommandError(f"{path}: {error}; not saved") from None
    with new_file(path, mode=0o600) as stream:
        stream.write(content)

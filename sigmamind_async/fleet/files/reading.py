"""Fleet files of every form, row by row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Final, TypeAlias

import attrs

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.files.csv_rows import csv_entries
from sigmamind_async.fleet.files.entry import PLATFORMS, Check, Entry, Manner
from sigmamind_async.fleet.files.formats import Format
from sigmamind_async.fleet.files.json_rows import json_entries
from sigmamind_async.fleet.files.lines import lines
from sigmamind_async.fleet.files.yaml_rows import yaml_entries
from sigmamind_async.fleet.spec import FleetRow, Problem
from sigmamind_async.fleet.validation import problems_of

Source: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
"""A path, or a file that is open for bytes and stays open."""

_READERS: Final[Mapping[Format, Callable[[IO[bytes], Manner], Iterator[Entry]]]] = {
    "csv": lambda stream, manner: csv_entries(lines(stream), manner),
    "jsonl": lambda stream, manner: json_entries(lines(stream), manner),
    "yaml": yaml_entries,
}


def read(
    source: Source,
    *,
    name: str,
    format: Format,  # noqa: A002 - the word everybody uses
    default_platform: str | None = None,
    allow_inline: bool = False,
    check: Check = problems_of,
) -> Iterator[FleetRow | Problem]:
    """Yield each sound row of *source*, and every problem of every other.

    CSV and JSON Lines are read row by row, YAML as a whole. Nothing that stands in the file raises,
    and rows are not compared with one another: `sigmamind_async.fleet.load` does that.

    Args:
        source: A path, or a file that is open for bytes.
        name: What problems call it.
        format: ``csv``, ``jsonl`` or ``yaml``.
        default_platform: Whose the rows are that do not say it.
        allow_inline: Take a text that is no reference for the secret itself.
        check: What is asked about each row that could be read.

    Raises:
        ConfigurationError: *default_platform* is unknown, or YAML is to be read without PyYAML.
    """
    manner = manner_of(default_platform, allow_inline=allow_inline, check=check)
    return flat(entries(source, name, format, manner))


def manner_of(
    default_platform: str | None, *, allow_inline: bool, check: Check = problems_of
) -> Manner:
    """Return the manner of reading; raise `ConfigurationError` for an unknown platform."""
    if default_platform not in {None, *PLATFORMS}:
        raise ConfigurationError(f"default_platform: must be one of {', '.join(PLATFORMS)}")
    return Manner(default_platform=default_platform, allow_inline=allow_inline, check=check)


def entries(source: Source, name: str, form: Format, manner: Manner) -> Iterator[Entry]:
    """Yield the rows of *source*, sound or not; their problems say *name*."""
    try:
        found = _open_entries(source, form, manner)
        yield from (_with_name(entry, name) for entry in found)
    except OSError as error:
        reason = error.strerror or "it is not readable"
        yield _with_name(Entry.broken(0, f"cannot be read: {reason}"), name)


def flat(found: Iterator[Entry]) -> Iterator[FleetRow | Problem]:
    """Yield the problems of each entry, or its row."""
    for entry in found:
        yield from entry.problems
        if entry.row is not None and entry.sound:
            yield entry.row


def _open_entries(source: Source, form: Format, manner: Manner) -> Iterator[Entry]:
    read_entries = _READERS[form]
    if not isinstance(source, str | os.PathLike):
        yield from read_entries(source, manner)
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 - closed below
    except ValueError as error:  # a zero byte in the path
        raise OSError(0, str(error)) from None
    with closing(stream):
        yield from read_entries(stream, manner)


def _with_name(entry: Entry, name: str) -> Entry:
    if not entry.problems:
        return entry
    return attrs.evolve(
        entry, problems=tuple(attrs.evolve(each, file=name) for each in entry.problems)
    )

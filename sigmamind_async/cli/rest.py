"""The rows that were not carried out, written to a file that can be applied as it is."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from sigmamind_async.cli.ending import CommandError
from sigmamind_async.cli.json_lines import line_of
from sigmamind_async.cli.records import RowResult
from sigmamind_async.cli.rows import Row


def may_run_again(result: RowResult) -> bool:
    """Return whether it is certain that nothing was done for a row."""
    if result.status == "failed":
        return result.fault is not None and result.fault.committed == "no"
    return result.status == "skipped"


@attrs.define
class Rest:
    """Collects the rows of a job that may safely be run again."""

    path: Path
    count: int = 0
    _file: IO[str] | None = None

    def add(self, result: RowResult, row: Row | None) -> None:
        """Keep *row* if nothing was done for it; secrets stay references.

        A row that could not be read is to be mended where it stands.
        """
        if row is None or self._file is None or not may_run_again(result):
            return
        try:
            self._file.write(line_of(row.cells) + "\n")
            self.count += 1
        except OSError:
            # A full disk must not tear the job off; closing the file will say it again.
            self._file = None


@contextmanager
def rest_file(path: Path | None) -> Generator[Rest | None]:
    """Open a new file at *path*, for this user only; one that stays empty is removed."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; nothing was sent") from None
    rest = Rest(path)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            rest._file = file  # noqa: SLF001
            yield rest
    finally:
        if not rest.count:
            path.unlink(missing_ok=True)

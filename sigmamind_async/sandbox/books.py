"""The ledger and, where one is wanted, the file that outlives the process.

The file is JSON Lines, only ever appended to: one line per commit, written before the answer
can leave, and one per delivered answer. It is not synced: it survives the end of the process,
which is what a sandbox needs, not the end of the machine. A torn last line is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import attrs
import orjson

from sigmamind_async.sandbox.ledger import Commit, Ledger, fingerprint
from sigmamind_async.sandbox.tower import Change


class Line(TypedDict, total=False):
    """One line of the file."""

    commit: dict[str, Any]
    """A :class:`Commit`, as a dictionary."""
    state: dict[str, object]
    delivered: int


class StateFile:
    """An append-only file, readable by its owner alone."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open or create the file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o600)
        Path(path).chmod(0o600)
        self._path = Path(path)

    def lines(self) -> Iterator[Line]:
        """Yield what was written, cutting off a line that was not written to its end."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._descriptor, whole)
        for line in content[:whole].splitlines():
            yield cast("Line", orjson.loads(line))

    def append(self, line: Line) -> None:
        """Add one line."""
        os.write(self._descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def clear(self) -> None:
        """Forget everything."""
        os.truncate(self._descriptor, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@attrs.define
class Books:
    """Where every change is entered before anyone is told of it."""

    ledger: Ledger = attrs.field(factory=Ledger)
    file: StateFile | None = None

    def restore(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Fill the ledger from the file, yielding platform and state of every change."""
        for line in self.file.lines() if self.file else ():
            if "delivered" in line:
                self.ledger.mark_delivered(line["delivered"])
            elif "commit" in line and "state" in line:
                commit = Commit(**line["commit"])
                self.ledger.append(commit)
                yield commit.platform, line["state"]

    def enter(
        self,
        change: Change,
        *,
        platform: str,
        operation: str,
        fault: str | None,
        now: float,
    ) -> Commit:
        """Enter a change."""
        commit = Commit(
            sequence=len(self.ledger) + 1,
            time=now,
            platform=platform,
            operation=operation,
            kind=change.kind,
            phone_number=change.phone_number,
            record_id=change.record_id,
            friendly_name=change.friendly_name,
            body=change.body,
            fingerprint=fingerprint(operation, change.body),
            fault=fault,
        )
        self.ledger.append(commit)
        if self.file is not None:
            self.file.append({"commit": attrs.asdict(commit), "state": dict(change.state)})
        return commit

    def mark_delivered(self, sequence: int) -> None:
        """Note that the caller was sent the whole honest answer."""
        self.ledger.mark_delivered(sequence)
        if self.file is not None:
            self.file.append({"delivered": sequence})

    def clear(self) -> None:
        """Forget everything, in the file too."""
        self.ledger.clear()
        if self.file is not None:
            self.file.clear()

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None

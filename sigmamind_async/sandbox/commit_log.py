"""The ledger and, where one is wanted, the file that outlives the process.

The file is JSON Lines, only ever appended to: a line that says whose file it is, one per commit,
written before the answer can leave, and one per delivered answer. It is not synced: it survives the
end of the process, which is what a sandbox needs, not the end of the machine. A torn last line is
cut off. A file that is not empty and does not begin with that first line is another program's, and
is left as it is. So is one that another sandbox has open: their lines would not fit together.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypedDict, cast

import attrs
import orjson

from sigmamind_async.sandbox.ledger import Commit, Ledger, fingerprint
from sigmamind_async.sandbox.messages import Change

if sys.platform != "win32":
    import fcntl

MARK: Final = b'{"sigmamind_async.sandbox":1}\n'
"""The first line; the number is the version of all others."""


class StateFileError(ValueError):
    """The state file cannot be used, and was left as it is."""


class FileLine(TypedDict, total=False):
    """One line of the file."""

    commit: dict[str, Any]
    """A :class:`Commit`, as a dictionary."""
    state: dict[str, object]
    delivered: int


class StateFile:
    """An append-only file, readable by its owner alone."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open or create the file; raise `StateFileError` for one that is not a sandbox's."""
        self._path = Path(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        # A pipe must not be waited for.
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise self._error(error.strerror or "cannot be opened") from None
        try:
            self._content = self._read()
            self._path.chmod(0o600)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._marked = bool(self._content)
        self._line = 1

    def _read(self) -> bytes:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise self._error("is no ordinary file")
        self._lock()
        content = self._path.read_bytes()
        if content and not content.startswith(MARK):
            raise self._error("line 1 is not that of a sandbox's state file; it was left as it is")
        return content

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._error(
                    "another sandbox has it open; end that, or name another"
                ) from None

    def lines(self) -> Iterator[FileLine]:
        """Yield what was written, and cut off at the end a line that was not written to its end."""
        whole = self._content.rfind(b"\n") + 1
        for number, line in enumerate(self._content[:whole].splitlines()[1:], start=2):
            self._line = number
            found: object = orjson.loads(line)
            if not isinstance(found, dict):
                raise self.damaged()
            yield cast("FileLine", found)
        if whole < len(self._content):
            os.truncate(self._descriptor, whole)
            self._marked = whole > 0
        self._content = b""

    def damaged(self) -> StateFileError:
        """Return the error for the line that was read last."""
        return self._error(
            f"line {self._line} is damaged; it was left as it is. Name another file, or remove it"
        )

    def append(self, line: FileLine) -> None:
        """Add one line."""
        text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        os.write(self._descriptor, text if self._marked else MARK + text)
        self._marked = True

    def clear(self) -> None:
        """Forget everything."""
        os.truncate(self._descriptor, 0)
        self._marked = False

    def _error(self, problem: str) -> StateFileError:
        return StateFileError(f"{self._path}: {problem}")

    def close(self) -> None:
        """Close the file, and unlock it where a forked process has it open too."""
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


@attrs.define
class CommitLog:
    """Stores every change before its caller gets an answer."""

    ledger: Ledger = attrs.field(factory=Ledger)
    file: StateFile | None = None

    def restore(self, replay: Callable[[str, Mapping[str, object]], None]) -> None:
        """Fill the ledger from the file; call *replay* with platform and state of every change.

        Raises `StateFileError` for a file that is damaged, and leaves that as it is.
        """
        if self.file is None:
            return
        try:
            for line in self.file.lines():
                self._take(line, replay)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            if isinstance(error, StateFileError):
                raise
        else:
            return
        raise self.file.damaged()

    def _take(self, line: FileLine, replay: Callable[[str, Mapping[str, object]], None]) -> None:
        if "delivered" in line:
            self.ledger.mark_delivered(line["delivered"])
        elif "commit" in line and "state" in line:
            commit = Commit(**line["commit"])
            if commit.sequence != len(self.ledger) + 1:
                raise ValueError(commit.sequence)
            self.ledger.append(commit)
            replay(commit.platform, line["state"])
        else:
            raise KeyError

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

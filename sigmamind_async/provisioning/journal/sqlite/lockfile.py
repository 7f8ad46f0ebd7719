"""A file beside the journal: locked by each process that may write to it, and a witness.

A SQLite journal is a file and its write-ahead log; SQLite takes a missing log for an empty one, and
an old file for a current one. So each commit is counted, in the journal and then here. The count is
written after the commit is on the disk, so it may lag behind the journal but is never ahead of it,
unless the journal has lost something. That needs no wait for the disk: a killed process leaves its
writes to the system, and a machine that fails can only take this file back to an earlier count.

The lock itself ends with the process. The file stays: removed, it could be taken from a process
that is just locking it. Its first line has a fixed length, so that it is overwritten in place:

    journal <id> commits <count> openings <count> opened <by which process> closed <as which file>

The last word is there from the end of a process that closed the journal in order, until the next
one opens it. It identifies the file as it was left, so that an unchanged one need not be checked.

The lines after it name the processes that have the journal open, each with the time at which it
started, because a process id alone may be another process's by now.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.errors import JournalError

SHARE_TIMEOUT: Final = 5.0
"""Seconds that a sharer waits for another one that is just making the file."""
_DYING: Final = 1.0
"""Seconds to wait for a killed process, which has its lock until the system has cleaned up."""
_PAUSE: Final = 0.02

_HEAD: Final = re.compile(
    rb"journal ([0-9a-f]{32}) commits (\d{20}) openings (\d{12}) opened ([0-9a-f]{32})"
    rb" closed ([0-9a-f]{32})\n",
    re.ASCII,
)
_EMPTY_HEAD: Final = b" " * 171 + b"\n"
"""The first line as long as there has been no journal."""
_PIDS: Final = re.compile(rb"(?:\d{1,10}(?: \d{1,20})?\n)*", re.ASCII)
_PARTIAL_PIDS: Final = re.compile(rb"[\d \n\0]*", re.ASCII)
"""The lines while other processes write theirs: cut, or with zero bytes after them."""
_MAX_SIZE: Final = 1 << 16

NO_OPENER: Final = "0" * 32
"""The opener of a journal that is closed or shared."""
NOT_CLOSED: Final = "0" * 32
"""In place of a file that was closed in order."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@attrs.frozen(kw_only=True)
class Evidence:
    """What the lock file records of its journal."""

    journal_id: str
    commits: int
    """Transactions that the journal holds, at least."""
    openings: int
    """The number of openings that the file shows even without its log, at least."""
    opener: str = NO_OPENER
    """A random text of the process that has it to itself."""
    closed: str = NOT_CLOSED
    """What `identify_file` returned once it was closed; since then no process has opened it."""

    def line(self) -> bytes:
        """Return the first line of the file."""
        return (
            f"journal {self.journal_id} commits {self.commits:020} openings {self.openings:012}"
            f" opened {self.opener} closed {self.closed}\n"
        ).encode()


def _parse(content: bytes) -> Evidence | None:
    found = _HEAD.match(content)
    if found is None:
        return None
    journal_id, commits, openings, opener, closed = (part.decode() for part in found.groups())
    return Evidence(
        journal_id=journal_id,
        commits=int(commits),
        openings=int(openings),
        opener=opener,
        closed=closed,
    )


def evidence_at(path: Path) -> Evidence | None:
    """Return what the lock file at *path* knows, without locking it."""
    try:
        descriptor = open_lock_file(path, os.O_RDONLY)
    except (OSError, JournalError):
        return None
    try:
        return _parse(_read_file(descriptor))
    finally:
        os.close(descriptor)


def identify_file(path: Path) -> str:
    """Return a text that changes with any write to the file at *path*, without reading that.

    It is empty where that cannot be known. What a crash of the machine leaves of a file may
    differ although nothing was written, so the text changes with each start of the system too.
    """
    try:
        found, boot = path.stat(), _BOOT_ID.read_bytes()
    except OSError:
        return ""
    parts = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, boot
    return hashlib.sha256(repr(parts).encode()).hexdigest()[: len(NOT_CLOSED)]


class LockFile:
    """The lock of one journal, held by this process or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._shared = False
        self._identity = (0, 0)
        self._opener = NO_OPENER
        self.evidence: Evidence | None = None
        """What it held when it was locked, and what was recorded since."""
        self.closed: str = NOT_CLOSED
        """`Evidence.closed` when it was locked."""

    def acquire(self, *, shared: bool) -> None:
        """Take the lock for this process alone or, if *shared*, together with other sharers.

        Raises `JournalError` if another process has it, and `OSError` if the file cannot be used.
        """
        self._shared = shared
        self._descriptor = open_lock_file(self._path, os.O_RDWR | os.O_CREAT)
        try:
            self._lock()
            found = os.fstat(self._descriptor)
            self._identity = found.st_dev, found.st_ino
            self.evidence = None
            self.check()  # the process that had it before may have removed the file
            content = _read_file(self._descriptor)
            self.evidence = _parse(content)
            self._require_no_opener(content)
            if hasattr(os, "fchmod"):
                os.fchmod(self._descriptor, 0o600)
            self._write_pid(content)
        except BaseException:
            self._close()
            raise

    def share(self) -> None:
        """Let other sharers in; raise `JournalError` if another process took it for itself."""
        if not lock(self._descriptor, shared=True):
            raise self._locked()

    def try_own(self) -> bool:
        """Return whether no other process has the journal open; none can open it from then on."""
        return lock(self._descriptor, shared=False)

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor < 0:
            return
        with suppress(OSError, JournalError):
            self.check()
            self._remove_pid()
        self._close()

    def record(self, evidence: Evidence) -> None:
        """Record how far the journal is, which must be on the disk; wait until this is, too."""
        self.evidence = attrs.evolve(evidence, opener=self._opener)
        self._write(self.evidence.line())
        os.fsync(self._descriptor)

    def record_commits(self, commits: int) -> None:
        """Record the number of commits, which must be on the disk."""
        if self.evidence is not None:
            self.evidence = attrs.evolve(self.evidence, commits=commits)
            self._write(self.evidence.line())

    def record_closed(self, path: Path) -> None:
        """Record that the journal at *path* is complete; call it last."""
        # By a finer clock than the system's own: a write in the next milliseconds shows too.
        stamp = time.time_ns()
        os.utime(path, ns=(stamp, stamp))
        if self.evidence is not None:
            self.evidence = attrs.evolve(self.evidence, closed=identify_file(path) or NOT_CLOSED)
            self._write(self.evidence.line())

    def check(self) -> None:
        """Raise `JournalError` unless this is still the journal's lock, and still held by us.

        If the file system does not forward locks, as with many network disks, another process gets
        the lock too: its text in the first line gives it away.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: half a Path's time
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise JournalError(
                f"its lock file {self._path.name} was removed or replaced while it was open.\n"
                "Stop, and find out what did that: another process may have opened the journal."
            )
        if self._shared or self.evidence is None:
            return
        written = _parse(_read_file(self._descriptor, len(_EMPTY_HEAD)))
        if written is None or written.opener != self._opener:
            raise JournalError(
                "another process has opened it meanwhile, on a disk that does not forward locks.\n"
                "Stop one of the two; keep the journal on a disk of one machine."
            )

    # --- parts -------------------------------------------------------------------------------

    def _lock(self) -> None:
        until = time.monotonic() + (SHARE_TIMEOUT if self._shared else _DYING)
        # Alone at first, even to share it: the first sharer makes the journal.
        while not lock(self._descriptor, shared=False):
            if self._shared and lock(self._descriptor, shared=True):
                return
            if time.monotonic() > until:
                raise self._locked()
            time.sleep(_PAUSE)

    def _require_no_opener(self, content: bytes) -> None:
        """Refuse a journal that a running process has to itself, though the lock was granted."""
        if self.evidence is None or self.evidence.opener == NO_OPENER:
            return
        if any(pid != os.getpid() for pid in _running_in(content)):
            raise self._locked()

    def _write_pid(self, content: bytes) -> None:
        self._opener = NO_OPENER if self._shared else os.urandom(16).hex()
        if self.evidence is not None:
            self.closed = self.evidence.closed
            self.evidence = attrs.evolve(self.evidence, opener=self._opener, closed=NOT_CLOSED)
        others = _running_in(content) if self._shared else ()
        self._rewrite(self.evidence, {*others, os.getpid()})

    def _remove_pid(self) -> None:
        content = _read_file(self._descriptor)
        written = _parse(content)
        if written is not None:
            written = attrs.evolve(written, opener=NO_OPENER)
        others = _running_in(content) if self._shared else ()
        self._rewrite(written, {*others} - {os.getpid()})

    def _rewrite(self, evidence: Evidence | None, pids: set[int]) -> None:
        head = _EMPTY_HEAD if evidence is None else evidence.line()
        lines = "".join(f"{pid} {_process(pid)[1]}\n" for pid in sorted(pids)).encode()
        # Written before it is cut: a process killed in between leaves the first line.
        self._write(head + lines)
        os.ftruncate(self._descriptor, len(head) + len(lines))

    def _write(self, content: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, content)

    def _close(self) -> None:
        unlock(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _locked(self) -> JournalError:
        pids = _running_in(_read_file(self._descriptor))
        if os.getpid() in pids:
            holder = "this process has it open already"
        elif len(pids) > 1:
            holder = f"processes {', '.join(map(str, pids))} have it open"
        else:
            holder = f"process {pids[0]} has it open" if pids else "another process has it open"
        return JournalError(
            f"{holder}.\nWait until it is closed there, or open it with shared=True everywhere."
        )


# --- the file ------------------------------------------------------------------------------------

_NOT_A_FILE: Final = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK, errno.EOPNOTSUPP}
"""Errors of opening a symbolic link, a folder, or a socket."""


def open_lock_file(path: Path, flags: int) -> int:
    """Open a lock file, and no other file: no link is followed, nothing is written or cut.

    Any user who may write to the folder could put a link there, to have this process write to its
    target.
    """
    # A pipe without a reader must not block.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    problem = "is not a regular file"
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
    else:
        try:
            problem = _why_foreign(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if not problem:
            return descriptor
        os.close(descriptor)
    raise JournalError(
        f"its lock file {path.name} {problem}, and was left as it is.\n"
        "Find out what put it there, and remove it once no process has the journal open."
    )


def _why_foreign(descriptor: int) -> str:
    """Return why this is no lock file of ours; empty if it is one."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_nlink > 1:
        return "is a hard link to another file"
    if hasattr(os, "geteuid") and os.geteuid() not in {0, found.st_uid}:
        raise PermissionError(errno.EPERM, "another user's")
    content = _read_file(descriptor)
    size = _head_size(content)
    ours = (_PARTIAL_PIDS if size else _PIDS).fullmatch(content[size:])
    # A machine that failed may have left the file without its content.
    return "" if ours or not content.strip(b"\0") else "is another program's file"


def _read_file(descriptor: int, size: int = _MAX_SIZE) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, size)


def _head_size(content: bytes) -> int:
    has_head = _HEAD.match(content) or content.startswith(_EMPTY_HEAD)
    return len(_EMPTY_HEAD) if has_head else 0


# --- processes -----------------------------------------------------------------------------------


def _running_in(content: bytes) -> list[int]:
    """Return the processes named in a lock file that still run."""
    lines = content[_head_size(content) :].replace(b"\0", b"\n").splitlines()
    # A file that is being written may have half a line.
    named = [[int(word) for word in line.split()[:2] if word.isdigit()] for line in lines]
    return [numbers[0] for numbers in named if numbers and _runs(*numbers)]


def _runs(pid: int, started: int = 0) -> bool:
    if not _exists(pid):
        return False
    state, now = _process(pid)
    # Z and X have ended and wait for their parent to collect them. In a container that may take
    # forever: its first process seldom collects orphans.
    return state not in {b"Z", b"X"} and (not started or not now or now == started)


def _process(pid: int) -> tuple[bytes, int]:
    """Return a process's state and start time, as Linux counts it; nothing on other systems."""
    with suppress(OSError, IndexError, ValueError):
        # The name of the program, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0], int(fields[19])
    return b"", 0


# --- the lock ------------------------------------------------------------------------------------

if sys.platform == "win32":  # pragma: no cover - tests simulate it in processes of their own
    import msvcrt

    _BYTE: Final = 1 << 30
    """The byte that is locked, after all text: a locked one cannot be read."""

    def lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock. Windows has no shared one, so sharers take none."""
        if shared:
            return True
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Closing does it."""

    def _exists(pid: int) -> bool:
        return pid > 0

else:
    import fcntl

    def lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock, or change the kind of the one that is held, without waiting."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Unlock it for a forked process too, which has the same file open."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _exists(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):  # it is another user's
            return True
        return True

"""A file beside the journal: locked by whoever may write to it, and a witness of what it holds.

The system gives the lock back when the process ends, however it ends. The file itself stays, for
two reasons: removed, it could be taken from under a process that is just locking it; and it keeps
what nothing beside it can show, how far the journal has come.

A SQLite journal consists of a file and of its write-ahead log, and SQLite takes a missing log for
an empty one, and an old file for a current one. So each commit is counted, in the journal, and then
here. The commit is on the disk before the count is written here, so the count here may be behind
that of the journal, and is never ahead of it unless the journal has lost something. That needs no
wait for the disk: a process that is killed leaves its writes to the system, and a machine that
fails can only take this file back, to an earlier count.

The first line has one length, so that it is written in place, within one sector of the disk:

    journal <id> commits <count> openings <count> opened <by whom>

The lines that follow name the processes that have the journal open, each with the time it started
at: a number alone may have become another process's.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.errors import JournalError

PATIENCE: Final = 5.0
"""Seconds that one of several sharers waits for another that is just making the file."""
_DYING: Final = 1.0
"""Seconds that a process is waited for that has the lock: one that was killed has it until the
system has taken all that it held."""
_PAUSE: Final = 0.02

_HEAD: Final = re.compile(
    rb"journal ([0-9a-f]{32}) commits (\d{20}) openings (\d{12}) opened ([0-9a-f]{32})\n", re.ASCII
)
_UNKNOWN: Final = b" " * 131 + b"\n"
"""The first line of a file that has seen no journal yet."""
_HOLDERS: Final = re.compile(rb"(?:\d{1,10}(?: \d{1,20})?\n)*", re.ASCII)
_PARTS: Final = re.compile(rb"[\d \n\0]*", re.ASCII)
"""What lines look like while other processes write theirs: cut, or followed by zero bytes where one
of them has just shortened the file."""
_MOST: Final = 1 << 16

NOBODY: Final = "0" * 32
"""Who has opened a journal that is closed, or that several processes share."""


@attrs.frozen(kw_only=True)
class Evidence:
    """What the lock file knows of its journal."""

    journal_id: str
    commits: int
    """Transactions that the journal holds, at least."""
    openings: int
    """The opening that the file shows even without its log, or a later one."""
    opener: str = NOBODY
    """A random text of the process that has it to itself."""

    def line(self) -> bytes:
        """Return the first line of the file."""
        return (
            f"journal {self.journal_id} commits {self.commits:020} openings {self.openings:012}"
            f" opened {self.opener}\n"
        ).encode()


def evidence_in(content: bytes) -> Evidence | None:
    """Return what the content of a lock file says, if it says anything."""
    found = _HEAD.match(content)
    if found is None:
        return None
    journal_id, commits, openings, opener = found.groups()
    return Evidence(
        journal_id=journal_id.decode(),
        commits=int(commits),
        openings=int(openings),
        opener=opener.decode(),
    )


def evidence_at(path: Path) -> Evidence | None:
    """Return what the lock file at *path* says, without locking it."""
    try:
        descriptor = _opened(path, os.O_RDONLY)
    except (OSError, JournalError):
        return None
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return evidence_in(os.read(descriptor, _MOST))
    finally:
        os.close(descriptor)


class LockFile:
    """The lock of one journal, held by this process or not."""

    def __init__(self, path: Path) -> None:
        """Nothing happens yet."""
        self._path = path
        self._descriptor = -1
        self._shared = False
        self._identity = (0, 0)
        self._opener = NOBODY
        self.evidence: Evidence | None = None
        """What it knew when it was locked, and has been told since."""

    def acquire(self, *, shared: bool) -> None:
        """Take the lock for this process alone; where others *share* it, share it with them.

        Raises `JournalError` when another has it, and `OSError` when the file cannot be used.
        """
        self._shared = shared
        self._descriptor = _opened(self._path, os.O_RDWR | os.O_CREAT)
        try:
            self._take()
            content = self._content()
            self.evidence = evidence_in(content)
            self._require_nobody(content)
            if hasattr(os, "fchmod"):
                os.fchmod(self._descriptor, 0o600)
            self._sign()
        except BaseException:
            self._abandon()
            raise

    def share(self) -> None:
        """Let others share the lock; raise `JournalError` when another took it for itself."""
        if not lock(self._descriptor, shared=True):
            raise JournalError(self._who())

    def alone(self) -> bool:
        """Return whether no other process has the journal open; none can from then on."""
        return lock(self._descriptor, shared=False)

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor < 0:
            return
        with suppress(OSError, JournalError):
            self.check()
            self._sign_off()
        self._abandon()

    def record(self, evidence: Evidence) -> None:
        """Write down how far the journal has come; it must be on the disk already."""
        self.evidence = attrs.evolve(evidence, opener=self._opener)
        self._write(0, self.evidence.line())

    def sync(self) -> None:
        """Wait until what was recorded is on the disk."""
        os.fsync(self._descriptor)

    def check(self) -> None:
        """Raise `JournalError` unless this is still the journal's lock, and still held by us.

        Where the file system does not forward locks, which is so of many network disks, another
        process gets one too: it is told from us by what it has written here.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: half the time of a Path's
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise JournalError(
                f"its lock file {self._path.name} was removed or replaced while it was open.\n"
                "Stop, and find out who does that: another process may have opened the journal."
            )
        if self._shared or self.evidence is None:
            return
        written = evidence_in(self._content(len(_UNKNOWN)))
        if written is None or written.opener != self._opener:
            raise JournalError(
                "another process has opened it meanwhile, on a disk that does not forward locks.\n"
                "Stop one of the two; keep the journal on a disk of one machine."
            )

    # --- parts -------------------------------------------------------------------------------

    def _take(self) -> None:
        if not self._taken():
            raise JournalError(self._who())
        found = os.fstat(self._descriptor)
        self._identity = found.st_dev, found.st_ino
        self.evidence = None
        self.check()  # whoever held it before may have removed it

    def _taken(self) -> bool:
        give_up = time.monotonic() + (PATIENCE if self._shared else _DYING)
        while True:
            # Alone at first even where it is to be shared: the first one makes the journal.
            if lock(self._descriptor, shared=False):
                return True
            if self._shared and lock(self._descriptor, shared=True):
                return True
            if time.monotonic() > give_up:
                return False
            time.sleep(_PAUSE)

    def _require_nobody(self, content: bytes) -> None:
        """Refuse a journal that a living process has to itself, although the lock was given."""
        if self.evidence is None or self.evidence.opener == NOBODY:
            return
        others = [pid for pid in _holders(content) if pid != os.getpid()]
        if others:
            raise JournalError(self._who())

    def _sign(self) -> None:
        pids = {*(_holders(self._content()) if self._shared else ()), os.getpid()}
        self._opener = NOBODY if self._shared else secrets.token_hex(16)
        if self.evidence is not None:
            self.evidence = attrs.evolve(self.evidence, opener=self._opener)
        head = _UNKNOWN if self.evidence is None else self.evidence.line()
        self._rewrite(head, pids)

    def _sign_off(self) -> None:
        content = self._content()
        written = evidence_in(content)
        head = _UNKNOWN if written is None else attrs.evolve(written, opener=NOBODY).line()
        self._rewrite(head, {*_holders(content)} - {os.getpid()} if self._shared else set())

    def _rewrite(self, head: bytes, pids: set[int]) -> None:
        text = "".join(f"{pid} {_started(pid)}\n" for pid in sorted(pids)).encode()
        # Never cut before it is written: a process that is killed in between leaves the first line.
        self._write(0, head + text)
        os.ftruncate(self._descriptor, len(head) + len(text))

    def _write(self, at: int, content: bytes) -> None:
        os.lseek(self._descriptor, at, os.SEEK_SET)
        os.write(self._descriptor, content)

    def _content(self, size: int = _MOST) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, size)

    def _abandon(self) -> None:
        unlock(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _who(self) -> str:
        pids = _holders(self._content())
        if os.getpid() in pids:
            who = "this process has it open already"
        elif len(pids) > 1:
            who = f"processes {', '.join(map(str, pids))} have it open"
        else:
            who = f"process {pids[0]} has it open" if pids else "another process has it open"
        return f"{who}.\nWait for the end of that, or open it with shared=True everywhere."


def _opened(path: Path, flags: int) -> int:
    """Open a lock file, and no file of another's: nothing is written, cut or followed.

    Whoever may write to the folder could put a link there, and have this process write to its
    target.
    """
    # A pipe without a reader must not be waited for.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        problem = _foreign(path, "is no ordinary file")
    else:
        try:
            problem = _problem(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if not problem:
            return descriptor
        os.close(descriptor)
    raise JournalError(problem)


_NO_FILE: Final = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK, errno.EOPNOTSUPP}
"""What opening says of a symbolic link, a folder, and a socket."""


def _problem(path: Path, descriptor: int) -> str:
    """Return why this is no lock file of ours, if it is not."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return _foreign(path, "is no ordinary file")
    if found.st_nlink > 1:
        return _foreign(path, "is a hard link to another file")
    if hasattr(os, "geteuid") and os.geteuid() not in {0, found.st_uid}:
        raise PermissionError(errno.EPERM, "another user's")
    content = os.read(descriptor, _MOST)
    rest = content[len(_UNKNOWN) :]
    headed = _HEAD.match(content) or content.startswith(_UNKNOWN)
    ours = _PARTS.fullmatch(rest) if headed else _HOLDERS.fullmatch(content)
    # A machine that failed may have left the file without its content.
    return "" if ours or not content.strip(b"\0") else _foreign(path, "is another program's file")


def _foreign(path: Path, what: str) -> str:
    return (
        f"its lock file {path.name} {what}, and was left as it is.\n"
        "Find out who put it there, and remove it once no process has the journal open."
    )


def _holders(content: bytes) -> list[int]:
    """Return the processes that have signed and still run."""
    head = len(_UNKNOWN) if _HEAD.match(content) or content.startswith(_UNKNOWN) else 0
    pairs = filter(None, map(bytes.split, content[head:].replace(b"\0", b"\n").splitlines()))
    return [
        int(pid)
        for pid, *started in pairs
        if pid.isdigit() and _runs(int(pid), int(started[0]) if started else 0)
    ]


def _started(pid: int) -> int:
    """Return when a process started, in whatever unit the system counts; 0 where it is not told."""
    try:
        return int(_fields(pid)[19])
    except (OSError, IndexError, ValueError):
        return 0


def _fields(pid: int) -> list[bytes]:
    """Return what Linux tells of a process, from its state on."""
    # The name of the program, in brackets, may hold anything.
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def _runs(pid: int, started: int) -> bool:
    if not _lives(pid) or _is_over(pid):
        return False
    now = _started(pid)
    return not started or not now or now == started


def _is_over(pid: int) -> bool:
    """Return whether a process has ended and waits for its parent to take notice.

    In a container that may be forever: the first process there seldom takes notice of orphans.
    """
    with suppress(OSError, IndexError):
        return _fields(pid)[0] in {b"Z", b"X"}
    return False


if sys.platform == "win32":  # pragma: no cover - the tests run on POSIX systems
    import msvcrt

    _BYTE: Final = 1 << 30
    """The byte that is locked, behind all text: nobody can read a locked one."""

    def lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock; Windows has no shared one, so sharers take none."""
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

    def _lives(pid: int) -> bool:
        return pid > 0

else:
    import fcntl

    def lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock, or turn the one that is held into the other kind, without waiting."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Unlock it for a forked process too, which has the same file open."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _lives(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):  # it is another user's
            return True
        return True

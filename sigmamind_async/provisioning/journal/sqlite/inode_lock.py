"""One journal, one name, one copy: the file itself is locked, whatever path leads to it.

The lock file and SQLite's log are beside the path of a journal. A file with a second path in
another folder, by a hard link or by being mounted alone into a container, has a second lock and a
second log there, and two processes write to it without seeing each other. So a file with a second
name is refused, and the file itself is locked too, which holds across two mounts of one folder and
after the lock file was removed. A copy of a journal is another file, which no lock protects; each
of the two would buy what is missing in it. So a process announces the id and the file of the
journal that it has open, and refuses one that is announced with another file.

The lock is one of ``flock``, on a descriptor of our own. On Linux it does not meet SQLite's locks,
which are of ``fcntl``; elsewhere the two may exclude each other, and the file is not locked. A
process that closes any descriptor of a file loses all its ``fcntl`` locks on it, so ours is kept
until it is the last one.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sqlite.lockfile import lock, unlock

if TYPE_CHECKING:
    import socket

_MOUNTS: Final = Path("/proc/self/mountinfo")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_SOCKETS: Final = Path("/proc/net/unix")

_REMOTE: Final = re.compile(
    r"nfs|nfs4|cifs|smb|smb2|smb3|smbfs|afs|afpfs|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|9p"
    r"|virtiofs|vboxsf|prl_fs|vmhgfs|fuse|fuseblk|fuse\..*"
)
"""Kinds of file systems that may give two processes the same lock."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


# --- where it is ---------------------------------------------------------------------------------


@attrs.frozen
class Mount:
    """Where a file system is mounted, and its kind."""

    point: str
    kind: str

    @property
    def is_remote(self) -> bool:
        """True if its locks may be known to one machine, or one mount, only."""
        return _REMOTE.fullmatch(self.kind) is not None


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """Return the mount that *path*, absolute and without links, is on.

    https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts
    """
    found: Mount | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[4])
        covers = path == point or path.startswith(f"{point.rstrip('/')}/")
        # Of two mounts on one place the later hides the other.
        if covers and (found is None or len(point) >= len(found.point)):
            found = Mount(point, kind)
    return found


def _find_mount(path: Path) -> Mount | None:
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None  # not on Linux
    return mount_of(str(path), text)


def require_one_name(path: Path) -> None:
    """Raise `JournalError` for a file that has, or may have, another path in another folder."""
    names = path.stat().st_nlink
    if names > 1:
        raise JournalError(
            f"the file has {names} names (hard links), and its lock and log are beside only one.\n"
            "Keep one of them and remove the others: find the folders with `find / -samefile`."
        )
    mount = _find_mount(path)
    if mount is not None and mount.point == str(path):
        raise JournalError(
            "the file is mounted alone: its lock and its log would be beside the mount, and lost"
            " with the container.\nMount the folder that it is in."
        )


def require_own_disk(path: Path, *, shared: bool) -> None:
    """Warn of a disk that may not keep two processes apart; raise `JournalError` to share one."""
    mount = _find_mount(path)
    if mount is None or not mount.is_remote:
        return
    if shared:
        raise JournalError(
            f"the folder is on a disk of type {mount.kind}, where processes that share a journal"
            " may not see each other.\nKeep it on a disk of this machine, or use PostgresJournal."
        )
    import logging  # a journal that is only read takes neither this nor sockets

    logging.getLogger(__name__).warning(
        "%s is on a disk of type %s, which may not keep a second machine or mount out:"
        " open it in one place only",
        path,
        mount.kind,
    )


# --- the lock ------------------------------------------------------------------------------------

_kept: dict[tuple[int, int], list[int]] = {}
"""Unlocked descriptors, by device and inode, that must not be closed yet."""
_keeping = threading.Lock()


class InodeLock:
    """The lock on the file itself; taken before SQLite opens it, and released after."""

    def __init__(self) -> None:
        self._descriptor = -1

    def acquire(self, path: Path, *, shared: bool) -> None:
        """Lock the file; raise `JournalError` if it is locked under another name."""
        mount = _find_mount(path)
        # Such a disk may turn this into a lock of fcntl, which would lock SQLite out.
        if sys.platform != "linux" or (mount is not None and mount.is_remote):
            return
        self._descriptor = _open_descriptor(path)
        if not lock(self._descriptor, shared=shared):
            self.release()
            raise JournalError(
                "another process has the same file open, under another name or after its lock file"
                " was removed.\nWait until that has ended, and name the file as it does."
            )

    def release(self) -> None:
        """Unlock the file; this journal's own connections must be closed."""
        if self._descriptor < 0:
            return
        unlock(self._descriptor)
        _close_descriptor(self._descriptor)
        self._descriptor = -1


def _open_descriptor(path: Path) -> int:
    found = path.stat()
    with _keeping:
        kept = _kept.get((found.st_dev, found.st_ino))
        if kept:
            return kept.pop()
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def _close_descriptor(descriptor: int) -> None:
    """Close a descriptor and those kept for its file, unless the file is open here otherwise."""
    found = os.fstat(descriptor)
    file = found.st_dev, found.st_ino
    with _keeping:
        kept = _kept.setdefault(file, [])
        kept.append(descriptor)
        if _count_descriptors(file) > len(kept):
            return
        for each in _kept.pop(file):
            os.close(each)


def _count_descriptors(file: tuple[int, int]) -> int:
    """Return how many descriptors of this process are of one file."""
    count = 0
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(OSError):  # the one that the folder is read with is closed by now
            found = descriptor.stat()
            count += (found.st_dev, found.st_ino) == file
    return count


# --- copies --------------------------------------------------------------------------------------


class Announcement:
    """Shows other processes of the machine which file of a journal is open.

    It is a name in Linux's abstract namespace of sockets, which the system takes back when the
    process ends, however it ends. Containers that share no network do not see each other's.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def make(self, journal_id: str, path: Path) -> None:
        """Announce the file; raise `JournalError` if another file of its journal is open."""
        if sys.platform != "linux":
            return
        import socket

        found = path.stat()
        journal = f"sigmamind-journal-{journal_id}-"
        file = f"{journal}{found.st_dev}-{found.st_ino}-"
        with suppress(OSError):  # a system that forbids it
            self._socket = socket.socket(socket.AF_UNIX)
            # A forked process may still hold the name of an earlier opening.
            self._socket.bind(f"\0{file}{os.urandom(8).hex()}")
        # Only then, so that of two that open at the same time one sees the other.
        if any(journal in line and file not in line for line in _socket_names()):
            self.end()
            raise JournalError(
                "a copy of this journal is open in another place, and what is missing in one of"
                " them would be bought by both.\nUse only one of them."
            )

    def end(self) -> None:
        """Withdraw it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _socket_names() -> list[str]:
    """Return the lines of Linux's table of local sockets; none if it cannot be read."""
    try:
        return _SOCKETS.read_text(errors="replace").splitlines()
    except OSError:
        return []

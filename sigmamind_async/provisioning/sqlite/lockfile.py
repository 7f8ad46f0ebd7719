"""A file beside the journal that is locked by whoever may write to the journal.

The system gives the lock back when the process ends, however it ends. The file itself stays: who
removed it could take it from under somebody who is just locking it. It tells who has the lock, for
a message only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from sigmamind_async.errors import JournalError

PATIENCE: Final = 5.0
"""Seconds that one of several sharers waits for another that is just making the file."""
_PAUSE: Final = 0.02


class LockFile:
    """The lock of one journal, held by this process or not."""

    def __init__(self, path: Path) -> None:
        """Nothing happens yet."""
        self._path = path
        self._descriptor = -1

    def acquire(self, *, shared: bool) -> None:
        """Take the lock for this process alone; where others *share* it, share it with them.

        Raises `JournalError` when another has it, and `OSError` when the file cannot be used.
        """
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not self._taken(shared=shared):
            problem = self._who()
            self.release()
            raise JournalError(problem)
        self._path.chmod(0o600)
        self._sign(shared=shared)

    def share(self) -> None:
        """Let others share the lock; raise `JournalError` when somebody took it for himself."""
        if not _lock(self._descriptor, shared=True):
            raise JournalError(self._who())

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            _unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _taken(self, *, shared: bool) -> bool:
        # Alone at first even where it is to be shared: the first one makes the journal.
        if _lock(self._descriptor, shared=False):
            return True
        give_up = time.monotonic() + PATIENCE
        while shared:
            if _lock(self._descriptor, shared=True):
                return True
            if time.monotonic() > give_up:
                break
            time.sleep(_PAUSE)
        return False

    def _sign(self, *, shared: bool) -> None:
        pids = [*(self._holders() if shared else []), os.getpid()]
        text = "".join(f"{pid}\n" for pid in pids).encode()
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text)

    def _holders(self) -> list[int]:
        """Return the processes that have signed and still run."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        words = os.read(self._descriptor, 1 << 16).split()
        return [int(word) for word in words if word.isdigit() and _runs(int(word))]

    def _who(self) -> str:
        pids = self._holders()
        if os.getpid() in pids:
            who = "this process has it open already"
        elif len(pids) > 1:
            who = f"processes {', '.join(map(str, pids))} have it open"
        else:
            who = f"process {pids[0]} has it open" if pids else "another process has it open"
        return f"{who}.\nWait for the end of that, or open it with shared=True everywhere."


if sys.platform == "win32":  # pragma: no cover - the tests run on POSIX systems
    import msvcrt

    _BYTE: Final = 1 << 30
    """The byte that is locked, behind all text: nobody can read a locked one."""

    def _lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock; Windows has no shared one, so sharers take none."""
        if shared:
            return True
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """Closing does it."""

    def _runs(pid: int) -> bool:
        return pid > 0

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool) -> bool:
        """Take the lock, or turn the one that is held into the other kind, without waiting."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """Unlock it for a forked process too, which has the same file open."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _runs(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it is another user's
            return True
        return True

"""The thread that owns a journal's SQLite connection and works for its event loops.

All calls that wait in the queue are carried out in one transaction, so that a hundred writes of a
hundred tasks cost one wait for the disk. No call is answered before the commit; if that fails, all
calls in it fail.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, TypeVar

import attrs

from sigmamind_async.errors import JournalError
from sigmamind_async.per_loop import fork_count
from sigmamind_async.provisioning.journal.sqlite.explanation import explain_error
from sigmamind_async.provisioning.journal.sqlite.file import JournalFile
from sigmamind_async.provisioning.journal.thread import ENDED, JournalThread, ThreadCall, answer

T = TypeVar("T")

MAX_BATCH: Final = 1_000
"""Calls in one transaction: the first of them waits for the last."""

FLUSH_DELAY: Final = 0.005
"""Seconds for which a write that no task waits for may be held back.

Usually another write comes sooner and takes it along. Purchases made one after the other then wait
for the disk once each instead of twice, and the thread is not woken in between.
"""


@attrs.define(eq=False)
class _WriterCall(ThreadCall):
    work: Callable[[sqlite3.Connection], object]
    writes: bool
    on_done: Callable[[], None] | None


class Writer(JournalThread):
    """The thread; *name* begins the message of each error."""

    def __init__(self, name: str, file: JournalFile) -> None:
        super().__init__(name, "SqliteJournal")
        self._file = file
        self._queue: SimpleQueue[_WriterCall | None] = SimpleQueue()
        self._held_back: list[_WriterCall] = []
        self._flushing_loop: asyncio.AbstractEventLoop | None = None
        """The loop that will put what is held back into the queue."""
        self.is_idle: bool = True
        """True if a call would be carried out at once. A hint, read without the lock."""

    async def start(self) -> None:
        """Open the file; raise `JournalError` if that fails."""
        self._thread.start()
        await self.run(lambda _: None)

    async def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        writes: bool = False,
        on_done: Callable[[], None] | None = None,
    ) -> T:
        """Return what *work* returns in the thread, once that is committed.

        If the caller is cancelled, the work is done all the same. Raises `JournalError` if it was
        not done, or may not have been. *on_done* is called in the thread in each case.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call = _WriterCall(future, work, writes, on_done)
        if fork_count() != self._forks:
            raise self._refusal()
        with self._lock:
            if self._closed:
                raise self._refusal()
            if self._held_back:
                self._flush()
            self.is_idle = False
            self._queue.put(call)
        return await future

    def write_behind(
        self,
        work: Callable[[sqlite3.Connection], object],
        on_done: Callable[[], None] | None = None,
    ) -> None:
        """Have *work* write soon, before any later call; a failure goes unreported.

        Raises `JournalError` if there is no thread to do it.
        """
        loop = asyncio.get_running_loop()
        if fork_count() != self._forks:
            raise self._refusal()
        with self._lock:
            if self._closed:
                raise self._refusal()
            self._held_back.append(_WriterCall(None, work, writes=True, on_done=on_done))
        if self._flushing_loop is not loop:
            self._flushing_loop = loop
            loop.call_later(FLUSH_DELAY, self._flush_on_time)

    def _flush_on_time(self) -> None:
        self._flushing_loop = None
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        for call in self._held_back:
            self._queue.put(call)
        self._held_back.clear()

    def _finish(self) -> None:
        self._flush()
        self._queue.put(None)

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        problem = ENDED
        try:
            database = self._file.open()
            try:
                self._serve(database)
            finally:
                self._file.close(database)
        except BaseException as error:  # noqa: BLE001 - the callers must hear of it, whatever it is
            problem = explain_error(error)
        with self._lock:
            self._closed = self._closed or problem
            self._flush()
        left = self._take(self._queue.qsize())
        for call in left:
            call.problem = problem
        self._answer(left)

    def _serve(self, database: sqlite3.Connection) -> None:
        while (first := self._queue.get()) is not None:
            self.is_idle = False
            batch = [first, *self._take(min(self._queue.qsize(), MAX_BATCH - 1))]
            try:
                self._carry_out(database, batch)
            finally:
                # Before the callers are woken: they may then read without the thread.
                self.is_idle = self._queue.empty()
                self._answer(batch)

    def _take(self, count: int) -> list[_WriterCall]:
        """Return the next calls, up to the end of the queue, which stays in it."""
        taken: list[_WriterCall] = []
        for _ in range(count):
            call = self._queue.get()
            if call is None:
                self._queue.put(None)
                break
            taken.append(call)
        return taken

    def _answer(self, batch: Sequence[_WriterCall]) -> None:
        for call in batch:
            if call.on_done is not None:
                call.on_done()
        answer(self._name, batch)

    def _carry_out(self, database: sqlite3.Connection, batch: Sequence[_WriterCall]) -> None:
        try:
            if any(call.writes for call in batch):
                problems = self._in_transaction(database, batch)
            else:
                problems = [_do(call, database) for call in batch]
        except Exception as error:  # noqa: BLE001 - no error may pass for a success
            self._file.is_suspect = True
            problems = [explain_error(error)] * len(batch)
        for call, problem in zip(batch, problems, strict=True):
            call.problem = problem

    def _in_transaction(
        self, database: sqlite3.Connection, batch: Sequence[_WriterCall]
    ) -> list[str]:
        try:
            self._file.begin(database)
            problems = [_do(call, database) for call in batch]
            # If the disk fails in here, the outcome is unknown: the next commit overwrites what was
            # written, unless the process is killed before that. It counts as not stored, which is
            # safe either way: without a stored claim nothing is sent; without a stored answer the
            # row stays SENDING and is reconciled.
            database.execute("COMMIT")
            self._file.record_commit()
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
        return problems


def _do(call: _WriterCall, database: sqlite3.Connection) -> str:
    """Do the work of one call. Return why it alone failed; empty if it did not."""
    try:
        call.result = call.work(database)
    except JournalError as error:
        return error.message
    except UnicodeEncodeError as error:
        # Nothing has been executed: the text did not reach the database.
        return f"{error.object!r} holds a lone surrogate, which UTF-8 cannot write"
    return ""

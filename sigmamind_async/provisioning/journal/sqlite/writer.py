"""One thread that owns a database connection and carries out what event loops ask of it.

Whatever waits in the queue is carried out in one transaction, so that a hundred writes of a hundred
tasks cost one wait for the disk. Nobody is told of a success before the commit; where that fails,
everybody in it is told.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeVar

import attrs

from sigmamind_async.errors import JournalError

T = TypeVar("T")

MOST: Final = 1_000
"""Calls in one transaction: the first of them waits for the last."""

LINGER: Final = 0.005
"""Seconds for which a write that nobody waits for may be kept back.

Most often another one comes sooner, and takes it along: one purchase after the other so takes one
wait for the disk each and not two, and the thread is not woken beside what is done meanwhile.
"""

_ENDED: Final = "the thread that writes it has ended.\nOpen the journal again."
_CLOSED: Final = "is closed.\nUse it inside of `async with`."
_FORKED: Final = (
    "was opened before this process was forked.\nMake a new SqliteJournal in each process."
)


class Store(Protocol):
    """A database that one thread opens, uses and closes."""

    def open(self) -> sqlite3.Connection:
        """Return a connection for this thread."""
        ...

    def close(self, database: sqlite3.Connection) -> None:
        """Give up the connection, and all that was held with it."""
        ...

    def begin(self, database: sqlite3.Connection) -> None:
        """Begin a transaction that writes."""
        ...

    def committed(self) -> None:
        """Learn that the transaction is on the disk."""
        ...

    def explain(self, error: BaseException) -> str:
        """Return what is wrong and what to do, in words for a person."""
        ...


@attrs.define(eq=False)
class _Call:
    """One thing to do, and who waits for it."""

    work: Callable[[sqlite3.Connection], object]
    writes: bool
    future: asyncio.Future[Any] | None = None
    """`None` where nobody waits."""
    over: Callable[[], None] | None = None
    """Told, in the thread, that it has been done or never will be."""
    result: object = None
    problem: str = _ENDED
    """Why it has not been done; empty once it has."""


class Writer:
    """The thread, from `start` to `stop`; it is not started twice."""

    def __init__(self, name: str, store: Store) -> None:
        """Nothing happens yet; *name* begins the message of each error."""
        self._name = name
        self._store = store
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._posted: list[_Call] = []
        self._alarm: asyncio.AbstractEventLoop | None = None
        """Where it is seen to that what was posted does not stay so."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        # Between the two ends of the queue: nothing may be put behind the end.
        self._door = threading.Lock()
        self._closed = ""
        self._busy = False
        self._pid = os.getpid()

    @property
    def is_idle(self) -> bool:
        """Whether whoever asks for something now is waited for by nobody."""
        return not self._busy and self._queue.empty()

    async def start(self) -> None:
        """Open the store; raise `JournalError` where that fails."""
        self._thread.start()
        await self.carry_out(lambda _: None)

    async def carry_out(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        writes: bool = False,
        over: Callable[[], None] | None = None,
    ) -> T:
        """Return what *work* returns in the thread, once that is as durable as the disk is.

        Whoever is cancelled meanwhile learns nothing of it; the work is done all the same. Raises
        `JournalError` when it was not done, or may not have been. *over* is called in the thread
        when either is certain.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._submit(_Call(work, writes, future, over))
        return await future

    def post(
        self, work: Callable[[sqlite3.Connection], object], over: Callable[[], None] | None = None
    ) -> None:
        """Have *work* write soon, before all that is asked for later; nobody is told how it ends.

        Raises `JournalError` when there is no thread to do it.
        """
        loop = asyncio.get_running_loop()
        self._require_own_process()
        with self._door:
            self._require_open()
            self._posted.append(_Call(work, writes=True, over=over))
        if self._alarm is not loop:
            self._alarm = loop
            loop.call_later(LINGER, self._hand_over)

    def _hand_over(self) -> None:
        self._alarm = None
        with self._door:
            self._put_posted()

    async def stop(self) -> None:
        """Carry out what waits, and close the store."""
        if os.getpid() != self._pid:  # a fork: the thread is in the other process
            return
        with self._door:
            if not self._closed:
                self._closed = _CLOSED
                self._put_posted()
                self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _submit(self, call: _Call) -> None:
        self._require_own_process()
        with self._door:
            self._require_open()
            self._put_posted()
            self._queue.put(call)

    def _require_own_process(self) -> None:
        # Before the door: a fork may have copied it while it was held.
        if os.getpid() != self._pid:
            raise JournalError(f"{self._name}: {_FORKED}")

    def _require_open(self) -> None:
        if self._closed:
            raise JournalError(f"{self._name}: {self._closed}")

    def _put_posted(self) -> None:
        for call in self._posted:
            self._queue.put(call)
        self._posted.clear()

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        problem = _ENDED
        try:
            self._open_and_serve()
        except BaseException as error:  # noqa: BLE001 - whoever waits is to be told, whatever it is
            problem = self._store.explain(error)
        with self._door:
            self._closed = self._closed or problem
            self._put_posted()
        left = self._take(self._queue.qsize())
        for call in left:
            call.problem = problem
        _answer(self._name, left)

    def _open_and_serve(self) -> None:
        database = self._store.open()
        try:
            self._serve(database)
        finally:
            self._store.close(database)

    def _serve(self, database: sqlite3.Connection) -> None:
        while (first := self._queue.get()) is not None:
            self._busy = True
            batch = [first, *self._take(min(self._queue.qsize(), MOST - 1))]
            try:
                self._carry_out(database, batch)
            finally:
                # Before those who wait are woken: they may then read without the thread.
                self._busy = False
                _answer(self._name, batch)

    def _take(self, count: int) -> list[_Call]:
        """Return the next calls, up to the end of the queue; leave that in it."""
        taken: list[_Call] = []
        for _ in range(count):
            call = self._queue.get()
            if call is None:
                self._queue.put(None)
                break
            taken.append(call)
        return taken

    def _carry_out(self, database: sqlite3.Connection, batch: Sequence[_Call]) -> None:
        try:
            if any(call.writes for call in batch):
                problems = self._in_transaction(database, batch)
            else:
                problems = _work(database, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may take it for a success
            problems = [self._store.explain(error)] * len(batch)
        for call, problem in zip(batch, problems, strict=True):
            call.problem = problem

    def _in_transaction(self, database: sqlite3.Connection, batch: Sequence[_Call]) -> list[str]:
        try:
            self._store.begin(database)
            problems = _work(database, batch)
            # When the disk fails in here, the outcome is unknown: what was written is invisible
            # from now on and the next commit goes over it, yet a process that is killed before
            # that may leave it to be found. It is reported as not stored. That is the safe
            # reading: who could not write down that he sends does not send, and who could not
            # write down an answer finds his row still sending, and looks the answer up.
            database.execute("COMMIT")
            self._store.committed()
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
        return problems


def _work(database: sqlite3.Connection, batch: Sequence[_Call]) -> list[str]:
    return [_do(call, database) for call in batch]


def _do(call: _Call, database: sqlite3.Connection) -> str:
    """Do one thing; return why it alone cannot be done, if so."""
    try:
        call.result = call.work(database)
    except JournalError as error:
        return error.message
    except UnicodeEncodeError as error:
        # Nothing has been executed: the text did not get as far as the database.
        return f"{error.object!r} holds a lone surrogate, which UTF-8 cannot write"
    return ""


def _answer(name: str, batch: Sequence[_Call]) -> None:
    """Tell everybody who still waits: one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Call]] = {}
    for call in batch:
        if call.over is not None:
            call.over()
        if call.future is not None:
            by_loop.setdefault(call.future.get_loop(), []).append(call)
    for loop, calls in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there
            loop.call_soon_threadsafe(_settle, name, calls)


def _settle(name: str, calls: Sequence[_Call]) -> None:
    for call in calls:
        future = call.future
        if future is None or future.done():
            continue
        if call.problem:
            future.set_exception(JournalError(f"{name}: {call.problem}"))
        else:
            future.set_result(call.result)

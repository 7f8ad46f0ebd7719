"""The rows of a file, handed to workers and followed until they end, or nobody follows any more.

However that ends, every row of the file is reported once. What was handed over is carried out
whether or not somebody follows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.jobs.journal_results import is_final, result_of_entry, unfinished
from sigmamind_async.cli.jobs.operations import Report, bad_row_result, fault_of, skipped_result
from sigmamind_async.cli.jobs.supervisor import Supervision
from sigmamind_async.cli.output.events import RowResult, StopReason
from sigmamind_async.cli.rows import BadRow, Row
from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row as Entry
from sigmamind_async.provisioning.row import State

if TYPE_CHECKING:  # it needs an extra
    from sigmamind_async.workers import Queue

CHUNK: Final = 500
"""Rows that are handed over in one transaction."""
WINDOW: Final = 32
"""Rows that are looked at from the first on, and as many in turn from all: workers begin with the
oldest, and ten thousand rows are not read anew for each that ends."""
PAUSES: Final = (0.2, 2.0)
"""Seconds between two looks: the first doubles up to the last while nothing happens."""
IDLE: Final = 10.0
"""Seconds in which nothing happens before a person is told so."""


@attrs.define(kw_only=True)
class QueueJob:
    """One file, handed over and followed."""

    queue: Queue
    journal: Journal
    account: str
    rows: Iterator[Row | BadRow]
    report: Report
    patience: float
    """Seconds for which rows are followed of which all are unconfirmed."""
    on_stop: Callable[[StopReason, int], None]
    """Told once why the job ends early, and how many rows are left to the workers."""
    on_wait: Callable[[int], None]
    """Told once that everything left is unconfirmed, and how many rows are."""
    on_idle: Callable[[], None]
    """Told once that nothing happens."""
    on_broken: Callable[[JournalError], None]
    """Told why the journal cannot be read any more."""
    keep_going: Callable[[], bool] = lambda: True
    progress: Progress = attrs.field(factory=Progress)
    _waiting: dict[str, Row] = attrs.field(factory=dict[str, Row])
    """Rows that were handed over and have not ended."""
    _seen: dict[str, Entry] = attrs.field(factory=dict[str, Entry])
    """The latest of each."""
    _place: int = 0
    _moved: float = 0.0
    _all_in_doubt_since: float | None = None
    _told_idle: bool = False
    _end: asyncio.Event = attrs.field(factory=asyncio.Event)
    _supervision: Supervision | None = None

    @property
    def stopped(self) -> StopReason | None:
        """Why it ended early, if it did."""
        return None if self._supervision is None else self._supervision.stopped

    async def run(self) -> None:
        """Hand all rows over, and follow them."""
        self.progress.started = self._moved = self.progress.clock()
        self._supervision = supervision = Supervision(
            stop_job=self._end.set,
            on_stop=lambda why: self.on_stop(why, len(self._waiting)),
            on_wait=self.on_wait,
            awaited=self._doubtful,
            admissions=[],
            patience=self.patience,
            progress=self.progress,
            keep_going=self.keep_going,
        )
        try:
            await supervision.over(self._carried_out(supervision))
        finally:
            self._report_rest()

    async def _carried_out(self, supervision: Supervision) -> None:
        try:
            await self._hand_over()
            await self._follow()
        except JournalError as error:
            self.on_broken(error)
            supervision.stop("journal_unusable")

    # --- handing over ------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        good = self._good_rows()
        while not self._end.is_set() and (some := [*islice(good, CHUNK)]):
            await self._enter({row.id or "": row for row in some})

    def _good_rows(self) -> Iterator[Row]:
        """Yield the rows that can be sent; the others have failed already."""
        for row in self.rows:
            if isinstance(row, BadRow):
                self._report(bad_row_result(row))
            else:
                yield row

    async def _enter(self, some: dict[str, Row]) -> None:
        """Enqueue *some* rows; one that the journal refuses fails alone."""
        # Before it is asked: a lost answer may have been a yes.
        self._waiting |= some
        while some:
            try:
                entries = await self.queue.enqueue(
                    (op_id, row.value) for op_id, row in some.items()
                )
            except JournalError as error:
                if error.op_id not in some:
                    raise
                row = some.pop(error.op_id)
                self._ended(row, _refused(row, error))
            else:
                self._heed(dict(zip(some, entries, strict=True)), earlier=True)
                return

    # --- following ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        shortest, longest = PAUSES
        pause = shortest
        while self._waiting and not self._end.is_set() and not self._out_of_patience():
            moved = await self._look()
            if moved >= WINDOW // 2:
                continue  # more of them will have ended meanwhile
            pause = shortest if moved else min(2 * pause, longest)
            self._tell_if_idle(moved)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._end.wait()

    async def _look(self) -> int:
        """Report which rows have ended; return how many got further."""
        ids = self._window()
        found = await asyncio.gather(*(self.journal.get(self.account, op_id) for op_id in ids))
        return self._heed({op_id: entry for op_id, entry in zip(ids, found, strict=True) if entry})

    def _window(self) -> Sequence[str]:
        """Return the ids of the rows to look at: the first ones, and some of the others."""
        ids = [*self._waiting]
        first, others = ids[:WINDOW], ids[WINDOW:]
        start = self._place if self._place < len(others) else 0
        self._place = start + WINDOW
        return first + others[start : self._place]

    def _heed(self, entries: Mapping[str, Entry], *, earlier: bool = False) -> int:
        moved = 0
        for op_id, entry in entries.items():
            before = self._seen.get(op_id)
            moved += before is None or before.version != entry.version
            self._seen[op_id] = entry
            if is_final(entry):
                self._ended(self._waiting[op_id], self._result(op_id, earlier=earlier))
        return moved

    def _result(self, op_id: str, *, earlier: bool = False) -> RowResult:
        told = result_of_entry(self._seen[op_id], skipped_result(self._waiting[op_id]))
        return attrs.evolve(
            told,
            elapsed_ms=0
            if earlier
            else round(1000 * (self.progress.clock() - (self.progress.started or 0.0))),
            attempts=0 if earlier else told.attempts,
            already_done=earlier and told.status == "done",
        )

    def _ended(self, row: Row, result: RowResult) -> None:
        del self._waiting[row.id or ""]
        self._seen.pop(row.id or "", None)
        self._report(result)

    def _report(self, result: RowResult) -> None:
        self.progress.count(result.status)
        self.report(result)

    # --- waiting -----------------------------------------------------------------------------

    def _doubtful(self) -> int:
        """Return how many rows are unconfirmed, once nothing else is left."""
        states = [self._seen[op_id].state for op_id in self._waiting if op_id in self._seen]
        doubtful = sum(state is State.UNCONFIRMED for state in states)
        return doubtful if doubtful == len(self._waiting) else 0

    def _out_of_patience(self) -> bool:
        now = self.progress.clock()
        if not self._doubtful():
            self._all_in_doubt_since = None
            return False
        if self._all_in_doubt_since is None:
            self._all_in_doubt_since = now
        return now - self._all_in_doubt_since > self.patience

    def _tell_if_idle(self, moved: int) -> None:
        now = self.progress.clock()
        if moved or self._doubtful():
            self._moved = now
        elif now - self._moved > IDLE and not self._told_idle:
            self._told_idle = True
            self.on_idle()

    def _report_rest(self) -> None:
        """Report the rows that are left to the workers, and those that were not handed over."""
        for op_id, row in [*self._waiting.items()]:
            entry = self._seen.get(op_id)
            state = None if entry is None or self.stopped else entry.state
            self._ended(
                row,
                self._result(op_id)
                if state is State.UNCONFIRMED
                else unfinished(skipped_result(row)),
            )
        for row in self._good_rows() if self.stopped else ():
            self._report(skipped_result(row))


def _refused(row: Row, error: JournalError) -> RowResult:
    return attrs.evolve(skipped_result(row), status="failed", error=fault_of(error, row))

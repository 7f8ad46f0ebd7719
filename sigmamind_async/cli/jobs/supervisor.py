"""Watches over a job while it runs: Ctrl-C, a closed stdout, a platform that does not answer.

A job can end early in two ways. `stop` takes up no more rows and settles those under way. `cancel`
ends those as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.output.events import StopReason
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    InsufficientFundsError,
    JournalError,
    SigmaMindError,
)
from sigmamind_async.limiter.gate import Admission

TICK = 0.1
"""Seconds between two looks at how the job goes."""

WAITING = 2.0
"""Seconds after the last row has ended before a person is told what the job still waits for."""


@attrs.define(kw_only=True)
class Supervision:
    """Ends a job early where it has to."""

    stop_job: Callable[[], None]
    """Lets the job take up no more rows."""
    on_stop: Callable[[StopReason], None]
    """Told once why the job ends early."""
    on_wait: Callable[[int], None]
    """Told once that every row has been sent, and how many of them are still unconfirmed."""
    awaited: Callable[[], int]
    """Tells how many rows are unconfirmed once nothing else is left of the job; 0 before."""
    admissions: Sequence[Admission]
    """The clients' own: they tell whether the platforms can be reached."""
    patience: float
    """Seconds without a single answer after which the job gives up."""
    progress: Progress
    keep_going: Callable[[], bool] = lambda: True
    stopped_by: Callable[[], SigmaMindError | None] = lambda: None
    """Tells the error that has stopped the job, where one has: every other row would meet it."""
    stopped: StopReason | None = None
    refusal: AuthenticationError | None = None
    """That of the latest row, if the key was refused for it."""
    _task: asyncio.Task[None] | None = None
    _cancelled: bool = False
    _quiet_since: float | None = None
    _waiting: bool = False

    async def over(self, job: Coroutine[Any, Any, None]) -> None:
        """Run *job* to its end, early or not; what it raises is raised."""
        with on_interrupt(self.interrupt):
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._task = task = tasks.create_task(job)
                    while not task.done():
                        self._look()
                        await asyncio.wait([task], timeout=TICK)
                    self._conclude()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None

    def interrupt(self) -> None:
        """Stop at the first call, cancel at the second."""
        if self.stopped is None:
            self.stop("interrupted")
        else:
            self.cancel()

    def stop(self, why: StopReason) -> None:
        """Take up no more rows."""
        if self.stopped is None:
            self.stopped = why
            self.stop_job()
            self.on_stop(why)

    def cancel(self) -> None:
        """End the rows under way as well. Once: a second time would cut their ending short."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def heed(self, error: BaseException | None) -> None:
        """Take note of how a row ended."""
        self.refusal = error if isinstance(error, AuthenticationError) else None

    def _conclude(self) -> None:
        """Say why nothing was done, where all rows were too few to stop the job by that."""
        self._heed()
        if self.refusal is not None and not self.progress.done:
            self.stop("key_refused")

    def _heed(self) -> None:
        """Note that the job stopped early."""
        error = self.stopped_by()
        if error is not None:
            self.stop(word_for(error))

    def _look(self) -> None:
        self._heed()
        if not self.keep_going():
            self.stop("output_closed")
        if is_unreachable(self.admissions, self.progress, self.patience):
            self.stop("platform_unreachable")
            self.cancel()
        self._look_for_a_wait()

    def _look_for_a_wait(self) -> None:
        """Say what the job is waiting for once everything left of it is unconfirmed."""
        now, doubtful = self.progress.clock(), self.awaited()
        if self._waiting or not doubtful:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since > WAITING:
            self._waiting = True
            self.on_wait(doubtful)


def word_for(error: SigmaMindError) -> StopReason:
    """Return why a job ended early that *error* has stopped."""
    if isinstance(error, JournalError):
        return "journal_unusable"
    if isinstance(error, APIConnectionError):
        return "platform_unreachable"
    if error.not_from_api:
        return "not_the_api"
    return "cannot_pay" if isinstance(error, InsufficientFundsError) else "key_refused"


def is_unreachable(admissions: Sequence[Admission], progress: Progress, patience: float) -> bool:
    """Return whether a platform has failed for *patience* seconds, and none has answered."""
    if progress.started is None or all(each.open_until is None for each in admissions):
        return False
    alive = max(progress.started, *(each.last_success or 0.0 for each in admissions))
    return progress.clock() - alive > patience

"""A round of test calls: each number has one turn, until all had it or somebody ends the round."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest

import attrs

from sigmamind_async.bulk import BulkRun, Outcome, Progress, Status
from sigmamind_async.cli.jobs.test_call import (
    NOT_TAKEN_UP,
    CallTerms,
    Trial,
    skipped,
    verification_of,
)
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import (
    StopReason,
    TestStatus,
    Verification,
    VerificationList,
    VerificationSummary,
)
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, PhoneNumber


def by_turns(numbers: Iterable[PhoneNumber]) -> list[PhoneNumber]:
    """Return *numbers* so that those that ring one telephone stand far apart."""
    lines: defaultdict[str | None, list[PhoneNumber]] = defaultdict(list)
    for number in numbers:
        lines[number.outbound_phone_number].append(number)
    rounds = chain.from_iterable(zip_longest(*lines.values()))
    return [number for number in rounds if number is not None]


def trials_of(
    client: SigmaMind, numbers: Iterable[PhoneNumber], terms: CallTerms, per_destination: int
) -> list[Trial]:
    """Return a test call for each of *numbers*, in the order in which they are to be placed."""
    lines = defaultdict[str | None, asyncio.Semaphore](lambda: asyncio.Semaphore(per_destination))
    return [
        Trial(client=client, number=number, terms=terms, line=lines[number.outbound_phone_number])
        for number in by_turns(numbers)
    ]


_LAST_WHAT_MATTERS = ("skipped", "passed", "unconfirmed", "failed")
"""The table's order: its end is what stays on the screen."""

_UNPROVEN: Mapping[TestStatus, Status] = {"failed": "failed", "unconfirmed": "unconfirmed"}
"""What a call that was followed to its end counts as, if it did not pass."""

_STOPPING: dict[StopReason, str] = {
    "interrupted": "stopping: {under_way} calls are under way and followed to their end;"
    " Ctrl-C again leaves them",
    "output_closed": "stopping: stdout takes no more results; {under_way} calls are under way",
}


@attrs.define(kw_only=True)
class Examination:
    """One round of test calls: each number has one turn, and is reported once."""

    trials: list[Trial]
    output: Output
    width: int
    """Most calls under way at once."""
    traffic: Traffic
    """The client's own count of requests."""
    progress: Progress = attrs.field(factory=Progress)
    stopped: StopReason | None = None
    _results: list[Verification] = attrs.field(factory=list[Verification])
    _followed: int = 0
    """Calls that were under way and are no more."""
    _bulk: BulkRun[Trial, Call] | None = None
    _work: asyncio.Task[None] | None = None

    async def carry_out(self) -> None:
        """Place all calls and report how each ended."""
        queue = iter(self.trials)
        self.progress.total = len(self.trials)
        self._bulk = bulk = BulkRun(_as_it_is, queue, width=self.width, progress=self.progress)
        with self.output.progress(self.progress, self.traffic), on_interrupt(self.interrupt):
            async with asyncio.TaskGroup() as tasks:
                self._work = tasks.create_task(self._consume(bulk))
        for outcome in bulk.undelivered:
            self._settle(outcome)
        for trial in queue:
            self.report(skipped(trial.number, NOT_TAKEN_UP))

    def interrupt(self) -> None:
        """Take up no more numbers at the first call, leave those under way at the second."""
        if self.stopped is None:
            self._stop("interrupted")
        elif self._work is not None:
            self._work.cancel()

    def report(self, result: Verification) -> None:
        """Show *result*, on a terminal with all the others at the end."""
        self._results.append(result)
        if not self.output.is_terminal:
            self.output.show(result)

    def conclude(self) -> VerificationSummary:
        """Show what there is to show at the end, and return the sum of it."""
        ends = Counter(result.status for result in self._results)
        summary = VerificationSummary(
            numbers=ends.total(),
            passed=ends["passed"],
            failed=ends["failed"],
            unconfirmed=ends["unconfirmed"],
            skipped=ends["skipped"],
            stopped=self.stopped,
        )
        if self.output.is_terminal:
            results = sorted(
                self._results, key=lambda result: _LAST_WHAT_MATTERS.index(result.status)
            )
            self.output.show(VerificationList(tuple(results)))
        self.output.show(summary)
        return summary

    async def _consume(self, bulk: BulkRun[Trial, Call]) -> None:
        async for outcome in bulk:
            self._settle(outcome)
            if self.output.closed and self.stopped is None:
                self._stop("output_closed")

    def _stop(self, why: StopReason) -> None:
        if self._bulk is not None:
            self.stopped = why
            self._bulk.stop()
            under_way = sum(trial.may_have_acted for trial in self.trials) - self._followed
            self.output.log(_STOPPING[why].format(under_way=under_way))

    def _settle(self, outcome: Outcome[Trial, Call]) -> None:
        result = verification_of(outcome)
        if outcome.status == "done" and result.status in _UNPROVEN:
            self.progress.recount("done", _UNPROVEN[result.status])
        self._followed += outcome.value.may_have_acted
        self.report(result)


def _as_it_is(trial: Trial) -> Trial:
    return trial

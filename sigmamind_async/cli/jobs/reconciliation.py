"""What is done about rows that are not settled: a look at the account, or a decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from sigmamind_async.cli.accounts import AnyClient, new_provisioner
from sigmamind_async.cli.errors import CommandError, exit_for, message_of, sentence_for
from sigmamind_async.cli.journal_location import FileJournal, JournalLocation
from sigmamind_async.cli.options import SettlementOptions, settle_words
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import StateChanged
from sigmamind_async.cli.output.journal_status import (
    journal_status_of,
    row_id_of,
    settles_at,
    state_name,
    without_call,
)
from sigmamind_async.cli.output.text import Line, count_of, format_clock, format_timestamp, prose
from sigmamind_async.errors import JournalError, SigmaMindError, suggest
from sigmamind_async.provisioning.journal.protocol import Journal, Status, clock_for
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State

LOOK_EVERY: Final = (1.0, 30.0)
"""Shortest and longest pause between two listings while waiting, in seconds."""
MOST_SUGGESTED: Final = 10


@attrs.frozen(kw_only=True)
class Decision:
    """What an operator decided about some rows, or set as a rule for all."""

    only: tuple[str, ...]
    """The rows, by their ids in the file or in the journal; none for a rule."""
    adopt: str | None
    abandon: bool
    settlement: SettlementOptions
    wait: bool

    def check(self) -> None:
        """Raise `CommandError` unless the options go together."""
        if not self.only:
            if self.adopt is not None or self.abandon:
                raise CommandError(
                    "--adopt and --abandon are about one row: name it with --only ROW"
                )
            return
        settlement = self.settlement
        ways = (self.adopt is not None, settlement.retry_unconfirmed, self.abandon)
        if sum((*ways, settlement.release_duplicates)) != 1:
            raise CommandError(
                "--only ROW needs one of --adopt NUMBER, --retry-unconfirmed, --abandon,"
                " --release-duplicates"
            )
        if self.adopt is not None and len(self.only) > 1:
            raise CommandError("one number is adopted for one row: name a single --only ROW")
        if self.wait:
            raise CommandError("--only and --wait exclude each other: decide first, then wait")

    def choose(self, rows: Sequence[Row], journal: str) -> dict[str, list[Row]]:
        """Return those of *rows* that it is about, by account.

        Raises `CommandError` for a row that is not there, or has nothing to decide.
        """
        chosen: dict[str, list[Row]] = {}
        for word in self.only:
            found = [row for row in rows if word in {row.op_id, row_id_of(row.op_id)}]
            if not found:
                names = sorted({row_id_of(row.op_id) for row in rows})
                hint = suggest(word, names)
                shown = hint if "did you mean" in hint or len(names) <= MOST_SUGGESTED else ""
                raise CommandError(f"{journal} has no row {word!r}{shown}")
            undecided = [row for row in found if row.state in UNSETTLED | NEED_DECISION]
            if not undecided:
                name = state_name(found[-1].state)
                raise CommandError(f"{word} is {name}, so there is nothing to decide")
            for row in undecided:
                chosen.setdefault(row.account, []).append(row)
        return chosen


async def accept_restored(place: JournalLocation) -> None:
    """Take the journal for the one that it was, although it is older than that."""
    if not isinstance(place, FileJournal):
        raise CommandError("--restored is for a journal in a file; leave it out with a database")
    async with SqliteJournal(place.path, restored=True):
        pass  # what it holds from now on is what is known of it


@attrs.define
class Reconciliation:
    """The work on the rows of one account."""

    place: JournalLocation
    decision: Decision
    client: AnyClient
    output: Output
    _logged: str = ""
    _now: Callable[[], float] = time.time
    """The clock of the journal, where it has one."""

    @property
    def platform(self) -> str:
        """The account, by the name of its platform."""
        return self.client.platform.name

    async def run(self, op_ids: Sequence[str]) -> bool:
        """Do it, show what changed and what is left, and return whether all is settled.

        The decision is about the operations *op_ids*, or a rule for all.
        """
        rule = self.decision.settlement
        if self.decision.only:
            rule = attrs.evolve(rule, retry_unconfirmed=False, release_duplicates=False)
        async with self.place.opened() as journal, self.client:
            self._now = clock_for(journal, time.time)
            provisioner = new_provisioner(self.client, journal, rule)
            if rule.accept_key:
                await provisioner.accept_key()
            if self.decision.only:
                for op_id in op_ids:
                    await self._decide(provisioner, journal, op_id)
            else:
                await self._settle(provisioner, journal)
            status = await provisioner.status()
            self.output.show(journal_status_of(status, self.place, self.platform, self._now()))
            if rule.retry_unconfirmed and status.need_decision:
                self.output.log(
                    "--retry-unconfirmed alone decides nothing about rows that need a decision"
                    " already: name each with --only ROW"
                )
        return status.is_settled

    # --- what can be settled without a decision ----------------------------------------------

    async def _settle(self, provisioner: Provisioner, journal: Journal) -> None:
        status = await self._look(provisioner, journal)
        shortest, longest = LOOK_EVERY
        settle_time = self.decision.settlement.settle_time
        pause = shortest
        while self.decision.wait and status.unconfirmed:
            until = max(settles_at(row, settle_time) for row in status.unconfirmed)
            rows = f"{count_of(len(status.unconfirmed), 'row is', 'rows are')} unconfirmed"
            if not self.output.has_live_view:
                at = format_timestamp(until)
                self._log_waiting(f"{rows}; the settle time ends at {at}; Ctrl-C loses nothing")
            with self.output.live(partial(self._countdown, rows, until)):
                await asyncio.sleep(min(pause, max(shortest, until - self._now())))
            pause = min(2 * pause, longest)
            try:
                status = await self._look(provisioner, journal)
            except SigmaMindError as error:
                if not error.retryable:
                    raise
                self.output.log(f"{sentence_for(error)}; looking again")

    def _countdown(self, rows: str, until: float, width: int) -> list[Line]:
        left = until - self._now()
        ends = f"settle time ends in {format_clock(left)}" if left > 0 else "looking"
        return prose(f"{rows}, {ends}; Ctrl-C loses nothing", width, "unconfirmed")

    async def _look(self, provisioner: Provisioner, journal: Journal) -> Status:
        """Read the account, and show which rows changed by that."""
        before = _undecided(await provisioner.status())
        await provisioner.reconcile()
        status = await provisioner.sweep()
        await self._show_changes(journal, before, _undecided(status))
        return status

    def _log_waiting(self, text: str) -> None:
        if text != self._logged:
            self.output.log(text)
            self._logged = text

    async def _show_changes(
        self, journal: Journal, before: Mapping[str, Row], after: Mapping[str, Row]
    ) -> None:
        for op_id in dict.fromkeys((*before, *after)):
            now = after.get(op_id) or await journal.get(self.platform, op_id)
            was = before.get(op_id)
            if now is not None and (was is None or was.state is not now.state):
                self._show_change(State.DONE if was is None else was.state, now)

    def _show_change(self, before: State, row: Row) -> None:
        name = row_id_of(row.op_id)
        message = without_call(row.history[-1].text) if row.history else ""
        self.output.show(StateChanged(row=name, before=before, after=row.state, message=message))
        if row.state is State.PLANNED:
            sender = "a worker" if row.enqueued else "the next sigmamind apply"
            self.output.log(f"{name} is sent by {sender}, not by this command")

    # --- what an operator decided ---------------------------------------------------------------

    async def _decide(self, provisioner: Provisioner, journal: Journal, op_id: str) -> None:
        decision, name = self.decision, row_id_of(op_id)
        before = await self._row(journal, op_id)
        try:
            if decision.adopt is not None:
                row = await provisioner.adopt(op_id, decision.adopt)
            elif decision.settlement.release_duplicates:
                row = await provisioner.release_duplicates(op_id)
            else:
                # A number that has turned up in the meantime makes the decision void.
                await provisioner.sweep()
                row = await self._row(journal, op_id)
                if row.state is before.state:
                    row = await self._retry_or_abandon(provisioner, row)
                else:
                    self.output.log(f"{name}: it has turned up, so there is nothing to decide")
        except JournalError as error:
            text = message_of(error).replace(op_id, name)
            raise CommandError(text, exit_for(error)) from None
        self._show_change(before.state, row)

    async def _retry_or_abandon(self, provisioner: Provisioner, row: Row) -> Row:
        if self.decision.abandon:
            return await provisioner.abandon(row.op_id)
        if row.state in UNSETTLED:
            settle_time = self.decision.settlement.settle_time
            words = ("--wait", *settle_words(settle_time))
            raise CommandError(
                f"{row_id_of(row.op_id)} may still turn up until"
                f" {format_timestamp(settles_at(row, settle_time))}: wait for it with"
                f" {self.place.command('reconcile', self.platform, *words)}"
            )
        return await provisioner.retry_unconfirmed(row.op_id)

    async def _row(self, journal: Journal, op_id: str) -> Row:
        row = await journal.get(self.platform, op_id)
        if row is None:  # another process removed it since
            raise CommandError(f"{self.place.name} has no row {row_id_of(op_id)!r}")
        return row


def _undecided(status: Status) -> dict[str, Row]:
    return {row.op_id: row for row in (*status.unconfirmed, *status.need_decision)}

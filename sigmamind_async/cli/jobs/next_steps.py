"""What is said about a job once it has ended: which rows are not settled, and what settles them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from sigmamind_async.cli.jobs.journal_results import UNFINISHED
from sigmamind_async.cli.jobs.operations import DECIDE
from sigmamind_async.cli.journal_location import Place
from sigmamind_async.cli.output.events import RowResult, StopReason
from sigmamind_async.cli.output.text import ranges_text
from sigmamind_async.cli.vendors import Platform

_STOPPING: Final[dict[StopReason, str]] = {
    "interrupted": "stopping: {rows} under way and will be settled;"
    " Ctrl-C again leaves them unconfirmed",
    "key_refused": "stopping: the platform refuses the key, see {key}; {rows} under way",
    "cannot_pay": "stopping: the account cannot pay; {rows} under way",
    "not_the_api": "stopping: what answers is not the API; {rows} under way",
    "platform_unreachable": "stopping: the platform cannot be reached",
    "journal_unusable": "stopping: the journal takes no more entries, so nothing more is sent;"
    " {rows} under way",
    "output_closed": "stopping: stdout takes no more results; {rows} under way",
}


def stopping_text(why: StopReason, key: str, under_way: int | None = None, reason: str = "") -> str:
    """Return what is said when a job ends early.

    *key* is the variable that holds the API key; *reason* is the job's own sentence, if it has one.
    """
    rows = "some rows may be" if under_way is None else f"{under_way} rows are"
    text = _STOPPING[why].format(rows=rows, key=key)
    return f"{text}. {reason}" if reason else text


def waiting_text(doubtful: int, patience: float) -> str:
    """Return what a job waits for once all its rows have been sent."""
    return (
        f"{doubtful} rows are unconfirmed and looked for in the account for"
        f" {patience:.0f} s at most; Ctrl-C leaves them unconfirmed"
    )


@attrs.define(kw_only=True)
class Aftermath:
    """Collects how rows ended, and says what is left to do."""

    place: Place
    platform: Platform | None
    """Whose rows they are; `None` where they are of several platforms."""
    _unconfirmed: list[int] = attrs.field(factory=list[int])
    _undecided: list[int] = attrs.field(factory=list[int])
    _left: list[int] = attrs.field(factory=list[int])
    """Left to the workers."""
    _skipped: list[int] = attrs.field(factory=list[int])
    _withheld: dict[str, list[int]] = attrs.field(factory=dict[str, list[int]])
    earlier: int = 0
    """Rows that an earlier run carried out."""

    def add(self, result: RowResult) -> None:
        """Note how a row ended."""
        self.earlier += result.already_done
        if result.error is not None and result.error.hint == DECIDE:
            self._undecided.append(result.line)
        elif result.error is not None and result.error.type == UNFINISHED:
            self._left.append(result.line)
        elif result.status == "unconfirmed":
            self._unconfirmed.append(result.line)
        elif result.status == "skipped" and result.note:
            self._withheld.setdefault(result.note, []).append(result.line)
        elif result.status == "skipped":
            self._skipped.append(result.line)

    def commands_for(self, result: RowResult) -> tuple[str, ...]:
        """Return the commands that settle a row."""
        if result.error is not None and result.error.hint == DECIDE:
            return (self.command("status"),)
        if result.status == "unconfirmed":
            return (self.command("reconcile", "--wait"), self.command("status"))
        return ()

    def say(self, say: Callable[[str], None], stopped: StopReason | None) -> None:
        """Tell which rows are not settled, and which command settles them."""
        if self.earlier:
            say(f"done by an earlier run, so not sent again: {self.earlier} rows")
        for why, lines in self._withheld.items():
            say(f"left out: {ranges_text(lines)}: {why}")
        if self._left:
            say(f"left to the workers, who go on: {ranges_text(self._left)}")
            say(f"  how far they are: {self.command('status')}")
        if self._skipped:
            say(f"not sent: {ranges_text(self._skipped)}")
        if self._unconfirmed:
            say(f"unconfirmed, may have been carried out: {ranges_text(self._unconfirmed)}")
            say(f"  what is known of them:  {self.command('status')}")
            say(f"  look until it is known: {self.command('reconcile', '--wait')}")
        if self._undecided:
            say(f"needs a decision: {ranges_text(self._undecided)}")
            say(f"  {self.command('status')}")
        if self._unconfirmed or self._skipped or stopped:
            say("to go on, run the same command again: what is done is not sent again")

    def command(self, name: str, *words: str) -> str:
        """Return the command *name* about these rows."""
        return self.place.command(
            name, None if self.platform is None else self.platform.name, *words
        )

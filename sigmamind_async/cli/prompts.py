"""Asks before money is spent or a number is released; nothing is sent without an answer."""

from __future__ import annotations

import sys

import attrs

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.help import fill
from sigmamind_async.cli.output.text import count_of


@attrs.frozen
class Approval:
    """What a person has agreed to on the command line, or is asked for."""

    yes: bool
    ask: bool
    """Whether a person can be asked."""

    def check(self, what: str, answer: str, purpose: str, option: str = "--yes") -> None:
        """Ask whether to do *what*, unless that is agreed to; raise `CommandError` for a no.

        A person is told to type *answer* in order to *purpose*. Where nobody can be asked, *option*
        gives the agreement.
        """
        if self.yes:
            return
        if not self.ask:
            raise CommandError(f"this {what}. Agree with {option}; nothing was sent")
        print(fill(f"This {what}."), file=sys.stderr)
        question = fill(f"Type {answer} to {purpose}, or press Enter to cancel:")
        print(question, end=" ", file=sys.stderr, flush=True)
        try:
            given = sys.stdin.readline().strip()
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the question's line ends with what was typed
            raise CommandError("interrupted; nothing was sent", Exit.INTERRUPTED, page="") from None
        if given != answer:
            raise CommandError("not confirmed; nothing was sent", page="")

    def check_count(self, what: str, count: int, verb: str, option: str = "--yes") -> None:
        """Do the same about *what*, which is to *verb* so many things."""
        if count:
            self.check(what, f"{count:d}", f"{verb} {'it' if count == 1 else 'them'}", option)

    def check_release(self, what: str, answer: str = "release") -> None:
        """Do the same about releasing *what*."""
        self.check(f"releases {what}, permanently", answer, "continue")

    def check_limit(self, name: str, to_buy: int, bought: int, allowed: int | None) -> int:
        """Return the most numbers that the journal may count once *name* has been applied.

        Raises `CommandError` unless *to_buy* more than those *bought* are within what is *allowed*,
        and agreed to or to be asked for.
        """
        total = bought + to_buy
        most = total if allowed is None else allowed
        if not to_buy:
            return most
        before = f" and its journal counts {count_of(bought, 'number')} already" if bought else ""
        what = f"{name} buys {count_of(to_buy, 'number')}{before}"
        if total > most:
            raise CommandError(f"{what}, and --max-purchases allows {most}; nothing was sent")
        if (self.yes and allowed is None) or not (self.yes or self.ask):
            raise CommandError(
                f"{what}: agree with --max-purchases {total} --yes; nothing was sent"
            )
        return most

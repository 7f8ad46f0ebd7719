"""Asks before money is spent or a number is released; nothing is sent without an answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.help import fill
from sigmamind_async.cli.output.text import count_of, ids_text


def is_interactive() -> bool:
    """Return whether a person sits at a terminal and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, answer: str) -> None:
    """Ask *question*, and raise `CommandError` unless a person types *answer*."""
    what, _, how = question.rpartition(". ")
    if what:
        print("\n".join(map(fill, f"{what}.".splitlines())), file=sys.stderr)
    print(fill(f"{how}, or press Enter to cancel:"), end=" ", file=sys.stderr, flush=True)
    try:
        given = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the question's line ends with what was typed
        raise CommandError("interrupted; nothing was sent", Exit.INTERRUPTED, page="") from None
    if given != answer:
        raise CommandError("not confirmed; nothing was sent", page="")


def agree(what: str, count: int, verb: str) -> None:
    """Ask whether to do *what*, which is to *verb* so many things; raise as `confirm` does."""
    them = "it" if count == 1 else "them"
    confirm(f"This {what}. Type {count:d} to {verb} {them}", str(count))


@attrs.frozen(kw_only=True)
class Approval:
    """What a person has agreed to on the command line, or is asked for."""

    max_purchases: int | None = None
    yes: bool = False
    ask: bool = False
    """Whether a person can be asked."""

    def check_limit(self, name: str, to_buy: int, bought: int) -> int:
        """Return the most numbers that the journal may count once *name* has been applied.

        Raises `CommandError` unless *to_buy* more are within it, and agreed to or to be asked for.
        """
        total = bought + to_buy
        most = total if self.max_purchases is None else self.max_purchases
        if not to_buy:
            return most
        before = f" and its journal counts {count_of(bought, 'number')} already" if bought else ""
        what = f"{name} buys {count_of(to_buy, 'number')}{before}"
        if total > most:
            raise CommandError(f"{what}, and --max-purchases allows {most}; nothing was sent")
        if (self.yes and self.max_purchases is None) or not (self.yes or self.ask):
            raise CommandError(
                f"{what}: agree with --max-purchases {total} --yes; nothing was sent"
            )
        return most

    def check_purchases(self, to_buy: int) -> None:
        """Ask whether *to_buy* numbers are to be bought, unless that is agreed to already."""
        if to_buy and not self.yes:
            agree(f"buys {count_of(to_buy, 'number')} and costs money", to_buy, "buy")

    def check_releases(self, name: str, phone_numbers: Sequence[str]) -> None:
        """Ask whether *phone_numbers* are to be released, unless that is agreed to already."""
        count = len(phone_numbers)
        if not count or self.yes:
            return
        what = f"releases {count_of(count, 'number')}, permanently: {ids_text(phone_numbers)}"
        if not self.ask:
            raise CommandError(f"{name} {what}. Agree with --allow-release --yes; nothing was sent")
        agree(what, count, "release")

    def check_release(self, what: str, where: str = "", answer: str = "release") -> None:
        """Ask whether *what* is to be released, unless that is agreed to already."""
        if self.yes:
            return
        if not self.ask:
            raise CommandError(f"releasing {what} needs --yes where there is no terminal")
        confirm(f"This releases {what}{where}, permanently. Type {answer} to continue", answer)

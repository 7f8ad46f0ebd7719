"""What the caller has agreed to spend, or to release; nothing is sent without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.source import Survey


@attrs.frozen(kw_only=True)
class Outlook:
    """What a file asks for beyond what its journal counts as bought."""

    found: Survey
    bought: int = 0
    """Numbers that the journal counts: bought, or perhaps bought."""
    to_buy: int = 0
    """Rows that still buy one."""


@attrs.frozen(kw_only=True)
class Consent:
    """What the caller has agreed to."""

    max_purchases: int | None
    yes: bool
    ask: bool
    """Whether somebody is there to be asked."""

    def limit(self, name: str, outlook: Outlook) -> int:
        """Return how many numbers the journal may count at most once the file is applied.

        Raises `CommandError` unless the purchases that are left are agreed to.
        """
        wanted = outlook.to_buy
        total = outlook.bought + wanted
        most = total if self.max_purchases is None else self.max_purchases
        if not wanted:
            return most
        before = f" and its journal counts {outlook.bought} already" if outlook.bought else ""
        if total > most:
            raise CommandError(
                f"{name} buys {wanted} numbers{before}, --max-purchases allows {most};"
                " nothing was sent"
            )
        if self.yes and self.max_purchases is not None:
            return most
        if self.yes or not self.ask:
            raise CommandError(
                f"{name} buys {wanted} numbers{before}: agree with --max-purchases {total} --yes;"
                " nothing was sent"
            )
        found = outlook.found
        question = f"{name}: {found.rows} rows, {found.bad} of them bad. It buys {wanted} numbers"
        if typed(f"{question}{before}.\nThat costs money. Type {wanted} to go on: ") != str(wanted):
            raise CommandError("not confirmed; nothing was sent")
        return most

    def check_releases(self, name: str, phone_numbers: Sequence[str]) -> None:
        """Raise `CommandError` unless releasing *phone_numbers* is agreed to."""
        count = len(phone_numbers)
        if not count or self.yes:
            return
        numbers = "number" if count == 1 else "numbers"
        which = f"{count} {numbers}, permanently: {_some(phone_numbers)}"
        if not self.ask:
            raise CommandError(
                f"{name} releases {which}. Agree with --allow-release --yes; nothing was sent"
            )
        if typed(f"{name} releases {which}.\nType {count} to go on: ") != str(count):
            raise CommandError("not confirmed; nothing was sent")

    def check_release(self, what: str) -> None:
        """Raise `CommandError` unless releasing *what* is agreed to."""
        if self.yes:
            return
        if not self.ask:
            raise CommandError(f"releasing {what} needs --yes where there is no terminal")
        if typed(f"Releasing {what} is permanent. Type release to go on: ") != "release":
            raise CommandError("not confirmed; nothing was sent")


def _some(texts: Sequence[str], most: int = 5) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def can_ask() -> bool:
    """Return whether somebody sits at a terminal and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def typed(question: str) -> str:
    """Ask on the terminal and return the answer."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()

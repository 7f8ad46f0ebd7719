"""Operations of an account wait while the platform refuses them for what all have in common.

A job over many rows ends there, and says so. A worker has no end: it lets the account rest, and one
operation now and then finds out whether the key, or the money, is there again.
"""

from __future__ import annotations

import logging
from typing import Final

import attrs

from sigmamind_async.bulk import BY_DEFAULT, Streak
from sigmamind_async.errors import SigmaMindError

log = logging.getLogger(__name__)

FIRST: Final = 60.0
"""Seconds of the first rest; each that follows without a success between is twice as long."""
LONGEST: Final = 900.0


@attrs.define(kw_only=True)
class Rest:
    """One account's, in one process. All times in seconds, by one clock of the caller's."""

    account: str
    why: str = ""
    """The refusal because of which it rests; empty while it does not."""
    until: float = 0.0
    _streak: Streak = attrs.field(factory=Streak)
    _length: float = 0.0
    _asks: bool = False
    """Whether one of them is finding out."""

    def over(self, now: float) -> bool:
        """Return whether an operation may begin; the first after a rest is the only one."""
        if not self.why:
            return True
        if now < self.until:
            return False
        self.until, self._asks = now + self._length, True
        return True

    def done(self) -> None:
        """Take note of an operation that was carried out."""
        self.why, self._asks, self._streak.length = "", False, 0

    def failed(self, error: SigmaMindError, now: float) -> None:
        """Take note of one that was not."""
        self._streak.add(error)
        if not self._streak.length:
            self.done()
        elif self._streak.length >= (BY_DEFAULT.in_a_row or 1):
            self._begin(" ".join(str(error).split()), now)

    def _begin(self, why: str, now: float) -> None:
        if self.why and not self._asks:
            return  # it was under way when the rest began
        self._length = min(2 * self._length, LONGEST) if self.why else FIRST
        self.why, self.until, self._asks = why, now + self._length, False
        log.warning(
            "%s: %d operations in a row ended alike, so all others wait %.0f s: %s",
            self.account,
            self._streak.length,
            self._length,
            why,
        )

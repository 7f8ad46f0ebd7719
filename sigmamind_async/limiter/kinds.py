"""Whether all kinds of requests share one limit, or some have their own.

A platform may count purchases apart from updates, and does not say so. As long as nothing speaks
against it all kinds share one pace: then the refusals fall on each kind as often as its requests
do. Where they fall on one kind far more often than that, it gets a pace of its own, and the others
begin anew without what was learned from its refusals.

The doubt is counted as in a sequential test: each refusal weighs by how much likelier it is if that
kind alone is limited, and a kind is parted from the others once that is fifty times likelier.
Where that was chance, the kinds share their limit as two clients would, and each is told of a pause
by itself. Being wrong that way costs little; a longer doubt costs more, because as long as it lasts
a wait that purchases are asked for stops updates, too.

Pure: every method is told the time, in seconds.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict

import attrs

from sigmamind_async.limiter.rate import SLOWEST, AdaptiveRate, Admitted

CERTAIN = math.log(50.0)
"""Weight of the refusals that part a kind from the others."""
_ALONE = 0.95
"""Share of the refusals that fall on a kind that alone is limited."""


@attrs.define
class RateByKind:
    """The pace of each kind of request."""

    common: AdaptiveRate = attrs.field(factory=AdaptiveRate)
    separate: dict[str, AdaptiveRate] = attrs.field(factory=dict[str, AdaptiveRate])
    """Kinds that have a limit of their own."""
    sent: defaultdict[str, int] = attrs.field(factory=lambda: defaultdict[str, int](int))
    """Requests of each kind, since any of those that share the common pace was refused.

    Not those that were answered: of what was sent last, the answers are not there yet.
    """
    _weight: dict[str, float] = attrs.field(factory=dict[str, float])

    def of(self, kind: str) -> AdaptiveRate:
        """Return the pace that requests of this kind keep."""
        return self.separate.get(kind, self.common) if self.separate else self.common

    def copy(self) -> RateByKind:
        """Return what was learned so far, to go back to."""
        separate = {kind: copy.copy(pace) for kind, pace in self.separate.items()}
        common, sent, weight = copy.copy(self.common), self.sent.copy(), self._weight.copy()
        return attrs.evolve(self, common=common, separate=separate, sent=sent, weight=weight)

    def refused(self, now: float, ticket: Admitted, pause: float, jitter: float = 1.0) -> float:
        """Learn that a request was one too many; see `AdaptiveRate.refused`."""
        began, kind = ticket[0], ticket[2]
        pace = self.of(kind)
        if began >= pace.cut and pace is self.common:
            self._update_evidence(kind)
        return pace.refused(now, ticket, pause, jitter)

    def _update_evidence(self, kind: str) -> None:
        """Weigh a refusal, and part its kind from the others if that settles it."""
        sent, self.sent = self.sent, defaultdict(int)
        shared = {each: count for each, count in sent.items() if each not in self.separate}
        if shared.keys() <= {kind}:
            return
        total = sum(shared.values()) + 2
        for each in shared.keys() | self._weight.keys() | {kind}:
            share = (shared.get(each, 0) + 1) / total
            odds = _ALONE / share if each == kind else (1 - _ALONE) / (1 - share)
            weight = self._weight.get(each, 0.0) + math.log(odds)
            self._weight[each] = max(-2.0 * CERTAIN, weight)
        if self._weight[kind] > CERTAIN:
            self._separate(kind, (shared.get(kind, 0) + 1) / total)

    def _separate(self, kind: str, share: float) -> None:
        before, rate = self.common, self.common.rate
        self.separate[kind] = AdaptiveRate(
            rate=None if rate is None else max(SLOWEST, rate * share), width=math.inf
        )
        self.common, self._weight = AdaptiveRate(), {}
        self.common.pause(before.paused_until)  # others may have been told, too
        self.common.capped = before.capped

"""Finds out whether all kinds of requests share one limit, or some have their own.

The kind of a request is its HTTP method, because a platform may count purchases apart from updates,
without saying so. While nothing speaks against it all kinds share one rate, and each kind is
refused in proportion to its requests. A kind that is refused far more often gets a separate rate;
the others then start again, without what was learned from its refusals.

This is a sequential test: each refusal is weighed by how much likelier it is if that kind alone is
limited, and the kind is separated once that is fifty times likelier. If it was chance, the kinds
share their limit as two clients would, and each learns of a pause separately, which costs little. A
longer doubt costs more: while it lasts, a pause for purchases stops updates as well.

Where a platform names the bucket that a request was counted in, the name decides and nothing is
tested: kinds in one bucket share a rate, the others do not. The first name of a kind holds.

Pure: every method is passed the time, in seconds.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict

import attrs

from sigmamind_async.limiter.pacing import Admitted, Pacing
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.responses.headers import Policy

CERTAIN = math.log(50.0)
"""Weight at which a kind is separated from the others."""
_OWN_SHARE = 0.95
"""Share of the refusals that a kind gets if it alone is limited."""


@attrs.define
class RateByKind:
    """The rate of each kind of request."""

    common: Pacing = attrs.field(factory=AdaptiveRate)
    separate: dict[str, Pacing] = attrs.field(factory=dict[str, Pacing])
    """Rates of the kinds that have a limit of their own."""
    sent: defaultdict[str, int] = attrs.field(factory=lambda: defaultdict[str, int](int))
    """Requests sent of each kind, since a request at the common rate was last refused.

    Not those answered: the responses to the latest are still to come.
    """
    _weight: dict[str, float] = attrs.field(factory=dict[str, float])
    _buckets: dict[str, str] = attrs.field(factory=dict[str, str])
    """The bucket of each kind, where the platform names it."""

    def of(self, kind: str) -> Pacing:
        """Return the rate of requests of *kind*."""
        return self.separate.get(kind, self.common)

    def copy(self) -> RateByKind:
        """Return a copy that can be restored."""
        return copy.deepcopy(self)

    def name_bucket(self, kind: str, bucket: str) -> None:
        """Record the name of the bucket that requests of *kind* are counted in."""
        if kind in self._buckets:
            return
        same = next((each for each, name in self._buckets.items() if name == bucket), None)
        is_first = not self._buckets
        self._buckets[kind] = bucket
        if same is not None and same not in self.separate:
            self.separate.pop(kind, None)
        elif same is not None:
            self.separate[kind] = self.separate[same]
        elif not is_first:
            self.separate[kind] = AdaptiveRate()

    def follow(self, now: float, request: Admitted, policy: Policy, left: float) -> None:
        """Keep to the *policy* that the platform states for requests like this one."""
        self.name_bucket(request[2], policy.name)
        self.of(request[2]).follow(now, policy, left)

    def refused(self, now: float, request: Admitted, pause: float, jitter: float = 0.5) -> float:
        """Record a refusal; see `Pacing.refused`."""
        began, kind = request[0], request[2]
        rate = self.of(kind)
        rate.eager = any(weight > 0 for weight in self._weight.values())
        if began >= rate.cut and rate is self.common:
            self._update_evidence(now, kind)
        return rate.refused(now, request, pause, jitter)

    def _update_evidence(self, now: float, kind: str) -> None:
        """Weigh a refusal, and separate its kind from the others if that settles it."""
        sent, self.sent = self.sent, defaultdict(int)
        shared = {each: count for each, count in sent.items() if each not in self.separate}
        if shared.keys() <= {kind} or self._buckets:
            return
        total = sum(shared.values()) + 2
        for each in shared.keys() | self._weight.keys() | {kind}:
            share = (shared.get(each, 0) + 1) / total
            odds = _OWN_SHARE / share if each == kind else (1 - _OWN_SHARE) / (1 - share)
            weight = self._weight.get(each, 0.0) + math.log(odds)
            self._weight[each] = max(-2.0 * CERTAIN, weight)
        if self._weight[kind] > CERTAIN:
            self._separate(now, kind, (shared.get(kind, 0) + 1) / total)

    def _separate(self, now: float, kind: str, share: float) -> None:
        before = self.common
        self.separate[kind] = before.separate(now, share)
        self.common, self._weight = AdaptiveRate(), {}
        self.common.pause(before.paused_until)  # other kinds may have to pause as well
        self.common.capped = before.capped

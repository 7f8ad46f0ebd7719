"""The provisioner with one thing wrong in it, many times over: each must be found.

A simulation that finds nothing proves little until it is seen to find what is there. The table
names for every mutant the promise that it breaks, and a seed that showed it: changes of the
library move the seeds.

    mutant                     promise                                    seed
    no_settle_time             a number is as its last operation left it   130
    one_tag_for_all_attempts   each request has a tag of its attempt         7
    written_after_the_request  nothing leaves that no row tells of           0
    fence_ignored              nobody writes over a row unseen               2
    server_error_is_a_refusal  what was bought is done in the end           41
    one_listing_believed       what was told yes is not sent again         126
    lease_ignored              nobody is taken for gone while sending        2
    committed_is_ambiguous     what was told yes is not sent again         729
    kept_number_released       only a duplicate is released               2359
    old_listing_counts         what was told yes is not sent again          23
    limit_beside_the_write     the spending limit holds                    135
    fence_skips_one            nothing stays unconfirmed for ever        24099

Three more are found by `tests/unit/provisioning/test_transitions.py` alone: the simulation needs
a rare day for them: a change that a listing shows is taken for the unanswered one, an unconfirmed
exact purchase does not count, a listing before the end of the settle time seconds one after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count, islice
from typing import Any

import attrs
import pytest

from sigmamind_async.engine import Call, Engine
from sigmamind_async.operation import Fault, Response, Verdict
from sigmamind_async.provisioning import Row, State, claim, context, execution, transitions
from sigmamind_async.provisioning.context import Listing, ListingCache
from sigmamind_async.provisioning.events import Claimed, Event
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import PutResult, check_put
from sigmamind_async.provisioning.tags import add_tag
from sigmamind_async.provisioning.transitions import Policy, Release, Transition
from sigmamind_async.responses import verdict
from tests.simulation.provider import Trouble
from tests.simulation.world import simulate, weather_of

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def no_settle_time(patch: Patch) -> None:
    """Absence is believed at once."""
    real = transitions.Policy

    def policy(**fields: Any) -> Policy:
        return real(**{**fields, "settle_time": 0.0})

    patch.setattr("sigmamind_async.provisioning.provisioner.Policy", policy)


def one_tag_for_all_attempts(patch: Patch) -> None:
    """The tag names the operation only."""
    patch.setattr(execution, "add_tag", lambda label, token, _: add_tag(label, token, 1))


def written_after_the_request(patch: Patch) -> None:
    """The journal is told when the answer is there."""
    real = Engine._attempt  # noqa: SLF001 - a mutant gets under the skin

    async def attempt(self: Engine, call: Call[object]) -> Any:
        write, call.before_send = call.before_send, None
        try:
            return await real(self, call)
        finally:
            call.before_send = write
            if write is not None:
                await write()

    patch.setattr(Engine, "_attempt", attempt)


def fence_ignored(patch: Patch) -> None:
    """A row is written over whatever stands there."""
    real = check_put

    def check(row: Row, stored: tuple[int, int], *rest: Any, **looks: Any) -> PutResult | None:
        return real(row, (row.version - 1 if stored[0] else 0, stored[1]), *rest, **looks)

    patch.setattr("sigmamind_async.provisioning.journal.memory.check_put", check)


def server_error_is_a_refusal(patch: Patch) -> None:
    """A 5xx is taken for a no."""
    real = verdict.classify

    def classify(answer: Response | Fault, **known: bool) -> Verdict:
        if isinstance(answer, Response) and answer.status >= 500:
            return Verdict.REJECTED
        return real(answer, **known)

    patch.setattr(verdict, "classify", classify)


def one_listing_believed(patch: Patch) -> None:
    """A single listing is enough, whatever it misses."""
    patch.setattr(transitions, "LISTINGS", 1)


def lease_ignored(patch: Patch) -> None:
    """Whoever finds a row being sent takes it for abandoned."""
    patch.setattr(claim, "Claimed", lambda owner, **_: Claimed(owner=owner, lease=0.0))


def committed_is_ambiguous(patch: Patch) -> None:
    """A yes that cannot be read is taken for silence, and the purchase sent again."""
    real = execution._proven_by  # noqa: SLF001 - a mutant gets under the skin

    def proven_by(*known: Any) -> Verdict:
        proven = real(*known)
        return Verdict.AMBIGUOUS if proven is Verdict.COMMITTED_UNREAD else proven

    patch.setattr(execution, "_proven_by", proven_by)


def kept_number_released(patch: Patch) -> None:
    """Of two numbers the wrong one is given up."""
    real = transitions.advance

    def advance(row: Row, event: Event, now: float, policy: Policy) -> Transition:
        move = real(row, event, now, policy)
        if not move.actions or not isinstance(move.actions[0], Release):
            return move
        return attrs.evolve(move, actions=(Release(move.row.record),))

    patch.setattr(context, "advance", advance)


def old_listing_counts(patch: Patch) -> None:
    """A listing that was read before is taken for one of now."""
    real = ListingCache.newer_than

    async def newer_than(self: ListingCache, moment: float) -> Listing:
        known: Listing | None = self._latest
        if known is None:
            return await real(self, moment)
        return attrs.evolve(known, began=self._now())

    patch.setattr(ListingCache, "newer_than", newer_than)


def limit_beside_the_write(patch: Patch) -> None:
    """The spending limit is looked at first, and the row written a moment later."""
    real = MemoryJournal.put

    async def put(
        self: MemoryJournal, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        if max_purchases is not None and row.state is State.SENDING:
            bought = (await self.counts(row.account)).purchase_count
            await asyncio.sleep(0.01)
            if row.kind.costs and bought >= max_purchases:
                return PutResult.LIMIT_REACHED
        return await real(self, row, durable=durable)

    patch.setattr(MemoryJournal, "put", put)


def fence_skips_one(patch: Patch) -> None:
    """Two arrows in one write."""
    real = transitions.advance

    def advance(row: Row, event: Event, now: float, policy: Policy) -> Transition:
        move = real(row, event, now, policy)
        if row.state is State.UNCONFIRMED and move.row.state is State.DUPLICATE:
            return attrs.evolve(move, row=attrs.evolve(move.row, version=row.version + 2))
        return move

    patch.setattr(context, "advance", advance)


MUTANTS: dict[str, tuple[Mutant, set[Trouble], int]] = {
    mutant.__name__: (mutant, needs, first)
    for mutant, needs, first in (
        (no_settle_time, {Trouble.HANG_LATE}, 100),
        (one_tag_for_all_attempts, set[Trouble](), 0),
        (written_after_the_request, set[Trouble](), 0),
        (fence_ignored, set[Trouble](), 0),
        (server_error_is_a_refusal, {Trouble.ERROR_AFTER}, 0),
        (one_listing_believed, {Trouble.SHIFT, Trouble.HANG_LATE}, 100),
        (lease_ignored, set[Trouble](), 0),
        (committed_is_ambiguous, {Trouble.PROMISE}, 700),
        (kept_number_released, {Trouble.ZOMBIE}, 2300),
        (old_listing_counts, {Trouble.HANG_LATE}, 0),
        (limit_beside_the_write, set[Trouble](), 100),
        (fence_skips_one, {Trouble.ZOMBIE}, 24_000),
    )
}
"""Each mutant, the troubles without which it does no harm, and from which seed on to look."""


def finding_of(needs: set[Trouble], tries: int, first: int = 0) -> tuple[int, str] | None:
    """Return the first seed, from *first* on, that breaks a promise, and which one."""
    seeds = (
        seed for seed in count(first) if needs <= set(weather_of(seed, beyond=seed % 10 == 9).kinds)
    )
    for seed in islice(seeds, tries):
        broken = simulate(seed).broken
        if broken:
            return seed, broken[0]
    return None

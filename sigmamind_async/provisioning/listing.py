"""All numbers of an account, read once for all operations that need them.

A listing for each unconfirmed operation would break a platform that is already in trouble: a
thousand of them were seen to push its latency past the settle time. So operations share a listing
that began late enough for all of them.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable

import attrs

from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.adapter import Adapter, OwnedNumber
from sigmamind_async.provisioning.tags import find_tag


@attrs.frozen(eq=False)
class Listing:
    """All numbers of an account, as one reading of all pages showed them."""

    began: float
    """When the reading began."""
    numbers: dict[str, OwnedNumber]
    """By phone number."""
    records: dict[str, OwnedNumber]
    """By key of later calls."""
    tagged: dict[str, list[tuple[int, OwnedNumber]]]
    """By token of the tag in the label, each with the attempt that the tag names."""


class ListingCache:
    """Reads the account for all callers, one reading at a time."""

    def __init__(self, adapter: Adapter, client: object, now: Callable[[], float]) -> None:
        self._adapter = adapter
        self._client = client
        self._now = now
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)
        self._latest: Listing | None = None

    async def newer_than(self, moment: float) -> Listing:
        """Return a listing that began after *moment*; raises what the calls raise.

        A caller that comes during a reading waits for its end, and for the next one if the reading
        began too early.
        """
        while True:
            if self._latest is not None and self._latest.began > moment:
                return self._latest
            async with self._locks.get():
                if self._latest is None or self._latest.began <= moment:
                    # Later than *moment* even if the clock has not moved since.
                    began = max(self._now(), math.nextafter(moment, math.inf))
                    self._latest = await self._read(began)

    async def _read(self, began: float) -> Listing:
        listing = Listing(began, {}, {}, defaultdict(list))
        async for record in self._adapter.list_numbers(self._client):
            owned = self._adapter.owned(record)
            if owned.record in listing.records:
                continue  # pages shift while numbers appear
            if owned.record:
                listing.records[owned.record] = owned
            listing.numbers[owned.phone_number] = owned
            found = find_tag(owned.label)
            if found is not None:
                token, attempt = found
                listing.tagged[token].append((attempt, owned))
        return listing

"""The numbers of an account, read whole, once for everybody who asks.

Looking each doubtful operation up by itself is what breaks a platform that is already in trouble:
a listing for each of a thousand rows was seen to push its latency past the settle time. So one
listing serves all who ask for one that began late enough.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable

import attrs

from sigmamind_async.client import Client
from sigmamind_async.per_loop import PerLoop
from sigmamind_async.provisioning.adapter import Adapter, Owned
from sigmamind_async.provisioning.tags import find_tag


@attrs.frozen(eq=False)
class Listing:
    """Every number of an account, as one reading of all pages showed it."""

    began: float
    """When the reading began."""
    numbers: dict[str, Owned]
    """By phone number."""
    records: dict[str, Owned]
    """By key of later calls."""
    tagged: dict[str, list[tuple[int, Owned]]]
    """By token of the tag in the label, each with the attempt that the tag names."""


class ListingCache:
    """Reads the account for all who ask, never twice at once."""

    def __init__(self, client: Client, adapter: Adapter, now: Callable[[], float]) -> None:
        """Read the numbers of *client*; *now* dates the readings."""
        self._client = client
        self._adapter = adapter
        self._now = now
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)
        self._latest: Listing | None = None
        self.listings = 0
        """Readings so far."""

    async def after(self, moment: float) -> Listing:
        """Return a listing that began after *moment*; raises what the calls raise.

        Who comes while one is being read waits for it, and for the next one where it began too
        early.
        """
        while True:
            if self._latest is not None and self._latest.began > moment:
                return self._latest
            async with self._locks.get():
                if self._latest is None or self._latest.began <= moment:
                    # It begins after *moment* also where the clock has not moved since.
                    began = max(self._now(), math.nextafter(moment, math.inf))
                    self._latest = await self._read(began)

    async def _read(self, began: float) -> Listing:
        listing = Listing(began, {}, {}, defaultdict(list))
        async for item in self._adapter.listing(self._client):
            owned = self._adapter.owned(item)
            if owned.record in listing.records:
                continue  # pages shift while numbers appear
            if owned.record:
                listing.records[owned.record] = owned
            listing.numbers[owned.phone_number] = owned
            found = find_tag(owned.label)
            if found is not None:
                token, attempt = found
                listing.tagged[token].append((attempt, owned))
        self.listings += 1
        return listing

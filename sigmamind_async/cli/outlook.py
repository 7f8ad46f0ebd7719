"""What a file of actions asks for beyond what its journal holds already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Final

from sigmamind_async.cli.journal_location import Place
from sigmamind_async.cli.prompts import Outlook
from sigmamind_async.cli.rows import Reading, Row
from sigmamind_async.cli.source import Source, survey
from sigmamind_async.provisioning.journal.protocol import Journal

_AT_ONCE: Final = 64
"""Rows that a journal is asked for at the same time: a database is some way off."""


async def outlook(place: Place, source: Source, reading: Reading) -> Outlook:
    """Read the file once, and say what it asks for that its journal does not hold yet."""
    found = survey(source.rows(reading))
    if not place.exists():
        return Outlook(found=found, to_buy=found.purchases)
    account = reading.platform.name
    async with place.opened(read_only=True) as journal:
        counts = await journal.counts(account)
        ids = (row.id or "" for row in source.rows(reading) if isinstance(row, Row) and row.spends)
        to_buy = await _not_bought(journal, account, ids) if counts.rows else found.purchases
    return Outlook(found=found, bought=counts.purchase_count, to_buy=to_buy)


async def _not_bought(journal: Journal, account: str, ids: Iterable[str]) -> int:
    """Return how many of the operations *ids* the journal does not count as bought."""
    count, rest = 0, iter(ids)
    while some := [*islice(rest, _AT_ONCE)]:
        entries = await asyncio.gather(*(journal.get(account, op_id) for op_id in some))
        count += sum(entry is None or not entry.purchase_count for entry in entries)
    return count

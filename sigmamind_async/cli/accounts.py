"""Until operation files go: see `runtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigmamind_async.cli.runtime import Accounts

if TYPE_CHECKING:
    from sigmamind_async.fleet.spec import Fleet
    from sigmamind_async.provisioning.journal.protocol import Journal


__all__ = ["Accounts", "platforms_in"]


async def platforms_in(fleet: Fleet, journal: Journal) -> set[str]:
    """Return the platforms that have to be asked about *fleet*."""
    from sigmamind_async.fleet.refresh import platforms_of
    from sigmamind_async.fleet.state import LastApplied

    notes = await journal.last_applied()
    ids = {row.id for row in fleet.rows}
    applied = {name: LastApplied.load(name, text) for name, text in notes.items() if name in ids}
    return platforms_of(fleet, applied)

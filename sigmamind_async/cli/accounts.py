"""The accounts that a command is about: a client for each platform, and what is counted of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Self

import attrs

from sigmamind_async.cli.runtime import Times, client_of_environment
from sigmamind_async.cli.vendors import PLATFORMS, AnyClient
from sigmamind_async.events import Observer
from sigmamind_async.fleet.refresh import platforms_of
from sigmamind_async.fleet.spec import Fleet
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.limiter.gate import Admission, Gate
from sigmamind_async.provisioning.journal.protocol import Journal


@attrs.frozen
class Accounts:
    """Clients by platform, each with a gate of its own."""

    clients: Mapping[str, AnyClient]
    gates: Mapping[str, Gate]

    @classmethod
    def of(cls, platforms: Iterable[str], times: Times, observer: Observer | None = None) -> Self:
        """Return the accounts of *platforms*, whose keys come from the environment.

        Raises `ConfigurationError` where one is missing, which names the variable.
        """
        gates = {name: times.gate() for name in sorted(platforms)}
        clients = {
            name: client_of_environment(PLATFORMS[name], times, gate=gate, observer=observer)
            for name, gate in gates.items()
        }
        return cls(clients, gates)

    @property
    def admissions(self) -> list[Admission]:
        """What tells whether the platforms can be reached."""
        return [gate.admission for gate in self.gates.values()]

    async def open(self, stack: AsyncExitStack) -> None:
        """Open all clients, to be closed with *stack*."""
        for client in self.clients.values():
            await stack.enter_async_context(client)


async def platforms_in(fleet: Fleet, journal: Journal) -> set[str]:
    """Return the platforms that have to be asked about *fleet*."""
    notes = await journal.last_applied()
    ids = {row.id for row in fleet.rows}
    applied = {name: LastApplied.load(name, text) for name, text in notes.items() if name in ids}
    return platforms_of(fleet, applied)

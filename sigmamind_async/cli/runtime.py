"""What every command that talks to a platform needs: an event loop, clients, and provisioners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from sigmamind_async.cli.options import RequestOptions, SettlementOptions

if TYPE_CHECKING:  # `status` runs without a platform
    from sigmamind_async.cli.vendors import AnyClient, Platform
    from sigmamind_async.events import Observer
    from sigmamind_async.limiter.gate import Admission, Gate
    from sigmamind_async.provisioning.journal.protocol import Journal
    from sigmamind_async.provisioning.provisioner import Provisioner

T = TypeVar("T")

ATTEMPTS: Final = 8
"""Attempts of one call: nobody waits for a command line within milliseconds."""


def client_of_environment(
    platform: Platform,
    request: RequestOptions,
    *,
    gate: Gate | None = None,
    observer: Observer | None = None,
) -> AnyClient:
    """Return a client whose key and base URL come from the environment, and nowhere else.

    So does its proxy, where *request* names none.
    """
    from sigmamind_async.retry import RetryPolicy

    return platform.client(
        deadline=request.deadline,
        attempt_timeout=request.attempt_timeout,
        proxy=request.proxy,
        trust_env=True,
        retry=RetryPolicy(max_attempts=ATTEMPTS),
        gate=gate or new_gate(request),
        observer=observer,
    )


def new_gate(request: RequestOptions) -> Gate:
    """Return the gate of one client."""
    from sigmamind_async.limiter.gate import Gate

    return Gate(refusal_statuses=request.refusal_status)


@attrs.frozen
class Accounts:
    """Clients by platform, each with a gate of its own."""

    clients: Mapping[str, AnyClient]
    gates: Mapping[str, Gate]

    @classmethod
    def of(
        cls, platforms: Iterable[str], request: RequestOptions, observer: Observer | None = None
    ) -> Self:
        """Return the accounts of *platforms*, whose keys come from the environment.

        Raises `ConfigurationError` where one is missing, which names the variable.
        """
        from sigmamind_async.cli.vendors import PLATFORMS

        gates = {name: new_gate(request) for name in sorted(platforms)}
        clients = {
            name: client_of_environment(PLATFORMS[name], request, gate=gate, observer=observer)
            for name, gate in gates.items()
        }
        return cls(clients, gates)

    @property
    def admissions(self) -> list[Admission]:
        """What knows whether the platforms can be reached."""
        return [gate.admission for gate in self.gates.values()]

    async def open(self, stack: AsyncExitStack) -> None:
        """Open all clients, to be closed with *stack*."""
        for client in self.clients.values():
            await stack.enter_async_context(client)


def new_provisioner(
    client: AnyClient,
    journal: Journal,
    settlement: SettlementOptions,
    max_purchases: int | None = None,
) -> Provisioner:
    """Return what carries out the operations of one account."""
    from sigmamind_async.provisioning.provisioner import Provisioner

    return Provisioner(
        client,
        journal,
        settle_time=settlement.settle_time,
        retry_unconfirmed=settlement.retry_unconfirmed,
        release_duplicates=settlement.release_duplicates,
        max_purchases=max_purchases,
    )


# ---------------------------------------------------------------- the event loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end, on uvloop where that is installed."""
    with new_loop() as loop:
        return loop.run(main)


def new_loop() -> asyncio.Runner:
    """Return a loop to run several things on, and to ask a person something in between."""
    return asyncio.Runner(loop_factory=_loop_factory())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

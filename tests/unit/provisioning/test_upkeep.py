"""Several processes look after one account: one of them works, and the others stand by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from sigmamind_async import RetryPolicy, SigmaMind
from sigmamind_async.errors import ConfigurationError, OutcomeUnknownError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.provisioning import provisioner as module
from sigmamind_async.provisioning.provisioner import LEASE_INTERVALS
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Fault, Sandbox
from sigmamind_async.testing import VirtualLoop, in_virtual_time


class Process:
    """A process of an application, which counts how often it reads the account."""

    def __init__(self, box: Sandbox, journal: MemoryJournal) -> None:
        self.listings = 0
        client = SigmaMind(
            box.sigmamind.api_key, transport=box.transport(), retry=RetryPolicy(max_attempts=1)
        )
        self.provisioner = Provisioner(in_virtual_time(client), journal)
        listings = self.provisioner._context.listings  # noqa: SLF001 - what is counted
        read = listings._read  # noqa: SLF001

        async def count(began: float) -> Any:
            self.listings += 1
            return await read(began)

        listings._read = count  # type: ignore[method-assign]  # noqa: SLF001


@asynccontextmanager
async def processes(count: int) -> AsyncGenerator[tuple[Sandbox, MemoryJournal, list[Process]]]:
    async with Sandbox() as box:
        journal = MemoryJournal()
        yield box, journal, [Process(box, journal) for _ in range(count)]


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


def test_upkeep_settles_what_went_unanswered() -> None:
    async def main() -> None:
        async with processes(1) as (box, journal, [only]):
            box.script("create", [Fault.RESET_AFTER_COMMIT], platform="sigmamind")
            value = CreatePhoneNumber(country_code="US")
            with pytest.raises(OutcomeUnknownError):
                await only.provisioner.send("order-1", value)
            async with only.provisioner.upkeep():
                await asyncio.sleep(1.0)
            row = await journal.get("sigmamind", "order-1")
            assert row is not None
            assert row.state is State.DONE

    run(main())


@pytest.mark.parametrize(("has_lease", "busy"), [(True, 1), (False, 3)])
def test_one_process_works_and_the_others_stand_by(
    monkeypatch: pytest.MonkeyPatch, has_lease: bool, busy: int
) -> None:
    """The control has a lease that excludes nobody."""
    if not has_lease:
        monkeypatch.setattr(module, "LEASE_INTERVALS", 0.0)

    async def main() -> None:
        async with processes(3) as (_, _, made), AsyncExitStack() as stack:
            for each in made:
                await stack.enter_async_context(each.provisioner.upkeep(sweep_every=600.0))
            await asyncio.sleep(3000.0)
            assert sum(each.listings > 0 for each in made) == busy
            assert max(each.listings for each in made) in {5, 6}

    run(main())


def test_another_takes_over_once_the_first_has_ended() -> None:
    async def main() -> None:
        async with processes(2) as (_, _, [first, second]), AsyncExitStack() as stack:
            async with first.provisioner.upkeep():
                await asyncio.sleep(1.0)
                await stack.enter_async_context(second.provisioner.upkeep())
                await asyncio.sleep(600.0)
                assert (first.listings, second.listings) == (1, 0)
            await asyncio.sleep(60.0)
            assert second.listings == 1

    run(main())


def test_another_takes_over_from_one_that_was_killed() -> None:
    """Within three intervals; what was killed has not ended its lease."""

    async def main() -> None:
        async with processes(1) as (_, journal, [other]):
            now = other.provisioner._context.now()  # noqa: SLF001 - the journal's clock
            name = "upkeep of sigmamind"
            assert await journal.acquire_lease(name, "killed", now, now + 60 * LEASE_INTERVALS)
            async with other.provisioner.upkeep():
                await asyncio.sleep(149.0)
                assert other.listings == 0
                await asyncio.sleep(31.0)
                assert other.listings == 1

    run(main())


async def test_an_interval_must_be_positive() -> None:
    async with processes(1) as (_, _, [only]):
        with pytest.raises(ConfigurationError, match="reconcile_every"):
            async with only.provisioner.upkeep(reconcile_every=0.0):
                pass

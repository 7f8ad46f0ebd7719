"""A sandbox, and each claim for every platform of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import attrs
import pytest

from sigmamind_async.sandbox import Fault, Faults, Sandbox, Switches
from sigmamind_async.testing import VirtualLoop
from tests.contract.dialects import DIALECTS, Dialect
from tests.functional.support import KEY

IN_MEMORY = {"test_many", "test_once", "test_provisioning"}
"""Modules whose claims are about what is sent how often, and not about sockets: there the sandbox
is in memory and time is virtual. `tests.functional.test_sandbox_memory` shows for each fault that
it is the same over a socket."""

QUICK = Faults(hang=0.3, late=0.02, drip=0.05)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    virtual = item.path.stem in IN_MEMORY
    return {"virtual": VirtualLoop} if virtual else {"real": asyncio.new_event_loop}


def patience(fault: Fault) -> float:
    """Return the seconds an attempt may take: few only where the platform is silent or slow."""
    slow = {Fault.HANG_BEFORE_COMMIT, Fault.HANG_AFTER_COMMIT, Fault.SLOW_BODY}
    return 0.5 if fault in slow else 30.0


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture
async def box(dialect: Dialect) -> AsyncIterator[Sandbox]:
    """A platform that sells a number as often as it is asked: only the client prevents it.

    Its key is one that every error of this suite is searched for.
    """
    sandbox = Sandbox(seed=1, faults=QUICK, switches=Switches(duplicates="accept"))
    dialect.endpoint(sandbox).api_key = f"{KEY}:s3cret"
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        yield sandbox
        return
    async with sandbox:
        yield sandbox


def switched(box: Sandbox, dialect: Dialect, **changed: object) -> None:
    """Turn switches: the common ones, or those that stand under the platform's name."""
    own = getattr(box.switches, dialect.name, None)
    names = {field.name for field in attrs.fields(type(own))} if own is not None else set[str]()
    mine = {name: value for name, value in changed.items() if name in names}
    common = {name: value for name, value in changed.items() if name not in names}
    if own is not None and mine:
        common[dialect.name] = attrs.evolve(own, **mine)
    box.switches = attrs.evolve(box.switches, **common)  # type: ignore[arg-type]

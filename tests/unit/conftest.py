"""Every coroutine test here runs in virtual time: nothing sleeps, however long it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sigmamind_async.credentials import Credentials
from sigmamind_async.engine import Engine, Limits
from sigmamind_async.operation import Platform
from sigmamind_async.retry import RetryPolicy, RetryQuota
from sigmamind_async.testing import FakeClock, VirtualLoop
from sigmamind_async.transport import Transport
from sigmamind_async.values import Secret


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


PLATFORM = Platform(
    name="acme",
    base_url="https://api.acme.test",
    env_prefix="ACME",
    authorize=lambda key: {"X-API-Key": key.reveal()},
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_engine(clock: FakeClock) -> Callable[..., Engine]:
    """Return a function that makes an engine in fake time, whose waits are the longest drawn."""

    def make(transport: Transport, **changed: Any) -> Engine:
        parts: dict[str, Any] = {
            "platform": PLATFORM,
            "base_url": PLATFORM.base_url,
            "credentials": Credentials(Secret("sk-test")),
            "gate": clock.gate(),
            "policy": RetryPolicy(),
            "quota": RetryQuota(),
            "limits": Limits(),
            "clock": clock,
            "wall_clock": lambda: 1_700_000_000.0,
            "jitter": lambda: 1.0,
            "sleep": clock.sleep,
        }
        return Engine(transport=transport, **{**parts, **changed})

    return make

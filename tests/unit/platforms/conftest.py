"""Recorded bodies, and clients over a script: of the vendor in whose folder a test is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from sigmamind_async import DialNexa, SigmaMind, Verbex
from sigmamind_async.client import Client
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time
from sigmamind_async.testing.doubles import Script
from tests.unit.platforms.recorded import read_sample

CLIENTS: dict[str, type[Client]] = {
    "sigmamind": SigmaMind,
    "verbex": Verbex,
    "dialnexa": DialNexa,
}


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> Callable[[str], dict[str, Any]]:
    """Return a function from an operation's name to its recorded request and response."""
    return functools.partial(read_sample, request.path.parent.name)


@pytest.fixture
def make_client(
    request: pytest.FixtureRequest, clock: FakeClock
) -> Callable[..., tuple[Any, ScriptedTransport]]:
    """Return a function from a script to a client in fake time and its transport."""
    cls = CLIENTS[request.path.parent.name]

    def make(script: Script, **options: Any) -> tuple[Any, ScriptedTransport]:
        transport = ScriptedTransport(script)
        return in_fake_time(cls("sk-test", transport=transport, **options), clock), transport

    return make

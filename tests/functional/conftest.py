"""Event loops of both kinds, certificates of a private authority, and a queue in a database."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import attrs
import pytest
import trustme

from sigmamind_async.workers import Queue
from tests.functional.support import LOOPS
from tests.functional.workers import Database, prepared
from tests.harness.postgres import Server

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Run a coroutine in a new loop, of asyncio and then of uvloop."""

    def run_in_new_loop(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return run_in_new_loop


@attrs.frozen(kw_only=True)
class Certificates:
    """TLS contexts for servers and clients."""

    good: tls.SSLContext
    """For a server on 127.0.0.1."""
    misnamed: tls.SSLContext
    """For a server of another name."""
    trusting: tls.SSLContext
    """For a client that knows the authority."""
    strange: tls.SSLContext
    """For a client that knows another authority."""


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    authority, other = trustme.CA(), trustme.CA()
    return Certificates(
        good=_served(authority, "127.0.0.1"),
        misnamed=_served(authority, "elsewhere.example"),
        trusting=_trusting(authority),
        strange=_trusting(other),
    )


def _served(authority: trustme.CA, name: str) -> tls.SSLContext:
    context = tls.create_default_context(tls.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> tls.SSLContext:
    context = tls.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def base(postgres: Server) -> AsyncIterator[Database]:
    """Yield a database with the tables of journal and queue."""
    async with prepared(postgres) as made:
        yield made


@pytest.fixture
def queue(base: Database) -> Queue:
    return Queue(base.dsn)

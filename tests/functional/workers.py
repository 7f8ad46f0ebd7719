"""What the tests of the workers share: an empty database, workers in it, and what it holds then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import attrs

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.workers import Account, Queue, Worker
from tests.functional.support import FAST
from tests.harness.postgres import Server

EVERY_SECOND = "* * * * * *"
NEVER = "0 0 29 2 *"
JOBS = "SELECT status::text FROM procrastinate_jobs WHERE task_name = 'sigmamind:provision'"
STATES = "SELECT op_id, state FROM sigmamind.operations ORDER BY place"


@attrs.frozen
class Database:
    """One database of a server, empty at first."""

    server: Server
    name: str

    @property
    def dsn(self) -> str:
        return self.server.dsn(database=self.name)

    def asked(self, statement: str) -> list[Any]:
        return self.server.asked(statement, database=self.name)

    @property
    def jobs(self) -> list[str]:
        """The states of the jobs that carry something out, in their order."""
        return [status for (status,) in self.asked(f"{JOBS} ORDER BY id")]

    @property
    def states(self) -> dict[str, State]:
        """The states of the operations, in their order."""
        return {op_id: State(state) for op_id, state in self.asked(STATES)}

    def dumped(self) -> str:
        """Return all that it holds, of the journal and of the queue, as text."""
        tables = self.asked(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        names = {name for _, name in tables}
        assert {
            "operations",
            "key_fingerprints",
            "last_applied",
            "procrastinate_jobs",
            "procrastinate_events",
        } < names
        rows = [self.asked(f'SELECT t::text FROM "{schema}"."{name}" t') for schema, name in tables]
        return "\n".join(text for table in rows for (text,) in table)


@contextmanager
def database(server: Server, *, like: str = "template1") -> Generator[Database]:
    made = Database(server, f"w{uuid4().hex[:12]}")
    server.asked(f"CREATE DATABASE {made.name} TEMPLATE {like}")
    yield made
    server.asked(f"DROP DATABASE {made.name} WITH (FORCE)")


@asynccontextmanager
async def prepared(server: Server) -> AsyncGenerator[Database]:
    """Yield a database with the tables in it, which are made once for all tests."""
    template = "prepared"
    if not server.asked(f"SELECT 1 FROM pg_database WHERE datname = '{template}'"):
        server.asked(f"CREATE DATABASE {template}")
        await Queue(server.dsn(database=template)).prepare()
    with database(server, like=template) as made:
        yield made


def purchase(label: str = "row") -> CreatePhoneNumber:
    return CreatePhoneNumber(country_code="US", friendly_name=label)


def account(box: Sandbox, **options: Any) -> Account:
    """Return the account of the sandbox, served by a client that wastes no time."""
    client = {"retry": FAST, "attempt_timeout": 1.0, **options.pop("client", {})}
    make = partial(SigmaMind, box.sigmamind.api_key, base_url=box.sigmamind.base_url, **client)
    return Account(make, **options)


def worker(box: Sandbox, dsn: str, *, served: Account | None = None, **options: Any) -> Worker:
    """Return a worker that looks after things by itself only where it is told to."""
    quiet = {"reconcile": NEVER, "sweep": NEVER, "retry_stalled": NEVER, "polling": 0.05}
    return Worker([served or account(box)], dsn, **{**quiet, **options})


@asynccontextmanager
async def working(running: Worker) -> AsyncGenerator[Worker]:
    """Run the worker in this process, and stop it with the block."""
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(running.run())
        try:
            yield running
        finally:
            running.stop()
            await asyncio.wait({run})


async def until(holds: Callable[[], bool], seconds: float = 240.0) -> None:
    """Wait until *holds*."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)


async def settled(made: Database, *states: State) -> None:
    """Wait until every operation is in one of *states*."""
    await until(lambda: set(made.states.values()) <= set(states))

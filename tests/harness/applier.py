"""Applies a fleet of purchases through workers; a process that may be killed at any moment.

Run again, it goes on. It ends with 0 once a plan that is made anew has nothing left to do. With
``--forgetful`` each start gives its operations other ids, as a program would that kept none.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import attrs

from sigmamind_async import Gate, RetryPolicy, SigmaMind, fleet
from sigmamind_async.bulk import DEFAULT_STOP_ON, Outcome, Progress, StopOn
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.fleet.spec import FleetRow, Source
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.workers import FollowedRun, Queue, WorkerProvisioner
from tests.harness.buyer import ATTEMPT, Unlearned

START = uuid4().hex


def purchases(count: int) -> fleet.Fleet:
    return fleet.Fleet(
        rows=[
            FleetRow(
                id=f"row-{number}",
                platform="sigmamind",
                source=Source.PURCHASE,
                fields={"country_code": "US", "label": f"row-{number}"},
            )
            for number in range(count)
        ]
    )


class Forgetful(WorkerProvisioner):
    """Hands every operation over under an id that no other start knows."""

    def run_many(
        self,
        operations: Iterable[tuple[str, Any]] | AsyncIterable[tuple[str, Any]],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> FollowedRun[Any]:
        return ForgetfulRun(self, renamed(operations), stop_on=stop_on, progress=progress)


class ForgetfulRun(FollowedRun[Any]):
    async def __aiter__(self) -> AsyncGenerator[Outcome[Any, Any]]:
        async for outcome in super().__aiter__():
            yield attrs.evolve(outcome, op_id=(outcome.op_id or "").removesuffix(START).rstrip())


async def renamed(
    operations: Iterable[tuple[str, Any]] | AsyncIterable[tuple[str, Any]],
) -> AsyncGenerator[tuple[str, Any]]:
    assert isinstance(operations, AsyncIterable)  # those of a fleet are
    async for op_id, value in operations:
        yield f"{op_id} {START}", value


async def apply(provisioner: WorkerProvisioner, wanted: fleet.Fleet) -> bool:
    """Apply *wanted*; return whether there was nothing left to do."""
    clients = {"sigmamind": provisioner.client}
    await provisioner.reconcile()
    state = await fleet.refresh(wanted, clients, provisioner.journal)
    todo = fleet.plan(wanted, state)
    if not any(step.writes for step in todo.steps):
        return not todo.problems
    await fleet.apply(todo, [provisioner], state=state)
    return False


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("dsn")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--forgetful", action="store_true")
    chosen = parser.parse_args()
    async with (
        SigmaMind(
            chosen.key,
            base_url=chosen.url,
            attempt_timeout=ATTEMPT,
            connect_timeout=ATTEMPT,
            # Pages of a listing fail as often as purchases, and one of them is enough to spoil it.
            retry=RetryPolicy(max_attempts=8),
            gate=Gate(admission=Unlearned()),
        ) as client,
        PostgresJournal(chosen.dsn) as journal,
    ):
        make = Forgetful if chosen.forgetful else WorkerProvisioner
        provisioner = make(client, Queue(chosen.dsn), journal)
        while True:
            # Of a hundred pages one is garbage more often than not: the account is read again.
            with suppress(ResponseDecodeError):
                if await apply(provisioner, purchases(chosen.count)):
                    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

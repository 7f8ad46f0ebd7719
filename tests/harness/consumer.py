"""One worker in one process, which may be killed or frozen at any moment.

With ``--bare`` the queue is the same and there is no journal between a job and the purchase.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from functools import partial

from sigmamind_async import Gate, RetryPolicy, SigmaMind, SigmaMindError
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.provisioning import PostgresJournal, Row
from sigmamind_async.workers import Account, Worker
from sigmamind_async.workers.context import AccountWorker, Reschedule
from tests.harness.buyer import ATTEMPT, Unlearned

HEARTBEAT = 1.0
POLLING = 0.5
NEVER = "0 0 29 2 *"


class Deaf(Unlearned):
    """Nor does a 503 mean anything."""

    def failed(self, now: float, ticket: Admitted, *, overloaded: bool = False) -> None:
        del now, ticket, overloaded


class Bare(AccountWorker):
    """Buys whenever a job says so, as often as the queue repeats that."""

    async def provision(self, op_id: str, attempts: int = 0, stored: Row | None = None) -> None:
        del attempts, stored
        row = await self._read_row(op_id)
        try:
            await self.provisioner.client.run(await self._restore(row))
        except SigmaMindError as error:
            raise Reschedule(time.time() + POLLING, error.message) from None


def gate(account: str, journal: PostgresJournal) -> Gate:
    del account, journal
    return Gate(admission=Deaf())


def worker(chosen: argparse.Namespace) -> Worker:
    client = partial(
        SigmaMind,
        chosen.key,
        base_url=chosen.url,
        attempt_timeout=ATTEMPT,
        connect_timeout=ATTEMPT,
        # Pages of a listing fail as often as purchases, and one of them is enough to spoil it.
        retry=RetryPolicy(max_attempts=8),
    )
    account = Account(
        client, settle_time=chosen.settle_time, retry_unconfirmed=True, release_duplicates=True
    )
    often = f"* * * * * */{chosen.every}"
    made = Worker(
        [account],
        chosen.dsn,
        gate=gate,
        concurrency=chosen.width,
        # Without a journal nothing is known to be settled.
        reconcile=NEVER if chosen.bare else often,
        sweep=NEVER if chosen.bare else often,
        retry_stalled=often,
        heartbeat=HEARTBEAT,
        polling=POLLING,
    )
    if chosen.bare:
        made.context.accounts = bare(made.context.accounts)
    return made


def bare(accounts: Mapping[str, AccountWorker]) -> Mapping[str, AccountWorker]:
    """Return what does the same without asking the journal what was done before."""
    return {
        name: Bare(account.provisioner, account.adapter, account.secrets)
        for name, account in accounts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("dsn")
    parser.add_argument("--settle-time", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--every", type=int, required=True, help="seconds between two sweeps")
    parser.add_argument("--bare", action="store_true")
    chosen = parser.parse_args()

    async def run() -> None:
        await worker(chosen).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()

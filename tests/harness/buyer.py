"""Buys numbers; run as a process of its own, which may be killed at any moment and run again.

With a journal it ends with 0 once every number is bought, and with 1 while some are not. Without
one it is the bare client, and prints the labels of what was confirmed.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from sigmamind_async import Gate, RetryPolicy, SigmaMind
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.limiter.pacing import Admitted
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal

ATTEMPT = 0.3
"""Seconds for one attempt: short, so that the hanging ones do not hold up the rest."""


class Unlearned(Admission):
    """Pauses nobody: here a 429 is drawn by lot, and a rate learned from it would mean nothing."""

    def throttled(
        self,
        now: float,
        ticket: Admitted,
        retry_after: float | None,
        jitter: float,
        *,
        refused: bool = True,
    ) -> float:
        del now, ticket, retry_after, jitter, refused
        return 0.0


def operations(count: int) -> Iterator[tuple[str, CreatePhoneNumber]]:
    for number in range(count):
        name = f"row-{number}"
        yield name, CreatePhoneNumber(country_code="US", friendly_name=name)


async def buy(client: SigmaMind, journal: Path, *, count: int, settle_time: float) -> int:
    """Buy what is not bought yet; return how many are missing that another run may bring."""
    async with SqliteJournal(journal) as opened:
        provisioner = Provisioner(client, opened, settle_time=settle_time, retry_unconfirmed=True)
        missing = 0
        async for outcome in provisioner.run_many(operations(count)):
            missing += outcome.status != "done"
        # Only where the settle time is too short: a number that was paid for is given up for lost.
        return missing - len((await provisioner.status()).need_decision)


async def buy_bare(client: SigmaMind, *, count: int) -> list[str]:
    """Buy without a journal; return the labels of what was confirmed."""
    job = client.run_many(value for _, value in operations(count))
    done = [outcome.value async for outcome in job if outcome.status == "done"]
    return [str(value.friendly_name) for value in done if isinstance(value, CreatePhoneNumber)]


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--settle-time", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    chosen = parser.parse_args()
    async with SigmaMind(
        chosen.key,
        base_url=chosen.url,
        attempt_timeout=ATTEMPT,
        connect_timeout=ATTEMPT,
        max_connections=chosen.width,
        # Pages of a listing fail as often as purchases, and one of them is enough to spoil it.
        retry=RetryPolicy(max_attempts=8),
        gate=Gate(admission=Unlearned()),
    ) as client:
        if chosen.journal is None:
            print(json.dumps(await buy_bare(client, count=chosen.count)))
            return 0
        settle_time = chosen.settle_time
        return await buy(client, chosen.journal, count=chosen.count, settle_time=settle_time) > 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

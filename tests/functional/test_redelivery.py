"""A queue that delivers each order ten times, to four processes with one journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from sigmamind_async.sandbox import Sandbox
from tests.functional.support import run_script
from tests.harness.postgres import Server

pytestmark = pytest.mark.usefixtures("unmeasured")  # the same many times

WORKER = """
import asyncio, json, random, sys
from sigmamind_async import SigmaMind, SpendLimitError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import (
    MemoryJournal, PostgresJournal, Provisioner, SqliteJournal
)

url, key, kind, place, limit, orders, deliveries, seed = sys.argv[1:]
JOURNALS = {
    "none": MemoryJournal,
    "sqlite": lambda: SqliteJournal(place, shared=True),
    "postgres": lambda: PostgresJournal(place, schema="redelivery"),
}

async def deliver(provisioner, order):
    try:
        number = await provisioner.run(order, CreatePhoneNumber(country_code="US"))
    except SpendLimitError:
        return order, None
    return order, number.sip_phone_number

async def main():
    async with SigmaMind(key, base_url=url) as client, JOURNALS[kind]() as journal:
        most = int(limit) if limit else None
        provisioner = Provisioner(client, journal, max_purchases=most)
        queue = [f"order-{number}" for number in range(int(orders))] * int(deliveries)
        random.Random(seed).shuffle(queue)
        print(json.dumps(await asyncio.gather(*(deliver(provisioner, one) for one in queue))))

asyncio.run(main())
"""
ORDERS, PROCESSES = 10, 4
DELIVERIES = ("3", "3", "2", "2")
"""To each process; ten in all."""


Place: TypeAlias = tuple[str, str]
"""Kind of a journal, and where it is."""


async def delivered(
    box: Sandbox, place: Place, *, limit: int | None = None
) -> list[tuple[str, str | None]]:
    """Deliver every order ten times; return each delivery's order and number."""
    said = (box.sigmamind.base_url, box.sigmamind.api_key, *place, str(limit or ""))
    printed = await asyncio.gather(
        *(
            run_script(WORKER, *said, str(ORDERS), times, str(seed), strict=False)
            for seed, times in enumerate(DELIVERIES)
        )
    )
    return [(order, number) for text in printed for order, number in json.loads(text)]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A journal that all processes share; the first of them makes it."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "orders.db")
        return
    server: Server = request.getfixturevalue("postgres")
    yield "postgres", server.dsn()
    server.asked("DROP SCHEMA redelivery CASCADE")


@pytest.fixture
def box() -> Sandbox:
    """A platform that takes its time, so that deliveries meet."""
    return Sandbox(latency=(0.01, 0.05))


async def test_ten_deliveries_are_one_purchase(box: Sandbox, place: Place) -> None:
    """Every delivery of an order returns the one number that was bought for it."""
    async with box:
        results = await delivered(box, place)
        assert len(box.ledger.purchases) == ORDERS
    assert len(results) == 10 * ORDERS
    assert len(set(results)) == ORDERS
    assert {number for _, number in results} == set(box.ledger.owned())


async def test_the_limit_holds_across_processes(box: Sandbox, place: Place) -> None:
    """However many ask at once, no purchase more than allowed is made."""
    async with box:
        results = await delivered(box, place, limit=6)
        assert len(box.ledger.purchases) == 6
    assert {number for _, number in results} == {None, *box.ledger.owned()}


async def test_without_a_common_journal_each_process_buys(box: Sandbox) -> None:
    """That the journal makes the difference: with one each, every process buys every order."""
    async with box:
        await delivered(box, ("none", ""))
        assert len(box.ledger.purchases) == PROCESSES * ORDERS

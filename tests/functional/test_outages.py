"""Purchases under a journal while the platform is away, over real sockets."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import DialNexa, SigmaMind, SigmaMindError, StopOn
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import (
    MemoryJournal,
    Provisioner,
    PurchaseAnyNumber,
    SqliteJournal,
)
from sigmamind_async.provisioning.execution import Execution
from sigmamind_async.sandbox import Sandbox
from tests.functional.support import client_of
from tests.harness.ports import closed_port

ROWS = 60


def values(platform: str) -> list[Any]:
    if platform == "dialnexa":
        return [
            PurchaseAnyNumber(country_iso="US", telephony_provider_id="tp_abc123xyz78")
            for _ in range(ROWS)
        ]
    return [CreatePhoneNumber(phone_number=f"+1415555{row:04}") for row in range(ROWS)]


async def bought_through_an_outage(box: Sandbox, platform: str) -> dict[str, int]:
    """Buy, and close the platform's port for 1.5 s in the middle; return how the rows ended."""
    kind = DialNexa if platform == "dialnexa" else SigmaMind
    place = box.dialnexa if platform == "dialnexa" else box.sigmamind
    found: Counter[str] = Counter()
    async with kind(place.api_key, base_url=place.base_url, max_connections=8) as client:
        provisioner = Provisioner(client, MemoryJournal(), settle_time=0.5)
        rows = ((f"row-{index}", value) for index, value in enumerate(values(platform)))
        async for outcome in provisioner.run_many(rows):
            found[outcome.status] += 1
            if found.total() == ROWS // 4:
                box.refuse(1.5)
    return dict(found)


@pytest.mark.parametrize("platform", ["dialnexa", "sigmamind"])
async def test_purchases_wait_until_the_platform_can_be_reached(platform: str) -> None:
    """What they read first waits too: the search for a number, and the listing of those owned."""
    async with Sandbox(seed=1, latency=(0.01, 0.02)) as box:
        assert await bought_through_an_outage(box, platform) == {"done": ROWS}
        assert len(box.ledger.purchases) == ROWS


@pytest.mark.parametrize("platform", ["dialnexa", "sigmamind"])
async def test_rows_that_do_not_wait_fail_at_once(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: as single operations they would."""
    init = Execution.__init__

    def impatient(self: Execution[Any], *args: Any, in_bulk: bool = False) -> None:
        init(self, *args, in_bulk=False)

    monkeypatch.setattr(Execution, "__init__", impatient)
    async with Sandbox(seed=1, latency=(0.01, 0.02)) as box:
        found = await bought_through_an_outage(box, platform)
    assert found.get("failed", 0) + found.get("unconfirmed", 0) > 0


async def run_again(
    path: Path, base_url: str, key: str, patience: float
) -> tuple[dict[str, int], str]:
    """Buy with a journal that another run has made: the account is listed before the first."""
    async with (
        SqliteJournal(path) as journal,
        SigmaMind(key, base_url=base_url, max_connections=8) as client,
    ):
        provisioner = Provisioner(client, journal, settle_time=0.5)
        rows = ((f"row-{n}", CreatePhoneNumber(country_code="US")) for n in range(40))
        run = provisioner.run_many(rows, stop_on=StopOn(patience=patience))
        return dict(Counter([outcome.status async for outcome in run])), run.stopped


@pytest.fixture
async def journal_of_another_run(tmp_path: Path) -> Path:
    path = tmp_path / "orders.db"
    async with Sandbox(seed=1) as box, SqliteJournal(path) as journal:
        place = box.sigmamind
        async with SigmaMind("sk-one", base_url=place.base_url) as client:
            with suppress(SigmaMindError):
                await Provisioner(client, journal).run("one", CreatePhoneNumber(country_code="US"))
    return path


async def test_a_job_that_is_resumed_waits_until_the_account_can_be_read(
    journal_of_another_run: Path,
) -> None:
    async with Sandbox(seed=1, latency=(0.01, 0.02)) as box:
        place = box.sigmamind
        box.refuse(1.5)
        found = await run_again(journal_of_another_run, place.base_url, place.api_key, 60.0)
    assert found == ({"done": 40}, "")


async def test_a_job_that_is_resumed_against_nothing_ends_and_was_not_sent(
    journal_of_another_run: Path,
) -> None:
    """Fails where rows do not wait for the listing: each fails, and the job takes a minute."""
    dead = f"http://127.0.0.1:{closed_port()}"
    found, stopped = await run_again(journal_of_another_run, dead, "sk-one", 1.0)
    assert found == {"skipped": 40}
    assert "no request has succeeded" in stopped


async def test_a_platform_that_is_away_ends_a_job_under_a_journal() -> None:
    """Its rows can be carried out by the next run: none is unconfirmed, most were never sent."""
    journal = MemoryJournal()
    async with client_of(f"http://127.0.0.1:{closed_port()}", max_connections=8) as client:
        provisioner = Provisioner(client, journal)
        rows = ((f"row-{n}", CreatePhoneNumber(country_code="US")) for n in range(300))
        began = time.monotonic()
        run = provisioner.run_many(rows, stop_on=StopOn(patience=1.0))
        found = Counter([outcome.status async for outcome in run])
        took = time.monotonic() - began

    assert found.keys() <= {"failed", "skipped"}
    assert found["failed"] <= 8
    assert "no request has succeeded" in run.stopped
    assert took < 30.0

"""Test calls from many numbers: each number calls once, whatever happens to the responses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from sigmamind_async import OutcomeUnknownError, Progress, SigmaMind
from sigmamind_async.platforms.sigmamind.models import PhoneNumber
from sigmamind_async.platforms.sigmamind.verification import VerificationResult, verify_numbers
from sigmamind_async.sandbox import Sandbox
from tests.functional.support import FAST

PHONE, OTHER_PHONE = "+14155559900", "+14155559901"
SIX = [f"+1415555020{place}" for place in range(6)]


@attrs.frozen
class Account:
    """A sandbox's account whose calls have ended as soon as they are placed."""

    box: Sandbox
    client: SigmaMind

    async def holds(self, *names: str, rings: str = PHONE) -> list[PhoneNumber]:
        for name in names:
            await self.client.phone_numbers.import_(
                name, outbound_phone_number=rings, outbound_agent_id="agent_1"
            )
        return [each async for each in self.client.phone_numbers.list()]

    def turn(self, **switches: Any) -> None:
        """Change how calls go from now on."""
        self.box.switches = attrs.evolve(self.box.switches, **switches)

    @property
    def callers(self) -> list[str | None]:
        return [each.phone_number for each in self.box.ledger.of_kind("call")]


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with Sandbox(seed=1) as box:
        endpoint = box.sigmamind
        async with SigmaMind(endpoint.api_key, base_url=endpoint.base_url, retry=FAST) as client:
            account = Account(box, client)
            account.turn(call_seconds=0.0)
            yield account


async def test_each_number_calls_once_and_is_counted(account: Account) -> None:
    numbers = [*await account.holds(*SIX), PhoneNumber(sip_phone_number="+14155550300")]
    progress = Progress()
    results = [each async for each in verify_numbers(account.client, numbers, progress=progress)]

    assert sorted(map(str, account.callers)) == SIX
    assert Counter(each.status for each in results) == {"passed": 6, "skipped": 1}
    assert (progress.done, progress.skipped, progress.total) == (6, 1, 7)
    assert all(each.call and each.call.call_id for each in results if each.status == "passed")


async def test_a_call_that_was_not_answered_counts_as_failed(account: Account) -> None:
    numbers = await account.holds(SIX[0])
    account.turn(call_status="ended", call_reason="busy")
    run = verify_numbers(account.client, numbers)
    [result] = [each async for each in run]

    assert (result.status, result.error) == ("failed", None)
    assert (run.progress.done, run.progress.failed) == (0, 1)


@pytest.mark.parametrize("fault", ["reset_after_commit", "status_500_after_commit", "cut_body"])
async def test_a_lost_response_is_never_called_again(account: Account, fault: str) -> None:
    """Negative control: with the call as a repeatable operation it rings twice and passes."""
    numbers = await account.holds(SIX[0])
    account.box.script("calls.create", [fault])
    [result] = [each async for each in verify_numbers(account.client, numbers)]

    assert (result.status, result.call) == ("unconfirmed", None)
    assert isinstance(result.error, OutcomeUnknownError)
    assert account.callers == [SIX[0]]


async def test_a_call_whose_end_is_not_seen_is_unconfirmed(account: Account) -> None:
    numbers = await account.holds(SIX[0])
    account.turn(call_seconds=3600.0)
    run = verify_numbers(account.client, numbers, timeout=0.1, poll_interval=0.02)
    [result] = [each async for each in run]

    assert result.status == "unconfirmed"
    assert result.call is not None
    assert str(result.error) == "the call was placed and has not ended within 0.1 s"


async def test_one_telephone_takes_one_call_at_a_time(account: Account) -> None:
    """Negative control: with ``per_destination=2`` the second call starts during the first."""
    numbers = await account.holds(*SIX[:2])
    account.turn(call_seconds=0.2)
    async for _ in verify_numbers(account.client, numbers, poll_interval=0.02):
        pass

    first, second = (each.time for each in account.box.ledger.of_kind("call"))
    assert second >= first + 0.2


async def test_a_stopped_run_waits_for_its_calls_and_skips_the_rest(account: Account) -> None:
    numbers = await account.holds(*SIX)
    account.turn(call_seconds=0.1)
    run = verify_numbers(
        account.client, numbers, concurrency=2, per_destination=2, poll_interval=0.02
    )
    results: list[VerificationResult] = []
    async for result in run:
        results.append(result)
        run.stop("enough")

    counts = Counter(each.status for each in results)
    assert counts["passed"] == len(account.callers) < len(SIX)
    assert counts["passed"] + counts["skipped"] == len(SIX)
    assert run.stopped == "enough"


async def test_a_cancelled_run_loses_no_result(account: Account) -> None:
    """What may ring is unconfirmed, the rest is skipped; each number has one result."""
    numbers = await account.holds(*SIX)
    account.turn(call_seconds=3600.0)
    run = verify_numbers(account.client, numbers, concurrency=2, per_destination=2)
    delivered: list[VerificationResult] = []

    async def consume() -> None:
        async for result in run:
            delivered.append(result)  # noqa: PERF401 - it is cancelled

    consumer = asyncio.create_task(consume())
    while run.in_progress < 2 or len(account.callers) < 2:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    consumer.cancel()
    await asyncio.wait([consumer])

    everything = [*delivered, *run.undelivered]
    assert Counter(each.status for each in everything) == {"unconfirmed": 2, "skipped": 4}
    assert sorted(str(each.number.sip_phone_number) for each in everything) == SIX
    assert len(account.callers) == 2


async def test_a_refused_key_stops_the_run(account: Account) -> None:
    numbers = await account.holds(*SIX)
    account.box.script("calls.create", ["status_401"] * 6)
    run = verify_numbers(account.client, numbers, concurrency=1)
    counts = Counter([each.status async for each in run])

    assert counts == {"failed": 3, "skipped": 3}
    assert "3 rows in a row" in run.stopped
    assert account.callers == []

"""A claim whose caller has stopped waiting for the journal, and what it may still write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.errors import JournalError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.provisioning import execution as execution_module
from sigmamind_async.provisioning.execution import Execution
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.testing import VirtualLoop, in_virtual_time

VALUE = CreatePhoneNumber(country_code="US", friendly_name="Desk")


class LosesTheFirstClaim(MemoryJournal):
    """Answers the first claim never, and does not store it."""

    lost = False

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        if row.state is State.SENDING and not self.lost:
            self.lost = True
            await asyncio.Event().wait()
        return await super().put(row, max_purchases=max_purchases, durable=durable)


async def state_while_another_sends() -> tuple[State, int]:
    """Return the row's state while a second caller's request is under way; and the purchases."""
    async with Sandbox(seed=1) as box:
        box.latency = (30.0, 30.0)
        journal, transport, key = LosesTheFirstClaim(), box.transport(), box.sigmamind.api_key
        hasty = in_virtual_time(SigmaMind(key, transport=transport, deadline=1.0))
        patient = in_virtual_time(
            SigmaMind(key, transport=transport, deadline=200.0, attempt_timeout=60.0)
        )
        with pytest.raises(JournalError, match="not sent"):
            await Provisioner(hasty, journal).run("order-1", VALUE)
        second = asyncio.create_task(Provisioner(patient, journal).run("order-1", VALUE))
        await asyncio.sleep(20.0)  # the first has given up retracting by then
        row = await journal.get("sigmamind", "order-1")
        await second
        assert row is not None
        return row.state, len(box.ledger.purchases)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_claim_that_was_never_stored_retracts_no_other(
    guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look at whose row it is, a third caller would buy again: the control."""

    async def holds(execution: Execution[Any], _: object) -> bool:
        return await execution._context.get(execution.op_id) is not None  # noqa: SLF001

    if not guarded:
        monkeypatch.setattr(Execution, "_holds", holds)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        state, bought = runner.run(state_while_another_sends())
    assert state is (State.SENDING if guarded else State.PLANNED)
    assert bought == 1


class AnswersClaimsLate(MemoryJournal):
    """Stores a claim, and answers a moment later, whether or not anybody still waits for that."""

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        if row.state is not State.SENDING:
            return await super().put(row, max_purchases=max_purchases, durable=durable)
        return await asyncio.shield(asyncio.create_task(self._put_late(row, max_purchases)))

    async def _put_late(self, row: Row, most: int | None) -> PutResult:
        await asyncio.sleep(0.12)
        return await super().put(row, max_purchases=most)


async def states_after_a_stop() -> set[State]:
    """Return the states of ten rows whose job ends while their claims are written."""
    async with Sandbox(seed=1) as box:
        journal = AnswersClaimsLate()
        client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
        async with in_virtual_time(client) as buyer:
            rows = [(f"desk-{n}", VALUE) for n in range(10)]
            job = asyncio.ensure_future(collect(Provisioner(buyer, journal).run_many(rows)))
            await asyncio.sleep(0.05)
            job.cancel()
            await asyncio.wait({job})
            await asyncio.sleep(0.1)  # the journal ends what it has begun
        stored = [await journal.get("sigmamind", op_id) for op_id, _ in rows]
        assert not box.ledger.purchases
        return {row.state for row in stored if row is not None}


async def collect(run: AsyncIterable[object]) -> None:
    async for _ in run:
        pass


@pytest.mark.parametrize("guarded", [True, False])
def test_a_job_that_is_cancelled_leaves_no_row_in_sending(
    guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of them was sent, and each would count as bought until the settle time is over.

    Control: where the job does not wait for that to be noted, its process may end before.
    """
    if not guarded:
        monkeypatch.setattr(execution_module, "_LAST_OF_JOB", 0.0)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        states = runner.run(states_after_a_stop())
    assert states == ({State.PLANNED} if guarded else {State.SENDING})

"""A claim whose caller has stopped waiting for the journal, and what it may still write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sigmamind_async import SigmaMind
from sigmamind_async.errors import JournalError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
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

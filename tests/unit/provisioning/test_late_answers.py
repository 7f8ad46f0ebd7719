"""An answer that comes after its process was taken for lost, and what the journal keeps of it."""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async import DialNexa, OutcomeUnknownError
from sigmamind_async.platforms.dialnexa import PurchasePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row, State
from sigmamind_async.provisioning.execution import Execution
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time, reply
from sigmamind_async.transport import HttpRequest

NUMBER = "+14155550100"
PURCHASE = PurchasePhoneNumber(
    phone_number=NUMBER, telephony_provider_id="twilio", country_iso="US"
)


class StandsStill(ScriptedTransport):
    """Returns the answer to a purchase when its lease is over, and another process has looked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(self._answer_to)
        self.clock = clock
        self.other: Provisioner | None = None

    def _answer_to(self, request: HttpRequest) -> Any:
        bought = {"phone_number": NUMBER, "provider": "twilio"}  # and no id
        return reply(201, bought) if request.method == "POST" else reply(200, {"items": []})

    async def send(self, request: HttpRequest, *rest: Any) -> Any:
        answer = await super().send(request, *rest)
        if request.method == "POST" and self.other is not None:
            self.clock.now += self.other.lease + 1.0
            await self.other.reconcile()
        return answer


async def buy_late() -> Row:
    """Return the row of a purchase that succeeded too late, with an answer that names no record."""
    clock = FakeClock()
    transport = StandsStill(clock)
    client = in_fake_time(DialNexa("key", transport=transport), clock)
    journal = MemoryJournal()
    transport.other = Provisioner(client, journal)
    with pytest.raises(OutcomeUnknownError):
        await Provisioner(client, journal).run("order-1", PURCHASE)
    row = await journal.get("dialnexa", "order-1")
    assert row is not None
    return row


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_success_is_recorded_although_its_process_was_taken_for_lost(
    is_recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent again. The control forgets the answer, and sends a second purchase."""

    async def forget(*_: object) -> None:
        return None

    if not is_recorded:
        monkeypatch.setattr(Execution, "_record_late", forget)
    row = await buy_late()
    assert (row.state, row.accepted) == (State.UNCONFIRMED, is_recorded)
    assert row.attempt == (1 if is_recorded else 2)

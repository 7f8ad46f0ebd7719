"""The numbers of one agent get another one, without a file and without the command line."""

from __future__ import annotations

import pytest

from sigmamind_async import InvalidRequestError, SigmaMind
from sigmamind_async.fleet import apply, plan_reassignment
from sigmamind_async.platforms.sigmamind import ImportPhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.sigmamind.records import AGENTS

OLD, NEW, OTHER = (agent.agent_id for agent in AGENTS[:3])
BOTH, ONE, NONE = (f"+1415555012{digit}" for digit in range(3))


async def test_only_what_names_the_agent_changes_and_only_once() -> None:
    box, journal = Sandbox(seed=1), MemoryJournal()
    held = [
        ImportPhoneNumber(phone_number=BOTH, inbound_agent_id=OLD, outbound_agent_id=OLD),
        ImportPhoneNumber(phone_number=ONE, inbound_agent_id=OTHER, outbound_agent_id=OLD),
        ImportPhoneNumber(phone_number=NONE, inbound_agent_id=OTHER),
    ]
    async with SigmaMind(box.sigmamind.api_key, transport=box.transport()) as client:
        (await client.phone_numbers.import_many(held)).raise_for_failures()
        inbound, state = await plan_reassignment(
            client, journal, from_agent=OLD, to_agent=NEW, side="inbound"
        )
        assert inbound.writes == 1
        await apply(inbound, [Provisioner(client, journal)], state=state)
        both, state = await plan_reassignment(client, journal, from_agent=OLD, to_agent=NEW)
        assert both.writes == 2
        await apply(both, [Provisioner(client, journal)], state=state)
        again, _ = await plan_reassignment(client, journal, from_agent=OLD, to_agent=NEW)
        agents = {
            each.sip_phone_number: (each.inbound_agent_id, each.outbound_agent_id)
            async for each in client.phone_numbers.list()
        }

    assert not again.steps
    assert agents == {BOTH: (NEW, NEW), ONE: (OTHER, NEW), NONE: (OTHER, None)}


async def test_an_agent_that_the_account_does_not_have_is_a_problem() -> None:
    box = Sandbox(seed=1)
    held = ImportPhoneNumber(phone_number=ONE, inbound_agent_id=OLD)
    async with SigmaMind(box.sigmamind.api_key, transport=box.transport()) as client:
        await client.run(held)
        found, _ = await plan_reassignment(
            client, MemoryJournal(), from_agent=OLD, to_agent="agent_nowhere"
        )

    assert not found.writes
    assert "agent_nowhere" in found.problems[0].message


async def test_the_same_agent_is_refused() -> None:
    box = Sandbox(seed=1)
    async with SigmaMind(box.sigmamind.api_key, transport=box.transport()) as client:
        with pytest.raises(InvalidRequestError, match="are the same"):
            await plan_reassignment(client, MemoryJournal(), from_agent=OLD, to_agent=OLD)

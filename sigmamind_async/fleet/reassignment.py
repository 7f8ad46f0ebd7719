"""A plan without a file: the numbers of one agent get another one."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from sigmamind_async.client import Client
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.fleet.export import export
from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import (
    FleetState,
    LastApplied,
    find_agents,
    list_numbers,
    read_last_applied,
)
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.journal.protocol import Journal

_FIELDS: Final = {
    "inbound": ("inbound_agent_id",),
    "outbound": ("outbound_agent_id",),
    "both": ("inbound_agent_id", "outbound_agent_id"),
}


async def plan_reassignment(
    client: Client,
    journal: Journal,
    *,
    from_agent: str,
    to_agent: str,
    side: Literal["inbound", "outbound", "both"] = "both",
) -> tuple[Plan, FleetState]:
    """Read the account; return a plan that gives the numbers of one agent to another one.

    `apply` carries it out with the state that is returned with it.

    Args:
        client: Client of the account.
        journal: Journal of the fleet that the numbers are in, which keeps up with the change. For
            numbers that are in none, a `MemoryJournal`.
        from_agent: Id of the agent that has the numbers.
        to_agent: Id of the agent that gets them. One that the account does not have is a problem of
            the plan, where the platform reports its agents.
        side: ``inbound`` for the calls that the agent answers, ``outbound`` for those it makes, or
            ``both``. A side with another agent stays as it is.

    Raises:
        InvalidRequestError: The agents are the same, or numbers on this platform have none on
            this side.
        APIStatusError: The account cannot be read.
    """
    platform = client.platform.name
    fields = [name for name in _FIELDS[side] if name in VENDORS[platform].update.takes]
    if from_agent == to_agent:
        raise InvalidRequestError("from_agent and to_agent are the same")
    if not fields:
        raise InvalidRequestError(f"numbers on {platform} have no {side} agent")
    applied = await read_last_applied(journal)
    numbers = [
        number
        for number in (await list_numbers(client)).values()
        if from_agent in map(number.shown.get, fields)
    ]
    rows: list[FleetRow] = []
    for number, row in zip(numbers, export(numbers, applied), strict=True):
        changed = [name for name in fields if number.shown.get(name) == from_agent]
        before = applied.get(row.id) or LastApplied(
            platform=platform,
            record=number.record,
            phone_number=number.phone_number,
            source="existing",
            sequence=0,
        )
        # As if the agent had been applied, or the change would be drift.
        seen = {**before.fields, **dict.fromkeys(changed, from_agent)}
        applied[row.id] = attrs.evolve(before, fields=seen)
        new = {"phone_number": row.phone_number, **dict.fromkeys(changed, to_agent)}
        rows.append(attrs.evolve(row, fields=new))
    agents = await find_agents(client, {to_agent}) if rows else None
    state = FleetState(
        numbers={platform: {number.record: number for number in numbers}},
        last_applied=applied,
        agents={} if agents is None else {platform: agents},
    )
    return plan(fleet_of(rows), state), state

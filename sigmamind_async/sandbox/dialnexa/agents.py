"""What each agent operation of DialNexa does: the newer way to route a number.

Two ways lead to the same routing: a number names its agent, or an agent its numbers. What an
agent says reaches the numbers only with the version that is published.
https://dialnexa.com/docs, "Update an agent"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import attrs

from sigmamind_async.sandbox.account import changed
from sigmamind_async.sandbox.dialnexa import rules, views
from sigmamind_async.sandbox.dialnexa.account import DialNexaAccount
from sigmamind_async.sandbox.dialnexa.records import Agent, PhoneNumber
from sigmamind_async.sandbox.fields import read_body, text
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Change, Outcome
from sigmamind_async.sandbox.refusals import RefusedError

_NUMBER_FIELDS = ("inbound_phone_number_id", "outbound_phone_number_id")


def show_agents(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """List the agents. Nothing is paged."""
    shown = [views.agent_view(agent, call.switches) for agent in account.agents.values()]
    return Outcome(answer=views.record_answer(200, {"agents": shown}, call.switches))


def show_agent(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Read one agent."""
    return Outcome(answer=_agent_answer(call, account.agent(call)))


def update_agent(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Change which numbers an agent answers and calls from."""
    found = account.agent(call)
    body = read_body(call, rules.AGENT)
    version = cast("int", body["version_number"])
    if version > found.version_number:
        raise RefusedError(400, f"version_number must be at most {found.version_number}")
    if version < found.version_number:
        # Published. https://dialnexa.com/docs, "Update Agent"
        if body.keys() - {"version_number", "is_published"} or not body.get("is_published"):
            said = "Published versions cannot be updated, except to set is_published: true"
            raise RefusedError(400, said)
        return Outcome(answer=_agent_answer(call, found))
    _check_numbers(account, call, found, body)
    named = {name: text(body, name) or None for name in _NUMBER_FIELDS if name in body}
    agent = changed(found, named)
    rerouted: dict[str, PhoneNumber] = {}
    if body.get("is_published"):
        rerouted = _rerouted(account, agent)
        agent = attrs.evolve(
            agent,
            version_number=agent.version_number + 1,
            live_inbound_id=agent.inbound_phone_number_id,
            live_outbound_id=agent.outbound_phone_number_id,
        )
    number = account.numbers.get(next(filter(None, named.values()), ""))
    change = Change(
        kind="routing",
        record_id=agent.agent_id,
        phone_number=None if number is None else number.phone_number,
        friendly_name=None,
        body=body,
        state={
            "agent": attrs.asdict(agent),
            "rerouted": [attrs.asdict(number) for number in rerouted.values()],
        },
    )
    return Outcome(answer=_agent_answer(call, agent), change=change)


def _check_numbers(
    account: DialNexaAccount,
    call: ApiRequest,
    agent: Agent,
    body: Mapping[str, object],
) -> None:
    for name in _NUMBER_FIELDS:
        key = text(body, name)
        if key and key not in account.numbers:
            raise RefusedError(400, f"{name} does not exist")
    outbound = text(body, "outbound_phone_number_id")
    changed = outbound is not None and outbound != (agent.outbound_phone_number_id or "")
    if changed and call.switches.dialnexa.numbers_in_use:
        raise RefusedError(409, "Active workflows use the outbound phone number")


def _rerouted(account: DialNexaAccount, agent: Agent) -> dict[str, PhoneNumber]:
    """Return the numbers whose routing changes when *agent* is published.

    A number that the last published version had and this one has not is nobody's, unless
    someone else has taken it since.
    """
    ways = (
        ("agent_id", agent.live_inbound_id, agent.inbound_phone_number_id),
        ("outbound_agent_id", agent.live_outbound_id, agent.outbound_phone_number_id),
    )
    found: dict[str, PhoneNumber] = {}
    for field, before, after in ways:
        for key, agent_id in ((before, None), (after, agent.agent_id)):
            number = found.get(key or "", account.numbers.get(key or ""))
            if number is None or (agent_id is None and getattr(number, field) != agent.agent_id):
                continue
            found[number.key] = changed(number, {field: agent_id})
    return found


def _agent_answer(call: ApiRequest, agent: Agent) -> Answer:
    return views.record_answer(200, views.agent_view(agent, call.switches), call.switches)

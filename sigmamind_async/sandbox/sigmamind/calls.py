"""What each agent and call operation does. Same shape as ``numbers``.

A call needs no clockwork: how far it has come follows from when it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import attrs

from sigmamind_async.sandbox.answers import Json, json_answer
from sigmamind_async.sandbox.chance import draw_token
from sigmamind_async.sandbox.fields import read_body, text
from sigmamind_async.sandbox.messages import ApiRequest, Change, Outcome
from sigmamind_async.sandbox.refusals import RefusedError
from sigmamind_async.sandbox.sigmamind import rules, views
from sigmamind_async.sandbox.sigmamind.account import SigmaMindAccount
from sigmamind_async.sandbox.sigmamind.paging import page_answer
from sigmamind_async.sandbox.sigmamind.records import PhoneCall


def list_agents(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read a page of agents."""
    return Outcome(answer=page_answer(call, list(account.agents.values()), views.agent_view))


def show_agent(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read one agent."""
    agent = account.agents.get(call.route.key or "")
    if agent is None:
        raise RefusedError(404, "Agent not found")
    return Outcome(answer=json_answer(200, views.agent_view(agent)))


def create_call(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Place a call from a number of the account."""
    body = read_body(call, rules.CREATE_CALL)
    number = account.numbers.get(str(body["fromPhoneNumber"]))
    if number is None:
        raise RefusedError(400, "fromPhoneNumber is not a number of this account")
    # https://docs.sigmamind.ai/api-reference/phone-numbers/create-phone-number, outboundAgentId
    agent_id = text(body, "agentId") or number.outbound_agent_id
    if agent_id is None:
        raise RefusedError(400, "agentId is required: the number has no outbound agent")
    account.check_agents(call, agent_id)
    made = PhoneCall(
        call_id="call_" + draw_token(account.seed, 24, "call", account.calls_made),
        from_phone_number=number.phone_number,
        to_phone_number=str(body["toPhoneNumber"]),
        agent_id=agent_id,
        dynamic_variables=cast("Mapping[str, object]", body.get("dynamicVariables", {})),
        created_at=call.now,
        seconds=call.switches.call_seconds,
        status=call.switches.call_status,
        reason=call.switches.call_reason,
    )
    change = Change(
        kind="call",
        phone_number=number.phone_number,
        friendly_name=None,
        body=body,
        state={"call": attrs.asdict(made)},
    )
    view = _call_view(account, call, made)
    return Outcome(answer=json_answer(call.switches.create_status, view), change=change)


def get_call(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read one call."""
    return Outcome(answer=json_answer(200, _call_view(account, call, _place_call(account, call))))


def list_calls(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read a page of calls, those of one status where the query names it."""
    status = call.query.get("status")
    rows = [
        made
        for made in account.calls.values()
        if status is None or views.call_status(made, call.now) == status
    ]
    return Outcome(answer=page_answer(call, rows, lambda made: _call_view(account, call, made)))


def delete_call(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Forget a call. Documented as "OK": 200, with a body nobody describes."""
    made = _place_call(account, call)
    change = Change(
        kind="call_removal",
        phone_number=made.from_phone_number,
        friendly_name=None,
        body={},
        state={"removed_call": made.call_id},
    )
    return Outcome(answer=json_answer(200, _call_view(account, call, made)), change=change)


def _place_call(account: SigmaMindAccount, call: ApiRequest) -> PhoneCall:
    made = account.calls.get(call.route.key or "")
    if made is None:
        raise RefusedError(404, "Call not found")
    return made


def _call_view(account: SigmaMindAccount, call: ApiRequest, made: PhoneCall) -> Json:
    number = account.numbers.get(made.from_phone_number)
    agent = account.agents.get(made.agent_id)
    return views.call_view(made, number, agent, call.switches, call.now)

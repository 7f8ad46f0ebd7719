"""How SigmaMind words its records and errors. Pure; the switches decide the variants."""

from __future__ import annotations

from http import HTTPStatus

from sigmamind_async.sandbox.answers import Json, error_answer, finished, timestamp
from sigmamind_async.sandbox.messages import Answer
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.sigmamind.records import Agent, PhoneCall, PhoneNumber
from sigmamind_async.sandbox.switches import Switches


def refused(refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
    """Return an error in the documented form, or the one switched to."""
    # https://docs.sigmamind.ai/api-reference/calls/delete-phone-call (400 sample)
    content = {
        "error": HTTPStatus(refusal.status).phrase,
        "message": refusal.message,
        "path": path,
        "status": refusal.status,
        "timestamp": timestamp(now),
    }
    return error_answer(refusal, content, switches)


def number_view(number: PhoneNumber, switches: Switches, password: str | None = None) -> Json:
    """Return a number as Update, Get and List word it."""
    view: Json = {
        "sipPhoneNumber": _digits(number.phone_number, switches),
        "provider": _provider(number, switches),
        "inboundAgentId": number.inbound_agent_id,
        "outboundAgentId": number.outbound_agent_id,
        "outboundPhoneNumber": _digits(number.outbound_phone_number, switches),
        "active": number.active,
        "terminationSipURI": number.termination_sip_uri,
        "friendlyName": number.friendly_name,
    }
    if switches.echo_secrets:
        view |= {"trunkUsername": number.trunk_username, "trunkPassword": password}
    return finished(view, switches)


def created_view(number: PhoneNumber, switches: Switches) -> Json:
    """Return a number as Create words it: without a termination address."""
    view = number_view(number, switches)
    view.pop("terminationSipURI", None)
    return view


def imported_view(number: PhoneNumber, switches: Switches, password: str | None) -> Json:
    """Return a number as Import words it: without the provider."""
    view = number_view(number, switches, password)
    view.pop("provider", None)
    return view


def agent_view(agent: Agent) -> Json:
    """Return an agent."""
    return {
        "agentId": agent.agent_id,
        "agentName": agent.agent_name,
        "instructions": agent.instructions,
        "welcomeMessageType": "static",
        "welcomeMessage": agent.welcome_message,
        "agentSettings": {"language": agent.language, "aiStartsConversation": True},
        "tools": [],
    }


def call_status(call: PhoneCall, now: float) -> str:
    """Return how far a call has come."""
    passed = now - call.created_at
    if passed >= call.seconds:
        return call.status
    return "scheduled" if passed < call.seconds / 3 else "in_progress"


def call_view(
    call: PhoneCall,
    number: PhoneNumber | None,
    agent: Agent | None,
    switches: Switches,
    now: float,
) -> Json:
    """Return a call as it stands at *now*; *number* is None once it has been released."""
    started = call.created_at + call.seconds / 3
    ended = call.created_at + call.seconds
    over = now >= ended
    return {
        "callId": call.call_id,
        "callType": "outbound",
        "phoneNumber": number_view(number, switches) if number else None,
        "campaign": None,
        "status": call_status(call, now),
        "transcript": "Agent: Hello.\nUser: Hello." if over else None,
        "startTime": timestamp(started) if now >= started else None,
        "endTime": timestamp(ended) if over else None,
        "duration": round(ended - started) if over else None,
        "terminationReason": call.reason if over else None,
        "createdAt": timestamp(call.created_at),
        "updatedAt": timestamp(min(now, ended)),
        "dynamicVariables": dict(call.dynamic_variables),
        "recordingUrl": f"https://recordings.invalid/{call.call_id}.wav" if over else None,
        "agent": {
            "name": agent.agent_name if agent else None,
            "agentId": call.agent_id,
            "status": "active",
        },
    }


def _digits(number: str | None, switches: Switches) -> str | int | None:
    return int(number) if switches.numeric_numbers and number else number


def _provider(number: PhoneNumber, switches: Switches) -> str:
    if switches.provider_word is None or number.is_imported:
        return number.provider
    return switches.provider_word

"""How DialNexa words its records and errors. Pure; the switches decide the variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from sigmamind_async.sandbox.answers import Json, error_answer, finished, json_answer, timestamp
from sigmamind_async.sandbox.chance import draw_token
from sigmamind_async.sandbox.dialnexa.records import Agent, PhoneNumber
from sigmamind_async.sandbox.messages import Answer, ApiRequest
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.stock import NUMBERING_PLANS
from sigmamind_async.sandbox.switches import Switches


def number_status(number: PhoneNumber, now: float) -> str:
    """Return how far a number has come."""
    return "active" if now >= number.active_at else "pending"


def number_view(number: PhoneNumber, switches: Switches, now: float) -> Json:
    """Return a number in the shape switched to."""
    shape = _SHAPES[switches.dialnexa.record_shape]
    word = switches.provider_word or number.provider
    return finished(shape(number, word, number_status(number, now)), switches)


def _schema(number: PhoneNumber, provider: str, status: str) -> Json:
    # https://dialnexa.mintlify.app, "Update Phone Number": the schema of the response.
    return {
        "id": number.key,
        "phone_number": number.phone_number,
        "label": number.label,
        "agent_id": number.agent_id,
        "status": status,
        "provider": provider,
        "created_at": timestamp(number.created_at),
        "nickname": number.nickname,
    }


def _narrative(number: PhoneNumber, provider: str, status: str) -> Json:
    # The same site's "Get Phone Number": the example in its text.
    del provider, status
    return {
        "id": number.key,
        "phone_number": number.phone_number,
        "country_code": number.country_code,
        "type": number.type,
        "monthly_cost_usd": "1.15",
        "capabilities": ["voice"],
        "nickname": number.nickname,
        "inbound_agent_id": number.agent_id,
        "created_at": timestamp(number.created_at),
    }


def _newer(number: PhoneNumber, provider: str, status: str) -> Json:
    # https://dialnexa.com/docs: schema and examples of the newer OpenAPI document.
    return {
        "id": number.key,
        "phone_number": number.phone_number,
        "provider": provider,
        "status": status,
        "country_code": number.country_code,
        "nickname": number.nickname,
        "sip_trunk_enabled": number.is_imported,
    }


_SHAPES: Mapping[str, Callable[[PhoneNumber, str, str], Json]] = {
    "schema": _schema,
    "narrative": _narrative,
    "newer": _newer,
}


def record_answer(status: int, record: Json, switches: Switches) -> Answer:
    """Return a record as an answer, in the wrapper switched to."""
    wrapper = switches.dialnexa.record_wrapper
    if wrapper == "data":
        return json_answer(status, {"data": record})
    if wrapper == "status_code":
        return json_answer(status, {"statusCode": status, "data": record})
    return json_answer(status, record)


def purchase_view(number: PhoneNumber, call: ApiRequest) -> Json:
    """Return what a purchase answers: a summary with or without the record, or the record."""
    record = number_view(number, call.switches, call.now)
    answer = call.switches.dialnexa.purchase_answer
    if answer == "record":
        return record
    # https://dialnexa.com/docs: the response of the purchase; only the first two are required.
    summary: Json = {
        "phoneNumber": number.phone_number,
        "status": number_status(number, call.now),
        "message": "Phone number purchased successfully",
    }
    if answer == "outside":
        # The example of a 200: all that is known of the number is outside the record.
        return summary | {"organizationPhoneNumber": {"sip_trunk_enabled": False}}
    return summary if answer == "summary" else summary | {"organizationPhoneNumber": record}


def agent_view(agent: Agent, switches: Switches) -> Json:
    """Return an agent with its versions, of which the draft is the current one.

    https://dialnexa.com/docs: schema and examples of "Get Agent". Settings of its speech are left
    out.
    """
    numbers = range(1, agent.version_number + 1)
    versions = [_version_view(agent, number, switches) for number in numbers]
    view: Json = {
        "id": agent.agent_id,
        "folder_id": None,
        "current_version_number": agent.version_number,
        "agent_type": "Single_Prompt_Agent",
        "current_version": versions[-1],
        "versions": versions,
    }
    return finished(view, switches)


def _version_view(agent: Agent, number: int, switches: Switches) -> Json:
    is_draft, is_live = number == agent.version_number, number == agent.version_number - 1
    view: Json = {
        "agent_id": agent.agent_id,
        "version_number": number,
        "version_title": f"Version {number}",
        "title": agent.name,
        "is_published": not is_draft,
    }
    if switches.dialnexa.show_routing and is_draft:
        view["inbound_phone_number_id"] = agent.inbound_phone_number_id
        view["outbound_phone_number_id"] = agent.outbound_phone_number_id
    if switches.dialnexa.show_routing and is_live:
        view["inbound_phone_number_id"] = agent.live_inbound_id
        view["outbound_phone_number_id"] = agent.live_outbound_id
    return finished(view, switches)


def price_view(country: str, switches: Switches) -> Json:
    """Return what a number of a country costs."""
    view: Json = {
        "telephony_provider_id": "tp_abc123xyz789",
        "country_iso": country,
        "country_name": NUMBERING_PLANS[country].name,
        "credit_cost": "500.0000",
        "created_at": "2026-03-01T10:00:00.000Z",
        "updated_at": "2026-03-01T10:00:00.000Z",
        "telephonyProvider": {"name": "plivo"},
    }
    return finished(view, switches)


def country_view(country: str, seed: int) -> Json:
    """Return how the numbers of a country are made.

    https://dialnexa.com/docs, "List Phone Country Rules"
    """
    plan = NUMBERING_PLANS[country]
    return {
        "id": "pcr_" + draw_token(seed, 12, "country", country),
        **_rule(country),
        "max_length": len(f"{plan.areas[0]}{plan.lowest}"),
        "is_deleted": False,
    }


def destination_view(country: str) -> Json:
    """Return what calls to a country may do; "List Enabled Telephony Network Groups"."""
    return {
        "prefix_mode": "allow_only_listed",
        "from_phone_number_country_code": None,
        "countryRule": _rule(country),
    }


def _rule(country: str) -> Json:
    plan = NUMBERING_PLANS[country]
    return {
        "country_iso": country,
        "country_name": plan.name,
        "calling_code": plan.calling_code,
        "prefixes": [str(area) for area in plan.areas],
    }


def offer_view(phone_number: str, country: str, switches: Switches) -> Json:
    """Return a number for sale as its carrier words it."""
    digits = switches.dialnexa.search_numbers == "digits"
    return {
        "number": phone_number.removeprefix("+") if digits else phone_number,
        "type": "local",
        "monthly_rental_rate": "0.80000",
        "setup_rate": "0.00000",
        "voice_enabled": True,
        "sms_enabled": False,
        "mms_enabled": False,
        "country_iso": country,
        "number_format": phone_number,
    }


def refused(refusal: Refusal, switches: Switches) -> Answer:
    """Return an error in the documented form, or the one switched to.

    A request of the wrong form answers 400 with a list of what is wrong.
    """
    status = 400 if refusal.problems else refusal.status
    sentences = [problem.sentence for problem in refusal.problems]
    content = {
        "statusCode": status,
        "message": sentences or refusal.message,
        "error": HTTPStatus(status).phrase,
    }
    return error_answer(Refusal(status, refusal.message), content, switches)

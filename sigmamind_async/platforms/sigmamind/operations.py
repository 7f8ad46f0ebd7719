"""How each SigmaMind request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from sigmamind_async.convert import Record, RequestValue, body_of, record_decoder
from sigmamind_async.operation import (
    PAGE_BYTES,
    Operation,
    Platform,
    ReadBack,
    Response,
    comparison,
    delete_operation,
    differing_fields,
    get_operation,
    patch_operation,
    post_operation,
)
from sigmamind_async.paging import Page, page_of
from sigmamind_async.platforms.sigmamind.models import (
    Agent,
    Call,
    CreateCall,
    CreatePhoneNumber,
    DeleteCall,
    DeletePhoneNumber,
    GetAgent,
    GetCall,
    GetPhoneNumber,
    ImportPhoneNumber,
    ListAgents,
    ListCalls,
    ListPhoneNumbers,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.responses.confirmation import (
    as_phone_number,
    confirm,
    confirm_named,
    decode_removal,
    require_named,
)
from sigmamind_async.values import UNSET, path_segment

R = TypeVar("R", bound=Record)


def create_phone_number(value: CreatePhoneNumber) -> Operation[PhoneNumber]:
    """Buy a number. Without an idempotency key, it is not sent again after a lost answer."""
    number = value.phone_number
    return post_operation(
        "sigmamind.create_phone_number",
        "/v1/phone-numbers",
        body_of(value),
        _decode_named_phone_number if number is UNSET else _about(number),
        value=value,
        # A number of the platform's choice cannot be looked up.
        read_back=None if number is UNSET else _read_back(value, number, _READABLE),
    )


def import_phone_number(value: ImportPhoneNumber) -> Operation[PhoneNumber]:
    """Register your own number. What a second import does is not documented."""
    return post_operation(
        "sigmamind.import_phone_number",
        "/v1/phone-numbers/import",
        body_of(value),
        _about(value.phone_number),
        value=value,
        read_back=_read_back(value, value.phone_number, _READABLE_ON_A_TRUNK),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number."""
    return patch_operation(
        "sigmamind.update_phone_number",
        _number_path(value.phone_number),
        body_of(value),
        _about(value.phone_number),
        value=value,
        ignored_fields=lambda found: _compare(value, found),
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look up a number. The documentation mentions the call but has no page for it."""
    return get_operation(
        "sigmamind.get_phone_number", _number_path(value.phone_number), _decode_phone_number, value
    )


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    return _list("sigmamind.list_phone_numbers", "/v1/phone-numbers", PhoneNumber, value)


def delete_phone_number(value: DeletePhoneNumber) -> Operation[None]:
    """Release a number."""
    return delete_operation(
        "sigmamind.delete_phone_number", _number_path(value.phone_number), value, decode_removal
    )


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look up an agent."""
    return get_operation(
        "sigmamind.get_agent", f"/v1/agents/{path_segment(value.agent_id)}", _decode_agent, value
    )


def list_agents(value: ListAgents) -> Operation[Page[Agent]]:
    """Read one page of the agents."""
    return _list("sigmamind.list_agents", "/v1/agents", Agent, value)


def create_call(value: CreateCall) -> Operation[Call]:
    """Place a phone call; never sent twice."""
    return post_operation(
        "sigmamind.create_call", "/v1/calls", body_of(value), _decode_new_call, value=value
    )


def get_call(value: GetCall) -> Operation[Call]:
    """Look up a call."""
    return get_operation(
        "sigmamind.get_call", f"/v1/calls/{path_segment(value.call_id)}", _decode_call, value
    )


def list_calls(value: ListCalls) -> Operation[Page[Call]]:
    """Read one page of the calls."""
    query = {} if value.status is UNSET else {"status": value.status}
    return _list("sigmamind.list_calls", "/v1/calls", Call, value, **query)


def delete_call(value: DeleteCall) -> Operation[None]:
    """Delete the record of a call."""
    path = f"/v1/calls/{path_segment(value.call_id)}"
    return delete_operation("sigmamind.delete_call", path, value, decode_removal)


OPERATIONS: Final[Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]] = {
    CreatePhoneNumber: create_phone_number,
    ImportPhoneNumber: import_phone_number,
    UpdatePhoneNumber: update_phone_number,
    GetPhoneNumber: get_phone_number,
    ListPhoneNumbers: list_phone_numbers,
    DeletePhoneNumber: delete_phone_number,
    GetAgent: get_agent,
    ListAgents: list_agents,
    CreateCall: create_call,
    GetCall: get_call,
    ListCalls: list_calls,
    DeleteCall: delete_call,
}


# --- requests --------------------------------------------------------------------------------


def _number_path(phone_number: str) -> str:
    # Whether "+" must be escaped is not documented; "%2B" means the same to every server. The rest
    # of a checked number is digits.
    return f"/v1/phone-numbers/%2B{phone_number[1:]}"


def _list(
    name: str,
    path: str,
    cls: type[R],
    value: ListPhoneNumbers | ListAgents | ListCalls,
    **query: str,
) -> Operation[Page[R]]:
    parameters = urlencode({**query, "page": value.page, "size": value.size})
    return get_operation(
        name,
        f"{path}?{parameters}",
        # No copy of the documentation shows the envelope of the phone numbers; "data" is the key
        # that the other listings use.
        lambda response: page_of(response, cls, ("data",), size=value.size),
        value,
        max_bytes=PAGE_BYTES,
    )


def _read_back(
    value: object, phone_number: str, fields: Mapping[str, str]
) -> ReadBack[PhoneNumber]:
    return ReadBack(
        lambda: get_phone_number(GetPhoneNumber(phone_number=phone_number)),
        lambda found: (
            found.sip_phone_number == phone_number and not differing_fields(value, found, fields)
        ),
    )


_READABLE: Final = {
    name: name
    for name in (
        "friendly_name",
        "inbound_agent_id",
        "outbound_agent_id",
        "outbound_phone_number",
    )
}
_READABLE_ON_A_TRUNK: Final = {**_READABLE, "termination_sip_uri": "termination_sip_uri"}
"""The record's field for each request field that an answer shows. A trunk's username and password
are in no answer."""
_compare: Final = comparison(_READABLE_ON_A_TRUNK)


# --- answers ---------------------------------------------------------------------------------


def _number(found: PhoneNumber) -> str:
    return as_phone_number(found.sip_phone_number)


def _about(phone_number: str) -> Callable[[Response], PhoneNumber]:
    # Not `confirm_matching`, which takes two functions for each call: 1,500 instructions.
    def decode(response: Response) -> PhoneNumber:
        found = _read_phone_number(response)
        return confirm(found, matches=found.sip_phone_number == phone_number)

    return decode


def _call_id(found: Call) -> str | None:
    return found.call_id


_read_phone_number = record_decoder(PhoneNumber)
_read_call = record_decoder(Call)
_decode_phone_number = require_named(_read_phone_number, _number)
_decode_named_phone_number = confirm_named(_read_phone_number, _number)
_decode_agent = require_named(record_decoder(Agent), lambda found: found.agent_id)
_decode_call = require_named(_read_call, _call_id)
_decode_new_call = confirm_named(_read_call, _call_id)


SIGMAMIND: Final = Platform(
    name="sigmamind",
    base_url="https://api.sigmamind.ai",
    env_prefix="SIGMAMIND",
    authorize=lambda key: {"X-API-Key": key.reveal()},
    probe="/v1/phone-numbers?page=0&size=1",
)

"""How each SigmaMind request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from sigmamind_async.convert import (
    Record,
    RequestValue,
    body_of,
    record_decoder,
)
from sigmamind_async.operation import (
    PAGE_BYTES,
    Operation,
    Platform,
    ReadBack,
    Request,
    Response,
    delete_operation,
    get_operation,
    patch_operation,
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
from sigmamind_async.readback import ignored_fields
from sigmamind_async.responses.confirmation import about, as_number, naming, removed, showing
from sigmamind_async.responses.error_body import explain
from sigmamind_async.values import UNSET, path_segment

R = TypeVar("R", bound=Record)


def create_phone_number(value: CreatePhoneNumber) -> Operation[PhoneNumber]:
    """Buy a number. Nothing marks two requests as one: it is never sent again after silence."""
    exact = value.phone_number
    return Operation(
        name="sigmamind.create_phone_number",
        request=Request(method="POST", path="/v1/phone-numbers", json=body_of(value)),
        decode=_decode_named_phone_number if exact is UNSET else _about(exact),
        repeatable=False,
        value=value,
        # Without a number of our choosing there is nothing to look up.
        read_back=None
        if value.phone_number is UNSET
        else _read_back(value, str(value.phone_number)),
    )


def import_phone_number(value: ImportPhoneNumber) -> Operation[PhoneNumber]:
    """Register a number of one's own. What a second import of it does is not documented."""
    return Operation(
        name="sigmamind.import_phone_number",
        request=Request(method="POST", path="/v1/phone-numbers/import", json=body_of(value)),
        decode=_about(value.phone_number),
        repeatable=False,
        value=value,
        read_back=_read_back(value, value.phone_number),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number."""
    return patch_operation(
        "sigmamind.update_phone_number",
        _number_path(value.phone_number),
        body_of(value),
        _about(value.phone_number),
        value=value,
        ignored_fields=lambda found: ignored_fields(value, found, _READABLE_ON_A_TRUNK),
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look a number up. The documentation mentions the call, but has no page for it."""
    return get_operation(
        "sigmamind.get_phone_number", _number_path(value.phone_number), _decode_phone_number, value
    )


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    return _listing(
        "sigmamind.list_phone_numbers",
        "/v1/phone-numbers",
        PhoneNumber,
        value,
        page=value.page,
        size=value.size,
    )


def delete_phone_number(value: DeletePhoneNumber) -> Operation[None]:
    """Release a number."""
    return delete_operation(
        "sigmamind.delete_phone_number", _number_path(value.phone_number), value, removed
    )


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look an agent up."""
    return get_operation(
        "sigmamind.get_agent", f"/v1/agents/{path_segment(value.agent_id)}", _decode_agent, value
    )


def list_agents(value: ListAgents) -> Operation[Page[Agent]]:
    """Read one page of the agents."""
    return _listing(
        "sigmamind.list_agents", "/v1/agents", Agent, value, page=value.page, size=value.size
    )


def create_call(value: CreateCall) -> Operation[Call]:
    """Start a phone call; never sent twice."""
    return Operation(
        name="sigmamind.create_call",
        request=Request(method="POST", path="/v1/calls", json=body_of(value)),
        decode=_decode_new_call,
        repeatable=False,
        value=value,
    )


def get_call(value: GetCall) -> Operation[Call]:
    """Look a call up."""
    return get_operation(
        "sigmamind.get_call", f"/v1/calls/{path_segment(value.call_id)}", _decode_call, value
    )


def list_calls(value: ListCalls) -> Operation[Page[Call]]:
    """Read one page of the calls."""
    chosen = {} if value.status is UNSET else {"status": value.status}
    return _listing(
        "sigmamind.list_calls", "/v1/calls", Call, value, **chosen, page=value.page, size=value.size
    )


def delete_call(value: DeleteCall) -> Operation[None]:
    """Delete the record of a call."""
    path = f"/v1/calls/{path_segment(value.call_id)}"
    return delete_operation("sigmamind.delete_call", path, value, removed)


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
    # The escaping of "+" is not described; "%2B" means the same to every server. What follows it
    # in a checked number is digits.
    return f"/v1/phone-numbers/%2B{phone_number[1:]}"


def _listing(
    name: str, path: str, cls: type[R], value: object, *, size: int, **query: object
) -> Operation[Page[R]]:
    return get_operation(
        name,
        f"{path}?{urlencode({**query, 'size': size})}",
        # The envelope of the phone numbers is in no copy of the documentation; this is the key of
        # the standard wrapper.
        lambda response: page_of(response, cls, ("data",), size=size),
        value,
        max_bytes=PAGE_BYTES,
    )


def _read_back(
    value: CreatePhoneNumber | ImportPhoneNumber, phone_number: str
) -> ReadBack[PhoneNumber]:
    return ReadBack(
        operation=get_phone_number(GetPhoneNumber(phone_number=phone_number)),
        agrees=lambda found: (
            found.sip_phone_number == phone_number and not _ignored_fields(value, found)
        ),
    )


def _ignored_fields(
    value: CreatePhoneNumber | ImportPhoneNumber | UpdatePhoneNumber, found: PhoneNumber
) -> tuple[str, ...]:
    fields = _READABLE if isinstance(value, CreatePhoneNumber) else _READABLE_ON_A_TRUNK
    return ignored_fields(value, found, fields)


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
"""Request fields that come back, by the field they come back in. A trunk's username and password
never do."""


# --- answers ---------------------------------------------------------------------------------


def _number(found: PhoneNumber) -> str:
    return as_number(found.sip_phone_number)


def _about(phone_number: str) -> Callable[[Response], PhoneNumber]:
    return about(_read_phone_number, lambda found: found.sip_phone_number == phone_number)


def _call_id(found: Call) -> str | None:
    return found.call_id


_read_phone_number = record_decoder(PhoneNumber)
_read_call = record_decoder(Call)
_decode_phone_number = showing(_read_phone_number, _number)
_decode_named_phone_number = naming(_read_phone_number, _number)
_decode_agent = showing(record_decoder(Agent), lambda found: found.agent_id)
_decode_call = showing(_read_call, _call_id)
_decode_new_call = naming(_read_call, _call_id)


SIGMAMIND: Final = Platform(
    name="sigmamind",
    base_url="https://api.sigmamind.ai",
    env_prefix="SIGMAMIND",
    authorize=lambda key: {"X-API-Key": key.reveal()},
    explain=explain,
    probe="/v1/phone-numbers?page=0&size=1",
)

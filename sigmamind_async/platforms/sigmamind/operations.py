"""How each SigmaMind request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

import attrs
import orjson

from sigmamind_async.convert import (
    RequestValue,
    body_of,
    load_json,
    record_decoder,
    structure,
    wire,
)
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import (
    PAGE_BYTES,
    Explanation,
    Operation,
    Platform,
    ReadBack,
    Request,
    Response,
)
from sigmamind_async.paging import Page
from sigmamind_async.platforms.sigmamind.models import (
    Agent,
    Call,
    CreateCall,
    CreatePhoneNumber,
    DeleteCall,
    DeletePhoneNumber,
    Envelope,
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
from sigmamind_async.values import UNSET, Secret, path_segment


def create_phone_number(value: CreatePhoneNumber) -> Operation[PhoneNumber]:
    """Buy a number. Nothing marks two requests as one: it is never sent again after silence."""
    return Operation(
        name="sigmamind.create_phone_number",
        request=Request(method="POST", path="/v1/phone-numbers", json=body_of(value)),
        decode=_decode_phone_number,
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
        decode=_decode_phone_number,
        repeatable=False,
        value=value,
        read_back=_read_back(value, value.phone_number),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number."""
    return Operation(
        name="sigmamind.update_phone_number",
        request=Request(method="PATCH", path=_number_path(value.phone_number), json=body_of(value)),
        decode=_decode_phone_number,
        repeatable=True,
        value=value,
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look a number up. The call is named by the documentation, a page of its own was not found."""
    return Operation(
        name="sigmamind.get_phone_number",
        request=Request(method="GET", path=_number_path(value.phone_number)),
        decode=_decode_phone_number,
        repeatable=True,
        value=value,
    )


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    return Operation(
        name="sigmamind.list_phone_numbers",
        request=_page_request("/v1/phone-numbers", page=value.page, size=value.size),
        decode=_page_decoder(_PhoneNumbers),
        repeatable=True,
        value=value,
    )


def delete_phone_number(value: DeletePhoneNumber) -> Operation[None]:
    """Give a number up. Whatever a 2xx says in its body, the number is gone."""
    return Operation(
        name="sigmamind.delete_phone_number",
        request=Request(method="DELETE", path=_number_path(value.phone_number)),
        decode=_decode_nothing,
        repeatable=True,
        value=value,
        when_gone=None,
    )


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look an agent up."""
    return Operation(
        name="sigmamind.get_agent",
        request=Request(method="GET", path=f"/v1/agents/{path_segment(value.agent_id)}"),
        decode=_decode_agent,
        repeatable=True,
        value=value,
    )


def list_agents(value: ListAgents) -> Operation[Page[Agent]]:
    """Read one page of the agents."""
    return Operation(
        name="sigmamind.list_agents",
        request=_page_request("/v1/agents", page=value.page, size=value.size),
        decode=_page_decoder(_Agents),
        repeatable=True,
        value=value,
    )


def create_call(value: CreateCall) -> Operation[Call]:
    """Ring somebody; never twice for one call of ours."""
    return Operation(
        name="sigmamind.create_call",
        request=Request(method="POST", path="/v1/calls", json=body_of(value)),
        decode=_decode_call,
        repeatable=False,
        value=value,
    )


def get_call(value: GetCall) -> Operation[Call]:
    """Look a call up."""
    return Operation(
        name="sigmamind.get_call",
        request=Request(method="GET", path=f"/v1/calls/{path_segment(value.call_id)}"),
        decode=_decode_call,
        repeatable=True,
        value=value,
    )


def list_calls(value: ListCalls) -> Operation[Page[Call]]:
    """Read one page of the calls."""
    chosen = {} if value.status is UNSET else {"status": value.status}
    return Operation(
        name="sigmamind.list_calls",
        request=_page_request("/v1/calls", **chosen, page=value.page, size=value.size),
        decode=_page_decoder(_Calls),
        repeatable=True,
        value=value,
    )


def delete_call(value: DeleteCall) -> Operation[None]:
    """Delete the record of a call."""
    return Operation(
        name="sigmamind.delete_call",
        request=Request(method="DELETE", path=f"/v1/calls/{path_segment(value.call_id)}"),
        decode=_decode_nothing,
        repeatable=True,
        value=value,
        when_gone=None,
    )


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
    # The escaping of "+" is not described; "%2B" means the same to every server.
    return f"/v1/phone-numbers/{path_segment(phone_number)}"


def _page_request(path: str, **query: object) -> Request:
    return Request(method="GET", path=f"{path}?{urlencode(query)}", max_bytes=PAGE_BYTES)


def _read_back(
    value: CreatePhoneNumber | ImportPhoneNumber, phone_number: str
) -> ReadBack[PhoneNumber]:
    return ReadBack(
        operation=get_phone_number(GetPhoneNumber(phone_number=phone_number)),
        agrees=lambda found: shows(found, value),
    )


_NOT_READABLE = frozenset({"phone_number", "country_code", "area_code", "trunk_username"})


def shows(found: PhoneNumber, value: CreatePhoneNumber | ImportPhoneNumber) -> bool:
    """Return whether *found* shows every field of *value* that can be read back."""
    if found.sip_phone_number != value.phone_number:
        return False
    sent = attrs.asdict(value, recurse=False).items()
    return all(
        getattr(found, name) == said
        for name, said in sent
        if said is not UNSET and name not in _NOT_READABLE and not isinstance(said, Secret)
    )


# --- answers ---------------------------------------------------------------------------------


_decode_phone_number = record_decoder(PhoneNumber)
_decode_agent = record_decoder(Agent)
_decode_call = record_decoder(Call)


def _decode_nothing(_: Response) -> None:
    """Take any 2xx for the answer: 200 and 204, with and without a body, are all documented."""


@attrs.frozen(kw_only=True)
class _PhoneNumbers(Envelope):
    data: Annotated[list[PhoneNumber] | None, wire("data")] = None


@attrs.frozen(kw_only=True)
class _Agents(Envelope):
    data: Annotated[list[Agent] | None, wire("data")] = None


@attrs.frozen(kw_only=True)
class _Calls(Envelope):
    data: Annotated[list[Call] | None, wire("data")] = None


def _page_decoder(envelope: type[Any]) -> Callable[[Response], Page[Any]]:
    """Return the function that reads a page: in the usual envelope, or a bare array.

    The envelope of the phone numbers is in no copy of the documentation; this one is said to be
    the standard wrapper.
    """

    def decode(response: Response) -> Page[Any]:
        raw = load_json(response.body)
        if isinstance(raw, list):
            return Page(items=structure({"data": cast("list[object]", raw)}, envelope).data)
        read = structure(raw, envelope)
        if read.data is None:
            raise ResponseDecodeError("data: the page holds no list")
        return Page(items=read.data, more=_more(read))

    return decode


def _more(envelope: Envelope) -> bool | None:
    """Return whether another page follows, by the first thing the envelope says about it."""
    if envelope.has_next is not None:
        return envelope.has_next
    if envelope.page is None:
        return None
    if envelope.total_pages is not None:
        return envelope.page + 1 < envelope.total_pages
    total = envelope.total_count if envelope.total_count is not None else envelope.total_counts
    if total is None or envelope.size is None:
        return None
    return (envelope.page + 1) * envelope.size < total


def explain(response: Response) -> Explanation:
    """Read an error answer: ``message``, else ``error``, else the text as it is.

    Documented is ``{error, message, path, status, timestamp}``, on two pages and for 400 only.
    """
    try:
        said: Any = orjson.loads(response.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        text = response.body.decode(errors="replace").strip()
        return Explanation(message=text or "the platform gave no reason")
    fields = cast("dict[str, object]", said)
    reason, name = fields.get("message"), fields.get("error")
    words = [word for word in (reason, name) if isinstance(word, str) and word]
    return Explanation(
        message=words[0] if words else "the platform gave no reason",
        code=name if isinstance(name, str) else None,
        request_id=response.headers.get("x-request-id"),
    )


SIGMAMIND: Final = Platform(
    name="sigmamind",
    base_url="https://api.sigmamind.ai",
    env_prefix="SIGMAMIND",
    authorize=lambda key: {"X-API-Key": key.reveal()},
    explain=explain,
)

"""How each DialNexa request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

from sigmamind_async.confirmation import (
    is_failure,
    is_key,
    naming,
    refuse_failure,
    removed,
    showing,
)
from sigmamind_async.convert import RequestValue, as_object, body_of, load_json, structure
from sigmamind_async.explanation import explain
from sigmamind_async.operation import (
    PAGE_BYTES,
    Operation,
    Platform,
    ReadBack,
    Request,
    Response,
    changing,
    reading,
    removing,
)
from sigmamind_async.paging import Page, items_of
from sigmamind_async.platforms.dialnexa.models import (
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumbers,
    PhoneNumber,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.readback import not_shown, on_first_page
from sigmamind_async.values import UNSET, path_segment

T = TypeVar("T")

_NUMBERS = "/v1/organization-phone-numbers"


def search_phone_numbers(value: SearchPhoneNumbers) -> Operation[list[AvailableNumber]]:
    """List what can be bought; the carrier's own shape is passed through."""
    query = _query(country_iso=value.country_iso, type=value.type)
    path = f"{_NUMBERS}/plivo-numbers?{query}"
    return reading(
        "dialnexa.search_phone_numbers", path, _decode_stock, value, max_bytes=PAGE_BYTES
    )


def purchase_phone_number(value: PurchasePhoneNumber) -> Operation[PhoneNumber]:
    """Buy one number. No key marks two requests as one: it is never sent again after silence."""
    body = body_of(value)
    if value.older_body:
        body = {"phone_number": value.phone_number}
        if value.provider is not UNSET:
            body["provider"] = value.provider
    return Operation(
        name="dialnexa.purchase_phone_number",
        request=Request(method="POST", path=f"{_NUMBERS}/purchase", json=body),
        decode=naming(_decode_purchase, _bought),
        repeatable=False,
        value=value,
        read_back=_read_back(value, {}),
    )


def import_sip_trunk(value: ImportSipTrunk) -> Operation[PhoneNumber]:
    """Register a number of one's own; 409 says that it is registered already."""
    return Operation(
        name="dialnexa.import_sip_trunk",
        request=Request(method="POST", path=f"{_NUMBERS}/sip-trunks", json=body_of(value)),
        decode=naming(_decode_phone_number, _id),
        repeatable=False,
        value=value,
        read_back=_read_back(value, {"nickname": "nickname"}),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number. The newest API description no longer lists this route."""
    return Operation(
        name="dialnexa.update_phone_number",
        request=Request(method="PATCH", path=_number_path(value.id), json=body_of(value)),
        decode=naming(_decode_phone_number, _id),
        repeatable=True,
        value=value,
        not_shown=lambda found: not_shown(value, found, _told(found)),
        is_about=lambda found: is_key(found.id, value.id),
        hints={
            404: (
                "either this workspace has no such number, or the route is retired: then assign"
                " numbers on the agent's side, with agents.update(inbound_phone_number_id=...,"
                " is_published=True)"
            )
        },
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look a number up by its id."""
    decode = showing(_decode_phone_number, _id)
    return reading("dialnexa.get_phone_number", _number_path(value.id), decode, value)


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    query = _query(
        page=value.page, limit=value.limit, country_code=value.country_code, type=value.type
    )
    return reading(
        "dialnexa.list_phone_numbers",
        f"{_NUMBERS}?{query}",
        lambda response: _decode_page(response, value),
        value,
        max_bytes=PAGE_BYTES,
    )


def release_phone_number(value: ReleasePhoneNumber) -> Operation[None]:
    """Give a number up; 409 says that something still uses it."""
    return removing("dialnexa.release_phone_number", _number_path(value.id), value, removed)


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look an agent up."""
    decode = showing(_decode_agent, _id)
    return reading("dialnexa.get_agent", f"/v1/agents/{path_segment(value.id)}", decode, value)


def update_agent(value: UpdateAgent) -> Operation[Agent]:
    """Route numbers from the agent's side. Unknown fields are dropped without a word."""
    return changing(
        "dialnexa.update_agent",
        f"/v1/agents/{path_segment(value.id)}",
        body_of(value),
        naming(_decode_agent, _id),
        value=value,
        not_shown=lambda found: not_shown(value, found, _ROUTING),
        is_about=lambda found: is_key(found.id, value.id),
    )


OPERATIONS: Final[Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]] = {
    SearchPhoneNumbers: search_phone_numbers,
    PurchasePhoneNumber: purchase_phone_number,
    ImportSipTrunk: import_sip_trunk,
    UpdatePhoneNumber: update_phone_number,
    GetPhoneNumber: get_phone_number,
    ListPhoneNumbers: list_phone_numbers,
    ReleasePhoneNumber: release_phone_number,
    GetAgent: get_agent,
    UpdateAgent: update_agent,
}

_UPDATABLE: Final = {"agent_id": "routed_agent_id", "nickname": "nickname", "label": "label"}
_TOLD_BY: Final = {
    "agent_id": {"agent_id", "inbound_agent_id"},
    "nickname": {"nickname"},
    "label": {"label"},
}
"""Which keys of a record tell about a field. Of the three documented shapes only one has them all:
about what an answer does not hold, it says nothing."""
_ROUTING: Final = {
    name: name for name in ("inbound_phone_number_id", "outbound_phone_number_id", "is_published")
}


def _told(found: PhoneNumber) -> dict[str, str]:
    """Return the fields of an update that the record *found* tells about."""
    came = as_object(found).keys()
    return {name: place for name, place in _UPDATABLE.items() if came & _TOLD_BY[name]}


def _number_path(number_id: str) -> str:
    return f"{_NUMBERS}/{path_segment(number_id)}"


def _query(**said: object) -> str:
    return urlencode({name: value for name, value in said.items() if value is not UNSET})


def _read_back(
    value: PurchasePhoneNumber | ImportSipTrunk, fields: Mapping[str, str]
) -> ReadBack[PhoneNumber]:
    """Look for the number on the first page: there is no look-up by number."""
    return ReadBack(
        operation=on_first_page(
            list_phone_numbers(ListPhoneNumbers()),
            lambda number: number.phone_number == value.phone_number,
        ),
        agrees=lambda found: not not_shown(value, found, fields),
    )


def _unwrapped(response: Response) -> object:
    """Return what an answer holds, out of the wrappers that some answers come in.

    Seen are ``{"statusCode": 200, "data": ...}`` around most answers, and a bare ``data``. What has
    an id is no wrapper, whatever else it holds.
    """
    raw = load_json(response.body)
    while isinstance(inner := _fields(raw).get("data"), dict) and "id" not in _fields(raw):
        refuse_failure(_fields(raw))
        raw = cast("object", inner)
    return raw


def _fields(raw: object) -> dict[str, Any]:
    return cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}


def _id(found: PhoneNumber | Agent) -> str:
    return found.id


def _bought(found: PhoneNumber) -> str:
    """Return the id, or of an acknowledgement that has none, and reports no failure, the number."""
    return found.id or ("" if is_failure(found.status) else found.phone_number)


def _decode_phone_number(response: Response) -> PhoneNumber:
    return structure(_unwrapped(response), PhoneNumber)


def _decode_agent(response: Response) -> Agent:
    return structure(_unwrapped(response), Agent)


def _decode_stock(response: Response) -> list[AvailableNumber]:
    return items_of(_unwrapped(response), AvailableNumber, ("objects", "data", "items"))[0]


def _decode_purchase(response: Response) -> PhoneNumber:
    """Read a purchase: the record, or an acknowledgement with or without the record inside."""
    raw = _unwrapped(response)
    fields = _fields(raw)
    if isinstance(record := fields.get("organizationPhoneNumber"), dict):
        refuse_failure(fields)
        return structure(cast("object", record), PhoneNumber, at="organizationPhoneNumber")
    if "phoneNumber" in fields:
        rest = {name: value for name, value in fields.items() if name != "phoneNumber"}
        return structure({**rest, "phone_number": fields["phoneNumber"]}, PhoneNumber)
    return structure(raw, PhoneNumber)


def _decode_page(response: Response, asked: ListPhoneNumbers) -> Page[PhoneNumber]:
    """Read a page: ``data`` with ``meta``, ``items`` with totals, or a bare array."""
    items, around = items_of(_unwrapped(response), PhoneNumber, ("data", "items"))
    return Page(items=items, more=_more({**around, **_fields(around.get("meta"))}, asked))


def _more(totals: Mapping[str, object], asked: ListPhoneNumbers) -> bool | None:
    """Return whether a page follows the one that was asked for, by what stands around it.

    A platform may cut large pages down: the limit that it names counts before the one asked for.
    """
    pages, total, limit = (totals.get(name) for name in ("totalPages", "total", "limit"))
    if isinstance(pages, int):
        return asked.page < pages
    if isinstance(total, int):
        return asked.page * (limit if isinstance(limit, int) else asked.limit) < total
    return None


DIALNEXA: Final = Platform(
    name="dialnexa",
    base_url="https://api.dialnexa.com",
    env_prefix="DIALNEXA",
    authorize=lambda key: {"Authorization": f"Bearer {key.reveal()}"},
    explain=explain,
)

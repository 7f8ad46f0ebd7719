"""How each DialNexa request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

from sigmamind_async.convert import (
    RequestValue,
    body_of,
    load_json,
    structure,
    told_by,
    wire_names,
)
from sigmamind_async.errors import ResponseDecodeError
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
from sigmamind_async.paging import PAGE_RECORDS, Page, items_of, load_page, page_of
from sigmamind_async.platforms.dialnexa.models import (
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumberPricing,
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberPrice,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.readback import not_shown, on_first_page
from sigmamind_async.responses.confirmation import (
    as_phone_number,
    confirm_matching,
    confirm_named,
    decode_removal,
    means_failure,
    require_named,
    require_no_failure,
)
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


def list_phone_number_pricing(value: ListPhoneNumberPricing) -> Operation[list[PhoneNumberPrice]]:
    """List what numbers cost, by provider and country; the platform does not page it."""
    return reading(
        "dialnexa.list_phone_number_pricing",
        "/v1/phone-number-pricing",
        _decode_pricing,
        value,
        max_bytes=PAGE_BYTES,
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
        decode=_of_number(confirm_named(_decode_purchase, _bought), value.phone_number),
        repeatable=False,
        value=value,
        read_back=_read_back(value, {}),
    )


def import_sip_trunk(value: ImportSipTrunk) -> Operation[PhoneNumber]:
    """Register a number of one's own; 409 says that it is registered already."""
    return Operation(
        name="dialnexa.import_sip_trunk",
        request=Request(method="POST", path=f"{_NUMBERS}/sip-trunks", json=body_of(value)),
        decode=_of_number(confirm_named(_decode_phone_number, _id), value.phone_number),
        repeatable=False,
        value=value,
        read_back=_read_back(value, {"nickname": "nickname"}),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number. The newest API description no longer lists this route."""
    return Operation(
        name="dialnexa.update_phone_number",
        request=Request(method="PATCH", path=_number_path(value.id), json=body_of(value)),
        decode=confirm_matching(_decode_phone_number, lambda found: found.id == value.id),
        repeatable=True,
        value=value,
        not_shown=lambda found: not_shown(value, found, _told(found)),
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
    decode = require_named(_decode_phone_number, lambda found: found.id or found.phone_number)
    return reading("dialnexa.get_phone_number", _number_path(value.id), decode, value)


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    query = _query(
        page=value.page, limit=value.limit, country_code=value.country_code, type=value.type
    )
    return reading(
        "dialnexa.list_phone_numbers",
        f"{_NUMBERS}?{query}",
        # "data" with "meta", "items" with totals, or a bare array.
        lambda response: page_of(
            response, PhoneNumber, ("data", "items"), size=value.limit, unwrap=_inside
        ),
        value,
        max_bytes=PAGE_BYTES,
    )


def release_phone_number(value: ReleasePhoneNumber) -> Operation[None]:
    """Release a number; 409 means that something still uses it."""
    return removing("dialnexa.release_phone_number", _number_path(value.id), value, decode_removal)


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look an agent up."""
    decode = require_named(_decode_agent, _id)
    return reading("dialnexa.get_agent", f"/v1/agents/{path_segment(value.id)}", decode, value)


def update_agent(value: UpdateAgent) -> Operation[Agent]:
    """Route numbers from the agent's side. Unknown fields are dropped without a word.

    The documented answer does not show the numbers of a version: about them it says nothing.
    """
    return changing(
        "dialnexa.update_agent",
        f"/v1/agents/{path_segment(value.id)}",
        body_of(value),
        confirm_matching(
            lambda response: _decode_agent(response, value.version_number),
            lambda found: found.id == value.id,
        ),
        value=value,
        not_shown=lambda found: not_shown(value, found, _told_of(found)),
    )


OPERATIONS: Final[Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]] = {
    SearchPhoneNumbers: search_phone_numbers,
    ListPhoneNumberPricing: list_phone_number_pricing,
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
_ROUTING: Final = ("inbound_phone_number_id", "outbound_phone_number_id", "is_published")


def _told(found: PhoneNumber) -> dict[str, str]:
    """Return the fields of an update that the record *found* tells about."""
    told = told_by(found)
    return {name: place for name, place in _UPDATABLE.items() if told & _TOLD_BY[name]}


def _told_of(found: Agent) -> dict[str, str]:
    """Return the fields of an agent's update that the version in *found* tells about."""
    told = told_by(found)
    return {name: name for name in _ROUTING if name in told}


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
    return _inside(load_json(response.body))


def _inside(raw: object) -> object:
    while isinstance(inner := _fields(raw).get("data"), dict) and "id" not in _fields(raw):
        require_no_failure(_fields(raw))
        raw = cast("object", inner)
    return raw


def _fields(raw: object) -> dict[str, Any]:
    return cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}


def _id(found: PhoneNumber | Agent) -> str:
    return found.id


def _of_number(
    read: Callable[[Response], PhoneNumber], phone_number: str
) -> Callable[[Response], PhoneNumber]:
    """Return *read*, for a record that names *phone_number* or no number at all."""
    return confirm_matching(
        read, lambda found: as_phone_number(found.phone_number) in {"", phone_number}
    )


def _bought(found: PhoneNumber) -> str:
    """Return the id, or of an acknowledgement that has none, and reports no failure, the number."""
    return found.id or ("" if means_failure(found.status) else as_phone_number(found.phone_number))


def _decode_phone_number(response: Response) -> PhoneNumber:
    return structure(_unwrapped(response), PhoneNumber)


def _decode_agent(response: Response, updated: int | None = None) -> Agent:
    raw = _unwrapped(response)
    fields = _fields(raw)
    return structure(_with_version(fields, updated) if fields else raw, Agent)


def _with_version(agent: Mapping[str, object], updated: int | None) -> dict[str, object]:
    """Return *agent* with the fields of its version *updated*, or of the current one.

    What stands in the agent itself counts first: some answers have no versions.
    """
    current = agent.get("current_version_number")
    version = _version(agent, current if updated is None else updated)
    told: dict[str, object] = {name: version[name] for name in _OF_A_VERSION if name in version}
    if "title" in version:
        told.setdefault("name", version["title"])
    if current is not None:
        told.setdefault("version_number", current)
    return _filled(agent, told)


_OF_A_VERSION: Final = ("name", "version_number", *_ROUTING)


def _version(agent: Mapping[str, object], number: object) -> dict[str, Any]:
    """Return version *number* of an agent; without a number, the current one."""
    current = _fields(agent.get("current_version"))
    if number is None:
        return current
    others = agent.get("versions")
    listed = cast("list[object]", others) if isinstance(others, list) else []
    versions = (current, *map(_fields, listed))
    named = (each for each in versions if str(each.get("version_number")) == str(number))
    return next(named, _NO_FIELDS)


_NO_FIELDS: Final[dict[str, Any]] = {}


def _filled(record: Mapping[str, object], beside: Mapping[str, object]) -> dict[str, object]:
    """Return *record* with what is *beside* it in place of what it lacks, or holds as null."""
    lacking = {name: held for name, held in beside.items() if record.get(name) is None}
    return {**record, **lacking}


def _decode_stock(response: Response) -> list[AvailableNumber]:
    raw = _inside(load_page(response.body))
    return items_of(raw, AvailableNumber, ("objects", "data", "items"))


def _decode_pricing(response: Response) -> list[PhoneNumberPrice]:
    keys = ("data", "items")
    page = page_of(response, PhoneNumberPrice, keys, size=PAGE_RECORDS, unwrap=_inside)
    if page.more or (page.pages or 1) > 1 or (page.total or 0) > len(page.items):
        # No query is documented that would ask for the rest.
        raise ResponseDecodeError(f"the price list goes on after {len(page.items)} prices")
    return page.items


def _decode_purchase(response: Response) -> PhoneNumber:
    """Read a purchase: the record, or an acknowledgement with or without the record inside.

    One of the two documented examples names the number in the acknowledgement alone.
    """
    raw = _unwrapped(response)
    fields = _fields(raw)
    if "phoneNumber" in fields:
        fields["phone_number"] = fields.pop("phoneNumber")
    record = fields.pop("organizationPhoneNumber", None)
    if not isinstance(record, dict):
        return structure(raw, PhoneNumber)
    require_no_failure(fields)
    beside = {name: held for name, held in fields.items() if name in _OF_A_NUMBER}
    held = _filled(cast("dict[str, object]", record), beside)
    return structure(held, PhoneNumber, at="organizationPhoneNumber")


_OF_A_NUMBER: Final = frozenset(mark.name for mark in wire_names(PhoneNumber).values())


DIALNEXA: Final = Platform(
    name="dialnexa",
    base_url="https://api.dialnexa.com",
    env_prefix="DIALNEXA",
    authorize=lambda key: {"Authorization": f"Bearer {key.reveal()}"},
    probe=f"{_NUMBERS}?page=1&limit=1",
)

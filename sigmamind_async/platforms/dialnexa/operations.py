"""How each DialNexa request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

from sigmamind_async.convert import (
    RequestValue,
    body_of,
    load_json,
    present_keys,
    structure,
    wire_names,
)
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import (
    PAGE_BYTES,
    Operation,
    Platform,
    ReadBack,
    Response,
    delete_operation,
    differing_fields,
    get_operation,
    patch_operation,
    post_operation,
)
from sigmamind_async.paging import (
    PAGE_RECORDS,
    Page,
    find_on_first_page,
    items_of,
    load_page,
    page_of,
)
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

_COLLECTION = "/v1/organization-phone-numbers"


def search_phone_numbers(value: SearchPhoneNumbers) -> Operation[list[AvailableNumber]]:
    """List the numbers on offer, in the carrier's own shape."""
    query = _query(country_iso=value.country_iso, type=value.type)
    path = f"{_COLLECTION}/plivo-numbers?{query}"
    return get_operation(
        "dialnexa.search_phone_numbers", path, _decode_stock, value, max_bytes=PAGE_BYTES
    )


def list_phone_number_pricing(value: ListPhoneNumberPricing) -> Operation[list[PhoneNumberPrice]]:
    """List the prices by provider and country; the listing has no pages."""
    return get_operation(
        "dialnexa.list_phone_number_pricing",
        "/v1/phone-number-pricing",
        _decode_pricing,
        value,
        max_bytes=PAGE_BYTES,
    )


def purchase_phone_number(value: PurchasePhoneNumber) -> Operation[PhoneNumber]:
    """Buy one number. Without an idempotency key, it is not sent again after a lost answer."""
    body = body_of(value)
    if value.older_body:
        body = {"phone_number": value.phone_number}
        if value.provider is not UNSET:
            body["provider"] = value.provider
    return post_operation(
        "dialnexa.purchase_phone_number",
        f"{_COLLECTION}/purchase",
        body,
        _about_number(confirm_named(_decode_purchase, _purchase_key), value.phone_number),
        value=value,
        read_back=_find_in_listing(value, {}),
    )


def import_sip_trunk(value: ImportSipTrunk) -> Operation[PhoneNumber]:
    """Register your own number; a 409 means that it is already registered."""
    return post_operation(
        "dialnexa.import_sip_trunk",
        f"{_COLLECTION}/sip-trunks",
        body_of(value),
        _about_number(confirm_named(_decode_phone_number, _id), value.phone_number),
        value=value,
        read_back=_find_in_listing(value, {"nickname": "nickname"}),
    )


def update_phone_number(value: UpdatePhoneNumber) -> Operation[PhoneNumber]:
    """Change a number. The newest API description no longer lists this route."""
    return patch_operation(
        "dialnexa.update_phone_number",
        _number_path(value.id),
        body_of(value),
        confirm_matching(_decode_phone_number, lambda found: found.id == value.id),
        value=value,
        ignored_fields=lambda found: differing_fields(value, found, _shown_number_fields(found)),
        hints={
            404: (
                "either this workspace has no such number, or the route is retired: then assign"
                " numbers on the agent's side, with agents.update(inbound_phone_number_id=...,"
                " is_published=True)"
            )
        },
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look up a number by its id."""
    decode = require_named(_decode_phone_number, lambda found: found.id or found.phone_number)
    return get_operation("dialnexa.get_phone_number", _number_path(value.id), decode, value)


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    query = _query(
        page=value.page, limit=value.limit, country_code=value.country_code, type=value.type
    )
    return get_operation(
        "dialnexa.list_phone_numbers",
        f"{_COLLECTION}?{query}",
        # "data" with "meta", "items" with totals, or a bare array.
        lambda response: page_of(
            response, PhoneNumber, ("data", "items"), size=value.limit, unwrap=_unwrap
        ),
        value,
        max_bytes=PAGE_BYTES,
    )


def release_phone_number(value: ReleasePhoneNumber) -> Operation[None]:
    """Release a number; a 409 means that something still uses it."""
    return delete_operation(
        "dialnexa.release_phone_number", _number_path(value.id), value, decode_removal
    )


def get_agent(value: GetAgent) -> Operation[Agent]:
    """Look up an agent."""
    decode = require_named(_decode_agent, _id)
    return get_operation(
        "dialnexa.get_agent", f"/v1/agents/{path_segment(value.id)}", decode, value
    )


def update_agent(value: UpdateAgent) -> Operation[Agent]:
    """Route numbers from the agent's side; the platform silently drops unknown fields.

    The documented answer does not show a version's numbers, so it does not contradict them either.
    """
    return patch_operation(
        "dialnexa.update_agent",
        f"/v1/agents/{path_segment(value.id)}",
        body_of(value),
        confirm_matching(
            lambda response: _decode_agent(response, value.version_number),
            lambda found: found.id == value.id,
        ),
        value=value,
        ignored_fields=lambda found: differing_fields(value, found, _shown_routing(found)),
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

# Only one of the three documented shapes of a number has all of an update's fields. A field whose
# keys are absent is not compared.
_NUMBER_FIELDS: Final = {
    "agent_id": ("routed_agent_id", {"agent_id", "inbound_agent_id"}),
    "nickname": ("nickname", {"nickname"}),
    "label": ("label", {"label"}),
}
"""For each field of an update, the record's field, and the keys that show it."""
_ROUTING: Final = ("inbound_phone_number_id", "outbound_phone_number_id", "is_published")


def _shown_number_fields(found: PhoneNumber) -> dict[str, str]:
    present = present_keys(found)
    return {name: field for name, (field, keys) in _NUMBER_FIELDS.items() if present & keys}


def _shown_routing(found: Agent) -> dict[str, str]:
    return {name: name for name in _ROUTING if name in present_keys(found)}


def _number_path(number_id: str) -> str:
    return f"{_COLLECTION}/{path_segment(number_id)}"


def _query(**fields: object) -> str:
    return urlencode({name: value for name, value in fields.items() if value is not UNSET})


def _find_in_listing(
    value: PurchasePhoneNumber | ImportSipTrunk, fields: Mapping[str, str]
) -> ReadBack[PhoneNumber]:
    """Look for the number on the first page, as there is no look-up by number."""
    return ReadBack(
        lambda: find_on_first_page(
            list_phone_numbers(ListPhoneNumbers()),
            lambda number: number.phone_number == value.phone_number,
        ),
        lambda found: not differing_fields(value, found, fields),
    )


def _unwrapped(response: Response) -> object:
    return _unwrap(load_json(response.body))


def _unwrap(raw: object) -> object:
    """Return what is inside the wrappers of an answer.

    Most answers come in ``{"statusCode": 200, "data": ...}``, some in a bare ``data``. An object
    with an id is not a wrapper, whatever else it holds.
    """
    while isinstance(inner := _object(raw).get("data"), dict) and "id" not in _object(raw):
        require_no_failure(_object(raw))
        raw = cast("object", inner)
    return raw


def _object(raw: object) -> dict[str, Any]:
    return cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}


def _id(found: PhoneNumber | Agent) -> str:
    return found.id


def _about_number(
    read: Callable[[Response], PhoneNumber], phone_number: str
) -> Callable[[Response], PhoneNumber]:
    """Return *read* for a record that names *phone_number*, or no number at all."""
    return confirm_matching(
        read, lambda found: as_phone_number(found.phone_number) in {"", phone_number}
    )


def _purchase_key(found: PhoneNumber) -> str:
    """Return the id, or the number of an acknowledgement without one that reports no failure."""
    return found.id or ("" if means_failure(found.status) else as_phone_number(found.phone_number))


def _decode_phone_number(response: Response) -> PhoneNumber:
    return structure(_unwrapped(response), PhoneNumber)


def _decode_agent(response: Response, updated: int | None = None) -> Agent:
    raw = _unwrapped(response)
    fields = _object(raw)
    return structure(_with_version(fields, updated) if fields else raw, Agent)


def _with_version(agent: Mapping[str, object], updated: int | None) -> dict[str, object]:
    """Return *agent* with the fields of its version *updated*, otherwise of the current one.

    The agent's own fields take precedence: some answers have no versions.
    """
    current = agent.get("current_version_number")
    version = _find_version(agent, current if updated is None else updated)
    fields: dict[str, object] = {name: version[name] for name in _VERSION_FIELDS if name in version}
    if "title" in version:
        fields.setdefault("name", version["title"])
    if current is not None:
        fields.setdefault("version_number", current)
    return _fill_gaps(agent, fields)


_VERSION_FIELDS: Final = ("name", "version_number", *_ROUTING)


def _find_version(agent: Mapping[str, object], number: object) -> dict[str, Any]:
    """Return version *number* of an agent; without a number, the current one."""
    current = _object(agent.get("current_version"))
    if number is None:
        return current
    versions = agent.get("versions")
    listed = cast("list[object]", versions) if isinstance(versions, list) else []
    for version in (current, *map(_object, listed)):
        if str(version.get("version_number")) == str(number):
            return version
    return {}


def _fill_gaps(record: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    """Return *record* with those of the *others* that it lacks or holds as null."""
    gaps = {name: value for name, value in others.items() if record.get(name) is None}
    return {**record, **gaps}


def _decode_stock(response: Response) -> list[AvailableNumber]:
    raw = _unwrap(load_page(response.body))
    return items_of(raw, AvailableNumber, ("objects", "data", "items"))


def _decode_pricing(response: Response) -> list[PhoneNumberPrice]:
    keys = ("data", "items")
    page = page_of(response, PhoneNumberPrice, keys, size=PAGE_RECORDS, unwrap=_unwrap)
    if page.more or (page.pages or 1) > 1 or (page.total or 0) > len(page.items):
        # No query for the rest is documented.
        raise ResponseDecodeError(f"the price list goes on after {len(page.items)} prices")
    return page.items


def _decode_purchase(response: Response) -> PhoneNumber:
    """Read a purchase: the record, or an acknowledgement with or without the record inside.

    In one of the two documented examples only the acknowledgement has the number.
    """
    raw = _unwrapped(response)
    fields = _object(raw)
    if "phoneNumber" in fields:
        fields["phone_number"] = fields.pop("phoneNumber")
    record = fields.pop("organizationPhoneNumber", None)
    if not isinstance(record, dict):
        return structure(raw, PhoneNumber)
    require_no_failure(fields)
    beside = {name: value for name, value in fields.items() if name in _NUMBER_KEYS}
    whole = _fill_gaps(cast("dict[str, object]", record), beside)
    return structure(whole, PhoneNumber, at="organizationPhoneNumber")


_NUMBER_KEYS: Final = frozenset(mark.name for mark in wire_names(PhoneNumber).values())


DIALNEXA: Final = Platform(
    name="dialnexa",
    base_url="https://api.dialnexa.com",
    env_prefix="DIALNEXA",
    authorize=lambda key: {"Authorization": f"Bearer {key.reveal()}"},
    probe=f"{_COLLECTION}?page=1&limit=1",
)

"""How each Verbex request value becomes an HTTP call, and how its answer is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from sigmamind_async.convert import RequestValue, body_of, record_decoder
from sigmamind_async.operation import (
    PAGE_BYTES,
    Operation,
    Platform,
    ReadBack,
    delete_operation,
    differing_fields,
    get_operation,
    patch_operation,
    post_operation,
)
from sigmamind_async.paging import Page, find_on_first_page, page_of
from sigmamind_async.platforms.verbex.models import (
    CreatePiaPhoneNumber,
    CreateSipPhoneNumber,
    CreateTwilioPhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ListPhoneNumbers,
    PhoneNumber,
    UpdatePhoneNumber,
    UpdatePiaPhoneNumber,
    UpdateSipPhoneNumber,
    UpdateTwilioPhoneNumber,
)
from sigmamind_async.responses.confirmation import (
    as_phone_number,
    confirm_matching,
    confirm_named,
    decode_removal,
    require_named,
)
from sigmamind_async.values import UNSET, Unset, path_segment

# Documented with and without the slash; FastAPI redirects from one to the other with a 307.
_COLLECTION = "/v1/phone-numbers"
_COLLECTION_ALIAS = "/v1/phone-numbers/"


def create_phone_number(value: CreatePiaPhoneNumber) -> Operation[PhoneNumber]:
    """Register a number of any kind; what a second registration does is not documented."""
    return post_operation(
        "verbex.create_phone_number",
        _COLLECTION,
        body_of(value),
        confirm_matching(
            _decode_named,
            lambda found: (
                value.phone_number is UNSET
                or as_phone_number(found.phone_number) in {"", value.phone_number}
            ),
        ),
        value=value,
        ignored_fields=lambda found: differing_fields(value, found, _readable(value)),
        read_back=_find_in_listing(value, value.phone_number),
        alias=_COLLECTION_ALIAS,
    )


def update_phone_number(value: UpdatePiaPhoneNumber) -> Operation[PhoneNumber]:
    """Change a number."""
    return patch_operation(
        "verbex.update_phone_number",
        _path(value.phone_number_id),
        body_of(value),
        confirm_matching(
            _read_phone_number,
            lambda found: value.phone_number_id in {found.underscore_id, found.plain_id},
        ),
        value=value,
        ignored_fields=lambda found: differing_fields(value, found, _readable(value)),
    )


def get_phone_number(value: GetPhoneNumber) -> Operation[PhoneNumber]:
    """Look up a number by its record id."""
    return get_operation(
        "verbex.get_phone_number", _path(value.phone_number_id), _decode_shown, value
    )


def list_phone_numbers(value: ListPhoneNumbers) -> Operation[Page[PhoneNumber]]:
    """Read one page of the numbers."""
    query = _page_query(value)
    return get_operation(
        "verbex.list_phone_numbers",
        f"{_COLLECTION}?{query}",
        # The documentation does not show the envelope, so every one that was seen is accepted.
        lambda response: page_of(
            response, PhoneNumber, ("phone_numbers", "data", "items"), size=value.page_size
        ),
        value,
        alias=f"{_COLLECTION_ALIAS}?{query}",
        max_bytes=PAGE_BYTES,
    )


def delete_phone_number(value: DeletePhoneNumber) -> Operation[None]:
    """Delete a number's record; 204, 200 and an empty body all mean that it is gone."""
    return delete_operation(
        "verbex.delete_phone_number", _path(value.phone_number_id), value, decode_removal
    )


OPERATIONS: Final[Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]] = {
    CreateSipPhoneNumber: create_phone_number,
    CreatePiaPhoneNumber: create_phone_number,
    CreateTwilioPhoneNumber: create_phone_number,
    UpdatePhoneNumber: update_phone_number,
    UpdateSipPhoneNumber: update_phone_number,
    UpdatePiaPhoneNumber: update_phone_number,
    UpdateTwilioPhoneNumber: update_phone_number,
    GetPhoneNumber: get_phone_number,
    ListPhoneNumbers: list_phone_numbers,
    DeletePhoneNumber: delete_phone_number,
}


def _path(phone_number_id: str) -> str:
    return f"{_COLLECTION}/{path_segment(phone_number_id)}"


def _page_query(value: ListPhoneNumbers) -> str:
    token = {} if value.page_token is UNSET else {"page_token": value.page_token}
    return urlencode({"page_size": value.page_size, **token})


def _readable(value: RequestValue[PhoneNumber]) -> dict[str, str]:
    """Return the fields of *value* that an answer shows."""
    return {name: name for name in _READABLE if hasattr(value, name)}


_READABLE: Final = (
    "friendly_name",
    "inbound_agent_id",
    "outbound_agent_id",
    "sip_termination_uri",
    "sip_trunk_username",
    "sip_infra_region",
    "twilio_account_sid",
)


def _find_in_listing(
    value: CreatePiaPhoneNumber, phone_number: str | Unset
) -> ReadBack[PhoneNumber] | None:
    """Look for the number on the first page, as there is no look-up by number."""
    if phone_number is UNSET:
        return None
    return ReadBack(
        lambda: find_on_first_page(
            list_phone_numbers(ListPhoneNumbers()),
            lambda number: number.phone_number == phone_number,
        ),
        lambda found: not differing_fields(value, found, _readable(value)),
    )


def _id(found: PhoneNumber) -> str:
    return found.id


_read_phone_number = record_decoder(PhoneNumber)
# The API description does not require an id.
_decode_shown = require_named(_read_phone_number, lambda found: found.id or found.phone_number)
_decode_named = confirm_named(_read_phone_number, _id)


VERBEX: Final = Platform(
    name="verbex",
    base_url="https://api.verbex.ai",
    env_prefix="VERBEX",
    authorize=lambda key: {"Authorization": f"Bearer {key.reveal()}"},
    probe=f"{_COLLECTION}?page_size=1",
)

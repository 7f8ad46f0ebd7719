"""Provisioning on Verbex, where a record has an id, and a number is of one of three kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sigmamind_async.platforms.verbex.models import (
    CreatePiaPhoneNumber,
    CreateSipPhoneNumber,
    CreateTwilioPhoneNumber,
    DeletePhoneNumber,
    PhoneNumber,
    UpdatePhoneNumber,
    UpdatePiaPhoneNumber,
    UpdateSipPhoneNumber,
    UpdateTwilioPhoneNumber,
)
from sigmamind_async.platforms.verbex.operations import create_phone_number, update_phone_number
from sigmamind_async.provisioning.adapter import (
    Adapter,
    Intent,
    confirms_request,
    repair_update,
)
from sigmamind_async.provisioning.row import Kind

# Answers repeat them, and may mask them: they are not taken for evidence.
_CREDENTIALS: Final = ("sip_trunk_password", "twilio_auth_token")
_KEY: Final = "phone_number_id"
_UPDATES: Final[Mapping[type[CreatePiaPhoneNumber], type[UpdatePiaPhoneNumber]]] = {
    CreatePiaPhoneNumber: UpdatePiaPhoneNumber,
    CreateSipPhoneNumber: UpdateSipPhoneNumber,
    CreateTwilioPhoneNumber: UpdateTwilioPhoneNumber,
}
"""What updates a number of the kind that a request creates."""


def _registration(value: CreatePiaPhoneNumber) -> Intent:
    # Numbers of the kind "pia" are the platform's own; all others are brought in.
    bought = type(value) is CreatePiaPhoneNumber
    return Intent(
        kind=Kind.EXACT_PURCHASE if bought else Kind.IMPORT,
        key=str(value.phone_number),
        agrees=confirms_request(create_phone_number(value), _CREDENTIALS),
        repair=repair_update(value, _UPDATES[type(value)], _KEY),
    )


def _update(value: UpdatePiaPhoneNumber) -> Intent:
    return Intent(
        kind=Kind.UPDATE,
        key=value.phone_number_id,
        agrees=confirms_request(update_phone_number(value), _CREDENTIALS),
    )


VERBEX: Final = Adapter(
    intents={
        CreatePiaPhoneNumber: _registration,
        CreateSipPhoneNumber: _registration,
        CreateTwilioPhoneNumber: _registration,
        UpdatePhoneNumber: _update,
        UpdatePiaPhoneNumber: _update,
        UpdateSipPhoneNumber: _update,
        UpdateTwilioPhoneNumber: _update,
    },
    page_size=100,
    result=PhoneNumber,
    record_fields=("id", "phone_number", "friendly_name"),
    purchase_request=CreatePiaPhoneNumber,
    release_request=DeletePhoneNumber,
    update_request=UpdatePiaPhoneNumber,
    key_field=_KEY,
)

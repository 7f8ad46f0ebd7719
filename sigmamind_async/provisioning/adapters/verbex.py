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
from sigmamind_async.provisioning.adapter import Adapter, Intent
from sigmamind_async.provisioning.adapters.helpers import (
    confirms_request,
    purchase_intent,
    release_intent,
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


def _create(value: CreatePiaPhoneNumber) -> Intent:
    if not value.phone_number:
        return purchase_intent(value)
    return _registration(Kind.EXACT_PURCHASE, value)


def _import(value: CreateSipPhoneNumber | CreateTwilioPhoneNumber) -> Intent:
    return _registration(Kind.IMPORT, value)


def _registration(kind: Kind, value: CreatePiaPhoneNumber) -> Intent:
    return Intent(
        kind=kind,
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
        CreatePiaPhoneNumber: _create,
        CreateSipPhoneNumber: _import,
        CreateTwilioPhoneNumber: _import,
        UpdatePhoneNumber: _update,
        UpdatePiaPhoneNumber: _update,
        UpdateSipPhoneNumber: _update,
        UpdateTwilioPhoneNumber: _update,
        DeletePhoneNumber: release_intent(_KEY),
    },
    page_size=100,
    result=PhoneNumber,
    record_fields=("id", "phone_number", "friendly_name"),
    release_request=DeletePhoneNumber,
    update_request=UpdatePiaPhoneNumber,
    key_field=_KEY,
)

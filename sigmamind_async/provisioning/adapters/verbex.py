"""Provisioning on Verbex, where a record has an id, and a number is of one of three kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final, cast

import attrs

from sigmamind_async.client import Client
from sigmamind_async.platforms.verbex.client import Verbex
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
from sigmamind_async.provisioning.adapter import Adapter, Intent, Owned
from sigmamind_async.provisioning.adapters.helpers import (
    Intents,
    names_of,
    reader_of,
    shown_by,
    text_or_none,
    written_by,
)
from sigmamind_async.provisioning.row import Kind

_PAGE_SIZE: Final = 100
# Answers repeat them, and whether ever masked is not stated: they are not taken for evidence.
_CREDENTIALS: Final = ("sip_trunk_password", "twilio_auth_token")
_KEY: Final = "phone_number_id"
_UPDATES: Final[Mapping[type[CreatePiaPhoneNumber], type[UpdatePiaPhoneNumber]]] = {
    CreatePiaPhoneNumber: UpdatePiaPhoneNumber,
    CreateSipPhoneNumber: UpdateSipPhoneNumber,
    CreateTwilioPhoneNumber: UpdateTwilioPhoneNumber,
}
"""What changes a number of the kind that a request creates."""


def _create(value: CreatePiaPhoneNumber) -> Intent:
    if text_or_none(value.phone_number) is None:
        return Intent(
            kind=Kind.PURCHASE,
            label=text_or_none(value.friendly_name),
            with_label=lambda label: attrs.evolve(value, friendly_name=label),
        )
    return _registration(Kind.EXACT_PURCHASE, value)


def _import(value: CreateSipPhoneNumber | CreateTwilioPhoneNumber) -> Intent:
    return _registration(Kind.IMPORT, value)


def _registration(kind: Kind, value: CreatePiaPhoneNumber) -> Intent:
    return Intent(
        kind=kind,
        key=str(value.phone_number),
        agrees=shown_by(create_phone_number(value), _CREDENTIALS),
        repair=written_by(value, _UPDATES[type(value)], _KEY),
    )


def _update(value: UpdatePiaPhoneNumber) -> Intent:
    return Intent(
        kind=Kind.UPDATE,
        key=value.phone_number_id,
        agrees=shown_by(update_phone_number(value), _CREDENTIALS),
    )


def _delete(value: DeletePhoneNumber) -> Intent:
    return Intent(kind=Kind.RELEASE, key=value.phone_number_id)


def _listing(client: Client) -> AsyncIterator[PhoneNumber]:
    return cast("Verbex", client).phone_numbers.list(page_size=_PAGE_SIZE)


def _owned(found: PhoneNumber) -> Owned:
    return Owned(
        record=found.id,
        phone_number=found.phone_number,
        label=found.friendly_name,
        source=found,
    )


_INTENTS: Final[Intents] = {
    CreatePiaPhoneNumber: _create,
    CreateSipPhoneNumber: _import,
    CreateTwilioPhoneNumber: _import,
    UpdatePhoneNumber: _update,
    UpdatePiaPhoneNumber: _update,
    UpdateSipPhoneNumber: _update,
    UpdateTwilioPhoneNumber: _update,
    DeletePhoneNumber: _delete,
}

VERBEX: Final = Adapter(
    intent=reader_of(_INTENTS),
    requests=names_of(_INTENTS),
    listing=_listing,
    owned=_owned,
    result=PhoneNumber,
    release=lambda record: DeletePhoneNumber(phone_number_id=record),
    relabel=lambda record, label: UpdatePiaPhoneNumber(phone_number_id=record, friendly_name=label),
)

"""Provisioning on SigmaMind, where a number is the key of its own record."""

from __future__ import annotations

from typing import Final

from sigmamind_async.platforms.sigmamind.models import (
    CreatePhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.sigmamind.operations import (
    create_phone_number,
    import_phone_number,
    update_phone_number,
)
from sigmamind_async.provisioning.adapter import (
    Adapter,
    Intent,
    confirms_request,
    repair_update,
)
from sigmamind_async.provisioning.row import Kind

_TRUNK: Final = ("trunk_username", "trunk_password")
"""Fields that no answer shows."""
_KEY: Final = "phone_number"


def _purchase(value: CreatePhoneNumber) -> Intent:
    number = str(value.phone_number)
    return Intent(
        kind=Kind.EXACT_PURCHASE,
        key=number,
        agrees=confirms_request(create_phone_number(value)),
        repair=repair_update(value, UpdatePhoneNumber, _KEY),
        lookup=GetPhoneNumber(phone_number=number),
    )


def _import(value: ImportPhoneNumber) -> Intent:
    return Intent(
        kind=Kind.IMPORT,
        key=value.phone_number,
        agrees=confirms_request(import_phone_number(value), _TRUNK),
        repair=repair_update(value, UpdatePhoneNumber, _KEY),
    )


def _update(value: UpdatePhoneNumber) -> Intent:
    return Intent(
        kind=Kind.UPDATE,
        key=value.phone_number,
        agrees=confirms_request(update_phone_number(value), _TRUNK),
    )


SIGMAMIND: Final = Adapter(
    intents={
        CreatePhoneNumber: _purchase,
        ImportPhoneNumber: _import,
        UpdatePhoneNumber: _update,
    },
    # No maximum is documented; this is the most that the client asks for.
    page_size=1_000,
    result=PhoneNumber,
    record_fields=("sip_phone_number", "sip_phone_number", "friendly_name"),
    purchase_request=CreatePhoneNumber,
    release_request=DeletePhoneNumber,
    update_request=UpdatePhoneNumber,
    key_field=_KEY,
)

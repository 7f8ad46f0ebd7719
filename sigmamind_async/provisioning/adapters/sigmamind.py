"""Provisioning on SigmaMind, where a number is the key of its own record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, cast

import attrs

from sigmamind_async.client import Client
from sigmamind_async.platforms.sigmamind.client import SigmaMind
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

# Of a page's size no maximum is stated; this is the most that the client asks for.
_PAGE_SIZE: Final = 1_000
_TRUNK: Final = ("trunk_username", "trunk_password")
"""Fields that no answer shows."""
_KEY: Final = "phone_number"


def _create(value: CreatePhoneNumber) -> Intent:
    number = text_or_none(value.phone_number)
    if number is None:
        return Intent(
            kind=Kind.PURCHASE,
            label=text_or_none(value.friendly_name),
            with_label=lambda label: attrs.evolve(value, friendly_name=label),
        )
    return Intent(
        kind=Kind.EXACT_PURCHASE,
        key=number,
        agrees=shown_by(create_phone_number(value)),
        repair=written_by(value, UpdatePhoneNumber, _KEY),
        look_up=GetPhoneNumber(phone_number=number),
    )


def _import(value: ImportPhoneNumber) -> Intent:
    return Intent(
        kind=Kind.IMPORT,
        key=value.phone_number,
        agrees=shown_by(import_phone_number(value), _TRUNK),
        repair=written_by(value, UpdatePhoneNumber, _KEY),
    )


def _update(value: UpdatePhoneNumber) -> Intent:
    return Intent(
        kind=Kind.UPDATE,
        key=value.phone_number,
        agrees=shown_by(update_phone_number(value), _TRUNK),
    )


def _delete(value: DeletePhoneNumber) -> Intent:
    return Intent(kind=Kind.RELEASE, key=value.phone_number)


def _listing(client: Client) -> AsyncIterator[PhoneNumber]:
    return cast("SigmaMind", client).phone_numbers.list(page_size=_PAGE_SIZE)


def _owned(found: PhoneNumber) -> Owned:
    number = found.sip_phone_number
    return Owned(record=number, phone_number=number, label=found.friendly_name, source=found)


_INTENTS: Final[Intents] = {
    CreatePhoneNumber: _create,
    ImportPhoneNumber: _import,
    UpdatePhoneNumber: _update,
    DeletePhoneNumber: _delete,
}

SIGMAMIND: Final = Adapter(
    intent=reader_of(_INTENTS),
    requests=names_of(_INTENTS),
    listing=_listing,
    owned=_owned,
    result=PhoneNumber,
    release=lambda record: DeletePhoneNumber(phone_number=record),
    relabel=lambda record, label: UpdatePhoneNumber(phone_number=record, friendly_name=label),
)

"""Provisioning on DialNexa, where what can be bought is searched first and then bought exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Final, cast

import attrs

from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue, body_of, told_by, validators
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.dialnexa.models import (
    AvailableNumber,
    ImportSipTrunk,
    PhoneNumber,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.dialnexa.operations import import_sip_trunk, update_phone_number
from sigmamind_async.provisioning.adapter import Adapter, Choice, Intent, Owned
from sigmamind_async.provisioning.adapters.helpers import (
    Intents,
    names_of,
    reader_of,
    shown_by,
    written_by,
)
from sigmamind_async.provisioning.row import Kind
from sigmamind_async.values import UNSET, Unset, check_phone_number

_PAGE_SIZE: Final = 100
_KEY: Final = "id"


@attrs.frozen(kw_only=True)
class PurchaseAnyNumber(RequestValue[PhoneNumber]):
    """Buys one number of a country, whichever is on offer; for a `Provisioner` only.

    It is two calls, a search and a purchase, with the choice written to the journal between them.
    A client, which makes one call of a value, refuses it.
    """

    country_iso: Annotated[str, validators.country_code]
    """ISO 3166-1 alpha-2."""
    telephony_provider_id: Annotated[str, validators.word]
    """From ``client.phone_number_pricing.list()``."""
    type: Annotated[str | Unset, validators.word] = UNSET
    """``local``, ``mobile`` or ``tollfree``."""


def _purchase_any(value: PurchaseAnyNumber) -> Intent:
    return Intent(
        kind=Kind.EXACT_PURCHASE,
        choice=Choice(
            search=SearchPhoneNumbers(country_iso=value.country_iso, type=value.type),
            numbers=_offered,
            exact=lambda number: PurchasePhoneNumber(
                phone_number=number,
                telephony_provider_id=value.telephony_provider_id,
                country_iso=value.country_iso,
            ),
        ),
    )


def _offered(stock: Iterable[AvailableNumber]) -> list[str]:
    """Return the numbers in *stock* that can be called."""
    numbers = (each.number for each in stock if each.voice_enabled is not False)
    return [number for number in numbers if _is_phone_number(number)]


def _is_phone_number(text: str) -> bool:
    try:
        check_phone_number("number", text)
    except InvalidRequestError:
        return False
    return True


def _purchase(value: PurchasePhoneNumber) -> Intent:
    # The number is all that is asked for: nothing else to compare, or to write.
    return Intent(kind=Kind.EXACT_PURCHASE, key=value.phone_number)


def _import(value: ImportSipTrunk) -> Intent:
    return Intent(
        kind=Kind.IMPORT,
        key=value.phone_number,
        agrees=lambda found: _shows_import(value, found),
        repair=written_by(value, UpdatePhoneNumber, _KEY),
    )


def _shows_import(value: ImportSipTrunk, found: PhoneNumber) -> bool:
    """Return whether *found* is named as *value* says, if it tells its name at all.

    The trunk's credentials can neither be read nor be written again: no update takes them. To doubt
    an import because of them would never end, so a number that is there counts as imported.
    """
    return "nickname" not in told_by(found) or shown_by(import_sip_trunk(value))(found)


def _update(value: UpdatePhoneNumber) -> Intent:
    return Intent(kind=Kind.UPDATE, key=value.id, agrees=lambda found: _shows_update(value, found))


def _shows_update(value: UpdatePhoneNumber, found: PhoneNumber) -> bool:
    """Return whether *found* tells about each field of *value*, and tells what was asked for.

    Of the three documented shapes of a record only one has all fields. What a record is silent
    about is not proven; the update is sent again then, which does no harm.
    """
    told = set(told_by(found))
    if "inbound_agent_id" in told:
        told.add("agent_id")
    return told.issuperset(body_of(value)) and shown_by(update_phone_number(value))(found)


def _release(value: ReleasePhoneNumber) -> Intent:
    return Intent(kind=Kind.RELEASE, key=value.id)


def _listing(client: Client) -> AsyncIterator[PhoneNumber]:
    return cast("DialNexa", client).phone_numbers.list(page_size=_PAGE_SIZE)


def _owned(found: PhoneNumber) -> Owned:
    return Owned(
        record=found.id,
        phone_number=found.phone_number,
        label=found.nickname,
        source=found,
    )


# An update of an agent is not among them: it changes the agent, and no listing of numbers shows
# what became of it.
_INTENTS: Final[Intents] = {
    PurchaseAnyNumber: _purchase_any,
    PurchasePhoneNumber: _purchase,
    ImportSipTrunk: _import,
    UpdatePhoneNumber: _update,
    ReleasePhoneNumber: _release,
}

DIALNEXA: Final = Adapter(
    intent=reader_of(_INTENTS),
    requests=names_of(_INTENTS),
    listing=_listing,
    owned=_owned,
    result=PhoneNumber,
    release=lambda record: ReleasePhoneNumber(id=record),
    # The nickname is what a dashboard shows; the label is for the accounts.
    relabel=lambda record, label: UpdatePhoneNumber(id=record, nickname=label),
)

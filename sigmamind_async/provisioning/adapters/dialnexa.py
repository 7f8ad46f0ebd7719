"""Provisioning on DialNexa, where what can be bought is searched first and then bought exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import attrs

from sigmamind_async.convert import RequestValue, body_of, present_keys, validators
from sigmamind_async.errors import InvalidRequestError
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
from sigmamind_async.provisioning.adapter import (
    Adapter,
    Intent,
    StockSearch,
    confirms_request,
    repair_update,
)
from sigmamind_async.provisioning.row import Kind
from sigmamind_async.values import UNSET, Unset

_KEY: Final = "id"


@attrs.frozen(kw_only=True)
class PurchaseAnyNumber(RequestValue[PhoneNumber]):
    """Buys one number of a country, whichever is on offer, through a `Provisioner` only.

    It takes two calls, a search and a purchase; the journal stores the choice between them. A
    client, which makes one call of each value, refuses it.
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
        search=StockSearch(
            request=SearchPhoneNumbers(country_iso=value.country_iso, type=value.type),
            numbers=_offered,
            purchase=lambda number: PurchasePhoneNumber(
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
        validators.phone_number("number", text)
    except InvalidRequestError:
        return False
    return True


def _purchase(value: PurchasePhoneNumber) -> Intent:
    # The request names the number alone: there is nothing else to compare, or to write.
    return Intent(kind=Kind.EXACT_PURCHASE, key=value.phone_number)


def _import(value: ImportSipTrunk) -> Intent:
    return Intent(
        kind=Kind.IMPORT,
        key=value.phone_number,
        agrees=lambda found: _shows_import(value, found),
        repair=repair_update(value, UpdatePhoneNumber, _KEY),
    )


def _shows_import(value: ImportSipTrunk, found: PhoneNumber) -> bool:
    """Return whether *found* has the name that *value* sets, if it shows a name at all.

    The trunk's credentials can be neither read nor written again: no update takes them. An import
    would stay unconfirmed because of them, so a number that is there counts as imported.
    """
    return "nickname" not in present_keys(found) or confirms_request(import_sip_trunk(value))(found)


def _update(value: UpdatePhoneNumber) -> Intent:
    return Intent(kind=Kind.UPDATE, key=value.id, agrees=lambda found: _shows_update(value, found))


def _shows_update(value: UpdatePhoneNumber, found: PhoneNumber) -> bool:
    """Return whether *found* shows each field of *value*, with the value that was sent.

    Only one of the three documented shapes of a record has all fields. A field that a record does
    not show is not proven; then the update is sent again, which does no harm.
    """
    shown = set(present_keys(found))
    if "inbound_agent_id" in shown:
        shown.add("agent_id")
    return shown.issuperset(body_of(value)) and confirms_request(update_phone_number(value))(found)


DIALNEXA: Final = Adapter(
    # An update of an agent is not among them: no listing of numbers shows whether it was made.
    intents={
        PurchaseAnyNumber: _purchase_any,
        PurchasePhoneNumber: _purchase,
        ImportSipTrunk: _import,
        UpdatePhoneNumber: _update,
    },
    page_size=100,
    result=PhoneNumber,
    # Dashboards show the nickname; the field `label` is for accounting.
    record_fields=("id", "phone_number", "nickname"),
    release_request=ReleasePhoneNumber,
    update_request=UpdatePhoneNumber,
    key_field=_KEY,
)

"""DialNexa's records and request values, in its own words.

Facts are from the pages "Phone Numbers" of https://dialnexa.mintlify.app and from the newer
https://dialnexa.com/docs; where they differ, both are accepted. Ids are opaque texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import attrs

from sigmamind_async.convert import Record, RequestValue, validators, wire
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

PENDING: Final = "pending"
ACTIVE: Final = "active"
"""Values of `PhoneNumber.status`; others are kept as they come."""

if TYPE_CHECKING:  # an editor offers the known words; any other is kept as it comes
    NumberStatus: TypeAlias = Literal["pending", "active"] | str
    NumberType: TypeAlias = Literal["local", "mobile", "tollfree"] | str
else:
    NumberStatus = NumberType = str

Text: TypeAlias = str | Unset
Clearable: TypeAlias = str | Unset | None
Amount: TypeAlias = str | float | int | None
"""Costs and rates are texts in some answers and numbers in others."""


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PhoneNumber(Record):
    """A phone number of the workspace, in any of its three documented shapes.

    `country_code`, `provider`, `capabilities`, `sip_trunk_enabled`, `created_at` and
    `monthly_cost_usd`, in US dollars, are as the platform sends them.
    https://dialnexa.com/docs, "Phone Numbers"
    """

    id: Annotated[str, wire("id", null_as_empty=True)] = ""
    """Key of later calls, such as ``phn_f7w2kx5mb9qz``."""
    phone_number: Annotated[str, wire("phone_number", phone_number=True, null_as_empty=True)] = ""
    """E.164."""
    label: Annotated[str | None, wire("label")] = None
    """For internal accounting."""
    nickname: Annotated[str | None, wire("nickname")] = None
    """Shown in the dashboard."""
    agent_id: Annotated[str | None, wire("agent_id")] = None
    """The agent that takes calls, here or in `inbound_agent_id`: see `routed_agent_id`."""
    inbound_agent_id: Annotated[str | None, wire("inbound_agent_id")] = None
    """See `agent_id`."""
    status: Annotated[NumberStatus | None, wire("status")] = None
    """``pending`` or ``active``."""
    provider: Annotated[str | None, wire("provider")] = None
    created_at: Annotated[str | None, wire("created_at")] = None
    country_code: Annotated[str | None, wire("country_code")] = None
    type: Annotated[NumberType | None, wire("type")] = None
    """``local``, ``mobile``, ``toll_free`` or ``tollfree``."""
    monthly_cost_usd: Annotated[Amount, wire("monthly_cost_usd")] = None
    capabilities: Annotated[list[str] | None, wire("capabilities")] = attrs.field(
        default=None, hash=False
    )
    sip_trunk_enabled: Annotated[bool | None, wire("sip_trunk_enabled")] = None

    @property
    def routed_agent_id(self) -> str | None:
        """The agent that takes inbound calls, from whichever field has it."""
        return self.agent_id or self.inbound_agent_id or None


@attrs.frozen(kw_only=True)
class AvailableNumber(Record):
    """A number on offer, as the carrier lists it.

    `monthly_rental_rate` and `setup_rate` are in the carrier's currency. `type`, `country_iso`,
    `number_format`, `voice_enabled`, `sms_enabled` and `mms_enabled` are as the carrier sends them.
    https://dialnexa.com/docs, "Phone Numbers"
    """

    number: Annotated[str, wire("number", phone_number=True, null_as_empty=True)] = ""
    """E.164; what `PhoneNumbers.purchase` takes."""
    type: Annotated[NumberType | None, wire("type")] = None
    monthly_rental_rate: Annotated[Amount, wire("monthly_rental_rate")] = None
    setup_rate: Annotated[Amount, wire("setup_rate")] = None
    voice_enabled: Annotated[bool | None, wire("voice_enabled")] = None
    sms_enabled: Annotated[bool | None, wire("sms_enabled")] = None
    mms_enabled: Annotated[bool | None, wire("mms_enabled")] = None
    country_iso: Annotated[str | None, wire("country_iso")] = None
    number_format: Annotated[str | None, wire("number_format")] = None


@attrs.frozen(kw_only=True)
class PhoneNumberPrice(Record):
    """The price of a number of one country from one provider: `credit_cost`, in credits.

    `country_name`, `created_at`, `updated_at` and `telephony_provider` are as the platform sends
    them. https://dialnexa.com/docs, "List Phone Number Pricing"
    """

    telephony_provider_id: Annotated[str, wire("telephony_provider_id", null_as_empty=True)] = ""
    """The provider's id in a purchase, such as ``tp_abc123xyz789``."""
    country_iso: Annotated[str | None, wire("country_iso")] = None
    """2 or 3 characters."""
    country_name: Annotated[str | None, wire("country_name")] = None
    credit_cost: Annotated[Amount, wire("credit_cost")] = None
    created_at: Annotated[str | None, wire("created_at")] = None
    updated_at: Annotated[str | None, wire("updated_at")] = None
    telephony_provider: Annotated[dict[str, Any] | None, wire("telephonyProvider")] = attrs.field(
        default=None, hash=False
    )


@attrs.frozen(kw_only=True)
class Agent(Record):
    """The part of an agent that routes numbers.

    An agent has versions. The fields here are those of one: the version just updated, otherwise the
    current one. `extra` keeps all of them, under ``current_version`` and ``versions``. `id` is the
    agent's key; `inbound_phone_number_id` and `outbound_phone_number_id` are ids of numbers.
    https://dialnexa.com/docs, "Get Agent" and "Update Agent"
    """

    id: Annotated[str, wire("id", null_as_empty=True)] = ""
    name: Annotated[str | None, wire("name")] = None
    """The version's title."""
    version_number: Annotated[int | None, wire("version_number")] = None
    """The version's key in an update."""
    is_published: Annotated[bool | None, wire("is_published")] = None
    """A published version cannot be updated."""
    inbound_phone_number_id: Annotated[str | None, wire("inbound_phone_number_id")] = None
    outbound_phone_number_id: Annotated[str | None, wire("outbound_phone_number_id")] = None


# --- request values --------------------------------------------------------------------------


_VISIBLE = validators.visible(253)


def _host(name: str, value: object) -> None:
    _VISIBLE(name, value)
    if str(value).lower().startswith(("sip:", "sips:")):
        raise InvalidRequestError(
            f"{name}: give host or host:port, without 'sip:' in front", name, "host[:port]"
        )


_ID = validators.record_id()
# Documented for the answer, assumed for the request.
_NICKNAME = validators.text(255)
_NUMBER_ID = validators.visible(least=0)
_LIMIT = validators.whole_number(1, 100)
_PAGE = validators.whole_number(1, 1_000_000_000)


@attrs.frozen(kw_only=True)
class SearchPhoneNumbers(RequestValue[list[AvailableNumber]]):
    """``GET /v1/organization-phone-numbers/plivo-numbers``: the numbers on offer.

    Fields and their limits: `PhoneNumbers.search`.
    """

    country_iso: Annotated[str, validators.country_code]
    type: Annotated[NumberType | Unset, validators.word] = UNSET


@attrs.frozen(kw_only=True)
class ListPhoneNumberPricing(RequestValue[list[PhoneNumberPrice]]):
    """``GET /v1/phone-number-pricing``: what a number of each country costs."""


@attrs.frozen(kw_only=True)
class PurchasePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/organization-phone-numbers/purchase``: buys exactly one number.

    Two bodies are documented. The newer one has the number, the telephony provider and the
    country; the older one (``older_body``) has the number and optionally a provider.

    Fields and their limits: `PhoneNumbers.purchase`. https://dialnexa.com/docs, "Phone Numbers"
    """

    phone_number: Annotated[str, wire("phoneNumber"), validators.phone_number]
    telephony_provider_id: Annotated[Text, wire("telephonyProviderId"), validators.word] = UNSET
    country_iso: Annotated[Text, wire("countryISO"), validators.country_code] = UNSET
    provider: Annotated[Text, validators.word] = UNSET
    older_body: bool = False

    def _check_combination(self, /) -> None:
        newer = {
            "telephony_provider_id": self.telephony_provider_id,
            "country_iso": self.country_iso,
        }
        for name, value in newer.items():
            if self.older_body and value is not UNSET:
                raise InvalidRequestError(field=name, rule="the older body does not take it")
            if not self.older_body and value is UNSET:
                raise InvalidRequestError(field=name, rule=f"the newer body needs it{_HINTS[name]}")
        if not self.older_body and self.provider is not UNSET:
            raise InvalidRequestError(field="provider", rule="only the older body takes it")


_HINTS: Final = {
    "telephony_provider_id": "; phone_number_pricing.list() gives the ids",
    "country_iso": "",
}


@attrs.frozen(kw_only=True)
class ImportSipTrunk(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/organization-phone-numbers/sip-trunks``: registers your own number.

    Fields and their limits: `PhoneNumbers.import_sip_trunk`. https://dialnexa.com/docs, "Phone
    Numbers"
    """

    phone_number: Annotated[str, wire("phoneNumber"), validators.phone_number]
    termination_uri: Annotated[str, wire("terminationUri"), _host]
    auth_mode: Annotated[
        Literal["userpass", "ip"] | Unset, wire("authMode"), validators.one_of("userpass", "ip")
    ] = UNSET
    sip_trunk_user_name: Annotated[Text, wire("sipTrunkUserName"), validators.word] = UNSET
    sip_trunk_password: Annotated[Secret | Unset, wire("sipTrunkPassword"), validators.secret()] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )
    nickname: Annotated[Text, wire("nickname"), _NICKNAME] = UNSET

    def _check_combination(self, /) -> None:
        by_ip = self.auth_mode == "ip"
        rule = "must be left out with auth_mode 'ip'" if by_ip else "is needed, or auth_mode 'ip'"
        for name in ("sip_trunk_user_name", "sip_trunk_password"):
            if (getattr(self, name) is UNSET) is not by_ip:
                raise InvalidRequestError(field=name, rule=rule)


@attrs.frozen(kw_only=True)
class UpdatePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``PATCH /v1/organization-phone-numbers/{id}``; a field left out stays as it is.

    Fields and their limits: `PhoneNumbers.update`. https://dialnexa.mintlify.app, "Update Phone
    Number"
    """

    id: Annotated[str, _ID]
    agent_id: Annotated[Clearable, wire("agent_id"), validators.visible(1_000)] = UNSET
    nickname: Annotated[Clearable, wire("nickname"), _NICKNAME] = UNSET
    label: Annotated[Text, wire("label"), validators.any_text] = UNSET

    _check_combination = validators.require_any_field("id")


@attrs.frozen(kw_only=True)
class GetPhoneNumber(RequestValue[PhoneNumber]):
    """``GET /v1/organization-phone-numbers/{id}``; `id` is the number's, ``phn_...``."""

    id: Annotated[str, _ID]


@attrs.frozen(kw_only=True)
class ListPhoneNumbers(RequestValue[Page[PhoneNumber]]):
    """One page of ``GET /v1/organization-phone-numbers``: `page`, from 1, of `limit` numbers.

    `limit` is 1 to 100. With `country_code` or `type`, only numbers of that country or type.
    """

    page: Annotated[int, _PAGE] = 1
    limit: Annotated[int, _LIMIT] = 100
    country_code: Annotated[Text, validators.country_code] = UNSET
    type: Annotated[NumberType | Unset, validators.word] = UNSET


@attrs.frozen(kw_only=True)
class ReleasePhoneNumber(RequestValue[None]):
    """``DELETE /v1/organization-phone-numbers/{id}``: releases the number `id`, permanently."""

    id: Annotated[str, _ID]


@attrs.frozen(kw_only=True)
class GetAgent(RequestValue[Agent]):
    """``GET /v1/agents/{id}``; `id` is the agent's."""

    id: Annotated[str, _ID]


@attrs.frozen(kw_only=True)
class UpdateAgent(RequestValue[Agent]):
    """The part of ``PATCH /v1/agents/{id}`` that routes numbers.

    An empty text, not null, detaches a number. Live calls follow the change only if
    ``is_published=True`` is in the same request.

    Fields and their limits: `Agents.update`. https://dialnexa.com/docs, "Update Agent"
    """

    id: Annotated[str, _ID]
    version_number: Annotated[int, wire("version_number"), validators.whole_number(0, 2**31 - 1)]
    inbound_phone_number_id: Annotated[Text, wire("inbound_phone_number_id"), _NUMBER_ID] = UNSET
    outbound_phone_number_id: Annotated[Text, wire("outbound_phone_number_id"), _NUMBER_ID] = UNSET
    is_published: Annotated[bool | Unset, wire("is_published"), validators.flag] = UNSET

    _check_combination = validators.require_any_field("id", "version_number")

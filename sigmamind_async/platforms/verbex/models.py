"""Verbex's records and request values, in its own words.

A phone number is of one of three kinds, by its `provider`: ``sip`` (imported over a trunk), ``pia``
(managed by the platform) and ``twilio`` (in the owner's Twilio account). No length or pattern of
any field is documented. Facts are from https://docs.verbex.ai, "Update the configuration of an
existing phone number" and "Create a new phone number", unless a comment names another page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import attrs

from sigmamind_async.convert import Record, RequestValue, as_object, validators, wire
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

SIP: Final = "sip"
PIA: Final = "pia"
TWILIO: Final = "twilio"
Provider: TypeAlias = Literal["sip", "pia", "twilio"]

GLOBAL: Final = "global"
BANGLADESH: Final = "bd"
BANGLADESH_LINK3: Final = "bd_link3"
"""Values of `sip_infra_region`; others are kept as they come."""

if TYPE_CHECKING:  # an editor offers the known words; any other is kept as it comes
    Region: TypeAlias = Literal["global", "bd", "bd_link3"] | str
    KnownProvider: TypeAlias = Provider | str
else:
    Region = KnownProvider = str

Clearable: TypeAlias = str | Unset | None
ClearableSecret: TypeAlias = Secret | Unset | None


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PhoneNumber(Record):
    """A phone number of any kind; an answer is read as one of the kinds below.

    `id` is its key, from `underscore_id` or `plain_id`. https://docs.verbex.ai, "Phone Numbers"
    """

    underscore_id: Annotated[str | None, wire("_id", strict=True)] = None
    plain_id: Annotated[str | None, wire("id", strict=True)] = None
    provider: Annotated[KnownProvider | None, wire("provider")] = None
    """``sip``, ``pia`` or ``twilio``; others are kept as they come."""
    phone_number: Annotated[str, wire("phone_number", phone_number=True, null_as_empty=True)] = ""
    """E.164."""
    friendly_name: Annotated[str | None, wire("friendly_name")] = None
    """Label."""
    inbound_agent_id: Annotated[str | None, wire("inbound_agent_id")] = None
    """The agent that takes calls to the number."""
    outbound_agent_id: Annotated[str | None, wire("outbound_agent_id")] = None
    """The agent that calls from the number."""

    @property
    def id(self) -> str:
        """The key of later calls: ``_id`` in these answers, ``id`` elsewhere in the API."""
        return self.underscore_id or self.plain_id or ""

    @classmethod
    def select_class(cls, raw: Mapping[str, object]) -> type[Record]:
        """Return the class for *raw* by its provider; without one, by the fields present."""
        if cls is not PhoneNumber:
            return cls
        provider = raw.get("provider")
        if isinstance(provider, str):
            return _RECORDS.get(provider, UnknownPhoneNumber)
        prefixes = {name.partition("_")[0] for name in raw}
        return next(
            (_RECORDS[word] for word in (SIP, TWILIO) if word in prefixes), UnknownPhoneNumber
        )


@attrs.frozen(kw_only=True)
class SipPhoneNumber(PhoneNumber):
    """A number imported over a SIP trunk.

    `sip_termination_uri` is the carrier's host, and `sip_trunk_username` and `sip_trunk_password`
    are the trunk's. The platform repeats the password in every answer.
    """

    sip_termination_uri: Annotated[str | None, wire("sip_termination_uri")] = None
    sip_trunk_username: Annotated[str | None, wire("sip_trunk_username")] = None
    sip_trunk_password: Annotated[Secret | None, wire("sip_trunk_password")] = attrs.field(
        default=None, hash=False
    )
    sip_infra_region: Annotated[Region | None, wire("sip_infra_region")] = None
    """``global``, ``bd`` or ``bd_link3``."""


@attrs.frozen(kw_only=True)
class PiaPhoneNumber(PhoneNumber):
    """A number that the platform manages."""


@attrs.frozen(kw_only=True)
class TwilioPhoneNumber(PhoneNumber):
    """A number in the Twilio account `twilio_account_sid`.

    The platform repeats the token, `twilio_auth_token`, in every answer.
    """

    twilio_account_sid: Annotated[str | None, wire("twilio_account_sid")] = None
    twilio_auth_token: Annotated[Secret | None, wire("twilio_auth_token")] = attrs.field(
        default=None, hash=False
    )


@attrs.frozen(kw_only=True)
class UnknownPhoneNumber(PhoneNumber):
    """A number of a kind that this library does not know; all of it is kept."""

    @property
    def raw(self) -> dict[str, Any]:
        """The object as it came; what looks like a credential is a `Secret`."""
        return as_object(self)


_RECORDS: Final[Mapping[str, type[PhoneNumber]]] = {
    SIP: SipPhoneNumber,
    PIA: PiaPhoneNumber,
    TWILIO: TwilioPhoneNumber,
}


# --- request values --------------------------------------------------------------------------


_PHONE_NUMBER = validators.phone_number
_TEXT = validators.any_text
_WORD = validators.word
# Null removes an agent; what an empty id would do is not documented.
_AGENT_ID = validators.visible()
_HOST = validators.visible(least=0)
_PASSWORD = validators.secret()


@attrs.frozen(kw_only=True)
class CreatePiaPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers`` for a number that the platform manages.

    Fields and their limits: `PhoneNumbers.create`. https://docs.verbex.ai, "Create a new phone
    number"
    """

    provider: Annotated[str, wire("provider")] = attrs.field(default=PIA, init=False)
    # Required by the SDK's notes, not by the page.
    phone_number: Annotated[str | Unset, wire("phone_number"), _PHONE_NUMBER] = UNSET
    friendly_name: Annotated[Clearable, wire("friendly_name"), _TEXT] = UNSET
    inbound_agent_id: Annotated[Clearable, wire("inbound_agent_id"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Clearable, wire("outbound_agent_id"), _AGENT_ID] = UNSET


@attrs.frozen(kw_only=True)
class CreateSipPhoneNumber(CreatePiaPhoneNumber):
    """Body of ``POST /v1/phone-numbers`` for your own number, over a SIP trunk."""

    provider: Annotated[str, wire("provider")] = attrs.field(default=SIP, init=False)
    phone_number: Annotated[str, wire("phone_number"), _PHONE_NUMBER] = attrs.field()
    sip_termination_uri: Annotated[Clearable, wire("sip_termination_uri"), _HOST] = UNSET
    sip_trunk_username: Annotated[Clearable, wire("sip_trunk_username"), _TEXT] = UNSET
    sip_trunk_password: Annotated[ClearableSecret, wire("sip_trunk_password"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )
    sip_infra_region: Annotated[Region | Unset, wire("sip_infra_region"), _WORD] = UNSET


@attrs.frozen(kw_only=True)
class CreateTwilioPhoneNumber(CreatePiaPhoneNumber):
    """Body of ``POST /v1/phone-numbers`` for a number in your own Twilio account."""

    provider: Annotated[str, wire("provider")] = attrs.field(default=TWILIO, init=False)
    phone_number: Annotated[str, wire("phone_number"), _PHONE_NUMBER] = attrs.field()
    twilio_account_sid: Annotated[str, wire("twilio_account_sid"), _WORD]
    twilio_auth_token: Annotated[Secret, wire("twilio_auth_token"), _PASSWORD] = attrs.field(
        hash=False, converter=as_secret
    )


@attrs.frozen(kw_only=True)
class UpdatePiaPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``PATCH /v1/phone-numbers/{phone_number_id}``: what every kind of number takes.

    Fields and their limits: `PhoneNumbers.update`. https://docs.verbex.ai, "Update the
    configuration of an existing phone number"
    """

    phone_number_id: Annotated[str, validators.record_id()]
    friendly_name: Annotated[Clearable, wire("friendly_name"), _TEXT] = UNSET
    inbound_agent_id: Annotated[Clearable, wire("inbound_agent_id"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Clearable, wire("outbound_agent_id"), _AGENT_ID] = UNSET

    _check_combination = validators.require_any_field("phone_number_id")


@attrs.frozen(kw_only=True)
class UpdateSipPhoneNumber(UpdatePiaPhoneNumber):
    """The update of a number on a SIP trunk."""

    sip_termination_uri: Annotated[Clearable, wire("sip_termination_uri"), _HOST] = UNSET
    sip_trunk_username: Annotated[Clearable, wire("sip_trunk_username"), _TEXT] = UNSET
    sip_trunk_password: Annotated[ClearableSecret, wire("sip_trunk_password"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )


@attrs.frozen(kw_only=True)
class UpdateTwilioPhoneNumber(UpdatePiaPhoneNumber):
    """The update of a number in a Twilio account; whether it takes null is not documented."""

    twilio_account_sid: Annotated[str | Unset, wire("twilio_account_sid"), _WORD] = UNSET
    twilio_auth_token: Annotated[Secret | Unset, wire("twilio_auth_token"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )


@attrs.frozen(kw_only=True)
class UpdatePhoneNumber(UpdateSipPhoneNumber):
    """The update of a number of any kind; fields of two kinds are refused together.

    The body names no kind, so the platform may silently drop a field of another kind than the
    number's: what the answer does not show is reported.
    """

    twilio_account_sid: Annotated[str | Unset, wire("twilio_account_sid"), _WORD] = UNSET
    twilio_auth_token: Annotated[Secret | Unset, wire("twilio_auth_token"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )

    def _check_combination(self, /) -> None:
        super()._check_combination()
        refuse_mix(attrs.asdict(self, recurse=False))


def refuse_mix(fields: Mapping[str, object]) -> None:
    """Refuse fields of two kinds of number in one request."""
    names = [name for name, value in fields.items() if value is not UNSET]
    sip = next((name for name in names if name.startswith("sip_")), None)
    twilio = next((name for name in names if name.startswith("twilio_")), None)
    if sip and twilio:
        raise InvalidRequestError(field=twilio, rule=f"no kind of number takes it with {sip}")


@attrs.frozen(kw_only=True)
class GetPhoneNumber(RequestValue[PhoneNumber]):
    """``GET /v1/phone-numbers/{phone_number_id}``; `phone_number_id` is the record's id."""

    phone_number_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class DeletePhoneNumber(RequestValue[None]):
    """``DELETE /v1/phone-numbers/{phone_number_id}``: deletes the record `phone_number_id`.

    Whether that releases the number is not documented.
    """

    phone_number_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class ListPhoneNumbers(RequestValue[Page[PhoneNumber]]):
    """One page of ``GET /v1/phone-numbers``: `page_size` numbers, 1 to 100.

    `page_token` is the `Page.token` of the page before.
    """

    page_size: Annotated[int, validators.whole_number(1, 100)] = 100
    page_token: Annotated[str | Unset, _WORD] = UNSET


CreatePhoneNumber: TypeAlias = CreateSipPhoneNumber | CreateTwilioPhoneNumber | CreatePiaPhoneNumber
"""A request to register a number of any kind; what reads one tries the kinds in this order."""

_CREATES: Final[Mapping[str, type[CreatePiaPhoneNumber]]] = {
    SIP: CreateSipPhoneNumber,
    PIA: CreatePiaPhoneNumber,
    TWILIO: CreateTwilioPhoneNumber,
}


def create_value(provider: str, **fields: object) -> CreatePiaPhoneNumber:
    """Return the create request of *provider* from the *fields* that are set."""
    kind = next((kind for name, kind in _CREATES.items() if name == provider), None)
    if kind is None:
        raise InvalidRequestError(field="provider", rule=f"must be one of {', '.join(_CREATES)}")
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not UNSET}
    known: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)
    for name in sorted(given.keys() - {field.name for field in known}):
        raise InvalidRequestError(field=name, rule=f"a {provider} number does not take it")
    for field in known:
        if field.init and field.default is attrs.NOTHING and field.name not in given:
            raise InvalidRequestError(field=field.name, rule=f"a {provider} number needs it")
    return kind(**given)

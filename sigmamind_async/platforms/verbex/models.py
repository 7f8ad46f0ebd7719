"""What Verbex is told and what it answers, in its own words.

A phone number is one of three kinds, told apart by `provider`: ``sip`` (imported over a trunk),
``pia`` (managed by the platform) and ``twilio`` (the owner's Twilio account). No length or pattern
of any field is stated. Facts are from https://docs.verbex.ai, "Update the configuration of an
existing phone number" and "Create a new phone number", unless a comment names another page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

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
"""Words of `sip_infra_region`; others may come and are kept as they are."""

Clearable: TypeAlias = str | Unset | None
ClearableSecret: TypeAlias = Secret | Unset | None


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PhoneNumber(Record):
    """A phone number of any kind; answers hold one of the kinds below."""

    underscore_id: Annotated[str | None, wire("_id", strict=True)] = None
    plain_id: Annotated[str | None, wire("id", strict=True)] = None
    provider: Annotated[str | None, wire("provider")] = None
    """``sip``, ``pia`` or ``twilio``; newer words are kept as they are."""
    phone_number: Annotated[str, wire("phone_number", phone_number=True, null_as_empty=True)] = ""
    """E.164."""
    friendly_name: Annotated[str | None, wire("friendly_name")] = None
    inbound_agent_id: Annotated[str | None, wire("inbound_agent_id")] = None
    outbound_agent_id: Annotated[str | None, wire("outbound_agent_id")] = None

    @property
    def id(self) -> str:
        """The record's id, the key of later calls: ``_id`` here, ``id`` elsewhere in the API."""
        return self.underscore_id or self.plain_id or ""

    @classmethod
    def select_class(cls, raw: Mapping[str, object]) -> type[Record]:
        """Return the kind by the provider; without one, by the fields that are there."""
        if cls is not PhoneNumber:
            return cls
        provider = raw.get("provider")
        if isinstance(provider, str):
            return _KINDS.get(provider, UnknownPhoneNumber)
        prefixes = {name.partition("_")[0] for name in raw}
        return next(
            (_KINDS[word] for word in (SIP, TWILIO) if word in prefixes), UnknownPhoneNumber
        )


@attrs.frozen(kw_only=True)
class SipPhoneNumber(PhoneNumber):
    """A number imported over a SIP trunk. The platform repeats its password in every answer."""

    sip_termination_uri: Annotated[str | None, wire("sip_termination_uri")] = None
    sip_trunk_username: Annotated[str | None, wire("sip_trunk_username")] = None
    sip_trunk_password: Annotated[Secret | None, wire("sip_trunk_password")] = attrs.field(
        default=None, hash=False
    )
    sip_infra_region: Annotated[str | None, wire("sip_infra_region")] = None
    """``global``, ``bd`` or ``bd_link3``."""


@attrs.frozen(kw_only=True)
class PiaPhoneNumber(PhoneNumber):
    """A number that the platform manages."""


@attrs.frozen(kw_only=True)
class TwilioPhoneNumber(PhoneNumber):
    """A number in a Twilio account. The platform repeats its token in every answer."""

    twilio_account_sid: Annotated[str | None, wire("twilio_account_sid")] = None
    twilio_auth_token: Annotated[Secret | None, wire("twilio_auth_token")] = attrs.field(
        default=None, hash=False
    )


@attrs.frozen(kw_only=True)
class UnknownPhoneNumber(PhoneNumber):
    """A number of a kind that is newer than this library; what came is kept whole."""

    @property
    def raw(self) -> dict[str, Any]:
        """The object as it came; what looks like a credential is a `Secret`."""
        return as_object(self)


_KINDS: Final[Mapping[str, type[PhoneNumber]]] = {
    SIP: SipPhoneNumber,
    PIA: PiaPhoneNumber,
    TWILIO: TwilioPhoneNumber,
}


# --- request values --------------------------------------------------------------------------


# Null is how an agent is removed; what an empty id would do is not described.
_AGENT_ID = validators.visible()
_HOST = validators.visible(least=0)
_PASSWORD = validators.secret()


@attrs.frozen(kw_only=True)
class CreatePiaPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers`` for a number that the platform manages."""

    provider: Annotated[str, wire("provider")] = attrs.field(default=PIA, init=False)
    # Required by the SDK's notes, not by the page.
    phone_number: Annotated[str | Unset, wire("phone_number"), validators.phone_number] = UNSET
    friendly_name: Annotated[Clearable, wire("friendly_name"), validators.any_text] = UNSET
    inbound_agent_id: Annotated[Clearable, wire("inbound_agent_id"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Clearable, wire("outbound_agent_id"), _AGENT_ID] = UNSET


@attrs.frozen(kw_only=True)
class CreateSipPhoneNumber(CreatePiaPhoneNumber):
    """Body of ``POST /v1/phone-numbers`` for a number of one's own, over a SIP trunk."""

    provider: Annotated[str, wire("provider")] = attrs.field(default=SIP, init=False)
    phone_number: Annotated[str, wire("phone_number"), validators.phone_number]
    sip_termination_uri: Annotated[Clearable, wire("sip_termination_uri"), _HOST] = UNSET
    sip_trunk_username: Annotated[Clearable, wire("sip_trunk_username"), validators.any_text] = (
        UNSET
    )
    sip_trunk_password: Annotated[ClearableSecret, wire("sip_trunk_password"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )
    sip_infra_region: Annotated[str | Unset, wire("sip_infra_region"), validators.word] = UNSET
    """``global`` (the platform's default), ``bd`` or ``bd_link3``."""


@attrs.frozen(kw_only=True)
class CreateTwilioPhoneNumber(CreatePiaPhoneNumber):
    """Body of ``POST /v1/phone-numbers`` for a number in one's own Twilio account."""

    provider: Annotated[str, wire("provider")] = attrs.field(default=TWILIO, init=False)
    phone_number: Annotated[str, wire("phone_number"), validators.phone_number]
    twilio_account_sid: Annotated[str, wire("twilio_account_sid"), validators.word]
    twilio_auth_token: Annotated[Secret, wire("twilio_auth_token"), _PASSWORD] = attrs.field(
        hash=False, converter=as_secret
    )


@attrs.frozen(kw_only=True)
class UpdatePiaPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``PATCH /v1/phone-numbers/{phone_number_id}``, as far as every kind takes it."""

    phone_number_id: Annotated[str, validators.record_id()]
    """The record's id, not the number."""
    friendly_name: Annotated[Clearable, wire("friendly_name"), validators.any_text] = UNSET
    inbound_agent_id: Annotated[Clearable, wire("inbound_agent_id"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Clearable, wire("outbound_agent_id"), _AGENT_ID] = UNSET

    def _check_combination(self) -> None:
        validators.require_any_field(self, "phone_number_id")


@attrs.frozen(kw_only=True)
class UpdateSipPhoneNumber(UpdatePiaPhoneNumber):
    """The same for a number on a SIP trunk."""

    sip_termination_uri: Annotated[Clearable, wire("sip_termination_uri"), _HOST] = UNSET
    sip_trunk_username: Annotated[Clearable, wire("sip_trunk_username"), validators.any_text] = (
        UNSET
    )
    sip_trunk_password: Annotated[ClearableSecret, wire("sip_trunk_password"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )


@attrs.frozen(kw_only=True)
class UpdateTwilioPhoneNumber(UpdatePiaPhoneNumber):
    """The same for a number in a Twilio account. Whether null is taken here is not stated."""

    twilio_account_sid: Annotated[str | Unset, wire("twilio_account_sid"), validators.word] = UNSET
    twilio_auth_token: Annotated[Secret | Unset, wire("twilio_auth_token"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )


@attrs.frozen(kw_only=True)
class UpdatePhoneNumber(UpdateSipPhoneNumber):
    """The same for a number of any kind; fields that no one kind takes together are refused.

    A body names no kind, so a field of another kind than the number's may be dropped without a
    word: what the answer does not show is reported.
    """

    twilio_account_sid: Annotated[str | Unset, wire("twilio_account_sid"), validators.word] = UNSET
    twilio_auth_token: Annotated[Secret | Unset, wire("twilio_auth_token"), _PASSWORD] = (
        attrs.field(default=UNSET, hash=False, converter=as_secret)
    )

    def _check_combination(self) -> None:
        validators.require_any_field(self, "phone_number_id")
        refuse_mix(attrs.asdict(self, recurse=False))


def refuse_mix(fields: Mapping[str, object]) -> None:
    """Refuse fields of two kinds of phone number in one request."""
    said = [name for name, value in fields.items() if value is not UNSET]
    sip = next((name for name in said if name.startswith("sip_")), None)
    twilio = next((name for name in said if name.startswith("twilio_")), None)
    if sip and twilio:
        raise InvalidRequestError(field=twilio, rule=f"no kind of number takes it with {sip}")


@attrs.frozen(kw_only=True)
class GetPhoneNumber(RequestValue[PhoneNumber]):
    """``GET /v1/phone-numbers/{phone_number_id}``."""

    phone_number_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class DeletePhoneNumber(RequestValue[None]):
    """``DELETE /v1/phone-numbers/{phone_number_id}``; whether that releases it is not stated."""

    phone_number_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class ListPhoneNumbers(RequestValue[Page[PhoneNumber]]):
    """One page of ``GET /v1/phone-numbers``."""

    page_size: Annotated[int, validators.whole_number(1, 100)] = 100
    page_token: Annotated[str | Unset, validators.word] = UNSET


CreatePhoneNumber: TypeAlias = CreateSipPhoneNumber | CreatePiaPhoneNumber | CreateTwilioPhoneNumber

_CREATES: Final[Mapping[str, type[CreatePiaPhoneNumber]]] = {
    SIP: CreateSipPhoneNumber,
    PIA: CreatePiaPhoneNumber,
    TWILIO: CreateTwilioPhoneNumber,
}


def create_value(provider: str, **fields: object) -> CreatePiaPhoneNumber:
    """Return the create request of *provider* from the *fields* that are said."""
    kind = _CREATES.get(provider)
    if kind is None:
        raise InvalidRequestError(field="provider", rule=f"must be one of {', '.join(_CREATES)}")
    said: dict[str, Any] = {name: value for name, value in fields.items() if value is not UNSET}
    known: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)
    for name in sorted(said.keys() - {field.name for field in known}):
        raise InvalidRequestError(field=name, rule=f"a {provider} number does not take it")
    for field in known:
        if field.init and field.default is attrs.NOTHING and field.name not in said:
            raise InvalidRequestError(field=field.name, rule=f"a {provider} number needs it")
    return kind(**said)

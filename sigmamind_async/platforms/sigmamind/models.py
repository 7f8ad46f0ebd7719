"""What SigmaMind is told and what it answers, in its own words.

Request values check themselves when made; records take whatever comes. Facts are from the pages
below https://docs.sigmamind.ai/api-reference/phone-numbers/ unless a comment names another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import attrs

from sigmamind_async.convert import Record, RequestValue, wire
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.paging import Page
from sigmamind_async.values import (
    REDACTED,
    UNSET,
    Secret,
    Unset,
    check_country_code,
    check_id,
    check_length,
    check_phone_number,
    check_range,
    concealed,
)

TWILIO: Final = "twilio"
TELNYX: Final = "telnyx"
BYO: Final = "byo"
"""Words of `PhoneNumber.provider`; others may come and are kept as they are."""

OWN_SIP_DOMAIN: Final = "sip.livekit.cloud"
"""Where SigmaMind itself takes calls. A termination URI must be the carrier's host, never this."""

Text: TypeAlias = str | Unset
Clearable: TypeAlias = str | Unset | None


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PhoneNumber(Record):
    """A phone number as SigmaMind shows it. The trunk's username and password never come back."""

    sip_phone_number: Annotated[str, wire("sipPhoneNumber", digits=True, needed=True)] = ""
    """The number, E.164; also its key in later calls. Empty in an answer that names none."""
    provider: Annotated[str | None, wire("provider")] = None
    """Carrier behind it: ``twilio``, ``telnyx``, ``byo``. Absent in the answer to an import."""
    inbound_agent_id: Annotated[str | None, wire("inboundAgentId")] = None
    outbound_agent_id: Annotated[str | None, wire("outboundAgentId")] = None
    outbound_phone_number: Annotated[str | None, wire("outboundPhoneNumber", digits=True)] = None
    """Who is called by a test call, E.164."""
    active: Annotated[bool | None, wire("active")] = None
    """Usable now; may be false right after a purchase or an import."""
    termination_sip_uri: Annotated[str | None, wire("terminationSipURI")] = None
    """Host that takes outbound calls. Absent in the answer to a purchase."""
    friendly_name: Annotated[str | None, wire("friendlyName")] = None
    """Label shown in listings."""


# https://docs.sigmamind.ai/api-reference/agents
@attrs.frozen(kw_only=True)
class Agent(Record):
    """A voice agent, as far as phone numbers need it; settings are kept as they come."""

    agent_id: Annotated[str | None, wire("agentId")] = None
    agent_name: Annotated[str | None, wire("agentName")] = None
    instructions: Annotated[str | None, wire("instructions")] = None
    welcome_message_type: Annotated[str | None, wire("welcomeMessageType")] = None
    welcome_message: Annotated[str | None, wire("welcomeMessage")] = None
    agent_settings: Annotated[dict[str, Any] | None, wire("agentSettings")] = None
    tools: Annotated[list[Any] | None, wire("tools")] = None


@attrs.frozen(kw_only=True)
class CallAgent(Record):
    """The agent named in a call."""

    name: Annotated[str | None, wire("name")] = None
    agent_id: Annotated[str | None, wire("agentId")] = None
    status: Annotated[str | None, wire("status")] = None


# https://docs.sigmamind.ai/api-reference/calls
@attrs.frozen(kw_only=True)
class Call(Record):
    """One call. Times are texts as the platform writes them."""

    call_id: Annotated[str | None, wire("callId")] = None
    call_type: Annotated[str | None, wire("callType")] = None
    """``inbound``, ``outbound`` or ``web``."""
    # Was a text before it became a record.
    phone_number: Annotated[PhoneNumber | str | None, wire("phoneNumber")] = None
    campaign: Annotated[dict[str, Any] | None, wire("campaign")] = None
    status: Annotated[str | None, wire("status")] = None
    """``scheduled``, ``in_progress``, ``ended``; older words exist, see `has_ended`."""
    transcript: Annotated[str | None, wire("transcript")] = None
    start_time: Annotated[str | None, wire("startTime")] = None
    end_time: Annotated[str | None, wire("endTime")] = None
    duration: Annotated[float | None, wire("duration")] = None
    """Seconds."""
    termination_reason: Annotated[str | None, wire("terminationReason")] = None
    """Null until the call has ended."""
    created_at: Annotated[str | None, wire("createdAt")] = None
    updated_at: Annotated[str | None, wire("updatedAt")] = None
    dynamic_variables: Annotated[dict[str, Any] | None, wire("dynamicVariables")] = None
    recording_url: Annotated[str | None, wire("recordingUrl")] = None
    agent: Annotated[CallAgent | None, wire("agent")] = None

    @property
    def has_ended(self) -> bool:
        """Whether the call is over, in any of the words the platform has used for it."""
        return (
            self.status in _ENDED
            or bool(self.end_time)
            or (bool(self.termination_reason) and self.status not in _RUNNING)
        )


# Three vocabularies, oldest to newest, are in public copies of the documentation.
_ENDED = frozenset({"ended", "completed", "failed", "not-connected", "error"})
_RUNNING = frozenset({"scheduled", "in-progress", "in_progress"})


@attrs.frozen(kw_only=True)
class Envelope(Record):
    """What stands around a page of a listing."""

    page: Annotated[int | None, wire("page")] = None
    """Counted from 0."""
    size: Annotated[int | None, wire("size")] = None
    total_count: Annotated[int | None, wire("totalCount")] = None
    total_counts: Annotated[int | None, wire("totalCounts")] = None
    """The older spelling of `total_count`."""
    total_pages: Annotated[int | None, wire("totalPages")] = None
    has_next: Annotated[bool | None, wire("hasNext")] = None
    has_previous: Annotated[bool | None, wire("hasPrevious")] = None


# --- request values --------------------------------------------------------------------------


def _label(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_length(field.name, value, 128)


def _agent_id(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_length(field.name, value, 64, least=1)


def _agent_id_or_none(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """An empty text is refused like elsewhere: `None` is how an agent is removed."""
    if value is not UNSET and value is not None:
        check_length(field.name, value, 64, least=1)


def _number(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_phone_number(field.name, value)


def _country_code(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_country_code(field.name, value)


def _area_code(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_range(field.name, value, 100, 99999)


def _username(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not UNSET:
        check_length(field.name, value, 128)


def _password(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, Secret) and value is not REDACTED:
        check_length(field.name, value.reveal(), 128)
    elif value is not UNSET and not isinstance(value, Secret):
        raise InvalidRequestError(field=field.name, rule="must be text")


def _termination_uri(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is UNSET:
        return
    check_length(field.name, value, 253, least=1)
    host = str(value).lower().removeprefix("sips:").removeprefix("sip:").rpartition("@")[2]
    host = host.partition(";")[0].partition(":")[0].rstrip(".")
    if host == OWN_SIP_DOMAIN or host.endswith(f".{OWN_SIP_DOMAIN}"):
        raise InvalidRequestError(
            f"{field.name}: {host} is SigmaMind's own SIP host; give your carrier's,"
            " such as 'sip.telnyx.com'",
            field.name,
            "the carrier's host",
        )


def _key(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_id(field.name, value)


def _page_size(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_range(field.name, value, 1, 1_000)


@attrs.frozen(kw_only=True)
class CreatePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers``: buys a number, for money."""

    friendly_name: Annotated[Text, wire("friendlyName")] = attrs.field(
        default=UNSET, validator=_label
    )
    """Label, at most 128 characters; the number itself where left out."""
    country_code: Annotated[Text, wire("countryCode")] = attrs.field(
        default=UNSET, validator=_country_code
    )
    """ISO 3166-1 alpha-2; needed without `phone_number`, ignored with it."""
    area_code: Annotated[int | Unset, wire("areaCode")] = attrs.field(
        default=UNSET, validator=_area_code
    )
    """100 to 99999. With nothing in stock there, the nearest match is bought."""
    phone_number: Annotated[Text, wire("phoneNumber")] = attrs.field(
        default=UNSET, validator=_number
    )
    """Buys exactly this number."""
    inbound_agent_id: Annotated[Text, wire("inboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id
    )
    outbound_agent_id: Annotated[Text, wire("outboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id
    )
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber")] = attrs.field(
        default=UNSET, validator=_number
    )
    """Whom test calls ring."""

    def __attrs_post_init__(self) -> None:
        if self.phone_number is UNSET and self.country_code is UNSET:
            raise InvalidRequestError(field="country_code", rule="give it, or a phone_number")


@attrs.frozen(kw_only=True)
class ImportPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers/import``: registers a number you own on a SIP trunk."""

    phone_number: Annotated[str, wire("phoneNumber")] = attrs.field(validator=_number)
    friendly_name: Annotated[Text, wire("friendlyName")] = attrs.field(
        default=UNSET, validator=_label
    )
    inbound_agent_id: Annotated[Text, wire("inboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id
    )
    outbound_agent_id: Annotated[Text, wire("outboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id
    )
    trunk_username: Annotated[Text, wire("trunkUsername")] = attrs.field(
        default=UNSET, validator=_username
    )
    """At most 128 characters; needed for outbound calls."""
    trunk_password: Annotated[Secret | Unset, wire("trunkPassword")] = attrs.field(
        default=UNSET, converter=concealed, validator=_password
    )
    """At most 128 characters; needed for outbound calls, never returned."""
    # "URI" here and in every answer, "Uri" in the update request.
    termination_sip_uri: Annotated[Text, wire("terminationSipURI")] = attrs.field(
        default=UNSET, validator=_termination_uri
    )
    """The carrier's host, such as ``sip.telnyx.com``; at most 253 characters."""
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber")] = attrs.field(
        default=UNSET, validator=_number
    )


@attrs.frozen(kw_only=True)
class UpdatePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``PATCH /v1/phone-numbers/{phoneNumber}``; what is left out stays as it is."""

    phone_number: str = attrs.field(validator=_number)
    """The number to change, E.164."""
    friendly_name: Annotated[Text, wire("friendlyName")] = attrs.field(
        default=UNSET, validator=_label
    )
    inbound_agent_id: Annotated[Clearable, wire("inboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id_or_none
    )
    """``None`` removes the agent."""
    outbound_agent_id: Annotated[Clearable, wire("outboundAgentId")] = attrs.field(
        default=UNSET, validator=_agent_id_or_none
    )
    """``None`` removes the agent."""
    # "Uri" in this request alone, "URI" everywhere else.
    termination_sip_uri: Annotated[Text, wire("terminationSipUri")] = attrs.field(
        default=UNSET, validator=_termination_uri
    )
    """Imported numbers only; without effect on bought ones."""
    trunk_username: Annotated[Text, wire("trunkUsername")] = attrs.field(
        default=UNSET, validator=_username
    )
    trunk_password: Annotated[Secret | Unset, wire("trunkPassword")] = attrs.field(
        default=UNSET, converter=concealed, validator=_password
    )
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber")] = attrs.field(
        default=UNSET, validator=_number
    )

    def __attrs_post_init__(self) -> None:
        fields = attrs.asdict(self, recurse=False).items()
        if all(value is UNSET for name, value in fields if name != "phone_number"):
            raise InvalidRequestError(field="update", rule="names no field to change")


@attrs.frozen(kw_only=True)
class GetPhoneNumber(RequestValue[PhoneNumber]):
    """``GET /v1/phone-numbers/{phoneNumber}``."""

    phone_number: str = attrs.field(validator=_number)


@attrs.frozen(kw_only=True)
class DeletePhoneNumber(RequestValue[None]):
    """``DELETE /v1/phone-numbers/{phoneNumber}``: gives the number up, for good."""

    phone_number: str = attrs.field(validator=_number)


@attrs.frozen(kw_only=True)
class ListPhoneNumbers(RequestValue[Page[PhoneNumber]]):
    """One page of ``GET /v1/phone-numbers``."""

    page: int = 0
    """Counted from 0."""
    size: int = attrs.field(default=100, validator=_page_size)


@attrs.frozen(kw_only=True)
class GetAgent(RequestValue[Agent]):
    """``GET /v1/agents/{agentId}``."""

    agent_id: str = attrs.field(validator=_key)


@attrs.frozen(kw_only=True)
class ListAgents(RequestValue[Page[Agent]]):
    """One page of ``GET /v1/agents``."""

    page: int = 0
    size: int = attrs.field(default=100, validator=_page_size)


@attrs.frozen(kw_only=True)
class CreateCall(RequestValue[Call]):
    """Body of ``POST /v1/calls``: rings somebody."""

    from_phone_number: Annotated[str, wire("fromPhoneNumber")] = attrs.field(validator=_number)
    to_phone_number: Annotated[str, wire("toPhoneNumber")] = attrs.field(validator=_number)
    agent_id: Annotated[Text, wire("agentId")] = attrs.field(default=UNSET, validator=_agent_id)
    """May be left out where the number has an outbound agent."""
    dynamic_variables: Annotated[Mapping[str, Any] | Unset, wire("dynamicVariables")] = UNSET


@attrs.frozen(kw_only=True)
class GetCall(RequestValue[Call]):
    """``GET /v1/calls/{callId}``."""

    call_id: str = attrs.field(validator=_key)


@attrs.frozen(kw_only=True)
class ListCalls(RequestValue[Page[Call]]):
    """One page of ``GET /v1/calls``."""

    status: str | Unset = UNSET
    """Only calls with this status."""
    page: int = 0
    size: int = attrs.field(default=100, validator=_page_size)


@attrs.frozen(kw_only=True)
class DeleteCall(RequestValue[None]):
    """``DELETE /v1/calls/{callId}``."""

    call_id: str = attrs.field(validator=_key)

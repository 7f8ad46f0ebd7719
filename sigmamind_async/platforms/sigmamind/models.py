"""SigmaMind's records and request values, in its own words.

Request values check themselves when they are made; records accept what comes, see `Record`. Facts
are from the pages below https://docs.sigmamind.ai/api-reference/phone-numbers/ unless a comment
names another page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import attrs

from sigmamind_async.convert import Record, RequestValue, validators, wire
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

TWILIO: Final = "twilio"
TELNYX: Final = "telnyx"
BYO: Final = "byo"
"""Values of `PhoneNumber.provider`; others are kept as they come."""

if TYPE_CHECKING:  # an editor offers the known words; any other is kept as it comes
    Provider: TypeAlias = Literal["twilio", "telnyx", "byo"] | str
    CallType: TypeAlias = Literal["inbound", "outbound", "web"] | str
    CallStatus: TypeAlias = Literal["scheduled", "in_progress", "ended"] | str
else:
    Provider = CallType = CallStatus = str

OWN_SIP_DOMAIN: Final = "sip.livekit.cloud"
"""SigmaMind's own SIP host. A termination URI is the carrier's host, never this one."""

Text: TypeAlias = str | Unset
Clearable: TypeAlias = str | Unset | None


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PhoneNumber(Record):
    """A phone number. The trunk's username and password are in no answer.

    https://docs.sigmamind.ai/api-reference/phone-numbers
    """

    sip_phone_number: Annotated[
        str, wire("sipPhoneNumber", phone_number=True, null_as_empty=True)
    ] = ""
    """The number, E.164, and its key in later calls; empty in an answer that names none."""
    provider: Annotated[Provider | None, wire("provider")] = None
    """The carrier: ``twilio``, ``telnyx`` or ``byo``. Absent from the answer to an import."""
    inbound_agent_id: Annotated[str | None, wire("inboundAgentId")] = None
    """The agent that takes calls to the number."""
    outbound_agent_id: Annotated[str | None, wire("outboundAgentId")] = None
    """The agent that calls from the number."""
    outbound_phone_number: Annotated[str | None, wire("outboundPhoneNumber", phone_number=True)] = (
        None
    )
    """The number that test calls ring, E.164."""
    active: Annotated[bool | None, wire("active")] = None
    """Usable now; may be false right after a purchase or an import."""
    termination_sip_uri: Annotated[str | None, wire("terminationSipURI")] = None
    """Host that takes outbound calls. Absent from the answer to a purchase."""
    friendly_name: Annotated[str | None, wire("friendlyName")] = None
    """Label shown in listings."""


@attrs.frozen(kw_only=True)
class Agent(Record):
    """A voice agent: its key, and its settings as they come.

    `agent_id`, of at most 64 characters, is what numbers refer to. `agent_name`, `instructions`,
    `welcome_message_type`, `welcome_message`, `agent_settings` and `tools` are the platform's own
    objects; other settings are in `extra`. https://docs.sigmamind.ai/api-reference/agents
    """

    agent_id: Annotated[str | None, wire("agentId", strict=True)] = None
    agent_name: Annotated[str | None, wire("agentName")] = None
    instructions: Annotated[str | None, wire("instructions")] = None
    welcome_message_type: Annotated[str | None, wire("welcomeMessageType")] = None
    welcome_message: Annotated[str | None, wire("welcomeMessage")] = None
    agent_settings: Annotated[dict[str, Any] | None, wire("agentSettings")] = attrs.field(
        default=None, hash=False
    )
    tools: Annotated[list[Any] | None, wire("tools")] = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True)
class CallAgent(Record):
    """The agent of a call: its `name`, its `agent_id` and its `status`, as the platform has them.

    https://docs.sigmamind.ai/api-reference/calls
    """

    name: Annotated[str | None, wire("name")] = None
    agent_id: Annotated[str | None, wire("agentId")] = None
    status: Annotated[str | None, wire("status")] = None


@attrs.frozen(kw_only=True)
class Call(Record):
    """A phone call.

    `call_id` is its key. `start_time`, `end_time`, `created_at` and `updated_at` are texts, as the
    platform writes them. `agent`, `campaign`, `dynamic_variables`, `transcript` and `recording_url`
    are absent until the platform has them. https://docs.sigmamind.ai/api-reference/calls
    """

    call_id: Annotated[str | None, wire("callId", strict=True)] = None
    call_type: Annotated[CallType | None, wire("callType")] = None
    """``inbound``, ``outbound`` or ``web``."""
    phone_number: Annotated[PhoneNumber | str | None, wire("phoneNumber", phone_number=True)] = None
    """The number of the account, as a record or, in older answers, as a text."""
    campaign: Annotated[dict[str, Any] | None, wire("campaign")] = attrs.field(
        default=None, hash=False
    )
    status: Annotated[CallStatus | None, wire("status")] = None
    """``scheduled``, ``in_progress``, ``ended``; `has_ended` knows the older words."""
    transcript: Annotated[str | None, wire("transcript")] = None
    start_time: Annotated[str | None, wire("startTime")] = None
    end_time: Annotated[str | None, wire("endTime")] = None
    duration: Annotated[float | None, wire("duration")] = None
    """Seconds."""
    termination_reason: Annotated[str | None, wire("terminationReason")] = None
    """Null until the call has ended."""
    created_at: Annotated[str | None, wire("createdAt")] = None
    updated_at: Annotated[str | None, wire("updatedAt")] = None
    dynamic_variables: Annotated[dict[str, Any] | None, wire("dynamicVariables")] = attrs.field(
        default=None, hash=False
    )
    recording_url: Annotated[str | None, wire("recordingUrl")] = None
    agent: Annotated[CallAgent | None, wire("agent")] = None

    @property
    def has_ended(self) -> bool:
        """True once the call is over, whichever of its words the platform uses."""
        return (
            self.status in _ENDED
            or bool(self.end_time)
            or (bool(self.termination_reason) and self.status not in _RUNNING)
        )


# Three vocabularies, oldest to newest, are in public copies of the documentation.
_ENDED = frozenset({"ended", "completed", "failed", "not-connected", "error"})
_RUNNING = frozenset({"scheduled", "in-progress", "in_progress"})


# --- request values --------------------------------------------------------------------------


_HOST = validators.visible(253)


def _carrier_host(name: str, value: object) -> None:
    _HOST(name, value)
    if OWN_SIP_DOMAIN not in str(value).lower():
        return
    host = str(value).lower().removeprefix("sips:").removeprefix("sip:").rpartition("@")[2]
    host = host.partition(";")[0].partition(":")[0].rstrip(".")
    if host == OWN_SIP_DOMAIN or host.endswith(f".{OWN_SIP_DOMAIN}"):
        raise InvalidRequestError(
            f"{name}: {host} is SigmaMind's own SIP host; give your carrier's,"
            " such as 'sip.telnyx.com'",
            name,
            "the carrier's host",
        )


_PHONE_NUMBER = validators.phone_number
_SHORT_TEXT = validators.text(128)
# Null removes an agent, so an empty id is refused.
_AGENT_ID = validators.visible(64)
_PASSWORD = validators.secret(128)
_AREA_CODE = validators.whole_number(100, 99_999)
_PAGE = validators.whole_number(0, 2**31 - 1)
_PAGE_SIZE = validators.whole_number(1, 1_000)


@attrs.frozen(kw_only=True)
class CreatePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers``: buys a number.

    Fields and their limits: `PhoneNumbers.create`.
    https://docs.sigmamind.ai/api-reference/phone-numbers/create-phone-number
    """

    friendly_name: Annotated[Text, wire("friendlyName"), _SHORT_TEXT] = UNSET
    country_code: Annotated[Text, wire("countryCode"), validators.country_code] = UNSET
    area_code: Annotated[int | Unset, wire("areaCode"), _AREA_CODE] = UNSET
    phone_number: Annotated[Text, wire("phoneNumber"), _PHONE_NUMBER] = UNSET
    inbound_agent_id: Annotated[Text, wire("inboundAgentId"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Text, wire("outboundAgentId"), _AGENT_ID] = UNSET
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber"), _PHONE_NUMBER] = UNSET

    def _check_combination(self, /) -> None:
        if self.phone_number is UNSET and self.country_code is UNSET:
            raise InvalidRequestError(field="country_code", rule="give it, or a phone_number")


@attrs.frozen(kw_only=True)
class ImportPhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``POST /v1/phone-numbers/import``: registers your own number on a SIP trunk.

    Fields and their limits: `PhoneNumbers.import_`.
    https://docs.sigmamind.ai/api-reference/phone-numbers/import-phone-number
    """

    phone_number: Annotated[str, wire("phoneNumber"), _PHONE_NUMBER]
    friendly_name: Annotated[Text, wire("friendlyName"), _SHORT_TEXT] = UNSET
    inbound_agent_id: Annotated[Text, wire("inboundAgentId"), _AGENT_ID] = UNSET
    outbound_agent_id: Annotated[Text, wire("outboundAgentId"), _AGENT_ID] = UNSET
    trunk_username: Annotated[Text, wire("trunkUsername"), _SHORT_TEXT] = UNSET
    trunk_password: Annotated[Secret | Unset, wire("trunkPassword"), _PASSWORD] = attrs.field(
        default=UNSET, hash=False, converter=as_secret
    )
    # "URI" here and in every answer, "Uri" in the update request.
    termination_sip_uri: Annotated[Text, wire("terminationSipURI"), _carrier_host] = UNSET
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber"), _PHONE_NUMBER] = UNSET


@attrs.frozen(kw_only=True)
class UpdatePhoneNumber(RequestValue[PhoneNumber]):
    """Body of ``PATCH /v1/phone-numbers/{phoneNumber}``; a field left out stays as it is.

    Fields and their limits: `PhoneNumbers.update`.
    https://docs.sigmamind.ai/api-reference/phone-numbers/update-phone-number
    """

    phone_number: Annotated[str, _PHONE_NUMBER]
    friendly_name: Annotated[Text, wire("friendlyName"), _SHORT_TEXT] = UNSET
    inbound_agent_id: Annotated[Clearable, wire("inboundAgentId"), _AGENT_ID] = UNSET
    """``None`` removes the agent."""
    outbound_agent_id: Annotated[Clearable, wire("outboundAgentId"), _AGENT_ID] = UNSET
    """``None`` removes the agent."""
    # "Uri" in this request alone, "URI" everywhere else.
    termination_sip_uri: Annotated[Text, wire("terminationSipUri"), _carrier_host] = UNSET
    """Imported numbers only; has no effect on a purchased one."""
    trunk_username: Annotated[Text, wire("trunkUsername"), _SHORT_TEXT] = UNSET
    trunk_password: Annotated[Secret | Unset, wire("trunkPassword"), _PASSWORD] = attrs.field(
        default=UNSET, hash=False, converter=as_secret
    )
    outbound_phone_number: Annotated[Text, wire("outboundPhoneNumber"), _PHONE_NUMBER] = UNSET

    _check_combination = validators.require_any_field("phone_number")


@attrs.frozen(kw_only=True)
class GetPhoneNumber(RequestValue[PhoneNumber]):
    """``GET /v1/phone-numbers/{phoneNumber}``; `phone_number` is E.164."""

    phone_number: Annotated[str, _PHONE_NUMBER]


@attrs.frozen(kw_only=True)
class DeletePhoneNumber(RequestValue[None]):
    """``DELETE /v1/phone-numbers/{phoneNumber}``: releases `phone_number`, E.164, permanently."""

    phone_number: Annotated[str, _PHONE_NUMBER]


@attrs.frozen(kw_only=True)
class ListPhoneNumbers(RequestValue[Page[PhoneNumber]]):
    """One page of ``GET /v1/phone-numbers``: `page`, from 0, of `size` numbers, 1 to 1,000."""

    page: Annotated[int, _PAGE] = 0
    size: Annotated[int, _PAGE_SIZE] = 100


@attrs.frozen(kw_only=True)
class GetAgent(RequestValue[Agent]):
    """``GET /v1/agents/{agentId}``; `agent_id` is the agent's key."""

    agent_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class ListAgents(RequestValue[Page[Agent]]):
    """One page of ``GET /v1/agents``: `page`, from 0, of `size` agents, 1 to 1,000."""

    page: Annotated[int, _PAGE] = 0
    size: Annotated[int, _PAGE_SIZE] = 100


@attrs.frozen(kw_only=True)
class CreateCall(RequestValue[Call]):
    """Body of ``POST /v1/calls``: places a call.

    Fields and their limits: `Calls.create`. https://docs.sigmamind.ai/api-reference/calls
    """

    from_phone_number: Annotated[str, wire("fromPhoneNumber"), _PHONE_NUMBER]
    to_phone_number: Annotated[str, wire("toPhoneNumber"), _PHONE_NUMBER]
    agent_id: Annotated[Text, wire("agentId"), _AGENT_ID] = UNSET
    dynamic_variables: Annotated[
        Mapping[str, Any] | Unset, wire("dynamicVariables"), validators.json_object
    ] = attrs.field(default=UNSET, hash=False)


@attrs.frozen(kw_only=True)
class GetCall(RequestValue[Call]):
    """``GET /v1/calls/{callId}``; `call_id` is the call's key."""

    call_id: Annotated[str, validators.record_id()]


@attrs.frozen(kw_only=True)
class ListCalls(RequestValue[Page[Call]]):
    """One page of ``GET /v1/calls``: `page`, from 0, of `size` calls, 1 to 1,000.

    With `status`, only calls with this status.
    """

    status: Annotated[CallStatus | Unset, validators.word] = UNSET
    page: Annotated[int, _PAGE] = 0
    size: Annotated[int, _PAGE_SIZE] = 100


@attrs.frozen(kw_only=True)
class DeleteCall(RequestValue[None]):
    """``DELETE /v1/calls/{callId}``: deletes the record of the call `call_id`."""

    call_id: Annotated[str, validators.record_id()]

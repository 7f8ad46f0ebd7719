"""The Verbex client, in the vendor's words."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import ClassVar, Final, TypedDict, TypeVar, Unpack

from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkResult, Progress, StopOn
from sigmamind_async.client import Client, Operations, RawResource, Resource, Row, Runner, raw
from sigmamind_async.engine import Engine
from sigmamind_async.operation import Platform
from sigmamind_async.paging import Listing, all_items_by_token
from sigmamind_async.platforms.verbex.models import (
    SIP,
    CreatePhoneNumber,
    CreatePiaPhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ListPhoneNumbers,
    PhoneNumber,
    Provider,
    Region,
    UpdatePhoneNumber,
    UpdatePiaPhoneNumber,
    create_value,
)
from sigmamind_async.platforms.verbex.operations import OPERATIONS, VERBEX
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

NewNumber = TypeVar("NewNumber", bound="CreatePhoneNumber | Row")
ChangedNumber = TypeVar("ChangedNumber", bound="UpdatePiaPhoneNumber | Row | str")


class Verbex(Client):
    """Verbex's phone numbers.

    The methods are those of its attribute ``phone_numbers``. The constructor explains its settings.
    ``VERBEX_API_KEY`` and ``VERBEX_BASE_URL`` are read from the environment.
    """

    platform: ClassVar[Platform] = VERBEX
    operations: ClassVar[Operations] = OPERATIONS

    phone_numbers: PhoneNumbers

    def _bind(self, engine: Engine) -> None:
        super()._bind(engine)
        self.phone_numbers = PhoneNumbers(self._runner)

    @property
    def with_raw_response(self) -> VerbexRaw:
        """The same methods, each of which returns a `RawResponse`: status, headers, request id."""
        return VerbexRaw(self._runner)


class PhoneNumberChange(TypedDict, total=False):
    """The fields of `UpdatePhoneNumber`, as keyword arguments."""

    friendly_name: str | Unset | None
    inbound_agent_id: str | Unset | None
    outbound_agent_id: str | Unset | None
    sip_termination_uri: str | Unset | None
    sip_trunk_username: str | Unset | None
    sip_trunk_password: str | Secret | Unset | None
    twilio_account_sid: str | Unset
    twilio_auth_token: str | Secret | Unset


class PhoneNumbers(Resource):
    """https://docs.verbex.ai, "Phone Numbers".

    Every method raises `InvalidRequestError` for a wrong argument, before anything is sent; the
    other errors are those of `sigmamind_async.errors`.
    """

    async def create(
        self,
        *,
        provider: Provider = SIP,
        phone_number: str | Unset = UNSET,
        friendly_name: str | Unset | None = UNSET,
        inbound_agent_id: str | Unset | None = UNSET,
        outbound_agent_id: str | Unset | None = UNSET,
        sip_termination_uri: str | Unset | None = UNSET,
        sip_trunk_username: str | Unset | None = UNSET,
        sip_trunk_password: str | Secret | Unset | None = UNSET,
        sip_infra_region: Region | Unset = UNSET,
        twilio_account_sid: str | Unset = UNSET,
        twilio_auth_token: str | Secret | Unset = UNSET,
    ) -> PhoneNumber:
        """Register a number of the *provider*'s kind; it is sent at most once.

        A field that this kind does not take is refused.

        Args:
            provider: ``sip`` for your own number over a trunk, ``pia`` for one that the platform
                manages, ``twilio`` for one in your Twilio account.
            phone_number: The number, E.164; needed but for ``pia``.
            friendly_name: Label; no limit is documented.
            inbound_agent_id: Agent that takes calls to the number.
            outbound_agent_id: Agent that calls from the number.
            sip_termination_uri: ``sip`` only: the carrier's host.
            sip_trunk_username: ``sip`` only.
            sip_trunk_password: ``sip`` only; the platform repeats it in its answers.
            sip_infra_region: ``sip`` only: ``global`` (by default), ``bd`` or ``bd_link3``.
            twilio_account_sid: ``twilio`` only, and needed there.
            twilio_auth_token: ``twilio`` only, and needed there.

        Returns:
            The number; its ``id`` is the key of later calls.

        Raises:
            OutcomeUnknownError: The number may have been registered.
        """
        sip_trunk_password = as_secret(sip_trunk_password)
        twilio_auth_token = as_secret(twilio_auth_token)
        return await self._runner.run(
            create_value(
                provider,
                phone_number=phone_number,
                friendly_name=friendly_name,
                inbound_agent_id=inbound_agent_id,
                outbound_agent_id=outbound_agent_id,
                sip_termination_uri=sip_termination_uri,
                sip_trunk_username=sip_trunk_username,
                sip_trunk_password=sip_trunk_password,
                sip_infra_region=sip_infra_region,
                twilio_account_sid=twilio_account_sid,
                twilio_auth_token=twilio_auth_token,
            )
        )

    async def update(
        self,
        phone_number_id: str,
        *,
        friendly_name: str | Unset | None = UNSET,
        inbound_agent_id: str | Unset | None = UNSET,
        outbound_agent_id: str | Unset | None = UNSET,
        sip_termination_uri: str | Unset | None = UNSET,
        sip_trunk_username: str | Unset | None = UNSET,
        sip_trunk_password: str | Secret | Unset | None = UNSET,
        twilio_account_sid: str | Unset = UNSET,
        twilio_auth_token: str | Secret | Unset = UNSET,
    ) -> PhoneNumber:
        """Change a number; a field left out stays as it is.

        Fields of two kinds of number are refused together. Whether ``None`` clears a field is not
        documented: one that the answer shows with another value is reported, and raised with
        ``strict``.

        Args:
            phone_number_id: The record's id, not the number.
            friendly_name: Label; no limit is documented.
            inbound_agent_id: Agent that takes calls to the number.
            outbound_agent_id: Agent that calls from the number.
            sip_termination_uri: ``sip`` numbers only: the carrier's host.
            sip_trunk_username: ``sip`` numbers only.
            sip_trunk_password: ``sip`` numbers only.
            twilio_account_sid: ``twilio`` numbers only.
            twilio_auth_token: ``twilio`` numbers only.

        Raises:
            NotFoundError: There is no such record.
        """
        sip_trunk_password = as_secret(sip_trunk_password)
        twilio_auth_token = as_secret(twilio_auth_token)
        return await self._runner.run(
            UpdatePhoneNumber(
                phone_number_id=phone_number_id,
                friendly_name=friendly_name,
                inbound_agent_id=inbound_agent_id,
                outbound_agent_id=outbound_agent_id,
                sip_termination_uri=sip_termination_uri,
                sip_trunk_username=sip_trunk_username,
                sip_trunk_password=sip_trunk_password,
                twilio_account_sid=twilio_account_sid,
                twilio_auth_token=twilio_auth_token,
            )
        )

    async def get(self, phone_number_id: str) -> PhoneNumber:
        """Look up the record *phone_number_id*; raises `NotFoundError` if there is none."""
        return await self._runner.run(GetPhoneNumber(phone_number_id=phone_number_id))

    def list(self, *, page_size: int = 100) -> Listing[PhoneNumber]:
        """Yield every number of the account.

        Args:
            page_size: Numbers to read at a time, 1 to 100.

        Raises:
            ResponseDecodeError: The listing ends before the account does.
        """
        return all_items_by_token(
            lambda token, size: self._runner.run(
                ListPhoneNumbers(page_size=size, page_token=UNSET if token is None else token)
            ),
            lambda number: number.id,
            size=page_size,
        )

    async def delete(self, phone_number_id: str) -> None:
        """Delete the record *phone_number_id*; raises `NotFoundError` if there is none.

        Whether that releases a ``pia`` number is not documented.
        """
        await self._runner.run(DeletePhoneNumber(phone_number_id=phone_number_id))

    async def create_many(
        self,
        values: Iterable[NewNumber] | AsyncIterable[NewNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[NewNumber, PhoneNumber]:
        """Register many numbers, of any kind, concurrently, each at most once.

        Args:
            values: Create values of any kind, or mappings of the arguments of `create`, which are
                read when their row begins: a wrong one is a failed outcome.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.run_all(
            values,
            CreatePiaPhoneNumber,
            stop_on=stop_on,
            progress=progress,
            build=lambda row: create_value(**{"provider": SIP, **row}),
        )

    async def update_many(
        self,
        values: Iterable[ChangedNumber] | AsyncIterable[ChangedNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
        **change: Unpack[PhoneNumberChange],
    ) -> BulkResult[ChangedNumber, PhoneNumber]:
        """Change many numbers concurrently.

        Args:
            values: Update values of any kind, or mappings of the fields of `UpdatePhoneNumber`,
                each with its own change, or plain record ids, which all get the same *change*.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.
            **change: Fields as in `update`. One that no number can take raises before anything is
                sent.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        if "sip_trunk_password" in change:
            change["sip_trunk_password"] = as_secret(change["sip_trunk_password"])
        if "twilio_auth_token" in change:
            change["twilio_auth_token"] = as_secret(change["twilio_auth_token"])
        return await self._runner.change_all(
            values, UpdatePhoneNumber, "phone_number_id", change, stop_on=stop_on, progress=progress
        )


# --- raw responses ---------------------------------------------------------------------------


class RawPhoneNumbers(RawResource):
    """The methods of `PhoneNumbers`."""

    create: Final = raw(PhoneNumbers.create)
    update: Final = raw(PhoneNumbers.update)
    get: Final = raw(PhoneNumbers.get)
    delete: Final = raw(PhoneNumbers.delete)


class VerbexRaw:
    """What ``client.with_raw_response`` is; see `Verbex.with_raw_response`."""

    def __init__(self, runner: Runner) -> None:
        self.phone_numbers: RawPhoneNumbers = RawPhoneNumbers(runner)

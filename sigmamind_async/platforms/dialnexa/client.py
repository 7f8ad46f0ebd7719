"""The DialNexa client, in the vendor's words."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import ClassVar, Final, Literal, TypedDict, TypeVar, Unpack

from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkResult, Progress, StopOn
from sigmamind_async.client import Client, Operations, RawResource, Resource, Row, Runner, raw
from sigmamind_async.engine import Engine
from sigmamind_async.operation import Platform
from sigmamind_async.paging import Listing, all_items, single_page
from sigmamind_async.platforms.dialnexa.models import (
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumberPricing,
    ListPhoneNumbers,
    NumberType,
    PhoneNumber,
    PhoneNumberPrice,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.dialnexa.operations import DIALNEXA, OPERATIONS
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

NewNumber = TypeVar("NewNumber", bound="PurchasePhoneNumber | Row")
ImportedNumber = TypeVar("ImportedNumber", bound="ImportSipTrunk | Row")
ChangedNumber = TypeVar("ChangedNumber", bound="UpdatePhoneNumber | Row | str")


class DialNexa(Client):
    """DialNexa's phone numbers and their prices, and the agents that they are routed to.

    The methods are those of its attributes ``phone_numbers``, ``phone_number_pricing`` and
    ``agents``. The constructor explains its settings. ``DIALNEXA_API_KEY``, the whole of
    ``key_id:secret``, and ``DIALNEXA_BASE_URL`` are read from the environment.
    """

    platform: ClassVar[Platform] = DIALNEXA
    operations: ClassVar[Operations] = OPERATIONS

    phone_numbers: PhoneNumbers
    phone_number_pricing: PhoneNumberPricing
    agents: Agents

    def _bind(self, engine: Engine) -> None:
        super()._bind(engine)
        self.phone_numbers = PhoneNumbers(self._runner)
        self.phone_number_pricing = PhoneNumberPricing(self._runner)
        self.agents = Agents(self._runner)

    @property
    def with_raw_response(self) -> DialNexaRaw:
        """The same methods, each of which returns a `RawResponse`: status, headers, request id."""
        return DialNexaRaw(self._runner)


class PhoneNumberChange(TypedDict, total=False):
    """The fields of `UpdatePhoneNumber`, as keyword arguments."""

    agent_id: str | Unset | None
    nickname: str | Unset | None
    label: str | Unset


class PhoneNumbers(Resource):
    """https://dialnexa.com/docs, "Phone Numbers".

    Every method raises `InvalidRequestError` for a wrong argument, before anything is sent; the
    other errors are those of `sigmamind_async.errors`.
    """

    async def search(
        self,
        country_iso: str,
        *,
        type: NumberType | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> list[AvailableNumber]:
        """List the numbers on offer in a country.

        Args:
            country_iso: ISO 3166-1 alpha-2, such as ``US``.
            type: ``local``, ``mobile`` or ``tollfree``; by default any.
        """
        return await self._runner.run(SearchPhoneNumbers(country_iso=country_iso, type=type))

    async def purchase(
        self,
        phone_number: str,
        *,
        telephony_provider_id: str | Unset = UNSET,
        country_iso: str | Unset = UNSET,
        provider: str | Unset = UNSET,
        older_body: bool = False,
    ) -> PhoneNumber:
        """Buy exactly *phone_number*, billed monthly from then on; it is sent at most once.

        `search` finds numbers on offer; ``client.phone_number_pricing.list()`` gives the
        *telephony_provider_id* and the price for their country.

        Without a readable answer, the number is looked up in the listing; if it is not there,
        `OutcomeUnknownError` says that it may have been bought.

        Args:
            phone_number: The number, E.164.
            telephony_provider_id: From ``phone_number_pricing.list()``, such as
                ``tp_abc123xyz789``; needed.
            country_iso: ISO 3166-1 alpha-2; needed.
            provider: With *older_body* only.
            older_body: Send the older of the two documented bodies, which has the number and
                optionally a *provider*, and neither *telephony_provider_id* nor *country_iso*.

        Returns:
            The number; its ``id`` is the key of later calls.

        Raises:
            OutcomeUnknownError: The number may have been bought.
            InsufficientFundsError: The account cannot pay for it.
        """
        return await self._runner.run(
            PurchasePhoneNumber(
                phone_number=phone_number,
                telephony_provider_id=telephony_provider_id,
                country_iso=country_iso,
                provider=provider,
                older_body=older_body,
            )
        )

    async def import_sip_trunk(
        self,
        phone_number: str,
        *,
        termination_uri: str,
        auth_mode: Literal["userpass", "ip"] | Unset = UNSET,
        sip_trunk_user_name: str | Unset = UNSET,
        sip_trunk_password: str | Secret | Unset = UNSET,
        nickname: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Bring a number you own into DialNexa over a SIP trunk; nothing is bought.

        Args:
            phone_number: The number, E.164.
            termination_uri: The carrier's ``host`` or ``host:port``, without ``sip:``; at most 253
                characters.
            auth_mode: ``userpass`` (by default), or ``ip``, which forbids user name and password.
            sip_trunk_user_name: Needed unless *auth_mode* is ``ip``.
            sip_trunk_password: Needed unless *auth_mode* is ``ip``.
            nickname: Shown in the dashboard, at most 255 characters.

        Raises:
            OutcomeUnknownError: The number may have been imported.
        """
        sip_trunk_password = as_secret(sip_trunk_password)
        return await self._runner.run(
            ImportSipTrunk(
                phone_number=phone_number,
                termination_uri=termination_uri,
                auth_mode=auth_mode,
                sip_trunk_user_name=sip_trunk_user_name,
                sip_trunk_password=sip_trunk_password,
                nickname=nickname,
            )
        )

    async def update(
        self,
        id: str,  # noqa: A002 - the vendor's word
        *,
        agent_id: str | Unset | None = UNSET,
        nickname: str | Unset | None = UNSET,
        label: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Change a number: ``agent_id=None`` detaches the agent, ``nickname=None`` clears it.

        Args:
            id: The number's id, such as ``phn_f7w2kx5mb9qz``.
            agent_id: Agent that takes calls to the number.
            nickname: Shown in the dashboard, at most 255 characters.
            label: For internal accounting.

        Raises:
            NotFoundError: The number is unknown, or the platform has retired this route; the
                message says how to route the number with ``agents.update`` instead.
        """
        return await self._runner.run(
            UpdatePhoneNumber(id=id, agent_id=agent_id, nickname=nickname, label=label)
        )

    async def get(self, id: str) -> PhoneNumber:  # noqa: A002 - the vendor's word
        """Look up the number *id*, ``phn_...``; raises `NotFoundError` if there is none."""
        return await self._runner.run(GetPhoneNumber(id=id))

    def list(
        self,
        *,
        page_size: int = 100,
        country_code: str | Unset = UNSET,
        type: NumberType | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> Listing[PhoneNumber]:
        """Yield every number of the workspace once.

        A number that the workspace holds throughout is yielded, whatever is changed, released and
        bought meanwhile. The first page's numbers come at once; then all pages are read before the
        next is yielded, about 1 kB a number. `ListPhoneNumbers` reads a single page.

        Args:
            page_size: Numbers to read at a time, 1 to 100.
            country_code: Only numbers of this country, ISO 3166-1 alpha-2.
            type: Only numbers of this type: ``local``, ``mobile`` or ``tollfree``.

        Raises:
            ResponseDecodeError: The listing ends before the workspace does.
        """
        return all_items(
            lambda page: self._runner.run(
                ListPhoneNumbers(page=page, limit=page_size, country_code=country_code, type=type)
            ),
            lambda number: number.id,
            size=page_size,
            first=1,
        )

    async def release(self, id: str) -> None:  # noqa: A002 - the vendor's word
        """Release the number *id*, permanently; raises `ConflictError` while something uses it."""
        await self._runner.run(ReleasePhoneNumber(id=id))

    async def purchase_many(
        self,
        values: Iterable[NewNumber] | AsyncIterable[NewNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[NewNumber, PhoneNumber]:
        """Buy many numbers concurrently, each at most once.

        Args:
            values: `PurchasePhoneNumber` values, or mappings of its fields, which are read when
                their row begins: a wrong one is a failed outcome.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.run_all(
            values, PurchasePhoneNumber, stop_on=stop_on, progress=progress
        )

    async def import_sip_trunk_many(
        self,
        values: Iterable[ImportedNumber] | AsyncIterable[ImportedNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[ImportedNumber, PhoneNumber]:
        """Import many numbers concurrently.

        Args:
            values: `ImportSipTrunk` values, or mappings of its fields, as in `purchase_many`.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.run_all(
            values, ImportSipTrunk, stop_on=stop_on, progress=progress
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
            values: `UpdatePhoneNumber` values or mappings of its fields, each with its own change,
                or plain ids, which all get the same *change*.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.
            **change: Fields as in `update`. One that no number can take raises before anything is
                sent.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.change_all(
            values, UpdatePhoneNumber, "id", change, stop_on=stop_on, progress=progress
        )


class PhoneNumberPricing(Resource):
    """https://dialnexa.com/docs, "List Phone Number Pricing".

    Its method raises as those of `PhoneNumbers` do.
    """

    def list(self) -> Listing[PhoneNumberPrice]:
        """Yield the price of a number from each provider in each country, in credits."""
        return single_page(lambda: self._runner.run(ListPhoneNumberPricing()))


class Agents(Resource):
    """https://dialnexa.com/docs, "Agents": the newer way to route numbers.

    Every method raises as those of `PhoneNumbers` do.
    """

    async def get(self, id: str) -> Agent:  # noqa: A002 - the vendor's word
        """Look up the agent *id*; `update` takes its `version_number`."""
        return await self._runner.run(GetAgent(id=id))

    async def update(
        self,
        id: str,  # noqa: A002 - the vendor's word
        *,
        version_number: int,
        inbound_phone_number_id: str | Unset = UNSET,
        outbound_phone_number_id: str | Unset = UNSET,
        is_published: bool | Unset = UNSET,
    ) -> Agent:
        """Route numbers to an agent; an empty text detaches one.

        Args:
            id: The agent's id.
            version_number: The draft to change, as `get` returns it; a published version cannot be
                updated.
            inbound_phone_number_id: The number whose calls it takes.
            outbound_phone_number_id: The number it calls from.
            is_published: Publish the draft: live calls follow only if this is ``True`` in the same
                request.
        """
        return await self._runner.run(
            UpdateAgent(
                id=id,
                version_number=version_number,
                inbound_phone_number_id=inbound_phone_number_id,
                outbound_phone_number_id=outbound_phone_number_id,
                is_published=is_published,
            )
        )


# --- raw responses ---------------------------------------------------------------------------


class RawPhoneNumbers(RawResource):
    """The methods of `PhoneNumbers`."""

    search: Final = raw(PhoneNumbers.search)
    purchase: Final = raw(PhoneNumbers.purchase)
    import_sip_trunk: Final = raw(PhoneNumbers.import_sip_trunk)
    update: Final = raw(PhoneNumbers.update)
    get: Final = raw(PhoneNumbers.get)
    release: Final = raw(PhoneNumbers.release)


class RawAgents(RawResource):
    """The methods of `Agents`."""

    get: Final = raw(Agents.get)
    update: Final = raw(Agents.update)


class DialNexaRaw:
    """What ``client.with_raw_response`` is; see `DialNexa.with_raw_response`."""

    def __init__(self, runner: Runner) -> None:
        self.phone_numbers: RawPhoneNumbers = RawPhoneNumbers(runner)
        self.agents: RawAgents = RawAgents(runner)
